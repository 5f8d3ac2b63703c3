//! Paths between nodes, each of which can be cut, one way or both ways, or made slow. Packets vanish silently, as on a network, and those that
//! are under way when a path is cut vanish with it.
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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Packets that are delayed at once on one way; further ones are lost.
const DELAYED: usize = 8_192;

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
    /// From one node to another.
    ways: Vec<Vec<Way>>,
}

struct Way {
    open: AtomicBool,
    /// In microseconds.
    delay: AtomicU64,
    /// Packets that are delayed, and until when, in the order in which they came. Those that are not delayed any more overtake them.
    delayed: mpsc::Sender<(Instant, Vec<u8>)>,
}

impl Relay {
    /// Among nodes that listen there. All ways are open.
    pub(crate) async fn among(listen: &[SocketAddr]) -> Self {
        let mut sockets = Vec::new();
        for _ in listen {
            sockets.push(UdpSocket::bind(address()).await.unwrap());
        }
        let places = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let mut late = Vec::new();
        let mut ways: Vec<Vec<Way>> = Vec::new();
        for from in 0..listen.len() {
            let mut way = |to| {
                let (delayed, packets) = mpsc::channel(DELAYED);
                late.push((from, to, packets));
                Way { open: AtomicBool::new(true), delay: AtomicU64::new(0), delayed }
            };
            ways.push((0..listen.len()).map(&mut way).collect());
        }
        let paths = Arc::new(Paths { listen: listen.to_vec(), sockets, ways });
        let mut tasks = JoinSet::new();
        for (from, to, mut packets) in late {
            let paths = Arc::clone(&paths);
            tasks.spawn(async move {
                while let Some((until, packet)) = packets.recv().await {
                    sleep_until(until).await;
                    paths.send(from, to, &packet).await;
                }
            });
        }
        for to in 0..listen.len() {
            tasks.spawn(forward(Arc::clone(&paths), to));
        }
        Self { places, paths, _tasks: tasks }
    }

    /// Whether the way from one node to another is open from now on.
    pub(crate) fn open(&self, from: usize, to: usize, open: bool) {
        self.paths.ways[from][to].open.store(open, Ordering::SeqCst);
    }

    /// How long packets from one node to another take from now on.
    pub(crate) fn delay(&self, from: usize, to: usize, delay: Duration) {
        let delay = u64::try_from(delay.as_micros()).unwrap();
        self.paths.ways[from][to].delay.store(delay, Ordering::SeqCst);
    }
}

impl Paths {
    async fn send(&self, from: usize, to: usize, packet: &[u8]) {
        if self.ways[from][to].open.load(Ordering::SeqCst) {
            // As lost as on any network.
            let _ = self.sockets[from].send_to(packet, self.listen[to]).await;
        }
    }
}

async fn forward(paths: Arc<Paths>, to: usize) {
    let mut packet = vec![0; 65_535];
    loop {
        // An error is that of an earlier packet, whose receiver was not there.
        let Ok((length, sender)) = paths.sockets[to].recv_from(&mut packet).await else { continue };
        let Some(from) = paths.listen.iter().position(|listen| *listen == sender) else { continue };
        let way = &paths.ways[from][to];
        match way.delay.load(Ordering::SeqCst) {
            0 => paths.send(from, to, &packet[..length]).await,
            micros => {
                let until = Instant::now() + Duration::from_micros(micros);
                let _ = way.delayed.try_send((until, packet[..length].to_vec()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{LONG, within};

    #[tokio::test]
    async fn a_way_is_slow_while_the_other_way_is_not_and_a_cut_loses_what_is_under_way() {
        let nodes = [UdpSocket::bind(address()).await.unwrap(), UdpSocket::bind(address()).await.unwrap()];
        let relay = Relay::among(&[nodes[0].local_addr().unwrap(), nodes[1].local_addr().unwrap()]).await;
        let arrives = async |at: usize| {
            let mut packet = [0; 16];
            let (length, _) = within(LONG, "a packet", nodes[at].recv_from(&mut packet)).await.unwrap();
            packet[..length].to_vec()
        };
        let delay = Duration::from_millis(200);
        relay.delay(0, 1, delay);
        let began = Instant::now();
        for packet in [b"1", b"2"] {
            nodes[0].send_to(packet, relay.places[1]).await.unwrap();
        }
        nodes[1].send_to(b"back", relay.places[0]).await.unwrap();
        assert_eq!(arrives(0).await, b"back");
        assert_eq!((arrives(1).await, arrives(1).await), (b"1".to_vec(), b"2".to_vec()));
        assert!(began.elapsed() >= delay);
        nodes[0].send_to(b"lost", relay.places[1]).await.unwrap();
        // When this one is there, the relay has the one before it.
        nodes[0].send_to(b"mark", relay.places[0]).await.unwrap();
        assert_eq!(arrives(0).await, b"mark");
        relay.open(0, 1, false);
        relay.delay(0, 1, Duration::ZERO);
        tokio::time::sleep_until(Instant::now() + 2 * delay).await;
        relay.open(0, 1, true);
        nodes[0].send_to(b"next", relay.places[1]).await.unwrap();
        assert_eq!(arrives(1).await, b"next");
    }
}
