//! A server of the suite: records what it sees, in order, and lets a case wait for it.

use super::cluster::TestNode;
use super::{KIND, Message, Record, body};
use crate::harness::Timing;
use pingpong_core::inbox::{Caller, Dropped, Entry, Inbox, ServerOptions};
use pingpong_core::message::Encoded;
use pingpong_core::transport::RegisterError;
use pingpong_core::{CallFailure, NodeName, ServerName};
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
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
    /// Answers with this failure.
    Fail(CallFailure),
    /// Answers with that many bytes.
    Large(usize),
    /// Treats every message as one that does not decode.
    Undecodable,
}

#[derive(Default)]
struct Seen {
    records: Mutex<Vec<Record>>,
    changed: Notify,
    held: Mutex<Vec<(u64, Caller)>>,
    one: AtomicBool,
    answer: Mutex<Option<Answer>>,
}

impl Seen {
    fn record(&self, record: Record) {
        self.records.lock().unwrap().push(record);
        self.changed.notify_waiters();
    }
}

/// A server that records. Dropping it ends its task, and with it the registration.
pub struct Probe {
    seen: Arc<Seen>,
    gate: Arc<watch::Sender<bool>>,
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
        let (gate, open) = watch::channel(true);
        let gate = Arc::new(gate);
        let weak = Arc::downgrade(&gate);
        let task = Some(tokio::spawn(serve(inbox, Arc::clone(&seen), open, weak)));
        let who = format!("{name} on {}", node.place());
        Ok(Self { seen, gate, task, who, timing: node.timing() })
    }

    /// Stops reading: from now on no message is taken or handled.
    pub fn pause(&self) {
        self.gate.send_replace(false);
    }

    /// Reads on.
    pub fn resume(&self) {
        self.gate.send_replace(true);
    }

    /// Handles one message, and stops reading again.
    pub fn handle_one(&self) {
        self.seen.one.store(true, Ordering::Relaxed);
        self.resume();
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

    /// Waits until no caller that is kept waiting waits any more. There is no event for that, so it asks now and then.
    pub async fn until_given_up(&self) {
        let deadline = Instant::now() + self.timing.patience();
        while self.seen.held.lock().unwrap().iter().any(|(_, caller)| caller.is_waiting()) {
            assert!(Instant::now() < deadline, "{}: a caller that gave up is no longer waiting", self.who);
            tokio::time::sleep(Duration::from_millis(10)).await;
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
        let wait = async {
            loop {
                let mut changed = std::pin::pin!(self.seen.changed.notified());
                changed.as_mut().enable();
                {
                    let records = self.seen.records.lock().unwrap();
                    if done(&records) {
                        return records.clone();
                    }
                }
                changed.await;
            }
        };
        match timeout(bound, wait).await {
            Ok(records) => records,
            Err(_) => panic!("{}: expected {what} within {bound:?}; seen {}", self.who, Tail(&self.records())),
        }
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

async fn opened(gate: &mut watch::Receiver<bool>) -> bool {
    gate.wait_for(|open| *open).await.is_ok()
}

async fn serve(
    mut inbox: Box<dyn Inbox>,
    seen: Arc<Seen>,
    mut gate: watch::Receiver<bool>,
    own: Weak<watch::Sender<bool>>,
) {
    let mut entries = VecDeque::new();
    let mut closing = gate.clone();
    while opened(&mut gate).await {
        tokio::select! {
            biased;
            // It must be asked for entries again only when it is open again.
            closed = closing.wait_for(|open| !*open) => match closed {
                Ok(_) => continue,
                Err(_) => return,
            },
            taken = inbox.take(&mut entries) => if let Err(closed) = taken {
                seen.record(Record::Closed(closed));
                return;
            },
        }
        while let Some(entry) = entries.pop_front() {
            if !opened(&mut gate).await {
                return;
            }
            handle(entry, &seen, &mut gate, &own).await;
        }
    }
}

async fn handle(entry: Entry, seen: &Seen, gate: &mut watch::Receiver<bool>, own: &Weak<watch::Sender<bool>>) {
    let mut batch = match entry {
        Entry::Up(node) => return seen.record(Record::Up(node)),
        Entry::Down(node, reason) => return seen.record(Record::Down(node, reason)),
        Entry::Messages(batch) => batch,
    };
    while opened(gate).await {
        let from = batch.from().clone();
        let Some(delivery) = batch.next() else { return };
        let message = Message::read(&from, delivery.kind, delivery.body);
        let number = message.number;
        let caller = delivery.caller;
        if let (true, Some(own)) = (seen.one.swap(false, Ordering::Relaxed), own.upgrade()) {
            own.send_replace(false);
        }
        let answer = seen.answer.lock().unwrap().clone();
        if answer == Some(Answer::Undecodable) {
            batch.origin().count(Dropped::NotDecodable, 1);
        }
        let record = if caller.is_some() { Record::Call(message) } else { Record::Cast(message) };
        let caller = match (caller, &answer) {
            // Before it is recorded: whoever waited for the record may release it at once.
            (Some(caller), Some(Answer::Hold)) => {
                seen.held.lock().unwrap().push((number, caller));
                None
            }
            (caller, _) => caller,
        };
        seen.record(record);
        let Some(caller) = caller else { continue };
        match answer {
            Some(Answer::Drop) => drop(caller),
            Some(Answer::Fail(failure)) => caller.reply(Err(failure)).await,
            Some(Answer::Undecodable) => caller.reply(Err(CallFailure::NotDecodable)).await,
            Some(Answer::Large(size)) => caller.reply(Ok(Encoded { kind: KIND, body: &body(number, size) })).await,
            Some(Answer::Echo | Answer::Hold) | None => {
                caller.reply(Ok(Encoded { kind: KIND, body: &body(number, 8) })).await;
            }
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
