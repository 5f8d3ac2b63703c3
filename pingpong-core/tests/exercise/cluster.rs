//! Nodes with the exercise on a network in memory. The clock is paused, and chance comes from the network's seed.

use pingpong_core::config::OutsideWorld;
use pingpong_core::exercise::{Exercise, Ledger, LocalRead, Settings};
use pingpong_core::mesh::Mesh;
use pingpong_core::{Address, ClusterName, MeshConfig, NodeName, Transport};
use pingpong_transport_mem::{MemLink, MemNetwork};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A wait that ends by itself shows that something hangs.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

pub(crate) fn at(text: &str) -> Address {
    Address::new(text).unwrap()
}

/// Must be ready before long.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.unwrap_or_else(|_| panic!("it hangs: {what}"))
}

/// A wall clock that rises with each look, and random bits that do not repeat.
#[derive(Default)]
struct Outside(AtomicU64);

impl OutsideWorld for Outside {
    fn wall_millis(&self) -> u64 {
        1_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn random(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

pub(crate) struct Cluster {
    pub(crate) network: MemNetwork,
    pub(crate) settings: Settings,
    outside: Arc<Outside>,
    meshes: BTreeMap<&'static str, Arc<Mesh<MemLink>>>,
    ledgers: BTreeMap<&'static str, Arc<Ledger>>,
    exercises: BTreeMap<&'static str, Exercise>,
}

impl Cluster {
    pub(crate) fn new(seed: u64) -> Self {
        let mut settings = Settings::default();
        // Tests crash servers more often than a node should.
        settings.restart.max_restarts = 1_000;
        Self {
            network: MemNetwork::new(seed),
            settings,
            outside: Arc::default(),
            meshes: BTreeMap::new(),
            ledgers: BTreeMap::new(),
            exercises: BTreeMap::new(),
        }
    }

    /// These nodes with the exercise on each, linked all with all.
    pub(crate) async fn of(seed: u64, nodes: &[&'static str]) -> Self {
        let mut cluster = Self::new(seed);
        for node in nodes {
            cluster.boot(node).await;
            cluster.exercise(node);
        }
        cluster.linked(nodes).await;
        cluster
    }

    /// A process starts, with an empty store; its address is its name, and its seeds are all the others.
    pub(crate) async fn boot(&mut self, node: &'static str) {
        let link = self.network.bind(name(node), at(node)).unwrap();
        let mut config = MeshConfig::new(ClusterName::new("test").unwrap(), name(node));
        config.seeds = ["a", "b", "c", "d"].into_iter().filter(|seed| *seed != node).map(at).collect();
        config.outside = Arc::clone(&self.outside) as Arc<dyn OutsideWorld>;
        let mesh = Arc::new(Mesh::start(link, config).await.unwrap());
        self.ledgers.insert(node, Ledger::in_memory(&mesh.node()).await.unwrap());
        self.meshes.insert(node, mesh);
    }

    /// The servers of a node start, on the store that it has.
    pub(crate) fn exercise(&mut self, node: &'static str) {
        let transport: Arc<dyn Transport> = Arc::clone(&self.meshes[node]) as _;
        let exercise = Exercise::start(transport, Arc::clone(&self.ledgers[node]), self.settings.clone()).unwrap();
        self.exercises.insert(node, exercise);
    }

    /// The process is killed, and its store in memory is gone with it.
    pub(crate) fn kill(&mut self, node: &'static str) {
        self.network.crash(&at(node));
        self.exercises.remove(node);
        self.ledgers.remove(node);
        self.meshes.remove(node);
    }

    pub(crate) fn mesh(&self, node: &str) -> &Mesh<MemLink> {
        &self.meshes[node]
    }

    pub(crate) fn on(&self, node: &str) -> &Exercise {
        &self.exercises[node]
    }

    pub(crate) fn cut_off(&self, node: &str) {
        for other in self.meshes.keys().filter(|other| **other != node) {
            self.network.cut(&at(node), &at(other));
        }
    }

    /// Waits until `node` sees exactly these others.
    pub(crate) async fn sees(&self, node: &str, others: &[&str]) {
        let mut events = self.mesh(node).monitor();
        let wait = async {
            while self.mesh(node).list().iter().map(|node| node.name.as_str()).ne(others.iter().copied()) {
                events.next().await.expect("the node runs");
            }
        };
        soon(&format!("{node} sees {others:?}"), wait).await;
    }

    pub(crate) async fn linked(&self, nodes: &[&str]) {
        for node in nodes {
            let others: Vec<&str> = nodes.iter().copied().filter(|other| other != node).collect();
            self.sees(node, &others).await;
        }
    }

    pub(crate) async fn ping(&self, node: &str, pings: u64) {
        soon("a ping", self.on(node).ping(pings)).await.unwrap();
    }

    /// Waits until `node` knows these values, and no others.
    pub(crate) async fn knows(&self, node: &str, values: &[(&str, u128)]) {
        let values: BTreeMap<NodeName, u128> = values.iter().map(|(node, value)| (name(node), *value)).collect();
        let known = self.on(node).local_until(|read: &LocalRead| read.values == values);
        let what = || format!("{node} knows {values:?}, it has {:?}", self.on(node).local().values);
        if tokio::time::timeout(LONG, known).await.is_err() {
            panic!("it never happened: {}", what());
        }
    }

    pub(crate) async fn all_know(&self, values: &[(&str, u128)]) {
        for node in self.exercises.keys() {
            self.knows(node, values).await;
        }
    }
}
