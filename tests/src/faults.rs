//! The vocabulary of faults, and what a cut of each length does (F1 - F3).

use crate::toolkit::{Cluster, Record, Traffic, body, message, node, segments, server, to};
use pingpong_core::DownReason;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) async fn a_cut_is_silent(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let mut events = a.events();
    events.up(b.name()).await;
    c.harness().cut(a.place(), b.place()).await;
    let sent = Traffic::new(&a, to(&["b"]), &server("s")).cast().await;
    assert_eq!(sent.accepted[..], [b.node()], "no error: the queue has it");
    events.quiet(c.t() * 3 / 8, "packets vanish, and nobody says so").await;
    assert_eq!(probe.records(), [], "nothing comes through a cut");
}

pub(crate) async fn a_cut_concerns_two_nodes_alone(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let probe = d.probe("s");
    c.harness().cut(a.place(), b.place()).await;
    Traffic::new(&a, to(&["d"]), &server("s")).cast().await;
    probe.until_within(c.timing().within(c.t() / 2), "the cast", |seen| !seen.is_empty()).await;
    drop(b);
}

pub(crate) async fn a_one_way_cut_leaves_the_other_way_open(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (at_a, at_b) = (a.probe("s"), b.probe("s"));
    let (mut from_a, mut from_b) =
        (Traffic::new(&a, to(&["b"]), &server("s")), Traffic::new(&b, to(&["a"]), &server("s")));
    // The lanes are open by then: a transport may need both ways for that.
    from_a.cast().await;
    from_b.cast().await;
    at_a.until_number(b.name(), 0).await;
    at_b.until_number(a.name(), 0).await;
    c.harness().cut_one_way(a.place(), b.place()).await;
    from_a.cast().await;
    from_b.cast().await;
    at_a.until_within(c.timing().within(c.t() / 2), "the cast the open way", |seen| seen.len() == 2).await;
    assert_eq!(at_b.numbers(a.name()), [0], "nothing the other way");
}

pub(crate) async fn a_partition_separates_groups(c: &Cluster) {
    let [a, b, d, e] = c.linked(["a", "b", "d", "e"]).await;
    let (mut events, mut at_d) = (a.events(), d.events());
    events.until_linked(&[node("b"), node("d"), node("e")]).await;
    at_d.until_linked(&[node("a"), node("b"), node("e")]).await;
    let place = |node: &crate::toolkit::TestNode| node.place().clone();
    c.harness().partition(&[vec![place(&a), place(&b)], vec![place(&d), place(&e)]]).await;
    events.down(d.name()).await;
    events.down(e.name()).await;
    assert_eq!(a.list(), [b.node()], "a's group");
    at_d.down(a.name()).await;
    at_d.down(b.name()).await;
    assert_eq!(d.list(), [e.node()], "the other group");
    c.harness().heal_all().await;
    events.up(d.name()).await;
    events.up(e.name()).await;
    assert_eq!(a.list().len(), 3, "healed");
}

pub(crate) async fn a_delay_delays_and_breaks_nothing(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let mut events = a.events();
    events.up(b.name()).await;
    let each_way = c.t() / 8;
    c.harness().delay(a.place(), b.place(), each_way).await;
    let start = Instant::now();
    Traffic::new(&a, to(&["b"]), &server("s")).casts(10).await;
    probe.until_number(a.name(), 9).await;
    assert!(start.elapsed() >= each_way * 3 / 4, "not before the delay: {:?}", start.elapsed());
    events.quiet(c.t() * 2, "later is not lost").await;
}

pub(crate) async fn a_crash_says_no_goodbye(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = a.probe_with_events("s");
    probe.until("Up of b", |seen| !seen.is_empty()).await;
    c.crash(b).await;
    let records = probe.until("Down of b", |seen| seen.len() == 2).await;
    let left = matches!(records[1], Record::Down(_, DownReason::Left { .. }));
    assert!(!left, "it did not leave, it crashed: {:?}", records[1]);
}

pub(crate) async fn a_short_cut_loses_nothing(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_with_events("s");
    let mut events = a.events();
    events.up(b.name()).await;
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    for _ in 0..3 {
        traffic.casts(10).await;
        c.harness().cut(a.place(), b.place()).await;
        traffic.flow(c.t() * 3 / 8, c.t() / 100).await;
        c.harness().heal_all().await;
        traffic.casts(10).await;
        probe.until_number(a.name(), traffic.next() - 1).await;
    }
    let sessions = segments(&probe.records(), a.name());
    assert_eq!(sessions.len(), 1, "one session throughout: {sessions:?}");
    assert_eq!(sessions[0].numbers.len() as u64, traffic.next(), "all of it arrived, in order");
    events.quiet(c.t(), "nobody noticed").await;
}

pub(crate) async fn a_short_one_way_cut_loses_nothing(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probes = [a.probe_with_events("s"), b.probe_with_events("s")];
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    let mut traffic = [Traffic::new(&b, to(&["a"]), &server("s")), Traffic::new(&a, to(&["b"]), &server("s"))];
    for (from, other) in [(&a, &b), (&b, &a)] {
        c.harness().cut_one_way(from.place(), other.place()).await;
        let [one, another] = &mut traffic;
        let (time, spacing) = (c.t() * 3 / 8, c.t() / 100);
        tokio::join!(one.flow(time, spacing), another.flow(time, spacing));
        c.harness().heal_all().await;
        for ((probe, flow), sender) in probes.iter().zip(&mut traffic).zip([&b, &a]) {
            flow.casts(10).await;
            probe.until_number(sender.name(), flow.next() - 1).await;
        }
    }
    for ((probe, flow), sender) in probes.iter().zip(&traffic).zip([&b, &a]) {
        let sessions = segments(&probe.records(), sender.name());
        assert_eq!(sessions.len(), 1, "one session throughout: {sessions:?}");
        assert_eq!(sessions[0].numbers.len() as u64, flow.next(), "all of it arrived, in order, either way");
    }
    at_a.quiet(c.t(), "nobody noticed").await;
    at_b.quiet(Duration::from_millis(1), "on either side").await;
}

pub(crate) async fn calls_survive_a_short_cut(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let _probe = b.probe("s");
    c.harness().cut(a.place(), b.place()).await;
    let call = a.calling(to(&["b"]), "s", 1, c.timing().patience());
    c.hold(c.t() * 3 / 8).await;
    c.harness().heal_all().await;
    let replies = call.await.expect("the call ends");
    assert_eq!(replies.replies.len(), 1, "asked during the cut, answered after it: {:?}", replies.failed);
}

pub(crate) async fn both_sides_see_the_same_outcome_of_a_medium_cut(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (probe_a, probe_b) = (a.probe("s"), b.probe("s"));
    let mut there = Traffic::new(&a, to(&["b"]), &server("s"));
    let mut back = Traffic::new(&b, to(&["a"]), &server("s"));
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    for sixteenths in [9, 11, 13, 14, 15, 16] {
        c.harness().cut(a.place(), b.place()).await;
        c.hold(c.t() * sixteenths / 16).await;
        c.harness().heal_all().await;
        // What was sent after the heal and delivered, each way, was sent when both were in one session again.
        there.until_through(&probe_b).await;
        back.until_through(&probe_a).await;
        at_a.drain().await;
        at_b.drain().await;
        assert_eq!(at_a.downs(), at_b.downs(), "a cut of {sixteenths}/16: as many Downs on both sides");
        assert_eq!((a.list(), b.list()), (vec![b.node()], vec![a.node()]), "and linked again");
    }
    at_a.check_alternation();
    at_b.check_alternation();
}

pub(crate) async fn a_long_cut_is_down_on_both_sides_and_up_again(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_with_events("s");
    let (mut at_a, mut at_b) = (a.events(), b.events());
    let first = (at_a.up(b.name()).await, at_b.up(a.name()).await);
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    traffic.casts(10).await;
    probe.until_number(a.name(), 9).await;
    c.harness().cut(a.place(), b.place()).await;
    traffic.casts(10).await;
    assert_eq!(at_a.down(b.name()).await.0, first.0, "here");
    assert_eq!(at_b.down(a.name()).await.0, first.1, "and there");
    assert_eq!(a.list(), [], "not linked");
    let refused = traffic.cast().await.refused;
    assert_eq!(refused.len(), 1, "what is sent now is refused");
    c.harness().heal_all().await;
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    let number = 1_000;
    a.abcast(&to(&["b"]), &server("s"), message(&body(number, 8))).await.expect("it is sent");
    let seen = probe.until_number(a.name(), number).await;
    let expected: Vec<u64> = (0..10).chain([number]).collect();
    assert_eq!(seen, expected, "what was in flight is gone, what came later is there");
}

pub(crate) async fn a_long_one_way_cut_is_down_within_two_timeouts(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    c.harness().cut_one_way(a.place(), b.place()).await;
    let start = Instant::now();
    at_b.down_within(c.timing().within(c.t()), a.name()).await;
    let bound = c.timing().within(c.t() * 2).saturating_sub(start.elapsed());
    at_a.down_within(bound, b.name()).await;
    at_a.quiet(c.t() * 2, "one way is not enough for a link").await;
    at_b.quiet(Duration::from_millis(1), "on neither side").await;
    c.harness().heal_all().await;
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
}
