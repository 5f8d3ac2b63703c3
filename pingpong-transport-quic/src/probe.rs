//! Proof that nobody listens any more where a silent peer was: its system says so.
//!
//! A datagram to a port that no socket has is answered with ICMP "port unreachable" (RFC 792, RFC 4443), which a *connected*
//! UDP socket reports as a refused connection. ICMP is not authenticated: only three refusals in a row count, each to a fresh
//! socket, whose random port nobody off the path can guess, and only if no packet of the peer came in between.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{interval, timeout};

/// Refusals in a row that are a proof.
const REFUSALS: u32 = 3;
/// Looks at the peer's packets in one failure timeout.
const LOOKS: u32 = 4;
/// How long one answer is waited for: a round trip between continents.
const PATIENCE: Duration = Duration::from_millis(300);

/// Waits until it is proved that nobody listens at `remote`. `packets` counts what has come from there.
pub(crate) async fn refused(remote: SocketAddr, failure_timeout: Duration, packets: impl Fn() -> u64) {
    let mut looks = interval(failure_timeout / LOOKS);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut heard = packets();
    loop {
        looks.tick().await;
        let now = packets();
        if now == heard && proved(remote, || packets() == heard).await {
            return;
        }
        heard = packets();
    }
}

async fn proved(remote: SocketAddr, silent: impl Fn() -> bool) -> bool {
    for _ in 0..REFUSALS {
        // Any other failure proves nothing: this side may be out of sockets, or of routes.
        let refusal = matches!(knock(remote).await, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused);
        if !refusal || !silent() {
            return false;
        }
    }
    true
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
    use std::sync::atomic::{AtomicU64, Ordering};

    const TIMEOUT: Duration = Duration::from_millis(100);
    const DEADLINE: Duration = Duration::from_secs(20);

    async fn port() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn a_closed_port_is_a_proof() {
        let (socket, address) = port().await;
        drop(socket);
        timeout(DEADLINE, refused(address, TIMEOUT, || 0)).await.expect("proved");
    }

    #[tokio::test]
    async fn an_open_port_is_none_however_silent() {
        let (socket, address) = port().await;
        let knocked = async {
            for _ in 0..3 {
                socket.recv(&mut [0; 8]).await.unwrap();
            }
        };
        tokio::select! {
            () = refused(address, TIMEOUT, || 0) => panic!("the port is open"),
            knocked = timeout(DEADLINE, knocked) => knocked.expect("it knocks while there is silence"),
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
