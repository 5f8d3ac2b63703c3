//! The transport contract of PingPong, and everything that is the same on every transport.
//!
//! Two seams hold the house up. [`Transport`] is what services and applications see: `list`, `abcast`, `multi_call` and
//! `monitor`, with a contract that says what each may do when something fails. [`link::Link`] is what backends implement:
//! dials, and ordered lanes of bytes. Between the two stands the mesh, which keeps the contract once for all backends; its
//! decisions are made by the pure machines of [`session`].
//!
//! | module | what it is |
//! | --- | --- |
//! | [`transport`], [`monitor`], [`inbox`], [`mod@message`] | the contract as types |
//! | [`name`], [`node`], [`address`] | who and where: parsed, with limits |
//! | [`mesh`] | links turned into a transport, once for all backends |
//! | [`link`] | the seam for backends |
//! | [`session`] | pure decisions: handshake, sessions, incarnations, failure detector, redial |
//! | [`wire`] | every byte that two nodes exchange |
//! | [`server`] | servers and their supervisors; typed casts and calls |
//! | [`exercise`] | the exercise that the project is named after: who pinged how often |
//! | [`config`] | bounds and times, checked together |

#![forbid(unsafe_code)]

pub mod address;
pub mod config;
pub mod exercise;
pub mod inbox;
pub mod link;
pub mod mesh;
pub mod message;
pub mod monitor;
pub mod name;
pub mod node;
mod repeats;
pub mod server;
pub mod session;
mod sync;
pub mod transport;
pub mod wire;

pub use address::Address;
pub use config::MeshConfig;
pub use mesh::Mesh;
pub use monitor::{DownReason, NodeChange, NodeEvent, NodeEvents};
pub use name::{ClusterName, NodeName, ServerName};
pub use node::{Incarnation, Node};
pub use server::{Context, Server, ServerHandle, SpawnOptions, TransportExt};
pub use transport::{CallFailure, Replies, Sent, Targets, Transport, WhenFull};
