//! One life of a link, and of a node: sessions that end on both sides, one link for a pair, restarts (M3, M9, "Words").

use crate::harness::{Clock, Greeted, Misbehaviour, Store};
use crate::toolkit::{Cluster, TestNode, Traffic, node, options, segments, server, to};
use pingpong_core::{DownReason, NodeName};
use std::time::Duration;

/// By how much clocks are set back.
const BACK: Duration = Duration::from_secs(3_600);

pub(crate) async fn a_quick_restart_is_down_of_the_old_and_up_of_the_new(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    let old = events.up(b.name()).await;
    c.crash(b).await;
    let b = c.start("b", &["a"]).await;
    let (down, _) = events.down(b.name()).await;
    let new = events.up(b.name()).await;
    assert_eq!(down, old, "Down names the life that ended");
    assert!(new.incarnation > old.incarnation, "the restart {new} is greater than {old}");
    assert_eq!(new, b.node(), "Up names the new life");
    events.check_alternation();
}

pub(crate) async fn a_restart_after_a_goodbye_is_greater(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    let old = events.up(b.name()).await;
    c.stop(&b, c.t()).await;
    events.down(b.name()).await;
    c.start("b", &["a"]).await;
    let new = events.up(b.name()).await;
    assert!(new.incarnation > old.incarnation, "the restart {new} is greater than {old}");
}

pub(crate) async fn a_stored_incarnation_is_exceeded_although_the_clock_was_set_back(c: &Cluster) {
    let mut kept = options("a", &[]);
    kept.store = Store::Kept;
    let a = c.start_with(kept.clone()).await;
    let old = a.node();
    c.crash(a).await;
    kept.clock = Clock::Behind(BACK);
    let new = c.start_with(kept).await.node();
    assert!(
        new.incarnation > old.incarnation,
        "the restart {new} is above the stored {old}, though the clock is behind"
    );
}

pub(crate) async fn many_restarts_in_a_row_are_told_in_order(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    let mut last = events.up(b.name()).await;
    let mut b = b;
    for round in 0..5 {
        c.crash(b).await;
        c.hold(c.t() * round / 3).await;
        b = c.start("b", &["a"]).await;
        assert_eq!(events.down(b.name()).await.0, last, "restart {round}: the life that ended");
        let next = events.up(b.name()).await;
        assert!(next.incarnation > last.incarnation, "restart {round}: {next} is above {last}");
        last = next;
    }
    assert_eq!(last, b.node(), "in the end it is the last one");
    events.check_alternation();
}

async fn restart_behind(c: &Cluster, name: &str, seeds: &[&str]) -> TestNode {
    let mut behind = options(name, seeds);
    behind.clock = Clock::Behind(BACK);
    c.start_with(behind).await
}

pub(crate) async fn peers_raise_a_restart_whose_clock_was_set_back(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    let old = events.up(b.name()).await;
    c.crash(b).await;
    // Nobody can raise it before it was looked at.
    c.harness().cut(a.place(), &"b".into()).await;
    let b = restart_behind(c, "b", &["a"]).await;
    let low = b.node();
    assert!(low.incarnation < old.incarnation, "the restart {low} began below {old}");
    c.harness().heal_all().await;
    assert_eq!(events.down(b.name()).await.0, old, "the old life ends first");
    let new = events.up(b.name()).await;
    assert!(new.incarnation > old.incarnation, "the restart {new} was raised above {old}");
    assert_eq!(b.node(), new, "and it knows its own incarnation");
}

pub(crate) async fn a_node_that_is_raised_renews_its_other_links(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let old = b.node();
    c.crash(b).await;
    c.harness().cut(a.place(), &"b".into()).await;
    let d = c.start("d", &["b"]).await;
    let b = restart_behind(c, "b", &["d", "a"]).await;
    let mut at_d = d.events();
    let low = at_d.up(b.name()).await;
    assert!(low.incarnation < old.incarnation, "the restart {low} began below {old}");
    let mut at_b = b.events();
    at_b.up(d.name()).await;
    c.harness().heal_all().await;
    let (down, reason) = at_d.down(b.name()).await;
    assert_eq!((down, reason), (low.clone(), DownReason::Replaced), "the life that was raised ends as replaced");
    let high = at_d.up(b.name()).await;
    assert!(high.incarnation > low.incarnation, "{high} is above {low}");
    assert_eq!(at_b.down(d.name()).await.1, DownReason::Renewed, "the raised node knows why its links ended");
    at_b.until_linked(&[node("a"), node("d")]).await;
}

pub(crate) async fn nodes_that_dial_each_other_at_once_get_one_link_and_no_down(c: &Cluster) {
    const NAMES: [&str; 5] = ["a", "b", "d", "e", "f"];
    let mut monitors = Vec::new();
    for name in NAMES {
        let others: Vec<&str> = NAMES.into_iter().filter(|other| *other != name).collect();
        monitors.push(c.start(name, &others).await.events());
    }
    for (at, events) in monitors.iter_mut().enumerate() {
        let others: Vec<NodeName> = NAMES.iter().filter(|name| **name != NAMES[at]).map(|name| node(name)).collect();
        events.until_linked(&others).await;
    }
    c.hold(c.t() * 3).await;
    for events in &mut monitors {
        events.quiet(Duration::from_millis(1), "a second connection of a pair is closed unseen").await;
        assert_eq!(events.log().len(), NAMES.len() - 1, "one Up for each other; seen {:?}", events.log());
    }
}

pub(crate) async fn a_one_sided_loss_ends_the_session_on_both_sides(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    let first = (at_a.up(b.name()).await, at_b.up(a.name()).await);
    c.harness().cut_one_way(a.place(), b.place()).await;
    assert_eq!(at_b.down(a.name()).await.0, first.1, "the deaf side gives the session up");
    assert_eq!(at_a.down(b.name()).await.0, first.0, "the other side as well");
    c.harness().heal_all().await;
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    at_a.check_alternation();
    at_b.check_alternation();
}

pub(crate) async fn a_restarted_node_gets_nothing_of_its_former_life(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    traffic.casts(50).await;
    probe.until_number(a.name(), 49).await;
    let mut events = a.events();
    events.up(b.name()).await;
    traffic.casts(50).await;
    drop(probe);
    c.crash(b).await;
    let b = c.start("b", &["a"]).await;
    let probe = b.probe_with_events("s");
    events.down(b.name()).await;
    let first = traffic.next();
    events.up(b.name()).await;
    traffic.casts(10).await;
    let seen = probe.until_number(a.name(), first + 9).await;
    let expected: Vec<u64> = (first..first + 10).collect();
    assert_eq!(seen, expected, "only what was sent in the new session reaches the new life");
}

pub(crate) async fn what_is_lost_was_lost_with_a_down_on_each_side(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    let (probe, other) = (b.probe_with_events("s"), a.probe("s"));
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    let mut back = Traffic::new(&b, to(&["a"]), &server("s"));
    for eighths in [5_u32, 6, 7, 8, 9] {
        c.harness().cut_one_way(b.place(), a.place()).await;
        traffic.flow(c.t() * eighths / 8, c.t() / 20).await;
        c.harness().heal_all().await;
        // Then both sides are in one session again, and what came before it is in their views.
        traffic.until_through(&probe).await;
        back.until_through(&other).await;
        at_a.drain().await;
        at_b.drain().await;
    }
    let records = probe.numbers(a.name());
    at_a.check_alternation();
    at_b.check_alternation();
    let sessions = segments(&probe.records(), a.name());
    let (downs, downs_there) = (at_a.downs(), at_b.downs());
    if (records.len() as u64) < traffic.next() {
        assert!(downs > 0 && downs_there > 0, "messages are missing: {downs} and {downs_there} Downs on the two sides");
    }
    assert_eq!(
        sessions.iter().filter(|s| s.ended).count() as u64,
        downs_there,
        "the server saw the same sessions: {sessions:?}"
    );
}

/// A connection lives, and its peer is silent about the session that it was offered: it may have died since it spoke.
pub(crate) async fn a_peer_that_does_not_answer_is_never_up(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = a.probe_with_events("events");
    probe.until("Up of b", |seen| seen.len() == 1).await;
    let told = c.harness().misbehave(a.place(), Misbehaviour::NoAnswer).await;
    assert!(matches!(told, Greeted::Refused(_)), "it is waited for, and not for ever: {told:?}");
    // Behind whatever was told of it.
    Traffic::new(&a, to(&["a"]), &server("events")).cast().await;
    probe.until_number(a.name(), 0).await;
    let seen = probe.records();
    assert_eq!(seen.len(), 2, "it was never there: {seen:?}");
    assert_eq!(a.list(), [b.node()], "the link with b is another");
}

pub(crate) async fn the_greater_name_alone_can_dial(c: &Cluster) {
    c.harness().block_dials(&"a".into(), &"b".into()).await;
    let a = c.start("a", &[]).await;
    let b = c.start("b", &["a"]).await;
    assert_eq!(a.events().up(&node("b")).await, b.node(), "the chooser takes a connection that the other dialled");
}

pub(crate) async fn the_smaller_name_alone_can_dial(c: &Cluster) {
    c.harness().block_dials(&"b".into(), &"a".into()).await;
    let b = c.start("b", &[]).await;
    let a = c.start("a", &["b"]).await;
    assert_eq!(b.events().up(&node("a")).await, a.node(), "the taker accepts a connection of the chooser");
}

pub(crate) async fn links_are_pairwise(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.until_linked(&[node("b"), node("d")]).await;
    at_b.until_linked(&[node("a"), node("d")]).await;
    c.harness().cut(a.place(), d.place()).await;
    at_a.down(d.name()).await;
    c.hold(c.t() * 2).await;
    assert_eq!(a.list(), [b.node()], "a keeps b");
    assert_eq!(b.list(), [a.node(), d.node()], "b keeps both");
    at_b.quiet(Duration::from_millis(1), "b's links are its own").await;
}
