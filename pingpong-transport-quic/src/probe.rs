//! Proof that nobody listens any more where a silent peer was: its system says so.
//!
//! A datagram to a port that no socket has is answered with ICMP "port unreachable" (RFC 792, RFC 4443), which a *connected*
//! UDP socket reports as a refused connection. ICMP is not authenticated, and firewalls and routers refuse strangers whatever the
//! peer does. So a refusal means something only
//! - where knocks were not answered while the peer was heard: several of them, apart, since systems answer only some (Linux: one a
//!   second and host), and none that this side failed to send;
//! - where no knock at that *host* was ever refused while the peer there was heard: what stands before one stands before all;
//! - if three in a row are refused, each from a fresh socket, whose random port nobody off the path can guess, and no packet of
//!   the peer came in between.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// Refusals in a row that are a proof.
const REFUSALS: u32 = 3;
/// Knocks without an answer, while the peer is heard, after which refusals mean something.
const UNANSWERED: u32 = 3;
/// The shortest time between two of these; more than the time for which a system leaves refusals out.
const APART: Duration = Duration::from_millis(1_200);
/// When an address that seems open is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// Looks at the peer's packets in one failure timeout.
const LOOKS: u32 = 4;
/// How long an answer is waited for at least.
const PATIENCE: Duration = Duration::from_millis(300);
/// Hosts that refuse strangers, of which is known; beyond it no host's refusals are believed.
const HOSTS: usize = 1_024;

/// The peer whose port is looked at.
pub(crate) trait Heard {
    /// Where it is now; it may move.
    fn address(&self) -> SocketAddr;
    /// How many of its packets have arrived.
    fn packets(&self) -> u64;
    /// How long one there and back takes.
    fn round_trip(&self) -> Duration;
}

/// Hosts that refuse strangers although their peers are heard. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doors(Arc<Mutex<HashSet<IpAddr>>>);

impl Doors {
    fn refuses(&self, host: IpAddr) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() < HOSTS {
            hosts.insert(host);
        }
    }

    fn believes(&self, host: IpAddr) -> bool {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.len() < HOSTS && !hosts.contains(&host)
    }
}

/// What came of a knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knocked {
    Refused,
    Unanswered,
    /// This side could not even knock: it is out of sockets, or of routes.
    Failed,
}

/// What has been learnt of where a peer is. It outlives those who wait for the proof.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    address: SocketAddr,
    unanswered: u32,
    next: Instant,
}

impl Known {
    pub(crate) fn nothing(address: SocketAddr) -> Self {
        Self { address, unanswered: 0, next: Instant::now() }
    }

    fn is_open(&self) -> bool {
        self.unanswered >= UNANSWERED
    }

    fn learns(&mut self, knocked: Knocked, doors: &Doors) {
        match knocked {
            Knocked::Refused => {
                self.unanswered = 0;
                doors.refuses(self.address.ip());
            }
            Knocked::Unanswered => self.unanswered = self.unanswered.saturating_add(1),
            Knocked::Failed => {}
        }
        self.next = Instant::now() + if self.is_open() { AGAIN } else { APART };
    }
}

/// Waits until it is proved that nobody listens where the peer was. Cancel safe: what was learnt stays known.
pub(crate) async fn refused(doors: &Doors, known: &mut Known, peer: &impl Heard, failure_timeout: Duration) {
    let period = failure_timeout / LOOKS;
    let mut looks = interval_at(Instant::now() + period, period);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = peer.packets();
    loop {
        looks.tick().await;
        if known.address != peer.address() {
            *known = Known::nothing(peer.address());
        }
        let before = heard;
        heard = peer.packets();
        let (host, patience) = (known.address.ip(), PATIENCE.max(3 * peer.round_trip()));
        if !doors.believes(host) {
            continue;
        }
        if heard != before {
            if Instant::now() >= known.next {
                let knocked = knock(known.address, patience).await;
                // Only what was answered while it was certainly there says something of who stands before it.
                if peer.packets() != heard && peer.address() == known.address {
                    known.learns(knocked, doors);
                }
            }
        } else if known.is_open() && proved(known.address, patience, || peer.packets() == heard).await {
            return;
        }
    }
}

async fn proved(remote: SocketAddr, patience: Duration, silent: impl Fn() -> bool) -> bool {
    for _ in 0..REFUSALS {
        if knock(remote, patience).await != Knocked::Refused || !silent() {
            return false;
        }
    }
    true
}

/// Sends a byte, which no QUIC endpoint answers, and waits for what the system says to it.
async fn knock(remote: SocketAddr, patience: Duration) -> Knocked {
    match try_knock(remote, patience).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Knocked::Refused,
        Err(_) => Knocked::Failed,
        Ok(()) => Knocked::Unanswered,
    }
}

async fn try_knock(remote: SocketAddr, patience: Duration) -> io::Result<()> {
    let any = match remote {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(remote).await?;
    socket.send(&[0]).await?;
    match timeout(patience, socket.recv(&mut [0])).await {
        Ok(received) => received.map(drop),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::sync::watch;

    const TIMEOUT: Duration = Duration::from_millis(100);
    const DEADLINE: Duration = Duration::from_secs(30);

    async fn port() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// A peer that is heard at each look, until it falls silent.
    struct Peer {
        address: SocketAddr,
        packets: AtomicU64,
        /// How often it was looked at, and whether it is silent.
        looks: watch::Sender<(u64, bool)>,
    }

    impl Peer {
        fn at(address: SocketAddr) -> Self {
            Self { address, packets: AtomicU64::new(0), looks: watch::Sender::new((0, false)) }
        }

        fn falls_silent(&self) {
            self.looks.send_modify(|(_, silent)| *silent = true);
        }

        /// Waits for that many looks at it more: what came before them has been taken in.
        async fn looked_at(&self, times: u64) {
            let mut looks = self.looks.subscribe();
            let enough = looks.borrow().0 + times;
            timeout(DEADLINE, looks.wait_for(|(looks, _)| *looks >= enough)).await.expect("it looks").unwrap();
        }
    }

    impl Heard for Peer {
        fn address(&self) -> SocketAddr {
            self.address
        }

        fn packets(&self) -> u64 {
            self.looks.send_modify(|(looks, _)| *looks += 1);
            let more = u64::from(!self.looks.borrow().1);
            self.packets.fetch_add(more, Ordering::Relaxed) + more
        }

        fn round_trip(&self) -> Duration {
            Duration::ZERO
        }
    }

    async fn watch(doors: &Doors, peer: &Peer) {
        refused(doors, &mut Known::nothing(peer.address), peer, TIMEOUT).await;
    }

    async fn knocks(socket: &UdpSocket, count: u32) {
        for _ in 0..count {
            timeout(DEADLINE, socket.recv(&mut [0; 8])).await.expect("it knocks").unwrap();
        }
    }

    #[tokio::test]
    async fn a_port_that_closes_is_a_proof() {
        let (socket, address) = port().await;
        let (peer, doors) = (Peer::at(address), Doors::default());
        let dies = async {
            knocks(&socket, UNANSWERED).await;
            peer.looked_at(2).await;
            peer.falls_silent();
            drop(socket);
        };
        timeout(DEADLINE, async { tokio::join!(watch(&doors, &peer), dies) }).await.expect("proved");
        assert!(doors.believes(address.ip()));
    }

    #[tokio::test]
    async fn an_open_port_is_none_however_silent() {
        let (socket, address) = port().await;
        let (peer, doors) = (Peer::at(address), Doors::default());
        let knocked = async {
            knocks(&socket, UNANSWERED).await;
            peer.looked_at(2).await;
            peer.falls_silent();
            knocks(&socket, 3).await;
        };
        tokio::select! {
            () = watch(&doors, &peer) => panic!("the port is open"),
            () = knocked => {}
        }
    }

    #[tokio::test]
    async fn one_unanswered_knock_is_no_open_door() {
        let (socket, address) = port().await;
        let (peer, doors) = (Peer::at(address), Doors::default());
        let dies = async {
            knocks(&socket, 1).await;
            peer.looked_at(2).await;
            peer.falls_silent();
            drop(socket);
            peer.looked_at(10).await;
        };
        tokio::select! {
            () = watch(&doors, &peer) => panic!("the answer to one knock may have been left out"),
            () = dies => {}
        }
    }

    #[tokio::test]
    async fn where_one_stranger_is_refused_no_refusal_at_that_host_counts() {
        let ((firewalled, closed), (socket, address)) = (port().await, port().await);
        // This peer is heard, and its firewall refuses strangers.
        drop(firewalled);
        let (one, other, doors) = (Peer::at(closed), Peer::at(address), Doors::default());
        let learns = async {
            while doors.believes(closed.ip()) {
                one.looked_at(1).await;
            }
        };
        tokio::select! {
            () = watch(&doors, &one) => panic!("it was refused while the peer was heard"),
            () = learns => {}
        }
        other.falls_silent();
        drop(socket);
        tokio::select! {
            () = watch(&doors, &other) => panic!("the same firewall stands before this one"),
            () = other.looked_at(10) => {}
        }
    }

    #[tokio::test]
    async fn a_packet_in_between_spoils_it() {
        let (socket, address) = port().await;
        drop(socket);
        assert!(proved(address, PATIENCE, || true).await);
        let left = AtomicU64::new(2);
        let silent = || left.fetch_sub(1, Ordering::Relaxed) > 1;
        assert!(!proved(address, PATIENCE, silent).await);
    }
}
