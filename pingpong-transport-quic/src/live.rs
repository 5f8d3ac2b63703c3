//! Connections that exist. Their peers are looked at again when this node's identity is renewed: whoever has been revoked since, or was
//! vouched for by an authority that is trusted no more, is put out at once.

use crate::tls::Tls;
use crate::words;
use pingpong_core::NodeName;
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// The peer of one connection, and what it proved itself with.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) connection: quinn::Connection,
    pub(crate) name: NodeName,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Why this side ended the connection, other than by a close. The first word counts.
    pub(crate) ended: OnceLock<String>,
}

impl Peer {
    /// Puts the peer out if it would not be let in now.
    pub(crate) fn check(&self, tls: &Tls) {
        let Err(reason) = tls.vouches(&self.name, &self.chain) else { return };
        let words = format!("{} is not let in any more: {reason}", self.name);
        tracing::warn!(peer = %self.name, remote = %self.connection.remote_address(), reason, "a peer is put out");
        self.connection.close(words::REFUSED, words.as_bytes());
        self.ended.get_or_init(|| words);
    }
}

/// The connections of an endpoint. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Arc<Mutex<Vec<Weak<Peer>>>>);

impl Live {
    pub(crate) fn add(&self, peer: &Arc<Peer>) {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|peer| peer.strong_count() > 0);
        peers.push(Arc::downgrade(peer));
    }

    /// Whether there is a connection with the process at that address, whoever began it.
    pub(crate) fn has(&self, remote: SocketAddr) -> bool {
        let is_it = |peer: Arc<Peer>| {
            let at = peer.connection.remote_address();
            peer.connection.close_reason().is_none()
                && (at.ip().to_canonical(), at.port()) == (remote.ip().to_canonical(), remote.port())
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).any(is_it)
    }

    /// Looks at all of them again.
    pub(crate) fn check(&self, tls: &Tls) {
        let peers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        peers.iter().filter_map(Weak::upgrade).for_each(|peer| peer.check(tls));
    }
}
