//! Who is there: `list`, monitors, and what a slow reader sees (M1 - M5, M8).

use crate::toolkit::{Cluster, Events, TestNode, node};
use pingpong_core::{DownReason, Node, NodeChange, NodeEvent};
use std::time::Duration;

/// How often a link is reset in cases about flaps.
const FLAPS: usize = 4;

pub(crate) async fn list_is_sorted_and_without_the_local_node(c: &Cluster) {
    let [n, b, a, z] = c.linked(["n", "b", "a", "z"]).await;
    for (one, others) in [(&n, [&a, &b, &z]), (&a, [&b, &n, &z]), (&z, [&a, &b, &n])] {
        let expected: Vec<Node> = others.iter().map(|other| other.node()).collect();
        assert_eq!(one.list(), expected, "list() of {one:?}: every linked node by name, never itself");
    }
}

pub(crate) async fn list_of_a_lone_node_is_empty(c: &Cluster) {
    let a = c.start("a", &["b"]).await;
    c.hold(c.t()).await;
    assert_eq!(a.list(), [], "nobody is linked: not the node itself, not a seed that never answered");
}

pub(crate) async fn list_forgets_a_node_that_is_down(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let mut events = a.events();
    events.until_linked(&[node("b"), node("d")]).await;
    c.crash(b).await;
    events.down(&node("b")).await;
    assert_eq!(a.list(), [d.node()], "a crashed node has no session any more");
}

pub(crate) async fn a_monitor_starts_with_an_up_for_each_linked_node(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let mut events = a.events();
    let mut seen = vec![events.any("the first Up").await, events.any("the second Up").await];
    seen.sort_by_key(|event| event.node.clone());
    let up: Vec<Node> = seen.iter().filter(|event| event.is_up()).map(|event| event.node.clone()).collect();
    assert_eq!(up, [b.node(), d.node()], "a new monitor begins with one Up for each; seen {seen:?}");
    let e = c.start("e", &["a"]).await;
    assert_eq!(events.up(&node("e")).await, e.node(), "live events follow");
}

pub(crate) async fn a_monitor_from_before_sees_the_first_node_come(c: &Cluster) {
    let a = c.start("a", &[]).await;
    let mut events = a.events();
    events.quiet(c.t(), "nobody is there").await;
    let b = c.start("b", &["a"]).await;
    assert_eq!(events.up(&node("b")).await, b.node(), "Up names the node that came");
}

pub(crate) async fn every_monitor_sees_every_event(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut monitors: Vec<Events> = (0..5).map(|_| a.events()).collect();
    for events in &mut monitors {
        events.up(&node("b")).await;
    }
    a.disconnect(&node("b")).await;
    for events in &mut monitors {
        assert_eq!(events.down(&node("b")).await.0, b.node(), "each monitor gets the Down");
        assert_eq!(events.up(&node("b")).await, b.node(), "each monitor gets the Up that follows");
    }
}

async fn flap(a: &TestNode, b: &TestNode, events: &mut Events) {
    for flap in 0..FLAPS {
        assert!(a.disconnect(b.name()).await, "flap {flap}: there was a session to reset");
        events.down(b.name()).await;
        events.up(b.name()).await;
    }
}

pub(crate) async fn up_and_down_alternate_on_both_sides(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    flap(&a, &b, &mut at_a).await;
    // The last session is up here, so its number tells what the other side must still see.
    let resets = |log: &[NodeEvent]| log.iter().map(|event| u64::from(!event.is_up()) + event.skipped / 2).sum::<u64>();
    let all = |log: &[NodeEvent]| resets(log) == FLAPS as u64 && log.last().is_some_and(NodeEvent::is_up);
    at_b.until("as many resets as there were", all).await;
    at_b.quiet(c.t() / 4, "and no more").await;
    at_a.check_alternation();
    at_b.check_alternation();
    let downs = at_a.log().iter().filter(|event| !event.is_up()).count();
    assert_eq!(downs, FLAPS, "each reset is one Down here, where it was read in time; seen {:?}", at_a.log());
}

pub(crate) async fn down_names_the_incarnation_that_was_up(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    let up = events.up(b.name()).await;
    a.disconnect(b.name()).await;
    assert_eq!((events.down(b.name()).await.0, up), (b.node(), b.node()), "Up and Down name the same life of b");
}

pub(crate) async fn whoever_has_handled_up_finds_the_node_in_list(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    for round in 0..FLAPS {
        let up = events.up(b.name()).await;
        assert!(a.list().contains(&up), "round {round}: {up} was reported Up, list() is {:?}", a.list());
        a.disconnect(b.name()).await;
        let (down, _) = events.down(b.name()).await;
        // The next session may have begun, then its Up waits in the monitor already.
        if a.list().contains(&down) {
            let next = events.next_within(Duration::from_millis(1), b.name(), "the Up that list() knows of").await;
            assert!(next.is_up(), "round {round}: {down} is in list() after its Down without an Up");
            a.disconnect(b.name()).await;
            events.down(b.name()).await;
        }
    }
}

pub(crate) async fn disconnect_returns_once_the_down_is_in_the_monitors_view(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    assert!(a.disconnect(b.name()).await, "there was a session");
    let event = events.next_within(Duration::from_millis(1), b.name(), "Down, without waiting").await;
    assert_eq!(event.change, NodeChange::Down(DownReason::Disconnected), "its Down was already in the view");
    assert!(!a.disconnect(&node("nobody")).await, "there was no session with a name that nobody has");
}

pub(crate) async fn a_slow_monitor_gets_flaps_folded(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut slow, mut fast) = (a.events(), a.events());
    slow.up(b.name()).await;
    fast.up(b.name()).await;
    flap(&a, &b, &mut fast).await;
    let (_, _) = slow.down(b.name()).await;
    slow.up(b.name()).await;
    slow.quiet(c.t(), "all but one pair was folded").await;
    slow.check_alternation();
    let skipped: u64 = slow.log().iter().map(|event| event.skipped).sum();
    let expected = 2 * (FLAPS as u64 - 1);
    assert_eq!(skipped, expected, "{FLAPS} flaps, one pair is shown; seen {:?}", slow.log());
}

pub(crate) async fn a_monitor_that_was_never_read_shows_the_present(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let (mut unread, mut fast) = (a.events(), a.events());
    fast.until_linked(&[node("b"), node("d")]).await;
    flap(&a, &d, &mut fast).await;
    c.crash(b).await;
    fast.down(&node("b")).await;
    // `fast` has seen the last of it, so it is in everybody's view.
    unread.drain().await;
    unread.check_alternation();
    let last = |name: &str| unread.log().iter().rev().find(|event| event.node.name == node(name)).map(|e| e.is_up());
    assert_eq!(last("d"), Some(true), "d is linked now, however often it flapped; seen {:?}", unread.log());
    assert_ne!(last("b"), Some(true), "b is gone now; seen {:?}", unread.log());
}

pub(crate) async fn unread_monitors_delay_nobody(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let unread: Vec<_> = (0..200).map(|_| a.monitor()).collect();
    let mut fast = a.events();
    fast.up(b.name()).await;
    flap(&a, &b, &mut fast).await;
    assert_eq!(fast.log().iter().map(|event| event.skipped).sum::<u64>(), 0, "a monitor that is read misses nothing");
    drop(unread);
}

pub(crate) async fn a_leaver_is_told_from_a_lost_one(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let mut events = a.events();
    events.until_linked(&[node("b"), node("d")]).await;
    c.stop(&b, c.timing().within(c.t())).await;
    assert_eq!(events.down(&node("b")).await.1, DownReason::Left { flushed: true }, "b said goodbye");
    c.harness().cut(a.place(), d.place()).await;
    assert_eq!(events.down(&node("d")).await.1, DownReason::Lost, "d fell silent");
}

pub(crate) async fn a_reset_by_command_says_so_on_both_sides(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    at_a.up(b.name()).await;
    at_b.up(a.name()).await;
    a.disconnect(b.name()).await;
    assert_eq!(at_a.down(b.name()).await.1, DownReason::Disconnected, "here");
    let there = at_b.down(a.name()).await.1;
    // A close may be overtaken by the next handshake, or get lost.
    let overtaken = !c.timing().exact && there == DownReason::PeerLostUs;
    assert!(there == DownReason::Disconnected || overtaken, "and there: {there}");
}

pub(crate) async fn a_local_shutdown_says_so(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    c.stop(&a, c.t()).await;
    assert_eq!(events.down(b.name()).await.1, DownReason::LocalShutdown, "the node's own view of its end");
}
