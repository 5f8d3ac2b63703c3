//! How a running node is operated: by a Unix socket that its owner alone can open.
//!
//! One connection carries one request, a JSON object on a line, and its answers, one on each line. What they look like is
//! [`Request`] and [`Answer`]; `pingpong-node` speaks it, and so can any program.
//!
//! | part | what it is |
//! | --- | --- |
//! | `protocol` | requests and answers |
//! | `socket` | the socket's file: whose it is, and what becomes of an old one |
//! | `levels` | what answers about counts are worth |
//! | `counting` | answers about pings and counts |
//! | `server` | answers requests, a bounded number at a time |
//! | `client` | asks |
//! | `adapter` | servers that take calls in JSON |

mod adapter;
mod client;
mod counting;
mod levels;
mod protocol;
mod server;
mod socket;
#[cfg(test)]
mod tests;

pub use adapter::{AdapterError, Adapters};
pub use client::{Client, ClientError};
pub use levels::{AckLevel, CountsRead, ReadLevel, ValueRead, Worth};
pub use protocol::{
    Answer, CalledNode, ConsumerCounts, Failure, FailureKind, LinkStatus, NodeStatus, RATES, Reading, Request,
    SlotCount, StoreStatus, WatchEvent,
};
pub use socket::SocketError;

pub(crate) use server::{Desk, serve};
pub(crate) use socket::ControlSocket;
