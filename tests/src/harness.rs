//! What a backend gives to the suite: ways to start nodes, to break the network between them, and to stop them.

use crate::capability::{Capabilities, Capability};
use async_trait::async_trait;
use pingpong_core::config::Limits;
use pingpong_core::session::Versions;
use pingpong_core::transport::Shutdown;
use pingpong_core::{ClusterName, NodeName, Transport};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// A world of nodes and a network between them, for one case. A factory makes a fresh one for each.
///
/// Every node lives at a [`Place`], which keeps its address over restarts; a second process under the same name lives at
/// another place. Faults name places, and may name one where nothing was started yet.
///
/// No method need be cancel safe: a case that gives one of its calls up has failed, and its world ends with it.
///
/// A method with a [`Capability`] of its own may be left out, if [`capabilities`](Self::capabilities) says so: no case calls it then.
#[allow(unused_variables)] // of methods that a harness may lack: the names are for the reader
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
    async fn crash(&self, place: &Place) {
        lacks(Capability::Crash)
    }

    /// Packets between the two vanish, both ways, without an error (F1).
    async fn cut(&self, one: &Place, other: &Place) {
        lacks(Capability::Cut)
    }

    /// Packets from one to the other vanish; those the other way arrive.
    async fn cut_one_way(&self, from: &Place, to: &Place) {
        lacks(Capability::CutOneWay)
    }

    /// Packets between places of different groups vanish. Places in no group reach all.
    async fn partition(&self, groups: &[Vec<Place>]) {
        lacks(Capability::Cut)
    }

    /// Ends every cut between the two.
    async fn heal(&self, one: &Place, other: &Place) {
        lacks(Capability::Cut)
    }

    /// Ends every cut and partition. Whoever has [`cut_one_way`](Self::cut_one_way) alone has this, too.
    async fn heal_all(&self) {
        lacks(Capability::CutOneWay)
    }

    /// Packets between the two take this much longer, each way.
    async fn delay(&self, one: &Place, other: &Place, each_way: Duration) {
        lacks(Capability::Delay)
    }

    /// The node's network stands still, as of a process that is stopped: nothing goes in or out until
    /// [`resume`](Self::resume), nothing is lost.
    async fn stall(&self, place: &Place) {
        lacks(Capability::Stall)
    }

    /// Ends a [`stall`](Self::stall).
    async fn resume(&self, place: &Place) {
        lacks(Capability::Stall)
    }

    /// The whole process of the nodes stands still for that much time, as on a host that is suspended: no task of any of them
    /// runs, and their timers find that time has passed.
    async fn suspend(&self, time: Duration) {
        lacks(Capability::Suspend)
    }

    /// From now on no lane but the control lane brings a byte to the node, on any connection, until [`thaw`](Self::thaw);
    /// control messages and heartbeats pass.
    async fn freeze(&self, place: &Place) {
        lacks(Capability::FreezeLanes)
    }

    /// Ends a [`freeze`](Self::freeze).
    async fn thaw(&self, place: &Place) {
        lacks(Capability::FreezeLanes)
    }

    /// The next lane but the control lane that brings bytes to the node fails instead, although its connection lives. Once.
    async fn break_lane(&self, place: &Place) {
        lacks(Capability::BreakLanes)
    }

    /// No new connection can be dialled from one to the other, as behind a firewall; existing ones, and dials the other
    /// way, work.
    async fn block_dials(&self, from: &Place, to: &Place) {
        lacks(Capability::BlockDials)
    }

    /// Speaks to the node at `to` as one of this cluster and these versions would, and returns what it says.
    async fn greet(&self, to: &Place, cluster: &ClusterName, versions: Versions) -> Greeted {
        lacks(Capability::Greet)
    }

    /// Waits at that place to be dialled by a node, answers as one of this cluster and these versions would, and returns what
    /// the node says to that. Nothing may live at the place.
    async fn answer(&self, at: &Place, cluster: &ClusterName, versions: Versions) -> Greeted {
        lacks(Capability::Greet)
    }

    /// Speaks to the node at `to` as [`STRANGER`], a name that it proves, breaks the protocol in this way, and returns what the
    /// node says. The node's name is a smaller one.
    async fn misbehave(&self, to: &Place, how: Misbehaviour) -> Greeted {
        lacks(Capability::Misbehave)
    }
}

/// What a harness lacks, and says so, is never called.
fn lacks(capability: Capability) -> ! {
    panic!(
        "the harness has no {capability:?}, and its capabilities do not say so: take it out there, or write the method"
    );
}

/// The name of whoever speaks to nodes without being one.
pub const STRANGER: &str = "stranger";

/// A way to break the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Bytes that mean nothing where control messages come in.
    GarbageInControl,
    /// Bytes that mean nothing where the messages of a server come in.
    GarbageInALane,
    /// A lane ends, although the link is up.
    EndedLane,
    /// No answer to the offer of a session, although the connection lives: no link comes of it.
    NoAnswer,
    /// Another name than the one that is proved: `ghost`. No link comes of it.
    AnotherName,
}

impl Misbehaviour {
    /// Those of a peer that is linked.
    pub const LINKED: [Self; 3] = [Self::GarbageInControl, Self::GarbageInALane, Self::EndedLane];
    /// Who [`AnotherName`](Self::AnotherName) says that it is.
    pub const GHOST: &str = "ghost";
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
    /// Its bounds, all of them. A node that is not told any has [`Limits::default`], which cases count on.
    pub limits: Option<Limits>,
    /// For how long it looks for a node that is gone, if not the default of 24 h (M7).
    pub forget_after: Option<Duration>,
    /// Its wall clock, compared with that of the others.
    pub clock: Clock,
    /// What becomes of its stored incarnation.
    pub store: Store,
    /// The cluster it believes to be in; [`cluster`](crate::ground::cluster) if `None` (A1).
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
            forget_after: None,
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
    /// It does neither, but what these words say: the connection is lost, or nothing comes.
    Neither(String),
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
    /// How long to wait for what was promised within `bound`: no bound is so short that a timer's resolution counts.
    pub fn within(&self, bound: Duration) -> Duration {
        let bound = if self.exact { bound } else { bound * self.factor.max(5) };
        bound + Duration::from_millis(5)
    }

    /// How long to wait for what must come without any wait: the way there and back at most, where time is not exact.
    pub fn at_once(&self) -> Duration {
        self.within(if self.exact { Duration::ZERO } else { self.failure / 8 })
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
