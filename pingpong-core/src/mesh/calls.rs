//! Calls in flight: who was asked, who has answered, and who is to be woken when all have.
//!
//! Invariants: an id holds a generation, so that a late reply never finds a later call (R4); each target gets at most one
//! outcome, and only from its own session (R2, M9); an entry lives as long as the future of its caller, so that the number of
//! entries is bounded by the permits; the small replies in all of them take at most `reply_bytes` (O1), large ones hold a share.

use super::counters::CounterCells;
use super::roster::Member;
use crate::node::Node;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::transport::{CallFailure, RawReply};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Waker};
use tokio::sync::Semaphore;

/// Up to here a reply is copied out of its batch, and counted here; above it, it holds a share of the budget for large ones.
pub(super) const SMALL_REPLY: usize = 64 << 10;

/// What became of a call at one target.
#[derive(Debug)]
pub(super) enum Outcome {
    Reply(RawReply),
    Failed(CallFailure),
    /// The session ended. Whether the request was sent, the caller knows.
    Down,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) node: Node,
    pub(super) key: u64,
    pub(super) outcome: Option<Outcome>,
}

struct Entry {
    generation: u32,
    targets: Vec<Target>,
    left: usize,
    /// Bytes of its small replies.
    held: usize,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Slab {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    generation: u32,
    /// Bytes of the small replies of all entries.
    held: usize,
}

pub(super) struct Calls {
    slab: Mutex<Slab>,
    pub(super) permits: Semaphore,
    reply_bytes: usize,
    counters: Arc<CounterCells>,
}

const fn id_of(generation: u32, index: u32) -> u64 {
    (generation as u64) << 32 | index as u64
}

impl Slab {
    fn get(&mut self, id: u64) -> Option<&mut Entry> {
        let entry = self.entries.get_mut((id & u64::from(u32::MAX)) as usize)?.as_mut()?;
        (u64::from(entry.generation) == id >> 32).then_some(entry)
    }

    /// A small reply for which there is no room is dropped, and its target fails: it must not hold up its lane, and so the server
    /// that answered.
    fn complete(&mut self, id: u64, key: u64, outcome: Outcome, most: usize) -> Result<Completed, Outcome> {
        let size = outcome.small_reply();
        let fits = self.held + size <= most;
        let Some(entry) = self.get(id) else { return Err(outcome) };
        if !fits {
            let outcome = Outcome::Failed(CallFailure::NoRoomForReply { size, limit: most });
            return Ok(Completed { waker: entry.complete(key, outcome)?, fits });
        }
        let waker = entry.complete(key, outcome)?;
        entry.held += size;
        self.held += size;
        Ok(Completed { waker, fits })
    }
}

impl Outcome {
    /// Bytes that count as long as the call is open.
    fn small_reply(&self) -> usize {
        match self {
            Self::Reply(reply) if reply.body.len() <= SMALL_REPLY => reply.body.len(),
            _ => 0,
        }
    }
}

/// An outcome was the target's first.
struct Completed {
    /// Who is to be woken, if it was the last one.
    waker: Option<Waker>,
    /// Whether there was room for it.
    fits: bool,
}

impl Entry {
    fn complete(&mut self, key: u64, outcome: Outcome) -> Result<Option<Waker>, Outcome> {
        let open = self.targets.iter_mut().find(|t| t.key == key && t.outcome.is_none());
        let Some(target) = open else { return Err(outcome) };
        target.outcome = Some(outcome);
        self.left -= 1;
        Ok(if self.left == 0 { self.waker.take() } else { None })
    }
}

impl Calls {
    pub(super) fn new(max_calls: usize, reply_bytes: usize, counters: Arc<CounterCells>) -> Arc<Self> {
        Arc::new(Self { slab: Mutex::default(), permits: Semaphore::new(max_calls), reply_bytes, counters })
    }

    fn lock(&self) -> MutexGuard<'_, Slab> {
        self.slab.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a call to these members. Whoever gets it closes it, however it ends.
    pub(super) fn open<'a>(self: &'a Arc<Self>, members: impl Iterator<Item = &'a Member>) -> OpenCall {
        let targets: Vec<Target> =
            members.map(|m| Target { node: m.node.clone(), key: m.key, outcome: None }).collect();
        let mut slab = self.lock();
        slab.generation = slab.generation.wrapping_add(1);
        let entry = Entry { generation: slab.generation, left: targets.len(), targets, held: 0, waker: None };
        let id = match slab.free.pop() {
            Some(index) => {
                let id = id_of(entry.generation, index);
                slab.entries[index as usize] = Some(entry);
                id
            }
            None => {
                let id = id_of(entry.generation, slab.entries.len() as u32);
                slab.entries.push(Some(entry));
                id
            }
        };
        OpenCall { calls: Arc::clone(self), id }
    }

    /// Whether the caller still waits.
    pub(super) fn is_open(&self, id: u64) -> bool {
        self.lock().get(id).is_some()
    }

    /// An outcome came in from the session of that key. A second one, or one of an ended call, is discarded (R4).
    pub(super) fn complete(&self, id: u64, key: u64, outcome: Outcome) {
        let done = self.lock().complete(id, key, outcome, self.reply_bytes);
        match done {
            Ok(Completed { waker, fits }) => {
                self.counters.replies_without_room.fetch_add(u64::from(!fits), Relaxed);
                waker.into_iter().for_each(Waker::wake);
            }
            Err(_) => {
                self.counters.late_replies.fetch_add(1, Relaxed);
            }
        }
    }

    /// The answer of that session was dropped, since others take all the room that there is (O1).
    pub(super) fn no_room(&self, id: u64, key: u64, size: usize, limit: usize) {
        self.counters.replies_without_room.fetch_add(1, Relaxed);
        self.complete(id, key, Outcome::Failed(CallFailure::NoRoomForReply { size, limit }));
    }

    /// The caller itself knows the outcome. Nothing happens if there is one already.
    pub(super) fn settle(&self, id: u64, key: u64, outcome: Outcome) {
        let done = self.lock().get(id).map(|entry| entry.complete(key, outcome));
        done.and_then(Result::ok).flatten().into_iter().for_each(Waker::wake);
    }

    /// A session ended: its targets in all calls fail (R3).
    pub(super) fn session_down(&self, key: u64) {
        let mut slab = self.lock();
        let wakers: Vec<Waker> =
            slab.entries.iter_mut().flatten().filter_map(|e| e.complete(key, Outcome::Down).ok().flatten()).collect();
        drop(slab);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The caller's hold on its call.
pub(super) struct OpenCall {
    calls: Arc<Calls>,
    pub(super) id: u64,
}

impl OpenCall {
    /// Waits until every target has an outcome. Cancel safe.
    pub(super) async fn done(&self) {
        std::future::poll_fn(|cx| match self.calls.lock().get(self.id) {
            Some(entry) if entry.left > 0 => {
                entry.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        })
        .await;
    }

    /// Ends the call; replies from now on are late. A second time there is nothing left.
    pub(super) fn close(&self) -> Vec<Target> {
        let mut slab = self.calls.lock();
        if slab.get(self.id).is_none() {
            return Vec::new();
        }
        let index = (self.id & u64::from(u32::MAX)) as u32;
        slab.free.push(index);
        let Some(entry) = slab.entries.get_mut(index as usize).and_then(Option::take) else { return Vec::new() };
        // From here on the replies are the caller's.
        slab.held -= entry.held;
        entry.targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::fixtures::member;
    use crate::message::MessageType;
    use bytes::Bytes;

    fn reply(byte: u8) -> Outcome {
        let kind = MessageType { id: 1, version: 0 };
        Outcome::Reply(RawReply { kind, body: Bytes::copy_from_slice(&[byte]) })
    }

    #[tokio::test]
    async fn each_target_has_one_outcome_and_it_is_its_own() {
        let counters = Arc::new(CounterCells::default());
        let calls = Calls::new(8, 100, Arc::clone(&counters));
        let (a, b) = (member("a", 1), member("b", 2));
        let call = calls.open([&a, &b].into_iter());
        calls.complete(call.id, 1, reply(1));
        calls.complete(call.id, 1, reply(2));
        calls.complete(call.id, 3, reply(3));
        calls.session_down(2);
        call.done().await;
        let targets = call.close();
        assert!(matches!(&targets[0].outcome, Some(Outcome::Reply(r)) if r.body[..] == [1]));
        assert!(matches!(targets[1].outcome, Some(Outcome::Down)));
        assert_eq!(counters.snapshot().late_replies, 2, "the second answer, and the stranger's");
    }

    #[tokio::test]
    async fn a_late_reply_does_not_find_the_call_that_has_its_place_now() {
        let counters = Arc::new(CounterCells::default());
        let calls = Calls::new(8, 100, Arc::clone(&counters));
        let a = member("a", 1);
        let first = calls.open([&a].into_iter());
        first.close();
        let second = calls.open([&a].into_iter());
        assert_ne!(first.id, second.id);
        calls.complete(first.id, 1, reply(1));
        assert!(second.close()[0].outcome.is_none());
        assert_eq!(counters.snapshot().late_replies, 1);
    }

    #[tokio::test]
    async fn small_replies_have_a_bound_together_and_large_ones_none_here() {
        let counters = Arc::new(CounterCells::default());
        let calls = Calls::new(8, 100, Arc::clone(&counters));
        let (a, b) = (member("a", 1), member("b", 2));
        let of = |bytes: usize| {
            let kind = MessageType { id: 1, version: 0 };
            Outcome::Reply(RawReply { kind, body: vec![0; bytes].into() })
        };
        let (first, second, third) =
            (calls.open([&a, &b].into_iter()), calls.open([&a, &b].into_iter()), calls.open([&a].into_iter()));
        calls.complete(first.id, 1, of(60));
        calls.complete(second.id, 1, of(41));
        calls.complete(second.id, 2, of(40));
        calls.complete(first.id, 1, of(60));
        calls.complete(third.id, 1, of(SMALL_REPLY + 1));
        second.done().await;
        third.done().await;
        let outcomes = second.close();
        let none = CallFailure::NoRoomForReply { size: 41, limit: 100 };
        assert!(matches!(&outcomes[0].outcome, Some(Outcome::Failed(why)) if *why == none), "{outcomes:?}");
        assert!(matches!(&outcomes[1].outcome, Some(Outcome::Reply(_))), "what fits still comes");
        assert!(matches!(&third.close()[0].outcome, Some(Outcome::Reply(_))), "it has its share elsewhere");
        let (counted, fourth) = (counters.snapshot(), calls.open([&a].into_iter()));
        assert_eq!((counted.replies_without_room, counted.late_replies), (1, 1));
        calls.complete(fourth.id, 1, of(40));
        assert!(matches!(&fourth.close()[0].outcome, Some(Outcome::Reply(_))), "the room came back");
        first.close();
        assert_eq!(calls.lock().held, 0);
    }
}
