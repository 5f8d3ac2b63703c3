//! What a node says of itself: why a server is not registered, how the node ended, what it counted.

use crate::name::ServerName;
use crate::node::{Incarnation, Node};

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
    /// [`Transport::shutdown`](super::Transport::shutdown) was called.
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
    /// The task that drives the node ended without a reason: its runtime was shut down, or it panicked, which is a defect.
    #[error("the node's driver ended unexpectedly; the log above says where, if its runtime was not shut down")]
    Defect,
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
    /// Replies that were dropped because others that wait in calls in flight took all their room (O1).
    pub replies_without_room: u64,
}
