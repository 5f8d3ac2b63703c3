//! The identity of a running endpoint: replaced without a restart.

use crate::current::Current;
use crate::identity::{Identity, IdentityError};
use crate::peer::Peer;
use crate::tls::{Tls, Unusable};
use pingpong_core::NodeName;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Gives a running endpoint a renewed identity: of the same node, with another certificate, key or authority, or with other
/// revocations.
///
/// Handshakes that begin later use it. Connections that exist stay, unless their peer would not be let in any more: since its
/// certificate has been revoked, or its authority is not trusted now. That a certificate has expired meanwhile ends no connection. To
/// change the authority without a gap, trust the old and the new one for a while. The reset key (see
/// [`QuicLink`](crate::QuicLink)) stays that of the start, so that peers recognise the first restart after a renewal only by
/// time, if the private key is another one. Clones belong to the same endpoint.
#[derive(Clone)]
pub struct Renewal {
    name: NodeName,
    current: Arc<Current<Tls, Peer>>,
}

/// An identity cannot take the place of another one. The endpoint goes on with the one that it had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// It is another node's.
    #[error(
        "the certificate is that of {given}, and this node is {name}; renew it for {name}, or start a node {given}"
    )]
    AnotherName {
        /// This node.
        name: NodeName,
        /// Whose certificate it is.
        given: NodeName,
    },
    /// It has expired, or its parts do not belong together.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The TLS library refuses it.
    #[error("the new identity of {name} cannot be used: {words}")]
    Unusable {
        /// This node.
        name: NodeName,
        /// Why.
        words: String,
    },
}

impl Renewal {
    pub(crate) fn new(identity: &Identity) -> Result<Self, Unusable> {
        let current = Arc::new(Current::new(Tls::new(identity)?));
        Ok(Self { name: identity.name().clone(), current })
    }

    /// Whether there is a connection with the process at that address.
    pub(crate) fn is_connected(&self, remote: SocketAddr) -> bool {
        self.current.any(|peer| peer.is_at(remote))
    }

    /// A connection that was made with `used` begins to count. If the identity was renewed meanwhile, its peer is looked at again.
    pub(crate) fn began(&self, peer: &Arc<Peer>, used: &Arc<Tls>) {
        self.current.enter(peer, used);
    }

    /// What a handshake that begins now uses.
    pub(crate) fn current(&self) -> Arc<Tls> {
        self.current.get()
    }

    /// Replaces the identity.
    ///
    /// # Errors
    /// [`RenewError`]: it is another node's, has expired, or cannot be used.
    pub fn renew(&self, identity: &Identity) -> Result<(), RenewError> {
        if *identity.name() != self.name {
            return Err(RenewError::AnotherName { name: self.name.clone(), given: identity.name().clone() });
        }
        identity.check_now()?;
        let new = Tls::new(identity).map_err(|words| RenewError::Unusable { name: self.name.clone(), words })?;
        self.current.replace(new);
        tracing::info!(name = %self.name, expires = identity.expires_text(), "the identity was renewed");
        Ok(())
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("name", &self.name).finish_non_exhaustive()
    }
}
