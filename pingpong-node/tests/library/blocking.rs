//! What a handler that blocks its thread does to the links of its node: nothing on a thread of their own, and else what the failure
//! detector is for.

use pingpong_node::dev::{Cluster, Kind};
use pingpong_node::io_thread::IoThread;
use pingpong_node::message::Never;
use pingpong_node::server::spawn;
use pingpong_node::{
    Context, MeshConfig, Node, NodeChange, NodeEvents, Server, ServerHandle, ServerName, SpawnOptions, Targets,
    TransportExt, message, request,
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const FAILURE: Duration = Duration::from_millis(800);
/// How long a handler blocks whose node has a thread of its own: several failure timeouts.
const BLOCKED: Duration = Duration::from_secs(4);

#[derive(Serialize, Deserialize)]
struct Block;
request!(Block => Unblocked, id = 1, version = 0);

#[derive(Debug, Serialize, Deserialize)]
struct Unblocked;
message!(Unblocked, id = 2, version = 0);

/// Says that it blocks, and blocks its thread until it is told to go on.
type Gate = (oneshot::Sender<()>, mpsc::Receiver<()>);

struct Blocker(Arc<Mutex<Option<Gate>>>);

impl Server for Blocker {
    type Cast = Never;
    type Call = Block;
    type Info = ();

    async fn cast(&mut self, _: &Node, message: Never, _: &mut Context<Self>) {
        match message {}
    }

    async fn call(&mut self, _: &Node, _: Block, _: &mut Context<Self>) -> Unblocked {
        let gate = self.0.lock().unwrap().take();
        if let Some((blocks, go_on)) = gate {
            blocks.send(()).unwrap();
            go_on.recv_timeout(PATIENCE).unwrap();
        }
        Unblocked
    }
}

fn server() -> ServerName {
    ServerName::new("blocker").unwrap()
}

/// Nodes `a` and `b`, each on the runtime of its thread; a handler of `b` runs on `service`.
struct Site {
    cluster: Cluster,
    events: NodeEvents,
    blocks: oneshot::Receiver<()>,
    go_on: mpsc::SyncSender<()>,
    _server: ServerHandle,
}

impl Site {
    async fn new(kind: Kind, a: &IoThread, b: &IoThread, service: &IoThread) -> Self {
        let tune = |config: &mut MeshConfig| config.timeouts.failure = FAILURE;
        let mut cluster = a.run(Cluster::start_with(kind, ["a"], tune)).await.unwrap().unwrap();
        let cluster =
            b.run(async move { cluster.add("b").await.map(|_| ()).map(|()| cluster) }).await.unwrap().unwrap();
        let ((says, blocks), (go_on, told)) = (oneshot::channel(), mpsc::sync_channel(1));
        let (gate, node) = (Arc::new(Mutex::new(Some((says, told)))), Arc::clone(cluster.node("b").unwrap()));
        let spawned = async move { spawn(node, server(), move || Blocker(Arc::clone(&gate)), SpawnOptions::default()) };
        let _server = service.run(spawned).await.unwrap().unwrap();
        let mut events = cluster.node("a").unwrap().monitor();
        assert_eq!(next(kind, &mut events).await, NodeChange::Up);
        Self { cluster, events, blocks, go_on, _server }
    }

    /// Asks `b` to block; ready when it has answered.
    fn ask(&self) -> tokio::task::JoinHandle<usize> {
        let a = Arc::clone(self.cluster.node("a").unwrap());
        let target = Targets::node(self.cluster.node("b").unwrap().node().name);
        tokio::spawn(async move { a.call(&target, &server(), &Block, PATIENCE).await.unwrap().replies.len() })
    }
}

async fn next(kind: Kind, events: &mut NodeEvents) -> NodeChange {
    let event = timeout(PATIENCE, events.next()).await.unwrap_or_else(|_| panic!("{kind}: an event comes"));
    event.expect("the node runs").change
}

#[tokio::test]
async fn a_handler_that_blocks_costs_a_node_with_a_thread_of_its_own_no_link() {
    for kind in Kind::ALL {
        let [a, b, service] = ["a", "b", "service"].map(|name| IoThread::start(name).unwrap());
        let mut site = Site::new(*kind, &a, &b, &service).await;
        let answered = site.ask();
        timeout(PATIENCE, &mut site.blocks).await.unwrap().unwrap();
        let seen = timeout(BLOCKED, site.events.next()).await;
        assert!(seen.is_err(), "{kind}: the link stays while the handler blocks: {seen:?}");
        site.go_on.send(()).unwrap();
        assert_eq!(timeout(PATIENCE, answered).await.unwrap().unwrap(), 1, "{kind}: and the call is answered");
    }
}

/// In memory the network itself acknowledges what arrives, so that a process which is stuck is not silent.
#[cfg(feature = "quic")]
#[tokio::test]
async fn a_handler_that_blocks_the_thread_of_its_node_costs_it_its_links() {
    let kind = Kind::Quic;
    let [a, both] = ["a", "both"].map(|name| IoThread::start(name).unwrap());
    let mut site = Site::new(kind, &a, &both, &both).await;
    let answered = site.ask();
    timeout(PATIENCE, &mut site.blocks).await.unwrap().unwrap();
    assert_eq!(
        next(kind, &mut site.events).await,
        NodeChange::Down(pingpong_node::DownReason::Lost),
        "no heartbeat leaves"
    );
    assert_eq!(timeout(PATIENCE, answered).await.unwrap().unwrap(), 0, "the call ends with the link");
    site.go_on.send(()).unwrap();
    assert_eq!(next(kind, &mut site.events).await, NodeChange::Up, "and the link returns");
}
