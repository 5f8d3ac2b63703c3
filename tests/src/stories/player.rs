//! A node that plays the exercise.

use crate::toolkit::{Cluster, TestNode, node};
use futures_util::future::join_all;
use pingpong_core::NodeName;
use pingpong_core::exercise::{Exercise, Ledger, Settings};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// A node with its producer and its consumer.
pub(super) struct Player {
    pub(super) node: TestNode,
    pub(super) exercise: Exercise,
    patience: Duration,
}

impl Player {
    /// Starts both servers on a node, with an empty store.
    pub(super) async fn on(node: TestNode) -> Self {
        let ledger = Ledger::in_memory(&node.transport().node()).await.expect("memory takes everything");
        let exercise =
            Exercise::start(node.transport(), ledger, Settings::default()).expect("nobody else took the names");
        let patience = node.timing().patience();
        Self { node, exercise, patience }
    }

    pub(super) fn name(&self) -> &NodeName {
        self.node.name()
    }

    /// Pings this often, one after the other.
    pub(super) async fn pings(&self, pings: u64) {
        for _ in 0..pings {
            let answer = timeout(self.patience, self.exercise.ping(1)).await;
            answer.expect("the producer answers").expect("the ping is counted");
        }
    }

    /// Waits until this node knows exactly these counts.
    pub(super) async fn knows(&self, counts: &[(&str, u128)]) {
        let expected: BTreeMap<NodeName, u128> = counts.iter().map(|(name, count)| (node(name), *count)).collect();
        let right = timeout(self.patience, self.exercise.local_until(|read| read.values == expected)).await;
        if right.is_err() {
            panic!("{} should know {expected:?}, it knows {:?}", self.name(), self.exercise.local().values);
        }
    }
}

/// Starts players that are each other's seeds, and waits until all are linked.
pub(super) async fn players<const N: usize>(c: &Cluster, names: [&str; N]) -> [Player; N] {
    let players = join_all(c.linked(names).await.map(Player::on)).await;
    players.try_into().unwrap_or_else(|_| unreachable!("one of each"))
}

/// Waits until all of them know exactly these counts.
pub(super) async fn all_know(players: &[&Player], counts: &[(&str, u128)]) {
    for player in players {
        player.knows(counts).await;
    }
}
