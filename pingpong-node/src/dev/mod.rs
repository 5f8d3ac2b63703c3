//! A cluster within this process, for examples, tests and first steps. **Not for production.**
//!
//! The nodes are real ones, on the transport that the build has, and their links are real links. What makes it a cluster for
//! development: all nodes share one process and one runtime, so that one crash ends all of them and one handler that blocks its
//! thread holds up all of them; over QUIC they listen on the loopback address, with certificates of an authority whose key is
//! thrown away; no incarnation is stored, and nothing is configured. A service runs one node, on a link that it binds itself
//! ([`Mesh::start`](crate::Mesh::start)), or as a `Daemon` that is configured by a file.
//!
//! ```
//! use pingpong_node::dev;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut cluster = dev::Cluster::start(["a", "b", "c"]).await?; // each is linked with each
//! assert_eq!(cluster.node("a")?.list().len(), 2);
//!
//! cluster.stop("b").await?; // a graceful leave; the others see `Down(left)`
//! cluster.add("b").await?; // and the same name again, in a new incarnation
//! # cluster.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! In a build with `mem`, [`Cluster::network`] cuts, delays and crashes. On tokio's paused clock (`#[tokio::test(start_paused = true)]`)
//! a test on it waits for no timeout in real time.

mod error;
mod kind;
mod network;

pub use error::DevError;
pub use kind::Kind;

use crate::server::{Server, ServerHandle, SpawnOptions, spawn};
use crate::transport::{RegisterError, Shutdown};
use crate::{Address, ClusterName, MeshConfig, NodeName, ServerName, Transport};
use network::Network;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The cluster's name. Another one of this process is on another network, or has another authority.
const NAME: &str = "dev";
/// How long nodes on one machine may take to link.
const LINKED_WITHIN: Duration = Duration::from_secs(30);
/// How long a node may take to say goodbye.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

type Tune = Box<dyn Fn(&mut MeshConfig) + Send + Sync>;

/// Nodes within this process, each linked with each. Dropping it ends them without a goodbye.
pub struct Cluster {
    network: Network,
    tune: Tune,
    nodes: BTreeMap<NodeName, Member>,
}

struct Member {
    transport: Arc<dyn Transport>,
    address: Address,
}

impl Cluster {
    /// Starts a node of each name, and waits until each is linked with each.
    ///
    /// The transport is the one that this build has; with both it is memory, which needs no sockets. Must be called within a tokio
    /// runtime. Cancel safe: dropped before it is ready, all that was started ends.
    ///
    /// # Errors
    /// [`DevError`]; whatever was started ends.
    pub async fn start<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, DevError> {
        Self::start_on(Kind::default(), names).await
    }

    /// The same on that transport. Cancel safe, as [`start`](Self::start).
    ///
    /// # Errors
    /// [`DevError`]; whatever was started ends.
    pub async fn start_on<'a>(kind: Kind, names: impl IntoIterator<Item = &'a str>) -> Result<Self, DevError> {
        Self::start_with(kind, names, |_| {}).await
    }

    /// The same with nodes whose configuration `tune` has changed: short timeouts, small limits. Name, cluster and seeds are the
    /// cluster's own. Cancel safe, as [`start`](Self::start).
    ///
    /// # Errors
    /// [`DevError`]; whatever was started ends.
    pub async fn start_with<'a>(
        kind: Kind,
        names: impl IntoIterator<Item = &'a str>,
        tune: impl Fn(&mut MeshConfig) + Send + Sync + 'static,
    ) -> Result<Self, DevError> {
        let network = Network::new(kind, &ClusterName::new(NAME)?)?;
        let mut cluster = Self { network, tune: Box::new(tune), nodes: BTreeMap::new() };
        for name in names {
            cluster.begin(name).await?;
        }
        cluster.linked().await?;
        Ok(cluster)
    }

    /// Starts another node, and waits until each is linked with each. A name that was here before comes as a new incarnation.
    ///
    /// Cancel safe: dropped before it is ready, the node may run, and [`node`](Self::node) says whether it does.
    ///
    /// # Errors
    /// [`DevError`]; one that is not linked in time is in the cluster all the same.
    pub async fn add(&mut self, name: &str) -> Result<&Arc<dyn Transport>, DevError> {
        self.begin(name).await?;
        self.linked().await?;
        self.node(name)
    }

    async fn begin(&mut self, name: &str) -> Result<(), DevError> {
        let name = NodeName::new(name)?;
        if self.nodes.contains_key(&name) {
            return Err(DevError::Running(name));
        }
        let mut config = MeshConfig::new(ClusterName::new(NAME)?, name.clone());
        (self.tune)(&mut config);
        config.cluster = ClusterName::new(NAME)?;
        config.name = name.clone();
        config.seeds = self.nodes.values().map(|member| member.address.clone()).collect();
        let (transport, address) = self.network.node(config).await?;
        self.nodes.insert(name, Member { transport, address });
        Ok(())
    }

    /// Waits until each node is linked with each, at most for half a minute. Cancel safe.
    ///
    /// # Errors
    /// [`DevError::NotLinked`] says who is not linked with whom.
    pub async fn linked(&self) -> Result<(), DevError> {
        let deadline = Instant::now() + LINKED_WITHIN;
        for (name, member) in &self.nodes {
            let mut missing: BTreeSet<&NodeName> = self.nodes.keys().filter(|other| *other != name).collect();
            let mut events = member.transport.monitor();
            while !missing.is_empty() {
                let Ok(Some(event)) = timeout_at(deadline, events.next()).await else {
                    let missing = missing.into_iter().cloned().collect();
                    return Err(DevError::NotLinked { node: name.clone(), missing });
                };
                match self.nodes.get_key_value(&event.node.name) {
                    Some((other, _)) if !event.is_up() => missing.insert(other),
                    _ => missing.remove(&event.node.name),
                };
            }
        }
        Ok(())
    }

    /// The node of that name.
    ///
    /// # Errors
    /// [`DevError::NoSuchNode`], with the names that there are.
    pub fn node(&self, name: &str) -> Result<&Arc<dyn Transport>, DevError> {
        Ok(&self.member(name)?.transport)
    }

    /// Where the node of that name is dialled; to the network in memory it is the host.
    ///
    /// # Errors
    /// [`DevError::NoSuchNode`], with the names that there are.
    pub fn address(&self, name: &str) -> Result<&Address, DevError> {
        Ok(&self.member(name)?.address)
    }

    fn member(&self, name: &str) -> Result<&Member, DevError> {
        let found = self.nodes.iter().find(|(own, _)| own.as_str() == name).map(|(_, member)| member);
        found.ok_or_else(|| DevError::NoSuchNode { name: name.to_owned(), nodes: self.names() })
    }

    fn names(&self) -> Vec<NodeName> {
        self.nodes.keys().cloned().collect()
    }

    /// All nodes, sorted by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<dyn Transport>> {
        self.nodes.values().map(|member| &member.transport)
    }

    /// Spawns a server of that name on every node that runs now; see [`spawn`]. The handles are in the order of the nodes' names.
    ///
    /// # Errors
    /// [`RegisterError`]; those that were spawned are stopped.
    pub fn spawn<S, F>(&self, server: &ServerName, factory: F) -> Result<Vec<ServerHandle>, RegisterError>
    where
        S: Server,
        F: Fn() -> S + Clone + Send + Sync + 'static,
    {
        let on = |node: &Arc<dyn Transport>| {
            spawn(Arc::clone(node), server.clone(), factory.clone(), SpawnOptions::default())
        };
        self.nodes().map(on).collect()
    }

    /// The node of that name leaves the cluster (S2).
    ///
    /// Cancel safe: once polled, the node is out of this cluster; dropped before it is ready, the node ends without waiting for its peers.
    ///
    /// # Errors
    /// [`DevError::NoSuchNode`], with the names that there are.
    pub async fn stop(&mut self, name: &str) -> Result<Shutdown, DevError> {
        self.member(name)?;
        let left = self.nodes.remove(&NodeName::new(name)?);
        match left {
            Some(member) => Ok(member.transport.shutdown(LEAVE_WITHIN).await),
            None => Err(DevError::NoSuchNode { name: name.to_owned(), nodes: self.names() }),
        }
    }

    /// All nodes leave, one after the other. Cancel safe: dropped before it is ready, the others end without a goodbye.
    pub async fn shutdown(self) {
        for member in self.nodes.into_values() {
            member.transport.shutdown(LEAVE_WITHIN).await;
        }
    }

    /// The transport that the nodes are on.
    pub fn kind(&self) -> Kind {
        self.network.kind()
    }

    /// The network in memory, for faults; `None` over QUIC.
    #[cfg(feature = "mem")]
    pub fn network(&self) -> Option<&crate::mem::MemNetwork> {
        self.network.in_memory()
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("kind", &self.kind()).field("nodes", &self.names()).finish_non_exhaustive()
    }
}
