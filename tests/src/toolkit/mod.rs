//! What the cases are written with: a cluster of nodes, probes that stand for servers, and event streams with deadlines.
//!
//! Every wait is for an event and has a deadline, after which the case fails with what was expected and what was seen. What has no event, a port
//! that is free again or a caller that has given up, is looked at again and again until its deadline. Only [`Cluster::hold`] lets time pass,
//! to keep a fault in place.

mod cluster;
mod events;
mod probe;
mod records;
mod traffic;
mod typed;

pub use cluster::{Cluster, TestNode, options};
pub use events::Events;
pub use probe::{Answer, Probe};
pub use records::{Message, Record, Segment, numbers, segments};
pub use traffic::Traffic;
pub use typed::{Add, Sum};

use pingpong_core::message::{Encoded, MessageType};
use pingpong_core::{NodeName, ServerName, Targets};

/// Type and version of the suite's messages.
pub const KIND: MessageType = MessageType { id: 7, version: 3 };

/// A node's name. Panics if it is not one.
pub fn node(name: &str) -> NodeName {
    NodeName::new(name).expect("the suite uses valid node names")
}

/// A server's name. Panics if it is not one.
pub fn server(name: &str) -> ServerName {
    ServerName::new(name).expect("the suite uses valid server names")
}

/// These nodes as targets.
pub fn to(names: &[&str]) -> Targets {
    Targets::Nodes(names.iter().map(|name| node(name)).collect())
}

/// The body of a numbered message: its number, then a pattern that the receiver checks. At least 8 bytes.
pub fn body(number: u64, size: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((8..size).map(|at| pattern(number, at)));
    bytes
}

fn pattern(number: u64, at: usize) -> u8 {
    (number as usize).wrapping_mul(31).wrapping_add(at) as u8
}

/// A body as a message.
pub fn message(body: &[u8]) -> Encoded<'_> {
    Encoded { kind: KIND, body }
}

/// More casts of 16 KiB than all queues between two nodes hold.
pub const MOST: u64 = 8_192;

/// Polls a future once, and returns whether it is still pending.
pub async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
}
