//! Locks and atomics: those of `std`. In the tests of interleavings they are those of `shuttle`, which runs the threads of a test in
//! many orders, and finds the one in which a wake-up is lost or two locks wait for each other.
//!
//! Hand-made synchronisation takes them from here. Counters that nobody waits for, and what tokio synchronises, need not.

#[cfg(all(test, feature = "interleavings"))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError, atomic};
#[cfg(not(all(test, feature = "interleavings")))]
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
