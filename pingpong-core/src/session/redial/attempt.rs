//! Attempts to reach somebody: what the shell is told to do, what it reports, and how they begin and end.

use super::{Redial, RedialSettings, pace_of, seeds_of};
use crate::address::Address;
use crate::name::NodeName;
use std::time::Duration;

/// Names one attempt of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub(super) u64);

/// Whom an attempt is to reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Whoever answers at this address of our own configuration.
    Seed(Address),
    /// This name and no other: the certificate of the other side must say so.
    Name(NodeName),
}

/// A dial that is to be started. It ends with [`super::Redial::answered`], or with its id in [`Due::abandon`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Whom it is to reach.
    pub target: Target,
    /// Where to. A DNS name in it is resolved anew for each attempt.
    pub address: Address,
}

/// What the shell has to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Due {
    /// Attempts to start.
    pub start: Vec<Attempt>,
    /// Attempts to give up: too old, or their target is linked or not wanted any more. They are not answered.
    pub abandon: Vec<AttemptId>,
    /// Names that were not linked for so long that nothing of them is remembered (M7).
    pub forgotten: Vec<NodeName>,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A connection to the node that proved this name. Its handshake follows.
    Connected(NodeName),
    /// No answer of the target: nobody there, out of time, or another name at a name's address.
    Failed,
    /// An answer that no repetition will soon change: full, or not to be linked.
    Refused,
    /// The address is one of this node.
    Itself,
}

/// An attempt that was started and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnderWay {
    pub(super) target: Target,
    pub(super) address: Address,
    /// The target in whose rhythm it was started.
    pub(super) counted_for: Target,
    pub(super) started: Duration,
}

impl UnderWay {
    /// When it is given up.
    pub(super) fn end(&self, settings: &RedialSettings) -> Duration {
        self.started.saturating_add(settings.attempt_life)
    }
}

impl Redial {
    pub(super) fn start(&mut self, counted_for: Target, cap: Duration, random: u64, now: Duration) -> Option<Attempt> {
        let (target, address) = match &counted_for {
            Target::Seed(address) => (counted_for.clone(), address.clone()),
            Target::Name(name) => {
                let address = self.names.get_mut(name)?.next_address(seeds_of(&self.seeds, name))?;
                let is_seed = seeds_of(&self.seeds, name).any(|seed| seed == address);
                (if is_seed { Target::Seed(address.clone()) } else { counted_for.clone() }, address)
            }
        };
        let id = AttemptId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        let pace = pace_of(&mut self.seeds, &mut self.names, &counted_for)?;
        pace.started(&self.settings, cap, spread(random, id), now);
        let attempt = UnderWay { target: target.clone(), address: address.clone(), counted_for, started: now };
        self.under_way.insert(id, attempt);
        Some(Attempt { id, target, address })
    }

    /// A connection to `name` at the attempt's address. A name's attempt that reached another name reached nobody.
    pub(super) fn connected(&mut self, attempt: UnderWay, name: NodeName, now: Duration) {
        match attempt.target {
            Target::Seed(address) => {
                let Some(seed) = self.seeds.get_mut(&address) else { return };
                let pace = self.names.get_mut(&name).map_or(&mut seed.pace, |wanted| &mut wanted.pace);
                pace.connected(&self.settings, now);
                seed.leads_to = Some(name);
            }
            Target::Name(wanted) if wanted == name => {
                let Some(wanted) = self.names.get_mut(&name) else { return };
                wanted.reached = Some(attempt.address);
                wanted.pace.connected(&self.settings, now);
            }
            Target::Name(_) => {}
        }
    }

    /// A seed that is this node: kept, since its DNS name may lead to another one later.
    pub(super) fn is_itself(&mut self, target: &Target, now: Duration) {
        let cap = self.longest_spacing();
        let Target::Seed(address) = target else { return };
        let Some(seed) = self.seeds.get_mut(address) else { return };
        seed.leads_to = None;
        seed.pace.hold_back(cap, now);
    }

    pub(super) fn give_up_old(&mut self, now: Duration) {
        while let Some(oldest) = self.under_way.first_entry() {
            if oldest.get().end(&self.settings) > now {
                return;
            }
            let id = *oldest.key();
            self.abandon(id);
        }
    }

    fn abandon(&mut self, id: AttemptId) {
        self.end(id);
        self.abandoned.push(id);
    }

    /// An attempt has ended, however.
    pub(super) fn end(&mut self, id: AttemptId) -> Option<UnderWay> {
        let attempt = self.under_way.remove(&id)?;
        self.less_busy();
        if let Some(pace) = self.pace_of(&attempt.counted_for) {
            pace.ended();
        }
        if let Some(seed) = self.seeds.get_mut(&attempt.address) {
            seed.tried = true;
        }
        Some(attempt)
    }

    /// Gives up every attempt that was started for this name, or for a seed that leads to it.
    pub(super) fn abandon_attempts(&mut self, name: &NodeName) {
        let is_for_it = |attempt: &UnderWay| match &attempt.counted_for {
            Target::Seed(address) => self.seeds.get(address).is_some_and(|seed| seed.leads_to.as_ref() == Some(name)),
            Target::Name(target) => target == name,
        };
        let ended: Vec<_> = self.under_way.iter().filter(|(_, a)| is_for_it(a)).map(|(id, _)| *id).collect();
        ended.into_iter().for_each(|id| self.abandon(id));
    }
}

/// Bits of its own for each attempt of one call (the finaliser of splitmix64).
fn spread(random: u64, id: AttemptId) -> u64 {
    let mut bits = random.wrapping_add(id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
