//! What is asked of a running node, and what it answers.

use super::levels::{AckLevel, CountsRead, ReadLevel};
use pingpong_core::exercise::{Counts, Pinged, Slot};
use pingpong_core::node::IncarnationError;
use pingpong_core::{NodeName, ServerName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Pings a second that may be asked for.
pub const RATES: RangeInclusive<f64> = 0.001..=1e9;

/// A request: one JSON object on one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Who the node is, and how it is.
    Status {},
    /// Its links.
    Nodes {},
    /// Events of links as they come, until the connection ends; first an `up` for each that there is.
    Watch {},
    /// Pings all consumers.
    Ping {
        /// How often.
        count: u64,
        /// Pings a second, within [`RATES`]; at once if none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
        /// What must be certain of them before they are answered.
        #[serde(default, skip_serializing_if = "AckLevel::is_default")]
        ack: AckLevel,
        /// How long to wait for a majority, in milliseconds; 5 s if it is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_ms: Option<u64>,
    },
    /// Waits until a majority of the members has these pings, and all before them in their slot.
    Confirm {
        /// As what they were counted.
        slot: SlotCount,
        /// How long to wait for a majority, in milliseconds.
        deadline_ms: u64,
    },
    /// What each consumer has counted; or, with a level, one answer, and what it is worth.
    Counts {
        /// How long to wait for answers, in milliseconds.
        deadline_ms: u64,
        /// The level; each consumer is asked if none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read: Option<ReadLevel>,
    },
    /// Lets a member vote that waits for stores which will not come back: what only they had is gone.
    AcceptLoss {},
    /// Resets a link; it comes back.
    Disconnect {
        /// The peer.
        node: NodeName,
    },
    /// Resets a link and forgets where the peer is.
    Forget {
        /// The peer.
        node: NodeName,
    },
    /// Drops all packets to and from a peer.
    #[cfg(feature = "faults")]
    Partition {
        /// The peer.
        node: NodeName,
    },
    /// Ends what `partition` began.
    #[cfg(feature = "faults")]
    Heal {
        /// The peer.
        node: NodeName,
    },
    /// Calls a server that takes JSON.
    Call {
        /// Its name.
        server: ServerName,
        /// The request.
        request: Value,
        /// Which nodes; all of them if none are given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nodes: Option<Vec<NodeName>>,
        /// How long to wait for the answers, in milliseconds.
        deadline_ms: u64,
    },
    /// Leaves the cluster and ends the process.
    Stop {},
}

/// An answer: one JSON object on one line. The last one of a request is followed by the end of the connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To `status`.
    Status(NodeStatus),
    /// To `nodes`, sorted by name.
    Nodes(Vec<LinkStatus>),
    /// To `watch`, any number of times.
    Event(WatchEvent),
    /// To `ping`, once a second while it goes on, and at its end.
    Pinged {
        /// How many of the pings are counted.
        pings: u64,
        /// Whether these are all.
        done: bool,
        /// The slot and its count, after the last of them.
        #[serde(skip_serializing_if = "Option::is_none")]
        slot: Option<SlotCount>,
    },
    /// To `ping` and `confirm`: the pings are counted, and whether a majority has them is not known. They must not be sent again.
    Unconfirmed {
        /// How many of the pings are counted.
        pings: u64,
        /// As what.
        slot: SlotCount,
        /// Members that have them for certain.
        have: usize,
        /// Members that must.
        need: usize,
    },
    /// To `confirm`: a majority has them.
    Confirmed(SlotCount),
    /// To `counts` without a level: each node that was asked is in one of the two.
    Counts(Reading),
    /// To `counts` with a level.
    Read(CountsRead),
    /// To `accept_loss`: from these it has taken over what they have.
    Accepted(Vec<NodeName>),
    /// To `disconnect`: whether there was a link. To `forget`: whether the name was known.
    Done {
        /// Whether there was anything to do.
        known: bool,
    },
    /// To `call`: one for each node that was asked.
    Called(Vec<CalledNode>),
    /// To `stop`: it has begun to leave.
    Stopping {},
    /// It could not be done.
    Failed(Failure),
}

/// A producer's slot, and how far it has counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotCount {
    /// The producer's node.
    pub node: NodeName,
    /// The incarnation of the node when its store was created.
    pub epoch: String,
    /// How many pings are counted in it.
    pub count: u64,
}

impl From<Pinged> for SlotCount {
    fn from(pinged: Pinged) -> Self {
        let Pinged { slot, count } = pinged;
        Self { node: slot.producer, epoch: slot.epoch.to_string(), count }
    }
}

impl TryFrom<SlotCount> for Pinged {
    type Error = IncarnationError;

    fn try_from(slot: SlotCount) -> Result<Self, IncarnationError> {
        let SlotCount { node, epoch, count } = slot;
        Ok(Self { slot: Slot { producer: node, epoch: epoch.parse()? }, count })
    }
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{words}")]
pub struct Failure {
    /// What kind of failure it is, for programs.
    pub kind: FailureKind,
    /// The words for people, with the remedy.
    pub words: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, words: impl ToString) -> Self {
        Self { kind, words: words.to_string() }
    }
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The request makes no sense, or names what there is not.
    Request,
    /// Nothing was done.
    Refused,
    /// It may have been done.
    Unknown,
    /// As many requests as may be are under way.
    Busy,
}

/// A node, and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: NodeName,
    /// Its incarnation.
    pub incarnation: String,
    /// Its cluster.
    pub cluster: String,
    /// Where it listens.
    pub listen: String,
    /// What it tells others of where to dial it.
    pub advertise: Vec<String>,
    /// How many links it has.
    pub links: usize,
    /// Whether it is ready.
    pub ready: bool,
    /// How many tasks are alive on the node's own thread.
    pub tasks: usize,
    /// Until when its certificate holds, in seconds since 1970 (UTC).
    pub certificate_expires: i64,
    /// What was counted instead of delivered, and what was heard of counts and not taken over.
    pub counters: BTreeMap<String, u64>,
    /// Its store of counts, if it plays the exercise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreStatus>,
}

/// The store of a node's counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// The node's incarnation when the store was created.
    pub epoch: String,
    /// Whether it is the first one of the node, and there can be no earlier epoch.
    pub first: bool,
    /// Whether the node votes.
    pub member: bool,
    /// Whether it is a member that has lost its store, and does not vote before it has recovered.
    pub recovering: bool,
    /// How many slots are in it.
    pub slots: usize,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// The peer.
    pub node: NodeName,
    /// Its incarnation.
    pub incarnation: String,
    /// The session, as both sides know it.
    pub session: String,
    /// Where it is.
    pub address: String,
    /// How long the connection has existed, in milliseconds.
    pub age_ms: u64,
    /// The smallest round trip of the last heartbeats, in microseconds.
    pub round_trip_us: Option<u64>,
    /// Packets that were sent.
    pub sent_packets: u64,
    /// Packets of these that were lost.
    pub lost_packets: u64,
    /// Bytes that wait for the peer.
    pub queued_bytes: usize,
}

/// What happened to a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchEvent {
    /// The peer.
    pub node: NodeName,
    /// Its incarnation.
    pub incarnation: String,
    /// Whether it came or went.
    pub up: bool,
    /// Why it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Events of this name that were folded away before this one, since nobody read them in time.
    pub skipped: u64,
}

/// What the consumers of a cluster have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Who answered.
    pub consumers: Vec<ConsumerCounts>,
    /// Who did not, and why.
    pub failed: BTreeMap<NodeName, String>,
}

/// What one consumer has counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerCounts {
    /// Its node.
    pub node: NodeName,
    /// The pings of each producer, over all its epochs.
    pub pings: BTreeMap<NodeName, u128>,
    /// Of all producers.
    pub total: u128,
}

impl ConsumerCounts {
    pub(crate) fn new(node: NodeName, counts: &Counts) -> Self {
        Self { node, pings: counts.values(), total: counts.total() }
    }
}

/// What came of a call at one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalledNode {
    /// The node.
    pub node: NodeName,
    /// What it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Value>,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// If it did not: whether the request was sent, so that it may have run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<bool>,
}
