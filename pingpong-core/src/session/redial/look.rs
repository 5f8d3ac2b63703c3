//! When all targets are looked at again.
//!
//! A look costs time for each of them. While many links begin, call follows call, and hardly any of them makes something due
//! sooner. So the time stays as the last look found it, and a call moves it forward if something may be due earlier for it. It
//! may be too early then, but never too late: an early look starts nothing, and finds the right time.

use super::pace::Traffic;
use super::{Redial, Target};
use crate::name::NodeName;
use std::time::Duration;

/// When to look next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) at: Option<Duration>,
    /// Attempts and handshakes that a look may find to be too many: those of the last look, and what began and ended since.
    busy: usize,
}

impl Look {
    pub(super) fn at_once() -> Self {
        Self { at: Some(Duration::ZERO), busy: 0 }
    }
}

impl Redial {
    /// All targets were looked at.
    pub(super) fn looked(&mut self) {
        // With one busy target less the others may be due.
        let traffic = self.traffic();
        let less_crowded = if traffic.crowded { self.next_death() } else { None };
        let at = self.first_due(traffic).into_iter().chain(less_crowded).min();
        self.look = Look { at, busy: traffic.busy };
    }

    /// Anything may be due.
    pub(super) fn look_again(&mut self) {
        self.look_by(self.now);
    }

    /// An attempt at that target has ended, and its rhythm is what it will be: nothing else may be due for it.
    pub(super) fn look_after(&mut self, target: &Target, counted_for: &Target) {
        match (target, counted_for) {
            (Target::Name(_), Target::Name(name)) => {
                if let Some(wanted) = self.names.get(name).filter(|wanted| !wanted.linked) {
                    self.look_by(wanted.pace.next());
                }
            }
            // Who is dialled depends on where the seeds lead.
            _ => self.look_again(),
        }
    }

    /// With one dead target less the others are dialled sooner.
    pub(super) fn look_if_dead(&mut self, name: &NodeName) {
        if self.names.get(name).is_some_and(|wanted| !wanted.linked && self.is_dead(&wanted.pace)) {
            self.look_again();
        }
    }

    /// An attempt or a handshake has begun.
    pub(super) fn busier(&mut self) {
        self.look.busy += 1;
    }

    /// An attempt or a handshake has ended: each target may have several at a time again.
    pub(super) fn less_busy(&mut self) {
        if self.look.busy == self.settings.attempts_in_all {
            self.look_again();
        }
        self.look.busy = self.look.busy.saturating_sub(1);
    }

    fn look_by(&mut self, due: Duration) {
        self.look.at = Some(self.look.at.map_or(due, |at| at.min(due)));
    }

    /// When something is due, if nothing happens.
    pub(super) fn first_due(&self, traffic: Traffic) -> Option<Duration> {
        let dials = self.dialled().filter_map(|(target, pace)| self.pace_due(&target, pace, traffic));
        let oldest = self.under_way.values().next().map(|attempt| attempt.end(&self.settings));
        let forgotten = self.names.values().filter_map(|wanted| self.forgotten_at(wanted));
        dials.chain(oldest).chain(forgotten).min()
    }
}
