//! The network between nodes that are processes: a UDP relay that can be cut.
//!
//! Each node has one public address here, which is all that the others know of it. A node sends from its one socket, so the
//! sender of a packet is known by its address. For each pair there is a socket of its own towards the receiver, by which the
//! receiver tells its peers apart:
//!
//! ```text
//! n1 --> public(n2) . . flow(n1, n2) --> n2        and the answers the same way back
//! ```
//!
//! It forwards, at once or after a delay that is the same for all packets, or drops; it does not reorder or count. Packets of strangers are
//! dropped.

use super::error::ClusterError;
use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The largest UDP packet.
const PACKET: usize = 65_535;
/// The pause after an error.
const AFTER_ERROR: Duration = Duration::from_millis(5);

/// Packets that are delayed at once, of one sender or to one receiver; further ones wait in the system's buffer, or are lost.
const DELAYED: usize = 8_192;

/// A relay between some nodes. Dropping it ends it.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    tasks: JoinSet<()>,
}

struct Shared {
    state: Mutex<State>,
    delay: Duration,
    /// By receiver.
    public: Vec<UdpSocket>,
    /// By receiver and sender; none from a node to itself.
    flows: Vec<Vec<Option<UdpSocket>>>,
}

/// A packet on its way.
struct Delayed<'a> {
    until: Instant,
    packet: Vec<u8>,
    by: &'a UdpSocket,
    to: SocketAddr,
}

struct State {
    /// Where each node listens.
    real: Vec<Option<SocketAddr>>,
    /// Pairs that cannot talk, the smaller one first.
    cut: BTreeSet<(usize, usize)>,
}

async fn socket() -> Result<UdpSocket, ClusterError> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
    socket.map_err(ClusterError::system("a UDP socket on 127.0.0.1 cannot be opened"))
}

fn local(socket: &UdpSocket) -> Result<SocketAddr, ClusterError> {
    socket.local_addr().map_err(ClusterError::system("a UDP socket on 127.0.0.1 has no address"))
}

/// The next packet. An error is that of an earlier packet, whose receiver was killed, and there is nothing to do about it;
/// one that stays is no reason to spin.
async fn receive(socket: &UdpSocket, packet: &mut [u8]) -> (usize, SocketAddr) {
    loop {
        match socket.recv_from(packet).await {
            Ok(received) => return received,
            Err(_) => tokio::time::sleep(AFTER_ERROR).await,
        }
    }
}

impl Relay {
    /// Binds all sockets: one for each node, and one for each pair and direction. Each packet is delayed that long, and up to a millisecond
    /// more, which is how finely the runtime keeps time.
    pub(crate) async fn start(nodes: usize, delay: Duration) -> Result<Self, ClusterError> {
        let (mut public, mut flows, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for to in 0..nodes {
            let socket_of = socket().await?;
            addresses.push(local(&socket_of)?);
            public.push(socket_of);
            let mut from_each = Vec::new();
            for from in 0..nodes {
                from_each.push(if from == to { None } else { Some(socket().await?) });
            }
            flows.push(from_each);
        }
        let state = Mutex::new(State { real: vec![None; nodes], cut: BTreeSet::new() });
        let shared = Arc::new(Shared { state, delay, public, flows });
        let mut tasks = JoinSet::new();
        for to in 0..nodes {
            tasks.spawn(Arc::clone(&shared).forward(to));
            for from in (0..nodes).filter(|from| *from != to) {
                tasks.spawn(Arc::clone(&shared).answer(from, to));
            }
        }
        Ok(Self { shared, addresses, tasks })
    }

    /// Where the others dial a node.
    pub(crate) fn address(&self, node: usize) -> SocketAddr {
        self.addresses[node]
    }

    /// Where a node listens, or nowhere.
    pub(crate) fn set_real(&self, node: usize, address: Option<SocketAddr>) {
        self.shared.state().real[node] = address;
    }

    /// Drops all packets between nodes of different groups, from now on.
    pub(crate) fn partition(&self, groups: &[Vec<usize>]) {
        let mut state = self.shared.state();
        for (number, group) in groups.iter().enumerate() {
            for other in groups.iter().skip(number + 1).flatten() {
                state.cut.extend(group.iter().map(|node| (*node.min(other), *node.max(other))));
            }
        }
    }

    /// Ends it, and waits until it has ended.
    pub(crate) async fn close(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Forwards all packets again.
    pub(crate) fn heal(&self) {
        self.shared.state().cut.clear();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What arrives at a node's public address goes to the node, through the flow of its sender.
    async fn forward(self: Arc<Self>, to: usize) {
        self.carry(&self.public[to], |sender| self.way(sender, to)).await;
    }

    /// The flow and the target of a packet, unless it is cut, or one of the two is not known.
    fn way(&self, sender: SocketAddr, to: usize) -> Option<(&UdpSocket, SocketAddr)> {
        let state = self.state();
        let from = state.real.iter().position(|real| *real == Some(sender))?;
        if state.cut.contains(&(from.min(to), from.max(to))) {
            return None;
        }
        Some((self.flows[to][from].as_ref()?, state.real[to]?))
    }

    /// What a node answers to a flow goes to the sender of that flow, from the node's public address.
    async fn answer(self: Arc<Self>, from: usize, to: usize) {
        let Some(flow) = &self.flows[to][from] else { return };
        let way = |sender| {
            let state = self.state();
            let open = state.real[to] == Some(sender) && !state.cut.contains(&(from.min(to), from.max(to)));
            if open { state.real[from].map(|target| (&self.public[to], target)) } else { None }
        };
        self.carry(flow, way).await;
    }

    /// Sends what arrives on to where it goes, in the order in which it came.
    async fn carry<'a>(&'a self, arrives: &UdpSocket, way: impl Fn(SocketAddr) -> Option<(&'a UdpSocket, SocketAddr)>) {
        let mut packet = vec![0; PACKET];
        let mut delayed: VecDeque<Delayed<'_>> = VecDeque::new();
        loop {
            let next = delayed.front().map(|first| first.until);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    if let Some(Delayed { packet, by, to, .. }) = delayed.pop_front() {
                        // As lost as on any network: so is a packet to a node that was killed.
                        let _ = by.send_to(&packet, to).await;
                    }
                }
                (length, sender) = receive(arrives, &mut packet), if delayed.len() < DELAYED => {
                    let Some((by, to)) = way(sender) else { continue };
                    if self.delay.is_zero() {
                        let _ = by.send_to(&packet[..length], to).await;
                    } else {
                        let until = Instant::now() + self.delay;
                        delayed.push_back(Delayed { until, packet: packet[..length].to_vec(), by, to });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    async fn arrives(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut packet = vec![0; PACKET];
        let (length, from) = timeout(Duration::from_secs(10), socket.recv_from(&mut packet)).await.unwrap().unwrap();
        (packet[..length].to_vec(), from)
    }

    async fn nothing_arrives(socket: &UdpSocket) -> bool {
        timeout(Duration::from_millis(300), socket.recv_from(&mut [0; 16])).await.is_err()
    }

    #[tokio::test]
    async fn it_forwards_both_ways_until_it_is_cut_and_again_after_the_heal() {
        let relay = Relay::start(3, Duration::ZERO).await.unwrap();
        let nodes = [socket().await.unwrap(), socket().await.unwrap(), socket().await.unwrap()];
        for (number, node) in nodes.iter().enumerate() {
            relay.set_real(number, Some(local(node).unwrap()));
        }
        let big = vec![7; 6_500];
        nodes[0].send_to(&big, relay.address(1)).await.unwrap();
        let (packet, flow) = arrives(&nodes[1]).await;
        assert_eq!(packet, big);
        nodes[1].send_to(b"back", flow).await.unwrap();
        assert_eq!(arrives(&nodes[0]).await, (b"back".to_vec(), relay.address(1)), "from where it was sent to");
        nodes[2].send_to(b"third", relay.address(1)).await.unwrap();
        assert_ne!(arrives(&nodes[1]).await.1, flow, "each sender has a flow of its own");

        relay.partition(&[vec![0], vec![1, 2]]);
        nodes[0].send_to(b"lost", relay.address(1)).await.unwrap();
        nodes[1].send_to(b"lost", flow).await.unwrap();
        assert!(nothing_arrives(&nodes[1]).await && nothing_arrives(&nodes[0]).await);
        nodes[2].send_to(b"same side", relay.address(1)).await.unwrap();
        assert_eq!(arrives(&nodes[1]).await.0, b"same side");

        relay.heal();
        nodes[0].send_to(b"again", relay.address(1)).await.unwrap();
        assert_eq!(arrives(&nodes[1]).await, (b"again".to_vec(), flow));
    }

    #[tokio::test]
    async fn strangers_are_not_heard_and_a_node_that_is_gone_disturbs_nobody() {
        let relay = Relay::start(2, Duration::ZERO).await.unwrap();
        let (one, stranger) = (socket().await.unwrap(), socket().await.unwrap());
        let gone = socket().await.unwrap();
        relay.set_real(0, Some(local(&one).unwrap()));
        relay.set_real(1, Some(local(&gone).unwrap()));
        stranger.send_to(b"hello", relay.address(0)).await.unwrap();
        assert!(nothing_arrives(&one).await);
        let port = local(&gone).unwrap();
        drop(gone);
        for _ in 0..3 {
            one.send_to(b"to nobody", relay.address(1)).await.unwrap();
        }
        assert!(nothing_arrives(&one).await);
        let back = UdpSocket::bind(port).await.unwrap();
        one.send_to(b"hello", relay.address(1)).await.unwrap();
        // What was sent to nobody may have waited in a socket.
        while arrives(&back).await.0 != b"hello" {}

        relay.set_real(1, None);
        one.send_to(b"to a node that was killed", relay.address(1)).await.unwrap();
        back.send_to(b"from whoever has its port now", relay.address(0)).await.unwrap();
        assert!(nothing_arrives(&back).await && nothing_arrives(&one).await);
    }

    #[tokio::test]
    async fn it_delays_each_packet_both_ways_and_keeps_their_order() {
        let delay = Duration::from_millis(20);
        let relay = Relay::start(2, delay).await.unwrap();
        let nodes = [socket().await.unwrap(), socket().await.unwrap()];
        for (number, node) in nodes.iter().enumerate() {
            relay.set_real(number, Some(local(node).unwrap()));
        }
        let began = Instant::now();
        for number in 0..100 {
            nodes[0].send_to(&[number], relay.address(1)).await.unwrap();
        }
        let (mut packet, flow) = arrives(&nodes[1]).await;
        assert!(began.elapsed() >= delay);
        for number in 1..100 {
            assert_eq!(packet, [number - 1]);
            packet = arrives(&nodes[1]).await.0;
        }
        let began = Instant::now();
        nodes[1].send_to(b"back", flow).await.unwrap();
        assert_eq!(arrives(&nodes[0]).await.0, b"back");
        assert!(began.elapsed() >= delay);
    }
}
