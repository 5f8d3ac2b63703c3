//! How an endpoint is configured, and why it cannot be bound.

use crate::identity::Identity;
use pingpong_core::link::Endpoint;
use pingpong_core::{Address, MeshConfig};
use std::net::SocketAddr;
use std::time::Duration;

/// Everything that a [`QuicLink`](crate::QuicLink) needs to know.
///
/// ```
/// use pingpong_core::{Address, ClusterName, Mesh, MeshConfig, NodeName};
/// use pingpong_transport_quic::{BindError, Identity, QuicConfig, QuicLink};
///
/// async fn start(identity: Identity) -> Result<Mesh<QuicLink>, Box<dyn std::error::Error>> {
///     let mut mesh = MeshConfig::new(ClusterName::new("shop")?, identity.name().clone());
///     mesh.seeds = vec![Address::new("n2.shop.example:4433")?];
///     let mut quic = QuicConfig::for_mesh("[::]:4433".parse()?, identity, &mesh); // timeouts and bounds are the Mesh's
///     quic.advertise = vec![Address::new("n1.shop.example:4433")?]; // behind NAT, or where it listens on all addresses
///     let link = QuicLink::bind(quic).map_err(|error: BindError| error.to_string())?; // names the item and the remedy
///     Ok(Mesh::start(link, mesh).await?)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct QuicConfig {
    /// Where to listen. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where peers can dial this node. Empty: the address that was bound, unless it stands for all addresses.
    pub advertise: Vec<Address>,
    /// Who this node is.
    pub identity: Identity,
    /// That of the Mesh. A connection that is silent for three of them, and at least 90 s, is given up here too. It also times
    /// how often a silent peer's port is tried. Default 2 s.
    pub failure_timeout: Duration,
    /// Server names with a lane of their own: that of the Mesh. Default 24. Three more lanes are the Mesh's own.
    pub lanes: usize,
    /// Peers that may be linked at once: that of the Mesh. Default 128. Handshakes under way are bounded by it, and eight more;
    /// connections that others began, before and after authentication and while they end, by four times as many, and 64 more.
    pub max_peers: usize,
    /// Bytes that a lane holds at its receiving end. Default 1 MiB.
    pub lane_window: u32,
    /// Bytes of all lanes of a connection that are sent and not acknowledged. Default 1 MiB.
    pub send_window: u32,
    /// The largest UDP packet that is tried: 1,200 to 6,500. Default 6,500. How much a path takes is found out.
    pub max_udp_payload: u16,
    /// What each of the socket's two buffers is asked to hold: 4 KiB to 1 GiB; the system may grant less. Default 4 MiB.
    pub socket_buffer: usize,
}

impl QuicConfig {
    /// For a node of that configuration, with defaults for what the Mesh does not know of.
    pub fn for_mesh(listen: SocketAddr, identity: Identity, mesh: &MeshConfig) -> Self {
        Self {
            failure_timeout: mesh.timeouts.failure,
            lanes: mesh.limits.lanes,
            max_peers: mesh.limits.max_peers,
            ..Self::new(listen, identity)
        }
    }

    /// For a node whose [`MeshConfig`] has its defaults.
    pub fn new(listen: SocketAddr, identity: Identity) -> Self {
        Self {
            listen,
            advertise: Vec::new(),
            identity,
            failure_timeout: Duration::from_secs(2),
            lanes: 24,
            max_peers: 128,
            lane_window: 1 << 20,
            send_window: 1 << 20,
            max_udp_payload: 6_500,
            socket_buffer: 4 << 20,
        }
    }

    /// Dials of others that may be under way: one for each peer, and a few.
    pub(crate) fn handshakes(&self) -> usize {
        self.max_peers.saturating_add(SPARE_HANDSHAKES)
    }

    /// Connections that others began, also those that end: a node may be dialled again before an old one is gone.
    pub(crate) fn connections(&self) -> usize {
        self.max_peers.saturating_mul(4).saturating_add(SPARE_CONNECTIONS)
    }

    /// The most bytes that dials hold here whose peer has not proved anything yet (L4): for each handshake the packets that wait
    /// for it to be admitted, what QUIC keeps of a handshake's messages before they are whole, and its state; for those that have
    /// failed, or given way to others, what QUIC keeps until it has forgotten them. Other connections cost them nothing, nor does this grow
    /// with the size or the number of what they send.
    pub fn unauthenticated_bytes(&self) -> u64 {
        let ending = self.connections().saturating_sub(self.handshakes()) as u64;
        let handshakes = (self.handshakes() as u64).saturating_mul(INCOMING_BYTES + HANDSHAKE_BYTES);
        handshakes.saturating_add(ending.saturating_mul(ENDING_BYTES))
    }

    /// Streams that a peer may open: a lane for each server name, the shared one, control and replies.
    pub(crate) fn streams(&self) -> usize {
        self.lanes.saturating_add(3)
    }

    /// What an endpoint of this configuration will be (O1).
    ///
    /// For each lane that a peer may open two and a half windows count, since what arrives in small pieces is kept in buffers that may
    /// be so much larger before it is copied together; what is sent and not acknowledged, and the datagrams of both directions. A
    /// connection whose lanes nobody has asked for has one, and sends what a handshake needs.
    pub fn endpoint(&self) -> Endpoint {
        let lane = u64::from(self.lane_window / 2).saturating_mul(5);
        let fixed = 2 * DATAGRAMS as u64 + FIXED;
        let lanes = (self.streams() as u64).saturating_mul(lane);
        let handshakes = (self.connections() as u64).saturating_mul(lane.saturating_add(fixed));
        let sockets = (self.socket_buffer as u64).saturating_mul(2);
        Endpoint {
            name: self.identity.name().clone(),
            lanes: self.streams(),
            connection_bytes: lanes.saturating_add(u64::from(self.send_window)).saturating_add(fixed),
            other_bytes: handshakes.saturating_add(self.unauthenticated_bytes()).saturating_add(sockets),
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`BindError::Range`] names the field and its range.
    pub fn check(&self) -> Result<(), BindError> {
        let ranges: [(&'static str, u64, u64, u64); 7] = [
            ("lanes", self.lanes as u64, 1, 1_000),
            ("max_peers", self.max_peers as u64, 1, 10_000),
            ("lane_window", u64::from(self.lane_window), 4 << 10, 1 << 30),
            ("send_window", u64::from(self.send_window), 4 << 10, 1 << 30),
            ("socket_buffer", self.socket_buffer as u64, 4 << 10, 1 << 30),
            ("max_udp_payload", u64::from(self.max_udp_payload), 1_200, 6_500),
            (
                "failure_timeout (ms)",
                u64::try_from(self.failure_timeout.as_millis()).unwrap_or(u64::MAX),
                100,
                3_600_000,
            ),
        ];
        for (field, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(BindError::Range { field, value, least, most });
            }
        }
        Ok(())
    }
}

/// Bytes of datagrams that wait, in each direction.
pub(crate) const DATAGRAMS: usize = 64 << 10;
/// What a connection holds beside windows and datagrams: its state, keys, and what is remembered of packets.
const FIXED: u64 = 64 << 10;
/// Dials that others may have under way beyond the number of peers.
const SPARE_HANDSHAKES: usize = 8;
/// Connections of others beyond four for each peer.
const SPARE_CONNECTIONS: usize = 64;
/// Bytes that are kept of a dial before it is admitted: its first packets.
pub(crate) const INCOMING_BYTES: u64 = 16 << 10;
/// What a handshake holds: its messages in three packet number spaces of 16 KiB each, keys, and the connection's state.
const HANDSHAKE_BYTES: u64 = (3 * 16 + 64) << 10;
/// What QUIC keeps of a handshake that has ended, until its draining period is over.
const ENDING_BYTES: u64 = 48 << 10;

/// An endpoint cannot be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A number outside its range.
    #[error("{field} is {value}, allowed are {least} to {most}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The smallest that is allowed.
        least: u64,
        /// The greatest that is allowed.
        most: u64,
    },
    /// Another socket has the address.
    #[error("{address} is in use (UDP); stop the process that listens there, or listen at another port")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The system refuses the address.
    #[error(
        "{address} cannot be bound: {error}; listen at an address of this machine, at a port that this user may use"
    )]
    Socket {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The identity cannot be used.
    #[error("the identity of {name} cannot be used: {words}")]
    Identity {
        /// The node's name.
        name: pingpong_core::NodeName,
        /// Why.
        words: String,
    },
    /// There is no tokio runtime.
    #[error("an endpoint must be bound within a tokio runtime")]
    NoRuntime,
}
