//! What does the peer's monotonic clock show now? (N19)
//!
//! A request carries its deadline on the caller's clock (R5), and the two clocks began at different starts of different
//! processes. Heartbeats measure their offset with the four timestamps of NTP (RFC 5905, section 8). How the round trip
//! is shared between the way there and the way back is unknown, so half of it is the error, and the sample with the
//! smallest round trip counts.

use super::message::PeersDigest;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Samples that are kept: those of about two failure timeouts, so that drift of the clocks stays small beside the error.
const KEPT_SAMPLES: usize = 16;

/// Whole microseconds are cut off, not rounded: this much is added to the error.
const RESOLUTION_US: u64 = 1;

/// A datagram that each side of a session sends every second tick, or fourth: "I am alive, and my clock shows this".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Number of the session, so that one of an earlier session is not counted in this.
    pub session_number: u64,
    /// The sender's count, from 1. An older one than the last is ignored.
    pub seq: u64,
    /// The sender's clock, in microseconds, when this was sent.
    pub sent_us: u64,
    /// Rises while a server of the sender is slow with what the reader sent, but works: then the reader's lanes wait, and are
    /// not stuck (O3).
    pub working: u64,
    /// The latest heartbeat that the sender has of the reader.
    pub echo: Option<Echo>,
    /// Of the nodes that the sender is linked with (N17).
    pub peers: PeersDigest,
}

/// What comes back of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Echo {
    /// Its `sent_us`, on the clock of the one who reads this.
    pub sent_us: u64,
    /// For how many microseconds it lay here before this was sent.
    pub held_us: u64,
}

/// The measured offset between two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offset {
    /// The peer's clock minus ours, in microseconds.
    pub peer_minus_local_us: i64,
    /// The true offset is at most this far away: half the round trip, and one microsecond for the resolution.
    pub error_us: u64,
    /// The round trip of the sample that counts, without the time that the peer held it.
    pub rtt_us: u64,
}

impl Offset {
    /// Two honest samples both contain the true offset. If they have none in common, a clock stood still or jumped.
    fn agrees_with(&self, other: &Self) -> bool {
        self.peer_minus_local_us.abs_diff(other.peer_minus_local_us) <= self.error_us.saturating_add(other.error_us)
    }
}

/// The clock of one session's peer: builds the heartbeats of this side, reads the other's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    session_number: u64,
    sent_seq: u64,
    first_sent_us: Option<u64>,
    last_sent_us: u64,
    latest: Option<Arrived>,
    samples: VecDeque<Offset>,
}

/// The peer's latest heartbeat, which the next one of ours echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arrived {
    seq: u64,
    sent_us: u64,
    at_us: u64,
}

impl ClockOffset {
    /// Knows nothing yet about the peer's clock.
    pub fn new(session_number: u64) -> Self {
        Self {
            session_number,
            sent_seq: 0,
            first_sent_us: None,
            last_sent_us: 0,
            latest: None,
            samples: VecDeque::with_capacity(KEPT_SAMPLES),
        }
    }

    /// The next heartbeat. `now` is read as late as possible before it is handed to the network.
    pub fn beat(&mut self, now: Duration, working: u64, peers: PeersDigest) -> Heartbeat {
        let now_us = micros(now);
        self.sent_seq = self.sent_seq.saturating_add(1);
        self.first_sent_us.get_or_insert(now_us);
        self.last_sent_us = self.last_sent_us.max(now_us);
        let echo = self.latest.map(|of| Echo { sent_us: of.sent_us, held_us: now_us.saturating_sub(of.at_us) });
        Heartbeat { session_number: self.session_number, seq: self.sent_seq, sent_us: now_us, working, echo, peers }
    }

    /// A heartbeat of the peer arrived. One of another session, an overtaken or repeated one changes nothing: `false`. Absurd times
    /// change nothing of the offset.
    pub fn heard(&mut self, beat: &Heartbeat, now: Duration) -> bool {
        let overtaken = self.latest.is_some_and(|latest| beat.seq <= latest.seq);
        if beat.session_number != self.session_number || overtaken {
            return false;
        }
        let now_us = micros(now);
        self.latest = Some(Arrived { seq: beat.seq, sent_us: beat.sent_us, at_us: now_us });
        let Some(sample) = beat.echo.and_then(|echo| self.sample(beat.sent_us, echo, now_us)) else { return true };
        // A suspended host's clock may have stood still: what was measured before is wrong now.
        self.samples.retain(|older| older.agrees_with(&sample));
        if self.samples.len() == KEPT_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        true
    }

    /// One sample from the four times, or nothing if they cannot be true.
    fn sample(&self, peer_sent_us: u64, echo: Echo, now_us: u64) -> Option<Offset> {
        let sent_by_us = self.first_sent_us? <= echo.sent_us && echo.sent_us <= self.last_sent_us;
        if !sent_by_us {
            return None;
        }
        let rtt_us = now_us.checked_sub(echo.sent_us)?.checked_sub(echo.held_us)?;
        let peer_arrived_us = peer_sent_us.checked_sub(echo.held_us)?;
        let way_there = i128::from(peer_arrived_us) - i128::from(echo.sent_us);
        let way_back = i128::from(peer_sent_us) - i128::from(now_us);
        let peer_minus_local_us = i64::try_from((way_there + way_back).div_euclid(2)).ok()?;
        Some(Offset { peer_minus_local_us, error_us: rtt_us.div_ceil(2) + RESOLUTION_US, rtt_us })
    }

    /// The best offset known: the latest among those with the smallest round trip. None before the first echo.
    pub fn offset(&self) -> Option<Offset> {
        self.samples.iter().rev().min_by_key(|sample| sample.rtt_us).copied()
    }

    /// A time on the peer's clock, in microseconds, as a time on ours. One before our start is our start.
    pub fn to_local(&self, peer_us: u64) -> Option<Duration> {
        let offset = self.offset()?;
        let local_us = i128::from(peer_us) - i128::from(offset.peer_minus_local_us);
        Some(Duration::from_micros(u64::try_from(local_us.max(0)).unwrap_or(u64::MAX)))
    }
}

/// A time as it travels: whole microseconds since the start of the process.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SESSION: u64 = 7;
    const PEERS: PeersDigest = PeersDigest::NONE;

    fn us(time: u64) -> Duration {
        Duration::from_micros(time)
    }

    fn from_peer(seq: u64, sent_us: u64, echo: Option<(u64, u64)>) -> Heartbeat {
        let echo = echo.map(|(sent_us, held_us)| Echo { sent_us, held_us });
        Heartbeat { session_number: SESSION, seq, sent_us, working: 0, echo, peers: PEERS }
    }

    #[test]
    fn four_timestamps_give_the_offset() {
        let mut clock = ClockOffset::new(SESSION);
        assert_eq!(clock.beat(us(1_000), 0, PEERS), from_peer(1, 1_000, None));
        // The peer's clock is 500_000 ahead: 40 us there, held for 100 us, 60 us back.
        clock.heard(&from_peer(1, 501_140, Some((1_000, 100))), us(1_200));
        let offset = clock.offset().unwrap();
        assert_eq!(offset, Offset { peer_minus_local_us: 499_990, error_us: 51, rtt_us: 100 });
        assert_eq!(clock.to_local(500_990), Some(us(1_000)));
        assert_eq!(clock.to_local(0), Some(Duration::ZERO));
        assert_eq!(clock.beat(us(1_500), 0, PEERS), from_peer(2, 1_500, Some((501_140, 300))));
    }

    #[test]
    fn nothing_is_known_before_the_first_echo() {
        let mut clock = ClockOffset::new(SESSION);
        clock.heard(&from_peer(1, 5, None), us(10));
        assert_eq!(clock.offset(), None);
        assert_eq!(clock.to_local(5), None);
    }

    #[test]
    fn the_smallest_round_trip_of_the_last_sixteen_counts() {
        let mut clock = ClockOffset::new(SESSION);
        let round = |clock: &mut ClockOffset, n: u64, rtt: u64| {
            let sent = clock.beat(us(n * 10_000), 0, PEERS).sent_us;
            clock.heard(&from_peer(n, sent + rtt / 2, Some((sent, 0))), us(sent + rtt));
        };
        round(&mut clock, 1, 10);
        for n in 2..=16 {
            round(&mut clock, n, 1_000);
            assert_eq!(clock.offset().unwrap().rtt_us, 10);
        }
        round(&mut clock, 17, 1_000);
        assert_eq!(clock.offset().unwrap().rtt_us, 1_000, "the good one is too old");
    }

    #[test]
    fn what_cannot_be_true_is_ignored() {
        let mut clock = ClockOffset::new(SESSION);
        clock.heard(&from_peer(1, 50, Some((0, 0))), us(90));
        clock.beat(us(100), 0, PEERS);
        let absurd = [(99, 0), (101, 0), (100, 200), (100, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)];
        for (seq, echo) in (2..).zip(absurd) {
            clock.heard(&from_peer(seq, 60, Some(echo)), us(150));
            assert_eq!(clock.offset(), None, "{echo:?}");
        }
        clock.heard(&Heartbeat { session_number: 8, ..from_peer(20, 60, Some((100, 0))) }, us(150));
        clock.heard(&from_peer(7, 60, Some((100, 0))), us(150));
        assert_eq!(clock.offset(), None, "another session, and an overtaken one");
        clock.heard(&from_peer(20, 60, Some((100, 0))), us(150));
        assert!(clock.offset().is_some());
    }

    #[test]
    fn a_clock_that_stood_still_is_believed_at_once() {
        let mut clock = ClockOffset::new(SESSION);
        clock.beat(us(0), 0, PEERS);
        clock.heard(&from_peer(1, 1_000_005, Some((0, 0))), us(10));
        clock.beat(us(9_000_000), 0, PEERS);
        clock.heard(&from_peer(2, 1_000_505, Some((9_000_000, 0))), us(9_001_000));
        let offset = clock.offset().unwrap();
        assert_eq!(offset.rtt_us, 1_000, "the sample before the suspension has the smaller round trip, and is wrong");
    }

    proptest! {
        #[test]
        fn the_true_offset_is_within_the_error(
            truth in -1_000_000_000_i64..1_000_000_000,
            rounds in prop::collection::vec((0_u64..400_000, 0_u64..500_000, 0_u64..400_000, 0_u64..1_000), 1..40),
        ) {
            // Times of the world in nanoseconds, so that both clocks cut something off.
            let start = 5_000_000_000_000_u64;
            let local = |at: u64| Duration::from_nanos(at);
            let remote = |at: u64| Duration::from_nanos(at.checked_add_signed(truth * 1_000).unwrap());
            let (mut here, mut there) = (ClockOffset::new(SESSION), ClockOffset::new(SESSION));
            let mut at = start;
            for (way_there, held, way_back, odd) in rounds {
                at += 125_000_000 + odd;
                let beat = here.beat(local(at), 0, PEERS);
                there.heard(&beat, remote(at + way_there));
                let back = there.beat(remote(at + way_there + held), 0, PEERS);
                here.heard(&back, local(at + way_there + held + way_back));
                let offset = here.offset().unwrap();
                prop_assert!(offset.peer_minus_local_us.abs_diff(truth) <= offset.error_us, "{offset:?}, true {truth}");
                prop_assert!(offset.error_us <= offset.rtt_us / 2 + 2);
                let known = here.to_local(micros(remote(at))).unwrap();
                prop_assert!(known.abs_diff(local(at)) <= us(offset.error_us + 1));
            }
        }

        #[test]
        fn no_heartbeat_is_too_hostile(
            beats in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()), 0..50),
        ) {
            let mut clock = ClockOffset::new(SESSION);
            for (seq, sent_us, echo_us, held_us, now) in beats {
                clock.beat(us(now), 0, PEERS);
                for echo in [Some((echo_us, held_us)), Some((now, held_us)), Some((now, 0)), None] {
                    clock.heard(&from_peer(seq, sent_us, echo), us(now.saturating_add(held_us)));
                    clock.to_local(sent_us);
                }
                prop_assert!(clock.samples.len() <= KEPT_SAMPLES);
            }
        }
    }
}
