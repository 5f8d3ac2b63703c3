//! Why a session ended, each cause on its own (M5). Where time is exact, nothing but the cause decides.

use crate::harness::{Greeted, Misbehaviour, STRANGER};
use crate::toolkit::{Cluster, Record, TestNode, node, options};
use pingpong_core::DownReason;
use std::time::Duration;

pub(crate) async fn a_one_way_cut_is_lost_to_the_deaf_and_lost_us_to_the_other(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        let (mut at_from, mut at_to) = (from.events(), to.events());
        at_from.up(to.name()).await;
        at_to.up(from.name()).await;
        c.harness().cut_one_way(from.place(), to.place()).await;
        assert_eq!(at_to.down(from.name()).await.1, DownReason::Lost, "{to:?} hears nothing");
        let (_, reason) = at_from.down(to.name()).await;
        // The close may get lost, and then silence is all that the other side has.
        let fits = reason == DownReason::PeerLostUs || (!c.timing().exact && reason == DownReason::Lost);
        assert!(fits, "{from:?} hears that it is not heard: {reason}");
        c.harness().heal_all().await;
        at_from.up(to.name()).await;
        at_to.up(from.name()).await;
    }
}

/// Restarts `b`, whose process is gone without a word, at that place at once, and checks what its peer `a` says of it.
async fn restarts(c: &Cluster, a: &TestNode, b: TestNode, place: &str) {
    let mut events = a.events();
    let old = events.up(b.name()).await;
    c.crash(b).await;
    let mut again = options("b", &["a"]);
    again.place = place.into();
    let b = c.start_with(again).await;
    let (down, reason) = events.down(b.name()).await;
    assert_eq!(down, old, "the life that ended");
    // Where time is not exact, the old life may be found dead before the new one has answered.
    let fits = reason == DownReason::Replaced || (!c.timing().exact && reason == DownReason::Lost);
    assert!(fits, "the new life answered before anybody missed the old one: {reason}");
    assert_eq!(events.up(b.name()).await, b.node(), "the new life");
}

pub(crate) async fn a_quick_restart_is_down_as_replaced(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    restarts(c, &a, b, "b").await;
}

/// At another place nothing but the failure detector can tell that the old life is gone, and that takes longer.
pub(crate) async fn a_quick_restart_elsewhere_is_down_as_replaced(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    restarts(c, &a, b, "b2").await;
}

pub(crate) async fn a_restart_after_the_verdict_is_down_as_lost(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    let old = events.up(b.name()).await;
    c.crash(b).await;
    assert_eq!(events.down(&node("b")).await, (old, DownReason::Lost), "nobody had answered for it yet");
    let b = c.start("b", &["a"]).await;
    assert_eq!(events.up(b.name()).await, b.node(), "the new life");
}

pub(crate) async fn a_peer_that_breaks_the_protocol_is_down_with_words(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    // A server is told of each session, however short it is; a monitor folds what it does not read in time.
    let probe = a.probe_with_events("events");
    let mut at_b = b.events();
    at_b.up(a.name()).await;
    let mut seen = probe.until("Up of b", |seen| seen.len() == 1).await.len();
    for how in Misbehaviour::LINKED {
        let said = c.harness().misbehave(a.place(), how).await;
        let records = probe.until("Up and Down of the stranger", |records| records.len() == seen + 2).await;
        let (up, down) = (&records[seen], &records[seen + 1]);
        seen += 2;
        let (Record::Up(came), Record::Down(went, DownReason::Protocol(words))) = (up, down) else {
            panic!("{how:?}: the stranger was linked, and broke the protocol; seen {up:?}, {down:?}");
        };
        assert_eq!((came, &went.name), (went, &node(STRANGER)), "one life of it");
        assert!(!words.is_empty(), "{how:?}: the words say how");
        let told = matches!(&said, Greeted::Refused(told) if told.contains(words));
        assert!(told, "{how:?}: who broke it is told {words:?}, and got {said:?}");
    }
    at_b.quiet(Duration::from_millis(1), "the link with b is another").await;
    assert_eq!(probe.records().len(), seen, "on both sides");
}
