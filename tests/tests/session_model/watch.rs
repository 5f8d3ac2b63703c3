//! What is promised: checked in every state, and once more in every state in which nothing is left to do.

use crate::world::{Life, State, World};
use pingpong_core::session::{Action, CloseReason, ConnId, Handshake, Machine, SessionId};
use pingpong_core::{DownReason, Incarnation, Node, NodeName};

/// What a reader of node events was shown of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Shown {
    /// What is up.
    pub(crate) up: Option<(Incarnation, SessionId, ConnId)>,
    /// The last incarnation that was.
    incarnation: Option<Incarnation>,
    /// The last session: its chooser's life and number.
    session: Option<(Incarnation, u64)>,
    /// The last incarnation that left.
    left: Option<Incarnation>,
}

/// One side of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub(crate) up: bool,
    pub(crate) down: bool,
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
}

/// What a run can come across.
pub(crate) mod witness {
    pub(crate) const SURPLUS: u32 = 1;
    pub(crate) const PEER_LOST_US: u32 = 1 << 1;
    pub(crate) const REPLACED: u32 = 1 << 2;
    pub(crate) const RAISED: u32 = 1 << 3;
    pub(crate) const STOPPED: u32 = 1 << 4;
    /// A session ended before its peer answered a probe.
    pub(crate) const UNANSWERED: u32 = 1 << 5;
    /// Something that was sent was lost with its session.
    pub(crate) const GAP: u32 = 1 << 6;
    pub(crate) const FLUSHED: u32 = 1 << 7;
    pub(crate) const UNFLUSHED: u32 = 1 << 8;
    pub(crate) const STALE: u32 = 1 << 9;
    pub(crate) const DELIVERED: u32 = 1 << 10;
    /// A `Take` was read after its writer had closed the connection.
    pub(crate) const LATE_TAKE: u32 = 1 << 11;
    /// The whole budget was spent, and all is well.
    pub(crate) const SETTLED: u32 = 1 << 12;
    /// A neighbour told a name.
    pub(crate) const TOLD: u32 = 1 << 13;
    /// An older incarnation came once more while it was parked.
    pub(crate) const PARKED_AGAIN: u32 = 1 << 14;
    /// After a `forget` nobody dials.
    pub(crate) const FORGOTTEN: u32 = 1 << 15;

    pub(crate) const NAMES: [&str; 16] = [
        "a surplus connection was closed",
        "a Down because the peer lost us",
        "a Down because of a newer incarnation",
        "an incarnation was raised",
        "one of two namesakes was stopped",
        "a probe was not answered",
        "something that was sent was lost",
        "left, flushed",
        "left, not flushed",
        "a stale connection was closed",
        "something was delivered",
        "a Take came after its writer had gone",
        "the budget was spent and all settled",
        "a neighbour told a name",
        "an older incarnation came again while it was parked",
        "after a forget nobody dials",
    ];
}

impl State {
    /// Of a connection: what its session delivered at that end.
    pub(crate) fn delivered(&self, wire: usize, side: usize) -> u64 {
        let node = self.wires[wire].ends[side];
        let session = self.session_on(wire, node);
        session.and_then(|id| self.parts.get(&(id.clone(), node))).map_or(0, |part| part.delivered)
    }

    /// The session that a node's shell holds on a connection, by the events that it was given.
    pub(crate) fn session_on(&self, wire: usize, node: usize) -> Option<&SessionId> {
        let up = self.nodes[node].shown.values().filter_map(|shown| shown.up.as_ref());
        up.filter(|(_, _, conn)| conn.0 == wire as u64).map(|(_, id, _)| id).next()
    }

    /// Whether the shell takes frames for that name: nothing is sent to one that has said goodbye.
    pub(crate) fn may_send(&self, node: usize, name: &NodeName) -> bool {
        let up = self.nodes[node].shown.get(name).and_then(|shown| shown.up.as_ref());
        up.is_some_and(|(_, _, conn)| {
            let wire = conn.0 as usize;
            self.wires[wire].handover[self.side(wire, node)].is_none()
        })
    }
}

impl World {
    /// M3, S2, C4: what the reader of node events must not see.
    pub(crate) fn saw_up(&self, state: &mut State, at: usize, node: &Node, session: &SessionId, conn: ConnId) {
        let chooses = self.names[at] == session.chooser;
        if chooses && !state.other_part(session, at).is_some_and(|part| part.up) {
            state.bad("up before the peer answered (M9)");
        }
        let shown = state.nodes[at].edit().shown.entry(node.name.clone()).or_default();
        let before = std::mem::take(shown);
        *shown = Shown {
            up: Some((node.incarnation, session.clone(), conn)),
            incarnation: Some(node.incarnation),
            session: Some((session.incarnation, session.number)),
            left: before.left,
        };
        if before.up.is_some() {
            state.bad("two Ups without a Down (M3)");
        }
        if Some(node.incarnation) < before.incarnation {
            state.bad("an older incarnation after a newer one (C4)");
        }
        if Some(node.incarnation) <= before.left {
            state.bad("an incarnation that left came back (S2)");
        }
        if before.session.is_some_and(|(life, number)| life == session.incarnation && number >= session.number) {
            state.bad("an older session after a newer one (C4)");
        }
        state.part(session, at).up = true;
    }

    /// M3, M9, N8, S2: an end, and whether it tells the truth.
    pub(crate) fn saw_down(&self, state: &mut State, at: usize, node: &Node, session: &SessionId, reason: &DownReason) {
        let shown = state.nodes[at].edit().shown.entry(node.name.clone()).or_default();
        let up = shown.up.take();
        if let DownReason::Left { .. } = reason {
            shown.left = Some(node.incarnation);
        }
        match up {
            Some((incarnation, id, conn)) if incarnation == node.incarnation && id == *session => {
                let wire = conn.0 as usize;
                if state.wires[wire].open[state.side(wire, at)] {
                    state.bad("a Down before its connection was closed (N8)");
                }
            }
            _ => state.bad("a Down of what was not up (M3)"),
        }
        if !state.faults {
            state.bad("a Down without a fault (M9)");
        }
        let part = state.part(session, at);
        part.down = true;
        let delivered = part.delivered;
        let lost = state.other_part(session, at).is_some_and(|part| part.sent > delivered);
        if lost {
            self.note(witness::GAP);
        }
        match reason {
            DownReason::PeerLostUs => self.note(witness::PEER_LOST_US),
            DownReason::Replaced => self.note(witness::REPLACED),
            DownReason::Left { flushed: true } => {
                self.note(witness::FLUSHED);
                if lost {
                    state.bad("left, said to be flushed, and was not (S2)");
                }
            }
            DownReason::Left { flushed: false } => self.note(witness::UNFLUSHED),
            _ => {}
        }
    }

    /// C3, C4: a frame is handed over in its session, and without a gap.
    pub(crate) fn saw_delivery(&self, state: &mut State, wire: usize, at: usize, frame: &(SessionId, u64)) {
        self.note(witness::DELIVERED);
        match state.session_on(wire, at) {
            Some(session) if *session == frame.0 => {
                let part = state.part(&frame.0, at);
                part.delivered += 1;
                if part.delivered != frame.1 {
                    state.bad("a gap (C3)");
                }
            }
            Some(_) => state.bad("a frame of another session (C4)"),
            None => state.bad("delivered outside its session (C4)"),
        }
    }

    /// S3: who may be stopped, and for whom.
    pub(crate) fn saw_stop(&self, state: &mut State, at: usize, by: Incarnation) {
        self.note(witness::STOPPED);
        if !state.nodes[at].beside.contains(&by) {
            state.bad("stopped for one that was not alive beside it (S3)");
        }
        let nodes = state.nodes.len();
        let namesakes = || (0..nodes).filter(|other| self.names[*other] == self.names[at]);
        let greatest = namesakes().all(|other| self.generations[other] <= self.generations[at]);
        let unhurt = state.left.verdicts == self.budget.verdicts && state.left.crashes == self.budget.crashes;
        if greatest && unhurt {
            state.bad("the newer one was stopped without a fault (S3)");
        }
        let rest = namesakes().filter(|other| *other != at);
        let all = rest.map(|other| state.nodes[other].life).all(|life| life == Life::Stopped);
        if all && state.left.crashes == self.budget.crashes {
            state.bad("both were stopped (S3)");
        }
        state.end(at, Life::Stopped);
    }

    /// M1, C4: the list is what is up, and no name has two open sessions.
    pub(crate) fn check_list(&self, state: &mut State, at: usize) {
        if !state.runs(at) {
            return;
        }
        let node = &state.nodes[at];
        let listed = node.machine.linked();
        let up = node.shown.iter().filter(|(_, shown)| shown.up.is_some());
        let agree = listed.map(|node| node.name).eq(up.clone().map(|(name, _)| name.clone()));
        let mine = |wire: usize| state.wires[wire].ends.contains(&at) && state.wires[wire].open[state.side(wire, at)];
        let open = (0..state.wires.len()).filter(|wire| mine(*wire) && node.machine.lanes_open(ConnId(*wire as u64)));
        let two = open.count() > up.count();
        if !agree {
            state.bad("the list is not what is up (M1)");
        }
        if two && self.rules.has(pingpong_core::session::Rule::LanesWait) {
            state.bad("lanes of a connection without a session (C4)");
        }
    }

    /// What a handful of actions shows together.
    pub(crate) fn note_actions(&self, before: &Machine, actions: &[Action]) {
        let lost = |action: &Action| matches!(action, Action::Down { reason: DownReason::Lost, .. });
        let raise = |action: &Action| matches!(action, Action::Close { reason: CloseReason::Raise(_), .. });
        if actions.iter().any(lost) && actions.iter().any(raise) {
            self.note(witness::UNANSWERED);
        }
        let parked = |conn: &ConnId| before.handshaking(*conn) == Some(Handshake::Parked);
        for action in actions {
            match action {
                Action::Close { conn, reason: CloseReason::Stale } if parked(conn) => self.note(witness::PARKED_AGAIN),
                Action::Close { reason: CloseReason::Surplus, .. } => self.note(witness::SURPLUS),
                Action::Close { reason: CloseReason::Stale, .. } => self.note(witness::STALE),
                Action::Told { news, .. } if !news.added.is_empty() => self.note(witness::TOLD),
                _ => {}
            }
        }
    }

    /// Nothing is left to do: all that can reach each other hold the same session and their true incarnations, no
    /// handshake hangs, each name has one instance, and what was lost has ended its session for all that were up in it.
    pub(crate) fn settled(&self, state: &State) -> bool {
        let nodes = || (0..state.nodes.len()).filter(|node| state.runs(*node));
        let pairs_agree = nodes().all(|i| nodes().filter(|j| *j != i).all(|j| self.pair_agrees(state, i, j)));
        let hangs = |node: usize| {
            let known = |wire: usize| state.nodes[node].machine.handshaking(ConnId(wire as u64)).is_some();
            (0..state.wires.len()).any(|wire| state.wires[wire].ends.contains(&node) && known(wire))
        };
        let told = state.parts.iter().all(|((session, at), part)| {
            let other = state.other_part(session, *at);
            let lost = part.sent > other.map_or(0, |other| other.delivered);
            !lost || part.down && other.is_none_or(|other| !other.up || other.down)
        });
        let closed = state.wires.iter().all(|wire| wire.open[0] == wire.open[1]);
        pairs_agree && told && closed && !nodes().any(hangs)
    }

    fn pair_agrees(&self, state: &State, i: usize, j: usize) -> bool {
        let (one, other) = (&state.nodes[i].machine, &state.nodes[j].machine);
        if self.names[i] == self.names[j] {
            return false; // S3: one of them has stopped.
        }
        match (one.session(&self.names[j]), other.session(&self.names[i])) {
            (Some(mine), Some(theirs)) => {
                let true_lives =
                    [mine.incarnation, theirs.incarnation] == [other.node().incarnation, one.node().incarnation];
                mine.id == theirs.id && true_lives
            }
            (None, None) if state.left.forgets < self.budget.forgets => {
                // N14: apart, but only if neither still wants the other.
                let wants = |from: &Machine, to: usize| from.wants().any(|name| *name == self.names[to]);
                let apart = !wants(one, j) && !wants(other, i);
                if apart {
                    self.note(witness::FORGOTTEN);
                }
                apart
            }
            (None, None) => !(self.reach)(i, j) && !(self.reach)(j, i),
            _ => false,
        }
    }
}
