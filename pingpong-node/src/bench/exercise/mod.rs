//! `acks`, `reads`, `recovery`: the ping exercise, with members and stores, measured beside what the machine itself can do.
//!
//! All nodes are members. A file store makes a ping as slow as the disk that it is on, so a figure alone says nothing: in the same run it is
//! measured how long a sync takes there, and a call between the same nodes, and figures are ratios to that.
//!
//! | module | what it is |
//! | --- | --- |
//! | `acks`, `reads`, `recovery` | what is ordered, and what the figures come to |
//! | `limit` | what the machine can do |
//! | `stores` | the files, and what is in them before a node starts |

mod acks;
mod limit;
mod reads;
mod recovery;
mod stores;

pub(crate) use acks::{Level, Pings};
pub(crate) use reads::{Agreed, Meanwhile, Reads};
pub(crate) use recovery::{Event, Recovery, Shape};
pub(crate) use stores::{Kind, Stores};

use super::node::Times;
use super::nodes::Nodes;
use super::protocol::{Order, Said};
use super::record::Measured;
use crate::cluster::ClusterError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a node of the exercise is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// Write a page to a file beside the store and sync it, again and again.
    Sync { duration_ms: u64 },
    /// Ping by one client, and in between sync, and call that node: so all of it has the same conditions, whatever else the machine does.
    Alone { level: Level, whom: String, warm_up_ms: u64, duration_ms: u64 },
    /// Ping, by so many clients, each again and again.
    Ping { level: Level, clients: usize, warm_up_ms: u64, duration_ms: u64 },
    /// Read, by so many readers, each again and again.
    Read { agreed: Agreed, readers: usize, warm_up_ms: u64, duration_ms: u64 },
    /// Wait until each of these has so many pings here, and say how many it has.
    Count { pings: BTreeMap<String, u64>, deadline_ms: u64 },
    /// Say when you might vote.
    Vote,
    /// Say what there is, and when you said it.
    Look,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Synced(Times),
    /// How long it took, and all pings that were acknowledged since the node started.
    Pinged {
        times: Times,
        acknowledged: u64,
    },
    /// The same of one client, and the syncs, if there is anything to sync, and calls in between.
    Alone {
        times: Times,
        sync: Option<Times>,
        call: Times,
        acknowledged: u64,
    },
    /// How long it took, and how many reads found no instant at which a majority held the same.
    Read {
        times: Times,
        unstable: u64,
    },
    Counted(BTreeMap<String, u64>),
    At(u64),
    Seen {
        at_us: u64,
        slots: u64,
        total: u64,
    },
}

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Acks(Pings),
    Reads(Reads),
    Recovery(Recovery),
}

impl Plan {
    /// What tells it from other runs.
    pub(crate) fn case(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::Acks(pings) => pings.case(),
            Self::Reads(reads) => reads.case(),
            Self::Recovery(recovery) => recovery.case(),
        }
    }

    /// How long it takes by itself, however fast the nodes are.
    pub(crate) fn planned(&self) -> Duration {
        match self {
            Self::Acks(Pings { duration, .. }) => *duration * 2,
            Self::Reads(Reads { duration, .. }) => *duration * 3,
            Self::Recovery(_) => Duration::ZERO,
        }
    }

    /// Whether nodes are to be linked before it. A recovery is of nodes that start.
    pub(crate) fn is_of_linked(&self) -> bool {
        !matches!(self, Self::Recovery(_))
    }

    pub(crate) async fn measure(&self, nodes: &mut impl Nodes) -> Result<Measured, ClusterError> {
        match self {
            Self::Acks(pings) => pings.measure(nodes).await,
            Self::Reads(reads) => reads.measure(nodes).await,
            Self::Recovery(recovery) => recovery.measure(nodes).await,
        }
    }
}

/// Tells a node, and waits for what comes of it.
async fn done(nodes: &mut impl Nodes, node: usize, what: &'static str, task: Task) -> Result<Outcome, ClusterError> {
    nodes.tell(node, what, Order::Exercise(task)).await?;
    outcome(nodes, node).await
}

/// Waits for what comes of what a node was told.
async fn outcome(nodes: &mut impl Nodes, node: usize) -> Result<Outcome, ClusterError> {
    match nodes.said(node).await? {
        Said::Exercise(outcome) => Ok(outcome),
        said => Err(nodes.unexpected(node, said)),
    }
}

/// Waits until every node may vote. The last one of them was then.
async fn voting(nodes: &mut impl Nodes) -> Result<(), ClusterError> {
    for node in 0..nodes.number() {
        voted(nodes, node).await?;
    }
    Ok(())
}

/// Waits until a node may vote, and says when that was.
async fn voted(nodes: &mut impl Nodes, node: usize) -> Result<u64, ClusterError> {
    match done(nodes, node, "say when it might vote", Task::Vote).await? {
        Outcome::At(at_us) => Ok(at_us),
        other => Err(nodes.unexpected(node, Said::Exercise(other))),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
