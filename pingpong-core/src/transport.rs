//! The [`Transport`] trait: four verbs of Erlang/OTP's distribution, and exactly what each promises when something fails.
//!
//! The numbers (M1 ... F3) are those of the contract in `docs/guarantees.md`; every case of the conformance suite names the
//! one that it checks. Where OTP is known to hurt its users the promise here is stronger than OTP's.

use crate::inbox::{Inbox, ServerOptions};
use crate::message::{Encoded, MessageType};
use crate::monitor::NodeEvents;
use crate::name::{NodeName, ServerName};
use crate::node::{Incarnation, Node};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// One node's view of its cluster: who is there, and ways to reach them.
///
/// # Words
/// A **node** is one running instance, [`Node`]; a restart under the same name is another, greater one. A **link** joins two
/// nodes that talk; links are pairwise, and a node is not cut off from a third because two others are. A **session** is one
/// life of a link, from `Up` to `Down`. A **server** is a named receiver, at most one of a name on each node. **Sent** means
/// accepted by the queue of a link; **delivered** means given to the server's handler.
///
/// # For callers
/// ## Membership
/// - [`list`](Self::list) returns the nodes with a session right now, sorted by name, without the local one (M1).
/// - A [`monitor`](Self::monitor) starts with one `Up` for every node already linked; you need not combine `list` with events
///   (M2). For one name `Up` and `Down` alternate, and `Down` names the incarnation that was up (M3). Having handled `Up(n)`
///   you find n in `list`, unless a `Down(n)` already waits for you (M4). Reasons tell why (M5). A slow reader gets flaps
///   folded, never a wrong state (M8).
/// - A silent peer is `Down` within the failure timeout (M6), and comes back by itself after a heal (M7).
/// - What was sent in a session is never lost without a `Down` on every side that was `Up` in it (M9).
///
/// ## Casts
/// - From one node to one server on another, casts and calls are delivered in the order sent (C2). Between `Up` and `Down`,
///   what is delivered is a gap-free prefix of what was sent (C3); nothing is delivered before the session's `Up` or after
///   its `Down` (C4). Two exceptions, both counted: no server of that name, and the mailbox of a server that crashed (C5).
/// - Servers do not wait for each other (C6). You must not rely on an order between different servers, between different
///   senders, or between replies and casts.
/// - Delivery is not processing: a caller who must know that a cast was handled uses a call.
///
/// ## Calls
/// - [`multi_call`](Self::multi_call) returns by its deadline, always (R1), with exactly one outcome for every target (R2),
///   each failure with its own reason (R3). A late reply never reaches a later call (R4); a server does not start on a
///   request whose caller has given up (R5); calls run concurrently (R6).
/// - A call may have run although it failed: only [`CallFailure::was_sent`]` == Some(false)` makes a retry safe.
///
/// ## Overload
/// - All queues are bounded, in bytes and in messages (O1). [`abcast`](Self::abcast) waits for room;
///   [`try_abcast`](Self::try_abcast) does not, and is the only one that a handler may use: two handlers that waited for
///   each other would wait for ever (O2).
/// - A peer, or a server, that makes no progress for the stall timeout is cut, or stopped (O3). A message over the limit is
///   refused here, and the link stays up (O4).
///
/// # For implementors
/// Most backends should implement [`Link`](crate::link::Link), and let [`Mesh`](crate::mesh::Mesh) keep this contract.
/// Whoever implements this trait, a wrapper for example:
/// - must keep every promise above, and pass the conformance suite;
/// - must be cancel safe as each method says: a dropped future has done all of its work or none of it;
/// - must not block a thread, hold a lock across an await, or start work that [`shutdown`](Self::shutdown) does not end;
/// - may be called from many tasks at once, and must linearize the calls: what one task has seen happen has happened for all.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Who this node is now. The incarnation rises when a peer has seen a greater one of this name (contract, "Words").
    fn node(&self) -> Node;

    /// The nodes with a session right now, sorted by name, without the local one (M1).
    fn list(&self) -> Vec<Node>;

    /// Subscribes to node events; the first ones are an `Up` for every node already linked (M2).
    fn monitor(&self) -> NodeEvents;

    /// Sends to `server` on all targets without waiting (C1, O2).
    ///
    /// `when_full` says what happens when the queue of some target has no room: [`WhenFull::Refuse`] sends to nobody,
    /// [`WhenFull::Skip`] sends to the others and names the skipped ones in [`Sent::refused`]. One slow node does not keep
    /// the message from the others.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent to anyone.
    fn try_abcast(
        &self,
        targets: &Targets,
        server: &ServerName,
        message: Encoded<'_>,
        when_full: WhenFull,
    ) -> Result<Sent, SendError>;

    /// Sends to `server` on all targets, and waits until every queue has room (C1, O2). It never waits for a reply.
    ///
    /// Waiting senders are served in the order in which they came. A target that goes down meanwhile is no longer waited for.
    ///
    /// Cancel safe: a future that is dropped before it is ready has sent to all or to nobody, never to some.
    ///
    /// # Errors
    /// [`SendError`], but never [`SendError::Full`]; nothing was sent to anyone.
    async fn abcast(&self, targets: &Targets, server: &ServerName, message: Encoded<'_>) -> Result<Sent, SendError>;

    /// Calls `server` on all targets, and returns one outcome for each, at the latest after `deadline` (R1 - R6).
    ///
    /// The targets are fixed at the call. It returns as soon as every outcome is known; all failures but the deadline are
    /// known without waiting for it.
    ///
    /// Cancel safe: dropping the future gives the call up; targets that have not started on it never will (R5).
    async fn multi_call(
        &self,
        targets: &Targets,
        server: &ServerName,
        request: Encoded<'_>,
        deadline: Duration,
    ) -> Replies;

    /// Registers a server of this name on the local node. It sees a gap-free stream from here on (C5); dropping the inbox
    /// ends the registration.
    ///
    /// # Errors
    /// [`RegisterError`] when the name is taken, or the node shuts down.
    fn register(&self, server: &ServerName, options: ServerOptions) -> Result<Box<dyn Inbox>, RegisterError>;

    /// Ends the session with `name` on both sides. The link comes back by itself: this resets a link, it keeps nobody out.
    ///
    /// Returns whether there was a session, once its `Down` is in the monitors' view.
    /// Cancel safe: the command is carried out even if the future is dropped after its first poll.
    async fn disconnect(&self, name: &NodeName) -> bool;

    /// As [`disconnect`](Self::disconnect), and forgets the addresses of `name`: neither side dials again, unless the other is
    /// its seed. A forgotten node that dials is known again. Returns whether the name was known.
    ///
    /// Cancel safe, as `disconnect`.
    async fn forget(&self, name: &NodeName) -> bool;

    /// Leaves the cluster: sends what is queued, says goodbye, and waits for the peers' word, at most for `deadline` (S2).
    ///
    /// Calls in flight end with an error, monitors and inboxes end, and no task, socket or file is left behind. A second call
    /// waits for the first. Cancel safe: once polled, the shutdown goes on although the future is dropped.
    async fn shutdown(&self, deadline: Duration) -> Shutdown;

    /// Waits until this node has stopped, and says why. Ready at once if it already has. Cancel safe.
    async fn stopped(&self) -> StopReason;

    /// What was counted instead of delivered, since the start of the node (C5, A1, A2).
    fn counters(&self) -> Counters;
}

/// Which nodes a message is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Targets {
    /// The local node and every node that is linked now.
    #[default]
    All,
    /// These nodes; the local one if it is named. A name that appears twice counts once.
    Nodes(Vec<NodeName>),
}

impl Targets {
    /// A single node.
    pub fn node(name: NodeName) -> Self {
        Self::Nodes(vec![name])
    }
}

/// What [`Transport::try_abcast`] does when the queue of some target is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Send to nobody, and return [`SendError::Full`].
    Refuse,
    /// Send to those that have room, and name the others in [`Sent::refused`].
    Skip,
}

/// Which nodes accepted a message into the queue of their link.
///
/// Accepted is not delivered: a `Down` of that node means that the message may be lost (M9).
#[derive(Clone, Debug)]
pub struct Sent {
    /// All whose queue has it, the local node included, sorted by name.
    pub accepted: Arc<[Node]>,
    /// All that were asked for and whose queue does not have it.
    pub refused: Vec<Refused>,
}

/// A target that did not accept a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The target.
    pub name: NodeName,
    /// Why its queue does not have the message.
    pub reason: NotSent,
}

/// Why a queue does not have a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotSent {
    /// There is no session with that node.
    #[error("not linked")]
    NotLinked,
    /// The queue is full ([`WhenFull::Skip`]).
    #[error("the queue is full")]
    Full,
}

/// Nothing was sent to anyone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The message is over the limit (O4).
    #[error("the message is {size} bytes long, the limit is {limit}; split it, or raise max_message on every node")]
    TooLarge {
        /// Size of the encoded body in bytes.
        size: usize,
        /// The configured maximum in bytes.
        limit: usize,
    },
    /// A queue is full ([`WhenFull::Refuse`]).
    #[error("the queue of a target is full; wait with abcast, or send to the others with WhenFull::Skip")]
    Full,
    /// The node is shutting down, or has stopped.
    #[error("the node is shutting down")]
    ShuttingDown,
}

/// The outcome of a [`Transport::multi_call`]: every target is in exactly one of the two lists (R2), each sorted by name.
#[derive(Clone, Debug)]
pub struct Replies<T = RawReply> {
    /// Who answered, and what.
    pub replies: Vec<Reply<T>>,
    /// Who did not, and why.
    pub failed: Vec<Failed>,
}

impl<T> Default for Replies<T> {
    fn default() -> Self {
        Self { replies: Vec::new(), failed: Vec::new() }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<T = RawReply> {
    /// The node, in the incarnation that answered.
    pub node: Node,
    /// The answer.
    pub reply: T,
}

/// An answer as it travelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawReply {
    /// Type and version.
    pub kind: MessageType,
    /// The encoded body.
    pub body: Bytes,
}

/// A target without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The target.
    pub name: NodeName,
    /// The incarnation that failed; `None` if the name was not linked.
    pub incarnation: Option<Incarnation>,
    /// Why.
    pub reason: CallFailure,
}

/// Why a target has no answer (R3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallFailure {
    /// No server of that name is registered there.
    #[error("no such server")]
    NoSuchServer,
    /// The server stopped, or crashed, before it answered.
    #[error("the server stopped or crashed before it answered")]
    ServerStopped,
    /// The server does not serve this node (A1).
    #[error("not allowed")]
    NotAllowed,
    /// The request, or the answer to it, does not decode (A2).
    #[error("not decodable")]
    NotDecodable,
    /// The server's answer is over the limit of its node (O4).
    #[error("the reply is {size} bytes long, the limit is {limit}")]
    ReplyTooLarge {
        /// Size of the encoded answer in bytes.
        size: u64,
        /// The configured maximum in bytes.
        limit: u64,
    },
    /// There was no session with that node at the call. Not sent.
    #[error("not linked")]
    NotLinked,
    /// The session ended. If it was sent, the request may have run, but never will later.
    #[error("the node went down (request {})", sent_words(*.sent))]
    NodeDown {
        /// Whether the request had entered the queue of the link.
        sent: bool,
    },
    /// The deadline passed. If it was sent, the request may run or have run.
    #[error("the deadline passed (request {})", sent_words(*.sent))]
    DeadlinePassed {
        /// Whether the request had entered the queue of the link.
        sent: bool,
    },
    /// The request is over the limit. Not sent.
    #[error("the request is {size} bytes long, the limit is {limit}")]
    RequestTooLarge {
        /// Size of the encoded request in bytes.
        size: usize,
        /// The configured maximum in bytes.
        limit: usize,
    },
}

const fn sent_words(sent: bool) -> &'static str {
    if sent { "sent" } else { "not sent" }
}

impl CallFailure {
    /// Whether the request left this node's hands. `false`: it cannot have run, and a retry is safe.
    pub const fn was_sent(&self) -> bool {
        match self {
            Self::NotLinked | Self::RequestTooLarge { .. } => false,
            Self::NodeDown { sent } | Self::DeadlinePassed { sent } => *sent,
            _ => true,
        }
    }
}

/// A server cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// There is one of that name on this node.
    #[error("a server named {0} is registered on this node; stop it first, or choose another name")]
    NameTaken(ServerName),
    /// As many servers as the configuration allows are registered.
    #[error("{limit} servers are registered on this node, the limit; raise max_servers")]
    TooManyServers {
        /// The configured maximum.
        limit: usize,
    },
    /// The node is shutting down, or has stopped.
    #[error("the node is shutting down")]
    ShuttingDown,
}

/// How a shutdown ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Every peer had everything that this node sent, before the deadline.
    pub flushed: bool,
}

/// Why a node stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopReason {
    /// [`Transport::shutdown`] was called.
    #[error("shut down")]
    Shutdown,
    /// Another process runs under this node's name, and is the newer one (S3). Do not restart this one.
    #[error("{own} was replaced by incarnation {by} of the same name{}; stop one of the two, or rename it", at_words(.at.as_deref()))]
    Replaced {
        /// This node.
        own: Node,
        /// The other's incarnation.
        by: Incarnation,
        /// Where the other can be dialled, if known.
        at: Option<String>,
    },
    /// The incarnation could not be stored, so it must not be used (contract, "Words").
    #[error("incarnation {incarnation} could not be stored: {words}")]
    Store {
        /// The incarnation that was to be stored.
        incarnation: Incarnation,
        /// What the store says.
        words: String,
    },
    /// The backend's endpoint failed.
    #[error("the link endpoint failed: {0}")]
    Endpoint(String),
}

fn at_words(at: Option<&str>) -> String {
    at.map(|at| format!(" at {at}")).unwrap_or_default()
}

/// What was counted instead of delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Casts and calls to a name with no server here (C5).
    pub no_such_server: u64,
    /// Casts and calls in the mailbox of a server that crashed or was stopped (C5).
    pub dropped_with_server: u64,
    /// Messages that did not decode (A2).
    pub not_decodable: u64,
    /// Messages of nodes that a server does not serve (A1).
    pub not_allowed: u64,
    /// Messages that lay unhandled when their session went down (C4).
    pub dropped_with_session: u64,
    /// Servers that were stopped because they took no message from a full mailbox for the stall timeout (O3).
    pub stalled_servers: u64,
    /// Replies that came after their call had ended (R4).
    pub late_replies: u64,
}
