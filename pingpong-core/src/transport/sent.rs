//! Whom a message is for, and who has it.

use crate::name::NodeName;
use crate::node::Node;
use std::sync::Arc;

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

/// What [`Transport::try_abcast`](super::Transport::try_abcast) does when the queue of some target is full.
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
