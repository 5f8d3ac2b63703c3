//! The task of a probe.

use super::{Answer, KIND, Record, body};
use crate::toolkit::records::{Message, number_of};
use pingpong_core::NodeName;
use pingpong_core::inbox::{Batch, CallTag, Caller, Entry, Inbox, Origin};
use pingpong_core::message::Encoded;
use pingpong_core::wire::Frame;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// What a probe does with its inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Takes and handles.
    Reads,
    /// Takes, and handles nothing.
    Hoards,
    /// Takes nothing.
    Stands,
}

/// What the task and the probe's owner share.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) records: Mutex<Vec<Record>>,
    pub(super) hoarded: Mutex<Vec<Hoarded>>,
    pub(super) held: Mutex<Vec<(u64, Caller)>>,
    pub(super) one: AtomicBool,
    pub(super) answer: Mutex<Option<Answer>>,
    changed: Notify,
}

impl Seen {
    fn record(&self, record: Record) {
        self.records.lock().unwrap().push(record);
        self.changed.notify_waiters();
    }

    /// Waits until `look`, asked after each change, finds something.
    pub(super) async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    }
}

/// A message in the server's hands that was not handled when it was taken.
pub(super) struct Hoarded {
    pub(super) from: NodeName,
    pub(super) number: u64,
    origin: Arc<dyn Origin>,
    call: Option<CallTag>,
    taken: Instant,
}

impl Hoarded {
    /// Whether its caller still waits, as the server would be told (R5).
    pub(super) fn is_awaited(&self) -> bool {
        self.call.is_some_and(|call| self.origin.awaits(call, self.taken))
    }
}

pub(super) async fn serve(
    mut inbox: Box<dyn Inbox>,
    seen: Arc<Seen>,
    mode: watch::Receiver<Mode>,
    own: Weak<watch::Sender<Mode>>,
) {
    let mut changing = mode.clone();
    let is = |wanted: Mode| *mode.borrow() == wanted;
    let mut entries = VecDeque::new();
    loop {
        while is(Mode::Reads) {
            let Some(entry) = entries.pop_front() else { break };
            handle(entry, &mut entries, &seen, &own).await;
            // A probe that always has something to do must let the others run.
            tokio::task::coop::consume_budget().await;
        }
        if changing.wait_for(|mode| *mode != Mode::Stands).await.is_err() {
            return;
        }
        let now = *mode.borrow();
        if now == Mode::Stands || (now == Mode::Reads && !entries.is_empty()) {
            continue;
        }
        let mut fresh = VecDeque::new();
        tokio::select! {
            biased;
            // It must be asked for entries only as long as it takes them.
            changed = changing.wait_for(|mode| *mode != now) => match changed {
                Ok(_) => continue,
                Err(_) => return,
            },
            taken = inbox.take(&mut fresh) => if let Err(closed) = taken {
                seen.record(Record::Closed(closed));
                return;
            },
        }
        if now == Mode::Hoards {
            hoard(&fresh, &seen);
        }
        entries.append(&mut fresh);
    }
}

fn hoard(fresh: &VecDeque<Entry>, seen: &Seen) {
    let batches = fresh.iter().filter_map(|entry| match entry {
        Entry::Messages(batch) => Some(batch),
        _ => None,
    });
    let mut hoarded = seen.hoarded.lock().unwrap();
    for batch in batches {
        let mut offset = 0;
        while let Some((frame, end)) = Frame::at(batch.frames(), offset) {
            offset = end;
            hoarded.push(Hoarded {
                from: batch.from().name.clone(),
                number: number_of(frame.body()),
                origin: Arc::clone(batch.origin()),
                call: frame.call(),
                taken: Instant::now(),
            });
        }
    }
    drop(hoarded);
    seen.changed.notify_waiters();
}

/// Handles an entry, or one message of it; the rest goes back to the front.
async fn handle(entry: Entry, entries: &mut VecDeque<Entry>, seen: &Seen, own: &Weak<watch::Sender<Mode>>) {
    match entry {
        Entry::Up(node) => seen.record(Record::Up(node)),
        Entry::Down(node, reason) => seen.record(Record::Down(node, reason)),
        Entry::Messages(mut batch) => {
            if handle_next(&mut batch, seen, own).await {
                entries.push_front(Entry::Messages(batch));
            }
        }
    }
}

/// Handles the next message of a batch. `false`: there is none.
async fn handle_next(batch: &mut Batch, seen: &Seen, own: &Weak<watch::Sender<Mode>>) -> bool {
    let from = batch.from().clone();
    let Some(delivery) = batch.next() else { return false };
    let alone = seen.one.swap(false, Ordering::Relaxed);
    handle_message(Message::read(&from, delivery.kind, delivery.body), delivery.caller, seen).await;
    if let (true, Some(own)) = (alone, own.upgrade()) {
        own.send_replace(Mode::Stands);
    }
    true
}

async fn handle_message(message: Message, caller: Option<Caller>, seen: &Seen) {
    let number = message.number;
    let Some(caller) = caller else {
        seen.record(Record::Cast(message));
        return;
    };
    let answer = seen.answer.lock().unwrap().clone();
    if answer == Some(Answer::Hold) {
        // Before it is recorded: whoever waited for the record may release it at once.
        seen.held.lock().unwrap().push((number, caller));
        seen.record(Record::Call(message));
        return;
    }
    seen.record(Record::Call(message));
    match answer {
        Some(Answer::Drop) => drop(caller),
        Some(Answer::Large(size)) => caller.reply(Ok(Encoded { kind: KIND, body: &body(number, size) })).await,
        _ => caller.reply(Ok(Encoded { kind: KIND, body: &body(number, 8) })).await,
    }
}
