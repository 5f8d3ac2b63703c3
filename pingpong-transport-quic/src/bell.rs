//! Rings at the port of a peer that has little to say, so that its end is noticed at once.
//!
//! A byte now and then, which no QUIC endpoint answers, from a socket that is connected: when nobody listens there any more, the
//! peer's system says so within a round trip. That asks for a closer look ([`probe`](crate::probe)), and is no proof of anything.
//!
//! What all bells of an endpoint do together is bounded: the more of them, the slower each.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

/// The shortest time between two rings at one peer.
const FASTEST: Duration = Duration::from_millis(25);
/// The time between two rings of an endpoint, whoever they are for, if there are many.
const APART: Duration = Duration::from_millis(10);

/// How many bells an endpoint has. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bells(Arc<AtomicU32>);

impl Bells {
    /// The time between two rings of one bell, if there were so many more of them.
    fn period(&self, more: u32) -> Duration {
        FASTEST.max(APART.saturating_mul(self.0.load(Ordering::Relaxed).saturating_add(more)))
    }

    /// Whether one more would ring at least every `slowest`.
    pub(crate) fn have_room(&self, slowest: Duration) -> bool {
        self.period(1) < slowest
    }
}

/// The bell of one peer.
#[derive(Debug)]
pub(crate) struct Bell {
    socket: UdpSocket,
    all: Bells,
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.all.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that hears what the system there says.
pub(crate) async fn connected(remote: SocketAddr) -> io::Result<UdpSocket> {
    let any = match remote {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(remote).await?;
    Ok(socket)
}

impl Bell {
    pub(crate) async fn at(remote: SocketAddr, all: &Bells) -> io::Result<Self> {
        let socket = connected(remote).await?;
        all.0.fetch_add(1, Ordering::Relaxed);
        Ok(Self { socket, all: all.clone() })
    }

    /// Rings until the peer's system says that nobody listens. If there are so many bells that this one would ring more seldom than
    /// every `slowest`, it does not. Cancel safe.
    pub(crate) async fn refused(&self, slowest: Duration) {
        let is_refusal = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        loop {
            let period = self.all.period(0);
            if period >= slowest {
                sleep(slowest).await;
                continue;
            }
            if self.socket.send(&[0]).await.as_ref().is_err_and(is_refusal) {
                return;
            }
            match timeout(period, self.socket.recv(&mut [0])).await {
                Ok(Err(error)) if is_refusal(&error) => return,
                // Whatever it answers, or is out of order here: at the same pace.
                Ok(_) => sleep(period).await,
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tokio::time::Instant;

    pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

    /// A port that is open as long as its socket is held.
    pub(crate) async fn port() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn it_rings_until_the_port_is_closed() {
        let (socket, address) = port().await;
        let bell = Bell::at(address, &Bells::default()).await.unwrap();
        let heard = async {
            for _ in 0..3 {
                timeout(DEADLINE, socket.recv(&mut [0; 8])).await.expect("it rings").unwrap();
            }
            drop(socket);
        };
        timeout(DEADLINE, async { tokio::join!(bell.refused(DEADLINE), heard) }).await.expect("refused");
    }

    #[tokio::test]
    async fn what_a_peer_answers_makes_it_no_quicker() {
        let (socket, address) = port().await;
        let bell = Bell::at(address, &Bells::default()).await.unwrap();
        let began = Instant::now();
        let echo = async {
            for _ in 0..4 {
                let (_, from) = timeout(DEADLINE, socket.recv_from(&mut [0; 8])).await.expect("it rings").unwrap();
                socket.send_to(&[0], from).await.unwrap();
            }
        };
        tokio::select! {
            () = bell.refused(DEADLINE) => panic!("the port is open"),
            () = echo => {}
        }
        assert!(began.elapsed() >= 3 * FASTEST, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn many_ring_more_slowly_each_and_too_many_not_at_all() {
        let all = Bells::default();
        let (_socket, address) = port().await;
        let one = Bell::at(address, &all).await.unwrap();
        assert_eq!(all.period(0), FASTEST);
        let mut others = Vec::new();
        for _ in 0..9 {
            others.push(Bell::at(address, &all).await.unwrap());
        }
        assert_eq!(all.period(0), 10 * APART);
        assert!(!all.have_room(11 * APART) && all.have_room(12 * APART));
        let (socket, address) = port().await;
        let silent = Bell::at(address, &all).await.unwrap();
        tokio::select! {
            () = silent.refused(11 * APART) => panic!("the port is open"),
            // It would have rung at once.
            () = sleep(11 * APART) => {}
        }
        assert_eq!(socket.try_recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop((others, one, silent));
        assert_eq!(all.period(0), FASTEST);
    }
}
