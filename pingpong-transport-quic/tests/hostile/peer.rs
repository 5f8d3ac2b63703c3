//! A peer by hand: QUIC and TLS from libraries, and all bytes from `docs/wire.md`.

use crate::bytes::{CONTROL_LANE, Hello, PROTOCOL, READY, REFUSED, Reader, sized};
use crate::stage::Stage;
use crate::{ANY, SECOND, soon};
use pingpong_core::NodeName;
use pingpong_transport_quic::{Authority, Identity, Validity};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) fn member(authority: &Authority, name: &str) -> Identity {
    authority.issue(&NodeName::new(name).unwrap(), Validity::from_now(86_400 * SECOND)).unwrap()
}

/// For TLS and QUIC, with a certificate of the cluster's authority for that name.
pub(crate) fn client(authority: &Authority, name: &str) -> quinn::ClientConfig {
    let identity = member(authority, name);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(identity.authority_pem().as_bytes()).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(identity.chain_pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes()).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13]).unwrap().with_root_certificates(roots);
    let mut tls = builder.with_client_auth_cert(chain, key).unwrap();
    tls.alpn_protocols = vec![b"pingpong".to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// Proves that name to the node, and says nothing.
pub(crate) async fn connect(stage: &Stage, name: &str, transport: TransportConfig) -> (Endpoint, Connection) {
    let endpoint = Endpoint::client(ANY.parse().unwrap()).unwrap();
    let mut config = client(&stage.authority, name);
    config.transport_config(Arc::new(transport));
    let connection = soon(endpoint.connect_with(config, stage.node.at, "node").unwrap()).await.unwrap();
    (endpoint, connection)
}

/// Waits for the node's close: the number of its reason, and its words if it has some.
pub(crate) async fn closed(connection: &Connection) -> (u8, String) {
    let reason = match soon(connection.closed()).await {
        ConnectionError::ApplicationClosed(close) => close.reason,
        other => panic!("not closed by the node: {other:?}"),
    };
    let mut reader = Reader(&reason);
    let number = reader.byte();
    let has_words = [REFUSED, PROTOCOL].contains(&number);
    (number, if has_words { reader.text() } else { String::new() })
}

/// A member of the cluster that speaks by hand.
pub(crate) struct Peer {
    /// Dropped last: with it goes the socket.
    _endpoint: Endpoint,
    pub(crate) connection: Connection,
    pub(crate) control: SendStream,
    heard: Option<RecvStream>,
    /// Where the node sees it.
    pub(crate) at: SocketAddr,
}

impl Peer {
    /// Opens a connection, and its control lane with whatever bytes it shall begin with.
    pub(crate) async fn with(stage: &Stage, name: &str, begin: &[u8], transport: TransportConfig) -> Self {
        let (endpoint, connection) = connect(stage, name, transport).await;
        let mut control = soon(connection.open_uni()).await.unwrap();
        // The node may have closed already.
        let _ = control.write_all(begin).await;
        let at = endpoint.local_addr().unwrap();
        Self { _endpoint: endpoint, connection, control, heard: None, at }
    }

    /// With the header of the control lane.
    pub(crate) async fn open(stage: &Stage, name: &str) -> Self {
        Self::with(stage, name, &CONTROL_LANE, TransportConfig::default()).await
    }

    /// Writes a control message.
    pub(crate) async fn say(&mut self, body: &[u8]) {
        soon(self.control.write_all(&sized(body))).await.unwrap();
    }

    /// The body of the node's next control message.
    pub(crate) async fn hear(&mut self) -> Vec<u8> {
        if self.heard.is_none() {
            let mut lane = soon(self.connection.accept_uni()).await.unwrap();
            let mut header = [0; CONTROL_LANE.len()];
            soon(lane.read_exact(&mut header)).await.unwrap();
            assert_eq!(header, CONTROL_LANE, "the first lane is the control lane");
            self.heard = Some(lane);
        }
        let lane = self.heard.as_mut().unwrap();
        let mut length = [0; 4];
        soon(lane.read_exact(&mut length)).await.unwrap();
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        soon(lane.read_exact(&mut body)).await.unwrap();
        body
    }

    /// The next control message of that kind.
    pub(crate) async fn hear_kind(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let body = self.hear().await;
            if body[0] == kind {
                return body;
            }
        }
    }

    /// Says hello; gives back the random bits of the node's.
    pub(crate) async fn greet(&mut self, hello: &Hello) -> u64 {
        self.say(&hello.bytes()).await;
        Reader(&self.hear_kind(0).await).random_of_hello()
    }

    /// Chooses this connection for a session of that number. Returns once the node is up.
    pub(crate) async fn take(&mut self, hello: &Hello, number: u64, theirs: u64) {
        self.say(&hello.take(number, theirs)).await;
        self.hear_kind(READY).await;
    }

    /// Links in a session of that number.
    pub(crate) async fn link(stage: &Stage, hello: &Hello, number: u64) -> Self {
        Self::link_with(stage, hello, number, TransportConfig::default()).await
    }

    pub(crate) async fn link_with(stage: &Stage, hello: &Hello, number: u64, transport: TransportConfig) -> Self {
        let mut peer = Self::with(stage, &hello.name, &CONTROL_LANE, transport).await;
        let theirs = peer.greet(hello).await;
        peer.take(hello, number, theirs).await;
        peer
    }

    /// Opens a lane that begins with these bytes.
    pub(crate) async fn lane(&self, bytes: &[u8]) -> SendStream {
        let mut lane = soon(self.connection.open_uni()).await.unwrap();
        soon(lane.write_all(bytes)).await.unwrap();
        lane
    }

    /// Closes with a reason.
    pub(crate) fn close(&self, reason: &[u8]) {
        self.connection.close(VarInt::from_u32(0), reason);
    }

    /// Waits for the node's close.
    pub(crate) async fn closed(&self) -> (u8, String) {
        closed(&self.connection).await
    }
}
