//! Locks and atomics: those of `std`. In the tests of interleavings they are those of `shuttle`, which runs one thread at a
//! time, and decides at each lock and atomic who goes on. A test in which nobody can go on is red: so a wake-up that is lost, or two
//! locks that wait for each other, are seen without a deadline.
//!
//! Hand-made synchronisation takes them from here. Counters that nobody waits for, and what tokio synchronises, need not.

#[cfg(all(test, feature = "interleavings"))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError, RwLock, atomic};
#[cfg(not(all(test, feature = "interleavings")))]
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, atomic};

#[cfg(all(test, feature = "interleavings"))]
pub(crate) use explore::explore;

#[cfg(all(test, feature = "interleavings"))]
#[allow(clippy::unwrap_used)] // of tests
mod explore {
    /// Orders of each test, for each way to choose them.
    const ORDERS: usize = 2_000;
    /// How often a thread is held up at the worst moment, in the orders that are chosen for that.
    const HOLD_UPS: usize = 3;

    /// Runs the test in many orders: at random, and with few threads held up for long.
    pub(crate) fn explore(test: impl Fn() + Send + Sync + 'static) {
        // Deadlines need a clock. Nothing runs on it, and no deadline of a test is near.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _within = runtime.enter();
        let test = std::sync::Arc::new(test);
        let again = std::sync::Arc::clone(&test);
        shuttle::check_random(move || again(), ORDERS);
        shuttle::check_pct(move || test(), ORDERS, HOLD_UPS);
    }
}
