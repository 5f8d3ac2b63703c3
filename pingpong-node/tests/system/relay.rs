//! A path between two nodes, which can be cut one way or both ways. Packets vanish silently, as on a network.
//!
//! ```text
//! a --> [the place of b] . . [the place of a] --> b        and b's packets the same way back
//! ```
//!
//! All that a knows of b is the place of b, and the other way round: each advertises its place. The relay of the demo knows of cuts
//! both ways alone.

use crate::lab::address;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// A relay between two nodes; it ends when it is dropped.
pub(crate) struct Relay {
    /// Where b dials a.
    pub(crate) place_of_a: SocketAddr,
    /// Where a dials b.
    pub(crate) place_of_b: SocketAddr,
    a_to_b: Arc<AtomicBool>,
    b_to_a: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Between nodes that listen there.
    pub(crate) async fn between(a: SocketAddr, b: SocketAddr) -> Self {
        let bind = async || Arc::new(UdpSocket::bind(address()).await.unwrap());
        let (at_a, at_b) = (bind().await, bind().await);
        let (place_of_a, place_of_b) = (at_b.local_addr().unwrap(), at_a.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        let [a_to_b, b_to_a] = [(), ()].map(|()| Arc::new(AtomicBool::new(true)));
        tasks.spawn(forward(Arc::clone(&at_a), a, Arc::clone(&a_to_b), Arc::clone(&at_b), b));
        tasks.spawn(forward(at_b, b, Arc::clone(&b_to_a), at_a, a));
        Self { place_of_a, place_of_b, a_to_b, b_to_a, _tasks: tasks }
    }

    /// Which of the two ways are open from now on.
    pub(crate) fn open(&self, a_to_b: bool, b_to_a: bool) {
        self.a_to_b.store(a_to_b, Ordering::SeqCst);
        self.b_to_a.store(b_to_a, Ordering::SeqCst);
    }
}

async fn forward(here: Arc<UdpSocket>, from: SocketAddr, open: Arc<AtomicBool>, there: Arc<UdpSocket>, to: SocketAddr) {
    let mut packet = vec![0; 65_535];
    loop {
        // An error is that of an earlier packet, whose receiver was not there.
        let Ok((length, sender)) = here.recv_from(&mut packet).await else { continue };
        if sender == from && open.load(Ordering::SeqCst) {
            // As lost as on any network.
            let _ = there.send_to(&packet[..length], to).await;
        }
    }
}
