//! A good node, linked to the one that is attacked: whatever happens there, the two stay linked and talk.

use crate::{ANY, SECOND, soon};
use pingpong_core::inbox::{Entry, ServerOptions};
use pingpong_core::mesh::Mesh;
use pingpong_core::message::{Encoded, MessageType};
use pingpong_core::{
    Address, ClusterName, MeshConfig, NodeChange, NodeEvent, NodeEvents, NodeName, ServerName, Targets, Transport,
};
use pingpong_transport_quic::{Authority, QuicConfig, QuicLink, Validity};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often the two say something to each other.
const PACE: Duration = Duration::from_millis(10);
/// How slow what they say may be at worst. Most of it takes a millisecond; but the attackers share the machine, and others may.
const SLOWEST: Duration = Duration::from_secs(4);

pub(crate) fn server(name: &str) -> ServerName {
    ServerName::new(name).unwrap()
}

pub(crate) fn encoded(body: &[u8]) -> Encoded<'_> {
    Encoded { kind: MessageType { id: 1, version: 0 }, body }
}

#[derive(Clone, Copy, Default)]
struct Talk {
    rounds: u64,
    slowest: Duration,
}

/// A good node. What goes wrong in its tasks ends them, and [`check`](Self::check) says it.
pub(crate) struct Good {
    pub(crate) mesh: Arc<Mesh<QuicLink>>,
    events: NodeEvents,
    seen: Vec<NodeEvent>,
    talk: watch::Receiver<Talk>,
    task: Option<JoinHandle<()>>,
    /// Bodies that the node sends to the server `news`.
    pub(crate) news: Arc<Mutex<Vec<Vec<u8>>>>,
    reading: JoinHandle<()>,
}

impl Good {
    /// Starts, and returns once linked.
    pub(crate) async fn link(authority: &Authority, name: &str, to: std::net::SocketAddr) -> Self {
        let name = NodeName::new(name).unwrap();
        let identity = authority.issue(&name, Validity::from_now(86_400 * SECOND)).unwrap();
        let mut config = MeshConfig::new(ClusterName::new("test").unwrap(), name);
        config.seeds = vec![Address::new(&to.to_string()).unwrap()];
        config.limits.max_message = 16 << 20;
        config.limits.large_bytes = 64 << 20;
        let link = QuicLink::bind(QuicConfig::for_mesh(ANY.parse().unwrap(), identity, &config)).unwrap();
        let mesh = Arc::new(Mesh::start(link, config).await.unwrap());
        let mut events = mesh.monitor();
        let first = loop {
            let event = soon(events.next()).await.expect("the node runs");
            if event.node.name.as_str() == "node" {
                break event;
            }
        };
        assert!(first.is_up(), "{first}");
        let (tell, talk) = watch::channel(Talk::default());
        let task = tokio::spawn(talk_to(Arc::clone(&mesh), tell));
        let news = Arc::default();
        let reading = tokio::spawn(read(Arc::clone(&mesh), Arc::clone(&news)));
        let mut good = Self { mesh, events, seen: Vec::new(), talk, task: Some(task), news, reading };
        good.goes_on(20).await;
        good
    }

    /// The two say so many things more to each other.
    pub(crate) async fn goes_on(&mut self, rounds: u64) {
        let until = self.talk.borrow().rounds + rounds;
        if soon(self.talk.wait_for(|talk| talk.rounds >= until)).await.is_err() {
            self.task.take().unwrap().await.unwrap();
        }
    }

    /// Nothing went wrong so far: still linked, without a `Down`, and no word was slow. Returns how slow the slowest was.
    pub(crate) async fn check(&mut self) -> Duration {
        self.goes_on(20).await;
        while let Ok(event) = timeout(Duration::ZERO, self.events.next()).await {
            self.seen.extend(event);
        }
        let ended = self.seen.iter().find(|e| e.node.name.as_str() == "node" && e.change != NodeChange::Up);
        assert!(ended.is_none(), "the good link went down: {ended:?}");
        let slowest = self.talk.borrow().slowest;
        assert!(slowest < SLOWEST, "a word between good nodes took {slowest:?}");
        slowest
    }

    pub(crate) async fn stop(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        self.reading.abort();
        self.mesh.shutdown(SECOND).await;
    }
}

/// Numbers go to the node's server `sink`, which sends each of them back to this node's, and to its server `echo`.
async fn talk_to(mesh: Arc<Mesh<QuicLink>>, tell: watch::Sender<Talk>) {
    let node = Targets::node(NodeName::new("node").unwrap());
    let mut back = mesh.register(&server("sink"), ServerOptions::new()).unwrap();
    let (mut pace, mut entries) = (interval(PACE), VecDeque::new());
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let Talk { rounds, slowest } = *tell.borrow();
        let (body, began) = (rounds.to_le_bytes(), Instant::now());
        let sent = soon(mesh.abcast(&node, &server("sink"), encoded(&body))).await.unwrap();
        assert_eq!(sent.accepted.len(), 1, "linked");
        let replies = mesh.multi_call(&node, &server("echo"), encoded(&body), 10 * SECOND).await;
        assert_eq!(replies.failed.len(), 0, "{:?}", replies.failed);
        assert_eq!(replies.replies[0].reply.body[..], body);
        let mut heard = Vec::new();
        while heard.is_empty() {
            soon(back.take(&mut entries)).await.unwrap();
            for entry in entries.drain(..) {
                let Entry::Messages(mut batch) = entry else { continue };
                while let Some(delivery) = batch.next() {
                    heard.push(delivery.body.to_vec());
                }
            }
        }
        assert_eq!(heard, [body.to_vec()], "in order, without a gap, each once");
        tell.send_replace(Talk { rounds: rounds + 1, slowest: slowest.max(began.elapsed()) });
    }
}

async fn read(mesh: Arc<Mesh<QuicLink>>, news: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut inbox = mesh.register(&server("news"), ServerOptions::new()).unwrap();
    let mut entries = VecDeque::new();
    while inbox.take(&mut entries).await.is_ok() {
        for entry in entries.drain(..) {
            let Entry::Messages(mut batch) = entry else { continue };
            while let Some(delivery) = batch.next() {
                news.lock().unwrap().push(delivery.body[..8.min(delivery.body.len())].to_vec());
            }
        }
    }
}
