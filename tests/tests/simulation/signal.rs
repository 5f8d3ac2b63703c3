//! What many wait for: a value that changes, and wakes those that wait in the order in which they came.
//!
//! A watch channel of tokio wakes them in an order that no seed decides.

use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// A value. Clones are the same.
pub(crate) struct Signal<T>(Arc<(Mutex<T>, Notify)>);

impl<T> Clone for Signal<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Signal<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new((Mutex::new(value), Notify::new())))
    }

    pub(crate) fn get(&self) -> T {
        self.0.0.lock().unwrap().clone()
    }

    /// Returns what it was.
    pub(crate) fn replace(&self, value: T) -> T {
        let before = std::mem::replace(&mut *self.0.0.lock().unwrap(), value);
        self.0.1.notify_waiters();
        before
    }

    /// Waits until it is as it should be. Cancel safe.
    pub(crate) async fn wait_for(&self, enough: impl Fn(&T) -> bool) {
        loop {
            let changed = self.0.1.notified();
            if enough(&self.0.0.lock().unwrap()) {
                return;
            }
            changed.await;
        }
    }
}
