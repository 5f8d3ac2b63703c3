//! The life of a session: taken, up, and ended, the connection always before the `Down` (N5, N6, N8, N9).

use super::conn::Phase;
use super::peer::{Reading, Session};
use super::rules::Rule;
use super::{Action, ConnId, Machine, Outside, Stage, Turn};
use crate::monitor::DownReason;
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use crate::session::{CloseReason, Message, PeersDigest, SessionId};

impl Machine {
    /// The taker's answer to an offer (N5, N6, N9, N10).
    pub(super) fn take(&mut self, conn: ConnId, id: SessionId, turn: &mut Turn) {
        let Some(known) = self.conns.get(conn) else { return };
        if known.phase != Phase::Waiting {
            return;
        }
        let Some(greeting) = known.greeting.as_deref() else { return };
        let (name, incarnation, my_moment) = (known.peer.clone(), greeting.incarnation, known.my_moment);
        let choosing = name < self.identity.name || !self.rules.has(Rule::OneChooser);
        if !choosing || id.chooser != name || id.incarnation != incarnation || id.random[1] != known.my_random {
            return self.broken(conn, "a Take that is not its writer's to write", turn);
        }
        let Some(record) = self.peers.get(&name) else { return };
        let late = record.memory.taken.is_some_and(|(life, number)| life == id.incarnation && number >= id.number);
        if late && self.rules.has(Rule::Numbered) {
            return self.close(conn, CloseReason::Stale, turn);
        }
        if self.is_older(&name, incarnation) {
            return self.older(conn, turn);
        }
        match &record.session {
            Some(session) if session.incarnation == incarnation => {
                if self.rules.has(Rule::TakeIsDown) {
                    self.end_session(&name, DownReason::PeerLostUs, Some(CloseReason::Lost), turn);
                } else {
                    let old = session.conn;
                    self.close(old, CloseReason::Lost, turn);
                }
            }
            Some(session) if my_moment <= session.since && self.rules.has(Rule::TakeIsFresh) => {
                return self.close(conn, CloseReason::Stale, turn);
            }
            Some(_) => self.replace(&name, conn, turn),
            None => {}
        }
        let Some(record) = self.peers.get_mut(&name) else { return };
        record.memory.taken = Some((id.incarnation, id.number));
        turn.control(conn, Message::Ready(id.clone(), self.moment));
        self.rise(conn, id, 0, turn);
    }

    /// The chooser has its answer (N6).
    pub(super) fn ready(&mut self, conn: ConnId, id: &SessionId, peer_since: u64, turn: &mut Turn) {
        let Some(known) = self.conns.get(conn) else { return };
        let name = known.peer.clone();
        let offered = known.phase == Phase::Offered && !self.rules.has(Rule::OneOffer);
        let Some(record) = self.peers.get_mut(&name) else { return };
        let answers = record.offer.as_ref().is_some_and(|(offered, offer)| *offered == conn && offer == id);
        if !answers && !offered {
            return;
        }
        record.offer = None;
        let linked = record.session.is_some();
        if self.rules.has(Rule::UpAtReady) {
            if linked {
                self.replace(&name, conn, turn);
            }
            self.rise(conn, id.clone(), peer_since, turn);
        }
        self.choose(&name, turn);
    }

    /// A session begins (N6): `Up`, then lanes, then the question for more names (N17).
    pub(super) fn rise(&mut self, conn: ConnId, id: SessionId, peer_since: u64, turn: &mut Turn) {
        let Some(known) = self.conns.get_mut(conn) else { return };
        let Some(record) = self.peers.get_mut(&known.peer) else { return };
        let unheard_of = !record.is_wanted();
        let keep = if self.rules.has(Rule::UpAtReady) { known.greeting.take() } else { known.greeting.clone() };
        let Some(greeting) = keep else { return };
        known.phase = Phase::Up;
        let name = known.peer.clone();
        record.memory.seen = record.memory.seen.max(Some(greeting.incarnation));
        record.wanted = true;
        record.told_by.clear();
        let node = Node { name: name.clone(), incarnation: greeting.incarnation };
        let before = record.session.take().map_or(PeersDigest::NONE, |session| session.digest);
        let digest = PeersDigest::of(&node, &greeting.addresses);
        self.linked = self.linked.without(before).and(digest);
        record.session = Some(Session {
            id: id.clone(),
            conn,
            incarnation: greeting.incarnation,
            failure_timeout_millis: greeting.failure_timeout_millis,
            digest,
            reading: Reading::default(),
            addresses: greeting.addresses,
            since: self.moment,
            peer_since,
            goodbye: false,
        });
        self.shunned.retain(|(other, _)| *other != name);
        turn.act(Action::Up { node, session: id, conn });
        turn.act(Action::OpenLanes { conn });
        self.greet_neighbour(conn, unheard_of, turn);
    }

    /// A session ends. The connection goes first, so that nothing is delivered after the `Down` (N8); an older
    /// incarnation that waited for the peer's answer has none (N11). `close` is `None` if it is closed already.
    pub(super) fn end_session(
        &mut self,
        name: &NodeName,
        reason: DownReason,
        close: Option<CloseReason>,
        turn: &mut Turn,
    ) {
        let Some(record) = self.peers.get_mut(name) else { return };
        let Some(session) = record.session.take() else { return };
        self.linked = self.linked.without(session.digest);
        let reason = match reason {
            _ if self.stage != Stage::Running => DownReason::LocalShutdown,
            DownReason::Left { flushed } => DownReason::Left { flushed },
            _ if session.goodbye => DownReason::Left { flushed: false },
            other => other,
        };
        if matches!(reason, DownReason::Left { .. } | DownReason::Forgotten) {
            record.let_go();
        }
        if reason == DownReason::Forgotten {
            self.shun(name);
        }
        match close {
            Some(reason) => self.close(session.conn, reason, turn),
            None => drop(self.conns.remove(session.conn)),
        }
        let node = Node { name: name.clone(), incarnation: session.incarnation };
        turn.act(Action::Down { node, session: session.id, reason });
        self.peers.release(name);
        self.unanswered(name, turn);
        self.tells_no_more(name);
        self.unread_all();
    }

    /// A connection ends, whatever it was for: its session or its offer with it, and the next one is chosen (N5).
    pub(super) fn ended(&mut self, conn: ConnId, reason: DownReason, close: Option<CloseReason>, turn: &mut Turn) {
        let Some(known) = self.conns.get(conn) else { return };
        let name = known.peer.clone();
        if self.is_session(conn) {
            self.end_session(&name, reason, close, turn);
        } else {
            match close {
                Some(reason) => self.close(conn, reason, turn),
                None => drop(self.conns.remove(conn)),
            }
            self.drop_offer(&name, conn);
        }
        self.choose(&name, turn);
    }

    fn drop_offer(&mut self, name: &NodeName, conn: ConnId) {
        if let Some(record) = self.peers.get_mut(name) {
            record.offer.take_if(|(offered, _)| *offered == conn);
        }
    }

    /// The other side broke the protocol.
    pub(super) fn broken(&mut self, conn: ConnId, words: &str, turn: &mut Turn) {
        let close = CloseReason::Protocol(words.to_owned());
        self.ended(conn, DownReason::Protocol(words.to_owned()), Some(close), turn);
    }

    /// The other side closed the connection.
    pub(super) fn closed(&mut self, conn: ConnId, reason: CloseReason, turn: &mut Turn) {
        let Some(known) = self.conns.get(conn) else { return };
        let name = known.peer.clone();
        if self.stage == Stage::Running {
            let own = self.identity.incarnation;
            let Outside { wall_millis, random } = turn.outside;
            // Above the end of time there is none: whoever claims to have seen that is not believed.
            let raised = |seen| Incarnation::above(seen, wall_millis, random);
            match reason {
                CloseReason::Replaced { by, at } if by > own || !self.rules.has(Rule::StopCompares) => {
                    self.conns.remove(conn);
                    return self.stop(by, at, turn);
                }
                CloseReason::Raise(seen) if seen > own && raised(seen) > seen => {
                    self.conns.remove(conn);
                    return self.raise(raised(seen), turn);
                }
                _ => {}
            }
        }
        let forgotten = reason == CloseReason::Forgotten;
        let let_go = matches!(reason, CloseReason::Forgotten | CloseReason::Leaving) && !self.is_session(conn);
        let reason = match reason {
            CloseReason::Renewed => DownReason::Replaced,
            CloseReason::Leaving => DownReason::Left { flushed: false },
            CloseReason::Disconnected => DownReason::Disconnected,
            CloseReason::Forgotten => DownReason::Forgotten,
            CloseReason::Overloaded => DownReason::Overloaded,
            CloseReason::Protocol(words) => DownReason::Protocol(words),
            _ => DownReason::PeerLostUs,
        };
        self.ended(conn, reason, None, turn);
        let linked = self.session(&name).is_some();
        if let Some(record) = self.peers.get_mut(&name).filter(|_| let_go && !linked) {
            record.let_go();
            self.peers.release(&name);
            if forgotten {
                self.shun(&name);
            }
        }
    }
}
