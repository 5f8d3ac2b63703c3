//! The end of a run: all is healed, and now all nodes must agree, vote and answer.

use crate::client::one;
use crate::draw::millis;
use crate::plan::{Ask, Name, OUTSIDER};
use crate::world::World;
use pingpong_conformance::history::Readings;
use pingpong_conformance::toolkit::node;
use pingpong_core::exercise::Slot;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// How long it may take until all is well, once nothing fails any more.
const SOON: Duration = Duration::from_secs(60);
/// How often it is looked at.
const AGAIN: Duration = Duration::from_millis(250);
/// So often in a row all must be the same: what waits in a producer, or in news, comes in this time.
const STILL: u32 = 10;

/// All faults end; first around the hub, if there is one.
pub(crate) async fn settle(
    world: &mut World,
    troubled: &mut mpsc::Receiver<Name>,
    hub: Option<Name>,
    mut clients: JoinSet<()>,
) {
    world.heal(hub).await;
    if timeout(SOON, async { while clients.join_next().await.is_some() {} }).await.is_err() {
        world.record.wrong("a client waits beyond its deadline".to_owned());
    }
    if hub.is_some() {
        agree(world, troubled).await;
        world.heal(None).await;
    }
    agree(world, troubled).await;
    last_words(world).await;
    agree(world, troubled).await;
}

/// Waits until all have the same counts, and records them.
async fn agree(world: &mut World, troubled: &mut mpsc::Receiver<Name>) {
    let until = Instant::now() + SOON;
    let (mut before, mut still) = (Readings::new(), 0);
    while still < STILL && Instant::now() < until {
        tokio::time::sleep(AGAIN).await;
        // Some failed as the faults ended.
        while let Ok(name) = troubled.try_recv() {
            world.restart(name).await;
        }
        let mut readings = readings(world);
        if knows_more(world, &readings) {
            world.record.outsider_knows_more();
            readings.remove(&node(OUTSIDER));
        }
        let same = readings == before && all_same(&readings);
        still = if same { still + 1 } else { 0 };
        before = readings;
    }
    // If they do not agree, the history is wrong.
    world.record.settled(before);
}

/// Whether the node that is no member has all that the members have, and more, in slots that nobody counts in any more. Members take only each
/// other's word for the pings of a third.
fn knows_more(world: &World, readings: &Readings) -> bool {
    let Some(outsider) = readings.get(&node(OUTSIDER)) else { return false };
    let members = || readings.iter().filter(|(name, _)| **name != node(OUTSIDER)).map(|(_, counts)| counts);
    let has = |counts: &BTreeMap<Slot, u64>, slot: &Slot| counts.get(slot).copied().unwrap_or(0);
    let slots_in_use: Vec<Slot> =
        world.names().into_iter().filter_map(|name| Some(world.ledger(name)?.slot())).collect();
    let mut more =
        outsider.iter().filter(|(slot, count)| members().all(|counts| has(counts, slot) < **count)).peekable();
    more.peek().is_some()
        && more.all(|(slot, _)| !slots_in_use.contains(slot))
        && members().all(|counts| counts.iter().all(|(slot, count)| has(outsider, slot) >= *count))
}

fn readings(world: &World) -> Readings {
    let mut readings = Readings::new();
    for name in world.names() {
        // One that has failed has no ledger, and that is wrong already.
        let Some(ledger) = world.ledger(name) else { continue };
        let counts = ledger.counts();
        let counts: BTreeMap<Slot, u64> = counts.iter().map(|(slot, count)| (slot.clone(), count)).collect();
        readings.insert(node(name), counts);
    }
    readings
}

fn all_same(readings: &Readings) -> bool {
    let counted = |counts: &BTreeMap<Slot, u64>| -> Vec<(Slot, u64)> {
        counts.iter().filter(|(_, count)| **count > 0).map(|(slot, count)| (slot.clone(), *count)).collect()
    };
    let mut all = readings.values().map(counted);
    all.next().is_none_or(|first| all.all(|counts| counts == first))
}

/// Every member votes, and every node answers at every level.
async fn last_words(world: &World) {
    let until = Instant::now() + SOON;
    for name in world.setup.members() {
        let Some(ledger) = world.ledger(name) else { continue };
        if tokio::time::timeout_at(until, ledger.until_active()).await.is_err() {
            world.record.wrong(format!("{name} does not vote, although all is well"));
        }
    }
    let within = millis(20_000);
    let asks = [
        Ask::PingMajority(within),
        Ask::PingLocal,
        Ask::ReadAll(within),
        Ask::Snapshot(within),
        Ask::ReadFresh(millis(1_000)),
        Ask::ReadLocal,
        Ask::Confirm(within),
    ];
    for name in world.names() {
        let mut pinged = None;
        for ask in asks {
            let Some(life) = world.life(name) else {
                world.record.wrong(format!("{name} does not run, although all is well"));
                break;
            };
            if !one(&world.record, &node(name), &world.watch(name), &life, ask, &mut pinged).await {
                world.record.wrong(format!("{name} does not answer {ask:?}, although all is well"));
            }
        }
    }
}
