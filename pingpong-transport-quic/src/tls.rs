//! Mutual TLS 1.3: who is let in, and who is believed.
//!
//! Nothing here accepts a certificate unchecked. A dial to an address whose node is not known takes the name out of the
//! certificate, and then verifies the certificate for that very name like any other.

use crate::certificate;
use crate::identity::{Identity, IdentityError};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
};
use std::sync::Arc;

/// The protocol, with its major version: nodes of another one refuse each other in the handshake.
pub(crate) const PROTOCOL: &[u8] = b"pingpong/1";

/// The TLS library refuses the identity; the words say why.
type Unusable = String;

/// ring, with AES-128-GCM first: the fastest by measurement.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

fn roots(identity: &Identity) -> Result<Arc<RootCertStore>, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in &identity.authority {
        roots.add(certificate.clone()).map_err(|error| format!("its certificate cannot be used: {error}"))?;
    }
    Ok(Arc::new(roots))
}

fn client_verifier(identity: &Identity) -> Result<Arc<dyn ClientCertVerifier>, Unusable> {
    let builder = WebPkiClientVerifier::builder_with_provider(roots(identity)?, provider());
    builder.build().map_err(|error| error.to_string())
}

/// Checks that the key is the certificate's, and that the authority vouches for it now.
pub(crate) fn check(identity: &Identity) -> Result<(), IdentityError> {
    CertifiedKey::from_der(identity.chain.clone(), identity.key.clone_key(), &provider())
        .map_err(|error| IdentityError::Key(error.to_string()))?;
    let verifier = client_verifier(identity).map_err(IdentityError::Authority)?;
    let Some((own, between)) = identity.chain.split_first() else { return Ok(()) };
    let verified = verifier.verify_client_cert(own, between, UnixTime::now());
    verified.map(drop).map_err(|error| IdentityError::Authority(error.to_string()))
}

/// For dials of others to this node.
pub(crate) fn server(identity: &Identity) -> Result<Arc<QuicServerConfig>, Unusable> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(client_verifier(identity)?)
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    QuicServerConfig::try_from(config).map(Arc::new).map_err(|error| error.to_string())
}

/// For dials of this node.
#[derive(Clone)]
pub(crate) struct Clients {
    /// To a node whose name is known.
    pub(crate) named: Arc<QuicClientConfig>,
    /// To an address whose node is not known yet.
    pub(crate) seed: Arc<QuicClientConfig>,
}

pub(crate) fn clients(identity: &Identity) -> Result<Clients, Unusable> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(identity)?, provider())
        .build()
        .map_err(|error| error.to_string())?;
    let seed = Arc::new(AnyOfTheCluster { verifier: Arc::clone(&verifier) });
    Ok(Clients { named: client(identity, verifier)?, seed: client(identity, seed)? })
}

fn client(identity: &Identity, verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<QuicClientConfig>, Unusable> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    // The name would go over the network in the clear, and no node has a second one to choose by it.
    config.enable_sni = false;
    QuicClientConfig::try_from(config).map(Arc::new).map_err(|error| error.to_string())
}

/// Believes every node of the cluster that it is who its certificate says, and nobody else.
#[derive(Debug)]
struct AnyOfTheCluster {
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for AnyOfTheCluster {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let no_name = || rustls::Error::InvalidCertificate(CertificateError::NotValidForName);
        let name = certificate::node_name(end_entity).map_err(|_| no_name())?;
        let name = DnsName::try_from(name.as_str()).map(|name| ServerName::DnsName(name.to_owned()));
        let name = name.map_err(|_| no_name())?;
        self.verifier.verify_server_cert(end_entity, intermediates, &name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
