//! Nodes on QUIC over loopback, with faults at their sockets, in real time.

use async_trait::async_trait;
use pingpong_conformance::faulty::FaultyLink;
use pingpong_conformance::ground::{self, Ground, cluster};
use pingpong_conformance::stranger::{Stranger, leaving};
use pingpong_conformance::{
    Capabilities, Capability, Greeted, Harness, Misbehaviour, Place, STRANGER, StartError, StartOptions, Timing,
};
use pingpong_core::config::{Limits, Timeouts};
use pingpong_core::link::Link;
use pingpong_core::mesh::Mesh;
use pingpong_core::session::Versions;
use pingpong_core::transport::Shutdown;
use pingpong_core::{Address, ClusterName, NodeName, Transport};
use pingpong_transport_quic::faults::FaultNetwork;
use pingpong_transport_quic::{Authority, QuicConfig, QuicLink, Validity};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Every place has a port of its own, on a loopback address that no other harness uses: no port is fixed for two.
const FIRST_PORT: u16 = 4_000;
/// Threads of a case.
const WORKERS: usize = 2;

fn fresh_host() -> IpAddr {
    static USED: AtomicU32 = AtomicU32::new(0);
    let number = USED.fetch_add(1, Ordering::Relaxed) + (std::process::id() % 10_000) * 200;
    let [_, a, b, c] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 10 + a % 200, b, c % 250 + 2))
}

/// A world of nodes on one loopback address.
pub(crate) struct QuicHarness {
    host: IpAddr,
    network: FaultNetwork,
    ground: Ground,
    authority: Authority,
    ports: Mutex<BTreeMap<Place, u16>>,
}

impl QuicHarness {
    /// For the cases: fast.
    pub(crate) fn new() -> Self {
        Self::with(Duration::from_secs(1), Duration::from_secs(2))
    }

    /// For the stories. One of them has fifty nodes on this machine: with the default of 2 s for a failure the heartbeats of their 1,225
    /// links take most of a core, and where other work leaves no more than that, the last handshakes do not end in time.
    #[allow(dead_code)] // not every test file uses all of it
    pub(crate) fn patient() -> Self {
        Self::with(Duration::from_secs(5), Timeouts::default().stall)
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
            network: FaultNetwork::new(),
            ground: Ground::new(Timing { failure, stall, exact: false, factor: 5 }, 0),
            authority: Authority::new(&cluster(), Duration::from_secs(86_400)).unwrap(),
            ports: Mutex::default(),
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

    fn link(&self, name: &NodeName, place: &Place, lanes: usize) -> Result<QuicLink, StartError> {
        let identity = self
            .authority
            .issue(name, Validity::from_now(Duration::from_secs(3_600)))
            .map_err(|e| StartError(e.to_string()))?;
        let listen = self.socket(place);
        let socket = self.network.bind(listen).map_err(|e| StartError(e.to_string()))?;
        let mut config = QuicConfig::new(listen, identity);
        config.failure_timeout = self.timing().failure;
        config.lanes = lanes;
        QuicLink::bind_with(config, socket).map_err(|e| StartError(e.to_string()))
    }

    fn stranger(&self, at: &Place) -> QuicLink {
        self.link(&NodeName::new(STRANGER).unwrap(), at, Limits::default().lanes).unwrap()
    }

    /// A stranger that has dialled the node there, from a place of its own. The link must live as long as it does.
    async fn stranger_at(&self, to: &Place) -> (QuicLink, Stranger<<QuicLink as Link>::Connection>) {
        let link = self.stranger(&Place::from(format!("{STRANGER} {}", self.ground.next_number()).as_str()));
        let connection = link.dial(&self.address(to), None).await.unwrap();
        (link, Stranger::on(connection).await.unwrap())
    }
}

#[async_trait]
impl Harness for QuicHarness {
    fn runtime(&self) -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all().without(Capability::CountTasks, "the socket and the endpoint have tasks of their own")
    }

    fn timing(&self) -> Timing {
        self.ground.timing()
    }

    async fn start(&self, options: StartOptions) -> Result<Arc<dyn Transport>, StartError> {
        let proved = options.identity.clone().unwrap_or_else(|| options.name.clone());
        let config = self.ground.config(&options, |place| self.address(place));
        let link = self.link(&proved, &options.place, config.limits.lanes)?;
        let link: FaultyLink<QuicLink> = self.ground.lanes(&options.place).around(link);
        let mesh = Mesh::start(link, config).await.map_err(|error| StartError(error.to_string()))?;
        let node: Arc<dyn Transport> = Arc::new(mesh);
        self.ground.keep(options.place, &node);
        Ok(node)
    }

    async fn stop(&self, place: &Place, deadline: Duration) -> Shutdown {
        self.ground.stop(place, deadline).await
    }

    async fn crash(&self, place: &Place) {
        self.network.crash(self.socket(place));
        if let Some(node) = self.ground.take(place) {
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

    async fn suspend(&self, time: Duration) {
        ground::block_workers(time).await;
    }

    async fn freeze(&self, place: &Place) {
        self.ground.lanes(place).freeze();
    }

    async fn thaw(&self, place: &Place) {
        self.ground.lanes(place).thaw();
    }

    async fn break_lane(&self, place: &Place) {
        self.ground.lanes(place).break_lane();
    }

    async fn block_dials(&self, from: &Place, to: &Place) {
        self.network.block_dials(self.socket(from), self.socket(to));
    }

    async fn greet(&self, to: &Place, cluster: &ClusterName, versions: Versions) -> Greeted {
        let (link, stranger) = self.stranger_at(to).await;
        leaving(link, stranger.greets(cluster, versions)).await
    }

    async fn answer(&self, at: &Place, cluster: &ClusterName, versions: Versions) -> Greeted {
        let link = self.stranger(at);
        let stranger = Stranger::on(link.accept().await.unwrap()).await.unwrap();
        leaving(link, stranger.answers(cluster, versions)).await
    }

    async fn misbehave(&self, to: &Place, how: Misbehaviour) -> Greeted {
        let (link, stranger) = self.stranger_at(to).await;
        leaving(link, stranger.misbehaves(&cluster(), how)).await
    }
}
