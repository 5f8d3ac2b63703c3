//! Goodbyes (N15, S2), and the commands that end a link (N14).

use super::rules::Rule;
use super::{Action, ConnId, Limits, Machine, Stage, Turn};
use crate::monitor::DownReason;
use crate::name::NodeName;
use crate::node::Incarnation;
use crate::session::{CloseReason, LaneOffset, Message};

impl Machine {
    /// Leave: handshakes are closed, and each session is drained before its goodbye is written.
    pub(super) fn leave(&mut self, turn: &mut Turn) {
        if self.stage != Stage::Running {
            return;
        }
        self.stage = Stage::Leaving;
        self.close_handshakes(&CloseReason::Leaving, turn);
        for (_, conn) in self.session_conns(None) {
            turn.act(Action::Drain { conn });
        }
    }

    /// Leave at once, whatever is still on its way.
    pub(super) fn leave_now(&mut self, turn: &mut Turn) {
        if self.stage == Stage::Over {
            return;
        }
        self.stage = Stage::Leaving;
        self.close_handshakes(&CloseReason::Leaving, turn);
        for (name, _) in self.session_conns(None) {
            self.end_session(&name, DownReason::LocalShutdown, Some(CloseReason::Leaving), turn);
        }
    }

    /// All that this node had sent is written: the goodbye goes behind it.
    pub(super) fn drained(&mut self, conn: ConnId, offsets: Vec<LaneOffset>, turn: &mut Turn) {
        if self.stage == Stage::Leaving && self.is_session(conn) {
            turn.control(conn, Message::Goodbye(offsets));
        }
    }

    /// The peer leaves; its lanes end at these offsets. A second goodbye says nothing new.
    pub(super) fn goodbye(&mut self, conn: ConnId, offsets: Vec<LaneOffset>, turn: &mut Turn) {
        let Some(name) = self.session_name(conn) else { return };
        let Some(session) = self.peers.get_mut(&name).and_then(|record| record.session.as_mut()) else { return };
        if session.goodbye {
            return;
        }
        session.goodbye = true;
        turn.act(Action::AwaitHandover { conn, offsets });
        if !self.rules.has(Rule::GoodbyeWaits) {
            self.handed_over(conn, turn);
        }
    }

    /// Everything up to the peer's goodbye was handed over: it has left, flushed.
    pub(super) fn handed_over(&mut self, conn: ConnId, turn: &mut Turn) {
        let Some(name) = self.session_name(conn) else { return };
        if self.peers.session(&name).is_some_and(|session| session.goodbye) {
            self.end_session(&name, DownReason::Left { flushed: true }, Some(CloseReason::Done), turn);
        }
    }

    /// The name of the session that the connection carries.
    fn session_name(&self, conn: ConnId) -> Option<NodeName> {
        let known = self.conns.get(conn)?;
        self.is_session(conn).then(|| known.peer.clone())
    }

    /// N14: the session is reset; both sides go on wanting each other.
    pub(super) fn disconnect(&mut self, name: &NodeName, turn: &mut Turn) {
        if self.session(name).is_none() {
            return;
        }
        self.end_session(name, DownReason::Disconnected, Some(CloseReason::Disconnected), turn);
        self.choose(name, turn);
    }

    /// N14: all connections are closed, and neither side dials the other any more. What was seen of the name stays.
    pub(super) fn forget(&mut self, name: &NodeName, turn: &mut Turn) {
        self.end_session(name, DownReason::Forgotten, Some(CloseReason::Forgotten), turn);
        for conn in self.conns_of(name) {
            self.close(conn, CloseReason::Forgotten, turn);
        }
        if let Some(record) = self.peers.get_mut(name) {
            record.offer = None;
            record.let_go();
            self.peers.release(name);
        }
        self.shun(name);
    }

    /// A neighbour's word alone does not bring this life of a name back; a dial of its own does, and so does a greater life. As many are
    /// remembered as retired names, the last ones. One that was never linked is shunned whatever its life.
    pub(super) fn shun(&mut self, name: &NodeName) {
        let end_of_time = Incarnation::new(u64::MAX, u64::MAX);
        let seen = self.peers.get(name).and_then(|record| record.memory.seen).unwrap_or(end_of_time);
        self.shunned.retain(|(other, _)| other != name);
        if self.shunned.len() >= self.limits.max_peers.saturating_mul(Limits::SEEN_FACTOR) {
            self.shunned.pop_front();
        }
        self.shunned.push_back((name.clone(), seen));
    }
}
