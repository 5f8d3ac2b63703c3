//! Who a node is: its certificate, the key to it, and the authority that it trusts.

use pingpong_core::NodeName;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;

/// A node's certificate and key, and the authority of its cluster.
pub struct Identity {
    pub(crate) authority: CertificateDer<'static>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    name: NodeName,
}

/// A certificate says no node's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is no certificate at all.
    #[error("the chain holds no certificate; give the node's own one first")]
    Empty,
    /// It cannot be read.
    #[error("the certificate cannot be read: {0}; issue a new one")]
    Unreadable(String),
    /// A node's certificate carries its name, and no other.
    #[error("the certificate carries the DNS names {0:?}; issue one with exactly the node's name")]
    Names(Vec<String>),
    /// The name is none of a node.
    #[error("the certificate's name is not a node's: {0}")]
    Name(String),
}

impl Identity {
    /// From the authority's certificate, the node's chain with its own certificate first, and its key.
    ///
    /// # Errors
    /// [`IdentityError`] when the certificate does not carry exactly one node's name.
    pub fn new(
        authority: CertificateDer<'static>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let name = name_of(chain.first().ok_or(IdentityError::Empty)?)?;
        Ok(Self { authority, chain, key, name })
    }

    /// The node's name, as its certificate proves it.
    pub fn name(&self) -> &NodeName {
        &self.name
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The one name that a node's certificate carries.
pub(crate) fn name_of(certificate: &CertificateDer<'_>) -> Result<NodeName, IdentityError> {
    let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|e| IdentityError::Unreadable(e.to_string()))?;
    let names: Vec<&str> = parsed.valid_dns_names().collect();
    match names[..] {
        [name] => NodeName::new(name).map_err(|error| IdentityError::Name(error.to_string())),
        _ => Err(IdentityError::Names(names.into_iter().map(str::to_owned).collect())),
    }
}
