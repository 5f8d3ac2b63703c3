//! What is logged of handshakes that failed: enough to find the cause, and not as much as a stranger likes.
//!
//! Whoever has shown that its address is its own gets a line in [`QUIET`] for that address, and all of them together [`LINES`];
//! the rest, and whatever did not get that far, is counted. So is what is no failure: who lets a flood of it in shall see it.

use crate::tls::Claim;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// How long failures at one address are counted after one was logged.
pub(crate) const QUIET: Duration = Duration::from_secs(1);
/// Addresses whose failures are logged in that time.
const LINES: usize = 16;
/// How often it is said how many failures were not logged.
pub(crate) const SUMMARY: Duration = Duration::from_secs(10);

/// Why no connection came of a handshake.
#[derive(Debug)]
pub(crate) enum Unmade {
    /// For a reason that somebody may have to do something about.
    Failed(String),
    /// The peer has linked otherwise, or waits no longer, or one of the two has forgotten the dial.
    GivenUp(String),
}

impl From<String> for Unmade {
    fn from(words: String) -> Self {
        Self::Failed(words)
    }
}

/// No connection came of a handshake: who, where, why.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) claim: Claim,
    pub(crate) remote: SocketAddr,
    pub(crate) why: Unmade,
}

#[derive(Debug, Default)]
pub(crate) struct Refusals {
    lines: HashMap<IpAddr, Instant>,
    left_out: u64,
    /// Dials that were not even begun, and why the last one was not.
    turned_away: u64,
    last: String,
    /// Handshakes that were given up, and how the last one was.
    given_up: u64,
    last_given_up: String,
    /// Handshakes that gave way to others.
    gave_way: u64,
}

impl Refusals {
    pub(crate) fn failed(&mut self, failed: Failed) {
        let Failed { claim, remote, why } = failed;
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let words = match why {
            Unmade::Failed(words) => words,
            Unmade::GivenUp(words) => {
                tracing::debug!(peer = %claim, %remote, reason = words, "a handshake was given up");
                self.given_up += 1;
                self.last_given_up = words;
                return;
            }
        };
        let now = Instant::now();
        self.lines.retain(|_, last| now.duration_since(*last) < QUIET);
        if self.lines.len() >= LINES || self.lines.contains_key(&remote.ip()) {
            self.left_out += 1;
            return;
        }
        self.lines.insert(remote.ip(), now);
        tracing::warn!(peer = %claim, %remote, reason = words, "a handshake failed");
    }

    /// A dial was not begun. Its address may be a lie, so it gets no line of its own.
    pub(crate) fn turned_away(&mut self, words: String) {
        self.turned_away += 1;
        self.last = words;
    }

    /// A handshake gave way to a newer one.
    pub(crate) fn gave_way(&mut self) {
        self.gave_way += 1;
    }

    /// Says what was counted since the last time.
    pub(crate) fn summary(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        let counted = std::mem::replace(self, Self { lines, ..Self::default() });
        let Self { left_out, turned_away, gave_way, last, given_up, last_given_up, .. } = counted;
        if left_out + turned_away + gave_way > 0 {
            tracing::warn!(left_out, turned_away, gave_way, reason = last, "more handshakes failed");
        }
        if given_up > 0 {
            tracing::info!(given_up, reason = last_given_up, "handshakes were given up");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(host: u8) -> Failed {
        let remote = SocketAddr::from(([192, 0, 2, host], 4_000));
        Failed { claim: Claim::default(), remote, why: Unmade::Failed("no".to_owned()) }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_a_line_a_second_and_many_have_sixteen() {
        let mut refusals = Refusals::default();
        for _ in 0..3 {
            refusals.failed(failed(1));
        }
        assert_eq!((refusals.lines.len(), refusals.left_out), (1, 2));
        for host in 2..100 {
            refusals.failed(failed(host));
        }
        assert_eq!((refusals.lines.len(), refusals.left_out), (LINES, 2 + 98 - 15));
        tokio::time::advance(QUIET).await;
        refusals.failed(failed(1));
        assert_eq!(refusals.lines.len(), 1, "what was is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_turned_away_takes_no_line_from_the_others() {
        let mut refusals = Refusals::default();
        for _ in 0..1_000 {
            refusals.turned_away("full".to_owned());
            refusals.gave_way();
            refusals.failed(Failed { why: Unmade::GivenUp("late".to_owned()), ..failed(1) });
        }
        assert_eq!(refusals.given_up, 1_000, "they are no failures, and are not lost either");
        refusals.failed(failed(1));
        assert_eq!((refusals.lines.len(), refusals.left_out), (1, 0));
        refusals.summary();
        assert_eq!((refusals.turned_away, refusals.gave_way, refusals.given_up), (0, 0, 0));
    }
}
