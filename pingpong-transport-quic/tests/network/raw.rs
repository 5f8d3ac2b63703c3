//! Peers that are no links: QUIC and TLS by hand.

use super::*;
use pingpong_transport_quic::Authority;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ConnectionError, Endpoint};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;

pub(crate) const PROTOCOL: &[u8] = b"pingpong";

/// A certificate, and its key.
pub(crate) type Proof = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Signed by the cluster's authority, with these DNS names.
pub(crate) fn proof(authority: &Authority, names: &[&str]) -> Proof {
    let key = KeyPair::from_pem(&authority.key_pem()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate_pem(), key).unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    (vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

pub(crate) fn client(authority: &Authority, alpn: &[u8], proof: Option<Proof>) -> quinn::ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13]).unwrap().with_root_certificates(roots);
    let mut tls = match proof {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![alpn.to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// An endpoint that completes every handshake that it can.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    endpoint: Endpoint,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.endpoint.close(0_u32.into(), b"");
    }
}

pub(crate) fn server(alpn: &[u8], (chain, key): Proof) -> Server {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13]).unwrap().with_no_client_auth();
    let mut tls = builder.with_single_cert(chain, key).unwrap();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let endpoint = Endpoint::server(config, ANY.parse().unwrap()).unwrap();
    let (at, listening) = (endpoint.local_addr().unwrap(), endpoint.clone());
    // Ends when the endpoint is closed.
    tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Some(incoming) = listening.accept().await {
            connections.push(incoming.await);
        }
    });
    Server { at, endpoint }
}

/// How a dial of the link `b` ends: in TLS 1.3 the client's side may be complete before the server refuses it.
pub(crate) async fn end_of_dial(config: quinn::ClientConfig, to: SocketAddr) -> ConnectionError {
    let endpoint = Endpoint::client(ANY.parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(config, to, "b").unwrap();
    match soon(connecting).await {
        Ok(connection) => soon(connection.closed()).await,
        Err(error) => error,
    }
}
