//! The endpoint: dials and accepts.

use crate::config::QuicConfig;
use crate::connection::QuicConnection;
use crate::identity::name_of;
use crate::tls::{Tls, TlsError};
use pingpong_core::link::{DialError, Link};
use pingpong_core::{Address, NodeName};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinSet;

/// Above this a batch of packets passes what the kernel takes at once, and the path looks broken.
const MAX_PAYLOAD: u16 = 6_500;
/// Bytes of datagrams that wait on one side of a connection.
const DATAGRAM_BYTES: usize = 16 << 10;
/// Authenticated connections that wait to be accepted.
const BACKLOG: usize = 64;
/// Bytes that one handshake, and all of them, may buffer before the peer is known.
const INCOMING_BYTES: u64 = 16 << 10;
/// What quinn keeps for a connection besides windows, by measurement rounded up.
const CONNECTION_BYTES: u64 = 64 << 10;

/// The endpoint of a node.
pub struct QuicLink {
    endpoint: Endpoint,
    tls: Arc<Tls>,
    transport: Arc<TransportConfig>,
    addresses: Vec<Address>,
    window: u64,
    send_window: u64,
    accepted: Mutex<mpsc::Receiver<QuicConnection>>,
    // Ends with the link.
    _accepting: JoinSet<()>,
}

/// An endpoint cannot be bound; nothing was started (S1).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The socket cannot be bound.
    #[error("{address} cannot be bound: {error}; choose another address, or stop whoever holds it")]
    Socket {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The identity is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A number is out of QUIC's range.
    #[error("{field} is out of range: {words}")]
    Range {
        /// The field.
        field: &'static str,
        /// What is allowed.
        words: String,
    },
}

fn range(field: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> BindError {
    move |error| BindError::Range { field, words: error.to_string() }
}

fn transport(config: &QuicConfig) -> Result<TransportConfig, BindError> {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(config.failure_timeout.saturating_mul(3));
    let window = u64::from(config.lane_window) * u64::from(config.streams());
    let window = VarInt::from_u64(window).map_err(|e| range("lane_window")(&e))?;
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(MAX_PAYLOAD);
    transport
        .max_idle_timeout(Some(idle.map_err(|e| range("failure_timeout")(&e))?))
        .max_concurrent_uni_streams(VarInt::from_u32(config.streams()))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(config.lane_window))
        .receive_window(window)
        .send_window(u64::from(config.send_window))
        .datagram_receive_buffer_size(Some(DATAGRAM_BYTES))
        .datagram_send_buffer_size(DATAGRAM_BYTES)
        .mtu_discovery_config(Some(discovery));
    Ok(transport)
}

impl QuicLink {
    /// Binds an endpoint. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] names the address or the field, and the remedy.
    pub fn bind(config: QuicConfig) -> Result<Self, BindError> {
        let address = config.listen;
        let failed = |error| BindError::Socket { address, error };
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None).map_err(failed)?;
        socket.bind(&address.into()).map_err(failed)?;
        // Default buffers lose packets of bulk transfers; the kernel may grant less.
        let _ = socket.set_recv_buffer_size(4 << 20);
        let _ = socket.set_send_buffer_size(4 << 20);
        let granted = socket.recv_buffer_size().unwrap_or(0);
        tracing::debug!(%address, granted, "receive buffer of the socket in bytes");
        let runtime = quinn::TokioRuntime;
        let socket = quinn::Runtime::wrap_udp_socket(&runtime, socket.into()).map_err(failed)?;
        Self::start(config, socket)
    }

    /// Binds an endpoint to a socket of the caller's, which may be one that loses packets.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    #[cfg(feature = "faults")]
    pub fn bind_with(config: QuicConfig, socket: Arc<dyn quinn::AsyncUdpSocket>) -> Result<Self, BindError> {
        Self::start(config, socket)
    }

    fn start(config: QuicConfig, socket: Arc<dyn quinn::AsyncUdpSocket>) -> Result<Self, BindError> {
        let address = config.listen;
        let failed = |error| BindError::Socket { address, error };
        let transport = Arc::new(transport(&config)?);
        let (window, send_window) = (u64::from(config.lane_window), u64::from(config.send_window));
        let (handshakes, patience) = (config.handshakes.max(1), config.failure_timeout.max(Duration::from_secs(1)));
        let tls = Arc::new(Tls::new(config.identity)?);
        let local = socket.local_addr().map_err(failed)?;
        let crypto = QuicServerConfig::try_from(tls.server()?).map_err(|e| range("cipher suites")(&e))?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        server
            .transport_config(Arc::clone(&transport))
            .max_incoming(handshakes)
            .incoming_buffer_size(INCOMING_BYTES)
            .incoming_buffer_size_total(INCOMING_BYTES * handshakes as u64)
            .migration(true);
        let mut endpoint = endpoint_config(&tls, local.port());
        endpoint.max_udp_payload_size(MAX_PAYLOAD).map_err(|e| range("max_udp_payload_size")(&e))?;
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = Endpoint::new_with_abstract_socket(endpoint, Some(server), socket, runtime).map_err(failed)?;
        let bound = Address::new(&local.to_string()).map_err(|e| range("listen")(&e))?;
        let addresses = if config.advertise.is_empty() { vec![bound] } else { config.advertise };
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(endpoint.clone(), sender, handshakes, patience));
        let accepted = Mutex::new(receiver);
        Ok(Self { endpoint, tls, transport, addresses, window, send_window, accepted, _accepting: accepting })
    }

    /// The name that this endpoint proves.
    pub fn name(&self) -> &NodeName {
        self.tls.name()
    }

    async fn connect(
        &self,
        to: SocketAddr,
        address: &Address,
        expect: Option<&NodeName>,
    ) -> Result<QuicConnection, DialError> {
        let refused = |words: String| DialError::Refused { address: address.clone(), words };
        let tls = self.tls.client(expect).map_err(|e| refused(e.to_string()))?;
        let crypto = QuicClientConfig::try_from(tls).map_err(|e| refused(e.to_string()))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::clone(&self.transport));
        // The verifier reads the name from the certificate; this one only fills the field, and tells nobody whom we look for.
        let connecting = self.endpoint.connect_with(config, to, "pingpong").map_err(|error| match error {
            quinn::ConnectError::EndpointStopping => DialError::EndpointClosed,
            other => DialError::Address { address: address.clone(), words: other.to_string() },
        })?;
        let connection = connecting.await.map_err(|error| dial_error(&error, address))?;
        let known = peer_name(&connection).and_then(|peer| Ok((peer, remote(to)?)));
        let (peer, remote) = known.map_err(refused)?;
        Ok(QuicConnection::new(connection, peer, remote))
    }
}

impl std::fmt::Debug for QuicLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicLink")
            .field("name", self.name())
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// A restarted node recognizes packets for its former life, and answers them with a reset: its peers need not wait for the
/// failure timeout. So the key of the resets is the same in every run, and one for each port.
fn endpoint_config(tls: &Tls, port: u16) -> EndpointConfig {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, tls.secret());
    let reset = ring::hmac::sign(&key, format!("pingpong stateless reset, port {port}").as_bytes());
    let mut config = EndpointConfig::new(Arc::new(ring::hmac::Key::new(ring::hmac::HMAC_SHA256, reset.as_ref())));
    // Ids of a former run must reach the reset, which hashed ones do not.
    config.cid_generator(|| Box::new(quinn_proto::RandomConnectionIdGenerator::new(16)));
    config
}

fn remote(address: SocketAddr) -> Result<Address, String> {
    Address::new(&address.to_string()).map_err(|error| error.to_string())
}

fn peer_name(connection: &quinn::Connection) -> Result<NodeName, String> {
    let identity = connection.peer_identity().ok_or("it showed no certificate")?;
    let chain =
        identity.downcast::<Vec<CertificateDer<'static>>>().map_err(|_| "its certificate is of another kind")?;
    name_of(chain.first().ok_or("it showed no certificate")?).map_err(|error| error.to_string())
}

fn dial_error(error: &quinn::ConnectionError, address: &Address) -> DialError {
    let (address, words) = (address.clone(), error.to_string());
    match error {
        quinn::ConnectionError::TransportError(_)
        | quinn::ConnectionError::ConnectionClosed(_)
        | quinn::ConnectionError::VersionMismatch => DialError::Refused { address, words },
        quinn::ConnectionError::LocallyClosed => DialError::EndpointClosed,
        _ => DialError::Unreachable { address, words },
    }
}

async fn accept(endpoint: Endpoint, accepted: mpsc::Sender<QuicConnection>, most: usize, patience: Duration) {
    let places = Arc::new(Semaphore::new(most));
    let mut handshakes = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            biased;
            Some(_) = handshakes.join_next() => continue,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        // Under load a peer must show first that it is where it says.
        if places.available_permits() < most / 2 && incoming.may_retry() && !incoming.remote_address_validated() {
            let _ = incoming.retry();
            continue;
        }
        let accepted = accepted.clone();
        handshakes.spawn(async move {
            let from = incoming.remote_address();
            let handshake = async { incoming.await.map_err(|error| error.to_string()) };
            let result = match tokio::time::timeout(patience, handshake).await {
                Ok(Ok(connection)) => {
                    peer_name(&connection).and_then(|peer| Ok(QuicConnection::new(connection, peer, remote(from)?)))
                }
                Ok(Err(words)) => Err(words),
                Err(_) => Err("it took too long".to_owned()),
            };
            drop(place);
            match result {
                Ok(connection) => drop(accepted.send(connection).await),
                Err(words) => tracing::warn!(remote = %from, words, "a handshake failed"),
            }
        });
    }
}

impl Link for QuicLink {
    type Connection = QuicConnection;

    fn addresses(&self) -> Vec<Address> {
        self.addresses.clone()
    }

    fn connection_bytes(&self, lanes: usize) -> u64 {
        (lanes as u64).saturating_mul(self.window) + self.send_window + 2 * DATAGRAM_BYTES as u64 + CONNECTION_BYTES
    }

    async fn dial(&self, address: &Address, expect: Option<&NodeName>) -> Result<QuicConnection, DialError> {
        let wrong = |words: &dyn std::fmt::Display| DialError::Address {
            address: address.clone(),
            words: format!("{words}; expected host:port"),
        };
        if !address.as_str().contains(':') {
            return Err(wrong(&"there is no port"));
        }
        let unreachable = |words: String| DialError::Unreachable { address: address.clone(), words };
        let found = tokio::net::lookup_host(address.as_str()).await.map_err(|e| unreachable(e.to_string()))?;
        let mut last = unreachable("the name has no address".to_owned());
        for to in found {
            match self.connect(to, address, expect).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn accept(&self) -> Option<QuicConnection> {
        self.accepted.lock().await.recv().await
    }

    async fn close(&self, deadline: Duration) {
        self.endpoint.close(VarInt::from_u32(0), &[]);
        let _ = tokio::time::timeout(deadline, self.endpoint.wait_idle()).await;
    }
}
