//! Faults that come together.

use super::player::{Player, all_know, players};
use crate::harness::Place;
use crate::toolkit::{Cluster, node};

fn alone(name: &str, others: &[&str]) -> Vec<Vec<Place>> {
    vec![vec![Place::from(name)], others.iter().copied().map(Place::from).collect()]
}

/// A node is cut off, its process crashes and loses its store, it restarts, and the cut heals: it has every count again, its
/// own included, and goes on in a new epoch.
pub(super) async fn a_consumer_that_loses_its_store_in_a_partition_gets_everything_back(c: &Cluster) {
    let [x, y, z] = players(c, ["x", "y", "z"]).await;
    x.pings(2).await;
    z.pings(3).await;
    all_know(&[&x, &y, &z], &[("x", 2), ("y", 0), ("z", 3)]).await;
    c.harness().partition(&alone("z", &["x", "y"])).await;
    x.node.events().until_linked_only(&[node("y")]).await;
    c.crash(z.node.clone()).await;
    drop(z);
    y.pings(4).await;
    let z = Player::on(c.start("z", &["x", "y"]).await).await;
    z.pings(1).await;
    z.knows(&[("z", 1)]).await;
    c.harness().heal_all().await;
    all_know(&[&x, &y, &z], &[("x", 2), ("y", 4), ("z", 4)]).await;
}

/// A consumer crashes within a partition, alone: its node, its producer and its store live on, and so does each side.
pub(super) async fn a_consumer_that_crashes_in_a_partition_catches_up(c: &Cluster) {
    let [x, y, z] = players(c, ["x", "y", "z"]).await;
    x.pings(2).await;
    z.pings(3).await;
    all_know(&[&x, &y, &z], &[("x", 2), ("y", 0), ("z", 3)]).await;
    c.harness().partition(&alone("z", &["x", "y"])).await;
    z.node.events().until_linked_only(&[]).await;
    x.node.events().until_linked_only(&[node("y")]).await;
    for player in [&z, &y] {
        x.pings(1).await;
        z.pings(2).await;
        player.exercise.consumer().crash().await;
        x.pings(3).await;
        z.pings(4).await;
    }
    all_know(&[&x, &y], &[("x", 10), ("y", 0), ("z", 3)]).await;
    z.knows(&[("x", 2), ("y", 0), ("z", 15)]).await;
    c.harness().heal_all().await;
    all_know(&[&x, &y, &z], &[("x", 10), ("y", 0), ("z", 15)]).await;
}

/// A producer pings, and is gone for good before a cut heals: its counts come from the consumers that saw them.
pub(super) async fn the_counts_of_a_producer_that_is_gone_for_good_survive_with_the_others(c: &Cluster) {
    let [x, y, z] = players(c, ["x", "y", "z"]).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 0)]).await;
    c.harness().partition(&alone("z", &["x", "y"])).await;
    z.node.events().until_linked_only(&[]).await;
    x.pings(9).await;
    y.knows(&[("x", 9), ("y", 0), ("z", 0)]).await;
    c.crash(x.node.clone()).await;
    drop(x);
    c.harness().heal_all().await;
    all_know(&[&y, &z], &[("x", 9), ("y", 0), ("z", 0)]).await;
}

/// `x` and `z` never see each other; what one pings reaches the other through `y`.
pub(super) async fn counts_cross_a_bridge(c: &Cluster) {
    c.harness().cut(&Place::from("x"), &Place::from("z")).await;
    let x = Player::on(c.start("x", &["y"]).await).await;
    let y = Player::on(c.start("y", &[]).await).await;
    let z = Player::on(c.start("z", &["y"]).await).await;
    y.node.events().until_linked(&[node("x"), node("z")]).await;
    x.pings(5).await;
    z.pings(6).await;
    all_know(&[&x, &y, &z], &[("x", 5), ("y", 0), ("z", 6)]).await;
    x.node.events().until_linked_only(&[node("y")]).await;
}

/// Ten cuts, each healed after both sides noticed, each time another node alone, and everybody pings all the time.
pub(super) async fn ten_partitions_in_a_row_with_traffic_lose_nothing(c: &Cluster) {
    let [x, y, z] = players(c, ["x", "y", "z"]).await;
    let names = ["x", "y", "z"];
    for round in 0..10_usize {
        let out = [&x, &y, &z][round % 3];
        let others: Vec<&str> = names.into_iter().filter(|name| *name != out.name().as_str()).collect();
        c.harness().partition(&alone(out.name().as_str(), &others)).await;
        for player in [&x, &y, &z] {
            player.pings(2).await;
        }
        out.node.events().until_linked_only(&[]).await;
        for player in [&x, &y, &z] {
            player.pings(3).await;
        }
        c.harness().heal_all().await;
        let all: Vec<_> = others.iter().map(|name| node(name)).collect();
        out.node.events().until_linked(&all).await;
    }
    all_know(&[&x, &y, &z], &[("x", 50), ("y", 50), ("z", 50)]).await;
}
