//! The four problems of the exercise.

use super::player::{Player, all_know, players};
use crate::harness::Place;
use crate::toolkit::{Cluster, node};
use pingpong_core::exercise::Counts;

/// Problems 1 and 2: pings are cast to all consumers, and each consumer is asked for its counts.
pub(super) async fn pings_reach_every_consumer(c: &Cluster) {
    let [x, y, z] = players(c, ["x", "y", "z"]).await;
    for player in [&x, &y, &z] {
        player.pings(100).await;
    }
    all_know(&[&x, &y, &z], &[("x", 100), ("y", 100), ("z", 100)]).await;
    let asked = x.exercise.ask_consumers(c.timing().patience()).await.expect("the request has an encoded form");
    assert_eq!(asked.failed, [], "every consumer answers");
    let totals: Vec<u128> = asked.replies.iter().map(|answer| Counts::total(&answer.reply)).collect();
    assert_eq!(totals, [300; 3], "each consumer has seen each ping once");
}

/// Problem 3: a consumer crashes while pings go on, and is in step again.
pub(super) async fn a_consumer_that_crashes_counts_on(c: &Cluster) {
    let [x, y, z] = players(c, ["x", "y", "z"]).await;
    for round in 1..=3_u64 {
        x.pings(10).await;
        z.exercise.consumer().crash().await;
        y.pings(10).await;
        let counts = u128::from(round) * 10;
        all_know(&[&x, &y, &z], &[("x", counts), ("y", counts), ("z", 0)]).await;
    }
}

/// Problem 4: both sides of a partition ping, and catch up after the heal.
pub(super) async fn both_sides_of_a_partition_catch_up(c: &Cluster) {
    let [x, y, z] = players(c, ["x", "y", "z"]).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 0)]).await;
    c.harness().partition(&[vec![Place::from("x"), Place::from("y")], vec![Place::from("z")]]).await;
    z.node.events().until_linked_only(&[]).await;
    x.node.events().until_linked_only(&[node("y")]).await;
    x.pings(5).await;
    y.pings(6).await;
    z.pings(7).await;
    all_know(&[&x, &y], &[("x", 5), ("y", 6), ("z", 0)]).await;
    z.knows(&[("x", 0), ("y", 0), ("z", 7)]).await;
    c.harness().heal_all().await;
    all_know(&[&x, &y, &z], &[("x", 5), ("y", 6), ("z", 7)]).await;
}

/// Problem 4, its other half: a node that joins is told what was before it came.
pub(super) async fn a_node_that_joins_learns_what_was_before(c: &Cluster) {
    let [x, y] = players(c, ["x", "y"]).await;
    x.pings(3).await;
    y.pings(4).await;
    let z = Player::on(c.start("z", &["x"]).await).await;
    all_know(&[&x, &y, &z], &[("x", 3), ("y", 4), ("z", 0)]).await;
}
