//! Attempts to reach somebody: what the shell is told to do, and what it reports.

use crate::address::Address;
use crate::name::NodeName;
use std::time::Duration;

/// Names one attempt of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub(super) u64);

/// Whom an attempt is to reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Whoever answers at this address of our own configuration.
    Seed(Address),
    /// This name and no other: the certificate of the other side must say so.
    Name(NodeName),
}

/// A dial that is to be started. It ends with [`super::Redial::answered`], or with its id in [`Due::abandon`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Whom it is to reach.
    pub target: Target,
    /// Where to. A DNS name in it is resolved anew for each attempt.
    pub address: Address,
}

/// What the shell has to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Due {
    /// Attempts to start.
    pub start: Vec<Attempt>,
    /// Attempts to give up: too old, or their target is linked or not wanted any more. They are not answered.
    pub abandon: Vec<AttemptId>,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A connection to the node that proved this name. Its handshake follows.
    Connected(NodeName),
    /// No answer of the target: nobody there, out of time, or another name at a name's address.
    Failed,
    /// An answer that no repetition will soon change: full, or not to be linked.
    Refused,
    /// The address is one of this node.
    Itself,
}

/// An attempt that was started and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnderWay {
    pub(super) target: Target,
    pub(super) address: Address,
    /// The target in whose rhythm it was started.
    pub(super) counted_for: Target,
    pub(super) started: Duration,
}
