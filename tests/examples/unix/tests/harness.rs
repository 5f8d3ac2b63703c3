//! Nodes on Unix sockets, in real time, each on a runtime of its own: so one can be ended as its process would be.

use crate::link::{UnixConnection, UnixLink};
use async_trait::async_trait;
use pingpong_conformance::ground::{Ground, cluster};
use pingpong_conformance::stranger::{Stranger, leaving};
use pingpong_conformance::{
    Capabilities, Capability, Greeted, Harness, Misbehaviour, Place, STRANGER, StartError, StartOptions, Timing,
};
use pingpong_core::config::Limits;
use pingpong_core::link::Link;
use pingpong_core::mesh::Mesh;
use pingpong_core::session::Versions;
use pingpong_core::transport::Shutdown;
use pingpong_core::{Address, ClusterName, NodeName, Transport};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// How long the tasks of a node may take to end.
const END: Duration = Duration::from_secs(10);

pub(crate) struct UnixHarness {
    dir: TempDir,
    ground: Ground,
    runtimes: Mutex<BTreeMap<Place, Runtime>>,
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl UnixHarness {
    pub(crate) fn new() -> Self {
        let (failure, stall) = (Duration::from_secs(1), Duration::from_secs(2));
        let ground = Ground::new(Timing { failure, stall, exact: false, factor: 5 }, 0);
        Self { dir: tempfile::tempdir().unwrap(), ground, runtimes: Mutex::default() }
    }

    fn address(&self, place: &Place) -> Address {
        Address::new(self.dir.path().join(place.as_str()).to_str().unwrap()).unwrap()
    }

    async fn stranger(&self, at: &Place) -> UnixLink {
        let lanes = Limits::default().lanes_per_connection();
        UnixLink::bind(NodeName::new(STRANGER).unwrap(), self.address(at), lanes).await.unwrap()
    }

    /// A stranger that has dialled the node there, from a place of its own. The link must live as long as it does.
    async fn stranger_at(&self, to: &Place) -> (UnixLink, Stranger<UnixConnection>) {
        let link = self.stranger(&Place::from(format!("{STRANGER}-{}", self.ground.next_number()).as_str())).await;
        let connection = link.dial(&self.address(to), None).await.unwrap();
        (link, Stranger::on(connection).await.unwrap())
    }

    async fn end(&self, place: &Place) {
        let Some(runtime) = self.runtimes.lock().unwrap().remove(place) else { return };
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(END)).await.unwrap();
    }
}

impl Drop for UnixHarness {
    fn drop(&mut self) {
        for runtime in std::mem::take(&mut *self.runtimes.lock().unwrap()).into_values() {
            runtime.shutdown_background();
        }
    }
}

#[async_trait]
impl Harness for UnixHarness {
    fn runtime(&self) -> Runtime {
        runtime()
    }

    fn capabilities(&self) -> Capabilities {
        let nothing_lost = "between processes of one machine the kernel loses and delays nothing, and cuts nobody off";
        let one_process = "the nodes of the suite share its process, which cannot be stopped alone";
        Capabilities::all()
            .without(Capability::Cut, nothing_lost)
            .without(Capability::CutOneWay, nothing_lost)
            .without(Capability::Delay, nothing_lost)
            .without(Capability::BlockDials, "all processes of the user may open the path of a socket, or none")
            .without(Capability::Stall, one_process)
            .without(Capability::Suspend, one_process)
            .without(Capability::CountTasks, "each node has a runtime of its own, to be ended as its process would be")
    }

    fn timing(&self) -> Timing {
        self.ground.timing()
    }

    async fn start(&self, options: StartOptions) -> Result<Arc<dyn Transport>, StartError> {
        let proved = options.identity.clone().unwrap_or_else(|| options.name.clone());
        let config = self.ground.config(&options, |place| self.address(place));
        let (address, faults) = (self.address(&options.place), self.ground.lanes(&options.place));
        let runtime = runtime();
        let started = runtime.spawn(async move {
            let link = UnixLink::bind(proved, address, config.limits.lanes_per_connection()).await;
            let link = faults.around(link.map_err(|error| StartError(error.to_string()))?);
            Mesh::start(link, config).await.map_err(|error| StartError(error.to_string()))
        });
        let started = started.await.unwrap();
        if started.is_err() {
            runtime.shutdown_background();
        } else {
            self.runtimes.lock().unwrap().insert(options.place.clone(), runtime);
        }
        let node: Arc<dyn Transport> = Arc::new(started?);
        self.ground.keep(options.place, &node);
        Ok(node)
    }

    async fn stop(&self, place: &Place, deadline: Duration) -> Shutdown {
        let shutdown = self.ground.stop(place, deadline).await;
        self.end(place).await;
        shutdown
    }

    async fn crash(&self, place: &Place) {
        drop(self.ground.take(place));
        self.end(place).await;
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

    async fn greet(&self, to: &Place, cluster: &ClusterName, versions: Versions) -> Greeted {
        let (link, stranger) = self.stranger_at(to).await;
        leaving(link, stranger.greets(cluster, versions)).await
    }

    async fn answer(&self, at: &Place, cluster: &ClusterName, versions: Versions) -> Greeted {
        let link = self.stranger(at).await;
        let stranger = Stranger::on(link.accept().await.unwrap()).await.unwrap();
        leaving(link, stranger.answers(cluster, versions)).await
    }

    async fn misbehave(&self, to: &Place, how: Misbehaviour) -> Greeted {
        let (link, stranger) = self.stranger_at(to).await;
        leaving(link, stranger.misbehaves(&cluster(), how)).await
    }
}
