//! What runs in the process of a node: a node over QUIC as `run` starts one, and the servers of the bench.

use super::node::{BenchNode, Setup};
use super::protocol::{Order, Said};
use crate::cluster::{Child, ClusterError, Protocol, Start};
use pingpong_node::io_thread::IoThread;
use pingpong_node::quic::{QuicConfig, QuicLink};
use pingpong_node::{Mesh, MeshConfig};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;

/// The nodes of the bench.
pub(crate) struct OfBench;

impl Protocol for OfBench {
    const COMMAND: &'static str = "bench";
    const NODE: &'static str = "bench-node";
    type Start = BenchStart;
    type Order = Order;
    type Said = Said;
}

/// How a process of the bench is started.
#[derive(Serialize, Deserialize)]
pub(crate) struct BenchStart {
    #[serde(flatten)]
    pub(crate) start: Start,
    pub(crate) setup: Setup,
    /// Whether links run on a thread of their own.
    pub(crate) io_thread: bool,
}

/// A node, and the thread of its links, which must end after it.
pub(crate) struct BenchProcess {
    node: BenchNode<QuicLink>,
    _io: Option<IoThread>,
}

impl Child for BenchProcess {
    type Protocol = OfBench;

    async fn start(name: &str, how: BenchStart) -> Result<(Self, SocketAddr), ClusterError> {
        let refused = |error: &dyn std::fmt::Display| ClusterError::start(name, error);
        let BenchStart { start, setup, io_thread } = how;
        let mesh = setup.mesh(name, &start.seeds)?;
        let quic = start.quic(&mesh).map_err(|error| refused(&error))?;
        let no_thread = ClusterError::system("no thread for links can be had");
        let (bound, io) = if io_thread {
            match IoThread::start("pingpong-io") {
                Ok(io) => (io.run(bind(quic, mesh)).await, Some(io)),
                Err(error) => return Err(no_thread(error)),
            }
        } else {
            (Some(bind(quic, mesh).await), None)
        };
        let bound = bound.ok_or_else(|| no_thread(io::Error::other("it has ended")))?;
        let (mesh, address) = bound.map_err(|words| refused(&words))?;
        Ok((Self { node: BenchNode::on(mesh, setup).await?, _io: io }, address))
    }

    async fn obey(&mut self, order: Order) -> Result<Option<Said>, ClusterError> {
        self.node.obey(order).await
    }
}

async fn bind(quic: QuicConfig, mesh: MeshConfig) -> Result<(Mesh<QuicLink>, SocketAddr), String> {
    let link = QuicLink::bind(quic).map_err(|error| error.to_string())?;
    let address = link.local_address();
    let mesh = Mesh::start(link, mesh).await.map_err(|error| error.to_string())?;
    Ok((mesh, address))
}
