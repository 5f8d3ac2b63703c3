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
//!
//! A peer is looked at when it has been silent for a quarter of the failure timeout; or when its bell is refused, and it does not
//! answer for two moments. One that goes on answering is alive, and what refused the bell stands before its host.

use crate::bell::{self, Bell, Bells};
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

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
/// How long a peer whose bell is refused has for a sign of life, at least. It is asked twice at once: the second packet is acknowledged without
/// a delay (RFC 9000, section 13.2.2).
const MOMENT: Duration = Duration::from_millis(20);
/// So many moments in a row without one, and the proof is sought.
const SILENT: u32 = 2;
/// So many moments are waited for that: who is heard all the time is alive, and what it had sent before its end has arrived.
const MOMENTS: u32 = 25;
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
    /// Sends it something that it acknowledges.
    fn ask(&self);
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
pub(crate) async fn refused(
    (doors, bells): (&Doors, &Bells),
    known: &mut Known,
    peer: &impl Heard,
    failure_timeout: Duration,
) {
    let period = failure_timeout / LOOKS;
    let mut looks = interval_at(Instant::now() + period, period);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = peer.packets();
    let mut bell: Option<Bell> = None;
    // Systems refuse so many strangers in a time, and no more: a bell that led to nothing leaves the next refusals to the next look.
    let mut rings = true;
    loop {
        if known.address != peer.address() {
            *known = Known::nothing(peer.address());
            bell = None;
        }
        let host = known.address.ip();
        if !known.is_open() || !doors.believes(host) {
            bell = None;
        } else if bell.is_none() && rings && bells.have_room(period) {
            // Out of sockets or of routes: there is the next look.
            bell = Bell::at(known.address, bells).await.ok();
        }
        let rung = async {
            match &bell {
                Some(bell) => bell.refused(period).await,
                None => std::future::pending().await,
            }
        };
        let is_refused = tokio::select! {
            biased;
            _ = looks.tick() => false,
            () = rung => true,
        };
        if known.address != peer.address() {
            continue;
        }
        rings = !is_refused;
        if is_refused {
            bell = None;
            if !falls_silent(peer).await {
                // From a fresh port: that of the bell has been there for long enough to be guessed.
                known.learns(knock(known.address, patience(peer)).await, doors);
            } else if proved(known.address, peer).await && is_silent(peer).await && known.address == peer.address() {
                return;
            }
            continue;
        }
        let before = heard;
        heard = peer.packets();
        if !doors.believes(host) {
            continue;
        }
        if heard != before {
            if Instant::now() >= known.next {
                let knocked = knock(known.address, patience(peer)).await;
                // Only what was answered while it was certainly there says something of who stands before it.
                if peer.packets() != heard && peer.address() == known.address {
                    known.learns(knocked, doors);
                }
            }
        } else if known.is_open() && proved(known.address, peer).await {
            return;
        }
    }
}

/// For an answer to a knock.
fn patience(peer: &impl Heard) -> Duration {
    PATIENCE.max(3 * peer.round_trip())
}

/// Whether nothing is heard of the peer for a moment, although it was asked.
async fn is_silent(peer: &impl Heard) -> bool {
    let heard = peer.packets();
    peer.ask();
    sleep(MOMENT.max(3 * peer.round_trip())).await;
    peer.packets() == heard
}

/// Whether nothing is heard of the peer for two moments in a row. What it had sent may still be arriving, so it has several.
async fn falls_silent(peer: &impl Heard) -> bool {
    let mut silent = 0;
    for _ in 0..MOMENTS {
        silent = if is_silent(peer).await { silent + 1 } else { 0 };
        if silent == SILENT {
            return true;
        }
    }
    false
}

/// Whether all knocks are refused, and nothing is heard of the peer meanwhile.
async fn proved(remote: SocketAddr, peer: &impl Heard) -> bool {
    let heard = peer.packets();
    for _ in 0..REFUSALS {
        if knock(remote, patience(peer)).await != Knocked::Refused || peer.packets() != heard {
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
    let socket = bell::connected(remote).await?;
    socket.send(&[0]).await?;
    match timeout(patience, socket.recv(&mut [0])).await {
        Ok(received) => received.map(drop),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bell::tests::{DEADLINE, port};
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::net::UdpSocket;
    use tokio::sync::watch;

    const TIMEOUT: Duration = Duration::from_millis(100);

    /// A peer that is heard at each look, until it falls silent.
    struct Peer {
        address: SocketAddr,
        packets: AtomicU64,
        asked: AtomicU64,
        /// How often it was looked at, and whether it is silent.
        looks: watch::Sender<(u64, bool)>,
    }

    impl Peer {
        fn at(address: SocketAddr) -> Self {
            let (packets, asked) = (AtomicU64::new(0), AtomicU64::new(0));
            Self { address, packets, asked, looks: watch::Sender::new((0, false)) }
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

        fn ask(&self) {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn watch(doors: &Doors, peer: &Peer) {
        refused((doors, &Bells::default()), &mut Known::nothing(peer.address), peer, TIMEOUT).await;
    }

    /// Its port is known to be open, and no look comes within the deadline.
    async fn watch_by_bell(doors: &Doors, peer: &Peer) {
        let mut known = Known { unanswered: UNANSWERED, ..Known::nothing(peer.address) };
        refused((doors, &Bells::default()), &mut known, peer, LOOKS * 2 * DEADLINE).await;
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
        let peer = Peer::at(address);
        assert!(!proved(address, &peer).await);
        peer.falls_silent();
        assert!(proved(address, &peer).await);
    }

    #[tokio::test]
    async fn a_bell_tells_of_a_port_that_closes_before_the_next_look() {
        let (socket, address) = port().await;
        let (peer, doors) = (Peer::at(address), Doors::default());
        let dies = async {
            knocks(&socket, 3).await;
            peer.falls_silent();
            drop(socket);
        };
        timeout(DEADLINE, async { tokio::join!(watch_by_bell(&doors, &peer), dies) }).await.expect("proved");
        assert!(peer.asked.load(Ordering::Relaxed) > 0, "it could have answered");
        assert!(doors.believes(address.ip()));
    }

    #[tokio::test]
    async fn a_peer_that_answers_is_alive_whoever_refuses_its_bell() {
        let (socket, address) = port().await;
        let (peer, doors) = (Peer::at(address), Doors::default());
        let firewalled = async {
            knocks(&socket, 3).await;
            drop(socket);
            while doors.believes(address.ip()) {
                sleep(MOMENT).await;
            }
        };
        tokio::select! {
            () = watch_by_bell(&doors, &peer) => panic!("it is heard"),
            learnt = timeout(DEADLINE, firewalled) => learnt.expect("what refuses a living peer's bell is not believed"),
        }
    }
}
