//! Random faults: whatever happened, after the heal all agree, and every ping that was acknowledged is counted, once.

use crate::cluster::{Cluster, at};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

const NODES: [&str; 3] = ["a", "b", "c"];

#[tokio::test(start_paused = true)]
async fn scenario_35_random_faults_then_heal_then_all_agree() {
    for seed in 0..25 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let cluster = Cluster::of(seed, &NODES).await;
        let mut acknowledged = [0_u128; 3];
        for _ in 0..60 {
            let one = random.random_range(0..3);
            let other = (one + random.random_range(1..3)) % 3;
            match random.random_range(0..10) {
                0 => cluster.network.cut(&at(NODES[one]), &at(NODES[other])),
                1 => cluster.network.cut_one_way(&at(NODES[one]), &at(NODES[other])),
                2 => cluster.network.heal(&at(NODES[one]), &at(NODES[other])),
                3 => cluster.on(NODES[one]).consumer().crash().await,
                4 => cluster.on(NODES[one]).producer().crash().await,
                5 => {
                    let delay = Duration::from_millis(random.random_range(0..100));
                    cluster.network.delay(&at(NODES[one]), &at(NODES[other]), delay, delay);
                }
                _ => {
                    let pings = random.random_range(1..5);
                    cluster.ping(NODES[one], pings).await;
                    acknowledged[one] += u128::from(pings);
                }
            }
            tokio::time::sleep(Duration::from_millis(random.random_range(0..1_500))).await;
        }
        cluster.network.heal_all();
        let values: Vec<(&str, u128)> = NODES.into_iter().zip(acknowledged).collect();
        cluster.all_know(&values).await;
    }
}
