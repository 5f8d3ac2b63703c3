//! What an answer about counts is worth: levels of acknowledgements and of reads, and reads with their worth beside them.

use pingpong_core::NodeName;
use pingpong_core::exercise::{FreshRead, FreshValue, LocalRead, MajorityRead};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What must be certain of a ping before it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum AckLevel {
    /// Nothing: it waits to be counted, and a crash of the node loses it. For pings that may be lost. Costs no wait: no sync, no round trip.
    Queued,
    /// It is in this node's store, and kept as long as its disk lives. For most. Costs one sync of this node's disk, which pings that wait share.
    #[default]
    Local,
    /// It is in the stores of a majority of the members, and kept whichever smaller number of disks is lost. For what must not be lost with this
    /// node. Costs a sync here, then a round trip to the members and their syncs; refused where no majority can be reached.
    Majority,
}

impl AckLevel {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Who is asked for the counts, and so what the answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum ReadLevel {
    /// This node alone: never too much, and behind without bound during a partition. For dashboards. Costs nothing: no round trip, no sync.
    Local,
    /// All who can be reached: exact for each producer that answers itself from a store that `init` made, at least for the others. For whoever has
    /// just pinged at `local`, anywhere. Costs one round trip to all nodes; the whole deadline where one is linked and silent.
    Fresh,
    /// A majority of the members: each value, and the total, right even during a partition. For decisions by the number, a quota for example.
    /// Costs one round trip to the members; a second one, with a sync at some, where they differ. Refused at once on the minority's side.
    Majority,
    /// The same for all values at one instant. For whoever compares two producers. Costs one round trip to the members; a sync and more
    /// round trips while they differ. Refused on the minority's side as well, and at the deadline while pings never pause.
    Snapshot,
}

/// An answer, and what it is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsRead {
    /// Who was asked.
    pub level: ReadLevel,
    /// Of each producer, sorted by name.
    pub values: Vec<ValueRead>,
    /// The pings of all producers.
    pub total: u128,
    /// What the total is worth.
    pub worth: Worth,
    /// From whom it is, sorted: the node that was asked (`local`), all nodes that answered (`fresh`), or members that hold all of it
    /// (`majority`, `snapshot`), of which no more are waited for than make a majority.
    #[serde(default)]
    pub from: Vec<NodeName>,
    /// Who is missing, sorted: producers and members that did not answer (`fresh`), or members beside `from` that cannot be reached
    /// (`majority`, `snapshot`).
    pub missing: Vec<NodeName>,
    /// The node that was asked is a member, has lost its store, and has not recovered.
    pub recovering: bool,
    /// How long the read took, in milliseconds: what is exact, agreed, or at one instant is as of an instant within it. What is at least so
    /// much may be behind.
    pub took_ms: u64,
}

/// The pings of one producer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueRead {
    /// The producer's node.
    pub node: NodeName,
    /// Its pings, over all its epochs.
    pub pings: u128,
    /// What that is worth.
    pub worth: Worth,
    /// Where it is at least so much: how long ago the node was last heard of by the one that was asked, in milliseconds; 0 while they are
    /// linked; none, if never in the life of the one that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ms: Option<u64>,
}

/// What a number is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// There are so many, and there may be more.
    AtLeast,
    /// Its owner says so, who has all of them: at an instant within the read there were so many.
    Exact,
    /// A majority agreed: linearizable with the pings that a majority acknowledged.
    Agreed,
    /// The same, and of the same instant as all the others.
    OneInstant,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How long ago a node was heard of.
fn heard(own: &NodeName, contact: &BTreeMap<NodeName, Duration>, node: &NodeName) -> Option<u64> {
    if node == own { Some(0) } else { contact.get(node).copied().map(millis) }
}

impl CountsRead {
    pub(crate) fn local(own: &NodeName, read: LocalRead) -> Self {
        let values = read.values.iter().map(|(node, pings)| ValueRead {
            node: node.clone(),
            pings: *pings,
            worth: Worth::AtLeast,
            heard_ms: heard(own, &read.contact, node),
        });
        Self {
            level: ReadLevel::Local,
            values: values.collect(),
            total: read.total,
            worth: Worth::AtLeast,
            from: vec![own.clone()],
            missing: Vec::new(),
            recovering: read.recovering,
            took_ms: 0,
        }
    }

    /// What this node has heard is in it, so it says when.
    pub(crate) fn fresh(
        own: &NodeName,
        read: FreshRead,
        contact: &BTreeMap<NodeName, Duration>,
        took: Duration,
    ) -> Self {
        let worth = if read.is_complete() { Worth::Exact } else { Worth::AtLeast };
        let value = |(node, value): (NodeName, FreshValue)| {
            let (worth, heard_ms) = match value {
                FreshValue::Exact(_) => (Worth::Exact, None),
                FreshValue::AtLeast(_) => (Worth::AtLeast, heard(own, contact, &node)),
            };
            ValueRead { node, pings: value.pings(), worth, heard_ms }
        };
        Self {
            level: ReadLevel::Fresh,
            total: read.total,
            worth,
            from: read.answered.into_iter().collect(),
            missing: read.missing.into_iter().collect(),
            values: read.values.into_iter().map(value).collect(),
            recovering: false,
            took_ms: millis(took),
        }
    }

    pub(crate) fn majority(level: ReadLevel, read: &MajorityRead, took: Duration) -> Self {
        let worth = if level == ReadLevel::Snapshot { Worth::OneInstant } else { Worth::Agreed };
        let values = read.values().into_iter();
        Self {
            level,
            values: values.map(|(node, pings)| ValueRead { node, pings, worth, heard_ms: None }).collect(),
            total: read.total(),
            worth,
            from: read.holders().iter().cloned().collect(),
            missing: read.missing().iter().cloned().collect(),
            recovering: false,
            took_ms: millis(took),
        }
    }
}
