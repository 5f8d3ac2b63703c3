//! One end of a connection.

use crate::lane::{MemReceiver, MemSender};
use crate::state::{EndId, Shared, State};
use crate::traffic::Word;
use crate::wait::{Marks, Seat, Topic, Wait};
use bytes::Bytes;
use pingpong_core::link::{Broken, Closed, Connection, Priority};
use pingpong_core::{Address, NodeName};
use std::sync::Arc;
use std::task::Poll;

/// One end of a connection. Dropping it without a close closes it without a reason.
#[derive(Debug)]
pub struct MemConnection {
    handle: Handle,
    peer: NodeName,
    remote: Address,
}

/// Keeps a connection in the network's state.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) end: EndId,
    pub(crate) marks: Arc<Marks>,
}

impl Handle {
    /// Waits at this end.
    pub(crate) fn wait<T, F: FnMut(&mut State) -> Poll<T>>(&self, topic: Topic, check: F) -> Wait<'_, F> {
        Wait::by(&self.shared, &self.marks, Seat::End(self.end, topic), check)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.with(|state| state.let_go(self.end));
    }
}

const GREATEST_REASON: usize = 512;
const GREATEST_DATAGRAM: usize = 100;

pub(crate) fn gone() -> Broken {
    Broken("the network has forgotten it".to_owned())
}

impl MemConnection {
    /// Takes over a handle that the state has already counted; it keeps both ends there.
    pub(crate) fn new(shared: &Arc<Shared>, end: EndId) -> Option<Self> {
        let (marks, peer, remote) = shared.with(|state| {
            let marks = Arc::clone(&state.end(end)?.marks);
            state.end(end.other()).map(|peer| (marks, peer.name.clone(), peer.address.clone()))
        })?;
        Some(Self { handle: Handle { shared: Arc::clone(shared), end, marks }, peer, remote })
    }

    /// Waits at this end until `check` finds something there, or the connection has ended.
    async fn wait<T>(&self, topic: Topic, check: impl Fn(&mut State) -> Option<T> + Unpin) -> Result<T, Broken> {
        let end = self.handle.end;
        self.handle
            .wait(topic, |state| {
                if let Some(broken) = state.end(end).map_or_else(|| Some(gone()), |end| end.broken()) {
                    return Poll::Ready(Err(broken));
                }
                check(state).map_or(Poll::Pending, |found| Poll::Ready(Ok(found)))
            })
            .await
    }

    fn another(&self) -> Handle {
        let Handle { shared, end, marks } = &self.handle;
        Handle { shared: Arc::clone(shared), end: *end, marks: Arc::clone(marks) }
    }
}

impl Connection for MemConnection {
    type Sender = MemSender;
    type Receiver = MemReceiver;

    fn peer(&self) -> &NodeName {
        &self.peer
    }

    fn remote(&self) -> Address {
        self.remote.clone()
    }

    /// Never waits; priorities mean nothing here, since no bytes wait for each other.
    async fn open(&self, _priority: Priority) -> Result<MemSender, Broken> {
        let lane = self.handle.shared.with(|state| {
            let limit = state.settings.lanes;
            let end = state.end(self.handle.end).ok_or_else(gone)?;
            if let Some(broken) = end.broken() {
                return Err(broken);
            }
            if end.lanes.len() >= limit {
                return Err(Broken(format!("{} lanes are open, the limit is {limit}", end.lanes.len())));
            }
            end.handles += 1;
            Ok(end.open())
        })?;
        Ok(MemSender::new(self.another(), lane))
    }

    async fn accept(&self) -> Result<MemReceiver, Broken> {
        let id = self.handle.end;
        let lane = self.wait(Topic::Lane, |state| {
            let end = state.end(id)?;
            (end.accepted < end.known).then(|| {
                end.accepted += 1;
                end.handles += 1;
                end.accepted - 1
            })
        });
        let lane = lane.await?;
        Ok(MemReceiver::new(self.another(), lane))
    }

    fn send_datagram(&self, datagram: Bytes) {
        let end = self.handle.end;
        self.handle.shared.with(|state| {
            if datagram.len() <= GREATEST_DATAGRAM && state.end(end).is_some_and(|end| end.closed.is_none()) {
                state.say(end, Word::Datagram(datagram));
            }
        });
    }

    async fn recv_datagram(&self) -> Result<Bytes, Broken> {
        let id = self.handle.end;
        self.wait(Topic::Datagram, |state| state.end(id)?.datagrams.pop_front()).await
    }

    fn packets(&self) -> u64 {
        self.handle.marks.packets()
    }

    fn close(&self, mut reason: Bytes) {
        reason.truncate(GREATEST_REASON);
        self.handle.shared.with(|state| state.close(self.handle.end, reason));
    }

    async fn closed(&self) -> Closed {
        let end = self.handle.end;
        self.handle
            .wait(Topic::Closed, |state: &mut State| match state.end(end) {
                Some(end) => end.closed.clone().map_or(Poll::Pending, Poll::Ready),
                None => Poll::Ready(Closed::Lost(gone().0)),
            })
            .await
    }
}

impl Drop for MemConnection {
    fn drop(&mut self) {
        self.handle.shared.with(|state| state.close(self.handle.end, Bytes::new()));
    }
}
