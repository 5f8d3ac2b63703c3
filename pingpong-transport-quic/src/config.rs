//! Windows, limits and times of the QUIC endpoint.

use crate::identity::Identity;
use pingpong_core::Address;
use std::net::SocketAddr;
use std::time::Duration;

/// How an endpoint is bound.
#[derive(Debug)]
#[non_exhaustive]
pub struct QuicConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where peers can dial; empty: the bound address.
    pub advertise: Vec<Address>,
    /// Who the node is.
    pub identity: Identity,
    /// The failure timeout of the node. QUIC's idle timeout is three times that, as a backstop (L5). Default 2 s.
    pub failure_timeout: Duration,
    /// As [`Limits::lanes`](pingpong_core::config::Limits::lanes): lanes are streams, and streams are memory. Default 24.
    pub lanes: usize,
    /// Bytes that one lane may hold at the receiver. Default 1 MiB.
    pub lane_window: u32,
    /// Bytes that one connection may hold at the sender. Default 1 MiB.
    pub send_window: u32,
    /// Handshakes of others that may be under way at once. Default 136.
    pub handshakes: usize,
}

impl QuicConfig {
    /// With defaults for all but the address and the identity.
    pub fn new(listen: SocketAddr, identity: Identity) -> Self {
        Self {
            listen,
            advertise: Vec::new(),
            identity,
            failure_timeout: Duration::from_secs(2),
            lanes: 24,
            lane_window: 1 << 20,
            send_window: 1 << 20,
            handshakes: 136,
        }
    }

    /// Lanes of a connection: those of names, the shared one, control and replies.
    pub(crate) fn streams(&self) -> u32 {
        u32::try_from(self.lanes.saturating_add(3)).unwrap_or(u32::MAX)
    }
}
