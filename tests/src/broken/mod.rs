//! Deliberately broken transports: switches around a good one, each of which breaks the contract in one way.
//!
//! They test the suite. A transport that passes every case tells little if a broken one passes as well; the matrix of cases
//! and faults shows that every case notices some fault, and every fault is noticed by some case. [`Breaking`] puts a
//! [`Fault`] into the nodes of any harness, so whoever writes a harness of his own can see that it shows faults.

mod calls;
mod casts;
mod events;
mod faults;
mod harness;
mod inbox;
mod transport;

pub use faults::{FAULTS, Fault, breaks};
pub use harness::Breaking;
pub use transport::Broken;
