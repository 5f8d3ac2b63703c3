//! Members that misuse lanes: frames that make no sense, never come, or come too slowly; too many lanes; and who never reads.

use crate::bytes::{CONTROL_LANE, Hello, OVERLOADED, PROTOCOL, call, cast, frame_header, server_lane};
use crate::good::{encoded, server};
use crate::node::Settings;
use crate::peer::{Peer, member};
use crate::stage::{Bounds, Stage};
use crate::{KIB, MIB, SECOND, soon, trials};
use pingpong_core::{NodeName, Targets, Transport};
use quinn::{TransportConfig, VarInt};
use std::time::Instant;
use tokio::time::timeout;

trials!(
    frames_and_lanes_that_make_no_sense_are_refused_and_logged,
    truncated_frames_hold_a_block_each,
    large_messages_that_never_come_leave_room_for_those_of_others,
    a_large_message_at_a_byte_a_second_is_cut,
    every_lane_filled_holds_the_share_of_one_peer,
    who_never_reads_is_cut_and_nobody_waits,
    who_does_not_read_answers_holds_up_the_server_that_it_asks_alone,
);

/// The largest message of the node's configuration.
const MOST: u32 = 16 << 20;

async fn frames_and_lanes_that_make_no_sense_are_refused_and_logged() {
    let stage = Stage::start(Settings::default()).await;
    let on_lane = |frame: &[u8]| [&server_lane(2, "sink"), frame].concat();
    let wrong = [
        (on_lane(&frame_header(0)), "frame"),
        (on_lane(&frame_header(7)), "frame"),
        // Only the header comes, and it is enough.
        (on_lane(&frame_header(MOST + 98)), "frame"),
        (on_lane(&frame_header(u32::MAX)), "frame"),
        // Kind 9; a call that is too short for one; a reply on a server's lane; a name on a lane that has one.
        (on_lane(&[8, 0, 0, 0, 9, 0, 0, 0]), "frame"),
        (on_lane(&[8, 0, 0, 0, 2, 0, 0, 0]), "frame"),
        (on_lane(&[&[24, 0, 0, 0, 3, 0, 0, 0][..], &[0; 16]].concat()), "frame"),
        (on_lane(&[10, 0, 0, 0, 0x81, 0, 0, 0, 1, b's']), "frame"),
        (CONTROL_LANE.to_vec(), "a second control lane"),
        (vec![3, 0, 0, 0, 2, 2, 0], "lane header"),
        ([200, 0, 0, 0].to_vec(), "lane header"),
    ];
    for (number, (bytes, words)) in wrong.iter().enumerate() {
        let name = format!("intruder-{number}");
        let peer = Peer::link(&stage, &Hello::of(&name), 1).await;
        let _lane = peer.lane(bytes).await;
        refused(&stage, &peer, &name, words).await;
    }
    let peer = Peer::link(&stage, &Hello::of("intruder-twice"), 1).await;
    let _lanes = [peer.lane(&server_lane(2, "sink")).await, peer.lane(&server_lane(2, "echo")).await];
    refused(&stage, &peer, "intruder-twice", "lane 2 was opened twice").await;
    let peer = Peer::link(&stage, &Hello::of("intruder-ends"), 1).await;
    peer.lane(&server_lane(2, "sink")).await.finish().unwrap();
    refused(&stage, &peer, "intruder-ends", "a lane ended while its session is up").await;
    stage.end("frames and lanes that make no sense", Bounds { heap: 2 * MIB, cpu: SECOND }).await;
}

async fn refused(stage: &Stage, peer: &Peer, name: &str, words: &str) {
    let (reason, said) = peer.closed().await;
    assert_eq!(reason, PROTOCOL, "{name}: {said}");
    assert!(said.contains(words), "{name}: {said}");
    let at = format!("remote={}", peer.at);
    stage.node.logged(&["WARN", "closed the connection", &format!("peer={name} "), &at, words]).await;
}

async fn truncated_frames_hold_a_block_each() {
    let mut stage = Stage::start(Settings::default()).await;
    let peer = Peer::link(&stage, &Hello::of("intruder"), 1).await;
    let mut lanes = Vec::new();
    for lane in 2..28 {
        let bytes = [server_lane(lane, "sink"), frame_header(60 << 10), vec![0; 30 << 10]].concat();
        lanes.push(peer.lane(&bytes).await);
    }
    stage.good.goes_on(50).await;
    assert!(peer.connection.close_reason().is_none(), "the rest may come late");
    // And of each lane what QUIC keeps of its last packet.
    stage.end("26 truncated frames", Bounds { heap: 26 * 2 * 64 * KIB, cpu: SECOND }).await;
}

/// They are announced, for servers that nobody has registered, and hold the budget for large messages that all peers share.
async fn large_messages_that_never_come_leave_room_for_those_of_others() {
    let stall = 3 * SECOND;
    let stage = Stage::start(Settings { stall, ..Settings::default() }).await;
    let peer = Peer::link(&stage, &Hello::of("intruder"), 1).await;
    let began = Instant::now();
    let mut lanes = Vec::new();
    for lane in 2..28 {
        let bytes = [server_lane(lane, &format!("nobody-{lane}")), frame_header(MOST), vec![0; 1_000]].concat();
        lanes.push(peer.lane(&bytes).await);
    }
    let (node, body) = (Targets::node(NodeName::new("node").unwrap()), vec![7; 1 << 20]);
    while began.elapsed() < 2 * SECOND {
        let replies = stage.good.mesh.multi_call(&node, &server("echo"), encoded(&body), SECOND).await;
        assert!(replies.failed.is_empty(), "after {:?}: {:?}", began.elapsed(), replies.failed);
        assert!(replies.replies[0].reply.body[..] == body);
    }
    assert_eq!(peer.closed().await.0, OVERLOADED);
    let took = began.elapsed();
    assert!((stall..stall + 2 * SECOND).contains(&took), "cut after {took:?}");
    let at = format!("remote={}", peer.at);
    stage.node.logged(&["WARN", "the link is cut", "peer=intruder@", &at, "Overloaded"]).await;
    // Half of the budget for large messages is what one peer may hold; the good one's go through the other half.
    stage.end("26 messages of 16 MiB that never come", Bounds { heap: 48 * MIB, cpu: 5 * SECOND }).await;
}

async fn a_large_message_at_a_byte_a_second_is_cut() {
    let stall = 2 * SECOND;
    let stage = Stage::start(Settings { stall, ..Settings::default() }).await;
    let peer = Peer::link(&stage, &Hello::of("intruder"), 1).await;
    let began = Instant::now();
    let small = [server_lane(2, "sink"), frame_header(1_000)].concat();
    let large = [server_lane(3, "sink"), frame_header(MOST), vec![0; 1_000]].concat();
    let mut lanes = [peer.lane(&small).await, peer.lane(&large).await];
    let drip = async {
        loop {
            tokio::time::sleep(SECOND).await;
            for lane in &mut lanes {
                // Fails once the node has closed.
                let _ = lane.write_all(&[0]).await;
            }
        }
    };
    let (reason, _) = tokio::select! {
        closed = peer.closed() => closed,
        () = drip => unreachable!(),
    };
    assert_eq!(reason, OVERLOADED);
    let took = began.elapsed();
    assert!((stall..stall + 2 * SECOND).contains(&took), "cut after {took:?}");
    stage.end("16 MiB at a byte a second", Bounds { heap: 20 * MIB, cpu: SECOND }).await;
}

async fn every_lane_filled_holds_the_share_of_one_peer() {
    let settings = Settings::default();
    let mut stage = Stage::start(settings).await;
    // Before its session is up a peer has one lane, and none that goes both ways.
    let silent = Peer::open(&stage, "silent").await;
    assert!(timeout(SECOND / 4, silent.connection.open_uni()).await.is_err(), "a second lane before the session");
    assert!(timeout(SECOND / 4, silent.connection.open_bi()).await.is_err(), "a lane both ways");

    let peer = Peer::link(&stage, &Hello::of("intruder"), 1).await;
    let frames = cast(&[0; 1_000]).repeat(16);
    let mut lanes = Vec::new();
    for number in 2..28 {
        // For a server that takes nothing: so the node stops reading them.
        let mut lane = peer.lane(&server_lane(number, "stuck")).await;
        while let Ok(written) = timeout(SECOND / 10, lane.write_all(&frames)).await {
            written.unwrap();
        }
        lanes.push(lane);
    }
    assert!(timeout(SECOND / 4, peer.connection.open_uni()).await.is_err(), "a 28th lane");
    stage.good.goes_on(50).await;
    assert!(peer.connection.close_reason().is_none(), "a server that is slow is no offence of who sends to it");
    let bytes = settings.quic(member(&stage.authority, "node")).endpoint().connection_bytes;
    // In the backend, in the readers' hands, and in the mailbox.
    let heap = bytes + 27 * 2 * 64 * KIB + 256 * KIB;
    stage.end("27 lanes, all full", Bounds { heap, cpu: 2 * SECOND }).await;
}

async fn who_never_reads_is_cut_and_nobody_waits() {
    let stall = 3 * SECOND;
    let mut stage = Stage::start(Settings { stall, ..Settings::default() }).await;
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(2_000));
    let peer = Peer::link_with(&stage, &Hello::of("intruder"), 1, transport).await;
    let began = Instant::now();
    let accepted: usize = stage.node.ask("burst 10000 good intruder").await.parse().unwrap();
    // Its queue of 128 KiB, the block that is written, and QUIC's window for what is sent.
    assert!((100..=1_400).contains(&accepted), "{accepted} of 10,000 KiB were accepted for a peer that never reads");
    let expected: Vec<_> = (0..10_000_u64).map(|number| number.to_le_bytes().to_vec()).collect();
    while stage.good.news.lock().unwrap().len() < expected.len() {
        stage.good.goes_on(1).await;
    }
    assert!(*stage.good.news.lock().unwrap() == expected, "the good node got each, in order");
    assert!(began.elapsed() < stall, "nobody waited for the one who does not read");
    assert_eq!(soon(peer.closed()).await.0, OVERLOADED);
    let at = format!("remote={}", peer.at);
    stage.node.logged(&["WARN", "the link is cut", "peer=intruder@", &at, "Overloaded"]).await;
    let events = stage.node.ask("events").await;
    assert!(events.contains("down intruder@") && events.contains("overloaded"), "{events}");
    stage.end("10,000 casts for one who never reads", Bounds { heap: 4 * MIB, cpu: 2 * SECOND }).await;
}

async fn who_does_not_read_answers_holds_up_the_server_that_it_asks_alone() {
    let stall = 3 * SECOND;
    let stage = Stage::start(Settings { stall, ..Settings::default() }).await;
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(2_000));
    let peer = Peer::link_with(&stage, &Hello::of("intruder"), 1, transport).await;
    let (mut lane, began) = (peer.lane(&server_lane(2, "other")).await, Instant::now());
    // Until the node has had enough.
    let mut id = 0;
    while lane.write_all(&call(id, &[0; 1_000])).await.is_ok() {
        id += 1;
    }
    assert_eq!(peer.closed().await.0, OVERLOADED);
    // Half of what a lane of casts has: the server that answers must not look stuck.
    let took = began.elapsed();
    assert!(took < stall, "cut after {took:?}");
    let node = Targets::node(NodeName::new("node").unwrap());
    let replies = stage.good.mesh.multi_call(&node, &server("other"), encoded(b"there?"), SECOND).await;
    assert!(replies.failed.is_empty(), "it was not stopped, and answers others: {:?}", replies.failed);
    let at = format!("remote={}", peer.at);
    stage.node.logged(&["WARN", "the link is cut", "peer=intruder@", &at, "Overloaded"]).await;
    stage.end("calls whose answers are not read", Bounds { heap: 8 * MIB, cpu: 2 * SECOND }).await;
}
