//! Is the peer of a session still there? (N18)
//!
//! A timer that only measures silence is wrong in two ways. A process that was stopped finds its timer run out before it
//! has read a single packet: so an own pause gives the peer a fresh interval. A busy process may not have read what
//! already lies in its socket: so the socket is drained before the verdict. Both rules cost one tick each, and are paid
//! out of the timeout, so that a silent peer is `Down` within it (M6).

use std::time::Duration;

/// Ticks in one failure timeout.
pub const TICKS_PER_TIMEOUT: u32 = 16;

/// A heartbeat goes out with every second tick, so that seven in a row must fail to arrive. One costs both sides about 40 us of
/// processor time over QUIC, acknowledgements included; with one a tick, fifty linked nodes on one machine did little else.
pub const TICKS_PER_HEARTBEAT: u32 = 2;

/// Where there are many links a heartbeat goes out with every fourth tick: three in a row must fail to arrive, and the
/// acknowledgements of as many of this side.
const TICKS_PER_HEARTBEAT_OF_MANY: u32 = 2 * TICKS_PER_HEARTBEAT;

/// More links than this are many.
const MANY_LINKS: usize = 32;

/// How many ticks there are to a heartbeat for a node with so many links.
pub const fn ticks_per_heartbeat(links: usize) -> u32 {
    if links > MANY_LINKS { TICKS_PER_HEARTBEAT_OF_MANY } else { TICKS_PER_HEARTBEAT }
}

/// Of the timeout, one tick is kept for noticing the silence and one for draining the socket.
const TICKS_KEPT_BACK: u32 = 2;

/// Two ticks this far apart are late; further apart, this process was away.
const TICKS_OF_OWN_PAUSE: u32 = 2;

/// No timer of an async runtime ticks faster.
const SHORTEST_TICK: Duration = Duration::from_millis(1);

/// How often [`Detector::tick`] is called under this failure timeout.
pub fn tick_length(timeout: Duration) -> Duration {
    (timeout / TICKS_PER_TIMEOUT).max(SHORTEST_TICK)
}

/// What a tick finds out about the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Verdict {
    /// Heard recently enough.
    Alive,
    /// Silent for long. Read everything that lies in the socket *before the next tick*, which decides.
    Drain,
    /// Silent for long, and nothing lay in the socket: the session is over.
    Lost,
}

/// The failure detector of one session: pure, told of packets and ticks.
///
/// Times are monotonic, measured from the start of this process. One that runs backwards counts as standing still.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Detector {
    tick: Duration,
    interval: Duration,
    heard: Duration,
    ticked: Duration,
    draining: bool,
    #[cfg(feature = "model")]
    rules: Rules,
}

/// The rules that the model switches off one by one, to show that each is needed.
#[cfg(feature = "model")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// An own pause gives the peer a fresh interval.
    pub own_pause: bool,
    /// The socket is drained before the verdict.
    pub drain: bool,
}

impl Detector {
    /// A detector of a session that begins `now`. The timeout is the greater one of the two sides.
    pub fn new(timeout: Duration, now: Duration) -> Self {
        let tick = tick_length(timeout);
        Self {
            tick,
            interval: timeout.saturating_sub(tick * TICKS_KEPT_BACK),
            heard: now,
            ticked: now,
            draining: false,
            #[cfg(feature = "model")]
            rules: Rules { own_pause: true, drain: true },
        }
    }

    /// The same detector under other rules.
    #[cfg(feature = "model")]
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// A packet of the peer was read, of whatever kind: it is alive.
    pub fn heard(&mut self, now: Duration) {
        self.heard = self.heard.max(now);
        self.draining = false;
    }

    /// To be called every [`tick_length`].
    pub fn tick(&mut self, now: Duration) -> Verdict {
        let since_tick = now.saturating_sub(self.ticked);
        self.ticked = self.ticked.max(now);
        if self.minds_own_pause() && since_tick > self.tick * TICKS_OF_OWN_PAUSE {
            self.heard(now);
            return Verdict::Alive;
        }
        if now.saturating_sub(self.heard) < self.interval {
            return Verdict::Alive;
        }
        if self.draining || !self.drains() {
            return Verdict::Lost;
        }
        self.draining = true;
        Verdict::Drain
    }

    #[cfg(feature = "model")]
    fn minds_own_pause(&self) -> bool {
        self.rules.own_pause
    }

    #[cfg(not(feature = "model"))]
    fn minds_own_pause(&self) -> bool {
        true
    }

    #[cfg(feature = "model")]
    fn drains(&self) -> bool {
        self.rules.drain
    }

    #[cfg(not(feature = "model"))]
    fn drains(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);
    const TICK: Duration = Duration::from_millis(125);

    /// Ticks on time from `first` on, until a tick is not `Alive`.
    fn first_alarm(detector: &mut Detector, first: u32) -> (u32, Verdict) {
        (first..1_000)
            .find_map(|n| Some((n, detector.tick(TICK * n))).filter(|(_, verdict)| *verdict != Verdict::Alive))
            .unwrap()
    }

    #[test]
    fn a_silent_peer_is_lost_within_the_timeout() {
        let mut detector = Detector::new(TIMEOUT, Duration::ZERO);
        assert_eq!(detector.tick(TICK), Verdict::Alive);
        let last_packet = TICK + Duration::from_millis(1);
        detector.heard(last_packet);
        assert_eq!(first_alarm(&mut detector, 2), (16, Verdict::Drain));
        assert_eq!(detector.tick(TICK * 17), Verdict::Lost);
        assert!(TICK * 17 - last_packet <= TIMEOUT);
    }

    #[test]
    fn a_packet_found_in_the_socket_is_life() {
        let mut detector = Detector::new(TIMEOUT, Duration::ZERO);
        assert_eq!(first_alarm(&mut detector, 1), (14, Verdict::Drain));
        detector.heard(TICK * 14);
        assert_eq!(first_alarm(&mut detector, 15), (28, Verdict::Drain));
    }

    #[test]
    fn an_own_pause_is_not_the_peers_silence() {
        let mut detector = Detector::new(TIMEOUT, Duration::ZERO);
        assert_eq!(first_alarm(&mut detector, 1), (14, Verdict::Drain));
        assert_eq!(detector.tick(TICK * 1_000), Verdict::Alive, "stopped between the drain and the verdict");
        let mut again = detector.clone();
        assert_eq!(again.tick(TICK * 1_001), Verdict::Alive);
        let late = TICK * 2;
        assert_eq!(detector.tick(TICK * 1_000 + late), Verdict::Alive, "two ticks late is no pause");
        assert_eq!(detector.tick(TICK * 1_014), Verdict::Alive, "this again was one");
    }

    #[test]
    fn any_time_is_taken() {
        for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let mut detector = Detector::new(timeout, Duration::MAX);
            detector.heard(Duration::ZERO);
            let _ = detector.tick(Duration::ZERO);
            let _ = detector.tick(Duration::MAX);
            assert!(tick_length(timeout) > Duration::ZERO);
        }
    }
}
