//! Who replaces whom when one name has had several lives: probe, raise, stop (N10 - N13).

use super::conn::Phase;
use super::rules::Rule;
use super::{Action, ConnId, Machine, Stage, Turn};
use crate::address::Address;
use crate::monitor::DownReason;
use crate::name::NodeName;
use crate::node::Incarnation;
use crate::session::{CloseReason, Message};

impl Machine {
    /// Whether a greater incarnation of that name was ever `Up` here (N11).
    pub(super) fn is_older(&self, name: &NodeName, incarnation: Incarnation) -> bool {
        let seen = self.peers.get(name).and_then(|record| record.memory.seen);
        self.rules.has(Rule::RefuseOlder) && seen.is_some_and(|seen| incarnation < seen)
    }

    /// An older incarnation is never linked: it waits until the greater one has answered a probe, or raises its own (N11).
    pub(super) fn older(&mut self, conn: ConnId, turn: &mut Turn) {
        let Some(known) = self.conns.get(conn) else { return };
        let Some(incarnation) = known.greeting.as_deref().map(|greeting| greeting.incarnation) else { return };
        let name = known.peer.clone();
        let Some(record) = self.peers.get(&name) else { return };
        let seen = record.memory.seen;
        let linked = record.session.as_ref().filter(|session| session.incarnation > incarnation);
        let Some(session) = linked.filter(|_| self.rules.has(Rule::ProbeFirst)) else {
            return self.close(conn, self.raise_reason(seen), turn);
        };
        if !self.rules.has(Rule::Probe) {
            let reason = CloseReason::Replaced { by: session.incarnation, at: session.addresses.first().cloned() };
            return self.close(conn, reason, turn);
        }
        let session_conn = session.conn;
        let asked = self.close_parked(&name, incarnation, turn);
        let Some(record) = self.peers.get_mut(&name) else { return };
        let number = asked.unwrap_or_else(|| {
            record.probe += 1;
            turn.control(session_conn, Message::Probe(record.probe));
            record.probe
        });
        if let Some(known) = self.conns.get_mut(conn) {
            known.phase = Phase::Parked(number);
        }
    }

    /// One connection of a name is parked, the last one. If the one before it was of the same incarnation, its probe is
    /// out already and speaks for this one too; asking anew each time would never end where an answer takes longer than
    /// the next dial.
    fn close_parked(&mut self, name: &NodeName, incarnation: Incarnation, turn: &mut Turn) -> Option<u64> {
        let mut asked = None;
        for (conn, number) in self.parked(name) {
            let same = |other: Incarnation| other == incarnation;
            let greeting = self.conns.get(conn).and_then(|known| known.greeting.as_deref());
            if greeting.is_some_and(|greeting| same(greeting.incarnation)) {
                asked = Some(number);
            }
            self.close(conn, CloseReason::Stale, turn);
        }
        asked
    }

    /// Parked connections of a name, each with the probe that it waits for.
    fn parked(&self, name: &NodeName) -> Vec<(ConnId, u64)> {
        let parked = self.conns.of(name).filter_map(|(id, conn)| match conn.phase {
            Phase::Parked(number) => Some((id, number)),
            _ => None,
        });
        parked.collect()
    }

    /// The greater one is alive: those that waited for that are replaced (N11, S3).
    pub(super) fn probe_answered(&mut self, conn: ConnId, answered: u64, turn: &mut Turn) {
        if !self.is_session(conn) {
            return;
        }
        let Some(name) = self.conns.get(conn).map(|known| known.peer.clone()) else { return };
        let Some(session) = self.peers.session(&name) else { return };
        let reason = CloseReason::Replaced { by: session.incarnation, at: session.addresses.first().cloned() };
        for (parked, number) in self.parked(&name) {
            if number <= answered {
                self.close(parked, reason.clone(), turn);
            }
        }
    }

    /// The session of the greater one has ended: nobody answers any more, so the older one may rise above it (N11).
    pub(super) fn unanswered(&mut self, name: &NodeName, turn: &mut Turn) {
        let seen = self.peers.get(name).and_then(|record| record.memory.seen);
        for (conn, _) in self.parked(name) {
            self.close(conn, self.raise_reason(seen), turn);
        }
    }

    fn raise_reason(&self, seen: Option<Incarnation>) -> CloseReason {
        match seen {
            Some(seen) if self.rules.has(Rule::Raise) => CloseReason::Raise(seen),
            _ => CloseReason::Stale,
        }
    }

    /// The greater incarnation on `newer` takes over from the one that is linked (N10).
    pub(super) fn replace(&mut self, name: &NodeName, newer: ConnId, turn: &mut Turn) {
        let Some(greeting) = self.conns.get(newer).and_then(|known| known.greeting.as_deref()) else { return };
        let (by, at) = (greeting.incarnation, greeting.addresses.first().cloned());
        self.end_session(name, DownReason::Replaced, Some(CloseReason::Replaced { by, at }), turn);
    }

    /// This node takes a greater incarnation: stored first, and everything begins anew (N12).
    pub(super) fn raise(&mut self, raised: Incarnation, turn: &mut Turn) {
        self.identity.incarnation = raised;
        turn.act(Action::Store(raised));
        if !self.rules.has(Rule::RaiseEndsSessions) {
            return;
        }
        for (name, _) in self.session_conns(None) {
            self.end_session(&name, DownReason::Renewed, Some(CloseReason::Renewed), turn);
        }
        self.close_handshakes(&CloseReason::Stale, turn);
    }

    /// Two instances of one name have met: the dialler, which has the answer, says who is the greater (N13).
    pub(super) fn namesake(&mut self, conn: ConnId, turn: &mut Turn) {
        let Some(known) = self.conns.get(conn) else { return };
        let Some(greeting) = known.greeting.as_deref() else { return };
        let (other, at) = (greeting.incarnation, greeting.addresses.first().cloned());
        let own = self.identity.incarnation;
        if other == own {
            self.close(conn, CloseReason::Stale, turn);
        } else if !known.dialled {
            self.greet(conn, turn);
        } else if other < own {
            let at = self.identity.addresses.first().cloned();
            self.close(conn, CloseReason::Replaced { by: own, at }, turn);
        } else {
            self.close(conn, CloseReason::Stale, turn);
            self.stop(other, at, turn);
        }
    }

    /// A greater one of this name is alive: this one stops for good (N13, S3).
    pub(super) fn stop(&mut self, by: Incarnation, at: Option<Address>, turn: &mut Turn) {
        self.stage = Stage::Over;
        for (name, _) in self.session_conns(None) {
            self.end_session(&name, DownReason::LocalShutdown, Some(CloseReason::Leaving), turn);
        }
        self.close_handshakes(&CloseReason::Leaving, turn);
        turn.act(Action::Stop { by, at });
    }

    /// Closes every connection without a session.
    pub(super) fn close_handshakes(&mut self, reason: &CloseReason, turn: &mut Turn) {
        let handshakes = self.conns.iter().filter(|(_, conn)| conn.phase != Phase::Up);
        for conn in handshakes.map(|(id, _)| id).collect::<Vec<_>>() {
            self.close(conn, reason.clone(), turn);
        }
        self.peers.values_mut().for_each(|record| record.offer = None);
    }
}
