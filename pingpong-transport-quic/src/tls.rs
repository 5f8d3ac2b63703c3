//! Mutual TLS 1.3, with one provider that is given explicitly: the process-wide default plays no part.
//!
//! There is no switch that accepts any certificate. A dial to a seed, whose name is not known yet, takes the name out of the
//! peer's certificate, and then verifies the certificate for that very name as any other.

use crate::identity::{Identity, name_of};
use pingpong_core::NodeName;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use std::sync::Arc;

/// The protocol and its major version (A3).
const ALPN: &[u8] = b"pingpong/1";

/// The parts of TLS that all connections of a node share.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
    identity: Identity,
}

/// TLS cannot be set up with this identity.
#[derive(Debug, thiserror::Error)]
#[error("the identity of {name} cannot be used: {words}; issue a certificate and a key that belong together")]
pub struct TlsError {
    /// The node.
    pub name: NodeName,
    /// What the library says.
    pub words: String,
}

impl Tls {
    pub(crate) fn new(identity: Identity) -> Result<Self, TlsError> {
        let name = identity.name().clone();
        let failed = |words: String| TlsError { name: name.clone(), words };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(identity.authority.clone()).map_err(|e| failed(e.to_string()))?;
        let roots = Arc::new(roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self { provider, verifier, roots, identity })
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> TlsError {
        TlsError { name: self.identity.name().clone(), words: error.to_string() }
    }

    pub(crate) fn server(&self) -> Result<ServerConfig, TlsError> {
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(&self.provider))
            .build()
            .map_err(|e| self.failed(&e))?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| self.failed(&e))?
            .with_client_cert_verifier(clients)
            .with_single_cert(self.identity.chain.clone(), self.identity.key.clone_key())
            .map_err(|e| self.failed(&e))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Resumption would save a tenth of a handshake, and its early data can be replayed.
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// For a dial to that node, or to a seed that may be any.
    pub(crate) fn client(&self, expect: Option<&NodeName>) -> Result<ClientConfig, TlsError> {
        let verifier = PeerVerifier { inner: Arc::clone(&self.verifier), expect: expect.cloned() };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| self.failed(&e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.identity.chain.clone(), self.identity.key.clone_key())
            .map_err(|e| self.failed(&e))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    pub(crate) fn name(&self) -> &NodeName {
        self.identity.name()
    }

    /// The secret of this node's key, for what must be the same in every run of it.
    pub(crate) fn secret(&self) -> &[u8] {
        self.identity.key.secret_der()
    }
}

/// Verifies the peer's certificate for the name that it carries, and that this is the expected one.
#[derive(Debug)]
struct PeerVerifier {
    inner: Arc<WebPkiServerVerifier>,
    expect: Option<NodeName>,
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = name_of(end_entity).map_err(|error| rustls::Error::General(error.to_string()))?;
        if let Some(expect) = self.expect.as_ref().filter(|expect| **expect != name) {
            return Err(rustls::Error::General(format!("it proves to be {name}, {expect} was expected")));
        }
        let server = ServerName::try_from(name.as_str())
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        self.inner.verify_server_cert(end_entity, intermediates, &server, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
