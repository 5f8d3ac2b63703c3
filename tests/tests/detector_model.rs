//! Every course of cuts, stops, suspensions and busy moments, in whole ticks, around the failure detector (N18).
//!
//! The peer sends one packet in each tick. The world decides tick by tick what becomes of it and of this process; the
//! properties say when a verdict is right. The detector is the very type that the sessions run.

#![allow(clippy::print_stdout, reason = "how much was explored is part of the result")]
#![allow(clippy::expect_used)] // a report that cannot be written is a failed test

#[path = "support/report.rs"]
mod report;

use pingpong_core::session::{Detector, DetectorRules, TICKS_PER_TIMEOUT, Verdict, tick_length};
use report::report;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_millis(1_600);
/// The failure timeout in ticks.
const T: u32 = TICKS_PER_TIMEOUT;
/// Long enough for a verdict after a pause after a drain.
const HORIZON: u32 = 3 * T;

/// One tick's length of time in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    /// The process runs: it ticks, and reads its socket if it is not too busy. A cut loses the packet on its way.
    Runs { cut: bool, reads: bool },
    /// The process is stopped; the socket still takes the packet in.
    Stopped { cut: bool },
    /// The host is suspended: nothing is taken in, and neither is it the peer's fault.
    Suspended,
}

/// The world around one detector.
#[derive(Clone, Debug)]
struct Watched {
    rules: DetectorRules,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Moment {
    now: u32,
    detector: Detector,
    /// A packet lies in the socket.
    waiting: bool,
    /// The detector asked to drain the socket before its next tick.
    draining: bool,
    /// Ticks since the last packet came in, the host not suspended.
    silent: u32,
    /// Ticks without a pause since a packet last came in or lay there unread: from here on the timeout runs (M6).
    attentive: u32,
    verdict: bool,
    broken: Option<Promise>,
}

/// What a detector must not break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Promise {
    /// No verdict on a peer that was silent for less than half the timeout (F2).
    NoFalseAlarm,
    /// A verdict within the timeout, while this process is awake (M6).
    InTime,
}

impl Moment {
    fn new(rules: DetectorRules) -> Self {
        let detector = Detector::new(TIMEOUT, Duration::ZERO).with_rules(rules);
        Self {
            now: 0,
            detector,
            waiting: false,
            draining: false,
            silent: 0,
            attentive: 0,
            verdict: false,
            broken: None,
        }
    }

    fn time(&self) -> Duration {
        tick_length(TIMEOUT) * self.now
    }

    /// What the network does in this tick.
    fn packet(&mut self, cut: bool) {
        if cut {
            self.silent += 1;
        } else {
            self.silent = 0;
            self.waiting = true;
        }
    }

    fn read(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.detector.heard(self.time());
        }
    }

    /// The process runs. Just woken, or busy, it sees its timer before its socket, unless it was asked to drain.
    fn run(&mut self, reads: bool) {
        if std::mem::take(&mut self.draining) {
            self.read();
        }
        self.attentive = if self.waiting || self.silent == 0 { 0 } else { self.attentive + 1 };
        match self.detector.tick(self.time()) {
            Verdict::Alive => {}
            Verdict::Drain => self.draining = true,
            Verdict::Lost => self.verdict = true,
        }
        if reads && !self.verdict {
            self.read();
        }
    }

    fn judge(&mut self) {
        if self.verdict && self.silent < T / 2 {
            self.broken = Some(Promise::NoFalseAlarm);
        }
        // A packet may have come in at the very beginning of the tick after which silence is counted.
        if !self.verdict && self.attentive >= T {
            self.broken = Some(Promise::InTime);
        }
    }
}

impl Model for Watched {
    type State = Moment;
    type Action = Tick;

    fn init_states(&self) -> Vec<Moment> {
        vec![Moment::new(self.rules)]
    }

    fn actions(&self, moment: &Moment, out: &mut Vec<Tick>) {
        if moment.verdict || moment.broken.is_some() || moment.now == HORIZON {
            return;
        }
        for cut in [false, true] {
            out.extend([Tick::Runs { cut, reads: true }, Tick::Runs { cut, reads: false }, Tick::Stopped { cut }]);
        }
        out.push(Tick::Suspended);
    }

    fn next_state(&self, last: &Moment, tick: Tick) -> Option<Moment> {
        let mut moment = last.clone();
        moment.now += 1;
        match tick {
            Tick::Runs { cut, reads } => {
                moment.packet(cut);
                moment.run(reads);
            }
            Tick::Stopped { cut } => {
                moment.packet(cut);
                moment.attentive = 0;
            }
            Tick::Suspended => moment.attentive = 0,
        }
        moment.judge();
        Some(moment)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no false alarm", |_, m: &Moment| m.broken != Some(Promise::NoFalseAlarm)),
            Property::always("a verdict in time", |_, m: &Moment| m.broken != Some(Promise::InTime)),
            Property::sometimes("a verdict", |_, m: &Moment| m.verdict),
            Property::sometimes("a long pause is survived", |_, m: &Moment| {
                !m.verdict && m.silent > T && m.now > 2 * T && m.attentive == 1
            }),
            Property::sometimes("a drained packet saves the peer", |_, m: &Moment| m.draining && m.waiting),
        ]
    }
}

/// Walks through all of it; gives the checker, for its discoveries. One thread finds the shortest counterexample.
fn explore(name: &'static str, rules: DetectorRules, threads: usize, until: HasDiscoveries) -> impl Checker<Watched> {
    let started = Instant::now();
    let checker = Watched { rules }.checker().threads(threads).finish_when(until).spawn_bfs().join();
    let result = match checker.discovery("no false alarm") {
        Some(path) => format!("a false alarm in {} steps", path.into_actions().len()),
        None => "exhausted, holds".to_owned(),
    };
    let (states, seconds) = (checker.unique_state_count(), started.elapsed().as_secs_f32());
    report("detector-model", name, format!("{name}: {states} states, {seconds:.1} s; {result}"));
    checker
}

/// Steps of the shortest way to a false alarm.
fn steps_to_false_alarm(name: &'static str, rules: DetectorRules) -> Option<usize> {
    let checker = explore(name, rules, 1, HasDiscoveries::AnyFailures);
    checker.discovery("no false alarm").map(|path| path.into_actions().len())
}

#[test]
fn the_detector_is_right() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = explore("detector", DetectorRules { own_pause: true, drain: true }, threads, HasDiscoveries::All);
    checker.assert_properties();
    assert!(checker.is_done(), "not exhausted");
}

#[test]
fn without_the_rule_of_the_own_pause_a_suspension_is_taken_for_silence() {
    let rules = DetectorRules { own_pause: false, drain: true };
    assert_eq!(steps_to_false_alarm("bug-detector-own-pause", rules), Some(15));
}

#[test]
fn without_the_drain_a_busy_process_accuses_the_peer() {
    let rules = DetectorRules { own_pause: true, drain: false };
    assert_eq!(steps_to_false_alarm("bug-detector-no-drain", rules), Some(14));
}
