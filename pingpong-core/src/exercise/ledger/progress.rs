//! How far the store has come, and who waits for it.
//!
//! Those who wait are woken in the order in which they came. A watch channel of tokio would wake them in an order that no seed decides, and a
//! simulated run could not be repeated.

use crate::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// How far the store has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The last change that is synced.
    pub(super) synced: u64,
    /// The last change that was refused. It waits to be tried again.
    pub(super) refused: u64,
    pub(super) closed: bool,
}

/// The same, for all to see.
pub(super) struct Watched {
    progress: Mutex<Progress>,
    changed: Notify,
}

impl Watched {
    pub(super) fn new(progress: Progress) -> Self {
        Self { progress: Mutex::new(progress), changed: Notify::new() }
    }

    pub(super) fn now(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }

    /// Waits until it is as it should be. Cancel safe.
    pub(super) async fn wait_for(&self, enough: impl Fn(&Progress) -> bool) -> Progress {
        loop {
            // Made before the look, so that no change in between is missed.
            let changed = self.changed.notified();
            let now = self.now();
            if enough(&now) {
                return now;
            }
            changed.await;
        }
    }
}
