//! Futures that wait for the network's state to change.
//!
//! Each has a seat: at one end of a connection, or for what a whole process waits for. Who sits at one place is woken in the
//! order of the seats and then of arrival. A future that is dropped leaves its seat, so a wait that never ends costs nothing
//! once nobody is interested.

use crate::state::{EndId, ProcessId, Shared, State};
use crate::sync::atomic::{AtomicU64, Ordering};
use smallvec::SmallVec;
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
    /// That it ends.
    Closed,
    /// A lane that the peer opened.
    Lane,
    /// A datagram.
    Datagram,
    /// Room in a lane of this end.
    Send(u32),
    /// Bytes of a lane of the peer.
    Recv(u32),
}

/// What one end says without the network's lock. It changes under the lock alone.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Packets that arrived here.
    packets: AtomicU64,
    /// How often somebody was woken, for each kind of topic.
    wakes: [AtomicU64; 5],
}

impl Marks {
    pub(crate) fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    pub(crate) fn heard(&self) {
        self.packets.fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, topic: Topic) -> &AtomicU64 {
        let kind = match topic {
            Topic::Closed => 0,
            Topic::Lane => 1,
            Topic::Datagram => 2,
            Topic::Send(_) => 3,
            Topic::Recv(_) => 4,
        };
        &self.wakes[kind]
    }
}

/// Who is woken by one change; mostly one, or one at either end.
pub(crate) type Woken = SmallVec<[Waker; 4]>;

/// Everybody who waits at one place, in the order in which they are woken.
#[derive(Debug)]
pub(crate) struct Waiting<T>(Vec<(T, u64, Waker)>);

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord + Copy> Waiting<T> {
    fn place(&self, topic: T, ticket: u64) -> Result<usize, usize> {
        self.0.binary_search_by_key(&(topic, ticket), |(topic, ticket, _)| (*topic, *ticket))
    }

    /// Seats a waker; returns the one it replaces, which is to be dropped outside the lock.
    fn park(&mut self, topic: T, ticket: u64, waker: &Waker) -> Option<Waker> {
        match self.place(topic, ticket) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].2, waker.clone())),
            Err(place) => {
                self.0.insert(place, (topic, ticket, waker.clone()));
                None
            }
        }
    }

    fn leave(&mut self, topic: T, ticket: u64) -> Option<Waker> {
        let place = self.place(topic, ticket).ok()?;
        Some(self.0.remove(place).2)
    }

    /// Moves the wakers of a seat into `woken`.
    fn take(&mut self, topic: T, woken: &mut Woken) {
        let first = self.0.partition_point(|(other, ..)| *other < topic);
        let count = self.0[first..].iter().take_while(|(other, ..)| *other == topic).count();
        woken.extend(self.0.drain(first..first + count).map(|(_, _, waker)| waker));
    }

    fn take_all(&mut self, woken: &mut Woken) {
        woken.extend(self.0.drain(..).map(|(_, _, waker)| waker));
    }
}

/// Everybody who does not wait at an end of a connection.
#[derive(Debug, Default)]
pub(crate) struct Lobby(BTreeMap<Seat, Waiting<()>>);

impl Lobby {
    /// Whether nobody waits.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl State {
    fn park(&mut self, seat: Seat, ticket: u64, waker: &Waker) -> Option<Waker> {
        match seat {
            Seat::End(end, topic) => self.end(end)?.waiting.park(topic, ticket, waker),
            Seat::Accept(_) | Seat::Dial(_) => self.lobby.0.entry(seat).or_default().park((), ticket, waker),
        }
    }

    fn leave_seat(&mut self, seat: Seat, ticket: u64) -> Option<Waker> {
        match seat {
            Seat::End(end, topic) => self.end(end)?.waiting.leave(topic, ticket),
            Seat::Accept(_) | Seat::Dial(_) => {
                let waiting = self.lobby.0.get_mut(&seat)?;
                let left = waiting.leave((), ticket);
                if waiting.0.is_empty() {
                    self.lobby.0.remove(&seat);
                }
                left
            }
        }
    }

    /// Wakes who waits there, when the lock is free again.
    pub(crate) fn wake(&mut self, seat: Seat) {
        match seat {
            Seat::End(id, topic) => {
                let Some(ends) = self.connections.get_mut(&id.connection) else { return };
                let end = ends.at(id.side);
                end.marks.of(topic).fetch_add(1, Ordering::Release);
                end.waiting.take(topic, &mut self.woken);
            }
            Seat::Accept(_) | Seat::Dial(_) => {
                if let Some(mut waiting) = self.lobby.0.remove(&seat) {
                    waiting.take_all(&mut self.woken);
                }
            }
        }
    }

    /// Wakes everybody at one end.
    pub(crate) fn wake_all(&mut self, id: EndId) {
        let Some(ends) = self.connections.get_mut(&id.connection) else { return };
        let end = ends.at(id.side);
        for wakes in &end.marks.wakes {
            wakes.fetch_add(1, Ordering::Release);
        }
        end.waiting.take_all(&mut self.woken);
    }
}

/// A future that is ready when `check` says so; asked again whenever its seat is woken. Cancel safe if `check` is pending
/// without a side effect.
///
/// A task that waits for several things is polled for all of them when one happens. At an end of a connection the others find out
/// by its marks that they were not meant, and leave the network's lock alone.
pub(crate) struct Wait<'a, F> {
    shared: &'a Arc<Shared>,
    seat: Seat,
    marks: Option<&'a Marks>,
    ticket: Option<u64>,
    /// With which waker it sits there, and how often those who wait for this had been woken.
    seated: Option<(Waker, u64)>,
    check: F,
}

impl<'a, F> Wait<'a, F> {
    pub(crate) fn new<T>(shared: &'a Arc<Shared>, seat: Seat, check: F) -> Self
    where
        F: FnMut(&mut State) -> Poll<T>,
    {
        Self { shared, seat, marks: None, ticket: None, seated: None, check }
    }

    /// At an end of a connection, whose marks these are.
    pub(crate) fn by<T>(shared: &'a Arc<Shared>, marks: &'a Marks, seat: Seat, check: F) -> Self
    where
        F: FnMut(&mut State) -> Poll<T>,
    {
        let mut wait = Self::new(shared, seat, check);
        wait.marks = Some(marks);
        wait
    }

    /// How often those who wait for this were woken.
    fn wakes(&self) -> Option<u64> {
        match (self.marks, self.seat) {
            (Some(marks), Seat::End(_, topic)) => Some(marks.of(topic).load(Ordering::Acquire)),
            _ => None,
        }
    }
}

impl<T, F: FnMut(&mut State) -> Poll<T> + Unpin> Future for Wait<'_, F> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        if let Some((waker, wakes)) = &this.seated
            && this.wakes() == Some(*wakes)
            && waker.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        let shared = this.shared;
        let (polled, _dropped) = shared.with(|state| {
            let polled = (this.check)(state);
            if polled.is_ready() {
                let left = this.ticket.take().and_then(|ticket| state.leave_seat(this.seat, ticket));
                return (polled, (left, this.seated.take()));
            }
            let ticket = *this.ticket.get_or_insert_with(|| state.next_id());
            let replaced = state.park(this.seat, ticket, cx.waker());
            // Under the lock: whoever wakes after this finds the waker in its seat.
            let seated = this.wakes().map(|wakes| (cx.waker().clone(), wakes));
            (polled, (replaced, std::mem::replace(&mut this.seated, seated)))
        });
        polled
    }
}

impl<F> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let _left = self.shared.with(|state| state.leave_seat(self.seat, ticket));
        }
    }
}
