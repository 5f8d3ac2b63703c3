//! `kill -9` of a node while it counts, `KILLS` times, as the environment says; 30 if it says nothing.
//!
//! Clients ping it all the while at level `local`. Each time it starts again on its file, as it is and without a flag, and has at least
//! what it acknowledged, and no more than was begun (P2, P7). Now and then it is killed once more while it starts. The history of all lives
//! is checked at the end: no number is given twice, no count falls, and no epoch follows the first one.

use crate::client::{Ask, Client};
use crate::lab::{Lab, Plan, setting};
use crate::node::{LONG, Node, within};
use crate::record::Record;
use pingpong_conformance::history::{Outcome, What, check};
use pingpong_node::NodeName;
use pingpong_node::control::{AckLevel, ReadLevel};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

const CLIENTS: usize = 4;
/// Until the kill, at most.
const LIFE: Duration = Duration::from_millis(200);
/// A second kill comes this soon after a start: before the file is open, while it is read, and after that.
const START: Duration = Duration::from_millis(60);

/// What has been asked for, and what was said, in all lives.
#[derive(Default)]
struct Tally {
    begun: AtomicU64,
    acknowledged: AtomicU64,
    /// The greatest number that was given.
    greatest: AtomicU64,
}

/// Pings until the node does not answer.
async fn ping(mut client: Client, tally: Arc<Tally>) {
    loop {
        tally.begun.fetch_add(1, Ordering::SeqCst);
        match client.ask(&Ask::Ping(AckLevel::Local), LONG).await {
            Some(Outcome::Acknowledged { count, .. }) => {
                tally.acknowledged.fetch_add(1, Ordering::SeqCst);
                tally.greatest.fetch_max(count, Ordering::SeqCst);
            }
            Some(Outcome::Refused) => {
                tally.begun.fetch_sub(1, Ordering::SeqCst);
                return;
            }
            Some(Outcome::Unknown) => return,
            other => panic!("{other:?}"),
        }
    }
}

/// How many pings a node shows that has just started.
async fn shown(client: &mut Client, name: &NodeName) -> u64 {
    match client.ask(&Ask::Read(ReadLevel::Local, What::All), LONG).await {
        Some(Outcome::Answered(answer)) => u64::try_from(answer.values[name]).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Ready to be pinged.
async fn started(plan: &Plan) -> Node {
    let node = plan.spawn();
    node.says(" ready").await;
    node
}

async fn killed_while_it_starts(plan: &Plan, random: &mut StdRng) {
    let node = plan.spawn();
    sleep(random.random_range(Duration::ZERO..START)).await;
    node.killed().await;
}

#[tokio::test]
async fn a_node_that_is_killed_again_and_again_keeps_what_it_acknowledged() {
    let kills = setting("KILLS").unwrap_or(30);
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (lab, record, tally) = (Lab::new(), Arc::new(Record::new()), Arc::new(Tally::default()));
    let plan = lab.plan("n1").with_data();
    plan.init().await;
    let name = NodeName::new("n1").unwrap();
    let client = || Client::of(&name, plan.socket.clone(), &record);
    let (began, mut had, mut while_starting) = (Instant::now(), 0, 0);
    let mut node = started(&plan).await;
    for kill in 1..=kills {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(ping(client(), Arc::clone(&tally)));
        }
        sleep(random.random_range(Duration::ZERO..LIFE)).await;
        node.killed().await;
        let ended = async {
            while let Some(client) = clients.join_next().await {
                client.unwrap();
            }
        };
        within(LONG, "the clients see that it is gone", ended).await;
        if random.random_ratio(1, 4) {
            killed_while_it_starts(&plan, &mut random).await;
            while_starting += 1;
        }
        node = started(&plan).await;
        let has = shown(&mut client(), &name).await;
        let [begun, acknowledged, greatest] =
            [&tally.begun, &tally.acknowledged, &tally.greatest].map(|count| count.load(Ordering::SeqCst));
        let least = acknowledged.max(greatest).max(had);
        assert!((least..=begun).contains(&has), "kill {kill}: {has} pings, and not {least} to {begun}");
        had = has;
    }
    let took = began.elapsed();
    let summary = check(&record.history()).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{kills} kills, {while_starting} more while it started, in {took:.1?}: {had} pings counted; {summary}");
    assert!(tally.acknowledged.load(Ordering::SeqCst) >= kills, "it acknowledged pings in between: {summary}");
    assert!(summary.unknown as u64 >= kills, "it was pinged when it was killed: {summary}");
}
