//! How often and for how long nodes dial each other.

use std::time::Duration;

/// Settings of [`super::Redial`]. The defaults suit a cluster in one region; a program may set any field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedialSettings {
    /// Time between two attempts at a target. A fresh attempt beats waiting for an old one: its first packet is not held
    /// back by the backing-off of a handshake that lost its packets in a cut.
    pub attempt_spacing: Duration,
    /// For how long an attempt may go on beside the fresh ones: long paths and loaded peers need time.
    pub attempt_life: Duration,
    /// At most so many attempts at one target at a time.
    pub attempts_under_way: usize,
    /// With so many attempts and handshakes under way, each target has one at a time. Busy machines answer late; to dial them
    /// the more for that would make them busier still, until no handshake ends in time. Targets that were silent for the life
    /// of an attempt are dead, not busy, and do not count.
    pub attempts_in_all: usize,
    /// After this time without an answer the spacing doubles with each attempt.
    pub patience: Duration,
    /// The spacing does not grow beyond this ...
    pub longest_spacing: Duration,
    /// ... or beyond this for each target, if that is more. It is also the time between two dials of dead ones: bounds the
    /// dials of a node that lost all.
    pub spacing_per_dead_peer: Duration,
    /// A spacing is up to one in so many shorter, at random. Zero: no jitter.
    pub jitter: u32,
    /// At most so many names are linked or wanted (N20).
    pub max_peers: usize,
    /// A name that was linked is dialled for so long after its last link, unless it left or was forgotten.
    pub forget_after: Duration,
}

impl Default for RedialSettings {
    fn default() -> Self {
        Self {
            attempt_spacing: Duration::from_millis(300),
            attempt_life: Duration::from_secs(5),
            attempts_under_way: 17,
            attempts_in_all: 32,
            patience: Duration::from_secs(60),
            longest_spacing: Duration::from_secs(2),
            spacing_per_dead_peer: Duration::from_millis(20),
            jitter: 5,
            max_peers: 128,
            forget_after: Duration::from_secs(24 * 60 * 60),
        }
    }
}
