//! Nodes on the in-memory network, on a paused clock.

pub(crate) mod common;

use async_trait::async_trait;
use common::{CLUSTER, Outside, Stored, greet};
use pingpong_conformance::{Capabilities, Greeted, Harness, Place, StartError, StartOptions, Store, Timing};
use pingpong_core::link::Link;
use pingpong_core::mesh::Mesh;
use pingpong_core::session::Versions;
use pingpong_core::transport::Shutdown;
use pingpong_core::{Address, ClusterName, MeshConfig, NodeName, Transport};
use pingpong_transport_mem::MemNetwork;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// A world of nodes on one in-memory network.
pub(crate) struct MemHarness {
    network: MemNetwork,
    seed: u64,
    /// How much longer than its delay a packet may take; with it, lanes and datagrams overtake each other.
    jitter: Duration,
    /// Whether time is real, and threads are many.
    real: bool,
    /// The delays that the case has asked for.
    far: Mutex<BTreeMap<(Place, Place), Duration>>,
    /// When the first node was started: all wall clocks are set by it.
    begin: OnceLock<Instant>,
    started: AtomicU64,
    nodes: Mutex<BTreeMap<Place, Arc<dyn Transport>>>,
    stores: Mutex<BTreeMap<Place, Arc<Stored>>>,
}

impl MemHarness {
    /// With the suite's own seed.
    #[allow(dead_code)] // not every test file uses all of it
    pub(crate) fn new() -> Self {
        Self::with_seed(1)
    }

    /// One seed gives one order of events.
    pub(crate) fn with_seed(seed: u64) -> Self {
        let network = MemNetwork::new(seed);
        Self {
            network,
            seed,
            jitter: Duration::ZERO,
            real: false,
            far: Mutex::default(),
            begin: OnceLock::new(),
            started: AtomicU64::new(0),
            nodes: Mutex::default(),
            stores: Mutex::default(),
        }
    }

    /// Every packet takes a time of its own, up to `jitter`; times are then not exact.
    #[allow(dead_code)] // not every test file uses all of it
    pub(crate) fn rough(seed: u64, jitter: Duration) -> Self {
        Self { jitter, ..Self::with_seed(seed) }
    }

    /// On several threads and the real clock, as on a real network; with short timeouts.
    #[allow(dead_code)] // not every test file uses all of it
    pub(crate) fn real() -> Self {
        Self { real: true, ..Self::with_seed(1) }
    }

    /// Sets the delay between a place and every other one that is known.
    fn roughen(&self, place: &Place) {
        if !self.jitter.is_zero() {
            let (nodes, far) = (self.nodes.lock().unwrap(), self.far.lock().unwrap());
            for other in nodes.keys().filter(|other| *other != place) {
                for (from, to) in [(place, other), (other, place)] {
                    let least = far.get(&(from.clone(), to.clone())).copied().unwrap_or_default();
                    self.network.delay(&address(from), &address(to), least, self.jitter);
                }
            }
        }
    }

    fn config(&self, options: &StartOptions) -> MeshConfig {
        let cluster = options.cluster.clone().unwrap_or_else(|| cluster(CLUSTER));
        let mut config = MeshConfig::new(cluster, options.name.clone());
        config.seeds = options.seeds.iter().map(address).collect();
        config.limits = options.limits.unwrap_or_default();
        config.timeouts.failure = self.timing().failure;
        config.timeouts.stall = self.timing().stall;
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let bits = AtomicU64::new((self.seed << 32) | (number << 16));
        config.outside = Arc::new(Outside::new(options.clock, bits, *self.begin.get_or_init(Instant::now)));
        match options.store {
            Store::None => {}
            Store::Lost => config.incarnations = self.store(&options.place, true),
            Store::Kept => config.incarnations = self.store(&options.place, false),
        }
        config
    }

    fn store(&self, place: &Place, fresh: bool) -> Arc<Stored> {
        let mut stores = self.stores.lock().unwrap();
        if fresh {
            stores.remove(place);
        }
        Arc::clone(stores.entry(place.clone()).or_default())
    }
}

fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).unwrap()
}

fn address(place: &Place) -> Address {
    Address::new(place.as_str()).unwrap()
}

#[async_trait]
impl Harness for MemHarness {
    fn runtime(&self) -> tokio::runtime::Runtime {
        if self.real {
            return tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        }
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    fn timing(&self) -> Timing {
        if self.real {
            let (failure, stall) = (Duration::from_millis(800), Duration::from_millis(1_600));
            return Timing { failure, stall, exact: false, factor: 5 };
        }
        let (failure, stall) = (Duration::from_secs(2), Duration::from_secs(4));
        Timing { failure, stall, exact: self.jitter.is_zero(), factor: 5 }
    }

    async fn start(&self, options: StartOptions) -> Result<Arc<dyn Transport>, StartError> {
        let proved = options.identity.clone().unwrap_or_else(|| options.name.clone());
        let link = self.network.bind(proved, address(&options.place)).map_err(|error| StartError(error.to_string()))?;
        let mesh = Mesh::start(link, self.config(&options)).await.map_err(|error| StartError(error.to_string()))?;
        self.roughen(&options.place);
        let node: Arc<dyn Transport> = Arc::new(mesh);
        self.nodes.lock().unwrap().insert(options.place, Arc::clone(&node));
        Ok(node)
    }

    async fn stop(&self, place: &Place, deadline: Duration) -> Shutdown {
        let node = self.nodes.lock().unwrap().remove(place);
        match node {
            Some(node) => node.shutdown(deadline).await,
            None => Shutdown { flushed: false },
        }
    }

    async fn crash(&self, place: &Place) {
        self.network.crash(&address(place));
        self.nodes.lock().unwrap().remove(place);
    }

    async fn cut(&self, one: &Place, other: &Place) {
        self.network.cut(&address(one), &address(other));
    }

    async fn cut_one_way(&self, from: &Place, to: &Place) {
        self.network.cut_one_way(&address(from), &address(to));
    }

    async fn partition(&self, groups: &[Vec<Place>]) {
        let groups: Vec<Vec<Address>> = groups.iter().map(|group| group.iter().map(address).collect()).collect();
        let groups: Vec<&[Address]> = groups.iter().map(Vec::as_slice).collect();
        self.network.partition(&groups);
    }

    async fn heal(&self, one: &Place, other: &Place) {
        self.network.heal(&address(one), &address(other));
    }

    async fn heal_all(&self) {
        self.network.heal_all();
    }

    async fn delay(&self, one: &Place, other: &Place, each_way: Duration) {
        for (from, to) in [(one, other), (other, one)] {
            self.far.lock().unwrap().insert((from.clone(), to.clone()), each_way);
            self.network.delay(&address(from), &address(to), each_way, self.jitter);
        }
    }

    async fn stall(&self, place: &Place) {
        self.network.stall(&address(place));
    }

    async fn resume(&self, place: &Place) {
        self.network.resume(&address(place));
    }

    async fn block_dials(&self, from: &Place, to: &Place) {
        self.network.block_dials(&address(from), &address(to));
    }

    async fn greet(&self, to: &Place, cluster: &ClusterName, versions: Versions) -> Greeted {
        let name = NodeName::new("stranger").unwrap();
        let link = self.network.bind(name.clone(), Address::new("stranger").unwrap()).unwrap();
        let connection = link.dial(&address(to), None).await.unwrap();
        greet(&connection, name, cluster, versions).await
    }
}
