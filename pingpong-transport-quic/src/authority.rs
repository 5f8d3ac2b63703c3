//! Issues identities, for tools and tests: a cluster's own certificate authority.

use crate::certificate;
use crate::identity::{Identity, IdentityError};
use pingpong_core::{ClusterName, NodeName};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;

/// How much earlier than now certificates begin to hold, for clocks that are behind.
const CLOCK_SKEW: Duration = Duration::from_secs(3_600);

/// From when until when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first moment.
    pub from: SystemTime,
    /// Its last moment.
    pub until: SystemTime,
}

impl Validity {
    /// From an hour ago, for clocks that are behind, to that much after now.
    pub fn from_now(length: Duration) -> Self {
        let now = SystemTime::now();
        Self { from: now.checked_sub(CLOCK_SKEW).unwrap_or(now), until: now.checked_add(length).unwrap_or(now) }
    }
}

/// A certificate cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A date that no certificate can hold.
    #[error("a certificate cannot hold that date; use one between 1970 and 9999")]
    Date,
    /// The certificate or the key of the authority cannot be read.
    #[error("the authority's {part} cannot be read: {words}; give it as PEM")]
    Pem {
        /// The certificate or the key.
        part: &'static str,
        /// What is wrong.
        words: String,
    },
    /// The library that makes certificates fails.
    #[error("the certificate cannot be made: {0}")]
    Issue(String),
    /// What was issued cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Issue(error.to_string())
    }
}

/// A cluster's certificate authority: whoever has its key decides who belongs to the cluster. Keys are P-256.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority, with a new key.
    ///
    /// # Errors
    /// [`AuthorityError`] when a certificate cannot be valid for that long.
    pub fn new(cluster: &ClusterName, valid_for: Duration) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = params(Validity::from_now(valid_for))?;
        // Two authorities of a cluster must differ by name: that alone says whose a revocation list is (RFC 5280, section 6.3.3).
        let digest = ring::digest::digest(&ring::digest::SHA256, key.public_key_raw());
        let own: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name.push(DnType::CommonName, format!("PingPong cluster {cluster} {own}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// Reads an authority back.
    ///
    /// # Errors
    /// [`AuthorityError`] says which part cannot be read.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let wrong = |part: &'static str, words: String| AuthorityError::Pem { part, words };
        let key = KeyPair::from_pem(key).map_err(|error| wrong("private key", error.to_string()))?;
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| wrong("certificate", error.to_string()))?;
        let issuer =
            Issuer::from_ca_cert_der(&certificate, key).map_err(|error| wrong("certificate", error.to_string()))?;
        Ok(Self { certificate, issuer })
    }

    /// A new identity, with a new key. Its dates are not checked: it may lie in the past or the future.
    ///
    /// # Errors
    /// [`AuthorityError`]; [`IdentityError::Name`] if the name cannot stand in a certificate, since its last label is a number.
    pub fn issue(&self, name: &NodeName, valid: Validity) -> Result<Identity, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = params(valid)?;
        params.subject_alt_names = vec![SanType::DnsName(name.as_str().try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Identity::unchecked(vec![self.certificate.clone()], vec![certificate], key)?)
    }

    /// A list of certificates that do not hold any more, whatever their dates say, as PEM. Nodes that have it refuse whoever shows
    /// one of them ([`Identity::with_revocations`]).
    ///
    /// It replaces earlier lists, so it must name all that are revoked; nobody, at first. `number` is greater than that of every earlier list.
    ///
    /// # Errors
    /// [`AuthorityError::Pem`] for what is no certificate.
    pub fn revoke(&self, certificates: &[&[u8]], number: u64) -> Result<String, AuthorityError> {
        let now = moment(SystemTime::now())?;
        let mut revoked = Vec::new();
        for text in certificates {
            let wrong = |words: String| AuthorityError::Pem { part: "certificate to be revoked", words };
            let certificate = CertificateDer::from_pem_slice(text).map_err(|error| wrong(error.to_string()))?;
            revoked.push(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&certificate::serial(&certificate).map_err(wrong)?),
                revocation_time: now,
                reason_code: None,
                invalidity_date: None,
            });
        }
        let list = CertificateRevocationListParams {
            this_update: now,
            // A list that is out of date is better than none: nobody enforces this.
            next_update: now + time::Duration::days(365),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(pem::encode(&pem::Pem::new("X509 CRL", list.signed_by(&self.issuer)?.der().as_ref())))
    }

    /// The certificate, which every node of the cluster has, as PEM.
    pub fn certificate_pem(&self) -> String {
        pem::encode(&pem::Pem::new("CERTIFICATE", self.certificate.as_ref()))
    }

    /// The private key as PEM. Whoever reads it can add nodes to the cluster.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn params(valid: Validity) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    (params.not_before, params.not_after) = (moment(valid.from)?, moment(valid.until)?);
    Ok(params)
}

fn moment(at: SystemTime) -> Result<OffsetDateTime, AuthorityError> {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| AuthorityError::Date)?.as_secs();
    let seconds = i64::try_from(seconds).map_err(|_| AuthorityError::Date)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| AuthorityError::Date)
}
