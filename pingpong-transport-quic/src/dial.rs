//! Dials of this node: an address is resolved anew each time, and all that it stands for are tried.

use crate::connection::{Own, QuicConnection};
use crate::renewal::Renewal;
use crate::tls::Claim;
use crate::words;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use pingpong_core::link::{Connection, DialError};
use pingpong_core::{Address, NodeName};
use quinn::{ClientConfig, ConnectError, ConnectionError, Endpoint, TransportConfig};
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Stands for a name that is not known; it is never sent, and no node may have it.
const UNKNOWN: &str = "unknown.invalid";

/// How long one of several addresses is alone (RFC 8305, section 8, "Connection Attempt Delay").
const STAGGER: Duration = Duration::from_millis(250);

/// What a dial needs.
pub(crate) struct Dialler {
    pub(crate) endpoint: Endpoint,
    pub(crate) identity: Renewal,
    pub(crate) transport: Arc<TransportConfig>,
    pub(crate) failure_timeout: Duration,
}

impl Dialler {
    pub(crate) async fn dial(&self, address: &Address, expect: Option<&NodeName>) -> Result<QuicConnection, DialError> {
        let found = resolve(address).await?;
        self.first(address, &found, expect).await
    }

    /// Tries what an address stands for, each a little later than the one before it (RFC 8305); the first that answers wins.
    pub(crate) async fn first(
        &self,
        address: &Address,
        found: &[SocketAddr],
        expect: Option<&NodeName>,
    ) -> Result<QuicConnection, DialError> {
        let mut failure = unreachable(address, "its name has no address".to_owned());
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
                    // What one side refuses says more than what another address does not answer.
                    Some(Err(DialError::Unreachable { .. })) if matches!(failure, DialError::Refused { .. }) => {}
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
        let own = Own { expires: tls.expires, failure_timeout: self.failure_timeout };
        let claim = Claim::default();
        let crypto = tls.client(expect.is_some(), &claim).map_err(|words| refused(address, words))?;
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
                unreachable(address, format!("{remote} cannot be reached from the socket of this node"))
            }
            error => refused(address, error.to_string()),
        })?;
        let connection = connecting.await.map_err(|error| match error {
            ConnectionError::LocallyClosed => DialError::EndpointClosed,
            error => {
                let failure = words::failure(&error, own.expires);
                match failure.refused {
                    true => refused(address, failed(format!("{claim} answered; {}", failure.words))),
                    false => unreachable(address, failed(failure.words)),
                }
            }
        })?;
        let connection = QuicConnection::new(connection, own).map_err(|words| refused(address, failed(words)))?;
        match expect {
            Some(name) if name != connection.peer() => {
                Err(refused(address, format!("this side expects {name}, and {} answered", connection.peer())))
            }
            _ => Ok(connection),
        }
    }
}

fn unreachable(address: &Address, words: String) -> DialError {
    DialError::Unreachable { address: address.clone(), words }
}

fn refused(address: &Address, words: String) -> DialError {
    DialError::Refused { address: address.clone(), words }
}

async fn resolve(address: &Address) -> Result<Vec<SocketAddr>, DialError> {
    let wrong = |words: &str| DialError::Address { address: address.clone(), words: words.to_owned() };
    let (host, port) = address.as_str().rsplit_once(':').ok_or_else(|| wrong("it must be host:port"))?;
    let port: u16 = port.parse().map_err(|_| wrong("its port must be a number of 1 to 65535"))?;
    if port == 0 {
        return Err(wrong("its port must not be 0"));
    }
    if let Some(literal) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let host: IpAddr = literal.parse().map_err(|_| wrong("between the brackets must be an IPv6 address"))?;
        return Ok(vec![SocketAddr::new(host, port)]);
    }
    if host.is_empty() || host.contains(':') {
        return Err(wrong("it must be host:port, an IPv6 address in brackets"));
    }
    let found = tokio::net::lookup_host((host, port)).await;
    Ok(found.map_err(|error| unreachable(address, format!("its name cannot be resolved: {error}")))?.collect())
}
