//! Calls: when they return, with what, and what is never started (R1, R2, R4 - R6).

use crate::toolkit::{Answer, Cluster, KIND, MOST, Traffic, body, message, node, server, to};
use pingpong_core::{CallFailure, Node, Replies, Targets};
use std::time::Duration;
use tokio::time::Instant;

/// The numbers that were answered, by node.
fn answers(replies: &Replies) -> Vec<(Node, u64)> {
    let number = |body: &[u8]| body.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
    replies.replies.iter().map(|reply| (reply.node.clone(), number(&reply.reply.body))).collect()
}

pub(crate) async fn a_call_returns_by_its_deadline(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let _held = b.probe_that("s", Answer::Hold);
    for deadline in [c.t() / 4, c.t() * 2] {
        let start = Instant::now();
        let replies = a.call(to(&["b"]), "s", 1, deadline).await;
        assert_eq!(replies.failed.len(), 1, "no answer came: {replies:?}");
        let bound = c.timing().within(deadline);
        assert!((deadline..=bound).contains(&start.elapsed()), "{:?} for a deadline of {deadline:?}", start.elapsed());
    }
}

pub(crate) async fn a_call_returns_by_its_deadline_although_the_peer_is_cut_off(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let _echo = b.probe("s");
    c.harness().cut(a.place(), b.place()).await;
    let replies = a.call(to(&["b"]), "s", 1, c.t() / 4).await;
    let reason = &replies.failed[0].reason;
    assert_eq!(*reason, CallFailure::DeadlinePassed { sent: true }, "it is silent, and not down yet");
}

pub(crate) async fn a_call_with_no_time_returns_at_once(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let _held = b.probe_that("s", Answer::Hold);
    let start = Instant::now();
    let replies = a.call(to(&["b", "a"]), "s", 1, Duration::ZERO).await;
    assert_eq!(replies.replies.len() + replies.failed.len(), 2, "one outcome for each target: {replies:?}");
    assert!(start.elapsed() <= c.timing().at_once(), "and no waiting: {:?}", start.elapsed());
}

pub(crate) async fn a_call_returns_by_its_deadline_although_the_queue_is_full(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    probe.pause();
    let sent = Traffic::new(&a, to(&["b"]), &server("s")).with_size(16 << 10).fill(c.t() / 4, MOST).await;
    let (targets, name, request) = (to(&["b"]), server("s"), body(MOST + 1, 16 << 10));
    let calling = a.multi_call(&targets, &name, message(&request), c.t() / 4);
    let replies =
        tokio::time::timeout(c.timing().within(c.t() / 4), calling).await.expect("it returns by its deadline");
    let reason = &replies.failed[0].reason;
    assert_eq!(*reason, CallFailure::DeadlinePassed { sent: false }, "it found no room, so a retry is safe");
    probe.resume();
    let seen = probe.until_number(a.name(), sent - 1).await;
    assert!(!seen.contains(&(MOST + 1)), "what was not sent does not arrive");
}

pub(crate) async fn a_call_returns_as_soon_as_all_outcomes_are_known(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (_at_a, _at_b) = (a.probe("s"), b.probe("s"));
    let start = Instant::now();
    let replies = a.call(Targets::All, "s", 1, c.timing().patience()).await;
    assert_eq!(replies.replies.len(), 2, "{replies:?}");
    assert!(start.elapsed() < c.timing().patience() / 2, "it does not sit out its deadline: {:?}", start.elapsed());
}

pub(crate) async fn every_target_has_exactly_one_outcome(c: &Cluster) {
    let [a, b, d, e] = c.linked(["a", "b", "d", "e"]).await;
    let (_at_a, _at_b, _at_e) = (a.probe("s"), b.probe("s"), e.probe_that("s", Answer::Hold));
    let targets = to(&["x", "e", "b", "d", "b", "a", "x"]);
    let replies = a.call(targets, "s", 5, c.timing().within(c.t() / 4)).await;
    assert_eq!(answers(&replies), [(a.node(), 5), (b.node(), 5)], "who answered, sorted by name");
    let failed: Vec<_> = replies.failed.iter().map(|f| (f.name.clone(), f.incarnation, f.reason.clone())).collect();
    let expected = [
        (node("d"), Some(d.node().incarnation), CallFailure::NoSuchServer),
        (node("e"), Some(e.node().incarnation), CallFailure::DeadlinePassed { sent: true }),
        (node("x"), None, CallFailure::NotLinked),
    ];
    assert_eq!(failed, expected, "who did not, each with its own reason, sorted by name");
}

pub(crate) async fn a_call_to_all_includes_the_local_node(c: &Cluster) {
    let nodes = c.linked(["b", "a", "d"]).await;
    let _probes: Vec<_> = nodes.iter().map(|node| node.probe("s")).collect();
    let replies = nodes[0].call(Targets::All, "s", 3, c.timing().patience()).await;
    let expected: Vec<_> = [1, 0, 2].map(|at: usize| (nodes[at].node(), 3)).into();
    assert_eq!(answers(&replies), expected, "all three, sorted by name, each in its incarnation");
    assert!(replies.replies.iter().all(|reply| reply.reply.kind == KIND), "answers carry their type");
    assert_eq!(replies.failed, [], "and nobody failed");
}

pub(crate) async fn a_lone_node_calls_itself(c: &Cluster) {
    let a = c.start("a", &[]).await;
    let _probe = a.probe("s");
    let replies = a.call(Targets::All, "s", 3, c.timing().patience()).await;
    assert_eq!(answers(&replies), [(a.node(), 3)], "failed: {:?}", replies.failed);
}

pub(crate) async fn the_targets_are_fixed_at_the_call(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let at_b = b.probe_that("s", Answer::Hold);
    let mut events = a.events();
    events.up(b.name()).await;
    let call = a.calling(to(&["b", "late"]), "s", 1, c.timing().patience());
    let all = a.calling(Targets::All, "s", 2, c.timing().patience());
    at_b.until("both calls", |seen| seen.len() == 2).await;
    let late = c.start("late", &["a"]).await;
    let at_late = late.probe("s");
    events.up(&node("late")).await;
    at_b.release().await;
    let replies = call.await.expect("the call ends");
    assert_eq!(answers(&replies), [(b.node(), 1)], "b answered");
    assert_eq!(replies.failed[0].reason, CallFailure::NotLinked, "the late one was not there at the call");
    let replies = all.await.expect("the call ends");
    assert!(replies.replies.iter().all(|reply| reply.node != late.node()), "it was not among all: {replies:?}");
    assert!(replies.failed.iter().all(|failed| failed.name != node("late")), "in neither list: {replies:?}");
    assert_eq!(at_late.records(), [], "and it was not asked");
}

pub(crate) async fn a_late_reply_reaches_no_later_call(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_that("s", Answer::Hold);
    for number in 0..5 {
        let replies = a.call(to(&["b"]), "s", number, c.t() / 8).await;
        assert_eq!(replies.replies, [], "call {number} is kept waiting");
    }
    let last = a.calling(to(&["b"]), "s", 100, c.timing().patience());
    probe.until_number(a.name(), 100).await;
    probe.release().await;
    let replies = last.await.expect("the call ends");
    assert_eq!(answers(&replies), [(b.node(), 100)], "its own answer, and none of the five late ones");
    probe.answer(Answer::Echo);
    let replies = a.call(to(&["b"]), "s", 101, c.timing().patience()).await;
    assert_eq!(answers(&replies), [(b.node(), 101)], "nor does the next one get them");
}

pub(crate) async fn a_late_reply_reaches_no_call_of_a_new_session(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_that("s", Answer::Hold);
    let mut events = a.events();
    events.up(b.name()).await;
    let first = a.calling(to(&["b"]), "s", 1, c.timing().patience());
    probe.until_number(a.name(), 1).await;
    a.disconnect(b.name()).await;
    assert_eq!(first.await.expect("the call ends").replies, [], "its session ended");
    events.down(b.name()).await;
    events.up(b.name()).await;
    let second = a.calling(to(&["b"]), "s", 2, c.timing().patience());
    probe.until_number(a.name(), 2).await;
    probe.release().await;
    let replies = second.await.expect("the call ends");
    assert_eq!(answers(&replies), [(b.node(), 2)], "its own answer");
}

pub(crate) async fn a_server_does_not_start_on_an_expired_request(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    probe.hoard();
    let replies = a.call(to(&["b"]), "s", 1, c.t() / 4).await;
    assert_eq!(replies.failed[0].reason, CallFailure::DeadlinePassed { sent: true }, "the server did not begin");
    probe.until_hoarded(a.name(), 1).await;
    probe.until_hoarded_given_up(c.timing().at_once(), 1).await;
    probe.resume();
    a.abcast(&to(&["b"]), &server("s"), message(&body(2, 8))).await.expect("it is sent");
    assert_eq!(probe.until_number(a.name(), 2).await, [2], "nobody waits for the request any more");
}

pub(crate) async fn a_server_does_not_start_on_a_request_that_was_given_up(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    probe.hoard();
    let call = a.calling(to(&["b"]), "s", 1, c.timing().patience() * 4);
    probe.until_hoarded(a.name(), 1).await;
    call.abort();
    let _ = call.await;
    probe.until_hoarded_given_up(c.timing().at_once(), 1).await;
    probe.resume();
    a.abcast(&to(&["b"]), &server("s"), message(&body(2, 8))).await.expect("it is sent");
    assert_eq!(probe.until_number(a.name(), 2).await, [2], "the caller gave it up, and its word came in time");
}

/// The word that the caller has given up is lost: the deadline that came with the request holds by itself. Once before
/// heartbeats have compared the clocks of the two, and once after.
pub(crate) async fn a_deadline_holds_although_no_word_of_the_caller_arrives(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s")).starting_at(10);
    for request in [1, 2] {
        probe.hoard();
        let call = a.calling(to(&["b"]), "s", request, c.t() / 4);
        probe.until_hoarded(a.name(), request).await;
        c.harness().cut_one_way(a.place(), b.place()).await;
        probe.until_hoarded_given_up(c.timing().within(c.t() / 4), request).await;
        probe.resume();
        c.harness().heal_all().await;
        let replies = call.await.expect("the call ends");
        assert_eq!(replies.replies, [], "nobody answered: {replies:?}");
        // Where time is not exact the cut may have cost the session.
        traffic.until_through(&probe).await;
        assert!(!probe.numbers(a.name()).contains(&request), "the server saw that the deadline had passed");
        c.hold(c.t()).await;
    }
}

pub(crate) async fn a_handler_learns_that_its_caller_gave_up(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_that("s", Answer::Hold);
    let call = a.calling(to(&["b"]), "s", 1, c.timing().patience() * 4);
    probe.until_number(a.name(), 1).await;
    call.abort();
    let _ = call.await;
    probe.until_given_up(c.timing().at_once()).await;
}

pub(crate) async fn a_deadline_travels_over_a_slow_way(c: &Cluster) {
    c.harness().delay(&"a".into(), &"b".into(), c.t() / 10).await;
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    // Heartbeats compare the clocks of the two meanwhile. What depends on it is asserted only where time is exact.
    c.hold(c.t()).await;
    let replies = a.call(to(&["b"]), "s", 1, c.timing().within(c.t() / 4)).await;
    assert_eq!(answers(&replies), [(b.node(), 1)], "there and back is within the deadline: {:?}", replies.failed);
    let replies = a.call(to(&["b"]), "s", 2, c.t() / 40).await;
    assert_eq!(replies.replies, [], "a fortieth of it is over before the request is there");
    a.abcast(&to(&["b"]), &server("s"), message(&body(3, 8))).await.expect("it is sent");
    let seen = probe.until_number(a.name(), 3).await;
    if c.timing().exact {
        assert_eq!(seen, [1, 3], "the server knew that the second one was over");
    }
}

pub(crate) async fn calls_run_concurrently(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_that("s", Answer::Hold);
    let calls: Vec<_> = (0..30).map(|number| a.calling(to(&["b"]), "s", number, c.timing().patience())).collect();
    probe.until("all calls, none of them answered", |seen| seen.len() == 30).await;
    probe.release().await;
    for (number, call) in (0..).zip(calls) {
        let replies = call.await.expect("the call ends");
        assert_eq!(answers(&replies), [(b.node(), number)], "each gets its own answer: {:?}", replies.failed);
    }
}

pub(crate) async fn a_slow_server_delays_only_the_calls_to_itself(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (slow, _quick) = (b.probe("slow"), b.probe("quick"));
    slow.pause();
    let waiting: Vec<_> = (0..10).map(|number| a.calling(to(&["b"]), "slow", number, c.timing().patience())).collect();
    tokio::task::yield_now().await;
    for number in 0..10 {
        let replies = a.call(to(&["b"]), "quick", number, c.timing().within(c.t() / 2)).await;
        assert_eq!(answers(&replies), [(b.node(), number)], "failed: {:?}", replies.failed);
    }
    assert_eq!(slow.records(), [], "the slow one has not even begun");
    slow.resume();
    for call in waiting {
        assert_eq!(call.await.expect("the call ends").replies.len(), 1, "and answers in its own time");
    }
}
