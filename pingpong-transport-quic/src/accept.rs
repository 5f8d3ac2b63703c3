//! Dials of others: their handshakes, bounded in number and in time, and the connections that come of them.

use crate::connection::{Own, QuicConnection};
use crate::renewal::Renewal;
use crate::tls::Claim;
use crate::words;
use quinn::{Endpoint, Incoming, ServerConfig};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

/// With so many connections open, an address must be shown to be one's own (RFC 9000, section 8.1.2): one round trip more.
const UNVALIDATED: usize = 16;
/// How long failures at one address are counted after one was logged.
const QUIET: Duration = Duration::from_secs(1);
/// Addresses whose failures are logged in that time.
const LINES: usize = 16;
/// How often it is said how many failures were not logged.
const SUMMARY: Duration = Duration::from_secs(10);

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
                Some((connection, _place)) => {
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

/// What the handshakes of others need, and their bounds.
pub(crate) struct Acceptor {
    pub(crate) identity: Renewal,
    /// For the transport; the identity of a handshake is that of its time.
    pub(crate) server: ServerConfig,
    pub(crate) failure_timeout: Duration,
    /// How many there may be.
    pub(crate) handshakes: usize,
    /// How many connections of any kind, also those that end, there may be for another one to be begun.
    pub(crate) connections: usize,
    /// How long one may take.
    pub(crate) deadline: Duration,
    pub(crate) ready: Arc<Ready>,
}

/// A handshake failed: who, where, why.
struct Failed {
    claim: Claim,
    remote: SocketAddr,
    words: String,
}

/// The task that takes dials; it ends with the endpoint.
pub(crate) async fn listen(endpoint: Endpoint, acceptor: Acceptor) {
    let acceptor = Arc::new(acceptor);
    let places = Arc::new(Semaphore::new(acceptor.handshakes));
    let mut handshakes = JoinSet::new();
    let mut log = RatedLog::default();
    let mut summary = interval(SUMMARY);
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                let remote = incoming.remote_address();
                match acceptor.admit(incoming, &places, endpoint.open_connections()) {
                    Admitted::Yes(incoming, place) => {
                        handshakes.spawn(Arc::clone(&acceptor).handshake(*incoming, place));
                    }
                    Admitted::Later => {}
                    Admitted::No(words) => log.warn(&Failed { claim: Claim::default(), remote, words }),
                }
            }
            _ = summary.tick() => log.summary(),
            Some(result) = handshakes.join_next() => match result {
                Ok(Ok(())) => {}
                Ok(Err(failed)) => log.warn(&failed),
                Err(error) => tracing::error!(%error, "a handshake's task failed"),
            }
        }
    }
    acceptor.ready.close();
}

enum Admitted {
    Yes(Box<Incoming>, OwnedSemaphorePermit),
    /// It must show first that its address is its own.
    Later,
    No(String),
}

impl Acceptor {
    /// `open`: connections that there are. Whoever does not show its address costs memory before it costs its sender anything:
    /// beyond a few it must.
    fn admit(&self, incoming: Incoming, places: &Arc<Semaphore>, open: usize) -> Admitted {
        if open >= self.connections {
            incoming.refuse();
            return Admitted::No(format!(
                "{open} connections are open or end, more than {} are not allowed",
                self.connections
            ));
        }
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            incoming.refuse();
            return Admitted::No(format!(
                "{0} handshakes are under way, more than {0} are not allowed",
                self.handshakes
            ));
        };
        let busy = open >= UNVALIDATED || places.available_permits() < self.handshakes / 2;
        if busy && incoming.may_retry() && !incoming.remote_address_validated() {
            // It fails only if it was not allowed, which has just been asked.
            let _ = incoming.retry();
            return Admitted::Later;
        }
        Admitted::Yes(Box::new(incoming), place)
    }

    async fn handshake(self: Arc<Self>, incoming: Incoming, place: OwnedSemaphorePermit) -> Result<(), Failed> {
        let (claim, remote) = (Claim::default(), incoming.remote_address());
        match self.connect(incoming, &claim).await {
            Ok(connection) => {
                self.ready.push(connection, place);
                Ok(())
            }
            Err(words) => Err(Failed { claim, remote, words }),
        }
    }

    async fn connect(&self, incoming: Incoming, claim: &Claim) -> Result<QuicConnection, String> {
        let tls = self.identity.current();
        let own = Own { expires: tls.expires, failure_timeout: self.failure_timeout };
        let mut server = self.server.clone();
        server.crypto = tls.server(claim)?;
        let failed = |error| words::failure(&error, own.expires).words;
        let connecting = incoming.accept_with(Arc::new(server)).map_err(failed)?;
        match timeout(self.deadline, connecting).await {
            Ok(connection) => QuicConnection::new(connection.map_err(failed)?, own),
            Err(_) => Err(format!("the handshake took longer than {:?}", self.deadline)),
        }
    }
}

/// At most one line in [`QUIET`] for each address, and [`LINES`] in all; the rest is counted.
#[derive(Default)]
struct RatedLog {
    lines: HashMap<IpAddr, Instant>,
    left_out: u64,
}

impl RatedLog {
    fn warn(&mut self, failed: &Failed) {
        let now = Instant::now();
        self.lines.retain(|_, last| now.duration_since(*last) < QUIET);
        let Failed { claim, remote, words } = failed;
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        if self.lines.len() >= LINES || self.lines.contains_key(&remote.ip()) {
            self.left_out += 1;
            return;
        }
        self.lines.insert(remote.ip(), now);
        tracing::warn!(peer = %claim, %remote, reason = words, "a handshake failed");
    }

    fn summary(&mut self) {
        if self.left_out > 0 {
            let left_out = std::mem::take(&mut self.left_out);
            tracing::warn!(left_out, "more handshakes failed");
        }
    }
}
