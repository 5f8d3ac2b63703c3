//! Mutual TLS 1.3: who is let in, and who is believed.
//!
//! Nothing here accepts a certificate unchecked. A dial to an address whose node is not known takes the name out of the
//! certificate, and then verifies the certificate for that very name like any other.
//!
//! Each handshake has a [`Claim`] of its own: whom the peer said to be, for the log, also when it is not believed.

use crate::certificate;
use crate::identity::{Identity, IdentityError};
use pingpong_core::NodeName;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The protocol, without its version: nodes of two major ones must get as far as `Hello`, where each can name both (A3).
pub(crate) const PROTOCOL: &[u8] = b"pingpong";

/// The TLS library refuses the identity; the words say why.
pub(crate) type Unusable = String;

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

/// An authority whose list is not at hand has revoked nobody, as far as is known.
fn server_verifier(identity: &Identity) -> Result<Arc<WebPkiServerVerifier>, Unusable> {
    let builder = WebPkiServerVerifier::builder_with_provider(roots(identity)?, provider());
    let lists = identity.revocations.iter().cloned();
    builder.with_crls(lists).allow_unknown_revocation_status().build().map_err(|error| error.to_string())
}

fn client_verifier(identity: &Identity) -> Result<Arc<dyn ClientCertVerifier>, Unusable> {
    let builder = WebPkiClientVerifier::builder_with_provider(roots(identity)?, provider());
    let lists = identity.revocations.iter().cloned();
    builder.with_crls(lists).allow_unknown_revocation_status().build().map_err(|error| error.to_string())
}

/// Checks that the key is the certificate's, and that the authority vouches for it now, in both roles: a node dials and is
/// dialled.
pub(crate) fn check(identity: &Identity) -> Result<(), IdentityError> {
    CertifiedKey::from_der(identity.chain.clone(), identity.key.clone_key(), &provider())
        .map_err(|error| IdentityError::Key(error.to_string()))?;
    let Some((own, between)) = identity.chain.split_first() else { return Ok(()) };
    let unfit = |error: rustls::Error| match error {
        rustls::Error::InvalidCertificate(
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
        ) => IdentityError::Usage(identity.name().clone()),
        rustls::Error::InvalidCertificate(CertificateError::Revoked) => IdentityError::Revoked(identity.name().clone()),
        error => IdentityError::Authority(error.to_string()),
    };
    let dials = client_verifier(identity).map_err(IdentityError::Authority)?;
    dials.verify_client_cert(own, between, UnixTime::now()).map_err(unfit)?;
    let dialled = server_verifier(identity).map_err(IdentityError::Authority)?;
    let name = server_name(identity.name()).map_err(IdentityError::Name)?;
    dialled.verify_server_cert(own, between, &name, &[], UnixTime::now()).map_err(unfit)?;
    Ok(())
}

fn server_name(name: &NodeName) -> Result<ServerName<'static>, String> {
    let name = DnsName::try_from(name.as_str().to_owned()).map_err(|error| format!("{name}: {error}"))?;
    Ok(ServerName::DnsName(name))
}

/// Whom the peer of one handshake claims to be. Clones are the same claim.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claim(Arc<Claimed>);

#[derive(Debug, Default)]
struct Claimed {
    name: OnceLock<Result<NodeName, String>>,
    another: AtomicBool,
}

impl Claim {
    /// Notes the name, before the certificate is verified. The first one counts: a handshake has no second certificate.
    fn note(&self, certificate: &CertificateDer<'_>) -> &Result<NodeName, String> {
        self.0.name.get_or_init(|| certificate::node_name(certificate))
    }

    /// The authority vouches for it, and it is not the one that was dialled.
    fn is_another(&self) {
        self.0.another.store(true, Ordering::Relaxed);
    }

    /// The member of the cluster that answered in place of the one that was dialled.
    pub(crate) fn another(&self) -> Option<NodeName> {
        let name = self.0.name.get().and_then(|name| name.as_ref().ok());
        name.filter(|_| self.0.another.load(Ordering::Relaxed)).cloned()
    }
}

/// The name, or why there is none.
impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name.get() {
            Some(Ok(name)) => write!(f, "{name}"),
            Some(Err(words)) => write!(f, "a peer whose certificate names no node ({})", words.escape_debug()),
            None => f.write_str("a peer that has shown no name"),
        }
    }
}

/// What the handshakes of one identity need.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    own: Arc<SingleCertAndKey>,
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
    /// Until when this side's certificate holds, in seconds since 1970 (UTC).
    pub(crate) expires: i64,
}

impl Tls {
    pub(crate) fn new(identity: &Identity) -> Result<Self, Unusable> {
        let provider = provider();
        let own = CertifiedKey::from_der(identity.chain.clone(), identity.key.clone_key(), &provider);
        Ok(Self {
            own: Arc::new(own.map_err(|error| error.to_string())?.into()),
            clients: client_verifier(identity)?,
            servers: server_verifier(identity)?,
            expires: identity.expires(),
            provider,
        })
    }

    /// Whether a peer that was let in before would be let in by this identity. That its certificate has expired meanwhile is no
    /// reason: it has proved itself while that held.
    pub(crate) fn vouches(&self, peer: &NodeName, chain: &[CertificateDer<'_>]) -> Result<(), String> {
        let (own, between) = chain.split_first().ok_or("there is no certificate")?;
        let dates = certificate::dates(own)?;
        let now = UnixTime::now().as_secs();
        let last = u64::try_from(dates.not_after).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now.min(last)));
        let name = server_name(peer)?;
        self.servers.verify_server_cert(own, between, &name, &[], at).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// For one dial of another node to this one.
    pub(crate) fn server(&self, claim: &Claim) -> Result<Arc<QuicServerConfig>, Unusable> {
        let verifier = Arc::new(Members { verifier: Arc::clone(&self.clients), claim: claim.clone() });
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&self.own) as _);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        QuicServerConfig::try_from(config).map(Arc::new).map_err(|error| error.to_string())
    }

    /// For one dial of this node. `known`: whether the name that is dialled must be that of the peer.
    pub(crate) fn client(&self, known: bool, claim: &Claim) -> Result<Arc<QuicClientConfig>, Unusable> {
        let verifier = Arc::new(Servers { verifier: Arc::clone(&self.servers), known, claim: claim.clone() });
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::clone(&self.own) as _);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        // The name would go over the network in the clear, and no node has a second one to choose by it.
        config.enable_sni = false;
        QuicClientConfig::try_from(config).map(Arc::new).map_err(|error| error.to_string())
    }
}

/// Lets in whom the ordinary verifier lets in.
#[derive(Debug)]
struct Members {
    verifier: Arc<dyn ClientCertVerifier>,
    claim: Claim,
}

impl ClientCertVerifier for Members {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.claim.note(end_entity);
        self.verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
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

/// Believes whom the ordinary verifier believes: to be the node that is dialled, or, if that is not known, to be the one that
/// its certificate names.
#[derive(Debug)]
struct Servers {
    verifier: Arc<WebPkiServerVerifier>,
    known: bool,
    claim: Claim,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let claimed = self.claim.note(end_entity).as_ref().map_err(String::clone).and_then(server_name);
        let claimed = claimed.map_err(|_| rustls::Error::InvalidCertificate(CertificateError::NotValidForName));
        let verify = |name: &ServerName<'_>| {
            self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        if !self.known {
            return verify(&claimed?);
        }
        verify(dialled).inspect_err(|_| {
            if claimed.is_ok_and(|claimed| claimed != *dialled && verify(&claimed).is_ok()) {
                self.claim.is_another();
            }
        })
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
