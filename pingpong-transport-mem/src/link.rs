//! An endpoint of the network.

use crate::connection::MemConnection;
use crate::state::{Dial, EndId, ProcessId, Shared, State};
use crate::traffic::{Cargo, Packet};
use crate::wait::{Seat, Wait};
use bytes::Bytes;
use pingpong_core::link::{DialError, Endpoint, Link};
use pingpong_core::{Address, NodeName};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// An endpoint of a [`MemNetwork`](crate::MemNetwork). Dropping it closes it, and its connections, without a reason.
#[derive(Debug)]
pub struct MemLink {
    shared: Arc<Shared>,
    process: ProcessId,
    name: NodeName,
    address: Address,
}

impl MemLink {
    pub(crate) fn new(shared: Arc<Shared>, process: ProcessId, name: NodeName, address: Address) -> Self {
        Self { shared, process, name, address }
    }
}

impl Link for MemLink {
    type Connection = MemConnection;

    /// Each lane of this side, and of the peer, holds a window at most. Of a handshake the one lane is counted that a Mesh uses
    /// before the link is up.
    fn endpoint(&self) -> Endpoint {
        let settings = self.shared.lock().settings;
        let bytes = |lanes: usize| {
            let windows = settings.lane_window.saturating_mul(lanes).saturating_mul(2);
            // A datagram and what it costs beside its bytes, waiting here and on its way from here.
            let datagrams = settings.datagrams.saturating_mul(2 * 512);
            windows.saturating_add(datagrams).saturating_add(4_096 + 512 * lanes) as u64
        };
        Endpoint {
            name: self.name.clone(),
            lanes: settings.lanes,
            connection_bytes: bytes(settings.lanes),
            other_bytes: bytes(1).saturating_mul(settings.backlog as u64),
        }
    }

    fn addresses(&self) -> Vec<Address> {
        vec![self.address.clone()]
    }

    async fn dial(&self, address: &Address, expect: Option<&NodeName>) -> Result<MemConnection, DialError> {
        let attempt = Attempt::new(self, address, expect)?;
        let end = Wait::new(&self.shared, Seat::Dial(attempt.id), |state| attempt.outcome(state)).await?;
        MemConnection::new(&self.shared, end).ok_or(DialError::EndpointClosed)
    }

    async fn accept(&self) -> Option<MemConnection> {
        let end = Wait::new(&self.shared, Seat::Accept(self.process), |state| state.accept(self.process)).await?;
        MemConnection::new(&self.shared, end)
    }

    /// Never waits: what the closes say leaves at once.
    async fn close(&self, _deadline: Duration) {
        self.shared.with(|state| state.leave(self.process));
    }
}

impl Drop for MemLink {
    fn drop(&mut self) {
        let _gone = self.shared.with(|state| {
            state.leave(self.process);
            state.processes.remove(&self.process)
        });
    }
}

impl State {
    /// A process says goodbye on all of its connections.
    fn leave(&mut self, process: ProcessId) {
        self.unbind(process);
        for end in self.ends_of(process) {
            self.close(end, Bytes::new());
        }
    }
}

/// A dial under way; dropping it gives it up.
struct Attempt<'a> {
    shared: &'a Arc<Shared>,
    id: u64,
}

impl<'a> Attempt<'a> {
    fn new(link: &'a MemLink, address: &Address, expect: Option<&NodeName>) -> Result<Self, DialError> {
        let process = link.process;
        link.shared.with(|state| {
            if state.processes.get(&process).is_none_or(|process| process.closed) {
                return Err(DialError::EndpointClosed);
            }
            let (from, to) = (state.host(&link.address), state.host(address));
            let id = state.next_id();
            let dial = Dial { process, address: address.clone(), expect: expect.cloned(), outcome: None };
            state.dials.insert(id, dial);
            state.send(Packet { from, to, cargo: Cargo::Dial(id) });
            Ok(Self { shared: &link.shared, id })
        })
    }

    fn outcome(&self, state: &mut State) -> Poll<Result<EndId, DialError>> {
        match state.dials.get_mut(&self.id).and_then(|dial| dial.outcome.take()) {
            Some(outcome) => {
                state.dials.remove(&self.id);
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.shared.with(|state| {
            let Some(dial) = state.dials.remove(&self.id) else { return };
            state.lose_held(|packet| packet.is_of_dial(self.id));
            if let Some(Ok(end)) = dial.outcome {
                state.close(end, Bytes::new());
                state.let_go(end);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::MemNetwork;
    use pingpong_core::link::{Connection, Link};
    use pingpong_core::{Address, NodeName};
    use std::time::Duration;

    /// A long cut sees a dial every few hundred milliseconds, and many connections end: nothing of them may stay.
    #[tokio::test(start_paused = true)]
    async fn what_is_given_up_leaves_nothing_behind() {
        let network = MemNetwork::new(1);
        let hosts = ["a", "b"].map(|host| Address::new(host).unwrap());
        let links =
            ["a", "b"].map(|host| network.bind(NodeName::new(host).unwrap(), Address::new(host).unwrap()).unwrap());
        let ends = (links[0].dial(&hosts[1], None).await.unwrap(), links[1].accept().await.unwrap());
        network.cut(&hosts[0], &hosts[1]);
        tokio::time::timeout(Duration::from_secs(1), links[0].dial(&hosts[1], None)).await.unwrap_err();
        tokio::time::timeout(Duration::from_secs(1), ends.0.closed()).await.unwrap_err();
        drop(ends);
        let state = network.shared().lock();
        assert!(state.held.is_empty() && state.dials.is_empty() && state.connections.is_empty());
        assert!(state.lobby.is_empty());
    }
}
