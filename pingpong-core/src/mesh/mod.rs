//! Turns links into a transport, once for all backends.
//!
//! | owner | what it owns |
//! | --- | --- |
//! | `driver`, `ticks` | the one task that changes sessions: the session machine, redial, time, commands |
//! | `actions` | what the machine says, carried out in its order |
//! | `connection` | the tasks of one connection: control in and out, heartbeats, its lanes, its end |
//! | `lane`, `writer` | outgoing messages: one queue for each server, one writer for each link and lane |
//! | `reader`, `deliver`, `mailbox` | incoming messages: one reader for each lane, one queue for each server |
//! | `calls`, `send` | calls in flight; the verbs of the transport |
//! | `session`, `roster`, `routes`, `shared`, `view` | what the tasks know of each other, and what monitors are shown |
//! | `links` | what operators are told of links |
//!
//! `docs/architecture.md` draws the three ways through it: a cast, a call, a node event.

mod actions;
mod calls;
mod connection;
mod counters;
mod deliver;
mod driver;
#[cfg(test)]
mod fixtures;
mod flush;
#[cfg(all(test, feature = "interleavings"))]
mod interleavings;
mod lane;
mod large;
mod links;
mod mailbox;
mod reader;
mod roster;
mod routes;
mod send;
mod session;
mod shared;
#[cfg(test)]
mod tests;
mod ticks;
mod view;
mod writer;

use crate::config::{ConfigError, MeshConfig, NOTICES};
use crate::inbox::{Inbox, ServerOptions};
use crate::link::Link;
use crate::message::Encoded;
use crate::monitor::NodeEvents;
use crate::name::{NodeName, ServerName};
use crate::node::{Incarnation, Node};
use crate::repeats::Repeats;
use crate::session::{Identity, Limits, Machine, Redial, RedialSettings, Versions};
use crate::transport::{
    Counters, RegisterError, Replies, SendError, Sent, Shutdown, StopReason, Targets, Transport, WhenFull,
};
use async_trait::async_trait;
use driver::{Command, Driver};
pub use links::LinkInfo;
use shared::Shared;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use ticks::Compared;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Commands that wait for the driver; beyond it callers wait.
const COMMANDS: usize = 64;

/// A node on the network of a [`Link`]: the [`Transport`] for all backends.
///
/// ```
/// use pingpong_core::link::Link;
/// use pingpong_core::mesh::StartError;
/// use pingpong_core::{Address, ClusterName, Mesh, MeshConfig, NodeName, Transport};
/// use std::sync::Arc;
///
/// /// Starts a node on any backend, which has bound the endpoint under the same name.
/// async fn start(link: impl Link, name: NodeName, seed: Address) -> Result<Arc<dyn Transport>, Box<dyn std::error::Error>> {
///     let mut config = MeshConfig::new(ClusterName::new("shop")?, name);
///     config.seeds = vec![seed];
///     match Mesh::start(link, config).await {
///         Ok(mesh) => Ok(Arc::new(mesh)),
///         // What a person must correct is told from what may be over when it is tried again.
///         Err(error @ StartError::Store(_)) => Err(format!("is the disk full? {error}").into()),
///         Err(error) => Err(error.into()),
///     }
/// }
/// ```
///
/// Dropping it without [`shutdown`](Transport::shutdown) ends the node without waiting for its peers.
pub struct Mesh<L: Link> {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    link: PhantomData<fn() -> L>,
}

/// A node cannot start; nothing of it was started (S1).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A field is out of range, or the bounds are too large together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The endpoint proves another name than the one that is configured: nobody would link with this node (A1).
    #[error(
        "the node is configured as {configured}, its identity is that of {proved}; correct the name, or give it an identity \
         of that name"
    )]
    Name {
        /// The name in the configuration.
        configured: NodeName,
        /// The name that the endpoint proves.
        proved: NodeName,
    },
    /// The endpoint was bound for fewer lanes than the configuration asks for.
    #[error(
        "the configuration asks for {needed} lanes on a connection, the endpoint was bound for {lanes}; bind it for as many"
    )]
    Lanes {
        /// Lanes of a connection that the configuration asks for: those of names, and three of the Mesh's own.
        needed: usize,
        /// Lanes that the endpoint allows.
        lanes: usize,
    },
    /// The store of incarnations cannot be read or written.
    #[error("the store of incarnations fails: {0}")]
    Store(String),
}

impl<L: Link> Mesh<L> {
    /// Starts a node on an endpoint that the backend has bound.
    ///
    /// Must be called within a tokio runtime, on which all of its tasks stay: one whose threads no handler blocks, see
    /// [`Server`](crate::server::Server). It returns once the node listens; links come up afterwards.
    ///
    /// Cancel safe: dropped before it is ready, the endpoint is closed, and no node was started.
    ///
    /// # Errors
    /// [`StartError`] names the item and the remedy; the endpoint is closed.
    pub async fn start(link: L, config: MeshConfig) -> Result<Self, StartError> {
        let incarnation = match first_incarnation(&link, &config).await {
            Ok(incarnation) => incarnation,
            Err(error) => {
                link.close(driver::CLOSE_DEADLINE).await;
                return Err(error);
            }
        };
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let node = Node { name: config.name.clone(), incarnation };
        tracing::info!(%node, cluster = %config.cluster, addresses = ?link.addresses(), "started");
        let shared = Shared::new(node, config.limits, config.timeouts);
        let driver = driver_of(link, &config, incarnation, Arc::clone(&shared), receiver);
        // It ends itself, when the last command sender is gone at the latest.
        tokio::spawn(driver.run());
        Ok(Self { shared, commands, link: PhantomData })
    }

    /// All links as they are now, sorted by name; none once the node has stopped. Cancel safe.
    pub async fn links(&self) -> Vec<LinkInfo> {
        let (answer, result) = oneshot::channel();
        // Refused once the node has stopped.
        let _ = self.commands.send(Command::Links(answer)).await;
        result.await.unwrap_or_default()
    }

    /// Whether every seed has been dialled once, whatever came of it.
    pub fn has_dialled_seeds(&self) -> bool {
        *self.shared.dialled.borrow()
    }

    /// Waits until every seed has been dialled once, whatever came of it. For ever, if the node stops first. Cancel safe.
    pub async fn dialled_seeds(&self) {
        let mut dialled = self.shared.dialled.subscribe();
        if dialled.wait_for(|dialled| *dialled).await.is_err() {
            // Not reached: the sender lives as long as this node's handle.
            std::future::pending::<()>().await;
        }
    }

    async fn command(&self, command: impl FnOnce(oneshot::Sender<bool>) -> Command) -> bool {
        let (answer, result) = oneshot::channel();
        if self.commands.send(command(answer)).await.is_err() {
            return false;
        }
        result.await.unwrap_or(false)
    }
}

async fn first_incarnation<L: Link>(link: &L, config: &MeshConfig) -> Result<Incarnation, StartError> {
    let endpoint = link.endpoint();
    config.check(&endpoint)?;
    if endpoint.name != config.name {
        return Err(StartError::Name { configured: config.name.clone(), proved: endpoint.name });
    }
    let needed = config.limits.lanes_per_connection();
    if endpoint.lanes < needed {
        return Err(StartError::Lanes { needed, lanes: endpoint.lanes });
    }
    let stored = config.incarnations.load().await.map_err(StartError::Store)?;
    let (wall, random) = (config.outside.wall_millis(), config.outside.random());
    let incarnation = match stored {
        Some(seen) => Incarnation::above(seen, wall, random),
        None => Incarnation::new(wall, random),
    };
    config.incarnations.store(incarnation).await.map_err(StartError::Store)?;
    Ok(incarnation)
}

fn driver_of<L: Link>(
    link: L,
    config: &MeshConfig,
    incarnation: Incarnation,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
) -> Driver<L> {
    let identity = Identity {
        name: config.name.clone(),
        cluster: config.cluster.clone(),
        incarnation,
        versions: Versions::CURRENT,
        failure_timeout_millis: u32::try_from(config.timeouts.failure.as_millis()).unwrap_or(u32::MAX),
        lanes: u16::try_from(config.limits.lanes).unwrap_or(u16::MAX),
        addresses: link.addresses(),
    };
    let settings = RedialSettings {
        attempt_spacing: config.timeouts.redial,
        attempt_life: config.timeouts.dial,
        max_peers: config.limits.max_peers,
        forget_after: config.timeouts.forget_after,
        ..RedialSettings::default()
    };
    let (notices, inbound) = mpsc::channel(NOTICES);
    Driver {
        link: Arc::new(link),
        shared,
        outside: Arc::clone(&config.outside),
        store: Arc::clone(&config.incarnations),
        machine: Machine::new(identity, Limits { max_peers: config.limits.max_peers }),
        redial: Redial::new(config.name.clone(), config.seeds.clone(), settings),
        conns: BTreeMap::new(),
        last_conn: 0,
        pending: VecDeque::new(),
        attention: Arc::new(Notify::new()),
        notices,
        inbound,
        commands,
        dials: JoinSet::new(),
        dial_handles: BTreeMap::new(),
        tasks: JoinSet::new(),
        ticks: 0,
        accepting: None,
        crowded_at: None,
        late: Vec::new(),
        compared: Compared::default(),
        next_tick: Instant::now(),
        leave_by: None,
        flushed: true,
        repeats: Repeats::default(),
        done: None,
        stop: None,
    }
}

#[async_trait]
impl<L: Link> Transport for Mesh<L> {
    fn node(&self) -> Node {
        self.shared.node()
    }

    fn list(&self) -> Vec<Node> {
        self.shared.view.list()
    }

    fn monitor(&self) -> NodeEvents {
        self.shared.view.monitor()
    }

    fn try_abcast(
        &self,
        targets: &Targets,
        server: &ServerName,
        message: Encoded<'_>,
        when_full: WhenFull,
    ) -> Result<Sent, SendError> {
        self.shared.try_abcast(targets, server, message, when_full)
    }

    async fn abcast(&self, targets: &Targets, server: &ServerName, message: Encoded<'_>) -> Result<Sent, SendError> {
        self.shared.abcast(targets, server, message).await
    }

    async fn multi_call(
        &self,
        targets: &Targets,
        server: &ServerName,
        request: Encoded<'_>,
        deadline: Duration,
    ) -> Replies {
        self.shared.multi_call(targets, server, request, deadline).await
    }

    fn register(&self, server: &ServerName, options: ServerOptions) -> Result<Box<dyn Inbox>, RegisterError> {
        self.shared.register(server, options)
    }

    async fn disconnect(&self, name: &NodeName) -> bool {
        let name = name.clone();
        self.command(|answer| Command::Disconnect(name, answer)).await
    }

    async fn forget(&self, name: &NodeName) -> bool {
        let name = name.clone();
        self.command(|answer| Command::Forget(name, answer)).await
    }

    async fn shutdown(&self, deadline: Duration) -> Shutdown {
        // Refused once the node has stopped: then its end is known already.
        let _ = self.commands.send(Command::Leave(deadline)).await;
        self.shared.end().await.1
    }

    async fn stopped(&self) -> StopReason {
        self.shared.end().await.0
    }

    fn counters(&self) -> Counters {
        self.shared.common.counters.snapshot()
    }
}

impl<L: Link> fmt::Debug for Mesh<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").field("node", &self.shared.node()).finish_non_exhaustive()
    }
}
