//! Senders that wait for room in a lane, in order.

use super::cursor::SEGMENT;
use super::{Entered, Inner, Lane, Refusal};
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::{SemaphorePermit, oneshot};

/// A frame whose sender waits. The reader that makes room lets it in itself, so that no sender has to be scheduled for it.
pub(super) struct Waiting {
    pub(super) number: u64,
    pub(super) frame: Vec<u8>,
    pub(super) keys: Vec<u64>,
    pub(super) done: oneshot::Sender<Result<Entered, Refusal>>,
}

impl Lane {
    /// Lets a frame in for these sessions, and waits for room. Those that end meanwhile are no longer waited for.
    ///
    /// Cancel safe: dropped before it is ready, the frame has entered for all or for none.
    pub(in crate::mesh) async fn send(&self, keys: Vec<u64>, head: &[u8], body: &[u8]) -> Result<Entered, Refusal> {
        self.queue(keys, head, body).await?.entered().await
    }

    /// Takes a place among the waiting senders. Cancel safe: dropped before it is ready, nothing has entered.
    pub(in crate::mesh) async fn queue(&self, keys: Vec<u64>, head: &[u8], body: &[u8]) -> Result<Ticket<'_>, Refusal> {
        // The semaphore is never closed, so a place always comes.
        let Ok(place) = self.places.acquire().await else { return Err(Refusal::Closed) };
        let mut inner = self.lock();
        if inner.closed {
            return Err(Refusal::Closed);
        }
        let (done, answer) = oneshot::channel();
        let number = inner.next_waiting;
        inner.next_waiting += 1;
        inner.waiting.push_back(Waiting { number, frame: [head, body].concat(), keys, done });
        self.admit(&mut inner);
        let wakers = inner.wakers(usize::MAX);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        Ok(Ticket { lane: self, number, answer, _place: place })
    }

    /// Lets waiting senders in, in order, while there is room. The reader that made room does this itself, so that no sender
    /// has to be scheduled for it. Returns whether any frame entered.
    pub(super) fn admit(&self, inner: &mut Inner) -> bool {
        let mut entered = false;
        let mut held: Vec<u64> = Vec::new();
        let mut at = 0;
        while at < inner.waiting.len() {
            let waiting = &inner.waiting[at];
            let need = waiting.frame.len() + SEGMENT;
            let open = inner.open.len();
            let behind = waiting.keys.iter().any(|k| held.contains(k));
            let mut targets = inner.cursors.iter().flatten().filter(|c| waiting.keys.contains(&c.key));
            if behind || !targets.all(|c| self.fits(c.cost + open, need)) {
                held.extend(&waiting.keys);
                if held.len() >= inner.cursors.len() {
                    break;
                }
                at += 1;
                continue;
            }
            let Some(waiting) = inner.waiting.remove(at) else { break };
            if waiting.done.is_closed() {
                continue; // given up
            }
            let all = inner.roster.is(&waiting.keys);
            let done = if all {
                inner.append([&waiting.frame, &[]]);
                Entered::All(Arc::clone(&inner.roster))
            } else {
                let keys = inner.push_to(&waiting.keys, [&waiting.frame, &[]]);
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
        inner.waiting.remove(at);
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
