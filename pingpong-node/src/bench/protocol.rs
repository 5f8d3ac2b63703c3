//! What the bench tells a node, and what a node says: by lines of JSON to a process, as values to a node of this process.

#[cfg(feature = "daemon")]
use super::exercise::{Outcome, Task};
use super::node::{Times, Usage, Verdict};
use serde::{Deserialize, Serialize};

/// What the bench tells a node that has started.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Say when so many others were linked.
    Linked { others: usize },
    /// Say when a node came or went, if that was not before.
    Changed { node: String, up: bool, since_us: u64 },
    /// Ping all counters this often, from then on.
    Produce { count: u64, begin_us: u64, deadline_ms: u64 },
    /// Call all counters, or that of one node, by so many callers.
    Call { callers: usize, whom: Option<String>, warm_up_ms: u64, duration_ms: u64, beside: Beside, deadline_ms: u64 },
    /// Ping, count or read: of a node that the exercise runs on.
    #[cfg(feature = "daemon")]
    Exercise(Task),
    /// Say what you have used.
    Used,
    /// Leave the cluster.
    Leave { deadline_ms: u64 },
}

/// What a node says, if it is more than that it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// When it was.
    At(u64),
    /// When the first ping was sent, and what came of all of them.
    Produced { first_us: u64, verdict: Verdict },
    /// How long the calls took, and what was cast beside them.
    Called { times: Times, beside: Option<Besides> },
    /// What came of the exercise.
    #[cfg(feature = "daemon")]
    Exercise(Outcome),
    /// What it has used, and how often it has seen another node go.
    Used { usage: Usage, downs: u64 },
    /// It has left, and its peers had everything.
    Left { flushed: bool },
}

/// What is cast while others call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Beside {
    /// Nothing.
    #[default]
    None,
    /// As many pings as there is room for, to the servers that are called.
    Same,
    /// As many pings as there is room for, to other servers of the same nodes.
    Other,
}

/// What came of the pings beside calls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Besides {
    pub(crate) casts_per_s: f64,
    /// The most bytes that waited in the queues of this node for one peer.
    pub(crate) backlog_bytes: u64,
    pub(crate) verdict: Verdict,
}
