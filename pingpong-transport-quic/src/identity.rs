//! Who a node is: its certificate, its key, and the authority that vouches for everyone.

use crate::certificate::{self, Dates};
use crate::{tls, words};
use pingpong_core::NodeName;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::fmt;
use std::time::SystemTime;

/// What a node proves its name with, and checks the names of others against.
pub struct Identity {
    pub(crate) authority: Vec<CertificateDer<'static>>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) revocations: Vec<CertificateRevocationListDer<'static>>,
    name: NodeName,
    dates: Dates,
}

/// A part of an identity cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file cannot be read as PEM.
    #[error("the {part} cannot be read: {words}; give it as PEM")]
    Pem {
        /// The authority, the certificate, or the key.
        part: &'static str,
        /// What is wrong.
        words: String,
    },
    /// A file has nothing of its kind in it.
    #[error("the {part} is missing: its file has none in it")]
    Missing {
        /// The authority, the certificate, or the key.
        part: &'static str,
    },
    /// The certificate does not name a node.
    #[error("the certificate names no node: {0}; issue one whose single DNS name is the node's name")]
    Name(String),
    /// The certificate has expired.
    #[error("the certificate of {name} expired on {date}; renew it")]
    Expired {
        /// The node.
        name: NodeName,
        /// The day and time.
        date: String,
    },
    /// The certificate is not valid yet.
    #[error("the certificate of {name} is valid from {date} on, which is still to come; check the clock")]
    NotYetValid {
        /// The node.
        name: NodeName,
        /// The day and time.
        date: String,
    },
    /// The key is not the certificate's, or of a kind that is not supported.
    #[error("the key does not go with the certificate: {0}; give the key that the certificate was issued for")]
    Key(String),
    /// The certificate may not be used in both roles.
    #[error(
        "the certificate of {0} may be used by a client or a server alone, and a node is both; issue one with clientAuth and \
         serverAuth in its extended key usage"
    )]
    Usage(NodeName),
    /// The authority has revoked the certificate.
    #[error("the certificate of {0} has been revoked by its authority; issue a new one")]
    Revoked(NodeName),
    /// The authority cannot be used, or does not vouch for the certificate.
    #[error("the authority does not vouch for the certificate: {0}; give the one that signed it")]
    Authority(String),
}

const AUTHORITY: &str = "authority's certificate";
const CERTIFICATE: &str = "node's certificate";
const KEY: &str = "node's private key";
const REVOCATIONS: &str = "revocation list";

fn certificates(part: &'static str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    found.map_err(|error| IdentityError::Pem { part, words: error.to_string() })
}

impl Identity {
    /// Reads an identity: the authority's certificates, the node's certificate with those between the two after it, and the
    /// node's private key, all as PEM.
    ///
    /// # Errors
    /// [`IdentityError`] names the part, what is wrong with it, and the remedy.
    pub fn from_pem(authority: &[u8], chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let authority = certificates(AUTHORITY, authority)?;
        let chain = certificates(CERTIFICATE, chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => IdentityError::Missing { part: KEY },
            error => IdentityError::Pem { part: KEY, words: error.to_string() },
        })?;
        Self::from_der(authority, chain, key)
    }

    /// The same from DER.
    ///
    /// # Errors
    /// Those of [`from_pem`](Self::from_pem).
    pub fn from_der(
        authority: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let identity = Self::unchecked(authority, chain, key)?;
        identity.check_now()?;
        Ok(identity)
    }

    /// Reads the name and the dates, and checks neither these nor the signatures.
    pub(crate) fn unchecked(
        authority: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        if authority.is_empty() {
            return Err(IdentityError::Missing { part: AUTHORITY });
        }
        let own = chain.first().ok_or(IdentityError::Missing { part: CERTIFICATE })?;
        let name = certificate::node_name(own).map_err(IdentityError::Name)?;
        let dates = certificate::dates(own).map_err(IdentityError::Name)?;
        Ok(Self { authority, chain, key, revocations: Vec::new(), name, dates })
    }

    /// With revocation lists of the authority, as PEM: nodes whose certificates are on one are refused.
    ///
    /// # Errors
    /// [`IdentityError::Pem`], [`IdentityError::Missing`]; [`IdentityError::Revoked`] if this very certificate is on it.
    pub fn with_revocations(mut self, lists: &[u8]) -> Result<Self, IdentityError> {
        let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(lists).collect();
        let found = found.map_err(|error| IdentityError::Pem { part: REVOCATIONS, words: error.to_string() })?;
        if found.is_empty() {
            return Err(IdentityError::Missing { part: REVOCATIONS });
        }
        self.revocations.extend(found);
        self.check_now()?;
        Ok(self)
    }

    /// Checks the dates, and that its parts belong together.
    pub(crate) fn check_now(&self) -> Result<(), IdentityError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let name = self.name.clone();
        if now > self.dates.not_after {
            return Err(IdentityError::Expired { name, date: words::date(self.dates.not_after) });
        }
        if now < self.dates.not_before {
            return Err(IdentityError::NotYetValid { name, date: words::date(self.dates.not_before) });
        }
        tls::check(self)
    }

    /// The node's name: the single DNS name of its certificate.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// When the certificate ceases to hold, in seconds since 1970 (UTC).
    pub fn expires(&self) -> i64 {
        self.dates.not_after
    }

    /// From when on the certificate holds, in seconds since 1970 (UTC).
    pub fn begins(&self) -> i64 {
        self.dates.not_before
    }

    /// When it ceases to hold, as a date.
    pub(crate) fn expires_text(&self) -> String {
        words::date(self.dates.not_after)
    }

    /// The authority's certificates as PEM.
    pub fn authority_pem(&self) -> String {
        certificates_pem(&self.authority)
    }

    /// The node's certificate, and those between it and the authority's, as PEM.
    pub fn chain_pem(&self) -> String {
        certificates_pem(&self.chain)
    }

    /// The private key as PEM. Whoever reads it can be this node.
    pub fn key_pem(&self) -> String {
        let tag = match &self.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        pem::encode(&pem::Pem::new(tag, self.key.secret_der()))
    }
}

fn certificates_pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|one| pem::encode(&pem::Pem::new("CERTIFICATE", one.as_ref()))).collect()
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        let (authority, chain, name) = (self.authority.clone(), self.chain.clone(), self.name.clone());
        let revocations = self.revocations.clone();
        Self { authority, chain, key: self.key.clone_key(), revocations, name, dates: self.dates }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Identity");
        text.field("name", &self.name).field("expires", &self.expires_text()).finish_non_exhaustive()
    }
}
