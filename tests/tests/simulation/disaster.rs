//! More stores are lost at once than may be: nobody votes, until a person says that this is to be accepted (CANNOT 6).
//!
//! What was acknowledged may be gone then, but for what some store has that is left. To know which those are, the person acts as one should:
//! all nodes run, and all members are linked, before it is said; and then all of them must be asked for what they have.

use crate::draw::millis;
use crate::plan::{Fate, InFlight, Manner, Name};
use crate::world::World;
use pingpong_conformance::toolkit::node;
use pingpong_core::exercise::{Counts, Origin, Slot, Standing};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a person waits for the members to recover by themselves, or to be linked.
const WAITS: Duration = Duration::from_secs(10);
/// How often they are looked at. As soon as they are linked it is said: a little later they have told each other all without that.
const AGAIN: Duration = Duration::from_millis(5);

impl World {
    /// All of them lose their stores, however many there are.
    pub(crate) async fn lose(&mut self, names: &[Name]) {
        for name in names {
            self.end_process(name, true, InFlight::Vanishes).await;
        }
    }

    /// Members that vote, or do when they are started.
    fn active(&self) -> usize {
        self.setup.members().iter().filter(|name| self.host(name).is_active()).count()
    }

    /// Whether some do not vote yet although they have lost nothing.
    fn are_new(&self) -> bool {
        let is_new = |name: &&Name| {
            let identity = self.ledger(name).map(|ledger| ledger.identity());
            identity.is_some_and(|it| it.origin == Origin::Init && it.standing == Standing::Recovering)
        };
        self.setup.members().iter().any(|name| is_new(&name))
    }

    /// Lets members vote again, if too few do.
    pub(crate) async fn accept_loss(&mut self) {
        // Those that are there for the first time need nobody who votes.
        if self.active() >= self.quorum()
            || self.are_new() && self.all_have_come(|world| world.active() >= world.quorum()).await
        {
            return;
        }
        if !self.all_have_come(World::members_are_linked).await {
            self.record.wrong("nothing fails any more, and not all members are linked".to_owned());
        }
        self.record.accepting_loss();
        let mut kept = BTreeMap::new();
        for name in self.setup.members() {
            if self.active() < self.quorum() && !self.host(name).is_active() {
                kept = self.accept_loss_on(name).await;
            }
        }
        self.record.loss_accepted(kept);
    }

    /// Returns what all members have.
    async fn accept_loss_on(&mut self, name: Name) -> BTreeMap<Slot, u64> {
        let mut all = Counts::default();
        for member in self.setup.members() {
            if let Some(ledger) = self.ledger(member) {
                all.merge(&ledger.counts());
            }
        }
        self.record.note(format!("{name} is told to accept the loss"));
        let Some(life) = self.life(name) else { return BTreeMap::new() };
        match timeout(WAITS, life.exercise.accept_loss()).await {
            Ok(Ok(from)) => {
                let others = self.setup.members().iter().filter(|other| **other != name);
                if let Some(missing) = others.into_iter().find(|other| !from.contains(&node(other))) {
                    self.record.wrong(format!("{name} has accepted the loss without {missing}, which is there"));
                }
            }
            other => self.record.wrong(format!("{name} does not accept the loss: {other:?}")),
        }
        let has = life.exercise.ledger().counts();
        if all.iter().any(|(slot, count)| has.get(slot).unwrap_or(0) < count) {
            self.record.wrong(format!("{name} has accepted the loss of what was there"));
        }
        all.iter().map(|(slot, count)| (slot.clone(), count)).collect()
    }

    /// All faults end, and all nodes run; whether that comes to pass then.
    async fn all_have_come(&mut self, to_pass: impl Fn(&Self) -> bool) -> bool {
        let until = Instant::now() + WAITS;
        self.harness().heal_all().await;
        self.calm().await;
        for name in self.names() {
            self.harness().resume(&name.into()).await;
            self.behave(name, Manner::Well);
        }
        while !to_pass(self) {
            if Instant::now() >= until {
                return false;
            }
            for name in self.names() {
                let failed = self.ledger(name).cloned();
                if let Some(failed) = failed
                    && timeout(millis(0), failed.failed()).await.is_ok()
                {
                    self.kill(name, Fate::Kept, InFlight::Vanishes).await;
                }
                self.start(name).await;
            }
            tokio::time::sleep(AGAIN).await;
        }
        true
    }

    fn members_are_linked(&self) -> bool {
        let members = self.setup.members();
        members.iter().all(|name| {
            let linked = self.transport(name).map(|transport| transport.list()).unwrap_or_default();
            let has = |other: &Name| linked.iter().any(|node| node.name.as_str() == *other);
            self.life(name).is_some() && members.iter().all(|other| other == name || has(other))
        })
    }
}
