//! What producers and consumers say to each other.

use super::counts::{Counts, Slot};
use crate::message::{Message, Request};
use crate::name::ServerName;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

#[allow(clippy::expect_used)] // a literal; every test of the exercise reads it
fn literal(name: &str) -> ServerName {
    ServerName::new(name).expect("the names of this file are valid")
}

/// The name of the server that counts what this node pings.
pub static PRODUCER: LazyLock<ServerName> = LazyLock::new(|| literal("producer"));
/// The name of the server that keeps what all nodes pinged.
pub static CONSUMER: LazyLock<ServerName> = LazyLock::new(|| literal("consumer"));

/// What a consumer is told. Counts are cumulative: the last message alone is enough (P1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// By a producer: its own slots.
    Pinged(Counts),
    /// By another consumer: what it knows (P15).
    News(Counts),
}

impl Message for Told {
    const ID: u16 = 2;
    const VERSION: u8 = 0;
}

/// Asks a consumer for its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskCounts;

impl Message for AskCounts {
    const ID: u16 = 3;
    const VERSION: u8 = 0;
}

impl Request for AskCounts {
    type Reply = Counts;
}

/// What a producer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AskProducer {
    /// For its own slots.
    Slots,
    /// To ping this often. Only its own node may ask that.
    Ping(u64),
}

impl Message for AskProducer {
    const ID: u16 = 4;
    const VERSION: u8 = 0;
}

/// A producer's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProducerSays {
    /// Its own slots.
    Slots(Counts),
    /// The pings are counted.
    Pinged(Pinged),
    /// Nothing was counted.
    Refused(PingRefused),
}

impl Message for ProducerSays {
    const ID: u16 = 5;
    const VERSION: u8 = 0;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
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
}
