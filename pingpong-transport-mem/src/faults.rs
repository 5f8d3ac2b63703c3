//! What paths do to packets (F1). A path leads from one host to another, one way.

use crate::network::MemNetwork;
use crate::state::{HostId, State};
use crate::traffic::{Cargo, Packet};
use pingpong_core::Address;
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The faults of all paths.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    /// Paths with a fault; any other is clear.
    faulty: BTreeMap<(HostId, HostId), Path>,
    stalled: BTreeSet<HostId>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Path {
    cut: bool,
    dials_blocked: bool,
    delay: Delay,
}

/// How long a path takes: at least `least`, and up to `jitter` more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delay {
    least: Duration,
    jitter: Duration,
}

impl Delay {
    /// The time that one packet takes.
    pub(crate) fn drawn(self, random: &mut StdRng) -> Duration {
        let jitter = u64::try_from(self.jitter.as_nanos()).unwrap_or(u64::MAX);
        self.least + Duration::from_nanos(random.random_range(0..=jitter))
    }
}

/// When a packet meets a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Departure,
    Arrival,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    Delay(Delay),
    Hold,
    Lose,
}

impl Paths {
    pub(crate) fn fate(&self, packet: &Packet, moment: Moment) -> Fate {
        if self.faulty.is_empty() && self.stalled.is_empty() {
            return Fate::Pass;
        }
        let leaves = moment == Moment::Departure;
        if self.stalled.contains(&packet.to) || (leaves && self.stalled.contains(&packet.from)) {
            return Fate::Hold;
        }
        let Some(path) = self.faulty.get(&(packet.from, packet.to)) else { return Fate::Pass };
        if path.cut {
            return if packet.is_repeated() { Fate::Hold } else { Fate::Lose };
        }
        if path.dials_blocked && matches!(packet.cargo, Cargo::Dial(_)) {
            return Fate::Hold;
        }
        if leaves && path.delay != Delay::default() { Fate::Delay(path.delay) } else { Fate::Pass }
    }

    /// Whether a packet that is held stays so.
    pub(crate) fn holds(&self, packet: &Packet) -> bool {
        matches!(self.fate(packet, Moment::Departure), Fate::Hold)
    }
}

impl MemNetwork {
    fn paths<'a>(&self, paths: impl IntoIterator<Item = (&'a Address, &'a Address)>, change: impl Fn(&mut Path)) {
        self.shared().with(|state| {
            for (from, to) in paths {
                let path = (state.host(from), state.host(to));
                let fault = state.paths.faulty.entry(path).or_default();
                change(fault);
                if *fault == Path::default() {
                    state.paths.faulty.remove(&path);
                }
            }
            state.release();
        });
    }

    /// Cuts the path one way. A cut is silent: datagrams and closes are lost; bytes of lanes, and dials, wait for the heal, as
    /// a network that sends them again and again would have it.
    pub fn cut_one_way(&self, from: &Address, to: &Address) {
        self.paths([(from, to)], |path| path.cut = true);
    }

    /// Cuts both ways.
    pub fn cut(&self, a: &Address, b: &Address) {
        self.paths([(a, b), (b, a)], |path| path.cut = true);
    }

    /// Heals a cut one way.
    pub fn heal_one_way(&self, from: &Address, to: &Address) {
        self.paths([(from, to)], |path| path.cut = false);
    }

    /// Heals a cut both ways.
    pub fn heal(&self, a: &Address, b: &Address) {
        self.paths([(a, b), (b, a)], |path| path.cut = false);
    }

    /// Heals all cuts. Delays, blocked dials and stalls stay.
    pub fn heal_all(&self) {
        self.shared().with(|state| {
            state.paths.faulty.retain(|_, path| {
                path.cut = false;
                *path != Path::default()
            });
            state.release();
        });
    }

    /// Cuts every path between hosts of different groups. Earlier cuts stay, and so does the path of a host that is in no group.
    pub fn partition(&self, groups: &[&[Address]]) {
        let mut apart = Vec::new();
        for (i, group) in groups.iter().enumerate() {
            for other in groups.iter().skip(i + 1) {
                let pairs = group.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
                apart.extend(pairs.flat_map(|(a, b)| [(a, b), (b, a)]));
            }
        }
        self.paths(apart, |path| path.cut = true);
    }

    /// Every packet of the path takes `delay`, and up to `jitter` more. Bytes of one lane stay in order; lanes, datagrams and
    /// closes overtake each other. Zeros end it. A delay needs a tokio runtime with a clock.
    pub fn delay(&self, from: &Address, to: &Address, delay: Duration, jitter: Duration) {
        self.paths([(from, to)], |path| path.delay = Delay { least: delay, jitter });
    }

    /// Holds everything to and from a host, and loses nothing: a process that is stopped, a host that is suspended.
    pub fn stall(&self, host: &Address) {
        self.shared().with(|state| {
            let host = state.host(host);
            state.paths.stalled.insert(host);
        });
    }

    /// Ends a stall: what it held arrives, in order.
    pub fn resume(&self, host: &Address) {
        self.shared().with(|state| {
            let host = state.host(host);
            state.paths.stalled.remove(&host);
            state.release();
        });
    }

    /// Swallows new dials one way, and nothing else: a node behind a firewall. They hang, and complete once allowed.
    pub fn block_dials(&self, from: &Address, to: &Address) {
        self.paths([(from, to)], |path| path.dials_blocked = true);
    }

    /// Lets new dials through again.
    pub fn allow_dials(&self, from: &Address, to: &Address) {
        self.paths([(from, to)], |path| path.dials_blocked = false);
    }

    /// The host loses its power: no close reaches anyone. Its link and connections end here, its peers see silence, and its
    /// address is free. Once somebody is bound there again, a packet on an old connection is answered with a reset.
    pub fn crash(&self, host: &Address) {
        self.shared().with(|state| {
            let host = state.host(host);
            if let Some(process) = state.bound.get(&host).copied() {
                state.crash(process);
            }
        });
    }
}

impl State {
    fn crash(&mut self, process: u64) {
        let Some(host) = self.processes.get(&process).map(|process| process.host) else { return };
        self.unbind(process);
        for end in self.ends_of(process) {
            self.finish(end, pingpong_core::link::Closed::Lost("this host crashed".to_owned()));
        }
        self.lose_held(|packet| packet.from == host);
    }
}
