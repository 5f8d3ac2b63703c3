//! The failure detector, and how links come back (M6, M7).

use crate::toolkit::{Cluster, node, options};
use pingpong_core::DownReason;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) async fn a_silent_peer_is_down_within_the_failure_timeout(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    c.harness().cut(a.place(), b.place()).await;
    let bound = c.timing().within(c.t());
    let start = Instant::now();
    let (_, reason) = at_a.down_within(bound, b.name()).await;
    at_b.down_within(bound.saturating_sub(start.elapsed()), a.name()).await;
    assert_eq!(reason, DownReason::Lost, "silence is the failure detector's verdict");
    if c.timing().exact {
        assert!(start.elapsed() >= c.t() / 2, "not before half of the timeout (F2); seen {:?}", start.elapsed());
    }
}

pub(crate) async fn a_crashed_peer_is_down_within_the_failure_timeout(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    c.crash(b).await;
    let (_, reason) = events.down_within(c.timing().within(c.t()), &node("b")).await;
    assert_eq!(reason, DownReason::Lost, "it said nothing");
}

pub(crate) async fn a_distant_peer_is_not_lost(c: &Cluster) {
    c.harness().delay(&"a".into(), &"b".into(), c.t() / 8).await;
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    events.quiet(c.t() * 4, "b is far away, and alive").await;
}

pub(crate) async fn an_idle_link_stays(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    at_a.quiet(c.t() * 5, "nothing happens").await;
    at_b.quiet(Duration::from_millis(1), "nothing happened").await;
}

pub(crate) async fn a_short_stall_of_a_node_is_no_failure(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    c.harness().stall(b.place()).await;
    c.hold(c.t() * 3 / 8).await;
    c.harness().resume(b.place()).await;
    at_a.quiet(c.t() * 2, "b stood still for less than half the timeout").await;
    at_b.quiet(Duration::from_millis(1), "and finds its peers where they were").await;
}

/// As a host that was suspended: nobody ran, so nobody was silent. What is cut a little longer than that shows that the peers
/// have a whole interval from then on, and not what was left of the one before.
pub(crate) async fn a_pause_of_the_own_process_is_nobodys_silence(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    for timeouts in [2, 5] {
        let start = Instant::now();
        c.harness().cut(a.place(), b.place()).await;
        c.harness().suspend(c.t() * timeouts).await;
        assert!(start.elapsed() >= c.t() * timeouts, "the process stood still: {:?}", start.elapsed());
        c.hold(c.t() / 4).await;
        c.harness().heal_all().await;
        at_a.quiet(c.t() * 5 / 4, "b gets a fresh interval").await;
        at_b.quiet(Duration::from_millis(1), "and so does a").await;
    }
    c.harness().suspend(c.t() * 2).await;
    c.harness().cut(a.place(), b.place()).await;
    at_a.down_within(c.timing().within(c.t()), b.name()).await;
}

pub(crate) async fn a_link_returns_after_a_heal_without_traffic(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    c.harness().cut(a.place(), b.place()).await;
    at_a.down(b.name()).await;
    at_b.down(a.name()).await;
    c.hold(c.t() * 2).await;
    c.harness().heal(a.place(), b.place()).await;
    assert_eq!(at_a.up(b.name()).await, b.node(), "nobody had to send something first");
    assert_eq!(at_b.up(a.name()).await, a.node(), "on both sides");
}

pub(crate) async fn a_link_returns_after_a_disconnect(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    a.disconnect(b.name()).await;
    at_a.down(b.name()).await;
    at_a.up(b.name()).await;
    at_b.down(a.name()).await;
    at_b.up(a.name()).await;
}

pub(crate) async fn a_seed_that_starts_later_is_found(c: &Cluster) {
    let a = c.start("a", &["b"]).await;
    c.hold(c.t() * 4).await;
    let b = c.start("b", &[]).await;
    assert_eq!(a.events().up(&node("b")).await, b.node(), "a configured seed is dialled for ever");
}

pub(crate) async fn nodes_learn_of_each_other_from_a_common_neighbour(c: &Cluster) {
    let _a = c.start("a", &[]).await;
    let b = c.start("b", &["a"]).await;
    let d = c.start("d", &["a"]).await;
    assert_eq!(b.events().up(&node("d")).await, d.node(), "a told b of d");
    assert_eq!(d.events().up(&node("b")).await, b.node(), "a told d of b");
}

pub(crate) async fn a_node_that_moved_is_found_by_the_word_of_a_neighbour(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let mut at_b = b.events();
    at_b.until_linked(&[node("a"), node("d")]).await;
    c.crash(d).await;
    at_b.down(&node("d")).await;
    // It cannot dial b by itself, so b must hear of the new place from a.
    c.harness().block_dials(&"d2".into(), b.place()).await;
    let mut moved = options("d", &["a"]);
    moved.place = "d2".into();
    let d = c.start_with(moved).await;
    assert_eq!(at_b.up(&node("d")).await, d.node(), "a told b where d is now");
    assert_eq!(a.list(), [b.node(), d.node()], "a has both");
}

pub(crate) async fn a_seed_leads_to_whoever_lives_there_now(c: &Cluster) {
    let a = c.start("a", &["b"]).await;
    let b = c.start("b", &[]).await;
    let mut events = a.events();
    let old = events.up(b.name()).await;
    c.crash(b).await;
    events.down(&node("b")).await;
    let mut other = options("x", &[]);
    other.place = "b".into();
    let x = c.start_with(other).await;
    assert_eq!(events.up(&node("x")).await, x.node(), "a dialled its seed's place, where x lives now");
    let mut moved = options("b", &["a"]);
    moved.place = "b2".into();
    let b = c.start_with(moved).await;
    let new = events.up(b.name()).await;
    assert!(new.incarnation > old.incarnation, "and the one that lived there is welcome elsewhere: {new} after {old}");
    assert_eq!(a.list(), [b.node(), x.node()], "both are linked");
}

pub(crate) async fn the_last_known_address_suffices(c: &Cluster) {
    let a = c.start("a", &[]).await;
    let b = c.start("b", &["a"]).await;
    let mut events = a.events();
    let old = events.up(b.name()).await;
    c.crash(b).await;
    events.down(&node("b")).await;
    let b = c.start("b", &[]).await;
    let new = events.up(b.name()).await;
    assert!(new.incarnation > old.incarnation, "a dialled the place where b was, which has no seed now");
}

pub(crate) async fn an_address_on_either_side_suffices(c: &Cluster) {
    let a = c.start("a", &[]).await;
    let b = c.start("b", &["a"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    c.harness().block_dials(b.place(), a.place()).await;
    a.disconnect(b.name()).await;
    events.down(b.name()).await;
    events.up(b.name()).await;
}

pub(crate) async fn a_forgotten_node_is_not_dialled(c: &Cluster) {
    let a = c.start("a", &[]).await;
    let b = c.start("b", &["a"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    c.crash(b).await;
    events.down(&node("b")).await;
    let b = c.start("b", &[]).await;
    events.up(b.name()).await;
    let mut at_b = b.events();
    at_b.up(a.name()).await;
    assert!(a.forget(b.name()).await, "the name was known");
    assert_eq!(events.down(b.name()).await.1, DownReason::Forgotten, "here");
    assert_eq!(at_b.down(a.name()).await.1, DownReason::Forgotten, "and there");
    events.quiet(c.t() * 4, "neither side is the other's seed, so neither dials").await;
    c.crash(b).await;
    c.start_with(options("b", &["a"])).await;
    events.up(&node("b")).await;
}

pub(crate) async fn a_node_that_was_gone_for_long_is_forgotten(c: &Cluster) {
    let mut forgetful = options("a", &[]);
    forgetful.forget_after = Some(c.t() * 6);
    let a = c.start_with(forgetful).await;
    let b = c.start("b", &["a"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    c.crash(b).await;
    events.down(&node("b")).await;
    c.hold(c.t() * 2).await;
    let b = c.start("b", &[]).await;
    events.up(b.name()).await;
    c.crash(b).await;
    events.down(&node("b")).await;
    c.hold(c.t() * 8).await;
    let b = c.start("b", &[]).await;
    events.quiet(c.t() * 4, "b was gone for longer than a looks for it, and neither is the other's seed").await;
    c.crash(b).await;
    c.start_with(options("b", &["a"])).await;
    events.up(&node("b")).await;
}

pub(crate) async fn a_seed_that_forgot_is_dialled_again(c: &Cluster) {
    let a = c.start("a", &[]).await;
    let b = c.start("b", &["a"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    a.forget(b.name()).await;
    events.down(b.name()).await;
    events.up(b.name()).await;
}

pub(crate) async fn a_leaver_is_not_dialled_but_may_return(c: &Cluster) {
    let a = c.start("a", &[]).await;
    let b = c.start("b", &["a"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    c.stop(&b, c.t()).await;
    events.down(b.name()).await;
    let b = c.start("b", &[]).await;
    events.quiet(c.t() * 2, "b left, has no seed, and is not a's seed").await;
    c.stop(&b, c.t()).await;
    c.start("b", &["a"]).await;
    events.up(&node("b")).await;
}

pub(crate) async fn all_links_return_after_a_long_partition(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let mut events = a.events();
    events.until_linked(&[node("b"), node("d")]).await;
    c.harness().partition(&[vec![a.place().clone()], vec![b.place().clone(), d.place().clone()]]).await;
    events.down(b.name()).await;
    events.down(d.name()).await;
    c.hold(c.t() * 10).await;
    c.harness().heal_all().await;
    events.up(b.name()).await;
    events.up(d.name()).await;
}
