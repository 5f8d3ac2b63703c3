//! The conformance suite of the PingPong [transport contract](pingpong_core::Transport), for any transport.
//!
//! Whoever writes a backend, or a transport of his own, implements [`Harness`] (how to start a node, and how to break the
//! network between nodes), and gets every case as a named test from one line:
//!
//! ```ignore
//! // tests/conformance.rs of the backend
//! pingpong_conformance::conformance_suite!(MyHarness::new);
//! ```
//!
//! The factory is called once for each case, so every case has a network of its own. A case talks to its nodes only
//! through the [`Transport`](pingpong_core::Transport) trait, and to the network only through the harness. The test is named
//! after the case; when it fails, it says which promise of the contract was broken. A case that needs a fault which the
//! harness does not have ([`Harness::capabilities`]) prints that it was skipped, and why.
//!
//! A harness in outline:
//!
//! ```
//! use pingpong_conformance::{Capabilities, Capability, Timing};
//! use std::time::Duration;
//!
//! // Harness::timing: real nodes on a real network, so times are not exact.
//! let timing = Timing {
//!     failure: Duration::from_secs(2),
//!     stall: Duration::from_secs(3),
//!     exact: false,
//!     factor: 5,
//! };
//! assert!(timing.within(timing.failure) >= Duration::from_secs(10));
//!
//! // Harness::capabilities: what is missing carries its reason.
//! let can = Capabilities::all().without(Capability::Stall, "the nodes run in the process of the test");
//! assert!(can.missing(Capability::Stall).is_some() && can.missing(Capability::Cut).is_none());
//! ```
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
pub mod harness;
pub mod promises;
mod run;
pub mod toolkit;

mod authorization;
mod calls;
mod casts;
mod delivery;
mod failures;
mod faults;
mod lifecycle;
mod links;
mod membership;
mod messages;
mod overload;
mod sessions;

pub use cases::CASES;
pub use harness::{Capabilities, Capability, Clock, Greeted, Harness, Place, StartError, StartOptions, Store, Timing};
pub use run::{Case, Outcome, Running, run_case, run_test};
