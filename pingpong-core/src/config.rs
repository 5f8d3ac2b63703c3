//! How a node is configured: plain fields with defaults, and one check of how they fit together (S1, O1).

use crate::address::Address;
use crate::link::Endpoint;
use crate::name::{ClusterName, NodeName};
use crate::node::Incarnation;
use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Everything that a [`Mesh`](crate::mesh::Mesh) needs to know, besides its link.
///
/// ```
/// use pingpong_core::{Address, ClusterName, MeshConfig, NodeName};
/// use std::time::Duration;
///
/// let mut config = MeshConfig::new(ClusterName::new("shop")?, NodeName::new("n1.shop.example")?);
/// config.seeds = vec![Address::new("n2.shop.example:4433")?]; // one that works is enough
/// config.timeouts.failure = Duration::from_secs(1); // a silent node is down that soon
/// config.limits.max_message = 1 << 20;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MeshConfig {
    /// The cluster; nodes of another one are refused (A1).
    pub cluster: ClusterName,
    /// This node's name. The backend proves it, and must hold an identity for that very name.
    pub name: NodeName,
    /// Addresses that are redialled for ever (M7). One that works is enough for a full mesh.
    pub seeds: Vec<Address>,
    /// Bounds in bytes and in numbers (O1).
    pub limits: Limits,
    /// Times.
    pub timeouts: Timeouts,
    /// The wall clock and the source of random bits.
    pub outside: Arc<dyn OutsideWorld>,
    /// Where the incarnation is kept over restarts. A node without a store relies on the clock, and on peers that remember.
    pub incarnations: Arc<dyn IncarnationStore>,
}

impl MeshConfig {
    /// With defaults for all but the names, and no seeds.
    pub fn new(cluster: ClusterName, name: NodeName) -> Self {
        Self {
            cluster,
            name,
            seeds: Vec::new(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            outside: Arc::new(System),
            incarnations: Arc::new(NotStored),
        }
    }
}

impl fmt::Debug for MeshConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshConfig")
            .field("cluster", &self.cluster)
            .field("name", &self.name)
            .field("seeds", &self.seeds)
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// Bounds of a node (O1). Each is checked at start, and all of them together against [`max_memory`](Self::max_memory).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Names that are linked or wanted at once: 1 to 10,000. Default 128.
    pub max_peers: usize,
    /// Servers that may be registered at once: 1 to 10,000. Default 256.
    pub max_servers: usize,
    /// Server names with a lane of their own on each link (C6): 1 to 1,000. Default 24. Further names share one. The same on
    /// every node of a cluster: nodes with another number refuse each other.
    pub lanes: usize,
    /// Bytes that wait in a lane behind its slowest link: 4 KiB to 1 GiB. Default 128 KiB. A single larger message still goes.
    pub queue_bytes: usize,
    /// Bytes that wait in the mailbox of a server: 4 KiB to 1 GiB. Default 128 KiB. A single larger message still goes.
    pub mailbox_bytes: usize,
    /// Bytes of a message (O4): 1 to 1 GiB. Default 64 MiB. The same on every node, or the smaller one is found out late.
    pub max_message: usize,
    /// Bytes of all messages above 64 KiB that this node is sending, over all links; again as many that it is receiving, or that wait in
    /// mailboxes; as many of answers from links; and of answers of its own servers to its own calls, where one more fails with
    /// [`NoRoomForReply`](crate::CallFailure::NoRoomForReply); of the others further ones wait. Each counts as long as its bytes are kept,
    /// whoever keeps them. At least twice `max_message`, so that a server which is stuck with one does not hold up the others (C6);
    /// default 256 MiB. A peer holds at most half of it, or two messages if
    /// that is more: with three times `max_message` none can use it up.
    pub large_bytes: usize,
    /// Calls of this node in flight: 1 to 1,000,000. Default 4,096. Further ones wait, within their deadline.
    pub max_calls: usize,
    /// Bytes of all answers up to 64 KiB that wait for the other answers of their call: 64 KiB to 1 GiB. Default 256 MiB. One more
    /// fails its target with [`NoRoomForReply`](crate::CallFailure::NoRoomForReply); it must not wait, or servers that answer would.
    pub reply_bytes: usize,
    /// The greatest sum of all bounds, in bytes. Default 16 GiB: what the defaults come to on the QUIC backend, rounded up.
    pub max_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_peers: 128,
            max_servers: 256,
            lanes: 24,
            queue_bytes: 128 << 10,
            mailbox_bytes: 128 << 10,
            max_message: 64 << 20,
            large_bytes: 256 << 20,
            max_calls: 4_096,
            reply_bytes: 256 << 20,
            max_memory: 16 << 30,
        }
    }
}

/// Bytes of control messages that may wait for one peer (N20).
pub const CONTROL_QUEUE_BYTES: usize = 64 << 10;

/// How many times `queue_bytes` the frames of waiting senders of one lane may hold.
pub(crate) const WAITING_ROOM: usize = 8;
/// How many times `queue_bytes` a lane takes of frames that must not wait.
pub(crate) const OVERFLOW: usize = 16;
/// Most bytes of an open block of a lane.
pub(crate) const BLOCK: usize = 64 << 10;
/// Bytes of its first one. Each is twice as large as the one before.
pub(crate) const LEAST_BLOCK: usize = 1 << 9;
/// Notices of connections that wait for the driver; each is a control message at most.
pub(crate) const NOTICES: usize = 1_024;
/// Handshakes that are accepted beyond `max_peers` (N20).
pub(crate) const SPARE_HANDSHAKES: usize = 8;
/// Dials of this node that may be answered and not linked yet, beyond one for each peer.
const SPARE_DIALS: usize = 32;
/// What is remembered of a name, its addresses included, and of a call's target.
const RECORD: u64 = 4 << 10;
const TARGET: u64 = 128;

impl Limits {
    /// Lanes of one connection: those of names, the shared one, control and replies.
    pub const fn lanes_per_connection(&self) -> usize {
        self.lanes + 3
    }

    /// What a node with these bounds holds at most on that endpoint, row by row (O1).
    ///
    /// Left out are answers up to 64 KiB once their call has returned, which are the caller's, and what handlers keep for themselves.
    pub fn worst_case(&self, endpoint: &Endpoint) -> WorstCase {
        let (block, queue, control) = (BLOCK as u64, self.queue_bytes as u64, CONTROL_QUEUE_BYTES as u64);
        let (peers, lanes) = (self.max_peers as u64, self.lanes_per_connection() as u64);
        // Its queue, the block that is open, and one at either end of the slowest link that is used in part.
        let lane = (1 + WAITING_ROOM as u64) * queue + 3 * block;
        let replies = (OVERFLOW + WAITING_ROOM) as u64 * queue + 3 * block;
        // Its queue, and the message that is read.
        let connection = 2 * control;
        let handshakes = 2 * peers + (SPARE_HANDSHAKES + SPARE_DIALS) as u64;
        WorstCase {
            rows: [
                ("lanes to servers", (self.lanes as u64 + 1) * lane),
                ("mailboxes", self.max_servers as u64 * (self.mailbox_bytes as u64 + block)),
                // For each lane of a link a block that is filled, and the batch in its reader's hands.
                ("readers of lanes", peers * lanes * 2 * block),
                ("replies to peers", peers * replies),
                ("messages above 64 KiB: sent, received, answers, own answers", 4 * self.large_bytes as u64),
                ("answers up to 64 KiB", self.reply_bytes as u64),
                ("control messages", (peers + handshakes) * connection + NOTICES as u64 * control),
                ("names and calls", 4 * peers * RECORD + self.max_calls as u64 * peers * TARGET),
                ("links in the backend", peers.saturating_mul(endpoint.connection_bytes)),
                ("the backend beside links", endpoint.other_bytes),
            ],
        }
    }
}

/// What a node holds at most, by what holds it (O1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorstCase {
    /// What holds memory, and how many bytes of it at most.
    pub rows: [(&'static str, u64); 10],
}

impl WorstCase {
    /// The sum of all rows.
    pub fn bytes(&self) -> u64 {
        self.rows.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }
}

/// Times of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A peer that is silent for this long is `Down` (M6): 100 ms to 1 h. Default 2 s. Of two nodes the greater one holds.
    pub failure: Duration,
    /// A peer that takes no byte of a non-empty queue, or a server that takes no message from a full mailbox, for this long is
    /// cut, or stopped (O3): the failure timeout to 24 h. Default 30 s.
    pub stall: Duration,
    /// How long a name that was linked is remembered and redialled without an answer (M7): the failure timeout to a year.
    /// Default 24 h.
    pub forget_after: Duration,
    /// How long one dial may take. Default 5 s.
    pub dial: Duration,
    /// The shortest time between two dials of one name. Default 300 ms.
    pub redial: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            failure: Duration::from_secs(2),
            stall: Duration::from_secs(30),
            forget_after: Duration::from_secs(24 * 60 * 60),
            dial: Duration::from_secs(5),
            redial: Duration::from_millis(300),
        }
    }
}

/// A field of the configuration is outside its range, or two do not fit together (S1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number outside its range.
    #[error("{field} is {value}, allowed are {least} to {most}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The smallest that is allowed.
        least: u64,
        /// The greatest that is allowed.
        most: u64,
    },
    /// Two fields that must be ordered are not.
    #[error("{smaller} is {smaller_value}, above {greater}, which is {greater_value}; raise {greater}")]
    Order {
        /// The field that must not be greater.
        smaller: &'static str,
        /// Its value.
        smaller_value: u64,
        /// The field that must not be smaller.
        greater: &'static str,
        /// Its value.
        greater_value: u64,
    },
    /// All bounds together are above the stated maximum (O1).
    #[error(
        "the bounds add up to {bytes} bytes, max_memory is {limit}; lower max_peers, lanes or queue_bytes, or raise max_memory"
    )]
    Memory {
        /// The sum in bytes.
        bytes: u64,
        /// The stated maximum in bytes.
        limit: u64,
    },
}

impl MeshConfig {
    /// Checks every field and how they fit together, on an endpoint of a backend.
    ///
    /// # Errors
    /// [`ConfigError`] names the field, both numbers, and the remedy.
    pub fn check(&self, endpoint: &Endpoint) -> Result<(), ConfigError> {
        let l = &self.limits;
        let t = &self.timeouts;
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let ranges: [(&'static str, u64, u64, u64); 14] = [
            ("max_peers", l.max_peers as u64, 1, 10_000),
            ("max_servers", l.max_servers as u64, 1, 10_000),
            ("lanes", l.lanes as u64, 1, 1_000),
            ("queue_bytes", l.queue_bytes as u64, 4 << 10, 1 << 30),
            ("mailbox_bytes", l.mailbox_bytes as u64, 4 << 10, 1 << 30),
            ("max_message", l.max_message as u64, 1, 1 << 30),
            ("large_bytes", l.large_bytes as u64, 2, 1 << 31),
            ("max_calls", l.max_calls as u64, 1, 1_000_000),
            ("reply_bytes", l.reply_bytes as u64, 64 << 10, 1 << 30),
            ("failure (ms)", millis(t.failure), 100, 3_600_000),
            ("stall (ms)", millis(t.stall), 100, 86_400_000),
            ("forget_after (ms)", millis(t.forget_after), 100, 365 * 86_400_000),
            ("redial (ms)", millis(t.redial), 10, 60_000),
            ("dial (ms)", millis(t.dial), 100, 600_000),
        ];
        for (field, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::Range { field, value, least, most });
            }
        }
        let orders = [
            ("twice max_message", 2 * l.max_message as u64, "large_bytes", l.large_bytes as u64),
            ("failure (ms)", millis(t.failure), "stall (ms)", millis(t.stall)),
            ("redial (ms)", millis(t.redial), "dial (ms)", millis(t.dial)),
            ("failure (ms)", millis(t.failure), "forget_after (ms)", millis(t.forget_after)),
        ];
        for (smaller, smaller_value, greater, greater_value) in orders {
            if smaller_value > greater_value {
                return Err(ConfigError::Order { smaller, smaller_value, greater, greater_value });
            }
        }
        let bytes = l.worst_case(endpoint).bytes();
        if bytes > l.max_memory {
            return Err(ConfigError::Memory { bytes, limit: l.max_memory });
        }
        Ok(())
    }
}

/// The wall clock, and random bits: the two things that make a node's life its own. Tests set both.
pub trait OutsideWorld: Send + Sync + 'static {
    /// Milliseconds since 1970 (UTC). It may step back.
    fn wall_millis(&self) -> u64;

    /// Fresh random bits.
    fn random(&self) -> u64;
}

/// The system's clock and random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl OutsideWorld for System {
    fn wall_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}

/// Keeps the greatest incarnation of this node's name over restarts.
#[async_trait]
pub trait IncarnationStore: Send + Sync + 'static {
    /// The one stored last, if any.
    ///
    /// Must be cancel safe: a start that is given up drops it.
    ///
    /// # Errors
    /// Words that name the store and the remedy; the node does not start.
    async fn load(&self) -> Result<Option<Incarnation>, String>;

    /// Stores one before it is used.
    ///
    /// Must be cancel safe: the Mesh drops it after 5 s, and a start that is given up does. Then the old one is stored, or the new one.
    ///
    /// # Errors
    /// Words that name the store and the remedy; the node stops.
    async fn store(&self, incarnation: Incarnation) -> Result<(), String>;
}

/// For nodes without a store.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotStored;

#[async_trait]
impl IncarnationStore for NotStored {
    async fn load(&self) -> Result<Option<Incarnation>, String> {
        Ok(None)
    }

    async fn store(&self, _: Incarnation) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
