//! What the demo and the process of a node say to each other: one JSON value a line, one answer to each order.
//!
//! Orders come on the node's standard input, answers leave on its standard output. When its input ends, the node ends.

use super::stage::Look;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the demo tells a node. It is not shown in any log: there is a key in it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Start. This is the first order, and comes once.
    Start(Box<Start>),
    /// Ping all consumers this often.
    Ping(u64),
    /// Let the consumer crash, and lose what was kept.
    Crash,
    /// Start again what crashed.
    Recover,
    /// Say what you see.
    Look,
}

/// How a node is started. Its identity is told and not left in files, so that no key outlives a demo, however it ends.
#[derive(Serialize, Deserialize)]
pub(crate) struct Start {
    /// Where others dial it.
    pub(crate) advertise: String,
    /// Whom it dials.
    pub(crate) seeds: Vec<String>,
    /// The authority's certificate, as PEM.
    pub(crate) authority: String,
    /// The node's certificate, as PEM.
    pub(crate) certificate: String,
    /// The node's private key, as PEM.
    pub(crate) key: String,
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The node listens there.
    Started(SocketAddr),
    /// It is done.
    Done,
    /// What it sees.
    Seen(Look),
    /// It could not be done. A node that could not start ends.
    Failed(String),
}

/// The answer, or the order, as a line.
pub(crate) fn line(words: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(words).map(|text| text + "\n")
}
