//! When one target is dialled next (N16).

use super::RedialSettings;
use std::time::Duration;

/// The rhythm of the attempts at one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    spacing: Duration,
    /// Since when nothing was heard of the target.
    quiet_since: Duration,
    last: Option<Duration>,
    next: Duration,
    /// The target's last answer asked for patience; a mere connection to it is no news.
    capped: bool,
    under_way: usize,
}

/// What is under way with all targets, as far as it concerns each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traffic {
    /// How much that is, with those that may answer.
    pub(super) busy: usize,
    /// It is so much that each gets one attempt at a time.
    pub(super) crowded: bool,
    /// The shortest time between two attempts at a target that is dead.
    pub(super) apart: Duration,
}

impl Pace {
    /// Dials at once.
    pub(super) fn new(settings: &RedialSettings, now: Duration) -> Self {
        let spacing = settings.attempt_spacing;
        Self { spacing, quiet_since: now, last: None, next: now, capped: false, under_way: 0 }
    }

    /// Dials when there is news.
    pub(super) fn waiting(settings: &RedialSettings, now: Duration) -> Self {
        Self { next: Duration::MAX, ..Self::new(settings, now) }
    }

    /// When the next attempt is due if nothing holds it back.
    pub(super) fn next(&self) -> Duration {
        self.next
    }

    /// From when on the target counts as dead, unless it is heard of before.
    pub(super) fn dies_at(&self, settings: &RedialSettings) -> Duration {
        self.quiet_since.saturating_add(settings.attempt_life)
    }

    /// When the next attempt is due; `None` while something must end first. `handshake`: one with the target is under way.
    pub(super) fn due(
        &self,
        settings: &RedialSettings,
        traffic: Traffic,
        handshake: impl FnOnce() -> bool,
        now: Duration,
    ) -> Option<Duration> {
        if self.under_way >= settings.attempts_under_way {
            return None;
        }
        let dies_at = self.dies_at(settings);
        let as_dead = self.last.map_or(self.next, |last| self.next.max(last.saturating_add(traffic.apart)));
        if now >= dies_at {
            Some(as_dead)
        } else if traffic.crowded && (self.under_way > 0 || handshake()) {
            Some(as_dead.max(dies_at)).filter(|due| *due < Duration::MAX)
        } else {
            Some(self.next)
        }
    }

    /// The target was heard of, which does not ask for a dial.
    pub(super) fn heard(&mut self, now: Duration) {
        self.quiet_since = now;
    }

    /// An attempt starts: the next one follows at the spacing, up to a fifth sooner, so that nodes that lost each other at
    /// one time do not dial in step for ever.
    pub(super) fn started(&mut self, settings: &RedialSettings, cap: Duration, random: u64, now: Duration) {
        if self.capped {
            self.spacing = cap;
        } else if now.saturating_sub(self.quiet_since) >= settings.patience {
            self.spacing = self.spacing.saturating_mul(2);
        }
        self.spacing = self.spacing.min(cap);
        self.last = Some(now);
        self.next = now.saturating_add(sooner(self.spacing, settings.jitter, random));
        self.under_way += 1;
    }

    /// An attempt ended, however.
    pub(super) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// There is news of the target: dial after `delay`, and in the shortest spacing again. Never faster than that one,
    /// whoever brings news how often.
    pub(super) fn news(&mut self, settings: &RedialSettings, delay: Duration, now: Duration) {
        self.spacing = settings.attempt_spacing;
        self.quiet_since = now;
        self.capped = false;
        let earliest = self.last.map_or(now, |last| last.saturating_add(self.spacing));
        self.next = self.next.min(now.saturating_add(delay)).max(earliest);
    }

    /// The target answered a dial; its handshake gets one spacing before the next attempt.
    pub(super) fn connected(&mut self, settings: &RedialSettings, now: Duration) {
        if !self.capped {
            self.news(settings, Duration::ZERO, now);
            self.next = self.next.max(now.saturating_add(self.spacing));
        }
    }

    /// The target asks for patience: the greatest spacing at once.
    pub(super) fn hold_back(&mut self, cap: Duration, now: Duration) {
        if !self.capped {
            self.capped = true;
            self.next = now.saturating_add(cap);
        }
    }
}

/// `spacing`, or up to one `jitter`th less of it, by the random bits.
fn sooner(spacing: Duration, jitter: u32, random: u64) -> Duration {
    let Some(most) = spacing.checked_div(jitter) else { return spacing };
    let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
    spacing.saturating_sub(Duration::from_nanos(random % nanos.saturating_add(1)))
}
