//! Connections that were authenticated and that nobody has taken yet: bounded, and closed with the endpoint.

use crate::sync::{Mutex, PoisonError};
use std::collections::VecDeque;
use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct Ready<C> {
    most: usize,
    queue: Mutex<Queue<C>>,
    changed: Notify,
}

#[derive(Debug)]
struct Queue<C> {
    connections: VecDeque<C>,
    closed: bool,
}

impl<C> Ready<C> {
    pub(crate) fn new(most: usize) -> Self {
        let queue = Queue { connections: VecDeque::new(), closed: false };
        Self { most, queue: Mutex::new(queue), changed: Notify::new() }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Queue<C>) -> T) -> T {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.with(|queue| queue.connections.len() >= self.most)
    }

    /// Gives a connection to whoever accepts. `false`: there are too many that nobody takes; it is closed.
    pub(crate) fn push(&self, connection: C) -> bool {
        let refused = self.with(|queue| {
            if queue.closed {
                return None;
            }
            if queue.connections.len() >= self.most {
                return Some(connection);
            }
            queue.connections.push_back(connection);
            None
        });
        self.changed.notify_one();
        refused.is_none()
    }

    /// The next one; `None` when the endpoint is closed.
    pub(crate) async fn next(&self) -> Option<C> {
        loop {
            let changed = self.changed.notified();
            let (next, closed) = self.with(|queue| (queue.connections.pop_front(), queue.closed));
            match next {
                Some(connection) => {
                    // One call of `push` wakes one reader, and there may be several of both.
                    self.changed.notify_one();
                    return Some(connection);
                }
                None if closed => return None,
                None => changed.await,
            }
        }
    }

    /// Drops what waits; nothing comes after this.
    pub(crate) fn close(&self) {
        let dropped = self.with(|queue| {
            queue.closed = true;
            std::mem::take(&mut queue.connections)
        });
        drop(dropped);
        self.changed.notify_waiters();
    }
}
