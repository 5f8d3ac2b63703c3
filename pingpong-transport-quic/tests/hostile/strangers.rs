//! Attackers without a certificate: garbage, and handshakes that never finish.

use crate::good::Good;
use crate::node::Settings;
use crate::peer::{client, member};
use crate::stage::{Bounds, Stage};
use crate::{ANY, KIB, MIB, SECOND, soon, trials};
use pingpong_core::link::Link;
use pingpong_core::{Address, ClusterName};
use pingpong_transport_quic::{Authority, QuicConfig, QuicLink};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::net::SocketAddr;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

trials!(garbage_costs_no_memory_and_is_not_amplified, handshakes_that_never_finish_keep_nobody_out);

/// Datagrams that begin like packets of QUIC (RFC 9000, section 17), and go on at random.
fn garbage(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(1..1_400)];
    random.fill_bytes(&mut bytes);
    let shape = random.random_range(0..4);
    if shape == 0 && bytes.len() > 6 {
        // An Initial of version 1 with connection ids of 8 bytes.
        bytes[0] |= 0xc0;
        bytes[1..6].copy_from_slice(&[0, 0, 0, 1, 8]);
    } else if shape == 1 {
        // A packet of a connection that is under way.
        bytes[0] = bytes[0] & 0x7f | 0x40;
    }
    bytes
}

async fn garbage_costs_no_memory_and_is_not_amplified() {
    let mut stage = Stage::start(Settings::default()).await;
    let mut random = StdRng::seed_from_u64(7);
    let (mut sent, mut returned) = (0, 0);
    let mut space = vec![0; 65_536];
    for _ in 0..4 {
        let socket = UdpSocket::bind(ANY).await.unwrap();
        for number in 0..5_000 {
            let bytes = garbage(&mut random);
            sent += socket.send_to(&bytes, stage.node.at).await.unwrap();
            while let Ok((length, _)) = socket.try_recv_from(&mut space) {
                returned += length;
            }
            if number % 100 == 0 {
                // The node must see it all, not the socket's buffer.
                stage.good.goes_on(1).await;
            }
        }
    }
    assert!(returned <= sent, "{returned} bytes for {sent}");
    let lines = stage.node.lines(&["WARN"]);
    assert!(lines.len() <= 2, "{lines:?}");
    stage.end("garbage: 20,000 datagrams", Bounds { heap: 512 * KIB, cpu: SECOND }).await;
}

/// The first packet of a dial that will never go on. If it is answered with a retry, the client's address is shown to be its own
/// (RFC 9000, section 8.1.2), so that the handshake holds what a handshake holds; but nothing else ever comes.
async fn half_open(config: &quinn::ClientConfig, from: &str, to: SocketAddr) -> UdpSocket {
    // The client dials the relay, which passes on what it chooses.
    let (relay, outside) = (UdpSocket::bind(ANY).await.unwrap(), UdpSocket::bind(from).await.unwrap());
    let endpoint = quinn::Endpoint::client(ANY.parse().unwrap()).unwrap();
    let _dial = endpoint.connect_with(config.clone(), relay.local_addr().unwrap(), "node").unwrap();
    let mut space = vec![0; 65_536];
    loop {
        let (length, client) = soon(relay.recv_from(&mut space)).await.unwrap();
        outside.send_to(&space[..length], to).await.unwrap();
        // A node that does not answer in time has no place for it.
        let Ok(answer) = timeout(SECOND / 2, outside.recv_from(&mut space)).await else { return outside };
        let (length, _) = answer.unwrap();
        // By the packet's type (RFC 9000, section 17.2), a retry.
        if space[0] & 0xb0 != 0xb0 {
            return outside;
        }
        relay.send_to(&space[..length], client).await.unwrap();
    }
}

/// Dials from eight hosts, 32 at a time: so many, or for ever.
async fn flood(config: &quinn::ClientConfig, to: SocketAddr, most: usize, sockets: &mut Vec<UdpSocket>) {
    let mut dials = JoinSet::new();
    for number in 0..most {
        let (config, from) = (config.clone(), format!("127.0.0.{}:0", 2 + number % 8));
        dials.spawn(async move { half_open(&config, &from, to).await });
        if dials.len() >= 32 {
            sockets.push(dials.join_next().await.unwrap().unwrap());
        }
    }
    sockets.extend(dials.join_all().await);
}

/// A few hosts that begin handshakes do not keep members of other hosts out, also while they go on.
async fn handshakes_that_never_finish_keep_nobody_out() {
    let settings = Settings::default();
    let stage = Stage::start(settings).await;
    // It has the cluster's authority by name, but not by key.
    let other = Authority::new(&ClusterName::new("test").unwrap(), 86_400 * SECOND).unwrap();
    let config = client(&other, "stranger");
    let (to, mut sockets) = (stage.node.at, Vec::new());
    flood(&config, to, 1_000, &mut sockets).await;
    let members = async {
        for number in 0..10 {
            let identity = member(&stage.authority, &format!("member-{number}"));
            let link = QuicLink::bind(QuicConfig::new(ANY.parse().unwrap(), identity)).unwrap();
            let dialled = soon(link.dial(&Address::new(&to.to_string()).unwrap(), None)).await;
            assert!(dialled.is_ok(), "member {number} at its first attempt: {dialled:?}");
            link.close(SECOND).await;
        }
        Good::link(&stage.authority, "late", to).await
    };
    let mut late = tokio::select! {
        late = members => late,
        () = flood(&config, to, usize::MAX, &mut sockets) => unreachable!(),
    };
    stage.node.logged(&["WARN", "more handshakes failed", "turned_away=", "gave_way="]).await;
    assert!(stage.node.lines(&["handshake"]).len() < 64, "{:?}", stage.node.lines(&["handshake"]));
    late.check().await;
    late.stop().await;
    // And what eleven members held for a moment.
    let heap = settings.quic(member(&stage.authority, "node")).unauthenticated_bytes() + 2 * MIB;
    stage.end("handshakes that never finish: over 1,000", Bounds { heap, cpu: 4 * SECOND }).await;
}
