//! Links on networks that fail, and on peers that are not what they should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test says that it was skipped")]

mod addresses;
mod cuts;
mod handshakes;
mod raw;
mod refusals;
mod restarts;

use bytes::Bytes;
use pingpong_core::link::{Connection, LaneReceiver, LaneSender, Link, Priority};
use pingpong_core::{Address, ClusterName, NodeName};
use pingpong_transport_quic::faults::FaultNetwork;
use pingpong_transport_quic::{
    Authority, Identity, QuicConfig, QuicConnection, QuicLink, QuicReceiver, QuicSender, Validity,
};
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
const ANY: &str = "127.0.0.1:0";

/// Lanes of both directions, and their receiving ends.
type Lanes = (QuicSender, QuicSender, Vec<QuicReceiver>);

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn authority() -> Authority {
    Authority::new(&ClusterName::new("test").unwrap(), YEAR).unwrap()
}

fn issue(authority: &Authority, own: &str) -> Identity {
    authority.issue(&name(own), Validity::from_now(YEAR)).unwrap()
}

fn config(identity: Identity, failure_timeout: Duration) -> QuicConfig {
    let mut config = QuicConfig::new(ANY.parse().unwrap(), identity);
    config.failure_timeout = failure_timeout;
    config
}

fn bind(identity: Identity) -> QuicLink {
    QuicLink::bind(config(identity, 2 * SECOND)).unwrap()
}

/// A link whose datagrams suffer the faults of the network.
fn bind_at(network: &FaultNetwork, at: SocketAddr, config: QuicConfig) -> QuicLink {
    QuicLink::bind_with(config, network.bind(at).unwrap()).unwrap()
}

fn address(at: SocketAddr) -> Address {
    Address::new(&at.to_string()).unwrap()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(20 * SECOND, what).await.expect("in time")
}

/// A connection of `from` to `to`: the end of each.
async fn connect(from: &QuicLink, to: &QuicLink) -> (QuicConnection, QuicConnection) {
    let at = address(to.local_address());
    // In this order: a dial that fails shows why, and does not wait for the other end.
    let dialled = soon(from.dial(&at, None)).await.unwrap();
    (dialled, soon(to.accept()).await.unwrap())
}

/// The next connection is that of a node which comes after all that must not be let in.
async fn only_a_member_is_let_in(authority: &Authority, link: &QuicLink) {
    let (_dialled, accepted) = connect(&bind(issue(authority, "member")), link).await;
    assert_eq!(accepted.peer(), &name("member"));
}

async fn read(lane: &mut impl LaneReceiver, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunks = vec![Bytes::new(); 8];
    while bytes.len() < length {
        let count = soon(lane.recv(&mut chunks)).await.unwrap();
        assert_ne!(count, 0, "the lane has ended after {} bytes", bytes.len());
        chunks[..count].iter().for_each(|chunk| bytes.extend_from_slice(chunk));
    }
    bytes
}

/// Bytes go there and back until each side has told the other all that follows a handshake. Gives back the lanes, which must
/// stay open.
async fn settle(one: &QuicConnection, other: &QuicConnection) -> Lanes {
    let (mut there, mut back) =
        (one.open(Priority::Server).await.unwrap(), other.open(Priority::Server).await.unwrap());
    let mut ends = Vec::new();
    for round in 0..3 {
        soon(there.send(Bytes::from_static(b"x"))).await.unwrap();
        soon(back.send(Bytes::from_static(b"x"))).await.unwrap();
        if round == 0 {
            ends = vec![soon(other.accept()).await.unwrap(), soon(one.accept()).await.unwrap()];
        }
        for end in &mut ends {
            read(end, 1).await;
        }
    }
    (there, back, ends)
}
