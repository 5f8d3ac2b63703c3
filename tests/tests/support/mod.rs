//! Nodes on the in-memory network, on a paused clock.

use async_trait::async_trait;
use pingpong_conformance::ground::{self, Ground, cluster};
use pingpong_conformance::stranger::{Stranger, leaving};
use pingpong_conformance::{
    Capabilities, Greeted, Harness, Misbehaviour, Place, STRANGER, StartError, StartOptions, Timing,
};
use pingpong_core::link::Link;
use pingpong_core::mesh::Mesh;
use pingpong_core::session::Versions;
use pingpong_core::transport::Shutdown;
use pingpong_core::{Address, ClusterName, NodeName, Transport};
use pingpong_transport_mem::{MemLink, MemNetwork};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Threads of a runtime with the real clock.
const WORKERS: usize = 2;

/// A world of nodes on one in-memory network.
pub(crate) struct MemHarness {
    network: MemNetwork,
    ground: Ground,
    /// How much longer than its delay a packet may take; with it, lanes and datagrams overtake each other.
    jitter: Duration,
    /// Whether time is real, and threads are many.
    real: bool,
    /// The delays that the case has asked for.
    far: Mutex<BTreeMap<(Place, Place), Duration>>,
}

impl MemHarness {
    /// With the suite's own seed.
    #[allow(dead_code)] // not every test file uses all of it
    pub(crate) fn new() -> Self {
        Self::with_seed(1)
    }

    /// One seed gives one order of events.
    pub(crate) fn with_seed(seed: u64) -> Self {
        Self::with(seed, Duration::ZERO, false)
    }

    /// Every packet takes a time of its own, up to `jitter`; times are then not exact.
    #[allow(dead_code)] // not every test file uses all of it
    pub(crate) fn rough(seed: u64, jitter: Duration) -> Self {
        Self::with(seed, jitter, false)
    }

    /// On several threads and the real clock, as on a real network; with short timeouts.
    #[allow(dead_code)] // not every test file uses all of it
    pub(crate) fn real() -> Self {
        Self::with(1, Duration::ZERO, true)
    }

    fn with(seed: u64, jitter: Duration, real: bool) -> Self {
        let millis = |failure, stall| (Duration::from_millis(failure), Duration::from_millis(stall));
        let (failure, stall) = if real { millis(800, 1_600) } else { millis(2_000, 4_000) };
        let timing = Timing { failure, stall, exact: !real && jitter.is_zero(), factor: 5 };
        let (network, ground) = (MemNetwork::new(seed), Ground::new(timing, seed));
        Self { network, ground, jitter, real, far: Mutex::default() }
    }

    /// Sets the delay between a place and every other one that is known.
    fn roughen(&self, place: &Place) {
        if !self.jitter.is_zero() {
            let (places, far) = (self.ground.places(), self.far.lock().unwrap());
            for other in places.iter().filter(|other| *other != place) {
                for (from, to) in [(place, other), (other, place)] {
                    let least = far.get(&(from.clone(), to.clone())).copied().unwrap_or_default();
                    self.network.delay(&address(from), &address(to), least, self.jitter);
                }
            }
        }
    }

    fn stranger(&self, at: &Place) -> MemLink {
        self.network.bind(NodeName::new(STRANGER).unwrap(), address(at)).unwrap()
    }

    /// A stranger that has dialled the node there. The link must live as long as it does.
    async fn stranger_at(&self, to: &Place) -> (MemLink, Stranger<<MemLink as Link>::Connection>) {
        let link = self.stranger(&Place::from(STRANGER));
        let connection = link.dial(&address(to), None).await.unwrap();
        (link, Stranger::on(connection).await.unwrap())
    }
}

fn address(place: &Place) -> Address {
    Address::new(place.as_str()).unwrap()
}

#[async_trait]
impl Harness for MemHarness {
    fn runtime(&self) -> tokio::runtime::Runtime {
        if self.real {
            return tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_time().build().unwrap();
        }
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    fn timing(&self) -> Timing {
        self.ground.timing()
    }

    async fn start(&self, options: StartOptions) -> Result<Arc<dyn Transport>, StartError> {
        let proved = options.identity.clone().unwrap_or_else(|| options.name.clone());
        let link = self.network.bind(proved, address(&options.place)).map_err(|error| StartError(error.to_string()))?;
        let link = self.ground.lanes(&options.place).around(link);
        let config = self.ground.config(&options, address);
        let mesh = Mesh::start(link, config).await.map_err(|error| StartError(error.to_string()))?;
        self.roughen(&options.place);
        let node: Arc<dyn Transport> = Arc::new(mesh);
        self.ground.keep(options.place, &node);
        Ok(node)
    }

    async fn stop(&self, place: &Place, deadline: Duration) -> Shutdown {
        self.ground.stop(place, deadline).await
    }

    async fn crash(&self, place: &Place) {
        self.network.crash(&address(place));
        drop(self.ground.take(place));
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

    async fn suspend(&self, time: Duration) {
        if self.real {
            ground::block_workers(time).await;
        } else {
            tokio::time::advance(time).await;
        }
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
        self.network.block_dials(&address(from), &address(to));
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
