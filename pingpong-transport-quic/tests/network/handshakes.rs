//! Dials that nobody completes hold few places, and not for long (L4).

use super::raw::{PROTOCOL, client, proof};
use super::*;
use quinn::ClientConfig;
use tokio::net::UdpSocket;

/// Handshakes that a link for one peer takes at once.
const PLACES: usize = 9;

/// What the first datagram is that a dial is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// A handshake is under way, and holds a place.
    Handshake,
    /// The client shall show first that its address is its own.
    Retry,
    Refused,
}

impl Answer {
    /// By the packet's type (RFC 9000, section 17.2) without the bit that is random (RFC 9287); a server fills up the datagrams of
    /// a handshake (RFC 9000, section 14.1).
    fn of(datagram: &[u8]) -> Self {
        match (datagram[0] & 0xb0, datagram.len()) {
            (0xb0, _) => Self::Retry,
            (0x80, 1_200..) => Self::Handshake,
            (0x80, _) => Self::Refused,
            other => panic!("{other:?}"),
        }
    }
}

async fn udp() -> UdpSocket {
    UdpSocket::bind(ANY).await.unwrap()
}

/// The next datagram of that sender: a port that another test had before may still get what was meant for that.
async fn receive(socket: &UdpSocket, sender: SocketAddr) -> Vec<u8> {
    let mut space = vec![0; 65_536];
    loop {
        let (length, from) = soon(socket.recv_from(&mut space)).await.unwrap();
        if from == sender {
            space.truncate(length);
            return space;
        }
    }
}

/// A dial from an address of its own whose answers do not arrive: at most a retry does, if `shows_address`. Gives back the socket,
/// which must stay open: a port that is closed says so.
async fn half_open(config: &ClientConfig, to: SocketAddr, shows_address: bool) -> (Answer, UdpSocket) {
    // The client dials the relay, which passes on what it chooses.
    let (relay, outside) = (udp().await, udp().await);
    let endpoint = quinn::Endpoint::client(ANY.parse().unwrap()).unwrap();
    let client = endpoint.local_addr().unwrap();
    let _dial = endpoint.connect_with(config.clone(), relay.local_addr().unwrap(), "b").unwrap();
    loop {
        let initial = receive(&relay, client).await;
        outside.send_to(&initial, to).await.unwrap();
        let datagram = receive(&outside, to).await;
        match Answer::of(&datagram) {
            Answer::Retry if shows_address => drop(relay.send_to(&datagram, client).await.unwrap()),
            answer => return (answer, outside),
        }
    }
}

fn for_one_peer(authority: &Authority) -> (QuicLink, ClientConfig) {
    let mut config = config(issue(authority, "b"), 2 * SECOND);
    config.max_peers = 1;
    let client = client(authority, PROTOCOL, Some(proof(authority, &["a"])));
    (QuicLink::bind(config).unwrap(), client)
}

#[tokio::test]
async fn addresses_that_never_answer_hold_half_of_the_places_at_most() {
    let authority = authority();
    let (b, client) = for_one_peer(&authority);
    let mut half_opens = Vec::new();
    for _ in 0..2 * PLACES {
        half_opens.push(half_open(&client, b.local_address(), false).await);
    }
    only_a_member_is_let_in(&authority, &b).await;
    let held = half_opens.iter().filter(|(answer, _)| *answer == Answer::Handshake).count();
    assert!(held <= PLACES.div_ceil(2), "{held} places are held");
    assert!(half_opens[held..].iter().all(|(answer, _)| *answer == Answer::Retry), "no one is refused unheard");
}

#[tokio::test]
async fn a_flood_of_handshakes_that_do_not_go_on_keeps_nobody_out() {
    let authority = authority();
    let (b, client) = for_one_peer(&authority);
    let mut half_opens = Vec::new();
    for _ in 0..2 * PLACES {
        let (answer, socket) = half_open(&client, b.local_address(), true).await;
        assert_eq!(answer, Answer::Handshake, "the oldest gives way");
        half_opens.push(socket);
    }
    // At once, although all places are taken and none of the handshakes has run out of time.
    only_a_member_is_let_in(&authority, &b).await;
}

#[tokio::test]
async fn dead_peers_that_a_node_dials_keep_no_living_one_out() {
    let authority = authority();
    let (b, _) = for_one_peer(&authority);
    let silent = udp().await;
    let nobody = address(silent.local_addr().unwrap());
    // More than the connections that others may begin, and all of them are kept by QUIC for a while.
    for _ in 0..80 {
        let given_up = tokio::time::timeout(Duration::from_millis(5), b.dial(&nobody, None)).await;
        assert!(given_up.is_err(), "nobody answers there");
    }
    only_a_member_is_let_in(&authority, &b).await;
}
