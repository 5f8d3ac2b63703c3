//! Nodes on the in-memory network, on a paused clock.

use async_trait::async_trait;
use bytes::Bytes;
use pingpong_conformance::{Capabilities, Clock, Greeted, Harness, Place, StartError, StartOptions, Store, Timing};
use pingpong_core::config::{IncarnationStore, Limits, OutsideWorld};
use pingpong_core::link::{Closed, Connection, LaneSender, Link, Priority};
use pingpong_core::mesh::Mesh;
use pingpong_core::session::{Hello, Message, Versions};
use pingpong_core::transport::Shutdown;
use pingpong_core::wire::{LaneHeader, LaneRole, decode_close, encode_control, encode_lane_header};
use pingpong_core::{Address, ClusterName, Incarnation, MeshConfig, NodeName, Transport};
use pingpong_transport_mem::MemNetwork;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// The cluster of all nodes that are not told another one.
const CLUSTER: &str = "conformance";
/// The wall clock when a case begins, in milliseconds since 1970.
const BEGIN: u64 = 1_800_000_000_000;

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
        config.outside = Arc::new(Outside { clock: options.clock, bits, begin: *self.begin.get_or_init(Instant::now) });
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
        let hello = Hello {
            cluster: cluster.clone(),
            versions,
            name,
            incarnation: Incarnation::new(BEGIN, 1),
            moment: 1,
            held: None,
            random: 1,
            failure_timeout_millis: 2_000,
            lanes: Limits::default().lanes as _,
            addresses: Vec::new(),
        };
        let mut control = connection.open(Priority::Control).await.unwrap();
        let header = encode_lane_header(&LaneHeader { lane: 0, role: LaneRole::Control }).unwrap();
        control.send(header).await.unwrap();
        control.send(encode_control(&Message::Hello(Box::new(hello))).unwrap()).await.unwrap();
        // A node that goes on talking opens its control lane; one that refuses closes.
        let answered = tokio::select! {
            biased;
            closed = connection.closed() => Greeted::Refused(why(closed)),
            lane = connection.accept() => match lane {
                Ok(_) => after(&connection).await,
                Err(_) => Greeted::Refused(why(connection.closed().await)),
            },
        };
        connection.close(Bytes::new());
        answered
    }
}

/// A node may open its lane before it reads the greeting.
async fn after(connection: &impl Connection) -> Greeted {
    match tokio::time::timeout(Duration::from_millis(500), connection.closed()).await {
        Ok(closed) => Greeted::Refused(why(closed)),
        Err(_) => Greeted::Answered,
    }
}

fn why(closed: Closed) -> String {
    match closed {
        Closed::ByPeer(reason) => decode_close(&reason).to_string(),
        other => format!("{other:?}"),
    }
}

/// A wall clock that follows the paused one, and counted instead of random bits.
struct Outside {
    clock: Clock,
    bits: AtomicU64,
    begin: Instant,
}

impl OutsideWorld for Outside {
    fn wall_millis(&self) -> u64 {
        let right = BEGIN + self.begin.elapsed().as_millis() as u64;
        match self.clock {
            Clock::Right => right,
            Clock::Behind(by) => right - by.as_millis() as u64,
            Clock::Ahead(by) => right + by.as_millis() as u64,
        }
    }

    fn random(&self) -> u64 {
        // Every bit of the counter moves many of the result.
        let n = self.bits.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (n ^ (n >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }
}

/// A store in memory.
#[derive(Default)]
struct Stored(Mutex<Option<Incarnation>>);

#[async_trait]
impl IncarnationStore for Stored {
    async fn load(&self) -> Result<Option<Incarnation>, String> {
        Ok(*self.0.lock().unwrap())
    }

    async fn store(&self, incarnation: Incarnation) -> Result<(), String> {
        *self.0.lock().unwrap() = Some(incarnation);
        Ok(())
    }
}
