//! What the demo and the process of a node say to each other, beside what all nodes say.

use super::player::Part;
use super::stage::Look;
use crate::cluster::{Protocol, Start};
use serde::{Deserialize, Serialize};

/// The nodes of the demo.
pub(crate) struct Demo;

impl Protocol for Demo {
    const COMMAND: &'static str = "demo";
    const NODE: &'static str = "demo-node";
    type Start = Start;
    type Order = Order;
    type Said = Said;
}

/// What the demo tells a node.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Start the servers.
    Play(Part),
    /// Ping all consumers this often.
    Ping(u64),
    /// Let the consumer crash, and lose what was kept.
    Crash,
    /// Start again what crashed.
    Recover,
    /// Say what you see, and what a majority says, if it is to be asked.
    Look {
        /// Whether it is.
        majority: bool,
    },
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// What it sees.
    Seen(Look),
}
