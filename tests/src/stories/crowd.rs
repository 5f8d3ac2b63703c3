//! Many nodes at once.

use super::player::Player;
use crate::toolkit::Cluster;
use tokio::time::timeout;

const NODES: usize = 50;

/// Fifty nodes start with one seed, all at once, and ping before they have found each other: all end with all counts,
/// and each is linked with each.
pub(super) async fn fifty_nodes_join_at_once(c: &Cluster) {
    let names: Vec<String> = (0..NODES).map(|number| format!("n{number:02}")).collect();
    let mut players = Vec::new();
    for name in &names {
        players.push(Player::on(c.start(name, &["n00"]).await).await);
    }
    for player in &players {
        player.pings(2).await;
    }
    let patience = c.timing().patience() * 2;
    for player in &players {
        let all =
            |read: &pingpong_core::exercise::LocalRead| read.values.len() == NODES && read.total == 2 * NODES as u128;
        let right = timeout(patience, player.exercise.local_until(all)).await;
        assert!(right.is_ok(), "{} knows {:?}", player.name(), player.exercise.local().values);
        let others: Vec<_> = players.iter().map(Player::name).filter(|name| *name != player.name()).cloned().collect();
        player.node.events().until_linked(&others).await;
    }
}
