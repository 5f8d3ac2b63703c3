//! What a backend gives to the suite: ways to start nodes, to break the network between them, and to stop them.

use async_trait::async_trait;
use pingpong_core::config::Limits;
use pingpong_core::session::Versions;
use pingpong_core::transport::Shutdown;
use pingpong_core::{ClusterName, NodeName, Transport};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// A world of nodes and a network between them, for one case. A factory makes a fresh one for each.
///
/// Every node lives at a [`Place`], which keeps its address over restarts; a second process under the same name lives at
/// another place. Faults name places, and may name one where nothing was started yet.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The runtime that the case runs on: with a paused clock in memory, with several threads on a real network.
    fn runtime(&self) -> Runtime;

    /// What this harness can do, and for the rest the reason why not.
    fn capabilities(&self) -> Capabilities;

    /// The times that the nodes are started with, and how exactly they can be measured.
    fn timing(&self) -> Timing;

    /// Starts a node, and returns once it can be dialled. At a place whose node has crashed or stopped this is a restart.
    ///
    /// # Errors
    /// The words with which the backend refuses the configuration (S1).
    async fn start(&self, options: StartOptions) -> Result<Arc<dyn Transport>, StartError>;

    /// Shuts a node down gracefully (S2), and lets go of what the harness holds of it.
    async fn stop(&self, place: &Place, deadline: Duration) -> Shutdown;

    /// The process is gone: no goodbye, no close, no packet more.
    async fn crash(&self, place: &Place);

    /// Packets between the two vanish, both ways, without an error (F1).
    async fn cut(&self, one: &Place, other: &Place);

    /// Packets from one to the other vanish; those the other way arrive.
    async fn cut_one_way(&self, from: &Place, to: &Place);

    /// Packets between places of different groups vanish. Places in no group reach all.
    async fn partition(&self, groups: &[Vec<Place>]);

    /// Ends every cut between the two.
    async fn heal(&self, one: &Place, other: &Place);

    /// Ends every cut and partition.
    async fn heal_all(&self);

    /// Packets between the two take this much longer, each way.
    async fn delay(&self, one: &Place, other: &Place, each_way: Duration);

    /// The node's network stands still, as of a process that is stopped: nothing goes in or out until
    /// [`resume`](Self::resume), nothing is lost.
    async fn stall(&self, place: &Place);

    /// Ends a [`stall`](Self::stall).
    async fn resume(&self, place: &Place);

    /// No new connection can be dialled from one to the other, as behind a firewall; existing ones, and dials the other
    /// way, work.
    async fn block_dials(&self, from: &Place, to: &Place);

    /// Speaks to the node at `to` as one of this cluster and these versions would, and returns what it says.
    async fn greet(&self, to: &Place, cluster: &ClusterName, versions: Versions) -> Greeted;
}

/// Where a node lives. It keeps its address over restarts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(String);

impl Place {
    /// The place as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Place {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a node is started.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// Its name.
    pub name: NodeName,
    /// Where it lives.
    pub place: Place,
    /// Places that it is configured to dial for ever (M7).
    pub seeds: Vec<Place>,
    /// Bounds that differ from the harness's own.
    pub limits: Option<Limits>,
    /// Its wall clock, compared with that of the others.
    pub clock: Clock,
    /// What becomes of its stored incarnation.
    pub store: Store,
    /// The cluster it believes to be in; the harness's own if `None` (A1).
    pub cluster: Option<ClusterName>,
    /// The name that its identity vouches for, if it is not its own (A1, S1).
    pub identity: Option<NodeName>,
}

impl StartOptions {
    /// A node that lives at the place of its name, with no seeds and the defaults of the harness.
    pub fn new(name: NodeName) -> Self {
        let place = Place::from(name.as_str());
        Self {
            name,
            place,
            seeds: Vec::new(),
            limits: None,
            clock: Clock::Right,
            store: Store::None,
            cluster: None,
            identity: None,
        }
    }
}

/// A node's wall clock, compared with that of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The same.
    Right,
    /// Behind by this much.
    Behind(Duration),
    /// Ahead by this much.
    Ahead(Duration),
}

/// What becomes of a node's stored incarnation at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The node has no store.
    None,
    /// The place's store is used; it is empty at the first start.
    Kept,
    /// The place's store is emptied, and used.
    Lost,
}

/// A node did not start; the words are the backend's (S1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError(pub String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a node says to a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeted {
    /// It goes on talking.
    Answered,
    /// It closes the connection with these words.
    Refused(String),
}

/// How a harness's nodes are timed.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The failure timeout that nodes are started with (M6).
    pub failure: Duration,
    /// The stall timeout that nodes are started with (O3).
    pub stall: Duration,
    /// Whether the clock is paused: only then are the promised times checked as they stand.
    pub exact: bool,
    /// By how much a case waits longer than a promised time before it fails, if the clock is not paused: at least 5.
    pub factor: u32,
}

impl Timing {
    /// How long to wait for what was promised within `bound`.
    pub fn within(&self, bound: Duration) -> Duration {
        if self.exact { bound + Duration::from_millis(5) } else { bound * self.factor.max(5) }
    }

    /// How long to wait for anything that must come, without a promised time of its own.
    pub fn patience(&self) -> Duration {
        (self.failure * 2 + Duration::from_secs(3)) * self.factor.max(5)
    }

    /// How long a case may take.
    pub fn case_limit(&self) -> Duration {
        (self.patience() + self.stall) * 6
    }
}

/// Something that a case needs, and that a harness may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// [`Harness::cut`], [`Harness::partition`] and the heals.
    Cut,
    /// [`Harness::cut_one_way`].
    CutOneWay,
    /// [`Harness::delay`].
    Delay,
    /// [`Harness::stall`].
    Stall,
    /// [`Harness::block_dials`].
    BlockDials,
    /// [`Harness::crash`].
    Crash,
    /// [`StartOptions::clock`].
    SetClock,
    /// [`StartOptions::store`].
    Stores,
    /// Two processes under one name at two places.
    Twin,
    /// [`StartOptions::limits`].
    Limits,
    /// [`StartOptions::cluster`].
    Clusters,
    /// [`StartOptions::identity`].
    Identities,
    /// [`Harness::greet`].
    Greet,
    /// The tasks of the runtime are those of the case and its nodes, so that they can be counted.
    CountTasks,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Cut,
        Self::CutOneWay,
        Self::Delay,
        Self::Stall,
        Self::BlockDials,
        Self::Crash,
        Self::SetClock,
        Self::Stores,
        Self::Twin,
        Self::Limits,
        Self::Clusters,
        Self::Identities,
        Self::Greet,
        Self::CountTasks,
    ];
}

/// What a harness can do. What it cannot, it says with a reason, which every case that is skipped for it prints.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    missing: BTreeMap<Capability, &'static str>,
}

impl Capabilities {
    /// All of them.
    pub fn all() -> Self {
        Self::default()
    }

    /// All but this one, for this reason.
    #[must_use]
    pub fn without(mut self, capability: Capability, reason: &'static str) -> Self {
        self.missing.insert(capability, reason);
        self
    }

    /// Why the harness lacks it, if it does.
    pub fn missing(&self, capability: Capability) -> Option<&'static str> {
        self.missing.get(&capability).copied()
    }
}
