//! That the check can go red: real nodes and servers, under a transport that does not keep its promise on purpose.

#![cfg(feature = "mem")]

use super::counter::{Counter, Ping};
use super::produce::{Producer, Verdict};
use async_trait::async_trait;
use bytes::Bytes;
use pingpong_node::inbox::{Inbox, ServerOptions};
use pingpong_node::mem::MemNetwork;
use pingpong_node::message::{Encoded, MessageType};
use pingpong_node::monitor::NodeEvents;
use pingpong_node::server::{ServerHandle, SpawnOptions, spawn};
use pingpong_node::transport::{Counters, RegisterError, SendError, Shutdown, StopReason};
use pingpong_node::{
    Address, ClusterName, Mesh, MeshConfig, Node, NodeName, Replies, Sent, ServerName, Targets, Transport, WhenFull,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Which message it happens to.
const VICTIM: usize = 50;
const PINGS: u64 = 100;
const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// A message is accepted, and goes nowhere.
    Loses,
    /// The same, for one of the nodes.
    LosesForOne,
    /// A message goes out after the next one.
    Reorders,
    /// A message goes out twice.
    Doubles,
}

struct Flawed {
    inner: Arc<dyn Transport>,
    flaw: Flaw,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent: usize,
    held: Option<(MessageType, Vec<u8>)>,
}

#[async_trait]
impl Transport for Flawed {
    fn node(&self) -> Node {
        self.inner.node()
    }

    fn list(&self) -> Vec<Node> {
        self.inner.list()
    }

    fn monitor(&self) -> NodeEvents {
        self.inner.monitor()
    }

    fn try_abcast(
        &self,
        targets: &Targets,
        server: &ServerName,
        message: Encoded<'_>,
        when_full: WhenFull,
    ) -> Result<Sent, SendError> {
        let send = |targets: &Targets, message| self.inner.try_abcast(targets, server, message, when_full);
        let own = Targets::node(self.node().name);
        let mut state = self.state.lock().unwrap();
        state.sent += 1;
        let victim = state.sent == VICTIM;
        match self.flaw {
            // It looks as if it were sent to all.
            Flaw::Loses if victim => send(&Targets::Nodes(Vec::new()), message),
            Flaw::LosesForOne if victim => send(&own, message),
            Flaw::Reorders if victim => {
                state.held = Some((message.kind, message.body.to_vec()));
                send(&Targets::Nodes(Vec::new()), message)
            }
            Flaw::Doubles if victim => {
                send(targets, message)?;
                send(targets, message)
            }
            _ => {
                let sent = send(targets, message)?;
                if let Some((kind, body)) = state.held.take() {
                    send(targets, Encoded { kind, body: &body })?;
                }
                Ok(sent)
            }
        }
    }

    async fn abcast(&self, targets: &Targets, server: &ServerName, message: Encoded<'_>) -> Result<Sent, SendError> {
        self.inner.abcast(targets, server, message).await
    }

    async fn multi_call(
        &self,
        targets: &Targets,
        server: &ServerName,
        request: Encoded<'_>,
        deadline: Duration,
    ) -> Replies {
        self.inner.multi_call(targets, server, request, deadline).await
    }

    fn register(&self, server: &ServerName, options: ServerOptions) -> Result<Box<dyn Inbox>, RegisterError> {
        self.inner.register(server, options)
    }

    async fn disconnect(&self, name: &NodeName) -> bool {
        self.inner.disconnect(name).await
    }

    async fn forget(&self, name: &NodeName) -> bool {
        self.inner.forget(name).await
    }

    async fn shutdown(&self, deadline: Duration) -> Shutdown {
        self.inner.shutdown(deadline).await
    }

    async fn stopped(&self) -> StopReason {
        self.inner.stopped().await
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }
}

async fn node(network: &MemNetwork, name: &str, seed: &str) -> (Arc<dyn Transport>, ServerHandle) {
    let link = network.bind(NodeName::new(name).unwrap(), Address::new(name).unwrap()).unwrap();
    let mut config = MeshConfig::new(ClusterName::new("bench").unwrap(), NodeName::new(name).unwrap());
    config.seeds = vec![Address::new(seed).unwrap()];
    let transport: Arc<dyn Transport> = Arc::new(Mesh::start(link, config).await.unwrap());
    let counter = ServerName::new("counter").unwrap();
    let server = spawn(Arc::clone(&transport), counter, Counter::<Ping>::default, SpawnOptions::default()).unwrap();
    (transport, server)
}

/// What two nodes say of the pings of one of them, of which so many should be there.
async fn verdict(flaw: Flaw, nodes: usize) -> Verdict {
    let network = MemNetwork::new(1);
    let (a, _server) = node(&network, "n1", "n2").await;
    let (_b, _other) = node(&network, "n2", "n1").await;
    tokio::time::timeout(LONG, a.monitor().next()).await.unwrap().unwrap();
    let transport = Arc::new(Flawed { inner: a, flaw, state: Mutex::default() });
    let server = ServerName::new("counter").unwrap();
    let producer = Producer { transport, server, number: 0, filler: Bytes::new() };
    let next = producer.cast::<Ping>(1, |number| number <= PINGS).await.unwrap();
    let mut verdict = producer.verdict(next - 1, nodes, LONG).await.unwrap();
    verdict.done_us = 0;
    verdict
}

#[tokio::test]
async fn whatever_a_transport_does_to_a_ping_is_in_the_verdict() {
    let right = Verdict::default();
    assert_eq!(verdict(Flaw::None, 2).await, right);
    assert_eq!(verdict(Flaw::Loses, 2).await, Verdict { lost: 2, ..right });
    assert_eq!(verdict(Flaw::LosesForOne, 2).await, Verdict { lost: 1, ..right });
    assert_eq!(verdict(Flaw::Reorders, 2).await, Verdict { out_of_order: 2, ..right });
    assert_eq!(verdict(Flaw::Doubles, 2).await, Verdict { duplicates: 2, ..right });
    assert_eq!(verdict(Flaw::None, 3).await, Verdict { lost: PINGS, ..right }, "a node that is not there");
}
