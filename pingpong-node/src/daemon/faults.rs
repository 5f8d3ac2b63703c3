//! Cuts by command, for those who test a service on nodes of its own: packets between this node and another one vanish, as on a
//! network that lies in two. Part of a build with the feature `faults` alone.
//!
//! A cut is known by addresses: it holds for where the other node is when it is cut off, and does not follow it elsewhere.

use pingpong_core::NodeName;
use pingpong_transport_quic::faults::FaultNetwork;
use pingpong_transport_quic::{BindError, QuicConfig, QuicLink};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The cuts of one node.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    network: FaultNetwork,
    /// Where the node is bound.
    local: OnceLock<SocketAddr>,
    /// Who is cut off, and where it was.
    cut: Mutex<BTreeMap<NodeName, BTreeSet<SocketAddr>>>,
}

impl Faults {
    /// Binds an endpoint that can be cut.
    pub(super) fn bind(&self, config: QuicConfig) -> Result<QuicLink, BindError> {
        let socket = self.network.bind_alone(config.listen)?;
        let link = QuicLink::bind_with(config, socket)?;
        self.local.get_or_init(|| link.local_address());
        tracing::warn!("this build can cut off nodes by command; build it without the feature faults to serve anybody");
        Ok(link)
    }

    fn cut(&self) -> MutexGuard<'_, BTreeMap<NodeName, BTreeSet<SocketAddr>>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing comes from there, and nothing goes there.
    pub(crate) fn partition(&self, node: NodeName, at: SocketAddr) {
        // Without a socket there is no link to cut.
        let Some(local) = self.local.get() else { return };
        tracing::warn!(%node, %at, "a node is cut off by command");
        self.network.cut(*local, at);
        self.cut().entry(node).or_default().insert(at);
    }

    /// Ends all cuts of that node; whether there was one.
    pub(crate) fn heal(&self, node: &NodeName) -> bool {
        let (Some(local), Some(healed)) = (self.local.get(), self.cut().remove(node)) else { return false };
        for at in healed {
            tracing::info!(%node, %at, "a node is no longer cut off");
            self.network.heal(*local, at);
        }
        true
    }
}
