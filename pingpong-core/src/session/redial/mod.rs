//! Whom to dial next, at which address, and when (N16); and the book of addresses (N17).
//!
//! Both sides of a lost link dial, since one working address on either side must suffice (M7). There are two kinds of
//! targets. A *seed* is an address of this node's own configuration: whoever answers there is welcome, and it is dialled
//! for ever. A *name* is wanted because it was linked, or because a neighbour tells it; only that very name is welcome at
//! its addresses. A seed that led to a wanted name has its turn among that name's addresses, so that nobody is dialled
//! in two rhythms at once.
//!
//! | part | what it decides |
//! | --- | --- |
//! | `attempt` | nothing: what the shell is told, and what it reports |
//! | `book` | where a name is, by whose word |
//! | `pace` | when one target is dialled next |
//! | `crowd` | how much all of them together may be dialled |
//! | `look` | when all of them are looked at again |
//!
//! The shell calls [`Redial::due`] when [`Redial::next_due`] says so, carries out what it returns, and reports what
//! became of the attempts. Time is monotonic, measured from the start of the process.

mod attempt;
mod book;
mod crowd;
mod look;
mod pace;
mod settings;
#[cfg(test)]
mod tests;

use super::machine::News;
use super::message::{CloseReason, MAX_ADDRESSES, Told};
use crate::address::Address;
use crate::name::NodeName;
use attempt::UnderWay;
pub use attempt::{Attempt, AttemptId, Due, Outcome, Target};
use book::{Known, Seed, Wanted};
use look::Look;
use pace::Pace;
pub use settings::RedialSettings;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The dialling of one node: pure and deterministic.
///
/// Invariants: at most `max_peers` names, unless more are linked; at most `attempts_under_way` attempts are counted for a
/// target, one if `attempts_in_all` are under way, and none for a linked name; ids rise with the time of start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redial {
    own: NodeName,
    settings: RedialSettings,
    seeds: BTreeMap<Address, Seed>,
    names: BTreeMap<NodeName, Wanted>,
    under_way: BTreeMap<AttemptId, UnderWay>,
    /// How many handshakes are under way with a name, whoever dialled; and with all of them.
    handshakes: BTreeMap<NodeName, usize>,
    all_handshakes: usize,
    abandoned: Vec<AttemptId>,
    /// Some neighbour may tell some name.
    hearsay: bool,
    look: Look,
    next_id: u64,
    /// The latest time passed in; an earlier one counts as this.
    now: Duration,
}

impl Redial {
    /// The dialling of the node `own`. All seeds are due at once.
    pub fn new(own: NodeName, seeds: Vec<Address>, settings: RedialSettings) -> Self {
        let seed =
            |address| (address, Seed { leads_to: None, pace: Pace::new(&settings, Duration::ZERO), tried: false });
        let seeds = seeds.into_iter().map(seed).collect();
        Self {
            own,
            settings,
            seeds,
            names: BTreeMap::new(),
            under_way: BTreeMap::new(),
            handshakes: BTreeMap::new(),
            all_handshakes: 0,
            abandoned: Vec::new(),
            hearsay: false,
            look: Look::at_once(),
            next_id: 0,
            now: Duration::ZERO,
        }
    }

    /// When to call [`Self::due`] again: at once if that time has passed. Every other call may change it. Nothing is due before
    /// it; that something is due then is not certain.
    pub fn next_due(&self) -> Option<Duration> {
        if self.abandoned.is_empty() { self.look.at } else { Some(self.now) }
    }

    /// Starts what is due and gives up what is too old. The random bits are for the jitter.
    pub fn due(&mut self, now: Duration, random: u64) -> Due {
        let now = self.advance(now);
        self.give_up_old(now);
        let forgotten = self.forget_old(now);
        let cap = self.longest_spacing();
        let traffic = self.traffic();
        let is_due =
            |(target, pace): &(Target, &Pace)| self.pace_due(target, pace, traffic).is_some_and(|at| at <= now);
        let due: Vec<_> = self.dialled().filter(is_due).map(|(target, _)| target).collect();
        let start = due.into_iter().filter_map(|target| self.start(target, cap, random, now)).collect();
        self.looked();
        Due { start, abandon: std::mem::take(&mut self.abandoned), forgotten }
    }

    /// An attempt ended by itself. Unknown ids are ignored: an abandoned attempt may have ended at the same time.
    pub fn answered(&mut self, id: AttemptId, outcome: Outcome, now: Duration) {
        let now = self.advance(now);
        let Some(attempt) = self.end(id) else { return };
        let targets = (attempt.target.clone(), attempt.counted_for.clone());
        if let Target::Name(name) = &targets.1 {
            self.look_if_dead(name);
        }
        match outcome {
            Outcome::Connected(name) if name == self.own => self.is_itself(&attempt.target, now),
            Outcome::Connected(name) => self.connected(attempt, name, now),
            Outcome::Itself => self.is_itself(&attempt.target, now),
            Outcome::Failed => {}
            Outcome::Refused => {
                let cap = self.longest_spacing();
                if let Some(pace) = self.pace_of(&attempt.counted_for) {
                    pace.hold_back(cap, now);
                }
            }
        }
        self.look_after(&targets.0, &targets.1);
    }

    /// A name is linked; the addresses are those of its own `Hello`. Called again when they change.
    pub fn up(&mut self, name: &NodeName, addresses: &[Address], now: Duration) {
        let now = self.advance(now);
        if *name == self.own {
            return;
        }
        if !self.names.contains_key(name) {
            self.make_room();
        }
        self.look_if_dead(name);
        if self.seeds.values().any(|seed| seed.leads_to.as_ref() == Some(name)) {
            self.look_again();
        }
        let pace = Pace::new(&self.settings, now);
        let wanted = self.names.entry(name.clone()).or_insert_with(|| Wanted::new(pace));
        wanted.linked = true;
        wanted.untell_all();
        let own = addresses.iter().take(MAX_ADDRESSES).cloned().collect();
        wanted.known = Some(Known { since: now, own });
        wanted.first_address_next();
        self.abandon_attempts(name);
    }

    /// A link ended. It is dialled at once, unless it is not wanted any more (it left, or one side forgot the other).
    pub fn down(&mut self, name: &NodeName, still_wanted: bool, now: Duration) {
        let now = self.advance(now);
        self.look_again();
        self.silence(name);
        let Some(wanted) = self.names.get_mut(name) else { return };
        wanted.linked = false;
        if let Some(known) = &mut wanted.known {
            known.since = now;
        }
        if still_wanted {
            wanted.pace.news(&self.settings, Duration::ZERO, now);
        } else {
            self.drop_name(name, now);
        }
    }

    /// A neighbour tells with whom it is linked. Only linked neighbours are listened to.
    pub fn told(&mut self, by: &NodeName, news: &News, now: Duration) {
        let now = self.advance(now);
        if !self.is_linked(by) {
            return;
        }
        self.look_again();
        for name in &news.gone {
            if let Some(wanted) = self.names.get_mut(name) {
                wanted.untell(by);
            }
            self.drop_if_idle(name, now);
        }
        for Told { name, addresses, .. } in &news.added {
            let room = self.names.len() < self.settings.max_peers || self.names.contains_key(name);
            if *name == self.own || name == by || !room {
                continue;
            }
            let pace = Pace::waiting(&self.settings, now);
            let wanted = self.names.entry(name.clone()).or_insert_with(|| Wanted::new(pace));
            self.hearsay = true;
            if wanted.tell(by, addresses) {
                wanted.pace.news(&self.settings, Duration::ZERO, now);
            }
        }
    }

    /// A connection of a name ended before it carried a session. Any answer is news, except one that asks for patience.
    pub fn closed(&mut self, name: &NodeName, reason: &CloseReason, now: Duration) {
        let now = self.advance(now);
        if self.is_linked(name) {
            return;
        }
        self.look_again();
        if matches!(reason, CloseReason::Forgotten | CloseReason::Leaving) {
            self.drop_name(name, now);
            return;
        }
        let cap = self.longest_spacing();
        let seeds = self.seeds.values_mut().filter(|seed| seed.leads_to.as_ref() == Some(name));
        let paces = seeds.map(|seed| &mut seed.pace);
        for pace in paces.chain(self.names.get_mut(name).map(|wanted| &mut wanted.pace)) {
            match reason {
                CloseReason::Full | CloseReason::Refused(_) => pace.hold_back(cap, now),
                _ => pace.news(&self.settings, self.settings.attempt_spacing, now),
            }
        }
    }

    /// By command: the name is not wanted any more. Its seeds are dialled on.
    pub fn forget(&mut self, name: &NodeName, now: Duration) {
        let now = self.advance(now);
        self.silence(name);
        self.drop_name(name, now);
    }

    /// This node took a greater incarnation (N12): everybody is dialled, as if for the first time.
    pub fn renewed(&mut self, now: Duration) {
        let now = self.advance(now);
        self.look_again();
        let names = self.names.values_mut().map(|wanted| &mut wanted.pace);
        for pace in names.chain(self.seeds.values_mut().map(|seed| &mut seed.pace)) {
            pace.news(&self.settings, Duration::ZERO, now);
        }
    }

    /// True once every seed has been dialled, whatever came of it.
    pub fn has_tried_seeds(&self) -> bool {
        self.seeds.values().all(|seed| seed.tried)
    }

    /// True if the name is linked, or dialled as soon as there is an address of it.
    pub fn is_wanted(&self, name: &NodeName) -> bool {
        self.names.contains_key(name)
    }

    /// Where a wanted name is dialled, in turn. For this node's eyes only: part of it is hearsay.
    pub fn addresses(&self, name: &NodeName) -> Vec<Address> {
        self.names.get(name).map(|wanted| wanted.addresses(seeds_of(&self.seeds, name))).unwrap_or_default()
    }
}

impl Redial {
    fn advance(&mut self, now: Duration) -> Duration {
        self.now = self.now.max(now);
        self.now
    }

    /// Every target that has to be dialled, with its rhythm.
    fn dialled(&self) -> impl Iterator<Item = (Target, &Pace)> {
        let led_to: BTreeSet<_> = self.seeds.values().filter_map(|seed| seed.leads_to.as_ref()).collect();
        let dialable =
            move |name: &NodeName, wanted: &Wanted| !wanted.linked && (led_to.contains(name) || wanted.has_addresses());
        let names = self.names.iter().filter(move |(name, wanted)| dialable(name, wanted));
        let nobodys = |seed: &Seed| seed.leads_to.as_ref().is_none_or(|name| !self.names.contains_key(name));
        let seeds = self.seeds.iter().filter(move |(_, seed)| nobodys(seed));
        let names = names.map(|(name, wanted)| (Target::Name(name.clone()), &wanted.pace));
        names.chain(seeds.map(|(address, seed)| (Target::Seed(address.clone()), &seed.pace)))
    }

    fn forgotten_at(&self, wanted: &Wanted) -> Option<Duration> {
        let known = wanted.known.as_ref().filter(|_| !wanted.linked)?;
        Some(known.since.saturating_add(self.settings.forget_after))
    }

    fn is_linked(&self, name: &NodeName) -> bool {
        self.names.get(name).is_some_and(|wanted| wanted.linked)
    }

    fn pace_of(&mut self, target: &Target) -> Option<&mut Pace> {
        pace_of(&mut self.seeds, &mut self.names, target)
    }

    fn forget_old(&mut self, now: Duration) -> Vec<NodeName> {
        let over = |wanted: &Wanted| self.forgotten_at(wanted).is_some_and(|at| at <= now);
        let old: Vec<_> = self.names.iter().filter(|(_, w)| over(w)).map(|(name, _)| name.clone()).collect();
        for name in &old {
            if let Some(wanted) = self.names.get_mut(name) {
                wanted.known = None;
                wanted.reached = None;
            }
            self.drop_if_idle(name, now);
        }
        old
    }

    /// A name that is gone tells nothing any more.
    fn silence(&mut self, teller: &NodeName) {
        // All names are looked at, and where all are linked with all there is no hearsay.
        if !std::mem::take(&mut self.hearsay) {
            return;
        }
        self.names.values_mut().for_each(|wanted| wanted.untell(teller));
        let idle: Vec<_> = self.names.iter().filter(|(_, w)| w.is_idle()).map(|(name, _)| name.clone()).collect();
        for name in idle {
            self.drop_name(&name, self.now);
        }
        self.hearsay = self.names.values().any(Wanted::is_told);
    }

    fn drop_if_idle(&mut self, name: &NodeName, now: Duration) {
        if self.names.get(name).is_some_and(Wanted::is_idle) {
            self.drop_name(name, now);
        }
    }

    /// The name is not wanted any more. The seeds that led to it are dialled on in their own rhythm.
    fn drop_name(&mut self, name: &NodeName, now: Duration) {
        self.look_again();
        self.abandon_attempts(name);
        self.names.remove(name);
        for seed in self.seeds.values_mut().filter(|seed| seed.leads_to.as_ref() == Some(name)) {
            seed.pace.news(&self.settings, Duration::ZERO, now);
        }
    }

    /// A link counts more than a hope: the last told name goes first, then the one that was linked longest ago.
    fn make_room(&mut self) {
        if self.names.len() < self.settings.max_peers {
            return;
        }
        let told = self.names.iter().rev().find(|(_, wanted)| wanted.is_told_only());
        let unlinked = self.names.iter().filter(|(_, wanted)| !wanted.linked);
        let oldest = || unlinked.min_by_key(|(_, wanted)| wanted.known.as_ref().map(|known| known.since));
        if let Some(name) = told.or_else(oldest).map(|(name, _)| name.clone()) {
            self.drop_name(&name, self.now);
        }
    }
}

fn pace_of<'a>(
    seeds: &'a mut BTreeMap<Address, Seed>,
    names: &'a mut BTreeMap<NodeName, Wanted>,
    target: &Target,
) -> Option<&'a mut Pace> {
    match target {
        Target::Seed(address) => seeds.get_mut(address).map(|seed| &mut seed.pace),
        Target::Name(name) => names.get_mut(name).map(|wanted| &mut wanted.pace),
    }
}

/// The seeds that lead to this name.
fn seeds_of(seeds: &BTreeMap<Address, Seed>, name: &NodeName) -> impl Iterator<Item = Address> {
    seeds.iter().filter(move |(_, seed)| seed.leads_to.as_ref() == Some(name)).map(|(address, _)| address.clone())
}
