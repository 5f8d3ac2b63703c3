//! From a new connection to the chooser's word: `Hello`, who is refused, which connection is offered (N1 - N5, N7).

use super::conn::{Conn, Greeting, Phase};
use super::rules::Rule;
use super::{Action, ConnId, Limits, Machine, News, Stage, Turn};
use crate::monitor::DownReason;
use crate::name::NodeName;
use crate::session::{CloseReason, Hello, Message, SessionId};

impl Machine {
    /// A connection is there, dialled or accepted; the dialler speaks first (N2).
    pub(super) fn opened(&mut self, conn: ConnId, peer: NodeName, dialled: bool, turn: &mut Turn) {
        if self.conns.contains(conn) {
            return;
        }
        let too_many = self.too_many_for(&peer, dialled);
        self.conns.insert(conn, Conn::new(peer, dialled));
        if self.stage != Stage::Running {
            self.close(conn, CloseReason::Leaving, turn);
        } else if let Some(reason) = too_many {
            self.close(conn, reason, turn);
        } else if dialled {
            self.greet(conn, turn);
        }
    }

    /// N20: how many handshakes there may be, for each name and in all. What this node dials itself is bounded for each name.
    ///
    /// After a heal all dials that a peer began during the cut may arrive at once: while there is room for others, those beyond the
    /// first few are a surplus, for which the peer does not hold back. Whose own dials stay without an answer holds back itself.
    fn too_many_for(&self, peer: &NodeName, dialled: bool) -> Option<CloseReason> {
        let same = |conn: &Conn| conn.dialled == dialled && conn.phase != Phase::Up;
        let open = self.conns.of(peer).filter(|(_, conn)| same(conn) && conn.phase == Phase::Open).count();
        if dialled {
            return (open >= Limits::DIALS).then_some(CloseReason::Full);
        }
        let most = self.limits.max_peers.saturating_add(Limits::SPARE_HANDSHAKES);
        // Counted only if there are as many connections at all.
        if self.conns.len() >= most && self.conns.iter().filter(|(_, conn)| same(conn)).count() >= most {
            return Some(CloseReason::Full);
        }
        (open >= Limits::OPEN).then_some(CloseReason::Surplus)
    }

    /// Writes my `Hello`.
    pub(super) fn greet(&mut self, conn: ConnId, turn: &mut Turn) {
        let Some(known) = self.conns.get_mut(conn) else { return };
        self.moment += 1;
        known.my_moment = self.moment;
        known.my_random = turn.outside.random;
        let hello = Hello {
            cluster: self.identity.cluster.clone(),
            versions: self.identity.versions,
            name: self.identity.name.clone(),
            incarnation: self.identity.incarnation,
            moment: self.moment,
            held: self.peers.session(&known.peer).map(|session| session.id.clone()),
            random: turn.outside.random,
            failure_timeout_millis: self.identity.failure_timeout_millis,
            lanes: self.identity.lanes,
            addresses: self.identity.addresses.clone(),
        };
        turn.control(conn, Message::Hello(Box::new(hello)));
    }

    /// Why a node is not to be linked at all, in words that name both sides' values (N1, A1, A3).
    fn refusal(&self, proved: &NodeName, hello: &Hello) -> Option<String> {
        let (mine, theirs) = (&self.identity, hello);
        if theirs.name != *proved {
            Some(format!("it calls itself {}, its certificate proves {proved}", theirs.name))
        } else if theirs.cluster != mine.cluster {
            Some(format!("{} is of cluster {}, {} of cluster {}", theirs.name, theirs.cluster, mine.name, mine.cluster))
        } else if theirs.versions.common(mine.versions).is_none() {
            let (name, versions) = (&theirs.name, theirs.versions);
            Some(format!("{name} speaks protocol {versions}, {} speaks {}", mine.name, mine.versions))
        } else if theirs.lanes != mine.lanes {
            let (theirs, lanes) = (theirs, theirs.lanes);
            Some(format!("{} is configured for {lanes} lanes, {} for {}", theirs.name, mine.name, mine.lanes))
        } else {
            None
        }
    }

    /// The peer's `Hello` has come (N2).
    pub(super) fn hello(&mut self, conn: ConnId, hello: Hello, turn: &mut Turn) {
        let Some(known) = self.conns.get(conn) else { return };
        if known.greeting.is_some() || known.phase != Phase::Open {
            return self.broken(conn, "a second Hello", turn);
        }
        let (peer, dialled) = (known.peer.clone(), known.dialled);
        if let Some(words) = self.refusal(&peer, &hello) {
            return self.close(conn, CloseReason::Refused(words), turn);
        }
        let incarnation = hello.incarnation;
        if let Some(known) = self.conns.get_mut(conn) {
            known.greeting = Some(Box::new(Greeting::from(hello)));
        }
        if peer == self.identity.name {
            return self.namesake(conn, turn);
        }
        let Some(evicted) = self.peers.admit(&peer, self.limits, &self.conns) else {
            return self.close(conn, CloseReason::Full, turn);
        };
        if let Some((name, tellers)) = evicted {
            for by in tellers {
                turn.act(Action::Told { by, news: News { added: Vec::new(), gone: vec![name.clone()] } });
            }
        }
        let linked = self.session(&peer).is_some();
        if self.is_older(&peer, incarnation) {
            return self.older(conn, turn);
        }
        if !self.rules.has(Rule::IgnoreOwnDial) && !linked && !dialled && self.identity.name < peer {
            return self.close(conn, CloseReason::Surplus, turn);
        }
        let chooses = self.chooses(&peer, dialled);
        if !chooses && self.waiting(&peer).len() >= Limits::WAITING {
            // The older ones are kept: one of them may be on offer.
            return self.close(conn, CloseReason::Surplus, turn);
        }
        if !dialled {
            self.greet(conn, turn);
        }
        if let Some(known) = self.conns.get_mut(conn) {
            known.phase = Phase::Waiting;
        }
        self.choose(&peer, turn);
    }

    /// N4: of each pair the smaller name chooses, whoever dialled.
    fn chooses(&self, peer: &NodeName, dialled: bool) -> bool {
        if self.rules.has(Rule::OneChooser) { self.identity.name < *peer } else { !dialled }
    }

    /// Connections of a name that wait for the chooser's word, the oldest first.
    fn waiting(&self, name: &NodeName) -> Vec<ConnId> {
        self.conns.of(name).filter(|(_, conn)| conn.phase == Phase::Waiting).map(|(id, _)| id).collect()
    }

    /// The chooser looks at the connections that wait (N4, N5, N7, N9).
    pub(super) fn choose(&mut self, name: &NodeName, turn: &mut Turn) {
        for conn in self.waiting(name) {
            let Some(known) = self.conns.get(conn) else { continue };
            let Some(greeting) = known.greeting.as_deref() else { continue };
            if !self.chooses(name, known.dialled) {
                continue;
            }
            let Some(record) = self.peers.get_mut(name) else { return };
            if self.rules.has(Rule::OneOffer) && record.offer.is_some() {
                break;
            }
            let incarnation = greeting.incarnation;
            if self.rules.has(Rule::RefuseOlder) && record.memory.seen.is_some_and(|seen| incarnation < seen) {
                self.older(conn, turn);
                continue;
            }
            match &record.session {
                Some(session) if session.incarnation == incarnation => {
                    let fresh = greeting.moment > session.peer_since || !self.rules.has(Rule::HeldIsFresh);
                    let evidence = fresh && greeting.held.as_ref() != Some(&session.id);
                    if !evidence || !self.rules.has(Rule::HeldCounts) {
                        self.close(conn, CloseReason::Surplus, turn);
                        continue;
                    }
                    self.end_session(name, DownReason::PeerLostUs, Some(CloseReason::Lost), turn);
                }
                Some(_) if !self.rules.has(Rule::ReplaceAtAnswer) => self.replace(name, conn, turn),
                _ => {}
            }
            self.offer(conn, name, turn);
        }
        self.close_surplus(name, turn);
    }

    /// While an offer is out at most so many wait; the oldest goes first (N5, N20).
    fn close_surplus(&mut self, name: &NodeName, turn: &mut Turn) {
        let keep = if self.rules.has(Rule::KeepSpares) { Limits::WAITING } else { 0 };
        let mut waiting = self.waiting(name);
        waiting.retain(|id| self.conns.get(*id).is_some_and(|conn| self.chooses(name, conn.dialled)));
        let surplus = waiting.len().saturating_sub(keep);
        for conn in waiting.into_iter().take(surplus) {
            self.close(conn, CloseReason::Surplus, turn);
        }
    }

    /// Writes the `Take` of a new session (N5).
    fn offer(&mut self, conn: ConnId, name: &NodeName, turn: &mut Turn) {
        let Some(known) = self.conns.get_mut(conn) else { return };
        let Some(greeting) = known.greeting.as_deref() else { return };
        let Some(record) = self.peers.get_mut(name) else { return };
        self.number += 1;
        let id = SessionId {
            chooser: self.identity.name.clone(),
            incarnation: self.identity.incarnation,
            number: self.number,
            random: [turn.outside.random, greeting.random],
        };
        known.phase = Phase::Offered;
        record.offer = Some((conn, id.clone()));
        turn.control(conn, Message::Take(id.clone()));
        if !self.rules.has(Rule::UpAtReady) {
            self.rise(conn, id, 0, turn);
        }
    }
}
