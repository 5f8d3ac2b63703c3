//! Members that send garbage on the control lane, too much of what is allowed there, or what they have said before.

use crate::bytes::{
    ASK_PEERS, CONTROL_LANE, DISCONNECTED, Hello, OVERLOADED, PEERS, PROBE, PROTOCOL, STALE, cast, heartbeat, list,
    server_lane, sized, text, varint,
};
use crate::good::Good;
use crate::node::Settings;
use crate::peer::Peer;
use crate::stage::{Bounds, Stage};
use crate::{ANY, MIB, SECOND, soon, trials};
use quinn::{TransportConfig, VarInt};
use std::time::Instant;
use tokio::net::UdpSocket;

trials!(
    garbage_on_the_control_lane_is_refused_and_logged,
    a_session_that_is_replayed_is_refused,
    names_by_the_thousand_keep_nobody_out,
    heartbeats_by_the_thousand_disturb_nobody,
    probes_whose_answers_are_not_read_end_the_link,
);

async fn garbage_on_the_control_lane_is_refused_and_logged() {
    let stage = Stage::start(Settings::default()).await;
    let control = |bytes: &[u8]| [&CONTROL_LANE, bytes].concat();
    let with_name = |name: &[u8]| {
        let hello = Hello::of("x").bytes();
        let at = hello.windows(2).position(|pair| pair == [1, b'x']).unwrap();
        control(&sized(&[&hello[..at], &varint(name.len() as u64), name, &hello[at + 2..]].concat()))
    };
    let hello = sized(&Hello::of("garbage-12").bytes());
    let garbage = [
        (vec![0xff; 4], "lane header"),
        (vec![0; 4], "lane header"),
        (vec![2, 0, 0, 0, 0, 9], "lane header"),
        (server_lane(0, "sink"), "the first lane is not the control lane"),
        (control(&[0; 4]), "control message"),
        (control(&65_537_u32.to_le_bytes()), "control message"),
        (control(&sized(&[99])), "control message"),
        // A list of so many names would not fit into any memory.
        (control(&sized(&[vec![PEERS], varint(0), varint(1 << 60)].concat())), "control message"),
        (control(&sized(&[&[PROBE], &[0xff; 11][..]].concat())), "control message"),
        (control(&sized(&[PROBE, 1, 2, 3])), "left over"),
        (with_name(b"UPPER CASE"), "control message"),
        (with_name(b"\xff\xfe"), "control message"),
        (control(&[hello.clone(), hello].concat()), "a second Hello"),
        ((0..10_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2] ^ 0x5a).collect(), "lane header"),
    ];
    for (number, (bytes, words)) in garbage.iter().enumerate() {
        let name = format!("garbage-{number}");
        let peer = Peer::with(&stage, &name, bytes, TransportConfig::default()).await;
        let (reason, said) = peer.closed().await;
        assert_eq!(reason, PROTOCOL, "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
        let (peer, at) = (format!("peer={name} "), format!("remote={}", peer.at));
        stage.node.logged(&["WARN", "closed the connection", &peer, &at, words]).await;
    }
    stage.end("garbage on control lanes", Bounds { heap: 2 * MIB, cpu: SECOND }).await;
}

/// Whoever recorded what a member wrote, frames and all, cannot have it taken a second time; not even that member.
async fn a_session_that_is_replayed_is_refused() {
    let mut stage = Stage::start(Settings::default()).await;
    let hello = Hello::of("intruder");
    let mut first = Peer::open(&stage, "intruder").await;
    let theirs = first.greet(&hello).await;
    first.take(&hello, 1, theirs).await;
    let frames = [server_lane(2, "sink"), cast(b"number 0"), cast(b"number 1")].concat();
    let _lane = first.lane(&frames).await;
    while stage.node.ask("received intruder").await != "2" {
        stage.good.goes_on(1).await;
    }
    let recorded = [CONTROL_LANE.to_vec(), sized(&hello.bytes()), sized(&hello.take(1, theirs))].concat();

    // While it is up, and after: its Take is not an answer to what the node says now.
    for up in [true, false] {
        if !up {
            first.close(&[DISCONNECTED]);
        }
        let again = Peer::with(&stage, "intruder", &recorded, TransportConfig::default()).await;
        // It is sent, if the node lets it: the lane is not taken before the session is up.
        if let Ok(Ok(mut lane)) = tokio::time::timeout(SECOND / 5, again.connection.open_uni()).await {
            let _ = lane.write_all(&frames).await;
        }
        let (reason, said) = again.closed().await;
        assert_eq!((reason, said.contains("a Take that is not its writer's to write")), (PROTOCOL, true), "{said}");
    }
    // With an answer to what the node says now, but the number of a session that has been.
    let mut old = Peer::open(&stage, "intruder").await;
    let theirs = old.greet(&hello).await;
    old.say(&hello.take(1, theirs)).await;
    assert_eq!(old.closed().await.0, STALE);
    // A session after it is another one: its frames count, and no others.
    let next = Peer::link(&stage, &hello, 2).await;
    let _lane = next.lane(&[server_lane(2, "sink"), cast(b"number 2")].concat()).await;
    while stage.node.ask("received intruder").await != "3" {
        stage.good.goes_on(1).await;
    }
    stage.good.goes_on(20).await;
    assert_eq!(stage.node.ask("received intruder").await, "3");
    stage.end("a session that is replayed", Bounds { heap: 2 * MIB, cpu: SECOND }).await;
}

/// Names that nobody has, at an address that is somebody else's: a fifth of them when asked, again and again, the others unasked.
async fn names_by_the_thousand_keep_nobody_out() {
    let stage = Stage::start(Settings::default()).await;
    let bystander = UdpSocket::bind(ANY).await.unwrap();
    let address = text(&bystander.local_addr().unwrap().to_string());
    let mut peer = Peer::link(&stage, &Hello::of("intruder"), 1).await;
    let began = Instant::now();
    let mut count = 0;
    let flood = async {
        for message in 0..400 {
            if message % 80 == 0 {
                let connection = peer.connection.clone();
                // The node may not be up yet, and then hears none.
                let beats = async {
                    let mut beat = tokio::time::interval(SECOND / 10);
                    loop {
                        beat.tick().await;
                        count += 1;
                        connection.send_datagram(heartbeat(count, message + 1).into()).unwrap();
                    }
                };
                tokio::select! {
                    _ = peer.hear_kind(ASK_PEERS) => {}
                    () = beats => {}
                }
            }
            let name = |n| text(&format!("n{message:03}-{n:04}"));
            let told = |n| [name(n), varint(9), varint(0), list(std::slice::from_ref(&address))].concat();
            let told: Vec<_> = (0..1_900).map(told).collect();
            let bytes = sized(&[vec![PEERS], varint(message + 1), list(&told), vec![1]].concat());
            assert!(bytes.len() < 65_540);
            soon(peer.control.write_all(&bytes)).await.unwrap();
        }
    };
    let late = async {
        let began = Instant::now();
        let late = Good::link(&stage.authority, "late", stage.node.at).await;
        assert!(began.elapsed() < 3 * SECOND, "a link took {:?}", began.elapsed());
        late
    };
    let ((), mut late) = tokio::join!(flood, late);
    late.check().await;
    late.stop().await;
    assert!(peer.connection.close_reason().is_none(), "telling much is no offence");
    // It is dialled for what the intruder says; not more often than a node dials the dead.
    let (mut dials, mut space) = (0, [0; 2_048]);
    while bystander.try_recv(&mut space).is_ok() {
        dials += 1;
    }
    let seconds = began.elapsed().as_secs() + 1;
    assert!(dials <= 300 * seconds, "{dials} packets in {seconds} s");
    stage.end("760,000 names", Bounds { heap: 16 * MIB, cpu: 3 * SECOND }).await;
}

async fn heartbeats_by_the_thousand_disturb_nobody() {
    let mut stage = Stage::start(Settings::default()).await;
    let peer = Peer::link(&stage, &Hello::of("intruder"), 1).await;
    let beat = |seq: u64, lie: u64| {
        let echo = [vec![1], varint(lie), varint(lie)].concat();
        [varint(1), varint(seq), varint(lie), varint(lie), echo, varint(lie)].concat()
    };
    let mut sent = 0_u64;
    for round in 0..200 {
        for number in 0..500 {
            let bytes = match number % 4 {
                0 => beat(sent, number),
                1 => beat(u64::MAX - sent, u64::MAX),
                2 => vec![0xff; 61],
                _ => vec![number as u8; 1_000],
            };
            peer.connection.send_datagram_wait(bytes.into()).await.unwrap();
            sent += 1;
        }
        if round % 20 == 0 {
            stage.good.goes_on(1).await;
        }
    }
    assert!(peer.connection.close_reason().is_none(), "what is no heartbeat is ignored");
    assert!(stage.node.lines(&["WARN"]).len() <= 1, "{:?}", stage.node.lines(&["WARN"]));
    stage.end("100,000 heartbeats", Bounds { heap: 8 * MIB, cpu: 2 * SECOND }).await;
}

async fn probes_whose_answers_are_not_read_end_the_link() {
    let stage = Stage::start(Settings::default()).await;
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(1_000));
    let mut peer = Peer::link_with(&stage, &Hello::of("intruder"), 1, transport).await;
    let probes: Vec<u8> = (0..100_u64).flat_map(|n| sized(&[vec![PROBE], varint(n)].concat())).collect();
    // Until the node has had enough.
    while peer.control.write_all(&probes).await.is_ok() {}
    assert_eq!(peer.closed().await.0, OVERLOADED);
    let at = format!("remote={}", peer.at);
    stage.node.logged(&["WARN", "control messages cannot be sent", "peer=intruder", &at, "queue is full"]).await;
    stage.end("probes whose answers are not read", Bounds { heap: 4 * MIB, cpu: SECOND }).await;
}
