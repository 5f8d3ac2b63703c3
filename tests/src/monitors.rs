//! Monitors that begin, or sleep, while much happens (M2, M8).

use crate::harness::StartOptions;
use crate::toolkit::{Cluster, Events, node, options};
use pingpong_core::NodeEvent;
use pingpong_core::config::Limits;
use std::time::Duration;

/// Flaps of a link, and monitors taken at each stage of each.
const FLAPS: usize = 5;
/// Names that come and go: more than a node of [`few`] remembers.
const NAMES: usize = 40;

/// Whether the last that a monitor was shown of a name is `Up`; `None` if it was shown nothing.
fn last_is_up(events: &Events, name: &str) -> Option<bool> {
    events.log().iter().rev().find(|event| event.node.name == node(name)).map(NodeEvent::is_up)
}

pub(crate) async fn a_monitor_that_begins_while_links_flap_misses_nothing(c: &Cluster) {
    let [a, b, _d] = c.linked(["a", "b", "d"]).await;
    let mut fast = a.events();
    fast.until_linked(&[node("b"), node("d")]).await;
    let mut taken = Vec::new();
    for _ in 0..FLAPS {
        taken.push(a.events());
        assert!(a.disconnect(b.name()).await, "there was a session");
        taken.push(a.events());
        fast.down(b.name()).await;
        taken.push(a.events());
        fast.up(b.name()).await;
    }
    for (number, events) in taken.iter_mut().enumerate() {
        events.drain().await;
        events.check_alternation();
        assert_eq!(last_is_up(events, "b"), Some(true), "monitor {number} knows of b; seen {:?}", events.log());
        assert_eq!(last_is_up(events, "d"), Some(true), "monitor {number} knows of d; seen {:?}", events.log());
        let of_d = events.log().iter().filter(|event| event.node.name == node("d")).count();
        assert_eq!(of_d, 1, "monitor {number}: d was linked all the time; seen {:?}", events.log());
        // The first three were taken within the first flap.
        let resets = FLAPS as u64 - (number as u64).div_ceil(3);
        assert!(events.downs() >= resets, "monitor {number} has {resets} resets before it; seen {:?}", events.log());
    }
}

fn few(mut options: StartOptions) -> StartOptions {
    options.limits = Some(Limits { max_peers: 8, ..options.limits.unwrap_or_default() });
    options
}

pub(crate) async fn a_monitor_that_sleeps_while_many_names_come_and_go_shows_the_present(c: &Cluster) {
    let a = c.start_with(few(options("a", &[]))).await;
    let stays = c.start("stays", &["a"]).await;
    let (mut unread, mut fast) = (a.events(), a.events());
    unread.up(stays.name()).await;
    fast.up(stays.name()).await;
    // It was shown, and is long forgotten when the monitor is read again.
    let first = c.start("first", &["a"]).await;
    unread.up(first.name()).await;
    fast.up(first.name()).await;
    c.stop(&first, c.timing().within(c.t())).await;
    fast.down(first.name()).await;
    for number in 0..NAMES {
        let guest = c.start(&format!("n{number:02}"), &["a"]).await;
        fast.up(guest.name()).await;
        c.stop(&guest, c.timing().within(c.t())).await;
        fast.down(guest.name()).await;
        if number % 8 == 0 {
            a.disconnect(stays.name()).await;
            fast.down(stays.name()).await;
            fast.up(stays.name()).await;
        }
    }
    let last = c.start("z", &["a"]).await;
    fast.up(last.name()).await;
    unread.drain().await;
    unread.check_alternation();
    assert_eq!(last_is_up(&unread, "stays"), Some(true), "it is linked; seen {:?}", unread.log());
    assert_eq!(last_is_up(&unread, "first"), Some(false), "it is gone; seen {:?}", unread.log());
    assert_eq!(last_is_up(&unread, "z"), Some(true), "so is the last one; seen {:?}", unread.log());
    for number in 0..NAMES {
        let name = format!("n{number:02}");
        assert_ne!(last_is_up(&unread, &name), Some(true), "{name} is gone; seen {:?}", unread.log());
    }
    let of_stays = unread.log().iter().filter(|event| event.node.name == *stays.name()).count();
    assert_eq!(of_stays, 3, "its resets are folded into one; seen {:?}", unread.log());
    assert!(unread.log().len() <= 6 + 2 * NAMES, "a pair for each name at most; seen {:?}", unread.log());
    unread.quiet(Duration::from_millis(1), "that was all").await;
}
