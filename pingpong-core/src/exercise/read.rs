//! Answers about counts, and what each is worth (section 5).

use super::counts::Counts;
use crate::name::{ClusterName, NodeName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What this node knows (P17): never more than the truth, and behind it during a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRead {
    /// The pings of each producer, over all its epochs.
    pub values: BTreeMap<NodeName, u128>,
    /// The pings of all producers.
    pub total: u128,
    /// This node is a member, has lost its store, and does not vote again yet: what it shows may be less than it showed before.
    ///
    /// Never so on a node that is no member, whatever it has lost: nobody's answer could tell it that it has everything again. Look at
    /// [`contact`](Self::contact) there, which is empty until it has heard of somebody in its present life.
    pub recovering: bool,
    /// How long ago each node that was ever linked to this one in its present life was last heard of; no time at all for those that are.
    pub contact: BTreeMap<NodeName, Duration>,
}

/// What the owners and all others say who can be reached now (P18).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshRead {
    /// Of each producer, over all its epochs.
    pub values: BTreeMap<NodeName, FreshValue>,
    /// The pings of all producers.
    pub total: u128,
    /// Nodes that answered all that they were asked: the numbers are from these, and from what this node has heard itself.
    pub answered: BTreeSet<NodeName>,
    /// Producers, and configured members, that did not answer.
    pub missing: BTreeSet<NodeName>,
}

/// The value of a producer, and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreshValue {
    /// Its owner answered, and has the only store that it ever had: at an instant within the read this was the number of its pings.
    Exact(u128),
    /// There are so many, and there may be more.
    AtLeast(u128),
}

impl FreshValue {
    /// The number.
    pub const fn pings(self) -> u128 {
        match self {
            Self::Exact(pings) | Self::AtLeast(pings) => pings,
        }
    }
}

impl FreshRead {
    /// Whether all values are exact. Then the total of all producers that anybody who answered has heard of is, too (P21): a node that is not
    /// configured, and of which nobody has heard yet, cannot be known to be missing.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.values.values().all(|value| matches!(value, FreshValue::Exact(_)))
    }
}

/// What a majority of the members agreed on (P19 - P22).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MajorityRead {
    pub(super) counts: Arc<Counts>,
    pub(super) holders: BTreeSet<NodeName>,
    pub(super) missing: BTreeSet<NodeName>,
}

impl MajorityRead {
    /// The pings of one producer, over all its epochs. It has none if nobody has heard of it.
    pub fn value(&self, producer: &NodeName) -> u128 {
        self.counts.value(producer)
    }

    /// The pings of each producer. Together they are *not* the counts of one instant (P22), unless this is a snapshot.
    pub fn values(&self) -> BTreeMap<NodeName, u128> {
        self.counts.values()
    }

    /// The pings of all producers.
    pub fn total(&self) -> u128 {
        self.counts.total()
    }

    /// Slot by slot.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// From whom the answer is: members that said, within the read, that they hold all of it. A majority at least, and no more than were
    /// waited for.
    pub fn holders(&self) -> &BTreeSet<NodeName> {
        &self.holders
    }

    /// Members that did not say so and cannot be reached from this node. The answer is right without them: it says how many more may fail.
    pub fn missing(&self) -> &BTreeSet<NodeName> {
        &self.missing
    }
}

/// A majority has not agreed on an answer. Whatever was counted stays counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// This node knows no members.
    #[error(
        "no members are configured, and there is no majority without them; name them on every node, or read at level `fresh`"
    )]
    NoMembers,
    /// Fewer members can be reached than a majority needs: this side of a partition must not answer (CANNOT 5).
    #[error("{have} of the {need} members that a majority needs can be reached, missing: {}; read at level `fresh` or `local`, or wait for them", names(.missing))]
    Unavailable {
        /// Members that can be reached, this one included.
        have: usize,
        /// Members that must be.
        need: usize,
        /// Members that cannot be reached.
        missing: BTreeSet<NodeName>,
    },
    /// Enough members can be reached, but some have lost their stores and do not vote yet (P23).
    #[error("{active} of the {need} members that a majority needs vote; recovering: {}; wait, or see `recover --help` if they wait for each other", names(.recovering))]
    Recovering {
        /// Members that vote.
        active: usize,
        /// Members that must.
        need: usize,
        /// Members that do not vote yet.
        recovering: BTreeSet<NodeName>,
    },
    /// A member is configured with other members, or in another cluster (P28).
    #[error("member {member} is of cluster {cluster} with members {}; this node has other ones; configure all nodes alike", list(.members))]
    ConfigMismatch {
        /// Who says so.
        member: NodeName,
        /// Its cluster.
        cluster: ClusterName,
        /// Its members.
        members: Vec<NodeName>,
    },
    /// The deadline passed first.
    #[error("the deadline passed; {have} of the {need} members that a majority needs had answered")]
    DeadlinePassed {
        /// Members that had answered.
        have: usize,
        /// Members that must.
        need: usize,
    },
    /// The counts changed too often for a majority to hold the same at one instant before the deadline (CANNOT 3).
    #[error(
        "no majority held the same counts at one instant before the deadline; pings go on; read single values, or try again when they pause"
    )]
    Unstable,
    /// The exercise was stopped.
    #[error("the exercise was stopped")]
    Stopped,
}

fn names(names: &BTreeSet<NodeName>) -> String {
    names.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

fn list(names: &[NodeName]) -> String {
    names.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}
