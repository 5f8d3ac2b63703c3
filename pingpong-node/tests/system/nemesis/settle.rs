//! The end: all is healed, and now all nodes must agree, vote and answer.
//!
//! What they have is read from their files, after a last `kill -9` of all: the files alone must say it.

use super::clients::Clients;
use super::world::{AGAIN, NODES, World};
use crate::client::{Ask, Client};
use crate::node::LONG;
use pingpong_conformance::history::{Outcome, Readings, What};
use pingpong_node::control::{AckLevel, ReadLevel};
use pingpong_node::exercise::Store;
use pingpong_node::store::{FileStore, Owner};
use pingpong_node::{ClusterName, Incarnation};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;
use tokio::time::sleep;

/// How often all nodes are asked for everything, when all is well.
pub(crate) const ROUNDS: usize = 1;
/// So often in a row all must be the same: what waits in a producer, or in news, comes in this time.
const STILL: u32 = 10;
/// How long a last question may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// All faults end, and so do the clients.
pub(crate) async fn settle(world: &mut World, clients: Clients) {
    world.calm().await;
    clients.end().await;
    files_agree(world).await;
    world.calm().await;
    for _ in 0..ROUNDS {
        last_words(world).await;
    }
    files_agree(world).await;
}

/// Waits until all nodes show the same, and records what is in their files then.
async fn files_agree(world: &mut World) {
    let (mut before, mut still) = (Vec::new(), 0);
    let agreed = async {
        while still < STILL {
            sleep(AGAIN).await;
            let mut now = Vec::new();
            for node in 0..NODES {
                now.push(world.values(node).await);
            }
            let same = now == before && now.iter().all(|values| !values.is_empty() && *values == now[0]);
            still = if same { still + 1 } else { 0 };
            before = now;
        }
    };
    let agreed = tokio::time::timeout(LONG, agreed).await.is_ok();
    assert!(agreed, "all is well, and after {LONG:?} not all show the same: {before:?}");
    world.kill_all(&Vec::from_iter(0..NODES)).await;
    let mut readings = Readings::new();
    for machine in &world.machines {
        // A copy: it is not opened by anybody who counts.
        let copy = machine.plan.file("copy.redb");
        fs::copy(machine.data.join("counts.redb"), &copy).unwrap();
        let owner = Owner { cluster: ClusterName::new("test").unwrap(), node: machine.name.clone() };
        let mut store = FileStore::open(&copy, &owner, Incarnation::default()).unwrap();
        let kept = store.load().await.unwrap().expect("it has counted");
        let counts = kept.counts.iter().map(|(slot, count)| (slot.clone(), count)).collect();
        readings.insert(machine.name.clone(), counts);
    }
    for machine in &world.machines {
        let slots = readings.values().flatten().map(|(slot, _)| slot).filter(|slot| slot.producer == machine.name);
        let (epochs, lost) = (slots.map(|slot| slot.epoch).collect::<BTreeSet<_>>(), world.losses.get(&machine.name));
        assert!(epochs.len() <= 1 + lost.unwrap_or(&0), "{} lost {lost:?} stores, and began {epochs:?}", machine.name);
    }
    world.record.settled(readings);
}

/// Every node answers at every level.
async fn last_words(world: &World) {
    let asks = [
        Ask::Ping(AckLevel::Majority),
        Ask::Ping(AckLevel::Local),
        Ask::Read(ReadLevel::Majority, What::All),
        Ask::Read(ReadLevel::Snapshot, What::All),
        Ask::Read(ReadLevel::Fresh, What::All),
        Ask::Read(ReadLevel::Local, What::All),
        Ask::Confirm,
    ];
    for machine in &world.machines {
        let mut client = Client::of(&machine.name, machine.plan.socket.clone(), &world.record);
        for ask in &asks {
            let patience =
                if matches!(ask, Ask::Read(ReadLevel::Fresh, _)) { Duration::from_secs(2) } else { PATIENCE };
            let outcome = client.ask(ask, patience).await;
            let is_answered =
                matches!(outcome, Some(Outcome::Acknowledged { .. } | Outcome::Confirmed | Outcome::Answered(_)));
            assert!(is_answered, "all is well, and {} answers {ask:?} by {outcome:?}", machine.name);
        }
    }
}
