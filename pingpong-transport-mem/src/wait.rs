//! Futures that wait for the network's state to change.
//!
//! All of them sit in one ordered map, which wakes them in the order of their seats and then of their arrival. A future that
//! is dropped leaves its seat, so a wait that never ends costs nothing once nobody is interested.

use crate::state::{EndId, ProcessId, Shared, State};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What a future waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seat {
    /// The next connection of a process.
    Accept(ProcessId),
    /// The outcome of a dial.
    Dial(u64),
    /// Something of one end of a connection.
    End(EndId, Topic),
}

/// What a future waits for at one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// That it ends. The first in order: see [`Waiting::take_end`].
    Closed,
    /// A lane that the peer opened.
    Lane,
    /// A datagram.
    Datagram,
    /// Room in a lane of this end.
    Send(u32),
    /// Bytes of a lane of the peer. The last in order.
    Recv(u32),
}

/// Everybody who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting(BTreeMap<(Seat, u64), Waker>);

impl Waiting {
    /// Whether nobody waits.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Seats a waker; returns the one it replaces, which is to be dropped outside the lock.
    fn park(&mut self, seat: Seat, ticket: u64, waker: &Waker) -> Option<Waker> {
        match self.0.get_mut(&(seat, ticket)) {
            Some(old) if old.will_wake(waker) => None,
            Some(old) => Some(std::mem::replace(old, waker.clone())),
            None => self.0.insert((seat, ticket), waker.clone()),
        }
    }

    /// Moves the wakers of a seat into `woken`.
    pub(crate) fn take(&mut self, seat: Seat, woken: &mut Vec<Waker>) {
        self.take_range(seat, seat, woken);
    }

    /// Moves the wakers of all seats of one end into `woken`.
    pub(crate) fn take_end(&mut self, end: EndId, woken: &mut Vec<Waker>) {
        self.take_range(Seat::End(end, Topic::Closed), Seat::End(end, Topic::Recv(u32::MAX)), woken);
    }

    fn take_range(&mut self, first: Seat, last: Seat, woken: &mut Vec<Waker>) {
        while let Some((&key, _)) = self.0.range((first, 0)..=(last, u64::MAX)).next() {
            woken.extend(self.0.remove(&key));
        }
    }
}

/// A future that is ready when `check` says so; asked again whenever its seat is woken. Cancel safe if `check` is pending
/// without a side effect.
pub(crate) struct Wait<'a, F> {
    shared: &'a Arc<Shared>,
    seat: Seat,
    ticket: Option<u64>,
    check: F,
}

impl<'a, F> Wait<'a, F> {
    pub(crate) fn new<T>(shared: &'a Arc<Shared>, seat: Seat, check: F) -> Self
    where
        F: FnMut(&mut State) -> Poll<T>,
    {
        Self { shared, seat, ticket: None, check }
    }
}

impl<T, F: FnMut(&mut State) -> Poll<T> + Unpin> Future for Wait<'_, F> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        let (polled, _replaced) = this.shared.with(|state| {
            let polled = (this.check)(state);
            if polled.is_ready() {
                return (polled, None);
            }
            let ticket = *this.ticket.get_or_insert_with(|| state.next_id());
            let replaced = state.waiting.park(this.seat, ticket, cx.waker());
            (polled, replaced)
        });
        polled
    }
}

impl<F> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let _left = self.shared.with(|state| state.waiting.0.remove(&(self.seat, ticket)));
        }
    }
}
