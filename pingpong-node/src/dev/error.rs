//! What can go wrong.

use super::Kind;
use crate::address::AddressError;
use crate::name::NameError;
use crate::{NodeName, StartError};

/// A cluster for development cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// A text is not a node's name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An address cannot be told to others.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A node of that name runs in this cluster.
    #[error("a node named {0} runs in this cluster; stop it first, or choose another name")]
    Running(NodeName),
    /// No node of that name runs in this cluster.
    #[error("no node named {name} runs in this cluster; these do: {}", list(.nodes))]
    NoSuchNode {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        nodes: Vec<NodeName>,
    },
    /// The build has no transport of that name.
    #[error("this build has no transport {0:?}; it has: {known}", known = kinds())]
    Kind(String),
    /// The network in memory refuses the endpoint.
    #[cfg(feature = "mem")]
    #[error(transparent)]
    Mem(#[from] crate::mem::BindError),
    /// The endpoint of QUIC cannot be bound.
    #[cfg(feature = "quic")]
    #[error(transparent)]
    Quic(#[from] crate::quic::BindError),
    /// The certificates cannot be made.
    #[cfg(feature = "quic")]
    #[error(transparent)]
    Authority(#[from] crate::quic::AuthorityError),
    /// The node does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nodes did not link in time, or stopped.
    #[error("{node} is not linked with {}; look at its log (tracing), and for a cut that was not healed", list(.missing))]
    NotLinked {
        /// The node that waited.
        node: NodeName,
        /// Whom it is not linked with.
        missing: Vec<NodeName>,
    },
}

fn list(names: &[NodeName]) -> String {
    names.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

fn kinds() -> String {
    Kind::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
