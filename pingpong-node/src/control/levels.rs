//! What an answer about counts is worth: levels of acknowledgements and of reads, and reads with their worth beside them.

use pingpong_core::NodeName;
use pingpong_core::exercise::{FreshRead, FreshValue, LocalRead, MajorityRead};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What must be certain of a ping before it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum AckLevel {
    /// Nothing: it waits to be counted, and a crash of the node loses it.
    Queued,
    /// It is in this node's store.
    #[default]
    Local,
    /// It is in the stores of a majority of the members: refused where no majority can be reached.
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
    /// This node alone: at once, never too much, and behind without bound during a partition.
    Local,
    /// All who can be reached: exact for each producer that answers itself and never lost its store, at least for the others.
    Fresh,
    /// A majority of the members: each value, and the total, right even during a partition; refused on the minority's side.
    Majority,
    /// The same for all values at one instant; refused as well while pings never pause.
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
    /// Producers and members that did not answer themselves.
    pub missing: Vec<NodeName>,
    /// The node that was asked is a member, has lost its store, and has not recovered.
    pub recovering: bool,
    /// How long the read took, in milliseconds: an answer of others is as of an instant within it.
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
    /// How long ago the node was last heard of, in milliseconds; none, if never in the life of the node that was asked.
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

impl CountsRead {
    pub(crate) fn local(own: &NodeName, read: LocalRead) -> Self {
        let heard = |node: &NodeName| if node == own { Some(Duration::ZERO) } else { read.contact.get(node).copied() };
        let values = read.values.iter().map(|(node, pings)| ValueRead {
            node: node.clone(),
            pings: *pings,
            worth: Worth::AtLeast,
            heard_ms: heard(node).map(millis),
        });
        Self {
            level: ReadLevel::Local,
            values: values.collect(),
            total: read.total,
            worth: Worth::AtLeast,
            missing: Vec::new(),
            recovering: read.recovering,
            took_ms: 0,
        }
    }

    pub(crate) fn fresh(read: FreshRead, took: Duration) -> Self {
        let worth = if read.is_complete() { Worth::Exact } else { Worth::AtLeast };
        let value = |(node, value): (NodeName, FreshValue)| {
            let worth = match value {
                FreshValue::Exact(_) => Worth::Exact,
                FreshValue::AtLeast(_) => Worth::AtLeast,
            };
            ValueRead { node, pings: value.pings(), worth, heard_ms: None }
        };
        Self {
            level: ReadLevel::Fresh,
            total: read.total,
            worth,
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
            missing: Vec::new(),
            recovering: false,
            took_ms: millis(took),
        }
    }
}
