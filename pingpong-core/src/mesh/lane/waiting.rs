//! Senders that wait for room in a lane, in order.

use super::cursor::{Cursor, SEGMENT};
use super::{BLOCK, Entered, Inner, Lane, Refusal, To};
use crate::mesh::roster::Roster;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::{SemaphorePermit, oneshot};

/// A frame whose sender waits. The reader that makes room lets it in itself, so that no sender has to be scheduled for it.
pub(super) struct Waiting {
    number: u64,
    frame: Bytes,
    /// For whom, sorted.
    keys: Vec<u64>,
    /// Whether that was everyone who was there.
    roster: Option<Arc<Roster>>,
    done: oneshot::Sender<Result<Entered, Refusal>>,
}

impl Waiting {
    pub(super) fn refuse(self) {
        let _ = self.done.send(Err(Refusal::Closed));
    }
}

impl Inner {
    /// Counts the waiting sender in, or out, at its targets.
    fn await_at(&mut self, keys: &[u64], change: fn(usize) -> usize) {
        for cursor in self.cursors.iter_mut().flatten().filter(|c| keys.binary_search(&c.key).is_ok()) {
            cursor.awaited = change(cursor.awaited);
        }
    }

    fn remove_waiting(&mut self, at: usize) -> Option<Waiting> {
        let waiting = self.waiting.remove(at)?;
        self.await_at(&waiting.keys, |n| n.saturating_sub(1));
        Some(waiting)
    }
}

impl Lane {
    /// Lets a frame in for these sessions, and waits for room. Those that end meanwhile are no longer waited for.
    ///
    /// Cancel safe: dropped before it is ready, the frame has entered for all or for none.
    pub(in crate::mesh) async fn send(&self, to: To<'_>, head: &[u8], body: &[u8]) -> Result<Entered, Refusal> {
        self.queue(to, head, body).await?.entered().await
    }

    /// Takes a place among the waiting senders. Cancel safe: dropped before it is ready, nothing has entered.
    pub(in crate::mesh) async fn queue(&self, to: To<'_>, head: &[u8], body: &[u8]) -> Result<Ticket<'_>, Refusal> {
        let length = head.len() + body.len();
        let large = length > BLOCK;
        let cost = if large { SEGMENT } else { (length + SEGMENT).min(self.bound) };
        // The semaphores are never closed, so a place always comes.
        let place = self.places.acquire_many(u32::try_from(cost).unwrap_or(u32::MAX)).await;
        let Ok(place) = place else { return Err(Refusal::Closed) };
        let frame = if large {
            self.large.share(length).await.keep([head, body].concat())
        } else {
            [head, body].concat().into()
        };
        let mut inner = self.lock();
        if inner.closed {
            return Err(Refusal::Closed);
        }
        let (done, answer) = oneshot::channel();
        let number = inner.next_waiting;
        inner.next_waiting += 1;
        let (mut keys, roster) = match to {
            To::All => (inner.roster.keys(), Some(Arc::clone(&inner.roster))),
            To::Roster(roster) => (roster.keys(), Some(Arc::clone(roster))),
            To::Keys(keys) => (keys.to_vec(), None),
        };
        keys.sort_unstable();
        inner.await_at(&keys, |n| n + 1);
        inner.waiting.push_back(Waiting { number, frame, keys, roster, done });
        self.admit(&mut inner);
        let wakers = inner.wakers(usize::MAX);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        Ok(Ticket { lane: self, number, answer, _place: place })
    }

    /// Lets waiting senders in, in order, while there is room. Returns whether any frame entered.
    pub(super) fn admit(&self, inner: &mut Inner) -> bool {
        let mut entered = false;
        let mut held: BTreeSet<u64> = BTreeSet::new();
        let mut at = 0;
        while at < inner.waiting.len() && held.len() < inner.cursors.len() {
            let waiting = &inner.waiting[at];
            let need = waiting.frame.len() + SEGMENT;
            let open = inner.open.len();
            let fits = |c: &Cursor| !held.contains(&c.key) && self.fits(c.cost + open, need);
            let mut targets = inner.cursors.iter().flatten().filter(|c| waiting.keys.binary_search(&c.key).is_ok());
            if !targets.all(fits) {
                held.extend(&waiting.keys);
                at += 1;
                continue;
            }
            let Some(waiting) = inner.remove_waiting(at) else { break };
            if waiting.done.is_closed() {
                continue; // given up
            }
            let everyone = waiting.roster.as_ref().is_some_and(|roster| Arc::ptr_eq(roster, &inner.roster));
            let done = if everyone && waiting.frame.len() <= BLOCK {
                inner.append([&waiting.frame, &[]]);
                Entered::All(Arc::clone(&inner.roster))
            } else {
                let keys = inner.push_to(&waiting.keys, &waiting.frame);
                Entered::Some(Arc::clone(&inner.roster), keys)
            };
            entered = true;
            let _ = waiting.done.send(Ok(done));
        }
        entered
    }
}

/// A place in the queue of waiting senders; given up when dropped.
pub(in crate::mesh) struct Ticket<'a> {
    lane: &'a Lane,
    number: u64,
    answer: oneshot::Receiver<Result<Entered, Refusal>>,
    _place: SemaphorePermit<'a>,
}

impl Ticket<'_> {
    /// Waits until the frame has entered. Cancel safe.
    pub(in crate::mesh) async fn entered(&mut self) -> Result<Entered, Refusal> {
        (&mut self.answer).await.unwrap_or(Err(Refusal::Closed))
    }

    /// Gives the place up. `Some`: too late, the frame has entered.
    pub(in crate::mesh) fn withdraw(mut self) -> Option<Entered> {
        self.leave();
        self.answer.try_recv().ok().and_then(Result::ok)
    }

    fn leave(&self) {
        let mut inner = self.lane.lock();
        let Some(at) = inner.waiting.iter().position(|w| w.number == self.number) else { return };
        inner.remove_waiting(at);
        // Those behind may have waited for this one alone.
        self.lane.admit(&mut inner);
        let wakers = inner.wakers(usize::MAX);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
