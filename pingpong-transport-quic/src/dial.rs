//! Dials of this node: an address is resolved anew each time, and all that it stands for are tried.

use crate::connection::{Own, QuicConnection};
use crate::renewal::Renewal;
use crate::resolve::Resolver;
use crate::tls::Claim;
use crate::words;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use pingpong_core::link::{Connection, DialError};
use pingpong_core::{Address, NodeName};
use quinn::{ClientConfig, ConnectError, ConnectionError, Endpoint, TransportConfig};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// Stands for a name that is not known; it is never sent, and no node may have it.
const UNKNOWN: &str = "unknown.invalid";

/// How long one of several addresses is alone (RFC 8305, section 8, "Connection Attempt Delay").
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses that one dial tries. If a name stands for more, the next dial goes on where this one ends.
const MOST: usize = 8;

/// What a dial needs.
pub(crate) struct Dialler {
    pub(crate) endpoint: Endpoint,
    pub(crate) identity: Renewal,
    pub(crate) transport: Arc<TransportConfig>,
    pub(crate) own: Own,
    pub(crate) resolver: Resolver,
    /// How many dials there were, so that each of many addresses has its turn.
    pub(crate) turn: AtomicUsize,
}

impl Dialler {
    pub(crate) async fn dial(&self, address: &Address, expect: Option<&NodeName>) -> Result<QuicConnection, DialError> {
        let mut found = self.resolver.resolve(address).await?;
        if found.len() > MOST {
            let turn = self.turn.fetch_add(MOST, Ordering::Relaxed) % found.len();
            found.rotate_left(turn);
            found.truncate(MOST);
        }
        self.first(address, &found, expect).await
    }

    /// Tries what an address stands for, each a little later than the one before it (RFC 8305); the first that answers wins.
    pub(crate) async fn first(
        &self,
        address: &Address,
        found: &[SocketAddr],
        expect: Option<&NodeName>,
    ) -> Result<QuicConnection, DialError> {
        let mut failure = DialError::unreachable(address, "its name has no address");
        let mut rest = found.iter();
        let mut under_way = FuturesUnordered::new();
        loop {
            let more = rest.next().map(|&remote| under_way.push(self.attempt(address, remote, expect))).is_some();
            let patience = async {
                match more {
                    true => sleep(STAGGER).await,
                    false => pending().await,
                }
            };
            tokio::select! {
                ended = under_way.next() => match ended {
                    None => return Err(failure),
                    Some(Ok(connection)) => return Ok(connection),
                    // What one side refuses says more than that somebody else is there, and that more than silence.
                    Some(Err(error)) if telling(&error) < telling(&failure) => {}
                    Some(Err(error)) => failure = error,
                },
                () = patience => {}
            }
        }
    }

    async fn attempt(
        &self,
        address: &Address,
        remote: SocketAddr,
        expect: Option<&NodeName>,
    ) -> Result<QuicConnection, DialError> {
        let tls = self.identity.current();
        let own = Own { expires: tls.expires, ..self.own.clone() };
        let claim = Claim::default();
        let crypto = tls.client(expect.is_some(), &claim).map_err(|words| DialError::refused(address, words))?;
        let mut config = ClientConfig::new(crypto);
        config.transport_config(Arc::clone(&self.transport));
        let name = expect.map_or(UNKNOWN, NodeName::as_str);
        let failed = |words: String| match expect {
            Some(name) => format!("{name} at {remote}: {words}"),
            None => format!("{remote}: {words}"),
        };
        let connecting = self.endpoint.connect_with(config, remote, name).map_err(|error| match error {
            ConnectError::EndpointStopping => DialError::EndpointClosed,
            ConnectError::InvalidRemoteAddress(_) => {
                DialError::unreachable(address, format!("{remote} cannot be reached from the socket of this node"))
            }
            error => DialError::refused(address, error.to_string()),
        })?;
        let expires = own.expires;
        let connection = match connecting.await {
            Ok(connection) => connection,
            Err(ConnectionError::LocallyClosed) => return Err(DialError::EndpointClosed),
            Err(error) => {
                if let Some(answered) = claim.another() {
                    DialError::check_name(address, expect, &answered)?;
                }
                let failure = words::failure(&error, expires);
                return Err(match failure.refused {
                    true => DialError::refused(address, failed(format!("{claim} answered; {}", failure.words))),
                    false => DialError::unreachable(address, failed(failure.words)),
                });
            }
        };
        let connection = QuicConnection::new(connection, own, &tls, None)
            .map_err(|words| DialError::refused(address, failed(words)))?;
        DialError::check_name(address, expect, connection.peer())?;
        Ok(connection)
    }
}

/// How much a failure says about what is wrong.
const fn telling(error: &DialError) -> u8 {
    match error {
        DialError::Unreachable { .. } => 0,
        DialError::AnotherName { .. } => 1,
        _ => 2,
    }
}
