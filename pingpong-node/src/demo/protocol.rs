//! What the demo and the process of a node say to each other: one JSON value a line, one answer to each order.
//!
//! Orders come on the node's standard input, answers leave on its standard output. When its input ends, the node ends.

use super::stage::Look;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the demo tells a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Ping all consumers this often.
    Ping(u64),
    /// Let the consumer crash, and lose what was kept.
    Crash,
    /// Start again what crashed.
    Recover,
    /// Say what you see.
    Look,
}

/// What a node answers. The first one, without an order, is [`Started`](Self::Started) or [`Failed`](Self::Failed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The node listens there.
    Started(SocketAddr),
    /// It is done.
    Done,
    /// What it sees.
    Seen(Look),
    /// It could not be done.
    Failed(String),
}

/// The answer, or the order, as a line.
pub(crate) fn line(words: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(words).map(|text| text + "\n")
}
