//! A server of the suite: records what it sees, in order, and lets a case wait for it.

mod serve;

use super::cluster::{ASK, TestNode};
use super::{KIND, Record, body};
use crate::harness::Timing;
use pingpong_core::inbox::ServerOptions;
use pingpong_core::message::Encoded;
use pingpong_core::transport::RegisterError;
use pingpong_core::{NodeName, ServerName};
use serve::{Hoarded, Mode, Seen};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// What a probe does with calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answers with the request's number.
    Echo,
    /// Keeps the caller waiting, until [`Probe::release`], and goes on with the next message.
    Hold,
    /// Gives the caller up unanswered, as a panic of the handler would.
    Drop,
    /// Answers with that many bytes.
    Large(usize),
}

/// A server that records. Dropping it ends its task, and with it the registration.
pub struct Probe {
    seen: Arc<Seen>,
    mode: Arc<watch::Sender<Mode>>,
    task: Option<JoinHandle<()>>,
    who: String,
    timing: Timing,
}

impl Probe {
    /// Registers a server, and starts to read its inbox.
    ///
    /// # Errors
    /// As the transport says.
    pub fn register(
        node: &TestNode,
        name: &ServerName,
        options: ServerOptions,
        answer: Answer,
    ) -> Result<Self, RegisterError> {
        let inbox = node.register(name, options)?;
        let seen = Arc::new(Seen::default());
        *seen.answer.lock().unwrap() = Some(answer);
        let (mode, reader) = watch::channel(Mode::Reads);
        let mode = Arc::new(mode);
        let weak = Arc::downgrade(&mode);
        let task = Some(tokio::spawn(serve::serve(inbox, Arc::clone(&seen), reader, weak)));
        let who = format!("{name} on {}", node.place());
        Ok(Self { seen, mode, task, who, timing: node.timing() })
    }

    /// Stops reading: from now on no message is taken or handled.
    pub fn pause(&self) {
        self.mode.send_replace(Mode::Stands);
    }

    /// Takes what comes, and handles nothing of it: it lies in the server's hands, and a case can wait for it with
    /// [`until_hoarded`](Self::until_hoarded).
    pub fn hoard(&self) {
        self.mode.send_replace(Mode::Hoards);
    }

    /// Reads on, what it has hoarded first.
    pub fn resume(&self) {
        self.mode.send_replace(Mode::Reads);
    }

    /// Handles one message, and waits until it has recorded it and stopped reading again: whoever resumes it then is not overtaken by
    /// that.
    ///
    /// # Panics
    /// If nothing is there to be handled within the harness's patience.
    pub async fn handle_one(&self) {
        let mut mode = self.mode.subscribe();
        self.seen.one.store(true, Ordering::Relaxed);
        self.resume();
        if timeout(self.timing.patience(), mode.wait_for(|mode| *mode == Mode::Stands)).await.is_err() {
            panic!("{}: expected a message to handle; seen {}", self.who, Tail(&self.records()));
        }
    }

    /// From now on, does this with calls.
    pub fn answer(&self, answer: Answer) {
        *self.seen.answer.lock().unwrap() = Some(answer);
    }

    /// Answers all callers that were kept waiting, each with its own number.
    pub async fn release(&self) {
        let held = std::mem::take(&mut *self.seen.held.lock().unwrap());
        for (number, caller) in held {
            caller.reply(Ok(Encoded { kind: KIND, body: &body(number, 8) })).await;
        }
    }

    /// Waits until no caller that is kept waiting waits any more, at most for `bound`. There is no event for that, so it asks
    /// now and then.
    pub async fn until_given_up(&self, bound: Duration) {
        let deadline = Instant::now() + bound;
        while self.seen.held.lock().unwrap().iter().any(|(_, caller)| caller.is_waiting()) {
            assert!(Instant::now() < deadline, "{}: a caller that gave up is no longer waiting", self.who);
            tokio::time::sleep(ASK).await;
        }
    }

    /// Waits until a message of that number lies unhandled in its hands, and with it all that was sent before it (C2).
    pub async fn until_hoarded(&self, from: &NodeName, number: u64) {
        let has = || self.seen.hoarded.lock().unwrap().iter().any(|one| one.number == number && one.from == *from);
        let wait = self.seen.until(|| has().then_some(()));
        if timeout(self.timing.patience(), wait).await.is_err() {
            panic!("{}: expected message {number} of {from} to come in, unhandled", self.who);
        }
    }

    /// Waits until the caller of the hoarded request of that number has given up, as far as this node knows, at most for
    /// `bound`. There is no event for that, so it asks now and then.
    pub async fn until_hoarded_given_up(&self, bound: Duration, number: u64) {
        let awaited = |one: &Hoarded| one.number == number && one.is_awaited();
        let deadline = Instant::now() + bound;
        while self.seen.hoarded.lock().unwrap().iter().any(awaited) {
            assert!(Instant::now() < deadline, "{}: the caller of {number} has given up, and nobody knows", self.who);
            tokio::time::sleep(ASK).await;
        }
    }

    /// Ends the server as a crash does: its inbox is dropped, with all that is in it.
    pub async fn crash(mut self) -> Vec<Record> {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
        self.seen.held.lock().unwrap().clear();
        self.records()
    }

    /// All that it has seen so far.
    pub fn records(&self) -> Vec<Record> {
        self.seen.records.lock().unwrap().clone()
    }

    /// The numbers that it has seen so far of one name.
    pub fn numbers(&self, from: &NodeName) -> Vec<u64> {
        super::numbers(&self.seen.records.lock().unwrap(), from)
    }

    /// Waits until what it has seen satisfies `done`, and returns it.
    ///
    /// # Panics
    /// After the harness's patience, with `what` was awaited.
    pub async fn until(&self, what: &str, done: impl Fn(&[Record]) -> bool) -> Vec<Record> {
        self.until_within(self.timing.patience(), what, done).await
    }

    /// As [`until`](Self::until), for at most `bound`.
    pub async fn until_within(&self, bound: Duration, what: &str, done: impl Fn(&[Record]) -> bool) -> Vec<Record> {
        let wait = self.seen.until(|| {
            let records = self.seen.records.lock().unwrap();
            done(&records).then(|| records.clone())
        });
        match timeout(bound, wait).await {
            Ok(records) => records,
            Err(_) => panic!("{}: expected {what} within {bound:?}; seen {}", self.who, Tail(&self.records())),
        }
    }

    /// Whether what it has seen satisfies `done`, within `bound`.
    pub async fn saw_within(&self, bound: Duration, done: impl Fn(&[Record]) -> bool) -> bool {
        timeout(bound, self.seen.until(|| done(&self.seen.records.lock().unwrap()).then_some(()))).await.is_ok()
    }

    /// Waits until a message of that number has come from `from`, and returns the numbers of `from` so far.
    pub async fn until_number(&self, from: &NodeName, number: u64) -> Vec<u64> {
        let what = format!("message {number} of {from}");
        let records = self.until(&what, |records| has(records, from, number)).await;
        super::numbers(&records, from)
    }
}

fn has(records: &[Record], from: &NodeName, number: u64) -> bool {
    let mut messages = records.iter().rev().filter_map(Record::message);
    messages.any(|message| message.number == number && message.from.name == *from)
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The last records, for the words of a failure.
struct Tail<'a>(&'a [Record]);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[self.0.len().saturating_sub(12)..];
        write!(f, "{} records, the last ones {shown:?}", self.0.len())
    }
}
