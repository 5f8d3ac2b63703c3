//! Nodes that are processes, and talk QUIC with mutual TLS: directly, or through a relay that can cut them off or delay what they say.

use super::child::{BenchStart, OfBench};
use super::node::CLUSTER;
use super::nodes::{Layout, Nodes};
use super::options::IoThreads;
use super::protocol::{Order, Said};
use crate::cluster::{ClusterError, Processes, Relay, name};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
#[cfg(feature = "daemon")]
use std::path::PathBuf;
use std::time::Duration;

/// What is between the processes.
enum Between {
    /// Nothing: each listens at an address that is known before it starts.
    Nothing(Vec<SocketAddr>),
    Relay(Relay),
}

/// Nodes that are processes. When it is dropped they are killed, and then the relay ends.
pub(crate) struct QuicNodes {
    processes: Processes<OfBench>,
    between: Between,
    io_thread: IoThreads,
    /// Those that were started at least once.
    begun: BTreeSet<usize>,
    /// Its files, if there are any, go last.
    layout: Layout,
}

impl QuicNodes {
    /// Makes certificates, and addresses; no node is started. A relay, if there is to be one, delays each packet that long. It is for cuts
    /// and delays alone: it is much slower than the nodes.
    pub(crate) async fn new(
        layout: Layout,
        relay: Option<Duration>,
        io_thread: IoThreads,
    ) -> Result<Self, ClusterError> {
        let nodes = layout.nodes;
        let between = match relay {
            Some(delay) => Between::Relay(Relay::start(nodes, delay).await?),
            None => Between::Nothing(free(nodes)?),
        };
        let processes = Processes::new(CLUSTER, nodes)?;
        Ok(Self { processes, between, io_thread, begun: BTreeSet::new(), layout })
    }

    /// Where others dial a node.
    fn address(&self, node: usize) -> SocketAddr {
        match &self.between {
            Between::Nothing(addresses) => addresses[node],
            Between::Relay(relay) => relay.address(node),
        }
    }
}

/// Addresses that were free a moment ago. On Linux they are at a loopback address that no other process has, unless it listens
/// at all of them, so that they stay free.
fn free(nodes: usize) -> Result<Vec<SocketAddr>, ClusterError> {
    let own = if cfg!(target_os = "linux") {
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        // The block begins with 127; the second byte keeps clear of 127.0, where everybody is.
        Ipv4Addr::new(127, high | 0x80, middle, low)
    } else {
        Ipv4Addr::LOCALHOST
    };
    let bind = |_| UdpSocket::bind((IpAddr::V4(own), 0));
    let sockets: Result<Vec<UdpSocket>, _> = (0..nodes).map(bind).collect();
    let addresses = sockets.and_then(|sockets| sockets.iter().map(UdpSocket::local_addr).collect());
    addresses.map_err(ClusterError::system("no UDP address of the loopback interface can be had"))
}

impl Nodes for QuicNodes {
    const ONE_PROCESS: bool = false;

    fn number(&self) -> usize {
        self.layout.nodes
    }

    async fn start(&mut self, node: usize) -> Result<(), ClusterError> {
        let seeds = self.layout.seeds.of(node, self.layout.nodes).map(|seed| self.address(seed).to_string()).collect();
        let mut start = self.processes.identified(node, seeds);
        match &self.between {
            Between::Nothing(addresses) => start.listen = Some(addresses[node]),
            Between::Relay(relay) => start.advertise = Some(relay.address(node).to_string()),
        }
        let setup = self.layout.setup(node, self.begun.insert(node));
        let io_thread = self.io_thread == IoThreads::On;
        self.processes.start(node, BenchStart { start, setup, io_thread }).await
    }

    async fn started(&mut self, node: usize) -> Result<(), ClusterError> {
        let address = self.processes.started(node).await?;
        if let Between::Relay(relay) = &self.between {
            relay.set_real(node, Some(address));
        }
        Ok(())
    }

    async fn tell(&mut self, node: usize, what: &'static str, order: Order) -> Result<(), ClusterError> {
        self.processes.tell(node, what, order).await
    }

    async fn said(&mut self, node: usize) -> Result<Said, ClusterError> {
        let said = self.processes.answer_unless_ended(node).await?;
        said.ok_or_else(|| ClusterError::node(&name(node), "say what it was asked", "it says nothing"))
    }

    async fn rest(&mut self, time: Duration) -> Result<(), ClusterError> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            error = self.processes.ended() => Err(error),
        }
    }

    async fn kill(&mut self, node: usize) -> Result<(), ClusterError> {
        self.processes.kill(node).await?;
        if let Between::Relay(relay) = &self.between {
            // Its port is anybody's now.
            relay.set_real(node, None);
        }
        Ok(())
    }

    fn cut(&mut self, node: usize) {
        if let Between::Relay(relay) = &self.between {
            let others = (0..self.layout.nodes).filter(|other| *other != node).collect();
            relay.partition(&[vec![node], others]);
        }
    }

    fn heal(&mut self) {
        if let Between::Relay(relay) = &self.between {
            relay.heal();
        }
    }

    #[cfg(feature = "daemon")]
    fn store(&self, node: usize) -> Option<PathBuf> {
        self.layout.store(node)
    }

    fn silent(&self) -> Option<ClusterError> {
        self.processes.silent()
    }

    fn logs(&self) -> Vec<(String, String)> {
        self.processes.logs()
    }

    fn running(&self) -> Vec<String> {
        self.processes.running()
    }

    async fn close(&mut self) -> Result<(), ClusterError> {
        let left = self.processes.close().await;
        if let Between::Relay(relay) = &mut self.between {
            relay.close().await;
        }
        left
    }
}
