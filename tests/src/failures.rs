//! Calls that fail: each reason apart, and at once when it is known (R3).

use crate::harness::StartOptions;
use crate::toolkit::{
    Answer, Cluster, MOST, Sum, TestNode, Traffic, body, is_pending, message, node, options, server, to,
};
use pingpong_core::config::Limits;
use pingpong_core::inbox::ServerOptions;
use pingpong_core::message::{Encoded, Message as _};
use pingpong_core::transport::Failed;
use pingpong_core::{CallFailure, Replies};
use std::pin::Pin;
use tokio::time::{Instant, timeout};

/// Calls the only target `b`, with more patience than any failure but the deadline needs, and returns how it failed.
async fn failure(c: &Cluster, a: &TestNode, target: &str, name: &str) -> Failed {
    let start = Instant::now();
    let mut replies = a.call(to(&[target]), name, 1, c.timing().patience()).await;
    assert!(start.elapsed() < c.timing().patience() / 2, "known at once, reported after {:?}", start.elapsed());
    assert_eq!((replies.replies.len(), replies.failed.len()), (0, 1), "one target, one failure: {replies:?}");
    replies.failed.remove(0)
}

pub(crate) async fn no_such_server_is_known_at_once(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let failed = failure(c, &a, "b", "nobody").await;
    assert_eq!((failed.reason, failed.incarnation), (CallFailure::NoSuchServer, Some(b.node().incarnation)), "at b");
    assert_eq!(failure(c, &a, "a", "nobody").await.reason, CallFailure::NoSuchServer, "at a itself");
}

pub(crate) async fn a_node_that_is_not_linked_is_known_at_once(c: &Cluster) {
    let [a, _b] = c.linked(["a", "b"]).await;
    let failed = failure(c, &a, "x", "s").await;
    assert_eq!((failed.reason.clone(), failed.incarnation), (CallFailure::NotLinked, None), "nobody has that name");
    assert!(!failed.reason.was_sent(), "and so it was not sent");
}

pub(crate) async fn a_node_that_is_not_linked_is_known_although_every_turn_is_taken(c: &Cluster) {
    let mut busy = options("a", &[]);
    busy.limits = Some(Limits { max_calls: 1, ..Limits::default() });
    let a = c.start_with(busy).await;
    let b = c.start("b", &["a"]).await;
    a.events().up(b.name()).await;
    let probe = b.probe_that("s", Answer::Hold);
    let taken = a.calling(to(&["b"]), "s", 1, c.timing().patience());
    probe.until("the call that takes the turn", |records| records.len() == 1).await;
    assert_eq!(failure(c, &a, "x", "s").await.reason, CallFailure::NotLinked, "nobody has that name");
    probe.release().await;
    assert_eq!(taken.await.expect("it is not cancelled").replies.len(), 1, "it had its turn all the while");
}

pub(crate) async fn that_all_targets_went_down_is_known_although_every_turn_is_taken(c: &Cluster) {
    let busy = |mut options: StartOptions| {
        options.limits = Some(Limits { max_calls: 1, ..Limits::default() });
        options
    };
    let [a, b, d, e] = c.linked_with(["a", "b", "d", "e"], busy).await;
    let probe = b.probe_that("s", Answer::Hold);
    let taken = a.calling(to(&["b"]), "s", 1, c.timing().patience());
    probe.until("the call that takes the turn", |records| records.len() == 1).await;
    let (caller, patience) = (a.clone(), c.timing().patience());
    let mut call = Box::pin(async move { caller.call(to(&["d", "e"]), "s", 2, patience).await });
    assert!(is_pending(&mut call).await, "it waits for its turn");
    let (start, lives) = (Instant::now(), [&d, &e].map(|gone| Some(gone.node().incarnation)));
    c.crash(d).await;
    c.crash(e).await;
    let failed = timeout(c.timing().within(c.t()), call).await.expect("both are down").failed;
    let both = [node("d"), node("e")].into_iter().zip(lives);
    let expected: Vec<Failed> = both
        .map(|(name, incarnation)| Failed { name, incarnation, reason: CallFailure::NodeDown { sent: false } })
        .collect();
    assert_eq!(failed, expected, "after {:?}: it never had a turn, so a retry is safe", start.elapsed());
    probe.release().await;
    assert_eq!(taken.await.expect("it is not cancelled").replies.len(), 1, "that one had its turn all the while");
}

pub(crate) async fn a_handler_that_gives_its_caller_up_stopped(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let _probe = b.probe_that("s", Answer::Drop);
    let failed = failure(c, &a, "b", "s").await;
    assert_eq!(failed.reason, CallFailure::ServerStopped, "as a panic of the handler would");
    assert!(failed.reason.was_sent(), "it may have run");
}

pub(crate) async fn calls_end_when_their_server_crashes(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_that("s", Answer::Hold);
    let held = a.calling(to(&["b"]), "s", 1, c.timing().patience());
    probe.until_number(a.name(), 1).await;
    probe.hoard();
    let unread = a.calling(to(&["b"]), "s", 2, c.timing().patience());
    probe.until_hoarded(a.name(), 2).await;
    let start = Instant::now();
    probe.crash().await;
    for call in [held, unread] {
        let replies = call.await.expect("the call ends");
        assert_eq!(replies.failed[0].reason, CallFailure::ServerStopped, "handled or not, the server is gone");
    }
    assert!(start.elapsed() < c.timing().patience() / 2, "without waiting for the deadline: {:?}", start.elapsed());
}

/// Each by what brings it about: the allow list of a server, a server that decodes, no server at all, a handler that ends.
pub(crate) async fn each_refusal_has_its_own_reason(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let _closed = b.probe_with("closed", ServerOptions::new().allow_only([]), Answer::Echo);
    let _adder = b.adder("adder");
    let _silent = b.probe_that("silent", Answer::Drop);
    let expected = [
        ("closed", CallFailure::NotAllowed),
        ("adder", CallFailure::NotDecodable),
        ("nobody", CallFailure::NoSuchServer),
        ("silent", CallFailure::ServerStopped),
    ];
    for (name, reason) in expected {
        let failed = failure(c, &a, "b", name).await;
        assert_eq!((failed.reason, failed.incarnation), (reason, Some(b.node().incarnation)), "of {name}");
    }
    let body = Sum { of: 1 }.encode().expect("a number encodes");
    let right = Encoded { kind: Sum::KIND, body: &body };
    let replies = a.multi_call(&to(&["b"]), &server("adder"), right, c.timing().patience()).await;
    assert_eq!(replies.replies.len(), 1, "what decodes is answered: {:?}", replies.failed);
}

/// A call to `b`, whose server `s` does not read, that has found no room, and waits for it.
async fn waiting_for_room(c: &Cluster, a: &TestNode) -> Pin<Box<dyn Future<Output = Replies> + Send>> {
    Traffic::new(a, to(&["b"]), &server("s")).with_size(16 << 10).fill(c.t() / 4, MOST).await;
    let (caller, patience) = (a.clone(), c.timing().patience());
    let mut call: Pin<Box<dyn Future<Output = Replies> + Send>> = Box::pin(async move {
        let request = body(MOST + 1, 16 << 10);
        caller.multi_call(&to(&["b"]), &server("s"), message(&request), patience).await
    });
    assert!(is_pending(&mut call).await, "there is no room, so it waits");
    call
}

pub(crate) async fn a_crash_tells_calls_that_wait_for_room_that_they_were_not_sent(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (old, probe) = (b.node(), b.probe("s"));
    probe.pause();
    let call = waiting_for_room(c, &a).await;
    c.crash(b).await;
    let replies = timeout(c.timing().within(c.t()), call).await.expect("at the verdict, not at the deadline");
    let expected =
        Failed { name: node("b"), incarnation: Some(old.incarnation), reason: CallFailure::NodeDown { sent: false } };
    assert_eq!(replies.failed, [expected], "the life that went down, and that it was not asked");
    assert!(!replies.failed[0].reason.was_sent(), "a retry is safe");
}

pub(crate) async fn a_reset_tells_calls_that_wait_for_room_that_they_were_not_sent(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    probe.pause();
    let call = waiting_for_room(c, &a).await;
    a.disconnect(b.name()).await;
    let replies = timeout(c.timing().within(c.t()), call).await.expect("at the reset, not at the deadline");
    assert_eq!(replies.failed.len(), 1, "one target, one outcome: {replies:?}");
    assert_eq!(replies.failed[0].reason, CallFailure::NodeDown { sent: false }, "its session ended before it was sent");
    a.events().up(b.name()).await;
    probe.resume();
    let replies = a.call(to(&["b"]), "s", MOST + 2, c.timing().patience()).await;
    assert_eq!(replies.replies.len(), 1, "the new session works: {:?}", replies.failed);
    assert!(!probe.numbers(a.name()).contains(&(MOST + 1)), "and what was not sent does not run in it");
}

pub(crate) async fn a_node_that_crashes_ends_the_calls_to_it(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let old = b.node();
    let probe = b.probe_that("s", Answer::Hold);
    let call = a.calling(to(&["b"]), "s", 1, c.timing().patience());
    probe.until_number(a.name(), 1).await;
    let start = Instant::now();
    c.crash(b).await;
    let replies = call.await.expect("the call ends");
    let expected =
        Failed { name: node("b"), incarnation: Some(old.incarnation), reason: CallFailure::NodeDown { sent: true } };
    assert_eq!(replies.failed, [expected], "the life that failed, and that it had been asked");
    assert!(start.elapsed() <= c.timing().within(c.t()), "at the verdict, not at the deadline: {:?}", start.elapsed());
}

pub(crate) async fn a_reset_link_ends_its_calls_and_moves_none(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_that("s", Answer::Hold);
    let mut events = a.events();
    events.up(b.name()).await;
    let call = a.calling(to(&["b"]), "s", 1, c.timing().patience());
    probe.until_number(a.name(), 1).await;
    a.disconnect(b.name()).await;
    let replies = call.await.expect("the call ends");
    assert_eq!(replies.failed[0].reason, CallFailure::NodeDown { sent: true }, "its session ended");
    events.down(b.name()).await;
    events.up(b.name()).await;
    probe.answer(Answer::Echo);
    let replies = a.call(to(&["b"]), "s", 2, c.timing().patience()).await;
    assert_eq!(replies.replies.len(), 1, "the new session works: {:?}", replies.failed);
    assert_eq!(probe.numbers(a.name()), [1, 2], "the first call did not run again");
}

pub(crate) async fn a_call_waiting_in_a_mailbox_does_not_run_after_its_session(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    probe.hoard();
    let mut events = a.events();
    events.up(b.name()).await;
    let call = a.calling(to(&["b"]), "s", 1, c.timing().patience());
    probe.until_hoarded(a.name(), 1).await;
    a.disconnect(b.name()).await;
    let replies = call.await.expect("the call ends");
    assert_eq!(replies.failed[0].reason, CallFailure::NodeDown { sent: true }, "its session ended");
    events.down(b.name()).await;
    events.up(b.name()).await;
    probe.resume();
    let replies = a.call(to(&["b"]), "s", 2, c.timing().patience()).await;
    assert_eq!(replies.replies.len(), 1, "the new session works: {:?}", replies.failed);
    assert_eq!(probe.numbers(a.name()), [2], "it may have run, it never will later");
}

pub(crate) async fn a_passed_deadline_is_told_from_a_node_that_is_down(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let _probe = b.probe_that("s", Answer::Hold);
    let replies = a.call(to(&["b"]), "s", 1, c.t() / 4).await;
    let failed = &replies.failed[0];
    assert_eq!(failed.reason, CallFailure::DeadlinePassed { sent: true }, "b is well, its server is slow");
    assert_eq!(failed.incarnation, Some(b.node().incarnation), "the life that did not answer in time");
}

fn small(mut options: StartOptions) -> StartOptions {
    options.limits = Some(Limits { max_message: 10_000, ..options.limits.unwrap_or_default() });
    options
}

pub(crate) async fn a_request_over_the_limit_is_not_sent(c: &Cluster) {
    let [a, b] = c.linked_with(["a", "b"], small).await;
    let probe = b.probe("s");
    let bytes = body(1, 10_001);
    let replies = a.multi_call(&to(&["b"]), &server("s"), message(&bytes), c.timing().patience()).await;
    let expected = CallFailure::RequestTooLarge { size: 10_001, limit: 10_000 };
    assert_eq!(replies.failed.len(), 1, "one target, one outcome: {replies:?}");
    assert_eq!(replies.failed[0].reason, expected, "with both sizes");
    assert!(!replies.failed[0].reason.was_sent(), "a smaller one may be tried");
    a.call(to(&["b"]), "s", 2, c.timing().patience()).await;
    assert_eq!(probe.numbers(a.name()), [2], "nothing of the first arrived");
}

pub(crate) async fn a_reply_over_the_limit_names_both_sizes(c: &Cluster) {
    let [a, b] = c.linked_with(["a", "b"], small).await;
    let _probe = b.probe_that("s", Answer::Large(20_000));
    let failed = failure(c, &a, "b", "s").await;
    assert_eq!(failed.reason, CallFailure::ReplyTooLarge { size: 20_000, limit: 10_000 }, "b's limit");
}
