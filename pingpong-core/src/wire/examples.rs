//! The worked examples of `docs/wire.md`, byte for byte: who changes one of them changes the protocol.

use super::{
    ControlDecoder, Frame, LaneHeader, LaneRole, Prefix, ReplyStatus, decode_close, decode_heartbeat, encode_close,
    encode_control, encode_heartbeat, encode_lane_header,
};
use crate::inbox::CallTag;
use crate::message::MessageType;
use crate::node::{Incarnation, Node};
use crate::session::{CloseReason, Echo, Heartbeat, Hello, Message, PeersDigest, SessionId, Versions};
use crate::{Address, ClusterName, NodeName, ServerName};

/// The bytes of a hex dump.
fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn frame(mut prefix: Prefix, body: &[u8]) -> Vec<u8> {
    let mut frame = prefix.finish(body.len()).to_vec();
    frame.extend_from_slice(body);
    frame
}

#[test]
fn example_1_a_lane_begins_with_its_header_and_a_cast() {
    let header = LaneHeader { lane: 2, role: LaneRole::Server(ServerName::new("consumer").unwrap()) };
    let mut lane = encode_lane_header(&header).unwrap().to_vec();
    lane.extend(frame(Prefix::cast(MessageType { id: 1, version: 0 }, None), &[7]));
    let hex = "0b 00 00 00  02 02 08 63 6f 6e 73 75 6d 65 72
               09 00 00 00  01 00 01 00  07";
    assert_eq!(lane, bytes(hex));
    let mut decoder = ControlDecoder::new();
    decoder.push(&lane);
    assert_eq!(decoder.lane_header(), Ok(Some(header)));
    let rest = decoder.into_rest();
    let (cast, end) = Frame::at(&rest, 0).unwrap();
    assert_eq!((cast.kind(), cast.body(), end), (MessageType { id: 1, version: 0 }, &[7][..], rest.len()));
}

#[test]
fn example_2_a_control_lane_begins_with_its_header_and_a_hello() {
    let hello = Hello {
        cluster: ClusterName::new("test").unwrap(),
        versions: Versions { major: 1, oldest_minor: 0, newest_minor: 0 },
        name: NodeName::new("a").unwrap(),
        incarnation: Incarnation::new(1_000, 5),
        moment: 1,
        held: None,
        random: 300,
        failure_timeout_millis: 2_000,
        lanes: 24,
        addresses: vec![Address::new("127.0.0.1:4433").unwrap()],
    };
    let message = Message::Hello(Box::new(hello));
    let mut lane = encode_lane_header(&LaneHeader { lane: 0, role: LaneRole::Control }).unwrap().to_vec();
    lane.extend_from_slice(&encode_control(&message).unwrap());
    let hex = "02 00 00 00  00 00
               25 00 00 00  00  04 74 65 73 74  01 00 00  01 61  e8 07 05  01  00  ac 02  d0 0f  18
                            01 0e 31 32 37 2e 30 2e 30 2e 31 3a 34 34 33 33";
    assert_eq!(lane, bytes(hex));
    let mut decoder = ControlDecoder::new();
    decoder.push(&lane);
    assert!(decoder.lane_header().unwrap().is_some());
    assert_eq!(decoder.message(), Ok(Some(message)));
}

#[test]
fn example_3_a_call_on_the_shared_lane_and_its_answer() {
    let tag = CallTag { id: 1 << 32, deadline_us: 5_000_000, timeout_us: 1_000_000 };
    let name = ServerName::new("producer").unwrap();
    let call = frame(Prefix::call(MessageType { id: 2, version: 0 }, tag, Some(&name)), &[]);
    let hex = "29 00 00 00  82 00 02 00  08 70 72 6f 64 75 63 65 72
               00 00 00 00 01 00 00 00  40 4b 4c 00 00 00 00 00  40 42 0f 00 00 00 00 00";
    assert_eq!(call, bytes(hex));
    let (read, _) = Frame::at(&call, 0).unwrap();
    assert_eq!((read.call(), read.name()), (Some(tag), Some(&b"producer"[..])));
    let reply = frame(Prefix::reply(MessageType { id: 3, version: 0 }, tag.id, ReplyStatus::Answer), &[42]);
    let hex = "19 00 00 00  03 00 03 00  00 00 00 00 01 00 00 00  00 00 00 00 00 00 00 00  2a";
    assert_eq!(reply, bytes(hex));
}

#[test]
fn example_4_a_take_a_heartbeat_and_a_close_reason() {
    let incarnation = Incarnation::new(1_000, 5);
    let id = SessionId { chooser: NodeName::new("a").unwrap(), incarnation, number: 1, random: [300, 77] };
    let take = encode_control(&Message::Take(id)).unwrap();
    assert_eq!(take[..], bytes("0a 00 00 00  01  01 61  e8 07 05  01  ac 02 4d"));
    let node = Node { name: NodeName::new("a").unwrap(), incarnation };
    let peers = PeersDigest::of(&node, &[Address::new("127.0.0.1:4433").unwrap()]);
    let echo = Some(Echo { sent_us: 125_000, held_us: 40 });
    let beat = Heartbeat { session_number: 1, seq: 2, sent_us: 250_000, working: 0, echo, peers };
    let datagram = bytes("01 02  90 a1 0f  00  01 c8 d0 07 28  e2 c4 89 bc ad 98 bc a8 b6 01");
    assert_eq!(encode_heartbeat(&beat)[..], datagram);
    assert_eq!(decode_heartbeat(&datagram), Ok(beat));
    let reason = CloseReason::Replaced { by: incarnation, at: Some(Address::new("n2:1").unwrap()) };
    let close = bytes("04  e8 07 05  01 04 6e 32 3a 31");
    assert_eq!(encode_close(&reason)[..], close);
    assert_eq!(decode_close(&close), reason);
}
