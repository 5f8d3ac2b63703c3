//! What a play needs of its stage: nodes that can be used, and faults that can happen to them.
//!
//! A stage reports what its nodes say. It knows nothing of what they should say.

use crate::cluster::ClusterError;
pub(crate) use crate::cluster::name;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What one consumer says of each producer.
pub(crate) type Counts = BTreeMap<String, u64>;

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Look {
    /// The nodes that it is linked with.
    pub(crate) links: BTreeSet<String>,
    /// What its consumer answers. Nothing, while there is none.
    pub(crate) counts: Counts,
    /// It has lost its disk, and does not vote yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) recovering: bool,
    /// What a majority answers through it, if it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) majority: Option<Verdict>,
}

/// What a majority answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The pings of all producers.
    Total(u64),
    /// Nothing: it cannot be reached, or does not vote.
    Refused,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total(pings) => write!(f, "{pings}"),
            Self::Refused => f.write_str("refused"),
        }
    }
}

/// What becomes of a node's disk when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    /// It is lost with the node.
    Lost,
    /// It is there when the node starts again.
    Kept,
}

/// Nodes, by their numbers from 0, and what can be done to them.
///
/// Nothing outlives [`close`](Self::close), nor the stage; every future may be dropped halfway.
pub(crate) trait Stage {
    /// Starts all nodes.
    async fn open(&mut self) -> Result<(), ClusterError>;
    /// A node pings all consumers this often.
    async fn ping(&mut self, node: usize, pings: u64) -> Result<(), ClusterError>;
    /// A node's consumer crashes, and all that the node kept of the exercise is lost with it. The node stays linked.
    async fn crash(&mut self, node: usize) -> Result<(), ClusterError>;
    /// The consumer starts again, and knows nothing.
    async fn recover(&mut self, node: usize) -> Result<(), ClusterError>;
    /// A node is gone from one moment to the next, with all it had in memory.
    async fn kill(&mut self, node: usize, disk: Disk) -> Result<(), ClusterError>;
    /// A killed node is started again.
    async fn restart(&mut self, node: usize) -> Result<(), ClusterError>;
    /// Cuts every path between nodes of different groups.
    async fn partition(&mut self, groups: &[Vec<usize>]) -> Result<(), ClusterError>;
    /// Heals all cuts.
    async fn heal(&mut self) -> Result<(), ClusterError>;
    /// What a node says of itself now, and a majority through it, if that is to be asked.
    async fn look(&mut self, node: usize, majority: bool) -> Result<Look, ClusterError>;
    /// The node that was asked for something long ago and has not answered, as an error.
    fn silent(&self) -> Option<ClusterError>;
    /// The last lines that each node wrote to its log, of those that wrote any.
    fn logs(&self) -> Vec<(String, String)>;
    /// The nodes that have not ended.
    fn running(&self) -> Vec<String>;
    /// Ends all nodes, and whatever else the stage has, and waits until they have ended. An error says what is left.
    async fn close(&mut self) -> Result<(), ClusterError>;
}
