//! Who asks for what: some clients of each node, each with a taste of its own.
//!
//! They ask in bursts, so that there are moments in which nobody pings, as a snapshot needs. Most pause a little within them, so that the
//! history of ten minutes stays one of some hundred thousand operations; one of each node does not, so that many a kill finds it waiting.

use super::world::{NODES, World};
use crate::client::{Ask, Client};
use crate::node::{LONG, within};
use pingpong_conformance::history::What;
use pingpong_node::NodeName;
use pingpong_node::control::{AckLevel, ReadLevel};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The clients of a node.
const TASTES: [Taste; 4] = [
    Taste { pings: 90, burst: 60, pause: 0 },
    Taste { pings: 85, burst: 20, pause: 25 },
    Taste { pings: 50, burst: 20, pause: 25 },
    Taste { pings: 15, burst: 20, pause: 25 },
];

/// What a client is like.
#[derive(Clone, Copy)]
struct Taste {
    /// How many out of a hundred questions are about pings.
    pings: u32,
    /// How many questions come in one go, at most.
    burst: u32,
    /// Milliseconds between two of them, at most.
    pause: u64,
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// All clients, until they are told to be silent.
pub(crate) struct Clients {
    silent: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Clients {
    pub(crate) fn start(world: &World, seed: u64) -> Self {
        let silent = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let names: Vec<NodeName> = world.machines.iter().map(|machine| machine.name.clone()).collect();
        for (node, machine) in world.machines.iter().enumerate() {
            for (at, taste) in TASTES.into_iter().enumerate() {
                let number = u64::try_from(1 + node + at * NODES).unwrap();
                let run = Run {
                    client: Client::of(&machine.name, machine.plan.socket.clone(), &world.record),
                    names: names.clone(),
                    up: machine.up.subscribe(),
                    door: Arc::clone(&machine.door),
                    silent: silent.subscribe(),
                    random: StdRng::seed_from_u64(seed.wrapping_add(number)),
                    taste,
                };
                tasks.spawn(run.on());
            }
        }
        Self { silent, tasks }
    }

    /// Nobody asks for anything more. Waits until all have their last answers.
    pub(crate) async fn end(mut self) {
        self.silent.send_replace(true);
        let ended = async {
            while let Some(client) = self.tasks.join_next().await {
                client.unwrap();
            }
        };
        within(LONG, "the clients have their last answers", ended).await;
    }
}

struct Run {
    client: Client,
    names: Vec<NodeName>,
    up: watch::Receiver<bool>,
    door: Arc<RwLock<()>>,
    silent: watch::Receiver<bool>,
    random: StdRng,
    taste: Taste,
}

impl Run {
    async fn on(mut self) {
        loop {
            for _ in 0..self.random.random_range(1..=self.taste.burst) {
                tokio::select! {
                    // It is told only at the end, when all nodes are up.
                    _ = self.silent.wait_for(|silent| *silent) => return,
                    // A node that nobody started is not worth a question.
                    _ = self.up.wait_for(|up| *up) => {}
                }
                let (ask, patience) = self.draw();
                let open = self.door.read().await;
                self.client.ask(&ask, patience).await;
                drop(open);
                sleep(millis(self.random.random_range(0..=self.taste.pause))).await;
            }
            sleep(millis(self.random.random_range(50..800))).await;
        }
    }

    fn draw(&mut self) -> (Ask, Duration) {
        let patience = match self.random.random_range(0..6) {
            0 => self.random.random_range(1..=40),
            1..=3 => self.random.random_range(100..=1_500),
            _ => self.random.random_range(2_000..=8_000),
        };
        let ask = if self.random.random_ratio(self.taste.pings, 100) {
            match self.random.random_range(0..10) {
                0 => Ask::Ping(AckLevel::Queued),
                1..=4 => Ask::Ping(AckLevel::Local),
                5..=7 => Ask::Ping(AckLevel::Majority),
                _ => Ask::Confirm,
            }
        } else {
            match self.random.random_range(0..10) {
                0 | 1 => Ask::Read(ReadLevel::Local, What::All),
                2 => Ask::Read(ReadLevel::Fresh, What::All),
                3 | 4 => {
                    let of = self.names.choose(&mut self.random).unwrap().clone();
                    Ask::Read(ReadLevel::Majority, What::Producer(of))
                }
                5 => Ask::Read(ReadLevel::Majority, What::Total),
                6 => Ask::Read(ReadLevel::Majority, What::All),
                _ => Ask::Read(ReadLevel::Snapshot, What::All),
            }
        };
        // `fresh` waits for whoever does not answer.
        let patience = if matches!(ask, Ask::Read(ReadLevel::Fresh, _)) { patience.min(1_000) } else { patience };
        (ask, millis(patience))
    }
}
