//! Nodes on QUIC over loopback, with faults at their sockets, in real time.

use crate::common::{CLUSTER, Outside, Stored, greet};
use async_trait::async_trait;
use pingpong_conformance::{
    Capabilities, Capability, Greeted, Harness, Place, StartError, StartOptions, Store, Timing,
};
use pingpong_core::config::Timeouts;
use pingpong_core::link::Link;
use pingpong_core::mesh::Mesh;
use pingpong_core::session::Versions;
use pingpong_core::transport::Shutdown;
use pingpong_core::{Address, ClusterName, MeshConfig, NodeName, Transport};
use pingpong_transport_quic::faults::FaultNetwork;
use pingpong_transport_quic::{Authority, QuicConfig, QuicLink, Validity};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// Every place has a port of its own, on a loopback address that no other harness uses: no port is fixed for two.
const FIRST_PORT: u16 = 4_000;

fn fresh_host() -> IpAddr {
    static USED: AtomicU32 = AtomicU32::new(0);
    let number = USED.fetch_add(1, Ordering::Relaxed) + (std::process::id() % 10_000) * 200;
    let [_, a, b, c] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 10 + a % 200, b, c % 250 + 2))
}

/// A world of nodes on one loopback address.
pub(crate) struct QuicHarness {
    host: IpAddr,
    timing: Timing,
    network: FaultNetwork,
    authority: Authority,
    begin: OnceLock<Instant>,
    started: AtomicU64,
    ports: Mutex<BTreeMap<Place, u16>>,
    nodes: Mutex<BTreeMap<Place, Arc<dyn Transport>>>,
    stores: Mutex<BTreeMap<Place, Arc<Stored>>>,
}

impl QuicHarness {
    /// For the cases: fast.
    pub(crate) fn new() -> Self {
        Self::with(Duration::from_secs(1), Duration::from_secs(2))
    }

    /// For the stories: as a node is by default. One of them has fifty nodes on this machine.
    pub(crate) fn by_default() -> Self {
        let timeouts = Timeouts::default();
        Self::with(timeouts.failure, timeouts.stall)
    }

    fn with(failure: Duration, stall: Duration) -> Self {
        // `LOG=debug`: what the nodes say stands beside a failure.
        if let Some(level) = std::env::var("LOG").ok().and_then(|level| level.parse::<tracing::Level>().ok()) {
            // The first harness of the process sets it.
            let _ = tracing_subscriber::fmt()
                .with_max_level(level)
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .try_init();
        }
        Self {
            host: fresh_host(),
            timing: Timing { failure, stall, exact: false, factor: 5 },
            network: FaultNetwork::new(),
            authority: Authority::new(&ClusterName::new(CLUSTER).unwrap(), Duration::from_secs(86_400)).unwrap(),
            begin: OnceLock::new(),
            started: AtomicU64::new(0),
            ports: Mutex::default(),
            nodes: Mutex::default(),
            stores: Mutex::default(),
        }
    }

    fn socket(&self, place: &Place) -> SocketAddr {
        let mut ports = self.ports.lock().unwrap();
        let next = FIRST_PORT + ports.len() as u16;
        SocketAddr::new(self.host, *ports.entry(place.clone()).or_insert(next))
    }

    fn address(&self, place: &Place) -> Address {
        Address::new(&self.socket(place).to_string()).unwrap()
    }

    fn config(&self, options: &StartOptions) -> MeshConfig {
        let cluster = options.cluster.clone().unwrap_or_else(|| ClusterName::new(CLUSTER).unwrap());
        let mut config = MeshConfig::new(cluster, options.name.clone());
        config.seeds = options.seeds.iter().map(|place| self.address(place)).collect();
        config.limits = options.limits.unwrap_or_default();
        config.timeouts.failure = self.timing().failure;
        config.timeouts.stall = self.timing().stall;
        let bits = AtomicU64::new(self.started.fetch_add(1, Ordering::Relaxed) << 16);
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

    fn link(&self, name: &NodeName, place: &Place, lanes: usize) -> Result<QuicLink, StartError> {
        let identity = self
            .authority
            .issue(name, Validity::from_now(Duration::from_secs(3_600)))
            .map_err(|e| StartError(e.to_string()))?;
        let listen = self.socket(place);
        let socket = self.network.bind(listen).map_err(|e| StartError(format!("{listen}: {e}")))?;
        let mut config = QuicConfig::new(listen, identity);
        config.failure_timeout = self.timing().failure;
        config.lanes = lanes;
        QuicLink::bind_with(config, socket).map_err(|e| StartError(e.to_string()))
    }
}

#[async_trait]
impl Harness for QuicHarness {
    fn runtime(&self) -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all().without(Capability::CountTasks, "the socket and the endpoint have tasks of their own")
    }

    fn timing(&self) -> Timing {
        self.timing
    }

    async fn start(&self, options: StartOptions) -> Result<Arc<dyn Transport>, StartError> {
        let proved = options.identity.clone().unwrap_or_else(|| options.name.clone());
        let config = self.config(&options);
        let link = self.link(&proved, &options.place, config.limits.lanes)?;
        let mesh = Mesh::start(link, config).await.map_err(|error| StartError(error.to_string()))?;
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
        self.network.crash(self.socket(place));
        let node = self.nodes.lock().unwrap().remove(place);
        if let Some(node) = node {
            // Nothing of it leaves the host any more: this only ends its tasks, and frees its port.
            node.shutdown(Duration::ZERO).await;
        }
    }

    async fn cut(&self, one: &Place, other: &Place) {
        self.network.cut(self.socket(one), self.socket(other));
    }

    async fn cut_one_way(&self, from: &Place, to: &Place) {
        self.network.cut_one_way(self.socket(from), self.socket(to));
    }

    async fn partition(&self, groups: &[Vec<Place>]) {
        let groups: Vec<Vec<SocketAddr>> =
            groups.iter().map(|group| group.iter().map(|place| self.socket(place)).collect()).collect();
        self.network.partition(&groups);
    }

    async fn heal(&self, one: &Place, other: &Place) {
        self.network.heal(self.socket(one), self.socket(other));
    }

    async fn heal_all(&self) {
        self.network.heal_all();
    }

    async fn delay(&self, one: &Place, other: &Place, each_way: Duration) {
        self.network.delay(self.socket(one), self.socket(other), each_way);
        self.network.delay(self.socket(other), self.socket(one), each_way);
    }

    async fn stall(&self, place: &Place) {
        self.network.stall(self.socket(place));
    }

    async fn resume(&self, place: &Place) {
        self.network.resume(self.socket(place));
    }

    async fn block_dials(&self, from: &Place, to: &Place) {
        self.network.block_dials(self.socket(from), self.socket(to));
    }

    async fn greet(&self, to: &Place, cluster: &ClusterName, versions: Versions) -> Greeted {
        let name = NodeName::new("stranger").unwrap();
        // Each greeting from a place of its own.
        let place = format!("stranger {}", self.started.fetch_add(1, Ordering::Relaxed));
        let lanes = pingpong_core::config::Limits::default().lanes;
        let link = self.link(&name, &Place::from(place.as_str()), lanes).unwrap();
        let connection = link.dial(&self.address(to), None).await.unwrap();
        greet(&connection, name, cluster, versions).await
    }
}
