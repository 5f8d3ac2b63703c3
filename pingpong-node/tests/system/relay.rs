//! Paths between nodes, each of which can be cut, one way or both ways. Packets vanish silently, as on a network.
//!
//! ```text
//! a --> [the place of b] . . [the place of a] --> b        and b's packets the same way back
//! ```
//!
//! All that a node knows of another one is the place of that one: each advertises its place. The relay of the demo knows of cuts
//! both ways alone.

use crate::lab::address;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// A relay among some nodes; it ends when it is dropped.
pub(crate) struct Relay {
    /// Where the others dial each of them.
    pub(crate) places: Vec<SocketAddr>,
    paths: Arc<Paths>,
    _tasks: JoinSet<()>,
}

struct Paths {
    listen: Vec<SocketAddr>,
    sockets: Vec<UdpSocket>,
    /// Of each way from one node to another.
    open: Vec<Vec<AtomicBool>>,
}

impl Relay {
    /// Among nodes that listen there. All ways are open.
    pub(crate) async fn among(listen: &[SocketAddr]) -> Self {
        let mut sockets = Vec::new();
        for _ in listen {
            sockets.push(UdpSocket::bind(address()).await.unwrap());
        }
        let places = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let open = listen.iter().map(|_| listen.iter().map(|_| AtomicBool::new(true)).collect()).collect();
        let paths = Arc::new(Paths { listen: listen.to_vec(), sockets, open });
        let mut tasks = JoinSet::new();
        for to in 0..listen.len() {
            tasks.spawn(forward(Arc::clone(&paths), to));
        }
        Self { places, paths, _tasks: tasks }
    }

    /// Whether the way from one node to another is open from now on.
    pub(crate) fn open(&self, from: usize, to: usize, open: bool) {
        self.paths.open[from][to].store(open, Ordering::SeqCst);
    }
}

async fn forward(paths: Arc<Paths>, to: usize) {
    let mut packet = vec![0; 65_535];
    loop {
        // An error is that of an earlier packet, whose receiver was not there.
        let Ok((length, sender)) = paths.sockets[to].recv_from(&mut packet).await else { continue };
        let Some(from) = paths.listen.iter().position(|listen| *listen == sender) else { continue };
        if paths.open[from][to].load(Ordering::SeqCst) {
            // As lost as on any network.
            let _ = paths.sockets[from].send_to(&packet[..length], paths.listen[to]).await;
        }
    }
}
