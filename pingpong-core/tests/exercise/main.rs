//! The producer, the consumer and the mesh together where nobody is a member, and so all pass on what they know. With members, and over QUIC,
//! all scenarios of `docs/counts.md` are in `tests/tests/counts`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // helpers of tests; seeds and costs are shown

mod cluster;
mod cost;
mod random;

use cluster::{Cluster, at, soon};
use pingpong_core::Transport;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn scenario_02_a_consumer_crashes_while_pings_go_on() {
    for seed in 0..10 {
        let cluster = Cluster::of(seed, &["a", "b", "c"]).await;
        for (from, to) in [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")] {
            cluster.network.delay(&at(from), &at(to), Duration::from_millis(1), Duration::from_millis(30));
        }
        let mut before = cluster.on("c").local();
        for round in 0..60 {
            cluster.ping(["a", "b"][round % 2], 1).await;
            if round % 5 == 4 {
                cluster.on("c").consumer().crash().await;
            }
            tokio::time::sleep(Duration::from_millis(7)).await;
            let now = cluster.on("c").local();
            for (producer, value) in &before.values {
                assert!(now.values[producer] >= *value, "a count went back");
            }
            before = now;
        }
        cluster.all_know(&[("a", 30), ("b", 30), ("c", 0)]).await;
        assert_eq!(cluster.on("c").consumer().restarts(), 12);
    }
}

/// The consumer alone crashes; its node's store outlives it.
/// The process is killed, and the store in memory with it.
#[tokio::test(start_paused = true)]
async fn scenario_04_and_one_producer_is_gone_for_good() {
    let mut cluster = Cluster::of(4, &["a", "b", "c"]).await;
    cluster.cut_off("c");
    cluster.sees("c", &[]).await;
    cluster.ping("b", 9).await;
    cluster.knows("a", &[("a", 0), ("b", 9), ("c", 0)]).await;
    cluster.kill("b");
    cluster.kill("c");
    cluster.boot("c").await;
    cluster.exercise("c");
    cluster.network.heal_all();
    cluster.all_know(&[("a", 0), ("b", 9), ("c", 0)]).await;
}

#[tokio::test(start_paused = true)]
async fn scenario_05_a_bridge_carries_counts_between_nodes_that_are_not_linked() {
    let mut cluster = Cluster::new(5);
    cluster.network.cut(&at("a"), &at("c"));
    for node in ["a", "b", "c"] {
        cluster.boot(node).await;
        cluster.exercise(node);
    }
    cluster.sees("b", &["a", "c"]).await;
    for _ in 0..20 {
        cluster.ping("a", 1).await;
    }
    cluster.ping("c", 3).await;
    cluster.all_know(&[("a", 20), ("b", 0), ("c", 3)]).await;
    assert_eq!(cluster.mesh("a").list().len(), 1, "there was no other way");
}

/// Nothing but the question can bring the counts: the links are up before the consumer is, and nobody gossips.
#[tokio::test(start_paused = true)]
async fn when_a_node_leaves_its_servers_end_in_peace_and_nothing_that_it_pinged_is_lost() {
    let cluster = Cluster::of(6, &["a", "b", "c"]).await;
    cluster.ping("a", 4).await;
    assert!(soon("shutdown", cluster.mesh("a").shutdown(Duration::from_secs(5))).await.flushed);
    assert_eq!(soon("the servers' end", cluster.on("a").stopped()).await, Ok(()));
    cluster.all_know(&[("a", 4), ("b", 0), ("c", 0)]).await;
}
