//! The transport contract of PingPong, and everything that is the same on every transport.

#![forbid(unsafe_code)]

pub mod address;
pub mod mesh;
pub mod monitor;
pub mod name;
pub mod node;
pub mod session;

pub use address::Address;
pub use monitor::{DownReason, NodeChange, NodeEvent, NodeEvents};
pub use name::{ClusterName, NodeName, ServerName};
pub use node::{Incarnation, Node};
