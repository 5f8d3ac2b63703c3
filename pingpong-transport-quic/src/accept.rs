//! Dials of others: their handshakes, bounded in number and in time, and the connections that come of them.

use crate::census::{Census, Counted};
use crate::connection::{Own, QuicConnection};
use crate::places::{Network, Places};
use crate::ready::Ready;
use crate::refusals::{Failed, Refusals, SUMMARY};
use crate::renewal::Renewal;
use crate::tls::Claim;
use crate::words;
use quinn::{Endpoint, Incoming, ServerConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

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
    let mut handshakes: JoinSet<(u64, Result<(), Failed>)> = JoinSet::new();
    let mut refusals = Refusals::default();
    let mut summary = interval(SUMMARY);
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                let from = incoming.remote_address().ip();
                match acceptor.admit(incoming, places.len()) {
                    Admitted::Yes(incoming, counted) => {
                        let number = places.number();
                        let handshake = Arc::clone(&acceptor).handshake(*incoming, counted);
                        let task = handshakes.spawn(async move { (number, handshake.await) });
                        if places.take(number, from, task).is_some() {
                            refusals.gave_way();
                        }
                    }
                    Admitted::Later => {}
                    Admitted::No(words) => refusals.turned_away(words),
                }
            }
            _ = summary.tick() => refusals.summary(),
            Some(result) = handshakes.join_next() => match result {
                Ok((number, ended)) => {
                    places.free(number);
                    if let Err(failed) = ended {
                        refusals.failed(&failed);
                    }
                }
                // It gave way to another one.
                Err(error) if error.is_cancelled() => {}
                Err(error) => tracing::error!(%error, "a handshake's task failed"),
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

/// No connection came of a handshake.
enum Unmade {
    /// For a reason that somebody may have to do something about.
    Failed(String),
    /// The peer has linked otherwise, or waits no longer, or one of the two has forgotten the dial.
    GivenUp,
}

impl From<String> for Unmade {
    fn from(words: String) -> Self {
        Self::Failed(words)
    }
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
        match self.connect(incoming, &claim, counted).await {
            Ok(connection) => match self.ready.push(connection) {
                true => Ok(()),
                false => Err(Failed { claim, remote, words: WAITING.to_owned() }),
            },
            Err(Unmade::Failed(words)) => Err(Failed { claim, remote, words }),
            Err(Unmade::GivenUp) => {
                tracing::debug!(peer = %claim, %remote, "a peer has given its dial up");
                Ok(())
            }
        }
    }

    async fn connect(&self, incoming: Incoming, claim: &Claim, mut counted: Counted) -> Result<QuicConnection, Unmade> {
        let tls = self.identity.current();
        let own = Own { expires: tls.expires, ..self.own.clone() };
        let mut server = self.server.clone();
        server.crypto = tls.server(claim)?;
        let expires = tls.expires;
        let unmade = |error| match words::given_up(&error) {
            true => Unmade::GivenUp,
            false => Unmade::Failed(words::failure(&error, expires).words),
        };
        let remote = incoming.remote_address();
        let server = Arc::new(server);
        // A connection keeps what it was made with.
        counted.lives(Arc::downgrade(&server) as _);
        let connecting = incoming.accept_with(server).map_err(unmade)?;
        match timeout(self.deadline, connecting).await {
            Ok(Ok(connection)) => Ok(QuicConnection::new(connection, own, &tls, Some(counted.proved()))?),
            Ok(Err(error)) => Err(unmade(error)),
            // A dial that a cut or a restart has cut short, and that its peer has made good since.
            Err(_) if self.identity.is_connected(remote) => Err(Unmade::GivenUp),
            Err(_) => Err(format!("the handshake took longer than {:?}", self.deadline).into()),
        }
    }
}
