//! An endpoint: one UDP socket, and all connections through it.

use crate::accept::{Acceptor, listen};
use crate::bell::Bells;
use crate::census::Census;
use crate::config::{BindError, DATAGRAMS, INCOMING_BYTES, QuicConfig};
use crate::congestion::FlooredCubic;
use crate::connection::{Own, QuicConnection};
use crate::dial::Dialler;
use crate::identity::{Identity, IdentityError};
use crate::probe::Doors;
use crate::ready::Ready;
use crate::renewal::Renewal;
use crate::resolve::Resolver;
use crate::socket::{self, ClosableSocket};
use crate::tls::Claim;
use pingpong_core::address::AddressError;
use pingpong_core::link::{DialError, Endpoint as LinkEndpoint, Link};
use pingpong_core::{Address, NodeName};
use quinn::{
    AsyncUdpSocket, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use ring::{hkdf, hmac};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long a handshake may take: long paths and loaded peers need it, and who is silent gives way when its place is wanted.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The shortest time between two stateless resets: after a restart each peer shall learn of it at once. They cost little, and are
/// smaller than what provokes them (RFC 9000, section 10.3.3).
const RESET_INTERVAL: Duration = Duration::from_millis(1);
/// The shortest time of silence after which QUIC gives a connection up. It takes the shorter one of two sides: so this is three
/// failure timeouts of a node with one of 30 s, whatever that of its peer (L5).
const LEAST_IDLE: Duration = Duration::from_secs(90);
/// Random connection ids of this length can be recognised by a later run of the node.
const CONNECTION_ID: usize = 16;

/// An endpoint of the cluster's network over QUIC. Dropping it closes it, and its connections, without a reason; its port is free
/// once QUIC has let go of them, up to three seconds later. [`close`](Link::close) frees it at once.
pub struct QuicLink {
    pub(crate) dialler: Dialler,
    pub(crate) socket: Arc<ClosableSocket>,
    ready: Arc<Ready<QuicConnection>>,
    advertise: Vec<Address>,
    local: SocketAddr,
    endpoint: LinkEndpoint,
    listener: Mutex<Option<JoinHandle<()>>>,
    #[cfg(test)]
    pub(crate) census: Census,
}

impl QuicLink {
    /// Binds an endpoint, and begins to take dials. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] names the address or the field, and the remedy.
    pub fn bind(config: QuicConfig) -> Result<Self, BindError> {
        let wrong = |error: IdentityError| BindError::Identity {
            name: config.identity.name().clone(),
            words: error.to_string(),
        };
        config.identity.check_now().map_err(wrong)?;
        Self::bind_unchecked(config)
    }

    /// With an identity that may have expired.
    pub(crate) fn bind_unchecked(config: QuicConfig) -> Result<Self, BindError> {
        config.check()?;
        tokio::runtime::Handle::try_current().map_err(|_| BindError::NoRuntime)?;
        let address = config.listen;
        let socket = socket::bind(address, config.socket_buffer)?;
        let socket = ClosableSocket::new(socket).map_err(|error| BindError::Socket { address, error })?;
        let socket = Arc::new(socket);
        Self::start(config, Arc::clone(&socket) as _, socket)
    }

    /// The same on a socket with faults; `listen` is not used.
    ///
    /// # Errors
    /// Those of [`bind`](Self::bind).
    #[cfg(feature = "faults")]
    pub fn bind_with(config: QuicConfig, socket: Arc<crate::faults::FaultSocket>) -> Result<Self, BindError> {
        config.check()?;
        tokio::runtime::Handle::try_current().map_err(|_| BindError::NoRuntime)?;
        let real = Arc::clone(socket.inner());
        Self::start(config, socket, real)
    }

    /// `real` is what is closed in the end; it lies below `socket`.
    fn start(
        config: QuicConfig,
        socket: Arc<dyn AsyncUdpSocket>,
        real: Arc<ClosableSocket>,
    ) -> Result<Self, BindError> {
        let unusable = |words: String| BindError::Identity { name: config.identity.name().clone(), words };
        let unbound = |error: std::io::Error| BindError::Socket { address: config.listen, error };
        let local = socket.local_addr().map_err(unbound)?;
        let transport = Arc::new(transport(&config));
        let handshakes = config.handshakes();
        let identity = Renewal::new(&config.identity).map_err(unusable)?;
        let crypto = identity.current().server(&Claim::default()).map_err(unusable)?;
        let mut server = ServerConfig::with_crypto(crypto);
        server
            .transport_config(Arc::clone(&transport))
            .max_incoming(handshakes)
            .incoming_buffer_size(INCOMING_BYTES)
            .incoming_buffer_size_total(INCOMING_BYTES.saturating_mul(handshakes as u64));
        let mut settings = EndpointConfig::new(Arc::new(reset_key(&config.identity, local).map_err(unusable)?));
        settings.cid_generator(|| Box::new(RandomIds)).min_reset_interval(RESET_INTERVAL);
        settings.max_udp_payload_size(config.max_udp_payload).map_err(|error| unusable(error.to_string()))?;
        let endpoint =
            Endpoint::new_with_abstract_socket(settings, Some(server.clone()), socket, Arc::new(TokioRuntime));
        let endpoint = endpoint.map_err(unbound)?;

        let ready = Arc::new(Ready::new(handshakes));
        let own = Own {
            expires: identity.current().expires,
            failure_timeout: config.failure_timeout,
            lanes: VarInt::from_u32(u32::try_from(config.streams()).unwrap_or(u32::MAX)),
            doors: Doors::default(),
            bells: Bells::default(),
            identity: identity.clone(),
        };
        let census = Census::new(config.connections());
        #[cfg(test)]
        let counted = census.clone();
        let acceptor = Acceptor {
            identity: identity.clone(),
            server,
            own: own.clone(),
            handshakes,
            census,
            deadline: HANDSHAKE,
            ready: Arc::clone(&ready),
        };
        let listener = tokio::spawn(listen(endpoint.clone(), acceptor));
        let (resolver, turn) = (Resolver::new(), AtomicUsize::new(0));
        Ok(Self {
            advertise: advertise(&config, local),
            dialler: Dialler { endpoint, identity, transport, own, resolver, turn },
            socket: real,
            ready,
            local,
            endpoint: config.endpoint(),
            listener: Mutex::new(Some(listener)),
            #[cfg(test)]
            census: counted,
        })
    }

    /// The address that was bound.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Replaces the identity while the endpoint runs. Get it before the link is given to a Mesh.
    pub fn renewal(&self) -> Renewal {
        self.dialler.identity.clone()
    }

    fn take_listener(&self) -> Option<JoinHandle<()>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A socket's address as text that can be dialled.
pub(crate) fn address_of(address: SocketAddr) -> Result<Address, AddressError> {
    Address::new(&SocketAddr::new(address.ip().to_canonical(), address.port()).to_string())
}

fn advertise(config: &QuicConfig, local: SocketAddr) -> Vec<Address> {
    if !config.advertise.is_empty() {
        return config.advertise.clone();
    }
    // An address that means something on one network interface alone means nothing to a peer.
    let is_scoped = matches!(local, SocketAddr::V6(six) if six.scope_id() != 0 || six.ip().is_unicast_link_local());
    if local.ip().is_unspecified() || is_scoped {
        tracing::warn!(%local, "peers are told no address of this node, since this one leads nobody to it; set advertise");
        return Vec::new();
    }
    address_of(local).into_iter().collect()
}

fn transport(config: &QuicConfig) -> TransportConfig {
    let window = (config.streams() as u64).saturating_mul(u64::from(config.lane_window));
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(config.max_udp_payload);
    let mut transport = TransportConfig::default();
    transport
        // The control lane; further ones once somebody asks for them (`QuicConnection::accept`).
        .max_concurrent_uni_streams(VarInt::from_u32(1))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(config.lane_window))
        // The sum of the lanes' windows: lanes that are not read cannot take the others' share (L3).
        .receive_window(VarInt::from_u64(window).unwrap_or(VarInt::MAX))
        .send_window(u64::from(config.send_window))
        .datagram_receive_buffer_size(Some(DATAGRAMS))
        .datagram_send_buffer_size(DATAGRAMS)
        .mtu_discovery_config(Some(mtu))
        .congestion_controller_factory(Arc::new(FlooredCubic::default()))
        // The Mesh sends heartbeats.
        .keep_alive_interval(None)
        .max_idle_timeout(IdleTimeout::try_from(config.failure_timeout.saturating_mul(3).max(LEAST_IDLE)).ok());
    transport
}

/// What the packets that reset connections of an earlier run are signed with. It is the same in every run of a node at one
/// address, so that peers notice a restart at once; and another for each address, since two endpoints with one key could be
/// played against each other.
fn reset_key(identity: &Identity, local: SocketAddr) -> Result<hmac::Key, String> {
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"pingpong stateless reset").extract(identity.key.secret_der());
    let address = local.to_string();
    let info: [&[u8]; 1] = [address.as_bytes()];
    let key = secret.expand(&info, hmac::HMAC_SHA256).map_err(|_| "no key can be derived from its private key")?;
    Ok(hmac::Key::from(key))
}

impl Link for QuicLink {
    type Connection = QuicConnection;

    fn addresses(&self) -> Vec<Address> {
        self.advertise.clone()
    }

    fn endpoint(&self) -> LinkEndpoint {
        self.endpoint.clone()
    }

    async fn dial(&self, address: &Address, expect: Option<&NodeName>) -> Result<QuicConnection, DialError> {
        self.dialler.dial(address, expect).await
    }

    async fn accept(&self) -> Option<QuicConnection> {
        self.ready.next().await
    }

    async fn close(&self, deadline: Duration) {
        self.dialler.endpoint.close(VarInt::from_u32(0), b"");
        self.ready.close();
        // What is not on its way by then is lost (L6).
        let _ = tokio::time::timeout(deadline, self.dialler.endpoint.wait_idle()).await;
        if let Some(listener) = self.take_listener() {
            listener.abort();
            // It was cancelled, or has ended.
            let _ = listener.await;
        }
        self.socket.close();
    }
}

impl Drop for QuicLink {
    fn drop(&mut self) {
        self.dialler.endpoint.close(VarInt::from_u32(0), b"");
        self.ready.close();
        if let Some(listener) = self.take_listener() {
            listener.abort();
        }
    }
}

impl fmt::Debug for QuicLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicLink").field("local", &self.local).finish_non_exhaustive()
    }
}

/// Plain random connection ids: those of an earlier run are not refused as forged, but answered with a reset.
struct RandomIds;

impl quinn::ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> quinn::ConnectionId {
        let id: [u8; CONNECTION_ID] = rand::random();
        quinn::ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
