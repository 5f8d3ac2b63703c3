//! Links of PingPong inside one process, with every fault of the contract (F1).
//!
//! A [`MemNetwork`] joins any number of hosts. [`MemNetwork::bind`] gives a host a [`MemLink`], which dials and accepts as the
//! link of any backend does; the network's other methods cut, delay, stall and crash hosts by their addresses.
//!
//! Everything that two ends say to each other travels as packets, which a path passes on at once, delays, holds or loses.
//! A path without faults delivers within the call that sends, so a connection needs no task; packets that are delayed wait
//! for one task of the network, which ends when none is left. Chance comes from the seed and time from tokio's clock: on a
//! `current_thread` runtime with a paused clock, one seed gives one order of events.
//!
//! | module | what it is |
//! | --- | --- |
//! | `network` | what tests hold: bind, crash, settings |
//! | `faults` | what paths do to packets, and the methods that change it |
//! | `link`, `connection`, `lane` | the four traits of the seam |
//! | `traffic` | how packets leave, arrive, wait and get lost |
//! | `delivery` | what a packet does where it arrives |
//! | `state`, `wait`, `timer` | what the lock guards, who waits for it, and the task for delayed packets |

#![forbid(unsafe_code)]

mod connection;
mod delivery;
mod faults;
#[cfg(all(test, feature = "interleavings"))]
mod interleavings;
mod lane;
mod link;
mod network;
mod state;
mod sync;
mod timer;
mod traffic;
mod wait;

pub use connection::MemConnection;
pub use lane::{MemReceiver, MemSender};
pub use link::MemLink;
pub use network::{BindError, MemNetwork, Settings};
