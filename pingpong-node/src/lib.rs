//! A PingPong node: the core, and the transports of your choice.
//!
//! Everything of [`pingpong_core`] is here under the same name; each transport is a module behind a feature of its name. This
//! is the one place where a transport is chosen: the rest of a service sees the [`Transport`] trait alone.
//!
//! | feature | module | what it is |
//! | --- | --- | --- |
//! | `mem` | `mem` | links inside one process, with every fault of the contract |
//! | `quic` | `quic` | links between processes, over QUIC with mutual TLS |
//! | `daemon` | `daemon`, `settings`, `control`, `store` | a node as a service, `Daemon`, over QUIC: configured by a file, operated from outside |

#![forbid(unsafe_code)]

#[cfg(not(any(feature = "mem", feature = "quic")))]
compile_error!("pingpong-node needs a transport: enable its feature `mem`, `quic`, or both.");

pub use pingpong_core::mesh::StartError;
pub use pingpong_core::*;

#[cfg(all(feature = "daemon", unix))]
pub mod control;
#[cfg(all(feature = "daemon", unix))]
pub mod daemon;
// Without either there is one error, and no other beside it.
#[cfg(any(feature = "mem", feature = "quic"))]
pub mod dev;
pub mod io_thread;
#[cfg(feature = "daemon")]
pub mod settings;
#[cfg(feature = "daemon")]
pub mod store;

#[cfg(feature = "mem")]
pub use pingpong_transport_mem as mem;
#[cfg(feature = "quic")]
pub use pingpong_transport_quic as quic;

/// The example of the README is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// And those of the guide to messages.
#[cfg(doctest)]
#[doc = include_str!("../../docs/messages.md")]
pub struct Messages;
