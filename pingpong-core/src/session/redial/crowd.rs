//! How much is under way with all targets together, and what each may add to it.
//!
//! Two dangers, two measures. Targets that are *busy* answer late, and dialling them the more for it would make them busier
//! still: beyond some attempts and handshakes each has one at a time. Targets that are *dead* answer never: they must not be
//! taken for busy ones, and many of them are dialled the more seldom each.

use super::pace::{Pace, Traffic};
use super::{Redial, Target};
use crate::name::NodeName;
use std::time::Duration;

impl Redial {
    /// A connection with this name was made, by either side, and its handshake begins. Each call is followed by one of
    /// [`handshake_ended`](Self::handshake_ended).
    pub fn handshake_began(&mut self, name: &NodeName, now: Duration) {
        let now = self.advance(now);
        self.look_if_dead(name);
        self.busier();
        *self.handshakes.entry(name.clone()).or_default() += 1;
        self.all_handshakes += 1;
        if let Some(wanted) = self.names.get_mut(name) {
            wanted.pace.heard(now);
        }
    }

    /// The handshake of a connection with this name ended, with a link or without one.
    pub fn handshake_ended(&mut self, name: &NodeName) {
        if let Some(count) = self.handshakes.get_mut(name) {
            *count -= 1;
            self.all_handshakes -= 1;
            if *count == 0 {
                self.handshakes.remove(name);
            }
            self.less_busy();
            if !self.is_linked(name) {
                self.look_again();
            }
        }
    }

    /// How many handshakes are under way.
    pub fn handshakes(&self) -> usize {
        self.all_handshakes
    }

    /// True if so much is under way that more would make it late: it is given more time instead.
    pub fn is_crowded(&self) -> bool {
        self.is_crowd(self.busy())
    }

    fn is_crowd(&self, busy: usize) -> bool {
        busy >= self.settings.attempts_in_all
    }

    /// How much is under way with targets that may answer. While all of it is too little to be a crowd, what is under way with dead ones
    /// counts too.
    fn busy(&self) -> usize {
        let all = self.under_way.len() + self.all_handshakes;
        if !self.is_crowd(all) {
            return all;
        }
        let alive = |target: &Target| self.pace(target).is_some_and(|pace| !self.is_dead(pace));
        let attempts = self.under_way.values().filter(|attempt| alive(&attempt.counted_for)).count();
        attempts + self.all_handshakes
    }

    pub(super) fn traffic(&self) -> Traffic {
        let dead = self.dialled().filter(|(_, pace)| self.is_dead(pace)).count();
        let busy = self.busy();
        Traffic { busy, crowded: self.is_crowd(busy), apart: self.for_each(dead) }
    }

    pub(super) fn pace_due(&self, target: &Target, pace: &Pace, traffic: Traffic) -> Option<Duration> {
        let name = match target {
            Target::Name(name) => Some(name),
            Target::Seed(address) => self.seeds.get(address).and_then(|seed| seed.leads_to.as_ref()),
        };
        let handshake = || name.is_some_and(|name| self.handshakes.contains_key(name));
        pace.due(&self.settings, traffic, handshake, self.now)
    }

    /// When the next target that is being dialled, and counts as alive, will not any more.
    pub(super) fn next_death(&self) -> Option<Duration> {
        let targets = self.under_way.values().filter_map(|attempt| self.pace(&attempt.counted_for));
        targets.map(|pace| pace.dies_at(&self.settings)).filter(|at| *at > self.now).min()
    }

    /// The greatest spacing of the attempts at one target.
    pub(super) fn longest_spacing(&self) -> Duration {
        self.settings.longest_spacing.max(self.for_each(self.dialled().count()))
    }

    fn for_each(&self, targets: usize) -> Duration {
        self.settings.spacing_per_dead_peer.saturating_mul(u32::try_from(targets).unwrap_or(u32::MAX))
    }

    pub(super) fn is_dead(&self, pace: &Pace) -> bool {
        self.now >= pace.dies_at(&self.settings)
    }

    fn pace(&self, target: &Target) -> Option<&Pace> {
        match target {
            Target::Seed(address) => self.seeds.get(address).map(|seed| &seed.pace),
            Target::Name(name) => self.names.get(name).map(|wanted| &wanted.pace),
        }
    }
}
