//! The producer, the consumer and the mesh together: scenarios of `docs/counts.md`, each named by its number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // helpers of tests; seeds and costs are shown

mod cluster;
mod cost;
mod random;

use cluster::{Cluster, LONG, at, name, soon};
use pingpong_core::Transport;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test(start_paused = true)]
async fn scenario_01_each_of_three_pings_a_hundred_times() {
    let cluster = Cluster::of(1, &["a", "b", "c"]).await;
    for _ in 0..100 {
        for node in ["a", "b", "c"] {
            cluster.ping(node, 1).await;
        }
    }
    cluster.all_know(&[("a", 100), ("b", 100), ("c", 100)]).await;
    let replies = soon("consumers", cluster.on("a").ask_consumers(LONG)).await.unwrap();
    let totals: Vec<u128> = replies.replies.iter().map(|reply| reply.reply.total()).collect();
    assert_eq!((totals, replies.failed.len()), (vec![300; 3], 0));
}

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
#[tokio::test(start_paused = true)]
async fn scenario_03_a_consumer_crashes_during_a_partition() {
    let cluster = Cluster::of(3, &["a", "b", "c"]).await;
    cluster.ping("c", 1).await;
    cluster.all_know(&[("a", 0), ("b", 0), ("c", 1)]).await;
    cluster.cut_off("c");
    cluster.sees("c", &[]).await;
    for node in ["a", "b", "c"] {
        cluster.ping(node, 10).await;
    }
    cluster.on("c").consumer().crash().await;
    cluster.knows("c", &[("a", 0), ("b", 0), ("c", 11)]).await;
    cluster.knows("b", &[("a", 10), ("b", 10), ("c", 1)]).await;
    cluster.network.heal_all();
    cluster.all_know(&[("a", 10), ("b", 10), ("c", 11)]).await;
}

/// The process is killed, and the store in memory with it.
#[tokio::test(start_paused = true)]
async fn scenario_03_a_store_is_lost_during_a_partition() {
    let mut cluster = Cluster::of(3, &["a", "b", "c"]).await;
    cluster.ping("c", 5).await;
    cluster.all_know(&[("a", 0), ("b", 0), ("c", 5)]).await;
    cluster.cut_off("c");
    cluster.sees("a", &["b"]).await;
    cluster.ping("a", 10).await;
    cluster.kill("c");
    cluster.boot("c").await;
    cluster.exercise("c");
    cluster.ping("c", 2).await;
    cluster.knows("c", &[("c", 2)]).await;
    cluster.network.heal_all();
    cluster.all_know(&[("a", 10), ("b", 0), ("c", 7)]).await;
    let c = cluster.on("c").ledger().counts();
    assert_eq!(
        c.epochs(&name("c")).map(|(_, count)| count).collect::<Vec<_>>(),
        [5, 2],
        "a lost store is a new slot (P4)"
    );
}

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
async fn scenario_11_what_was_pinged_before_and_during_the_start_of_a_consumer_is_counted() {
    for millis in 0..20 {
        let mut cluster = Cluster::new(11);
        cluster.settings.gossip_interval = DAY;
        for node in ["a", "b", "c"] {
            cluster.boot(node).await;
        }
        cluster.linked(&["a", "b", "c"]).await;
        for (from, to) in [("a", "c"), ("c", "a")] {
            cluster.network.delay(&at(from), &at(to), Duration::from_millis(5), Duration::from_millis(5));
        }
        cluster.exercise("a");
        cluster.exercise("b");
        cluster.ping("a", 7).await;
        cluster.exercise("c");
        tokio::time::sleep(Duration::from_millis(millis)).await;
        cluster.ping("a", 1).await;
        cluster.knows("c", &[("a", 8), ("b", 0), ("c", 0)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn scenario_12_a_catch_up_that_runs_into_its_deadline_is_repeated() {
    let mut cluster = Cluster::new(12);
    cluster.settings.gossip_interval = DAY;
    cluster.settings.ask_deadline = Duration::from_millis(100);
    for node in ["a", "b", "c"] {
        cluster.boot(node).await;
    }
    cluster.linked(&["a", "b", "c"]).await;
    cluster.exercise("a");
    cluster.exercise("b");
    cluster.ping("a", 7).await;
    cluster.knows("b", &[("a", 7), ("b", 0)]).await;
    for other in ["a", "b"] {
        cluster.network.delay(&at(other), &at("c"), Duration::from_millis(400), Duration::ZERO);
    }
    cluster.exercise("c");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(cluster.on("c").local().total, 0, "nobody could answer in time");
    assert_eq!(cluster.mesh("c").list().len(), 2, "and yet the links are up");
    for other in ["a", "b"] {
        cluster.network.delay(&at(other), &at("c"), Duration::ZERO, Duration::ZERO);
    }
    cluster.knows("c", &[("a", 7), ("b", 0), ("c", 0)]).await;
}

#[tokio::test(start_paused = true)]
async fn scenario_13_a_producer_that_starts_late_tells_its_count_without_a_ping() {
    let mut cluster = Cluster::new(13);
    cluster.settings.gossip_interval = DAY;
    for node in ["a", "b", "c"] {
        cluster.boot(node).await;
    }
    cluster.linked(&["a", "b", "c"]).await;
    cluster.exercise("c");
    cluster.ping("c", 5).await;
    cluster.rest("c").await;
    cluster.exercise("a");
    cluster.exercise("b");
    cluster.knows("a", &[("a", 0), ("b", 0)]).await;
    cluster.exercise("c");
    cluster.all_know(&[("a", 0), ("b", 0), ("c", 5)]).await;
}

#[tokio::test(start_paused = true)]
async fn when_a_node_leaves_its_servers_end_in_peace_and_nothing_that_it_pinged_is_lost() {
    let cluster = Cluster::of(6, &["a", "b", "c"]).await;
    cluster.ping("a", 4).await;
    assert!(soon("shutdown", cluster.mesh("a").shutdown(Duration::from_secs(5))).await.flushed);
    assert_eq!(soon("the servers' end", cluster.on("a").stopped()).await, Ok(()));
    cluster.all_know(&[("a", 4), ("b", 0), ("c", 0)]).await;
}
