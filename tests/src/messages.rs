//! What messages say, and what is too much of it (A2, O4).

use crate::harness::StartOptions;
use crate::toolkit::{Add, Cluster, Sum, Traffic, body, message, server, to};
use pingpong_core::config::Limits;
use pingpong_core::message::{Encoded, Message, MessageType};
use pingpong_core::server::TransportExt as _;
use pingpong_core::transport::SendError;
use pingpong_core::{CallFailure, Targets, WhenFull};
use std::time::Duration;

const LIMIT: usize = 10_000;

fn small(mut options: StartOptions) -> StartOptions {
    options.limits = Some(Limits { max_message: LIMIT, ..options.limits.unwrap_or_default() });
    options
}

/// Nearly an `Add` and a `Sum`: of another version, cut off, with a byte too many.
fn spoilt<M: Message>(good: &M) -> [(MessageType, Vec<u8>); 3] {
    let bytes = good.encode().expect("a number encodes");
    let newer = MessageType { version: M::VERSION + 1, ..M::KIND };
    let long = [&bytes[..], &[0]].concat();
    [(newer, bytes.into()), (M::KIND, Vec::new()), (M::KIND, long)]
}

pub(crate) async fn a_cast_that_does_not_decode_is_counted_and_the_link_stays(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let _adder = b.adder("s");
    let mut events = a.events();
    events.up(b.name()).await;
    for (kind, body) in spoilt(&Add(1)) {
        a.abcast(&to(&["b"]), &server("s"), Encoded { kind, body: &body }).await.expect("it is sent");
    }
    a.cast_to(&to(&["b"]), &server("s"), &Add(5)).await.expect("it is sent");
    let answers = a.transport().call(&to(&["b"]), &server("s"), &Sum { of: 1 }, c.timing().patience()).await;
    let replies = answers.expect("a number encodes").replies;
    assert_eq!(replies.first().map(|reply| reply.reply), Some(Add(5)), "those that decode were handled, in their turn");
    assert_eq!(b.counters().not_decodable, 3, "each of the others is counted at the receiver");
    events.quiet(c.t(), "a message of another version harms no link").await;
}

pub(crate) async fn a_call_that_does_not_decode_is_answered_so(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let _adder = b.adder("s");
    let mut events = a.events();
    events.up(b.name()).await;
    for (kind, body) in spoilt(&Sum { of: 1 }) {
        let request = Encoded { kind, body: &body };
        let replies = a.multi_call(&to(&["b"]), &server("s"), request, c.timing().patience()).await;
        assert_eq!(replies.failed[0].reason, CallFailure::NotDecodable, "the caller learns why, of {kind}");
    }
    let answers = a.transport().call(&to(&["b"]), &server("s"), &Sum { of: 1 }, c.timing().patience()).await;
    assert_eq!(answers.expect("a number encodes").replies.len(), 1, "the next one is answered");
    assert_eq!(b.counters().not_decodable, 3, "and the others are counted");
    events.quiet(c.t(), "the link stays").await;
}

pub(crate) async fn every_message_carries_its_type_and_version(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let kinds = [(0, 0), (1, 255), (u16::MAX, 1)].map(|(id, version)| MessageType { id, version });
    for (number, kind) in (0..).zip(kinds) {
        let body = body(number, 8);
        a.abcast(&to(&["b"]), &server("s"), Encoded { kind, body: &body }).await.expect("it is sent");
    }
    let records = probe.until("three casts", |seen| seen.len() == 3).await;
    let seen: Vec<MessageType> = records.iter().filter_map(|record| record.message()).map(|m| m.kind).collect();
    assert_eq!(seen, kinds, "as the sender wrote them");
}

pub(crate) async fn a_message_over_the_maximum_is_refused_with_both_sizes(c: &Cluster) {
    let [a, b] = c.linked_with(["a", "b"], small).await;
    let probe = b.probe("s");
    let mut events = a.events();
    events.up(b.name()).await;
    let (large, name) = (body(1, LIMIT + 1), server("s"));
    let expected = Some(SendError::TooLarge { size: LIMIT + 1, limit: LIMIT });
    let waited = a.abcast(&Targets::All, &name, message(&large)).await;
    assert_eq!(waited.err(), expected, "the waiting variant");
    for when_full in [WhenFull::Refuse, WhenFull::Skip] {
        let tried = a.try_abcast(&Targets::All, &name, message(&large), when_full);
        assert_eq!(tried.err(), expected, "{when_full:?}");
    }
    a.abcast(&to(&["b"]), &name, message(&body(2, 8))).await.expect("it is sent");
    assert_eq!(probe.until_number(a.name(), 2).await, [2], "nothing of it was sent");
    events.quiet(c.t(), "the link stays").await;
}

pub(crate) async fn a_message_of_the_maximum_is_delivered_whole(c: &Cluster) {
    let [a, b] = c.linked_with(["a", "b"], small).await;
    let probe = b.probe("s");
    a.abcast(&to(&["b"]), &server("s"), message(&body(1, LIMIT))).await.expect("it is sent");
    let records = probe.until("the cast", |seen| !seen.is_empty()).await;
    let message = records[0].message().expect("a cast was sent");
    assert!(message.intact && message.size == LIMIT, "every byte of it: {message:?}");
}

pub(crate) async fn a_message_larger_than_the_queues_is_delivered_whole(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let mut events = a.events();
    events.up(b.name()).await;
    let size = 4 << 20;
    a.abcast(&to(&["b"]), &server("s"), message(&body(1, size))).await.expect("it is sent");
    Traffic::new(&a, to(&["b"]), &server("s")).casts(1).await;
    let records = probe.until("both casts", |seen| seen.len() == 2).await;
    let message = records[0].message().expect("a cast was sent");
    assert!(message.intact && message.size == size, "every byte of it, first: {} bytes", message.size);
    events.quiet(Duration::from_millis(1), "the link stays").await;
}
