//! Disks that go back to an earlier copy of themselves (P27).
//!
//! Nobody can notice that unless somebody has seen more (CANNOT 7), and then numbers are given twice, and nothing can be said of them any more.
//! So a copy is put back only where it is noticed, or there is nothing to notice:
//!
//! - If pings of the node itself are rolled back, a member has seen more of them. Before the node's servers start, such a *witness* is linked
//!   with it and answers; if there is none by then, the disk is as it was.
//! - A member's word for what it held is rolled back too, and the amnesia rule does not cover that: it is the same store. So whatever is rolled
//!   back, so many other members hold that every quorum has one of them; and all processes are away meanwhile: a read or a recovery that goes
//!   on before and after could put together an answer of a witness from before it was one with the member's word from after.
//! - A member's copy is of the same epoch, so that this is all that it has ever said.
//!
//! Between the start and the moment in which it is noticed the node takes itself for the only one of its name: what `fresh` calls exact (P18) may
//! be behind, and is not looked at.

use crate::draw::millis;
use crate::plan::Name;
use crate::world::World;
use pingpong_conformance::Place;
use pingpong_conformance::toolkit::{TestNode, node};
use pingpong_core::exercise::{Counts, Kept, Slot, Standing};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// How long it may take until it is noticed that a store is older than what others have seen.
const SOON: Duration = Duration::from_secs(10);
/// How often a witness is asked whether it answers.
const TRIES: usize = 40;

/// What one node's disk once was.
#[derive(Default)]
pub(crate) struct Copies {
    copy: Option<Kept>,
    /// The disk before a copy was put back in which pings of the node are missing; until the node has noticed.
    newest: Option<Kept>,
    /// The greatest number that was given in each of the node's epochs.
    given: BTreeMap<Slot, u64>,
}

impl Copies {
    /// Whether the node has yet to notice that its store is an older copy.
    pub(crate) fn is_older(&self) -> bool {
        self.newest.is_some()
    }

    /// The process is away, and this is on its disk.
    pub(crate) fn remember(&mut self, name: Name, kept: Option<&Kept>) {
        for (slot, count) in
            kept.iter().flat_map(|kept| kept.counts.iter()).filter(|(slot, _)| slot.producer == node(name))
        {
            let given = self.given.entry(slot.clone()).or_default();
            *given = count.max(*given);
        }
    }

    /// The store is gone.
    pub(crate) fn lost(&mut self) {
        self.newest = None;
    }
}

fn own(name: Name, kept: &Kept) -> Slot {
    Slot { producer: node(name), epoch: kept.identity.epoch }
}

fn has(counts: &Counts, slot: &Slot) -> u64 {
    counts.get(slot).unwrap_or(0)
}

impl World {
    /// From now on this is the copy.
    pub(crate) fn copy(&mut self, name: Name) {
        let host = self.host_mut(name);
        host.copies.copy = host.disk.kept().or(host.copies.copy.take());
    }

    /// Puts the copy back, if that may be.
    pub(crate) fn put_back(&mut self, name: Name) {
        let host = self.host(name);
        let (Some(copy), Some(now)) = (host.copies.copy.clone(), host.disk.kept()) else { return };
        let Some(is_older) = self.may_be_put_back(name, &copy, &now) else { return };
        self.record.note(format!(
            "{name} has an earlier copy of its store{}",
            if is_older { ", without its last pings" } else { "" }
        ));
        let slots = copy.counts.iter().map(|(slot, count)| (slot.clone(), count)).collect();
        self.record.store_rolled_back(node(name), slots);
        let is_member = self.setup.members().contains(&name);
        let host = self.host_mut(name);
        host.disk.put(Some(copy));
        if is_older {
            host.copies.newest = Some(now);
            // It begins anew, and recovers.
            host.lost = is_member;
            self.record.is_older(node(name), true);
        }
    }

    /// Whether the node will have to notice; `None` if the copy must not be put back.
    fn may_be_put_back(&self, name: Name, copy: &Kept, now: &Kept) -> Option<bool> {
        let host = self.host(name);
        let is_away = |name| self.ledger(name).is_none();
        if !is_away(name) || host.copies.is_older() || copy == now {
            return None;
        }
        let slot = own(name, copy);
        let given = &host.copies.given;
        let is_older = given.get(&slot).is_some_and(|given| *given > has(&copy.counts, &slot));
        if is_older && self.witnesses(name, &slot, has(&copy.counts, &slot)).is_empty() {
            return None;
        }
        // It would go on in an epoch that is over, and nobody would notice: the sum is right, but what it calls exact is not.
        if !is_older && given.keys().any(|other| other.epoch > slot.epoch) {
            return None;
        }
        if self.setup.members().contains(&name) && !self.may_be_put_back_to_a_member(name, copy, now) {
            return None;
        }
        Some(is_older)
    }

    fn may_be_put_back_to_a_member(&self, name: Name, copy: &Kept, now: &Kept) -> bool {
        let others: Vec<Kept> = self
            .setup
            .members()
            .iter()
            .filter(|other| **other != name)
            .filter_map(|other| self.host(other).disk.kept())
            .collect();
        let in_every_quorum = self.setup.members().len() - self.quorum() + 1;
        let is_held = |slot: &Slot, count: u64| {
            let holds =
                |other: &&Kept| other.identity.standing == Standing::Active && other.counts.get(slot) >= Some(count);
            others.iter().filter(holds).count() >= in_every_quorum
        };
        let mut rolled_back = now.counts.iter().filter(|(slot, count)| copy.counts.get(slot) < Some(*count));
        self.names().into_iter().all(|name| self.ledger(name).is_none())
            && copy.identity == now.identity
            && self.may_lose(name)
            && rolled_back.all(|(slot, count)| is_held(slot, count))
    }

    /// Members whose disks have more of that slot.
    fn witnesses(&self, name: Name, slot: &Slot, count: u64) -> Vec<Name> {
        let has_more = |other: &Name| self.host(other).disk.kept().is_some_and(|kept| has(&kept.counts, slot) > count);
        self.setup.members().iter().copied().filter(|other| *other != name).filter(has_more).collect()
    }

    /// Before its servers start on an older copy, a witness can be asked; or the disk is what it was.
    pub(crate) async fn meet_witness(&mut self, name: Name, started: &TestNode) {
        let host = self.host(name);
        let (Some(newest), Some(copy)) = (host.copies.newest.clone(), host.disk.kept()) else { return };
        let slot = own(name, &copy);
        for witness in self.witnesses(name, &slot, has(&copy.counts, &slot)) {
            let Some(life) = self.life(witness) else { continue };
            let (here, there) = (Place::from(name), Place::from(witness));
            self.harness().heal(&here, &there).await;
            self.harness().resume(&here).await;
            self.harness().resume(&there).await;
            self.harness().delay(&here, &there, self.setup.far).await;
            let knows = |nodes: Vec<pingpong_core::Node>, name| nodes.iter().any(|other| other.name == node(name));
            for _ in 0..TRIES {
                tokio::time::sleep(millis(250)).await;
                let linked = knows(started.transport().list(), witness)
                    && self.transport(witness).is_some_and(|of| knows(of.list(), name));
                let replies = life.exercise.ask_consumers(millis(1)).await.expect("it has a form").replies;
                if linked
                    && replies.iter().any(|reply| {
                        reply.node.name == node(witness) && has(&reply.reply, &slot) > has(&copy.counts, &slot)
                    })
                {
                    return;
                }
            }
        }
        self.record
            .note(format!("nobody could tell {name} that its store is an earlier copy; it has the newest one again"));
        // With what it has heard of others since.
        let mut counts = newest.counts;
        counts.merge(&copy.counts);
        let host = self.host_mut(name);
        host.disk.put(Some(Kept { identity: newest.identity, counts }));
        host.copies.newest = None;
        self.record.is_older(node(name), false);
    }

    /// The servers of a node have started; if its store is older than what others have seen, it begins a new epoch.
    pub(crate) async fn until_noticed(&mut self, name: Name) {
        if !self.host(name).copies.is_older() {
            return;
        }
        let Some(ledger) = self.ledger(name).cloned() else { return };
        let (old, mut changes) = (ledger.slot(), ledger.changes());
        let noticed = async { while ledger.slot() == old && changes.changed().await.is_ok() {} };
        if timeout(SOON, noticed).await.is_err() {
            self.record.wrong(format!("{name} has not noticed that its store is older than what others have seen"));
        }
        self.host_mut(name).copies.newest = None;
        self.record.is_older(node(name), false);
    }
}
