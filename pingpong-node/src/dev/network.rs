//! Where the nodes of a cluster meet.

use super::{DevError, Kind};
use crate::{Address, ClusterName, Mesh, MeshConfig, Transport};
use std::pin::Pin;
use std::sync::Arc;

#[cfg(feature = "mem")]
use crate::mem::MemNetwork;
#[cfg(feature = "quic")]
use crate::quic::{Authority, QuicConfig, QuicLink, Validity};
#[cfg(feature = "quic")]
use std::{net::Ipv4Addr, time::Duration};

/// No first step takes that long; what is left of a certificate afterwards is of no use to anybody.
#[cfg(feature = "quic")]
const CERTIFICATES_HOLD: Duration = Duration::from_secs(86_400);

type Started = Result<(Arc<dyn Transport>, Address), DevError>;

pub(super) enum Network {
    #[cfg(feature = "mem")]
    Mem(MemNetwork),
    #[cfg(feature = "quic")]
    Quic(Box<Authority>),
}

impl Network {
    pub(super) fn new(kind: Kind, cluster: &ClusterName) -> Result<Self, DevError> {
        #[cfg(not(feature = "quic"))]
        let _ = cluster;
        match kind {
            #[cfg(feature = "mem")]
            Kind::Mem => Ok(Self::Mem(MemNetwork::new(1))),
            #[cfg(feature = "quic")]
            Kind::Quic => Ok(Self::Quic(Box::new(Authority::new(cluster, CERTIFICATES_HOLD)?))),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            #[cfg(feature = "mem")]
            Self::Mem(_) => Kind::Mem,
            #[cfg(feature = "quic")]
            Self::Quic(_) => Kind::Quic,
        }
    }

    #[cfg(feature = "mem")]
    pub(super) fn in_memory(&self) -> Option<&MemNetwork> {
        match self {
            Self::Mem(network) => Some(network),
            #[cfg(feature = "quic")]
            Self::Quic(_) => None,
        }
    }

    /// Starts a node, and says where it can be dialled.
    ///
    /// A box, so that the machinery behind it is compiled here once, and not in each program that starts nodes.
    pub(super) fn node(&self, config: MeshConfig) -> Pin<Box<dyn Future<Output = Started> + Send + '_>> {
        Box::pin(async move {
            match self {
                #[cfg(feature = "mem")]
                Self::Mem(network) => {
                    let address = Address::new(config.name.as_str())?;
                    let link = network.bind(config.name.clone(), address.clone())?;
                    Ok((Arc::new(Mesh::start(link, config).await?) as Arc<dyn Transport>, address))
                }
                #[cfg(feature = "quic")]
                Self::Quic(authority) => {
                    let identity = authority.issue(&config.name, Validity::from_now(CERTIFICATES_HOLD))?;
                    let listen = (Ipv4Addr::LOCALHOST, 0).into();
                    let link = QuicLink::bind(QuicConfig::for_mesh(listen, identity, &config))?;
                    let address = Address::new(&link.local_address().to_string())?;
                    Ok((Arc::new(Mesh::start(link, config).await?) as Arc<dyn Transport>, address))
                }
            }
        })
    }
}
