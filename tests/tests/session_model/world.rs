//! The environment of the session machine: instances of nodes, connections, faults, and what may happen next.
//!
//! A connection is ordered and reliable while both ends have it; control and lanes are two queues that are not ordered
//! with each other, and nothing is ordered between connections. A cut, one way or both ways, is any delay of the queues
//! with a verdict of the failure detector at any moment on either side (`Verdict`). A close may overtake what was sent
//! before it, or be lost: then the other side's own detector ends the connection at any later time (`Silence`). A dial
//! may also complete when the node no longer wants it, and a handshake may reach a node long after its writer died.

use crate::shared::Shared;
use crate::watch::{Part, Shown};
use pingpong_core::session::{
    CloseReason, ConnId, Identity, Limits, Machine, Message, Outside, Rules, SessionId, Versions,
};
use pingpong_core::{ClusterName, Incarnation, NodeName};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a check explores: who is there, who can dial whom, and how many faults of each kind may happen.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Of the instances; two of one name is S3.
    pub(crate) names: Vec<NodeName>,
    /// The generation that each begins with: milliseconds of its incarnation.
    pub(crate) generations: Vec<u64>,
    /// Whom each wants from the start.
    pub(crate) seeds: Vec<Vec<NodeName>>,
    /// Who can dial whom.
    pub(crate) reach: fn(usize, usize) -> bool,
    /// Dials of all kinds; beyond these a node dials only when nothing else is left to do.
    pub(crate) dials: usize,
    pub(crate) budget: Budget,
    /// Who may crash, leave or disconnect.
    pub(crate) breakable: fn(usize) -> bool,
    /// A restart may come with the clock set back and the store lost.
    pub(crate) clock_back: bool,
    /// A connection that the peer gave up is noticed by the silence alone. Off: only by what the peer does.
    pub(crate) own_detector: bool,
    pub(crate) rules: Rules,
    /// What a complete run must have come across.
    pub(crate) witnesses: u32,
    /// What this run has come across.
    pub(crate) met: Arc<AtomicU32>,
}

/// How much may still go wrong, or be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// Dials that complete although the node no longer wants them.
    pub(crate) late: u8,
    pub(crate) verdicts: u8,
    pub(crate) crashes: u8,
    pub(crate) sends: u8,
    /// Leaves and disconnects.
    pub(crate) leaves: u8,
    /// Commands to forget a name.
    pub(crate) forgets: u8,
}

/// Every run is finite: with one dial at a time when nothing else is left, needing so many of them is a livelock.
const LAST_DIALS: usize = 9;

/// A connection, seen from both ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wire {
    /// Dialler and acceptor.
    pub(crate) ends: [usize; 2],
    /// The acceptor knows of it.
    pub(crate) accepted: bool,
    pub(crate) open: [bool; 2],
    /// On the way to that end.
    pub(crate) control: [VecDeque<Arc<Message>>; 2],
    pub(crate) lane: [VecDeque<(SessionId, u64)>; 2],
    pub(crate) close: [Option<CloseReason>; 2],
    /// That end was asked to write out what is queued.
    pub(crate) drain: [bool; 2],
    /// That end was told where the lane ends.
    pub(crate) handover: [Option<u64>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    Runs,
    Crashed,
    /// For a namesake (S3).
    Stopped,
    Quit,
}

/// A node: its machine, and what its shell knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Instance {
    pub(crate) life: Life,
    pub(crate) machine: Machine,
    /// The random bits of this start, which tell it from every other one.
    pub(crate) own: u64,
    /// Greatest incarnation of this instance, over all its starts.
    pub(crate) greatest: Incarnation,
    pub(crate) starts: u64,
    /// Incarnations of its name that were alive during its life (S3).
    pub(crate) beside: BTreeSet<Incarnation>,
    /// What a reader of its node events was shown.
    pub(crate) shown: BTreeMap<NodeName, Shown>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) nodes: Vec<Shared<Instance>>,
    pub(crate) wires: Vec<Shared<Wire>>,
    /// Both sides of every session that ever was.
    pub(crate) parts: Shared<BTreeMap<(SessionId, usize), Part>>,
    pub(crate) left: Budget,
    /// Something went wrong already, so that a `Down` is no surprise.
    pub(crate) faults: bool,
    /// The promise that was broken.
    pub(crate) bad: Option<&'static str>,
}

impl std::hash::Hash for State {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for node in &self.nodes {
            node.hash(state);
        }
        state.write_usize(self.wires.len());
        for wire in &self.wires {
            wire.hash(state);
        }
        self.parts.hash(state);
        self.left.hash(state);
        self.faults.hash(state);
        self.bad.hash(state);
    }
}

/// One step. Connections and their ends are numbers: 0 dialled, 1 accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Dial(usize, usize),
    /// Of a node that no longer wants it.
    LateDial(usize, usize),
    Control(usize, usize),
    Lane(usize, usize),
    Closed(usize, usize),
    LoseClose(usize, usize),
    /// The other end is gone, and so this one's detector says.
    Silence(usize, usize),
    /// The detector's verdict over an end that lives.
    Verdict(usize, usize),
    Drained(usize, usize),
    HandedOver(usize, usize),
    /// That end has heard of links that it has not read (N17).
    Compare(usize, usize),
    Crash(usize),
    Restart(usize),
    /// With the clock set back and the store lost.
    RestartBack(usize),
    Send(usize, NodeName),
    Leave(usize),
    Deadline(usize),
    Disconnect(usize, NodeName),
    Forget(usize, NodeName),
}

impl State {
    pub(crate) fn runs(&self, node: usize) -> bool {
        self.nodes[node].life == Life::Runs
    }

    pub(crate) fn bad(&mut self, what: &'static str) {
        self.bad.get_or_insert(what);
    }

    /// Which end of a connection a node is.
    pub(crate) fn side(&self, wire: usize, node: usize) -> usize {
        usize::from(self.wires[wire].ends[0] != node)
    }

    /// Namesakes that run at the same time know each other's incarnations for later.
    pub(crate) fn meet(&mut self) {
        for i in 0..self.nodes.len() {
            for j in 0..self.nodes.len() {
                let (one, other) = (self.nodes[i].machine.node(), self.nodes[j].machine.node());
                let together = i != j && self.runs(i) && self.runs(j) && one.name == other.name;
                if together && !self.nodes[i].beside.contains(&other.incarnation) {
                    self.nodes[i].edit().beside.insert(other.incarnation);
                }
            }
        }
    }

    /// A node is gone, with its connections, its sessions and its readers.
    pub(crate) fn end(&mut self, node: usize, life: Life) {
        let gone = self.nodes[node].edit();
        gone.life = life;
        gone.shown.clear();
        for wire in &mut self.wires {
            for side in 0..2 {
                if wire.ends[side] == node && wire.open[side] {
                    wire.edit().open[side] = false;
                }
            }
        }
        self.parts.edit().iter_mut().filter(|((_, at), _)| *at == node).for_each(|(_, part)| part.down = true);
        self.sweep();
    }

    /// Nothing is on the way to an end that is closed.
    pub(crate) fn sweep(&mut self) {
        for wire in &mut self.wires {
            for side in 0..2 {
                let waits = !wire.control[side].is_empty()
                    || !wire.lane[side].is_empty()
                    || wire.close[side].is_some()
                    || wire.drain[side]
                    || wire.handover[side].is_some();
                if !wire.open[side] && waits {
                    let wire = wire.edit();
                    wire.control[side].clear();
                    wire.lane[side].clear();
                    wire.close[side] = None;
                    wire.drain[side] = false;
                    wire.handover[side] = None;
                }
            }
        }
    }

    pub(crate) fn part(&mut self, session: &SessionId, node: usize) -> &mut Part {
        self.parts.edit().entry((session.clone(), node)).or_default()
    }

    /// The other side of a session.
    pub(crate) fn other_part(&self, session: &SessionId, node: usize) -> Option<&Part> {
        self.parts.iter().find(|((id, at), _)| id == session && *at != node).map(|(_, part)| part)
    }
}

impl World {
    /// Notes that a run came across something.
    pub(crate) fn note(&self, witness: u32) {
        if self.met.load(Ordering::Relaxed) & witness != witness {
            self.met.fetch_or(witness, Ordering::Relaxed);
        }
    }

    /// A fresh machine of a node, in that life.
    pub(crate) fn machine(&self, node: usize, incarnation: Incarnation) -> Machine {
        let identity = Identity {
            name: self.names[node].clone(),
            cluster: ClusterName::new("c").expect("a name"),
            incarnation,
            versions: Versions::CURRENT,
            failure_timeout_millis: 0,
            lanes: 0,
            addresses: Vec::new(),
        };
        let mut machine = Machine::new(identity, Limits::default()).with_rules(self.rules);
        for seed in &self.seeds[node] {
            machine.want(seed.clone());
        }
        machine
    }

    pub(crate) fn first(&self) -> State {
        let instance = |node: usize| {
            let own = node as u64;
            let greatest = Incarnation::new(self.generations[node], own);
            let machine = self.machine(node, greatest);
            let (beside, shown) = (BTreeSet::new(), BTreeMap::new());
            Shared::new(Instance { life: Life::Runs, machine, own, greatest, starts: 0, beside, shown })
        };
        let distinct: BTreeSet<&NodeName> = self.names.iter().collect();
        let mut state = State {
            nodes: (0..self.names.len()).map(instance).collect(),
            wires: Vec::new(),
            parts: Shared::new(BTreeMap::new()),
            left: self.budget,
            faults: distinct.len() < self.names.len(),
            bad: None,
        };
        state.meet();
        state
    }

    pub(crate) fn outside(state: &State, node: usize) -> Outside {
        Outside { wall_millis: 0, random: state.nodes[node].own }
    }

    /// What goes on by itself: messages, closes, restarts, dials.
    pub(crate) fn progress(&self, state: &State, steps: &mut Vec<Step>) {
        for (at, wire) in state.wires.iter().enumerate() {
            for side in 0..2 {
                if wire.open[side] && state.runs(wire.ends[side]) {
                    self.wire_progress(state, at, side, steps);
                }
            }
        }
        for node in 0..state.nodes.len() {
            if state.nodes[node].life == Life::Crashed {
                steps.push(Step::Restart(node));
                if self.clock_back {
                    steps.push(Step::RestartBack(node));
                }
            }
        }
        if state.wires.len() < self.dials || steps.is_empty() && state.wires.len() < self.dials + LAST_DIALS {
            self.redials(state, steps);
        }
    }

    fn wire_progress(&self, state: &State, at: usize, side: usize, steps: &mut Vec<Step>) {
        let wire = &state.wires[at];
        let node = wire.ends[side];
        let lanes_open = || state.nodes[node].machine.lanes_open(ConnId(at as u64));
        if !wire.control[side].is_empty() {
            steps.push(Step::Control(at, side));
        }
        if !wire.lane[side].is_empty() && (side == 0 || wire.accepted) && lanes_open() {
            steps.push(Step::Lane(at, side));
        }
        if wire.drain[side] {
            steps.push(Step::Drained(at, side));
        }
        if wire.handover[side].is_some_and(|end| state.delivered(at, side) >= end) {
            steps.push(Step::HandedOver(at, side));
        }
        if self.unread(state, at, side) {
            steps.push(Step::Compare(at, side));
        }
        // Only closes of the first dials are lost.
        let early = at < self.dials;
        if wire.close[side].is_some() {
            steps.push(Step::Closed(at, side));
            if early && !self.own_detector {
                steps.push(Step::LoseClose(at, side));
            }
        }
        if !wire.open[1 - side] && (wire.close[side].is_none() || early) {
            let held = !self.own_detector && lanes_open() && state.runs(wire.ends[1 - side]);
            if !held {
                steps.push(Step::Silence(at, side));
            }
        }
    }

    /// Heartbeats on that connection tell this end of links that it has not read.
    fn unread(&self, state: &State, at: usize, side: usize) -> bool {
        let wire = &state.wires[at];
        let conn = ConnId(at as u64);
        let machine = |side: usize| &state.nodes[wire.ends[side]].machine;
        let linked =
            wire.open == [true; 2] && (0..2).all(|side| state.runs(wire.ends[side]) && machine(side).lanes_open(conn));
        let peers = || machine(1 - side).peers_digest();
        linked && !machine(side).unread(|heard| (heard == conn).then(peers)).is_empty()
    }

    fn redials(&self, state: &State, steps: &mut Vec<Step>) {
        let running = || (0..state.nodes.len()).filter(|node| state.runs(*node));
        for from in running() {
            for to in running().filter(|to| (self.reach)(from, *to)) {
                let wanted = state.nodes[from].machine.wants().any(|name| *name == self.names[to]);
                let tries = || state.wires.iter().any(|wire| wire.ends == [from, to] && wire.open[0]);
                if wanted && !tries() {
                    steps.push(Step::Dial(from, to));
                }
            }
        }
    }

    /// What may happen besides, while the budget lasts.
    pub(crate) fn faults(&self, state: &State, steps: &mut Vec<Step>) {
        let left = state.left;
        let running: Vec<usize> = (0..state.nodes.len()).filter(|node| state.runs(*node)).collect();
        for &node in &running {
            let late = left.late > 0 && state.wires.len() < self.dials;
            for &to in running.iter().filter(|to| late && **to != node && (self.reach)(node, **to)) {
                steps.push(Step::LateDial(node, to));
            }
            let machine = &state.nodes[node].machine;
            let breakable = (self.breakable)(node);
            if left.crashes > 0 && breakable {
                steps.push(Step::Crash(node));
            }
            if left.sends > 0 && !machine.is_leaving() {
                let open = machine.linked().filter(|peer| state.may_send(node, &peer.name));
                steps.extend(open.map(|peer| Step::Send(node, peer.name)));
            }
            if left.leaves > 0 && breakable {
                steps.push(Step::Leave(node));
                steps.extend(machine.linked().map(|peer| Step::Disconnect(node, peer.name)));
            }
            if left.forgets > 0 {
                steps.extend(machine.linked().map(|peer| Step::Forget(node, peer.name)));
            }
            if machine.is_leaving() {
                steps.push(Step::Deadline(node));
            }
        }
        if left.verdicts > 0 {
            for (at, wire) in state.wires.iter().enumerate().filter(|(_, wire)| wire.open == [true; 2]) {
                steps.extend((0..2).filter(|side| *side == 0 || wire.accepted).map(|side| Step::Verdict(at, side)));
            }
        }
    }
}
