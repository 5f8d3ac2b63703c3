//! Proof that nobody listens any more where a silent peer was: its system says so.
//!
//! A datagram to a port that no socket has is answered with ICMP "port unreachable" (RFC 792, RFC 4443), which a *connected*
//! UDP socket reports as a refused connection. ICMP is not authenticated: only three refusals in a row count, each to a fresh
//! socket, whose random port nobody off the path can guess, and only if no packet of the peer came in between.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// Refusals in a row that are a proof.
const REFUSALS: u32 = 3;
/// Looks at the peer's packets in one failure timeout.
const LOOKS: u32 = 4;
/// How long one answer is waited for: a round trip between continents.
const PATIENCE: Duration = Duration::from_millis(300);

/// Waits until it is proved that nobody listens at `remote`, which may move. `packets` counts what has come from there.
///
/// A router or a firewall may refuse every stranger. So each address is tried once while packets come from there: if that is
/// refused, refusals prove nothing there.
pub(crate) async fn refused(remote: impl Fn() -> SocketAddr, failure_timeout: Duration, packets: impl Fn() -> u64) {
    let period = failure_timeout / LOOKS;
    let mut looks = interval_at(Instant::now() + period, period);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut open) = (packets(), None);
    loop {
        looks.tick().await;
        let (at, before) = (remote(), heard);
        heard = packets();
        let known = open.filter(|(address, _)| *address == at).map(|(_, open)| open);
        match known {
            None if heard != before => open = Some((at, !is_refused(at).await)),
            Some(true) if heard == before && proved(at, || packets() == heard).await => return,
            _ => {}
        }
    }
}

async fn proved(remote: SocketAddr, silent: impl Fn() -> bool) -> bool {
    for _ in 0..REFUSALS {
        if !is_refused(remote).await || !silent() {
            return false;
        }
    }
    true
}

/// Any other failure proves nothing: this side may be out of sockets, or of routes.
async fn is_refused(remote: SocketAddr) -> bool {
    matches!(knock(remote).await, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Sends a byte, which no QUIC endpoint answers, and waits for what the system says to it.
async fn knock(remote: SocketAddr) -> io::Result<()> {
    let any = match remote {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(remote).await?;
    socket.send(&[0]).await?;
    match timeout(PATIENCE, socket.recv(&mut [0])).await {
        Ok(received) => received.map(drop),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    const TIMEOUT: Duration = Duration::from_millis(100);
    const DEADLINE: Duration = Duration::from_secs(20);

    async fn port() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// A peer that is heard until its port was tried, and then never again.
    struct Heard {
        packets: AtomicU64,
        silent: AtomicBool,
    }

    impl Heard {
        fn new() -> Self {
            Self { packets: AtomicU64::new(0), silent: AtomicBool::new(false) }
        }

        fn packets(&self) -> u64 {
            match self.silent.load(Ordering::Relaxed) {
                true => self.packets.load(Ordering::Relaxed),
                false => self.packets.fetch_add(1, Ordering::Relaxed),
            }
        }
    }

    #[tokio::test]
    async fn a_port_that_closes_is_a_proof() {
        let ((socket, address), peer) = (port().await, Heard::new());
        let dies = async {
            socket.recv(&mut [0; 8]).await.unwrap();
            peer.silent.store(true, Ordering::Relaxed);
            drop(socket);
        };
        let looks = refused(|| address, TIMEOUT, || peer.packets());
        timeout(DEADLINE, async { tokio::join!(looks, dies) }).await.expect("proved");
    }

    #[tokio::test]
    async fn an_open_port_is_none_however_silent() {
        let ((socket, address), peer) = (port().await, Heard::new());
        let knocked = async {
            socket.recv(&mut [0; 8]).await.unwrap();
            peer.silent.store(true, Ordering::Relaxed);
            for _ in 0..3 {
                socket.recv(&mut [0; 8]).await.unwrap();
            }
        };
        tokio::select! {
            () = refused(|| address, TIMEOUT, || peer.packets()) => panic!("the port is open"),
            knocked = timeout(DEADLINE, knocked) => knocked.expect("it knocks while there is silence"),
        }
    }

    #[tokio::test]
    async fn where_strangers_are_refused_refusals_prove_nothing() {
        let ((socket, address), peer) = (port().await, Heard::new());
        // The peer is heard, and its firewall refuses strangers.
        drop(socket);
        let looks = AtomicU64::new(0);
        let watched = async {
            while looks.load(Ordering::Relaxed) < 6 {
                tokio::task::yield_now().await;
            }
            peer.silent.store(true, Ordering::Relaxed);
            let now = looks.load(Ordering::Relaxed);
            while looks.load(Ordering::Relaxed) < now + 6 {
                tokio::task::yield_now().await;
            }
        };
        let packets = || {
            looks.fetch_add(1, Ordering::Relaxed);
            peer.packets()
        };
        tokio::select! {
            () = refused(|| address, TIMEOUT, packets) => panic!("it was refused while the peer was heard"),
            watched = timeout(DEADLINE, watched) => watched.expect("it looks on"),
        }
    }

    #[tokio::test]
    async fn a_packet_in_between_spoils_it() {
        let (socket, address) = port().await;
        drop(socket);
        assert!(proved(address, || true).await);
        let left = AtomicU64::new(2);
        let silent = || left.fetch_sub(1, Ordering::Relaxed) > 1;
        assert!(!proved(address, silent).await);
    }
}
