//! The authority of a cluster: signs the certificates of its nodes.

use crate::identity::{Identity, IdentityError};
use pingpong_core::{ClusterName, NodeName};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::time::{Duration, SystemTime};

/// A cluster's certificate and the key that signs with it.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// When a certificate is valid, from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// It began so long ago: clocks differ. Default 1 h.
    pub since: Duration,
    /// It ends so long after its beginning. Default one year.
    pub length: Duration,
}

impl Default for Validity {
    fn default() -> Self {
        Self { since: Duration::from_secs(3_600), length: Duration::from_secs(365 * 86_400) }
    }
}

/// A certificate cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The generator refuses.
    #[error("the certificate cannot be made: {0}")]
    Generate(#[from] rcgen::Error),
    /// What was made is no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl Authority {
    /// A new authority with a key of its own, for that cluster. Valid for ten years.
    ///
    /// # Errors
    /// [`AuthorityError::Generate`] when there are no random numbers.
    pub fn new(cluster: &ClusterName) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, format!("PingPong cluster {cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let validity = Validity { length: Duration::from_secs(10 * 365 * 86_400), ..Validity::default() };
        validity.set(&mut params);
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// A certificate and a key for a node.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue(&self, name: &NodeName, validity: Validity) -> Result<Identity, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.as_str().to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        validity.set(&mut params);
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(Identity::new(self.certificate.clone(), vec![certificate], key.into())?)
    }
}

impl Validity {
    fn set(self, params: &mut CertificateParams) {
        let begin = SystemTime::now().checked_sub(self.since).unwrap_or(SystemTime::UNIX_EPOCH);
        params.not_before = begin.into();
        params.not_after = (begin + self.length).into();
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}
