//! What producers and consumers say to each other.

use super::counts::{Counts, Slot};
use super::digest::{Part, Sum, Sums};
use super::members::{Fingerprint, Voice};
use super::read::ReadError;
use super::store::Origin;
use crate::message::{Message, Request};
use crate::name::{ClusterName, NodeName, ServerName};
use crate::node::Incarnation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::LazyLock;

#[allow(clippy::expect_used)] // a literal; every test of the exercise reads it
fn literal(name: &str) -> ServerName {
    ServerName::new(name).expect("the names of this file are valid")
}

/// The name of the server that counts what this node pings.
pub static PRODUCER: LazyLock<ServerName> = LazyLock::new(|| literal("producer"));
/// The name of the server that keeps what all nodes pinged.
pub static CONSUMER: LazyLock<ServerName> = LazyLock::new(|| literal("consumer"));
/// The name of the server that votes; only members have it.
pub static MEMBER: LazyLock<ServerName> = LazyLock::new(|| literal("member"));

/// What a consumer is told. Counts are cumulative: the last message alone is enough (P1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// By a producer: its own slots.
    Pinged(Counts),
    /// By another consumer: what has changed, or all that it knows if that is little (P15).
    News(Counts),
    /// By another consumer that knows more than fits in a message: what its counts come to. Who has others compares.
    Sum(Sum),
}

impl Message for Told {
    const ID: u16 = 2;
    const VERSION: u8 = 1;
}

/// What a consumer is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AskConsumer {
    /// For all its counts.
    Counts,
    /// For the sums of the parts into which each of these is cut.
    Sums(Vec<Part>),
    /// For the counts in these parts.
    Parts(Vec<Part>),
    /// For the counts of one producer.
    Of(NodeName),
    /// For those in parts that have other sums than these.
    Beyond(Sums),
}

impl Message for AskConsumer {
    const ID: u16 = 3;
    const VERSION: u8 = 1;
}

/// A consumer's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsumerSays {
    /// All its counts, or those that were asked for.
    Counts(Counts),
    /// Parts with their sums.
    Sums(Vec<(Part, Sum)>),
}

impl Message for ConsumerSays {
    const ID: u16 = 6;
    const VERSION: u8 = 0;
}

impl Request for AskConsumer {
    type Reply = ConsumerSays;
}

/// What a producer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AskProducer {
    /// For its own slots.
    Slots,
    /// To ping this often, and when to answer. Only its own node may ask that.
    Ping(u64, When),
}

/// When a producer answers to pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// At once: they wait to be counted. A crash of the producer loses them.
    Queued,
    /// When they are in this node's store.
    Stored,
}

impl Message for AskProducer {
    const ID: u16 = 4;
    const VERSION: u8 = 1;
}

/// A producer's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProducerSays {
    /// Its own slots.
    Slots {
        /// With their counts.
        counts: Counts,
        /// Whether these are all that there ever were of its name: its store was created by `init` (P18).
        exact: bool,
    },
    /// The pings wait to be counted.
    Queued,
    /// The pings are counted.
    Pinged(Pinged),
    /// Nothing was counted.
    Refused(PingRefused),
}

impl Message for ProducerSays {
    const ID: u16 = 5;
    const VERSION: u8 = 1;
}

impl Request for AskProducer {
    type Reply = ProducerSays;
}

/// Pings that are in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinged {
    /// The slot in which they count.
    pub slot: Slot,
    /// The number of the last of them: all pings of the slot so far.
    pub count: u64,
}

/// Pings that were not counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum PingRefused {
    /// The numbers of the slot would not suffice.
    #[error("the slot is at {count}, and {wanted} more pings do not fit in 64 bits; start the node with a new store")]
    CountExhausted {
        /// The slot's count.
        count: u64,
        /// How many pings were asked for.
        wanted: u64,
    },
    /// Another node asked.
    #[error("a producer pings for its own node only")]
    NotLocal,
    /// The store takes nothing more for now (P6).
    #[error("nothing was counted: {0}")]
    StoreFull(String),
    /// The store takes nothing more at all, and the node stops (P6). These pings may be counted, if the disk has them.
    #[error("the node stops: {0}")]
    StoreClosed(String),
    /// As many pings wait as may.
    #[error("{limit} pings wait for an answer, the limit; ping when some have got one")]
    Busy {
        /// How many may wait.
        limit: usize,
    },
}

/// What a member is asked, by nodes that have the same members (P28).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskMember {
    /// Which members the asking node has.
    pub members: Fingerprint,
    /// What it asks.
    pub ask: Ask,
}

/// The questions to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// To store these counts, and to say so once they are synced (P10, P19).
    Hold(Counts),
    /// What it has published. Counts that come to this sum are known (P19).
    Read(Sum),
    /// The same of one that has said that it [`Differs`](MemberSays::Differs): parts with these sums are known.
    ReadBeyond(Sums),
    /// What it has published, whether it votes or not (P23, `accept_loss`).
    Salvage(Rest),
    /// To read at that level itself, for a node that is no member, and so must not write back what it has read (P19). Parts with these sums
    /// are known.
    Agree(Agreement, Sums),
    /// By another member that has a new store: to remember its epoch, and to help it recover (P23); or, if its store was created by `init`,
    /// to say whether it was there before (P25).
    Recover {
        /// The epoch of its store.
        epoch: Incarnation,
        /// How the store came to be.
        origin: Origin,
        /// How far it has counted in that epoch: if others have seen more, it is an older copy (P27).
        count: u64,
        /// What it wants to hear.
        rest: Rest,
    },
}

/// What a node lacks of another one's counts, which it asks for in pieces: all of them would be one message of many megabytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// Parts with these sums are known.
    pub known: Sums,
    /// Of the parts before that one it has heard. The next piece begins with it.
    pub from: u16,
}

/// What a majority is to agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Agreement {
    /// On each producer's value and on the total (P20, P21).
    Values,
    /// On all counts at one instant (P22).
    Snapshot,
}

impl Message for AskMember {
    const ID: u16 = 7;
    const VERSION: u8 = 1;
}

/// A member's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberSays {
    /// The counts are synced.
    Held(Voice),
    /// What it has published, in these parts; in the others, up to where the next piece begins, it has what was known.
    Counts {
        /// Who says so.
        voice: Voice,
        /// Which parts.
        parts: Vec<Part>,
        /// All that is in them.
        counts: Counts,
        /// With which part the next piece begins, if there is one.
        next: Option<u16>,
    },
    /// What it has published comes to another sum, and is much: what is known should be said in parts.
    Differs,
    /// What it has published comes to the sum in the question.
    Same(Voice),
    /// What a majority agreed on, or why it did not.
    Agreed(Result<Agreed, ReadError>),
    /// It does not vote: it is recovering itself.
    Recovering,
    /// It could not store it (P6).
    Refused(String),
    /// A store of the asking node's name had this epoch, which is greater, or any other if the node claims to be there for the first time; or
    /// it is the same, and more is counted in it than the node has said (P23, P25, P27).
    Known {
        /// The epoch.
        epoch: Incarnation,
        /// What is counted in it.
        count: u64,
    },
    /// It has other members, or another cluster (P28).
    ConfigMismatch {
        /// Its cluster.
        cluster: ClusterName,
        /// Its members.
        members: Vec<NodeName>,
    },
}

/// What a majority agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// Which parts of it are said here; in the others it is what was known.
    pub parts: Vec<Part>,
    /// All that is in them.
    pub counts: Counts,
    /// Which members hold it.
    pub holders: BTreeSet<NodeName>,
}

impl Message for MemberSays {
    const ID: u16 = 8;
    const VERSION: u8 = 2;
}

impl Request for AskMember {
    type Reply = MemberSays;
}
