//! The pace of the peer exchange and of heartbeats, which the machine leaves to the driver (N17, N18).

use super::*;
use crate::session::{TICKS_PER_HEARTBEAT, TICKS_PER_TIMEOUT};

/// The failure timeout of these nodes, the default.
const T: Duration = Duration::from_secs(2);

/// Waits for a link of `node` with that name.
async fn link_with(node: &Mesh<PipeLink>, other: &NodeName, limit: Duration) {
    let mut events = node.monitor();
    let wait = async { while events.next().await.expect("the node runs").node.name != *other {} };
    assert!(tokio::time::timeout(limit, wait).await.is_ok(), "{other} is not linked; linked: {:?}", node.list());
}

/// All neighbours of a newcomer had a link with `a` before: only their digests say that there is news. It is read as soon as they stand
/// still, and not only after the failure timeout, as one that never does.
#[tokio::test(start_paused = true)]
async fn who_cannot_be_dialled_by_a_newcomer_learns_of_it_from_a_digest() {
    let pipes = Pipes::default();
    let (a, b) = (start(&pipes, "a", &[]).await, start(&pipes, "b", &["a"]).await);
    linked(&[&a, &b]).await;
    let mut newcomers = Vec::new();
    for newcomer in ["x", "y"] {
        pipes.block_dials(&name(newcomer), &name("a"));
        newcomers.push(start(&pipes, newcomer, &["b"]).await);
        link_with(&a, &name(newcomer), 3 * T / 4).await;
    }
    linked(&[&a, &b, &newcomers[0], &newcomers[1]]).await;
}

/// The same, while others come to `b` and leave it all the time, so that its digest is never twice the same.
#[tokio::test(start_paused = true)]
async fn a_digest_that_never_settles_is_read_all_the_same() {
    let pipes = Pipes::default();
    let (a, b) = (start(&pipes, "a", &[]).await, start(&pipes, "b", &["a"]).await);
    linked(&[&a, &b]).await;
    let passing: Vec<NodeName> = (0..400).map(|n| name(&format!("p{n}"))).collect();
    for one in &passing {
        pipes.block_dials(one, &name("a"));
        pipes.block_dials(&name("a"), one);
    }
    pipes.block_dials(&name("x"), &name("a"));
    let mut to_b = b.monitor();
    let began = Instant::now();
    let churn = async {
        for one in &passing {
            let comes = start(&pipes, one.as_str(), &["b"]).await;
            while to_b.next().await.expect("the node runs").node.name != *one {}
            // Less than a heartbeat, so that two of them never say the same.
            tokio::time::sleep(T / TICKS_PER_TIMEOUT).await;
            comes.shutdown(Duration::ZERO).await;
        }
        panic!("x is not linked after {:?}; linked: {:?}", began.elapsed(), a.list());
    };
    let x = async {
        let x = start(&pipes, "x", &["b"]).await;
        link_with(&a, &name("x"), 1_000 * T).await;
        x
    };
    tokio::select! {
        // Sooner, the digest had stood still, and the test would be another.
        _x = x => assert!((3 * T / 4..4 * T).contains(&began.elapsed()), "{:?}", began.elapsed()),
        () = churn => {}
    }
}

/// What `x` asks its neighbours comes in parts, of which one goes out in a tick. Nobody can dial it.
#[tokio::test(start_paused = true)]
async fn names_that_come_in_many_parts_are_all_learned() {
    let pipes = Pipes::default();
    pipes.add_addresses(7);
    let mut nodes = Vec::new();
    for n in 10..60 {
        let own = format!("n{n}");
        pipes.block_dials(&name(&own), &name("x"));
        nodes.push(start(&pipes, &own, &["n10"]).await);
    }
    linked(&nodes.iter().collect::<Vec<_>>()).await;
    nodes.push(start(&pipes, "x", &["n10"]).await);
    linked(&nodes.iter().collect::<Vec<_>>()).await;
}

/// Every link has a heartbeat with every second tick; from 33 links on, with every fourth.
#[tokio::test(start_paused = true)]
async fn a_node_with_many_links_has_half_as_many_heartbeats_for_each() {
    for (count, ticks) in [(3, TICKS_PER_HEARTBEAT), (33, TICKS_PER_HEARTBEAT), (34, 2 * TICKS_PER_HEARTBEAT)] {
        let pipes = Pipes::default();
        let mut nodes = Vec::new();
        for n in 0..count {
            nodes.push(start(&pipes, &format!("n{n}"), &["n0"]).await);
        }
        linked(&nodes.iter().collect::<Vec<_>>()).await;
        let before = pipes.datagrams();
        tokio::time::sleep(10 * T).await;
        let (sent, links) = (pipes.datagrams() - before, (count * (count - 1)) as u64);
        let expected = links * u64::from(10 * TICKS_PER_TIMEOUT / ticks);
        // A tick at the edge may be in or out.
        assert!(sent.abs_diff(expected) <= links, "{count} nodes: {sent} heartbeats, not {expected}");
    }
}
