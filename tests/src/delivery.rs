//! What arrives: no gap, within the session, and not behind another server (C3 - C6).

use crate::toolkit::{Cluster, MOST, Record, Traffic, body, message, node, segments, server, to};
use pingpong_core::config::Limits;
use pingpong_core::transport::Counters;
use pingpong_core::{DownReason, Targets};
use std::time::Duration;

pub(crate) async fn a_busy_session_has_no_gap_and_no_duplicate(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_with_events("s");
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s")).with_size(700);
    traffic.casts(2_000).await;
    probe.until_number(a.name(), 1_999).await;
    let sessions = segments(&probe.records(), a.name());
    assert_eq!(sessions.len(), 1, "one session: {sessions:?}");
    assert_eq!(sessions[0].numbers.len(), 2_000, "all of it arrived");
}

pub(crate) async fn a_crash_of_the_sender_leaves_a_prefix(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_with_events("s");
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    traffic.casts(300).await;
    probe.until_number(a.name(), 100).await;
    traffic.casts(200).await;
    c.crash(a).await;
    let records = probe.until("Down of the sender", |records| records.iter().any(is_down)).await;
    let sessions = segments(&records, &node("a"));
    assert_eq!(sessions[0].numbers[0], 0, "a prefix begins at the beginning");
    assert!(sessions[0].numbers.len() >= 101, "and holds at least what was seen before");
}

fn is_down(record: &Record) -> bool {
    matches!(record, Record::Down(..))
}

pub(crate) async fn every_session_has_a_prefix_over_cuts(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_with_events("s");
    let mut events = a.events();
    events.up(b.name()).await;
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    for _ in 0..3 {
        traffic.casts(100).await;
        probe.until_number(a.name(), traffic.next() - 1).await;
        c.harness().cut(a.place(), b.place()).await;
        traffic.flow(c.t() * 2, c.t() / 20).await;
        c.harness().heal_all().await;
        events.down(b.name()).await;
        events.up(b.name()).await;
        traffic.flow(c.t() / 4, c.t() / 50).await;
    }
    probe.until_number(a.name(), traffic.next() - 1).await;
    let sessions = segments(&probe.records(), a.name());
    assert_eq!(sessions.len(), 4, "three losses, four sessions");
    assert!(sessions.iter().all(|session| !session.numbers.is_empty()), "each carried something: {sessions:?}");
}

pub(crate) async fn messages_lie_between_up_and_down_of_their_session(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_with_events("s");
    let mut events = a.events();
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    for _ in 0..6 {
        events.up(b.name()).await;
        traffic.casts(50).await;
        probe.until_number(a.name(), traffic.next() - 20).await;
        a.disconnect(b.name()).await;
        events.down(b.name()).await;
    }
    events.up(b.name()).await;
    traffic.cast().await;
    probe.until_number(a.name(), traffic.next() - 1).await;
    let sessions = segments(&probe.records(), a.name());
    assert_eq!(sessions.len(), 7, "six resets, seven sessions: {sessions:?}");
}

pub(crate) async fn what_is_unhandled_at_down_is_dropped_and_counted(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_with_events("s");
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    traffic.casts(10).await;
    probe.until_number(a.name(), 9).await;
    probe.hoard();
    traffic.casts(30).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    probe.until_hoarded(a.name(), 39).await;
    a.disconnect(b.name()).await;
    at_a.down(b.name()).await;
    at_a.up(b.name()).await;
    at_b.down(a.name()).await;
    at_b.up(a.name()).await;
    probe.resume();
    let first = traffic.next();
    traffic.casts(5).await;
    let seen = probe.until_number(a.name(), first + 4).await;
    let expected: Vec<u64> = (0..10).chain(first..first + 5).collect();
    assert_eq!(seen, expected, "what lay unhandled when its session ended is gone");
    segments(&probe.records(), a.name());
    assert_eq!(b.counters().dropped_with_session, 30, "and was counted");
}

pub(crate) async fn nothing_of_an_old_life_comes_after_up_of_the_new(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_with_events("s");
    probe.hoard();
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    traffic.casts(40).await;
    let mut events = b.events();
    events.up(a.name()).await;
    probe.until_hoarded(a.name(), 39).await;
    c.crash(a).await;
    let a = c.start("a", &["b"]).await;
    events.down(a.name()).await;
    events.up(a.name()).await;
    a.events().up(b.name()).await;
    probe.resume();
    let sent = a.abcast(&to(&["b"]), &server("s"), message(&body(100, 8))).await.expect("it is sent");
    assert_eq!(sent.accepted.len(), 1, "the new life is linked");
    probe.until_number(a.name(), 100).await;
    let sessions = segments(&probe.records(), a.name());
    let last = sessions.last().expect("there is a session");
    assert_eq!((&last.node, &last.numbers[..]), (&a.node(), &[100][..]), "the new life's messages alone");
}

pub(crate) async fn a_server_with_events_starts_with_an_up_for_each_linked_node(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let probe = a.probe_with_events("s");
    let records = probe.until("two Ups", |records| records.len() >= 2).await;
    let mut ups = records.clone();
    ups.sort_by_key(|record| record.node().cloned());
    assert_eq!(ups, [Record::Up(b.node()), Record::Up(d.node())], "one Up for each linked node");
    a.disconnect(b.name()).await;
    let records = probe.until("Down and Up of b", |records| records.len() >= 4).await;
    let expected = [Record::Down(b.node(), DownReason::Disconnected), Record::Up(b.node())];
    assert_eq!(records[2..4], expected, "then each session's, as it comes");
}

pub(crate) async fn a_server_without_events_gets_messages_alone(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let mut events = a.events();
    events.up(b.name()).await;
    a.disconnect(b.name()).await;
    events.down(b.name()).await;
    events.up(b.name()).await;
    Traffic::new(&a, to(&["b"]), &server("s")).cast().await;
    probe.until_number(a.name(), 0).await;
    assert!(probe.records().iter().all(|record| record.message().is_some()), "seen {:?}", probe.records());
}

pub(crate) async fn what_is_sent_before_the_others_up_waits_for_it(c: &Cluster) {
    c.harness().delay(&"a".into(), &"b".into(), c.t() / 10).await;
    let a = c.start("a", &[]).await;
    let at_a = a.probe_with_events("s");
    let b = c.start("b", &["a"]).await;
    let at_b = b.probe_with_events("s");
    let (mut from_a, mut from_b) = (a.events(), b.events());
    let (one, other) = tokio::join!(
        async {
            from_a.up(&node("b")).await;
            Traffic::new(&a, to(&["b"]), &server("s")).cast().await
        },
        async {
            from_b.up(&node("a")).await;
            Traffic::new(&b, to(&["a"]), &server("s")).cast().await
        }
    );
    assert_eq!((one.accepted.len(), other.accepted.len()), (1, 1), "either may send from its own Up on");
    at_a.until_number(b.name(), 0).await;
    at_b.until_number(a.name(), 0).await;
    for (probe, from) in [(&at_a, b.name()), (&at_b, a.name())] {
        assert_eq!(segments(&probe.records(), from)[0].numbers, [0], "and it is delivered after the Up here");
    }
}

pub(crate) async fn a_cast_to_no_server_is_counted_and_the_link_stays(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let mut events = a.events();
    events.up(b.name()).await;
    let mut lost = Traffic::new(&a, to(&["b"]), &server("nobody"));
    lost.casts(7).await;
    let replies = a.call(to(&["b"]), "nobody", 7, c.timing().patience()).await;
    assert_eq!(replies.failed.len(), 1, "a call behind them in the same lane has failed, so they were all looked at");
    assert_eq!(b.counters().no_such_server, 8, "seven casts and one call");
    Traffic::new(&a, to(&["b"]), &server("s")).cast().await;
    probe.until_number(a.name(), 0).await;
    events.quiet(c.t(), "a message to nobody harms no link").await;
}

pub(crate) async fn the_mailbox_of_a_crashed_server_is_dropped_and_counted(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    probe.hoard();
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    traffic.casts(25).await;
    probe.until_hoarded(a.name(), 24).await;
    probe.pause();
    traffic.casts(25).await;
    probe.crash().await;
    // Some of the last ones may come when nobody is there any more.
    let all = |seen: &Counters| seen.dropped_with_server + seen.no_such_server == 50;
    b.until_counted("each of the fifty to be counted once", all).await;
    assert!(b.counters().dropped_with_server >= 25, "what it had and did not handle: {:?}", b.counters());
    let successor = b.probe("s");
    let first = traffic.next();
    traffic.casts(3).await;
    let seen = successor.until_number(a.name(), first + 2).await;
    assert_eq!(seen, [first, first + 1, first + 2], "the successor starts with what comes after its registration");
}

pub(crate) async fn a_crashed_server_takes_nobody_along(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (crashing, other) = (b.probe("s"), b.probe("other"));
    let mut events = a.events();
    events.up(b.name()).await;
    crashing.crash().await;
    Traffic::new(&a, to(&["b"]), &server("other")).cast().await;
    other.until_number(a.name(), 0).await;
    events.quiet(c.t(), "a server's crash is its own").await;
}

pub(crate) async fn a_server_sees_no_gap_from_its_registration_on(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    for _ in 0..3 {
        traffic.casts(40).await;
        let probe = b.probe("s");
        traffic.casts(40).await;
        let seen = probe.until_number(a.name(), traffic.next() - 1).await;
        let expected: Vec<u64> = (seen[0]..traffic.next()).collect();
        assert_eq!(seen, expected, "from its first message on, all of them");
        probe.crash().await;
    }
}

pub(crate) async fn a_server_that_does_not_read_delays_no_other(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (stuck, other) = (b.probe("stuck"), b.probe("other"));
    let mut events = a.events();
    events.up(b.name()).await;
    stuck.pause();
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("stuck")).with_size(16 << 10);
    let sent = traffic.fill(c.t() / 4, MOST).await;
    let mut small = Traffic::new(&a, to(&["b"]), &server("other"));
    small.casts(100).await;
    other.until_within(c.timing().within(c.t() / 2), "all casts of the other server", |seen| seen.len() == 100).await;
    let replies = a.call(to(&["b"]), "other", 100, c.timing().within(c.t() / 2)).await;
    assert_eq!(replies.replies.len(), 1, "calls to the other are answered: {:?}", replies.failed);
    // For longer than the failure timeout; one message in between, so that the server is not stopped for it (O3).
    let mut at_b = b.events();
    at_b.up(a.name()).await;
    for _ in 0..2 {
        events.quiet(c.t() * 5 / 8, "the failure detector does not wait for servers either").await;
        stuck.handle_one().await;
    }
    at_b.quiet(Duration::from_millis(1), "nor does that of the other side").await;
    stuck.resume();
    let seen = stuck.until_number(a.name(), sent - 1).await;
    assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "what waited arrives without a gap");
}

pub(crate) async fn a_large_message_delays_no_other_server(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (large, small) = (b.probe("large"), b.probe("small"));
    large.pause();
    let sender = a.clone();
    let sending = tokio::spawn(async move {
        let bytes = body(0, 8 << 20);
        sender.abcast(&to(&["b"]), &server("large"), message(&bytes)).await.map(|sent| sent.accepted.len())
    });
    tokio::task::yield_now().await;
    Traffic::new(&a, to(&["b"]), &server("small")).cast().await;
    small.until_within(c.timing().within(c.t() / 2), "the small cast", |seen| seen.len() == 1).await;
    large.resume();
    let seen = large.until("the large cast", |seen| !seen.is_empty()).await;
    assert!(seen[0].message().is_some_and(|m| m.intact && m.size == 8 << 20), "it arrives whole");
    assert_eq!(sending.await.expect("the sender ends"), Ok(1), "and was accepted");
}

pub(crate) async fn names_beyond_the_lanes_share_one_and_keep_their_order(c: &Cluster) {
    let few = |mut options: crate::harness::StartOptions| {
        options.limits = Some(Limits { lanes: 2, ..options.limits.unwrap_or_default() });
        options
    };
    let [a, b] = c.linked_with(["a", "b"], few).await;
    const NAMES: [&str; 6] = ["s0", "s1", "s2", "s3", "s4", "s5"];
    let probes = NAMES.map(|name| b.probe(name));
    for number in 0..50 {
        for name in NAMES {
            a.abcast(&Targets::All, &server(name), message(&body(number, 8))).await.expect("it is sent");
        }
    }
    let expected: Vec<u64> = (0..50).collect();
    for (probe, name) in probes.iter().zip(NAMES) {
        assert_eq!(probe.until_number(a.name(), 49).await, expected, "{name} gets its own, in order");
    }
}

/// Servers of different names are told apart.
pub(crate) async fn each_server_gets_its_own_messages(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (one, other) = (b.probe("one"), b.probe("other"));
    for number in 0..20 {
        let name = if number % 2 == 0 { "one" } else { "other" };
        a.abcast(&to(&["b"]), &server(name), message(&body(number, 8))).await.expect("it is sent");
    }
    // The last ones: nothing comes after them.
    for (name, number) in [("one", 20), ("other", 21)] {
        a.abcast(&to(&["b"]), &server(name), message(&body(number, 8))).await.expect("it is sent");
    }
    let (even, odd) = (one.until_number(a.name(), 20).await, other.until_number(a.name(), 21).await);
    assert_eq!(even, (0..=20).step_by(2).collect::<Vec<u64>>(), "one gets its own");
    assert_eq!(odd, (1..=21).step_by(2).collect::<Vec<u64>>(), "and the other its own");
}
