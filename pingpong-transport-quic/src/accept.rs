//! Dials of others: their handshakes, bounded in number and in time, and the connections that come of them.

use crate::connection::QuicConnection;
use crate::words;
use quinn::{Endpoint, Incoming};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Connections that were not accepted yet. Each keeps the place that its handshake had, so that their number is bounded.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    connections: VecDeque<(QuicConnection, OwnedSemaphorePermit)>,
    closed: bool,
}

impl Ready {
    fn with<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, connection: QuicConnection, place: OwnedSemaphorePermit) {
        self.with(|queue| {
            if !queue.closed {
                queue.connections.push_back((connection, place));
            }
        });
        self.changed.notify_one();
    }

    /// The next one; `None` when the endpoint is closed.
    pub(crate) async fn next(&self) -> Option<QuicConnection> {
        loop {
            let changed = self.changed.notified();
            let (next, closed) = self.with(|queue| (queue.connections.pop_front(), queue.closed));
            match next {
                Some((connection, _place)) => return Some(connection),
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

/// How many handshakes there may be, and how long they may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) handshakes: usize,
    pub(crate) deadline: Duration,
}

/// The task that takes dials; it ends with the endpoint.
pub(crate) async fn listen(endpoint: Endpoint, ready: Arc<Ready>, bounds: Bounds) {
    let places = Arc::new(Semaphore::new(bounds.handshakes));
    let mut handshakes = JoinSet::new();
    let mut log = RatedLog::default();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                let remote = incoming.remote_address();
                match admit(incoming, &places, bounds.handshakes) {
                    Admitted::Yes(incoming, place) => {
                        handshakes.spawn(handshake(*incoming, bounds.deadline, Arc::clone(&ready), place));
                    }
                    Admitted::Later => {}
                    Admitted::No => log.warn(remote, "too many handshakes are under way"),
                }
            }
            Some(result) = handshakes.join_next() => match result {
                Ok(Ok(())) => {}
                Ok(Err((remote, words))) => log.warn(remote, &words),
                Err(error) => tracing::error!(%error, "a handshake's task failed"),
            }
        }
    }
    ready.close();
}

enum Admitted {
    Yes(Box<Incoming>, OwnedSemaphorePermit),
    /// It must show first that its address is its own.
    Later,
    No,
}

fn admit(incoming: Incoming, places: &Arc<Semaphore>, bound: usize) -> Admitted {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        incoming.refuse();
        return Admitted::No;
    };
    let busy = places.available_permits() < bound / 2;
    if busy && incoming.may_retry() && !incoming.remote_address_validated() {
        // It fails only if it was not allowed, which has just been asked.
        let _ = incoming.retry();
        return Admitted::Later;
    }
    Admitted::Yes(Box::new(incoming), place)
}

async fn handshake(
    incoming: Incoming,
    deadline: Duration,
    ready: Arc<Ready>,
    place: OwnedSemaphorePermit,
) -> Result<(), (SocketAddr, String)> {
    let remote = incoming.remote_address();
    let failed = |words: String| (remote, words);
    let connecting = incoming.accept().map_err(|error| failed(words::failure(&error).words))?;
    let connection = match timeout(deadline, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(failed(words::failure(&error).words)),
        Err(_) => return Err(failed(format!("the handshake took longer than {deadline:?}"))),
    };
    ready.push(QuicConnection::new(connection).map_err(failed)?, place);
    Ok(())
}

/// At most one line a second; the rest is counted.
#[derive(Default)]
struct RatedLog {
    last: Option<Instant>,
    left_out: u64,
}

impl RatedLog {
    fn warn(&mut self, remote: SocketAddr, reason: &str) {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < Duration::from_secs(1)) {
            self.left_out += 1;
            return;
        }
        tracing::warn!(%remote, reason, left_out = self.left_out, "a handshake failed");
        (self.last, self.left_out) = (Some(now), 0);
    }
}
