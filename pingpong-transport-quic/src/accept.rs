//! Dials of others: their handshakes, bounded in number and in time, and the connections that come of them.

use crate::census::{Census, Counted};
use crate::connection::{Own, QuicConnection};
use crate::places::{Network, Places};
use crate::ready::Ready;
use crate::refusals::{Failed, Refusals, SUMMARY, Unmade};
use crate::renewal::Renewal;
use crate::tls::Claim;
use crate::words;
use quinn::{Endpoint, Incoming, ServerConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, interval, timeout};

/// With so many connections of others, an address must be shown to be one's own (RFC 9000, section 8.1.2): one round trip more.
const UNVALIDATED: usize = 16;

/// Why nobody is let in while the node takes nobody.
const WAITING: &str = "as many connections as may wait to be accepted";

/// What the handshakes of others need, and their bounds.
pub(crate) struct Acceptor {
    pub(crate) identity: Renewal,
    /// For the transport; the identity of a handshake is that of its time.
    pub(crate) server: ServerConfig,
    pub(crate) own: Own,
    /// How many handshakes there may be.
    pub(crate) handshakes: usize,
    /// How many connections that others began, also those that end, there may be for another one to be begun.
    pub(crate) census: Census,
    /// How long a handshake may take.
    pub(crate) deadline: Duration,
    pub(crate) ready: Arc<Ready<QuicConnection>>,
}

/// However the task ends, whoever waits for a connection learns that none will come.
struct Closing(Arc<Ready<QuicConnection>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The task that takes dials; it ends with the endpoint.
pub(crate) async fn listen(endpoint: Endpoint, acceptor: Acceptor) {
    let _closing = Closing(Arc::clone(&acceptor.ready));
    let acceptor = Arc::new(acceptor);
    let mut places = Places::new(acceptor.handshakes);
    let mut handshakes: JoinSet<Result<(), Failed>> = JoinSet::new();
    let mut refusals = Refusals::default();
    let mut summary = interval(SUMMARY);
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                let from = incoming.remote_address().ip();
                match acceptor.admit(incoming, places.len()) {
                    Admitted::Yes(incoming, counted) => {
                        let task = handshakes.spawn(Arc::clone(&acceptor).handshake(*incoming, counted));
                        if places.take(from, task).is_some() {
                            refusals.gave_way();
                        }
                    }
                    Admitted::Later => {}
                    Admitted::No(words) => refusals.turned_away(words),
                }
            }
            _ = summary.tick() => refusals.summary(),
            Some(result) = handshakes.join_next_with_id() => {
                places.free(result.as_ref().map_or_else(JoinError::id, |(task, _)| *task));
                match result {
                    Ok((_, Ok(()))) => {}
                    Ok((_, Err(failed))) => refusals.failed(failed),
                    // It gave way to another one.
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => tracing::error!(%error, "a handshake's task failed"),
                }
            }
        }
    }
}

enum Admitted {
    Yes(Box<Incoming>, Counted),
    /// It must show first that its address is its own.
    Later,
    No(String),
}

impl Acceptor {
    /// `under_way`: handshakes. Whoever does not show its address costs memory before it costs its sender anything: beyond a few
    /// it must.
    fn admit(&self, incoming: Incoming, under_way: usize) -> Admitted {
        let busy = self.census.count() >= UNVALIDATED || under_way > self.handshakes / 2;
        if busy && incoming.may_retry() && !incoming.remote_address_validated() {
            // It fails only if it was not allowed, which has just been asked.
            let _ = incoming.retry();
            return Admitted::Later;
        }
        if self.ready.is_full() {
            incoming.refuse();
            return Admitted::No(WAITING.to_owned());
        }
        match self.census.admit(Network::of(incoming.remote_address().ip())) {
            Some(counted) => Admitted::Yes(Box::new(incoming), counted),
            None => {
                incoming.refuse();
                let open = self.census.count();
                Admitted::No(format!(
                    "others have {open} connections here, also those that end, and one network no more than leaves room for \
                     others; raise max_peers"
                ))
            }
        }
    }

    async fn handshake(self: Arc<Self>, incoming: Incoming, counted: Counted) -> Result<(), Failed> {
        let (claim, remote) = (Claim::default(), incoming.remote_address());
        let made = self.connect(incoming, &claim, counted).await;
        let taken = made.and_then(|connection| match self.ready.push(connection) {
            true => Ok(()),
            false => Err(Unmade::Failed(WAITING.to_owned())),
        });
        taken.map_err(|why| Failed { claim, remote, why })
    }

    async fn connect(&self, incoming: Incoming, claim: &Claim, mut counted: Counted) -> Result<QuicConnection, Unmade> {
        let tls = self.identity.current();
        let own = Own { expires: tls.expires, ..self.own.clone() };
        let mut server = self.server.clone();
        server.crypto = tls.server(claim)?;
        let expires = tls.expires;
        let (remote, began) = (incoming.remote_address(), Instant::now());
        let unmade = |error| {
            let words = words::failure(&error, expires).words;
            // Nobody waits that long who has linked otherwise meanwhile.
            let in_vain = began.elapsed() > self.deadline / 2 && !self.identity.is_connected(remote);
            match words::given_up(&error) {
                true if in_vain => Unmade::Failed(format!(
                    "the peer has waited in vain for {:.1?}; see whether this side's packets reach it, those of 1,200 bytes too",
                    began.elapsed()
                )),
                true => Unmade::GivenUp(words),
                false => Unmade::Failed(words),
            }
        };
        let server = Arc::new(server);
        // A connection keeps what it was made with.
        counted.lives(Arc::downgrade(&server) as _);
        let connecting = incoming.accept_with(server).map_err(unmade)?;
        match timeout(self.deadline, connecting).await {
            Ok(Ok(connection)) => Ok(QuicConnection::new(connection, own, &tls, Some(counted.proved()))?),
            Ok(Err(error)) => Err(unmade(error)),
            Err(_) => {
                let words = format!("the handshake took longer than {:?}", self.deadline);
                // A dial that a cut or a restart has cut short, and that its peer has made good.
                let is_made_good = self.identity.is_connected(remote);
                Err(if is_made_good { Unmade::GivenUp(words) } else { Unmade::Failed(words) })
            }
        }
    }
}
