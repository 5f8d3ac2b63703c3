//! Dials of this node: an address is resolved anew each time, and all that it stands for are tried in turn.

use crate::connection::{Own, QuicConnection};
use crate::renewal::Renewal;
use crate::tls::Claim;
use crate::words;
use pingpong_core::link::{Connection, DialError};
use pingpong_core::{Address, NodeName};
use quinn::{ClientConfig, ConnectError, ConnectionError, Endpoint, TransportConfig};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Stands for a name that is not known; it is never sent, and no node may have it.
const UNKNOWN: &str = "unknown.invalid";

/// What a dial needs.
pub(crate) struct Dialler {
    pub(crate) endpoint: Endpoint,
    pub(crate) identity: Renewal,
    pub(crate) transport: Arc<TransportConfig>,
    /// Also how long one of several addresses may take before the next one is tried.
    pub(crate) failure_timeout: Duration,
}

impl Dialler {
    pub(crate) async fn dial(&self, address: &Address, expect: Option<&NodeName>) -> Result<QuicConnection, DialError> {
        let found = resolve(address).await?;
        self.first(address, &found, expect).await
    }

    /// Tries what an address stands for, one after the other.
    pub(crate) async fn first(
        &self,
        address: &Address,
        found: &[SocketAddr],
        expect: Option<&NodeName>,
    ) -> Result<QuicConnection, DialError> {
        let mut failure = unreachable(address, "its name has no address".to_owned());
        for (index, &remote) in found.iter().enumerate() {
            let attempt = self.attempt(address, remote, expect);
            let result = match index + 1 < found.len() {
                true => timeout(self.failure_timeout, attempt)
                    .await
                    .unwrap_or_else(|_| Err(unreachable(address, format!("no answer from {remote}")))),
                false => attempt.await,
            };
            match result {
                // What one side refuses says more than what another address does not answer.
                Err(DialError::Unreachable { .. }) if matches!(failure, DialError::Refused { .. }) => {}
                Err(error) => failure = error,
                Ok(connection) => return Ok(connection),
            }
        }
        Err(failure)
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
                    true => refused(address, format!("{claim} answered; {}", failure.words)),
                    false => unreachable(address, failure.words),
                }
            }
        })?;
        let connection = QuicConnection::new(connection, own).map_err(|words| refused(address, words))?;
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
