//! An outgoing lane: encoded frames for one destination server, one copy shared by all links.
//!
//! Senders append to an open block under a short lock. Each link reads through a cursor of its own; the local node is one
//! more cursor, so its servers see the same bytes in the same order. A seal turns the open block into [`Bytes`] that every
//! cursor holds by reference count.
//!
//! Invariants:
//! - what lies behind the fullest cursor, with the open block, is at most the bound, or a single message (O1);
//! - a frame enters for all of its targets or for none, unless the sender asked for [`WhenFull::Skip`];
//! - the open block is not empty only while some cursor's reader has been woken since: no wake-up is lost;
//! - waiting senders are served in order; one passes another only if they share no target;
//! - a frame above a block has a buffer of its own, and a share of the node's budget for large messages while that lives.

mod cursor;
#[cfg(test)]
mod tests;
mod waiting;

use super::large::LargeBudget;
use super::roster::{Member, Roster};
use crate::config::{BLOCK, LEAST_BLOCK, OVERFLOW, WAITING_ROOM};
use crate::node::Node;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::transport::WhenFull;
pub(super) use cursor::Taken;

use bytes::{Bytes, BytesMut};
use cursor::{Cursor, SEGMENT};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::Semaphore;
use waiting::Waiting;

/// For whom a frame is.
#[derive(Clone, Copy)]
pub(super) enum To<'a> {
    /// For every cursor of the lane.
    All,
    /// For the cursors of these members, and no others that may have come since.
    Roster(&'a Arc<Roster>),
    /// For the cursors of these sessions; sorted.
    Keys(&'a [u64]),
}

impl To<'_> {
    fn has(self, key: u64) -> bool {
        match self {
            Self::All => true,
            Self::Roster(roster) => roster.has(key),
            Self::Keys(keys) => keys.binary_search(&key).is_ok(),
        }
    }
}

/// Why a frame did not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No room.
    Full,
    /// The node shuts down.
    Closed,
}

/// Which sessions have a frame.
#[derive(Clone, Debug)]
pub(super) enum Entered {
    /// Every member of the roster.
    All(Arc<Roster>),
    /// These sessions, sorted.
    Some(Arc<Roster>, Vec<u64>),
}

impl Entered {
    /// Who was linked when the frame entered.
    pub(super) fn roster(&self) -> &Roster {
        match self {
            Self::All(roster) | Self::Some(roster, _) => roster,
        }
    }

    /// Whether the session of that key has the frame.
    pub(super) fn has(&self, key: u64) -> bool {
        match self {
            Self::All(roster) => roster.has(key),
            Self::Some(_, keys) => keys.binary_search(&key).is_ok(),
        }
    }
}

pub(super) struct Lane {
    inner: Mutex<Inner>,
    bound: usize,
    /// It keeps no block while it is empty.
    quiet: bool,
    /// Bytes of the frames whose senders wait; who gets no place waits here, in order.
    places: Semaphore,
    large: LargeBudget,
}

struct Inner {
    open: BytesMut,
    /// Bytes of the next block. A lane that says little keeps little: each link has lanes of its own for control and replies.
    block: usize,
    cursors: Vec<Option<Cursor>>,
    roster: Arc<Roster>,
    fullest: usize,
    parked: usize,
    waiting: VecDeque<Waiting>,
    next_waiting: u64,
    closed: bool,
}

impl Inner {
    fn seal(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let block = self.open.split().freeze();
        for cursor in self.cursors.iter_mut().flatten() {
            cursor.push(block.clone());
            self.fullest = self.fullest.max(cursor.cost);
        }
    }

    fn measure(&mut self) {
        self.fullest = self.cursors.iter().flatten().map(|c| c.cost).max().unwrap_or(0);
    }

    /// Returns how many readers must be woken: one for the first byte of a block, since whoever seals it wakes the others; all
    /// if a full block was sealed here.
    fn append(&mut self, parts: [&[u8]; 2]) -> usize {
        let need = parts[0].len() + parts[1].len();
        let first = self.open.is_empty();
        let full = self.open.capacity() - self.open.len() < need;
        if full {
            self.seal();
            self.open = BytesMut::with_capacity(need.max(self.block));
            self.block = (2 * self.block).min(BLOCK);
        }
        self.open.extend_from_slice(parts[0]);
        self.open.extend_from_slice(parts[1]);
        if full && !first { usize::MAX } else { usize::from(first) }
    }

    /// Puts a frame into the queues of some cursors, behind everything that entered before. The keys are sorted; returns those
    /// that are here.
    fn push_to(&mut self, keys: &[u64], frame: &Bytes) -> Vec<u64> {
        self.seal();
        let mut entered = Vec::with_capacity(keys.len());
        for cursor in self.cursors.iter_mut().flatten().filter(|c| keys.binary_search(&c.key).is_ok()) {
            cursor.push(frame.clone());
            self.fullest = self.fullest.max(cursor.cost);
            entered.push(cursor.key);
        }
        entered.sort_unstable();
        entered
    }

    /// Whether the frame is for every cursor that there is.
    fn is_everyone(&self, to: To<'_>) -> bool {
        match to {
            To::All => true,
            To::Roster(roster) => Arc::ptr_eq(roster, &self.roster),
            To::Keys(_) => false,
        }
    }

    fn wakers(&mut self, most: usize) -> Vec<Waker> {
        if self.parked == 0 {
            return Vec::new();
        }
        let parked = self.cursors.iter_mut().flatten().filter_map(|c| c.waker.take()).take(most);
        let wakers: Vec<Waker> = parked.collect();
        self.parked -= wakers.len();
        wakers
    }
}

impl Lane {
    pub(super) fn new(bound: usize, large: LargeBudget) -> Arc<Self> {
        Self::with(bound, large, false)
    }

    /// One that says a few words and is silent then, as a control lane does: there is one for each link.
    pub(super) fn quiet(bound: usize, large: LargeBudget) -> Arc<Self> {
        Self::with(bound, large, true)
    }

    fn with(bound: usize, large: LargeBudget, quiet: bool) -> Arc<Self> {
        let inner = Inner {
            open: BytesMut::new(),
            block: LEAST_BLOCK,
            cursors: Vec::new(),
            roster: Arc::default(),
            fullest: 0,
            parked: 0,
            waiting: VecDeque::new(),
            next_waiting: 0,
            closed: false,
        };
        Arc::new(Self { inner: Mutex::new(inner), bound, quiet, places: Semaphore::new(WAITING_ROOM * bound), large })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on the session gets what is sent; nothing from before.
    pub(super) fn join(&self, member: Member) {
        let mut inner = self.lock();
        inner.seal();
        let cursor = Cursor::new(member.key);
        if inner.cursors.len() <= member.slot {
            inner.cursors.resize_with(member.slot + 1, || None);
        }
        inner.cursors[member.slot] = Some(cursor);
        inner.roster = Arc::new(inner.roster.with(member));
        let wakers = inner.wakers(usize::MAX);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The session has ended: what was queued for it is gone.
    pub(super) fn leave(&self, slot: usize, key: u64) {
        let mut inner = self.lock();
        let is_its = |c: &Option<Cursor>| c.as_ref().is_some_and(|c| c.key == key);
        let Some(place) = inner.cursors.get_mut(slot).filter(|c| is_its(c)) else { return };
        let cursor = place.take();
        let waker = cursor.and_then(|c| c.waker);
        inner.parked -= usize::from(waker.is_some());
        inner.roster = Arc::new(inner.roster.without(key));
        inner.measure();
        self.admit(&mut inner);
        // The one that left may be the one that was woken for the open block: wake another.
        let mut wakers = inner.wakers(usize::MAX);
        wakers.extend(waker);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Nothing enters any more; what is queued is still read. Waiting senders are refused.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.waiting.drain(..).for_each(Waiting::refuse);
        inner.cursors.iter_mut().flatten().for_each(|cursor| cursor.awaited = 0);
        let wakers = inner.wakers(usize::MAX);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The local node goes on under another incarnation (N12).
    pub(super) fn renew(&self, local: &Node) {
        let mut inner = self.lock();
        inner.roster = Arc::new(inner.roster.renewed(local));
    }

    /// Who is linked now.
    pub(super) fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.lock().roster)
    }

    /// Bytes that wait for that session.
    pub(super) fn queued(&self, slot: usize, key: u64) -> usize {
        let inner = self.lock();
        let cursor = inner.cursors.get(slot).and_then(Option::as_ref).filter(|cursor| cursor.key == key);
        cursor.map_or(0, |cursor| cursor.cost + inner.open.len())
    }

    fn fits(&self, used: usize, need: usize) -> bool {
        used == 0 || used + need <= self.bound
    }

    /// Also for those who wait: they were first.
    fn all_have_room(&self, inner: &Inner, length: usize) -> bool {
        inner.waiting.is_empty() && self.fits(inner.fullest + inner.open.len(), length)
    }

    /// Lets a frame in without waiting.
    ///
    /// With [`WhenFull::Refuse`] it enters for all that are there or for none.
    pub(super) fn try_send(&self, to: To<'_>, head: &[u8], body: &[u8], full: WhenFull) -> Result<Entered, Refusal> {
        if head.len() + body.len() > BLOCK {
            return self.try_send_large(to, head, body, full);
        }
        let inner = self.open_inner()?;
        if inner.is_everyone(to) && self.all_have_room(&inner, head.len() + body.len()) {
            let entered = Entered::All(Arc::clone(&inner.roster));
            Self::append(inner, head, body);
            return Ok(entered);
        }
        self.try_some(inner, to, &|| [head, body].concat().into(), head.len() + body.len(), full)
    }

    /// Lets a small frame in for everyone, if there is room at once and nobody waits; who that is. `None`: another way may be found.
    pub(super) fn try_send_all(&self, head: &[u8], body: &[u8]) -> Result<Option<Arc<[Node]>>, Refusal> {
        let length = head.len() + body.len();
        if length > BLOCK {
            return Ok(None);
        }
        let inner = self.open_inner()?;
        if !self.all_have_room(&inner, length) {
            return Ok(None);
        }
        let everyone = Arc::clone(inner.roster.nodes());
        Self::append(inner, head, body);
        Ok(Some(everyone))
    }

    /// Lets a small frame in for everyone although there may be no room: for the few that must not wait, up to a multiple of
    /// the bound.
    pub(super) fn send_over(&self, head: &[u8], body: &[u8]) -> Result<Entered, Refusal> {
        let inner = self.open_inner()?;
        if inner.fullest + inner.open.len() + head.len() + body.len() > OVERFLOW * self.bound {
            return Err(Refusal::Full);
        }
        let entered = Entered::All(Arc::clone(&inner.roster));
        Self::append(inner, head, body);
        Ok(entered)
    }

    /// A large frame travels in a buffer of its own, which holds its share of the node's budget wherever it is (O1).
    fn try_send_large(&self, to: To<'_>, head: &[u8], body: &[u8], full: WhenFull) -> Result<Entered, Refusal> {
        match self.large.try_share(head.len() + body.len()) {
            Some(share) => {
                let frame = share.keep([head, body].concat());
                let inner = self.open_inner()?;
                self.try_some(inner, to, &|| frame.clone(), frame.len(), full)
            }
            None if full == WhenFull::Skip => {
                let inner = self.open_inner()?;
                Ok(Entered::Some(Arc::clone(&inner.roster), Vec::new()))
            }
            None => Err(Refusal::Full),
        }
    }

    fn open_inner(&self) -> Result<MutexGuard<'_, Inner>, Refusal> {
        let inner = self.lock();
        if inner.closed { Err(Refusal::Closed) } else { Ok(inner) }
    }

    fn append(mut inner: MutexGuard<'_, Inner>, head: &[u8], body: &[u8]) {
        let wake = inner.append([head, body]);
        let wakers = inner.wakers(wake);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn try_some(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        to: To<'_>,
        frame: &dyn Fn() -> Bytes,
        length: usize,
        full: WhenFull,
    ) -> Result<Entered, Refusal> {
        let need = length + SEGMENT;
        let open = inner.open.len();
        // What somebody waits for is theirs first.
        let fits = |c: &Cursor| c.awaited == 0 && self.fits(c.cost + open, need);
        let (mut total, mut free) = (0, Vec::new());
        for cursor in inner.cursors.iter().flatten().filter(|c| to.has(c.key)) {
            total += 1;
            if fits(cursor) {
                free.push(cursor.key);
            }
        }
        if full == WhenFull::Refuse && free.len() < total {
            return Err(Refusal::Full);
        }
        free.sort_unstable();
        if !free.is_empty() {
            inner.push_to(&free, &frame());
        }
        let roster = Arc::clone(&inner.roster);
        let wakers = inner.wakers(usize::MAX);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        Ok(Entered::Some(roster, free))
    }

    /// The reader's side: gives the room of the last batch back, and takes the next one, about `max` bytes.
    ///
    /// `None` when the session has left, or the lane is closed and everything has been read. Cancel safe but for `done`, which
    /// is given back at the first poll.
    pub(super) async fn take(&self, slot: usize, key: u64, done: usize, max: usize) -> Option<Taken> {
        let mut done = done;
        std::future::poll_fn(|cx| self.poll_take(slot, key, std::mem::take(&mut done), max, cx)).await
    }

    fn poll_take(&self, slot: usize, key: u64, done: usize, max: usize, cx: &mut Context<'_>) -> Poll<Option<Taken>> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(cursor) = inner.cursors.get_mut(slot).and_then(Option::as_mut).filter(|c| c.key == key) else {
            return Poll::Ready(None);
        };
        // What the other readers must be woken for: a seal, or waiting senders that were let in, since this reader may now
        // wait long for its network.
        let mut news = false;
        if done > 0 {
            let before = cursor.cost;
            cursor.cost -= done;
            if before >= inner.fullest {
                inner.measure();
            }
            news = self.admit(inner);
        }
        let empty = |inner: &Inner| inner.cursors[slot].as_ref().is_none_or(|c| c.queue.is_empty());
        if empty(inner) && !inner.open.is_empty() {
            inner.seal();
            news = true;
        }
        if news {
            inner.wakers(usize::MAX).into_iter().for_each(Waker::wake);
        }
        let Some(cursor) = inner.cursors[slot].as_mut() else { return Poll::Ready(None) };
        match Taken::from(cursor, max) {
            Some(taken) => Poll::Ready(Some(taken)),
            None if inner.closed => Poll::Ready(None),
            None => {
                if self.quiet {
                    (inner.open, inner.block) = (BytesMut::new(), LEAST_BLOCK);
                }
                inner.parked += usize::from(cursor.waker.replace(cx.waker().clone()).is_none());
                Poll::Pending
            }
        }
    }
}
