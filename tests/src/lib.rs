//! The conformance suite of the PingPong [transport contract](pingpong_core::Transport), for any transport.
//!
//! Whoever writes a backend, or a transport of his own, implements [`Harness`] (how to start a node, and how to break the
//! network between nodes), and gets every case as a named test from one line:
//!
//! `pingpong_conformance::conformance_suite!(MyHarness::new);`
//!
//! The factory is called once for each case, so every case has a network of its own. A case talks to its nodes only
//! through the [`Transport`](pingpong_core::Transport) trait, and to the network only through the harness. The test is named
//! after the case; when it fails, it says which promise of the contract was broken. A case that needs a fault which the
//! harness does not have ([`Harness::capabilities`]) prints that it was skipped, and why.
//!
//! A harness in outline, for a network that cannot be cut one way only and whose nodes share the test's process:
//!
//! ```
//! use async_trait::async_trait;
//! use pingpong_conformance::{Capabilities, Capability, Harness, Place, StartError, StartOptions, Timing};
//! use pingpong_core::Transport;
//! use pingpong_core::transport::Shutdown;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! struct MyHarness; // the network, the nodes by place, a port for each place
//!
//! impl MyHarness {
//!     fn new() -> Self {
//!         Self
//!     }
//! }
//!
//! #[async_trait]
//! impl Harness for MyHarness {
//!     fn runtime(&self) -> tokio::runtime::Runtime {
//!         todo!("several threads and the real clock for a real network")
//!     }
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities::all()
//!             .without(Capability::CutOneWay, "the switch cuts both ways")
//!             .without(Capability::Stall, "the nodes run in the process of the test")
//!             .without(Capability::FreezeLanes, "it does not build on pingpong_core::link")
//!     }
//!     fn timing(&self) -> Timing {
//!         let (failure, stall) = (Duration::from_secs(2), Duration::from_secs(3));
//!         Timing { failure, stall, exact: false, factor: 5 }
//!     }
//!     async fn start(&self, options: StartOptions) -> Result<Arc<dyn Transport>, StartError> {
//!         todo!("bind the place's port, dial the ports of options.seeds")
//!     }
//!     async fn stop(&self, place: &Place, deadline: Duration) -> Shutdown {
//!         todo!("shut its transport down")
//!     }
//!     async fn crash(&self, place: &Place) {
//!         todo!("drop its packets from now on, then drop the transport")
//!     }
//!     // ... and a method for each fault that its network can have; what it has not is left out, and taken out of its capabilities
//! }
//!
//! # mod tests { use super::MyHarness;
//! pingpong_conformance::conformance_suite!(MyHarness::new);
//! # }
//! # fn main() { let _ = MyHarness::new().capabilities().missing(Capability::Stall); }
//! ```
//!
//! Of a harness for a [`Link`](pingpong_core::link::Link) much is the same on every network: [`ground`] configures its nodes and keeps what
//! belongs to a place, [`stranger`] speaks to nodes as outsiders do, [`faulty`] breaks single lanes.
//!
//! The suite is itself tested: [`broken`] holds switches that break a good transport in one way each, and a test shows
//! that every case notices at least one of them.

#![forbid(unsafe_code)]
// The crate is run by tests and nothing else: it says that a promise is broken by panicking, and that a case was skipped by
// printing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[macro_use]
mod cases;
pub mod broken;
mod capability;
pub mod faulty;
pub mod ground;
pub mod harness;
pub mod history;
pub mod promises;
mod run;
#[macro_use]
pub mod stories;
pub mod stranger;
pub mod toolkit;

mod authorization;
mod calls;
mod casts;
mod delivery;
mod failures;
mod faults;
mod lanes;
mod lifecycle;
mod links;
mod membership;
mod messages;
mod monitors;
mod overload;
mod reasons;
mod sessions;

pub use capability::{Capabilities, Capability};
pub use cases::CASES;
pub use harness::{Clock, Greeted, Harness, Misbehaviour, Place, STRANGER, StartError, StartOptions, Store, Timing};
pub use run::{Case, Outcome, Running, run_case, run_test};
