//! The peer of a connection that exists. It is looked at again when this node's identity is renewed: whoever has been revoked since, or was
//! vouched for by an authority that is trusted no more, is put out at once.

use crate::current::MadeWith;
use crate::tls::Tls;
use crate::words;
use pingpong_core::NodeName;
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::OnceLock;

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
    /// Whether it is the process at that address, whoever dialled, and the connection lives.
    pub(crate) fn is_at(&self, remote: SocketAddr) -> bool {
        let at = self.connection.remote_address();
        self.connection.close_reason().is_none()
            && (at.ip().to_canonical(), at.port()) == (remote.ip().to_canonical(), remote.port())
    }
}

impl MadeWith<Tls> for Peer {
    /// Puts the peer out if it would not be let in now.
    fn check(&self, tls: &Tls) {
        let Err(reason) = tls.vouches(&self.name, &self.chain) else { return };
        let words = format!("{} is not let in any more: {reason}", self.name);
        tracing::warn!(peer = %self.name, remote = %self.connection.remote_address(), reason, "a peer is put out");
        self.connection.close(words::REFUSED, words.as_bytes());
        self.ended.get_or_init(|| words);
    }
}
