//! Full queues: who waits, who is told, and who is cut (O1 - O3).

use crate::harness::StartOptions;
use crate::toolkit::{
    Answer, Cluster, MOST, Probe, Record, TestNode, Traffic, body, is_pending, message, node, server, to,
};
use pingpong_core::config::Limits;
use pingpong_core::inbox::InboxClosed;
use pingpong_core::transport::{NotSent, Refused, SendError};
use pingpong_core::{CallFailure, DownReason, WhenFull};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const SIZE: usize = 16 << 10;

/// A server on `b` that does not read, and traffic of `a` to it that has filled every queue; with the number of casts.
async fn full(c: &Cluster, a: &TestNode, b: &TestNode) -> (Probe, Traffic) {
    let probe = b.probe("s");
    probe.pause();
    let mut traffic = Traffic::new(a, to(&[b.name().as_str()]), &server("s")).with_size(SIZE);
    traffic.fill(c.t() / 4, MOST).await;
    (probe, traffic)
}

fn in_order(seen: &[u64]) -> bool {
    seen.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

pub(crate) async fn a_receiver_that_does_not_read_fills_a_bounded_queue(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (probe, mut traffic) = full(c, &a, &b).await;
    assert_eq!(traffic.try_cast().err(), Some(SendError::Full), "there is no room for more");
    probe.resume();
    let seen = probe.until_number(a.name(), traffic.next() - 1).await;
    assert!(in_order(&seen) && seen[0] == 0, "what was accepted arrives");
}

pub(crate) async fn the_variant_that_does_not_wait_is_bounded_too(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    probe.pause();
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s")).with_size(SIZE);
    let error = loop {
        assert!(traffic.next() < MOST, "{MOST} casts of {SIZE} bytes found room without a single wait");
        match traffic.try_cast() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error, SendError::Full, "the queue is full, and says so");
    probe.resume();
    let last = traffic.next() - 1;
    let seen = probe.until_number(a.name(), last).await;
    assert_eq!(seen, (0..=last).collect::<Vec<u64>>(), "what was accepted arrives, and nothing else");
}

/// Messages without a body take next to no bytes: what bounds them is their number.
pub(crate) async fn the_smallest_messages_are_bounded_too(c: &Cluster) {
    const MOST_TINY: u64 = 1 << 20;
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    probe.pause();
    let (targets, name) = (to(&["b"]), server("s"));
    let mut sent = 0;
    loop {
        assert!(sent < MOST_TINY, "{MOST_TINY} empty casts found room");
        if a.try_abcast(&targets, &name, message(&[]), WhenFull::Refuse).is_ok() {
            sent += 1;
            continue;
        }
        match timeout(c.t() / 4, a.abcast(&targets, &name, message(&[]))).await {
            Ok(accepted) => sent += accepted.expect("it is sent").accepted.len() as u64,
            Err(_) => break,
        }
    }
    probe.resume();
    let seen = probe.until("all that was accepted", |seen| seen.len() as u64 >= sent).await;
    assert_eq!(seen.len() as u64, sent, "and nothing else");
}

/// A message of the greatest size for each of many servers that do not read: a lane takes one of them, so what bounds all lanes is the budget.
pub(crate) async fn large_messages_share_one_budget(c: &Cluster) {
    const LARGE: usize = 4 << 20;
    const SERVERS: usize = 12;
    // Two at the sender and two at the receiver, and one that is between them.
    const MOST_AT_ONCE: usize = 5;
    let narrow = |mut options: StartOptions| {
        options.limits = Some(Limits { max_message: LARGE, large_bytes: 2 * LARGE, ..Limits::default() });
        options
    };
    let [a, b] = c.linked_with(["a", "b"], narrow).await;
    let names: Vec<String> = (0..SERVERS).map(|n| format!("s{n}")).collect();
    let probes: Vec<Probe> = names.iter().map(|name| b.probe(name)).collect();
    probes.iter().for_each(Probe::pause);
    let (targets, large) = (to(&["b"]), body(1, LARGE));
    let mut accepted = 0;
    for name in &names {
        match timeout(c.t() / 2, a.abcast(&targets, &server(name), message(&large))).await {
            Ok(sent) => accepted += sent.expect("it is sent").accepted.len(),
            Err(_) => break,
        }
    }
    assert!(
        (2..=MOST_AT_ONCE).contains(&accepted),
        "{accepted} messages of {LARGE} bytes found room, two are the budget"
    );
    probes.iter().for_each(Probe::resume);
    for (probe, name) in probes.iter().zip(&names).skip(accepted) {
        a.abcast(&targets, &server(name), message(&large)).await.expect("there is room again");
        probe.until_number(a.name(), 1).await;
    }
    for probe in &probes[..accepted] {
        assert_eq!(probe.until_number(a.name(), 1).await, [1], "what was accepted arrives");
    }
}

/// Large answers that wait for the others of their call hold the budget, also those of a server on the caller's own node.
pub(crate) async fn large_answers_share_one_budget(c: &Cluster) {
    const LARGE: usize = 1 << 20;
    let narrow = |mut options: StartOptions| {
        options.limits = Some(Limits { max_message: LARGE, large_bytes: 2 * LARGE, ..Limits::default() });
        options
    };
    let [a, b, d] = c.linked_with(["a", "b", "d"], narrow).await;
    let (patience, at_d) = (c.timing().patience(), d.probe_that("s", Answer::Hold));
    for (round, near) in [&a, &b].into_iter().enumerate() {
        let (probe, name) = (near.probe_that("s", Answer::Large(LARGE)), near.name().as_str());
        let waiting = [1, 2].map(|number| a.calling(to(&[name, "d"]), "s", number, patience));
        probe.until("both", |seen| seen.len() == 2).await;
        // Behind their answers on the same way.
        let third = a.call(to(&[name]), "s", 3, c.t()).await;
        assert_eq!(third.replies.len(), 0, "the answers of {name} to the first two hold all of the budget");
        let expected = match near.name() == a.name() {
            // A server that waits for its own node's calls could wait for itself.
            true => CallFailure::NoRoomForReply { size: LARGE, limit: 2 * LARGE },
            false => CallFailure::DeadlinePassed { sent: true },
        };
        assert_eq!(third.failed[0].reason, expected, "of {name}");
        at_d.until("both", |seen| seen.len() == 2 * (round + 1)).await;
        at_d.release().await;
        for call in waiting {
            let replies = call.await.expect("it is not cancelled");
            assert_eq!(replies.replies.len(), 2, "of {name} and d: {:?}", replies.failed);
        }
        let last = a.call(to(&[name]), "s", 4, patience).await;
        assert_eq!(last.replies.len(), 1, "there is room again for {name}: {:?}", last.failed);
    }
}

/// An answer waits at the caller for the other answers of its call. It must not wait on its way there: the server that gave it would.
pub(crate) async fn an_answer_beyond_the_bound_of_all_fails_alone(c: &Cluster) {
    const SIZE: usize = 40 << 10;
    const BOUND: usize = 64 << 10;
    let narrow = |mut options: StartOptions| {
        options.limits = Some(Limits { reply_bytes: BOUND, ..Limits::default() });
        options
    };
    let [a, b, d] = c.linked_with(["a", "b", "d"], narrow).await;
    let (at_b, at_d) = (b.probe_that("s", Answer::Large(SIZE)), d.probe_that("s", Answer::Hold));
    let patience = c.timing().patience();
    let waiting = a.calling(to(&["b", "d"]), "s", 1, patience);
    at_b.until_number(a.name(), 1).await;
    // Behind the first answer on the same way.
    let second = a.call(to(&["b"]), "s", 2, patience).await;
    assert_eq!(second.replies, [], "the first answer has the room");
    assert_eq!(second.failed[0].reason, CallFailure::NoRoomForReply { size: SIZE, limit: BOUND }, "with both sizes");
    assert!(second.failed[0].reason.was_sent(), "it ran");
    at_b.answer(Answer::Large(BOUND - SIZE));
    let third = a.call(to(&["b"]), "s", 3, patience).await;
    assert_eq!(third.replies.len(), 1, "what fits has room: {:?}", third.failed);
    at_d.until_number(a.name(), 1).await;
    at_d.release().await;
    let first = waiting.await.expect("it is not cancelled");
    assert_eq!(first.replies.len(), 2, "the first call lost nothing: {:?}", first.failed);
    at_b.answer(Answer::Large(SIZE));
    let last = a.call(to(&["b"]), "s", 4, patience).await;
    assert_eq!(last.replies.len(), 1, "and its room is free again: {:?}", last.failed);
    assert_eq!(a.counters().replies_without_room, 1, "the one answer was counted");
}

pub(crate) async fn bounds_that_multiply_to_too_much_are_refused_at_start(c: &Cluster) {
    let mut options = StartOptions::new(node("a"));
    let most = 1 << 30;
    options.limits = Some(Limits { max_peers: 10_000, queue_bytes: most, max_memory: 8 << 30, ..Limits::default() });
    let error = c.try_start(options).await.expect_err("ten thousand queues of 1 GiB are over the maximum");
    assert!(error.0.contains(&(8_u64 << 30).to_string()), "it names the stated maximum: {error}");
}

pub(crate) async fn a_sender_waits_for_room_and_loses_nothing(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (probe, traffic) = full(c, &a, &b).await;
    let first = traffic.next();
    let sender = a.clone();
    let mut waiting = Box::pin(async move {
        for number in first..first + 50 {
            sender.abcast(&to(&["b"]), &server("s"), message(&body(number, SIZE))).await.expect("it is sent");
        }
    });
    for _ in 0..2 {
        assert!(is_pending(&mut waiting).await, "it waits while there is no room");
        c.hold(c.t() / 8).await;
    }
    probe.resume();
    timeout(c.timing().patience(), waiting).await.expect("there is room");
    let seen = probe.until_number(a.name(), first + 49).await;
    assert!(in_order(&seen) && seen[0] == 0, "all of it arrives, in order");
}

pub(crate) async fn waiting_senders_are_served_in_their_order(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (probe, traffic) = full(c, &a, &b).await;
    let mut senders = Vec::new();
    for number in traffic.next()..traffic.next() + 10 {
        let node = a.clone();
        let mut sending =
            Box::pin(async move { node.abcast(&to(&["b"]), &server("s"), message(&body(number, SIZE))).await });
        assert!(is_pending(&mut sending).await, "cast {number} finds no room");
        senders.push(sending);
    }
    probe.resume();
    for sent in futures_util::future::join_all(senders).await {
        assert_eq!(sent.expect("it is sent").accepted.len(), 1, "each gets its turn");
    }
    let seen = probe.until("all casts", |seen| seen.len() as u64 == traffic.next() + 10).await;
    assert!(in_order(&crate::toolkit::numbers(&seen, a.name())), "in the order in which they came");
}

pub(crate) async fn refuse_sends_to_nobody_when_one_is_full(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let at_d = d.probe("s");
    let (_probe, _traffic) = full(c, &a, &b).await;
    let (targets, name) = (to(&["b", "d"]), server("s"));
    let large = body(1, SIZE);
    let tried = a.try_abcast(&targets, &name, message(&large), WhenFull::Refuse);
    assert_eq!(tried.err(), Some(SendError::Full), "b has no room");
    a.abcast(&to(&["d"]), &name, message(&body(2, 8))).await.expect("it is sent");
    assert_eq!(at_d.until_number(a.name(), 2).await, [2], "so d did not get it either");
}

pub(crate) async fn skip_gives_it_to_those_that_have_room(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let at_d = d.probe("s");
    let (_probe, _traffic) = full(c, &a, &b).await;
    let large = body(1, SIZE);
    for _ in 0..3 {
        let sent = a
            .try_abcast(&to(&["b", "d"]), &server("s"), message(&large), WhenFull::Skip)
            .expect("one full node does not keep it from the others");
        assert_eq!(sent.accepted[..], [d.node()], "d has room");
        assert_eq!(sent.refused, [Refused { name: node("b"), reason: NotSent::Full }], "b is named");
    }
    assert_eq!(at_d.until("three casts", |seen| seen.len() == 3).await.len(), 3, "d got all of them");
}

pub(crate) async fn one_slow_node_does_not_delay_casts_to_others(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let at_d = d.probe("s");
    let (_probe, traffic) = full(c, &a, &b).await;
    let sender = a.clone();
    let number = traffic.next();
    let waiting =
        tokio::spawn(
            async move { sender.abcast(&to(&["b"]), &server("s"), message(&body(number, SIZE))).await.is_ok() },
        );
    tokio::task::yield_now().await;
    let bound = c.timing().within(c.t() / 4);
    let mut quick = Traffic::new(&a, to(&["d"]), &server("s")).with_size(SIZE);
    timeout(bound, quick.casts(20)).await.expect("d has room, whoever waits for b");
    at_d.until_within(bound, "twenty casts", |seen| seen.len() == 20).await;
    assert!(!waiting.is_finished(), "b is still full");
    waiting.abort();
}

pub(crate) async fn a_target_that_goes_down_is_no_longer_waited_for(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let at_d = d.probe("s");
    let (_probe, _traffic) = full(c, &a, &b).await;
    let (targets, name, large) = (to(&["b", "d"]), server("s"), body(7, SIZE));
    let mut waiting = a.abcast(&targets, &name, message(&large));
    assert!(is_pending(&mut waiting).await, "it waits for b");
    c.crash(b).await;
    let bound = c.timing().within(c.t());
    let sent = timeout(bound, waiting).await.expect("b is down").expect("it is sent");
    assert_eq!(sent.accepted[..], [d.node()], "d accepted it");
    assert_eq!(sent.refused, [Refused { name: node("b"), reason: NotSent::NotLinked }], "b went down");
    assert_eq!(at_d.until_number(a.name(), 7).await, [7], "and d got it");
}

pub(crate) async fn a_server_that_takes_nothing_is_stopped_by_its_own_node(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (stuck, other) = (b.probe("s"), b.probe("other"));
    let mut events = a.events();
    events.up(b.name()).await;
    stuck.pause();
    let (caller, patience) = (a.clone(), (c.timing().stall + c.t()) * 4);
    let mut call = Box::pin(async move { caller.call(to(&["b"]), "s", MOST + 1, patience).await });
    assert!(is_pending(&mut call).await, "nobody answers");
    let call = tokio::spawn(call);
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s")).with_size(SIZE);
    let start = Instant::now();
    traffic.fill(c.t() / 4, MOST).await;
    let replies = call.await.expect("the call ends");
    assert_eq!(replies.failed[0].reason, CallFailure::ServerStopped, "its calls end");
    let bound = c.timing().within(c.timing().stall + c.t());
    assert!(start.elapsed() <= bound, "within the stall timeout: {:?}", start.elapsed());
    assert_eq!(b.counters().stalled_servers, 1, "it was counted");
    stuck.resume();
    stuck.until("its end", |seen| seen.last() == Some(&Record::Closed(InboxClosed::Stalled))).await;
    Traffic::new(&a, to(&["b"]), &server("other")).cast().await;
    other.until_number(a.name(), 0).await;
    events.quiet(Duration::from_millis(1), "the link stays").await;
    let successor = b.probe("s");
    traffic.cast().await;
    successor.until_number(a.name(), traffic.next() - 1).await;
}

pub(crate) async fn a_slow_server_is_not_stopped(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let mut events = b.events();
    events.up(a.name()).await;
    probe.pause();
    // Twice what the mailbox holds, so that it is full for most of the case.
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s")).with_size(SIZE);
    traffic.casts(16).await;
    for round in 1..=8 {
        probe.handle_one().await;
        probe.until("one message more", |records| records.len() == round).await;
        // Without it nothing of what has been delivered is handled any more, and that would look as if the server had been stopped (C4).
        events.quiet(c.timing().stall * 3 / 8, "a slow server does not cost its node the link").await;
    }
    probe.resume();
    let seen = probe.until_number(a.name(), traffic.next() - 1).await;
    assert!(in_order(&seen) && seen[0] == 0, "slow, and without a gap");
    assert_eq!(b.counters().stalled_servers, 0, "whoever makes progress is left alone");
}

/// The network of `b` stands still for longer than the failure timeout allows: that is noticed long before its lanes are missed.
pub(crate) async fn a_peer_that_stands_still_is_cut_and_returns(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    c.harness().stall(b.place()).await;
    let bound = c.timing().within(c.t());
    let (_, reason) = events.down_within(bound, b.name()).await;
    assert_eq!(reason, DownReason::Lost, "one stuck node cannot stop a cluster");
    c.harness().resume(b.place()).await;
    events.up(b.name()).await;
}
