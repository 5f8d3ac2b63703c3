//! Lanes that take no byte, lanes that fail, and one that is long in use (O3, C3, C6). Heartbeats pass all the time.

use crate::toolkit::{Answer, Cluster, MOST, TestNode, Traffic, body, message, node, segments, server, to};
use pingpong_core::config::Limits;
use pingpong_core::{CallFailure, DownReason, NodeName};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const SIZE: usize = 16 << 10;

/// What a close says may be overtaken by the next handshake, where time is not exact.
fn fits(c: &Cluster, reason: &DownReason, expected: &DownReason) -> bool {
    reason == expected || (!c.timing().exact && *reason == DownReason::PeerLostUs)
}

pub(crate) async fn a_peer_that_takes_no_byte_is_cut_as_overloaded(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let (probe, at_d) = (b.probe("s"), d.probe("s"));
    let (mut from_a, mut from_b, mut from_d) = (a.events(), b.events(), d.events());
    let others = |one: &str| -> Vec<NodeName> { ["a", "b", "d"].into_iter().filter(|o| *o != one).map(node).collect() };
    from_a.until_linked(&others("a")).await;
    from_b.until_linked(&others("b")).await;
    from_d.until_linked(&others("d")).await;
    c.harness().freeze(b.place()).await;
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s")).with_size(SIZE);
    traffic.fill(c.t() / 4, MOST).await;
    let last = Instant::now() - c.t() / 4;
    Traffic::new(&a, to(&["d"]), &server("s")).cast().await;
    at_d.until_within(c.timing().within(c.t() / 4), "a cast to another peer", |seen| !seen.is_empty()).await;
    let stall = c.timing().stall;
    let bound = c.timing().within(stall + c.t()).saturating_sub(last.elapsed());
    let (_, reason) = from_a.down_within(bound, b.name()).await;
    assert_eq!(reason, DownReason::Overloaded, "it lives, and takes nothing");
    assert!(last.elapsed() >= stall, "not before the stall timeout: {:?} of {stall:?}", last.elapsed());
    let (_, reason) = from_b.down_within(c.timing().within(c.t()), a.name()).await;
    assert!(fits(c, &reason, &DownReason::Overloaded), "and it is told why: {reason}");
    from_a.up(b.name()).await;
    from_b.up(a.name()).await;
    c.harness().thaw(b.place()).await;
    traffic.until_through(&probe).await;
    for events in [&mut from_a, &mut from_b, &mut from_d] {
        events.quiet(Duration::from_millis(1), "nothing else happened, to nobody").await;
    }
    assert_eq!(b.counters().stalled_servers, 0, "it was not the server's fault");
}

pub(crate) async fn a_peer_that_takes_bytes_again_in_time_is_not_cut(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_with_events("s");
    let mut events = a.events();
    events.up(b.name()).await;
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s")).with_size(SIZE);
    for _ in 0..3 {
        c.harness().freeze(b.place()).await;
        traffic.fill(c.t() / 4, MOST).await;
        events.quiet(c.timing().stall / 2, "it is not the stall timeout yet").await;
        c.harness().thaw(b.place()).await;
        probe.until_number(a.name(), traffic.next() - 1).await;
    }
    let sessions = segments(&probe.records(), a.name());
    assert_eq!(sessions.len(), 1, "one session throughout");
    assert_eq!(sessions[0].numbers.len() as u64, traffic.next(), "and all of it arrived, in order");
}

pub(crate) async fn a_caller_that_takes_no_replies_is_cut_and_the_server_lives(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_that("s", Answer::Large(SIZE));
    let (mut at_a, mut events) = (a.events(), b.events());
    at_a.up(b.name()).await;
    events.up(a.name()).await;
    c.harness().freeze(a.place()).await;
    // More answers than all queues between the two hold.
    let patience = (c.timing().stall + c.t()) * 4;
    let calls: Vec<_> = (0..200).map(|number| a.calling(to(&["b"]), "s", number, patience)).collect();
    let bound = c.timing().within(c.timing().stall + c.t());
    assert_eq!(events.down_within(bound, a.name()).await.1, DownReason::Overloaded, "it takes no answers");
    for call in calls {
        let replies = call.await.expect("the call ends");
        assert_eq!(replies.failed[0].reason, CallFailure::NodeDown { sent: true }, "the session of the call ended");
    }
    at_a.down(b.name()).await;
    at_a.up(b.name()).await;
    c.harness().thaw(a.place()).await;
    probe.answer(Answer::Echo);
    let replies = a.call(to(&["b"]), "s", 1_000, c.timing().patience()).await;
    assert_eq!(replies.replies.len(), 1, "the server lives, and so does the new session: {:?}", replies.failed);
    assert_eq!(b.counters().stalled_servers, 0, "it was not stuck, its caller was");
}

pub(crate) async fn a_lane_that_fails_ends_the_session_on_both_sides(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let probe = b.probe_with_events("s");
    let (mut at_a, mut at_b, mut at_d) = (a.events(), b.events(), d.events());
    at_a.until_linked(&[node("b"), node("d")]).await;
    at_b.until_linked(&[node("a"), node("d")]).await;
    at_d.until_linked(&[node("a"), node("b")]).await;
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    traffic.casts(20).await;
    probe.until_number(a.name(), 19).await;
    c.harness().break_lane(b.place()).await;
    traffic.casts(20).await;
    let bound = c.timing().within(c.t() * 2);
    for (events, name) in [(&mut at_a, "b"), (&mut at_b, "a")] {
        let (_, reason) = events.down_within(bound, &node(name)).await;
        let known = matches!(&reason, DownReason::Protocol(words) if !words.is_empty());
        // A network may know by itself that a lane has failed, and take its connection for lost.
        let lost = !c.timing().exact && matches!(reason, DownReason::Lost | DownReason::PeerLostUs);
        assert!(known || lost, "a lane of the session with {name} failed: {reason}");
    }
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    traffic.until_through(&probe).await;
    let sessions = segments(&probe.records(), a.name());
    assert_eq!(sessions.len(), 2, "what was lost was lost with its session: {sessions:?}");
    assert_eq!(sessions[0].numbers[0], 0, "of which a prefix was delivered");
    at_d.quiet(Duration::from_millis(1), "the lanes of others are their own").await;
}

/// A cast of that many bytes to the server `large` on `b`, on its way.
fn large_cast(a: &TestNode, number: u64, size: usize) -> JoinHandle<usize> {
    let sender = a.clone();
    tokio::spawn(async move {
        let bytes = body(number, size);
        let sent = sender.abcast(&to(&["b"]), &server("large"), message(&bytes)).await;
        sent.expect("it is sent").accepted.len()
    })
}

pub(crate) async fn a_message_of_the_greatest_size_delays_neither_others_nor_the_detector(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (large, small) = (b.probe("large"), b.probe("small"));
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    // On a way of this length it is under way for longer than the failure timeout.
    c.harness().delay(a.place(), b.place(), c.t() / 100).await;
    let size = Limits::default().max_message;
    let sending = large_cast(&a, 0, size);
    let mut others = Traffic::new(&a, to(&["b"]), &server("small"));
    let bound = c.timing().within(c.t() / 4);
    let start = Instant::now();
    while large.records().is_empty() {
        assert!(start.elapsed() < c.timing().patience(), "{size} bytes are not there after {:?}", start.elapsed());
        others.cast().await;
        small.until_within(bound, "a small cast meanwhile", |seen| seen.len() as u64 == others.next()).await;
    }
    let records = large.records();
    assert!(records[0].message().is_some_and(|m| m.intact && m.size == size), "it arrives whole");
    assert_eq!(sending.await.expect("the sender ends"), 1, "and was accepted");
    at_a.quiet(Duration::from_millis(1), "the detector did not wait for it").await;
    at_b.quiet(Duration::from_millis(1), "nor that of the other side").await;
    let sending = large_cast(&a, 1, size / 4);
    others.cast().await;
    small.until_within(bound, "a small cast", |seen| seen.len() as u64 == others.next()).await;
    c.harness().cut(a.place(), b.place()).await;
    assert_eq!(large.records().len(), 1, "the second one is under way");
    let bound = c.timing().within(c.t());
    assert_eq!(at_a.down_within(bound, b.name()).await.1, DownReason::Lost, "silence is noticed all the same");
    at_b.down_within(bound, a.name()).await;
    sending.abort();
}
