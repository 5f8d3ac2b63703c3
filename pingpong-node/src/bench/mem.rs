//! Nodes of this process, on the in-memory network, on the real clock.

use super::node::{BenchNode, Setup, forget_peak};
use super::nodes::{Layout, Nodes};
use super::protocol::{Order, Said};
use crate::cluster::{ClusterError, name};
use pingpong_node::mem::{MemLink, MemNetwork};
use pingpong_node::{Address, Mesh, NodeName};
use std::collections::BTreeSet;
#[cfg(feature = "daemon")]
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Orders, and answers, that wait: there is one of each at most.
const WAITING: usize = 1;

type Answer = Result<Option<Said>, ClusterError>;

/// A node, and the task that it lives in.
struct Host {
    orders: mpsc::Sender<Order>,
    answers: mpsc::Receiver<Answer>,
    /// Dropped to end it.
    stop: Option<oneshot::Sender<()>>,
    task: JoinSet<()>,
}

/// Nodes of one process. When it is dropped they end without a farewell.
pub(crate) struct MemNodes {
    network: MemNetwork,
    addresses: Vec<Address>,
    hosts: Vec<Option<Host>>,
    /// Those that were started at least once.
    begun: BTreeSet<usize>,
    /// Its files, if there are any, go last.
    layout: Layout,
}

impl MemNodes {
    /// Sets up the network; no node is started.
    pub(crate) fn new(layout: Layout) -> Result<Self, ClusterError> {
        forget_peak();
        let nodes = layout.nodes;
        let address = |node| {
            Address::new(&name(node)).map_err(|error| ClusterError::own("the address of a node")(error.to_string()))
        };
        Ok(Self {
            network: MemNetwork::new(1),
            addresses: (0..nodes).map(address).collect::<Result<_, _>>()?,
            hosts: (0..nodes).map(|_| None).collect(),
            begun: BTreeSet::new(),
            layout,
        })
    }

    fn host(&mut self, node: usize) -> Result<&mut Host, ClusterError> {
        self.hosts[node].as_mut().ok_or_else(|| ClusterError::NotRunning { node: name(node) })
    }
}

fn gone(node: usize) -> ClusterError {
    ClusterError::node(&name(node), "go on", "its task has ended")
}

impl Nodes for MemNodes {
    const ONE_PROCESS: bool = true;

    fn number(&self) -> usize {
        self.addresses.len()
    }

    async fn start(&mut self, node: usize) -> Result<(), ClusterError> {
        let nodes = self.addresses.len();
        let setup = self.layout.setup(node, self.begun.insert(node));
        let seeds: Vec<String> =
            self.layout.seeds.of(node, nodes).map(|seed| self.addresses[seed].to_string()).collect();
        let refused = |error: &dyn std::fmt::Display| ClusterError::start(&name(node), error);
        let own = NodeName::new(&name(node)).map_err(|error| refused(&error))?;
        let link = self.network.bind(own, self.addresses[node].clone()).map_err(|error| refused(&error))?;
        let (orders, taken) = mpsc::channel(WAITING);
        let (said, answers) = mpsc::channel(WAITING);
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(live(link, setup, seeds, taken, said, stopped));
        self.hosts[node] = Some(Host { orders, answers, stop: Some(stop), task });
        Ok(())
    }

    async fn started(&mut self, node: usize) -> Result<(), ClusterError> {
        let answer = self.host(node)?.answers.recv().await;
        answer.unwrap_or_else(|| Err(gone(node))).map(drop)
    }

    async fn tell(&mut self, node: usize, _: &'static str, order: Order) -> Result<(), ClusterError> {
        self.host(node)?.orders.send(order).await.map_err(|_| gone(node))
    }

    async fn said(&mut self, node: usize) -> Result<Said, ClusterError> {
        let answer = self.host(node)?.answers.recv().await.unwrap_or_else(|| Err(gone(node)))?;
        answer.ok_or_else(|| ClusterError::node(&name(node), "say what it was asked", "it says nothing"))
    }

    async fn rest(&mut self, time: Duration) -> Result<(), ClusterError> {
        tokio::time::sleep(time).await;
        Ok(())
    }

    async fn kill(&mut self, node: usize) -> Result<(), ClusterError> {
        self.network.crash(&self.addresses[node]);
        // It stays in its place until it has ended, so that it is waited for even if this is not.
        if let Some(host) = &mut self.hosts[node] {
            host.end().await;
        }
        self.hosts[node] = None;
        Ok(())
    }

    fn cut(&mut self, node: usize) {
        for other in (0..self.addresses.len()).filter(|other| *other != node) {
            self.network.cut(&self.addresses[node], &self.addresses[other]);
        }
    }

    fn heal(&mut self) {
        self.network.heal_all();
    }

    #[cfg(feature = "daemon")]
    fn store(&self, node: usize) -> Option<PathBuf> {
        self.layout.store(node)
    }

    /// Nobody: a node of this process does not hang alone.
    fn silent(&self) -> Option<ClusterError> {
        None
    }

    /// There are none: what the nodes say of themselves is not recorded within one process.
    fn logs(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn running(&self) -> Vec<String> {
        (0..self.hosts.len()).filter(|node| self.hosts[*node].is_some()).map(name).collect()
    }

    async fn close(&mut self) -> Result<(), ClusterError> {
        // All of them at once: whoever is still there would look for those that are gone.
        for host in self.hosts.iter_mut().flatten() {
            drop(host.stop.take());
        }
        for node in 0..self.hosts.len() {
            self.kill(node).await?;
        }
        Ok(())
    }
}

impl Host {
    async fn end(&mut self) {
        drop(self.stop.take());
        self.task.join_next().await;
    }
}

/// A node's life: it starts, and does as it is told until it is to stop, whatever it does then.
async fn live(
    link: MemLink,
    setup: Setup,
    seeds: Vec<String>,
    mut orders: mpsc::Receiver<Order>,
    answers: mpsc::Sender<Answer>,
    stopped: oneshot::Receiver<()>,
) {
    let name = name(setup.number);
    let started = async {
        let config = setup.mesh(&name, &seeds)?;
        let mesh = Mesh::start(link, config).await.map_err(|error| ClusterError::start(&name, &error))?;
        BenchNode::on(mesh, setup).await
    };
    let mut node = match started.await {
        Ok(node) => node,
        Err(error) => {
            // Nobody listens if all of this has ended.
            let _ = answers.send(Err(error)).await;
            return;
        }
    };
    let obeys = async {
        if answers.send(Ok(None)).await.is_err() {
            return;
        }
        while let Some(order) = orders.recv().await {
            let answer = node.obey(order).await;
            if answers.send(answer).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = stopped => {}
        () = obeys => {}
    }
    node.end().await;
}
