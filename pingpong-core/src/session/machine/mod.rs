//! The session machine of one node: which connection becomes the link to a name, how it ends, and who replaces whom.
//!
//! It is pure: events and a look [outside](Outside) go in, actions come out, and the shell carries them out *in their
//! order*. A verdict of the failure detector, a handshake out of time and a dead connection are one event to it,
//! [`Event::Lost`]. Whatever a peer sends, in whatever order, it does not panic, and its memory stays within [`Limits`].
//!
//! Where to find what: `handshake` from the first `Hello` to the choice (N1 - N5, N7), `link` the life of a session
//! (N6, N8, N9), `incarnation` who replaces whom (N10 - N13), `leaving` goodbyes and commands (N14, N15), `exchange`
//! what neighbours tell (N17), `peer` and `conn` what is kept, with its bounds (N3, N20).

mod conn;
mod event;
mod exchange;
mod handshake;
mod incarnation;
mod leaving;
mod link;
mod peer;
#[cfg_attr(not(feature = "model"), expect(unreachable_pub, reason = "only the model reaches the rules"))]
mod rules;
#[cfg(test)]
mod tests;

pub use conn::Handshake;
pub use event::{Action, ConnId, Event, Identity, Limits, Outside};
pub use exchange::News;
pub use peer::Session;
#[cfg(feature = "model")]
pub use rules::{Rule, Rules};

use crate::monitor::DownReason;
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use crate::session::{CloseReason, MAX_ADDRESSES, Message, PeersDigest};
use conn::{Conn, Conns, Phase};
use peer::Roster;
#[cfg(not(feature = "model"))]
use rules::{Rule, Rules};
use std::collections::VecDeque;

/// How much longer this node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Running,
    /// Goodbyes are on their way: no new links (N15).
    Leaving,
    /// Stopped or gone: nothing happens any more.
    Over,
}

/// The session machine of one node: which connection becomes the link to a name, how it ends, who replaces whom.
///
/// It is pure: [`Machine::on`] takes an event and a look [outside](Outside), and returns what the shell has to do, *in that
/// order*. Whatever a peer sends, in whatever order, it does not panic, and its memory stays within [`Limits`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    identity: Identity,
    limits: Limits,
    rules: Rules,
    stage: Stage,
    /// Raised with every `Hello` that is written (N7).
    moment: u64,
    /// The moment at which this node's addresses last changed: what it said of them up to then is out of date (N17).
    moved: u64,
    /// Of the last offer; never falls, also across a raise (N5).
    number: u64,
    peers: Roster,
    /// Of the peers of all sessions.
    linked: PeersDigest,
    conns: Conns,
    /// Digests of links that were read (N17), the latest at the back.
    read: VecDeque<PeersDigest>,
    /// Something of some session's peer was read, or is about to be.
    reading: bool,
    /// Lives that were forgotten by command, here or there, the last one at the back: hearsay does not bring them back (N14).
    shunned: VecDeque<(NodeName, Incarnation)>,
}

/// One call of [`Machine::on`]: what is known of the outside, and what is to be done so far.
struct Turn {
    outside: Outside,
    actions: Vec<Action>,
}

impl Turn {
    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn control(&mut self, conn: ConnId, message: Message) {
        self.act(Action::Control { conn, message });
    }
}

impl Machine {
    /// A machine without links.
    pub fn new(mut identity: Identity, limits: Limits) -> Self {
        identity.addresses.truncate(MAX_ADDRESSES);
        Self {
            identity,
            limits,
            rules: Rules::ALL,
            stage: Stage::Running,
            moment: 0,
            moved: 0,
            number: 0,
            peers: Roster::default(),
            linked: PeersDigest::NONE,
            conns: Conns::default(),
            read: VecDeque::new(),
            reading: false,
            shunned: VecDeque::new(),
        }
    }

    /// The same machine under other rules.
    #[cfg(feature = "model")]
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Takes an event in, and says what to do.
    pub fn on(&mut self, event: Event, outside: Outside) -> Vec<Action> {
        let mut turn = Turn { outside, actions: Vec::new() };
        match event {
            Event::Connected { conn, to } => self.opened(conn, to, true, &mut turn),
            Event::Accepted { conn, from } => self.opened(conn, from, false, &mut turn),
            Event::Message { conn, message } => self.message(conn, message, &mut turn),
            Event::HandedOver { conn } => self.handed_over(conn, &mut turn),
            Event::Drained { conn, offsets } => self.drained(conn, offsets, &mut turn),
            Event::Closed { conn, reason } => self.closed(conn, reason, &mut turn),
            Event::Lost { conn } => self.ended(conn, DownReason::Lost, Some(CloseReason::Lost), &mut turn),
            Event::Overloaded { conn } => {
                self.ended(conn, DownReason::Overloaded, Some(CloseReason::Overloaded), &mut turn);
            }
            Event::Broken { conn, words } => self.broken(conn, &words, &mut turn),
            Event::Compare { conn } => self.compare(conn, &mut turn),
            Event::Leave => self.leave(&mut turn),
            Event::LeaveDeadline => self.leave_now(&mut turn),
            Event::Disconnect(name) => self.disconnect(&name, &mut turn),
            Event::Forget(name) => self.forget(&name, &mut turn),
        }
        if self.stage == Stage::Leaving && self.linked().next().is_none() {
            self.stage = Stage::Over;
            turn.act(Action::Quit);
        }
        self.peers.tidy(self.limits, &mut self.conns);
        if self.peers.has_dropped() {
            self.unread_all();
        }
        #[cfg(any(test, feature = "model"))]
        self.assert_what_is_held_twice();
        turn.actions
    }

    /// What is held so that it need not be looked for is what a look would find.
    #[cfg(any(test, feature = "model"))]
    fn assert_what_is_held_twice(&self) {
        self.peers.assert_what_is_held_twice(&self.conns);
        let linked = self.sessions().fold(PeersDigest::NONE, |sum, (_, session)| sum.and(session.digest));
        assert_eq!(self.linked, linked, "{self:?}");
        let read =
            !self.read.is_empty() || self.sessions().any(|(_, session)| session.reading != peer::Reading::Idle(None));
        assert!(self.reading || !read, "not all was unread: {self:?}");
    }

    /// This node, with its present incarnation.
    pub fn node(&self) -> Node {
        Node { name: self.identity.name.clone(), incarnation: self.identity.incarnation }
    }

    /// The session with that name.
    pub fn session(&self, name: &NodeName) -> Option<&Session> {
        self.peers.session(name)
    }

    /// The nodes that are linked, sorted by name (M1).
    pub fn linked(&self) -> impl Iterator<Item = Node> {
        self.sessions().map(|(name, session)| Node { name: name.clone(), incarnation: session.incarnation })
    }

    /// From now on that name is to be dialled, until it leaves or is forgotten. `false`: there is no room (N20).
    pub fn want(&mut self, name: NodeName) -> bool {
        if name == self.identity.name {
            return false;
        }
        let Some(peer) = self.peers.record(&name, self.limits) else { return false };
        peer.wanted = true;
        true
    }

    /// Whether that name is linked, or to be dialled.
    pub fn keeps(&self, name: &NodeName) -> bool {
        let running = self.stage == Stage::Running;
        self.peers.get(name).is_some_and(|peer| peer.session.is_some() || running && peer.is_wanted())
    }

    /// Names that are to be dialled: wanted, and without a session (N16). None while this node leaves.
    pub fn wants(&self) -> impl Iterator<Item = &NodeName> {
        let running = self.stage == Stage::Running;
        let wanted = self.peers.iter().filter(move |(_, peer)| running && peer.is_wanted() && peer.session.is_none());
        wanted.map(|(name, _)| name)
    }

    /// That name was not linked for so long that nothing of it has to be remembered (M7, N11). `false`: it is in use.
    pub fn expire(&mut self, name: &NodeName) -> bool {
        let used = self.session(name).is_some() || self.conns.of(name).next().is_some();
        if !used {
            self.peers.expire(name);
        }
        !used
    }

    /// Whether lanes of the connection are read and written: it is the one of a session (N8).
    pub fn lanes_open(&self, conn: ConnId) -> bool {
        let open = |conn: &Conn| conn.phase == Phase::Up || !self.rules.has(Rule::LanesWait);
        self.conns.get(conn).is_some_and(open)
    }

    /// How far a connection without a session has come; `None` for one with a session, or unknown.
    pub fn handshaking(&self, conn: ConnId) -> Option<Handshake> {
        match self.conns.get(conn)?.phase {
            Phase::Open | Phase::Waiting | Phase::Offered => Some(Handshake::Open),
            Phase::Parked(_) => Some(Handshake::Parked),
            Phase::Up => None,
        }
    }

    /// Whether [`Event::Leave`] has come, or the machine has stopped.
    pub fn is_leaving(&self) -> bool {
        self.stage != Stage::Running
    }

    /// All sessions, by name.
    fn sessions(&self) -> impl Iterator<Item = (&NodeName, &Session)> {
        self.peers.iter().filter_map(|(name, peer)| Some((name, peer.session.as_ref()?)))
    }

    /// The session that the connection carries.
    fn session_of(&mut self, conn: ConnId) -> Option<&mut Session> {
        let known = self.conns.get(conn).filter(|known| known.phase == Phase::Up)?;
        self.peers.get_mut(&known.peer)?.session.as_mut()
    }

    /// Names and connections of all sessions but the one with `except`, for actions on each of them.
    fn session_conns(&self, except: Option<&NodeName>) -> Vec<(NodeName, ConnId)> {
        let others = self.sessions().filter(|(name, _)| Some(*name) != except);
        others.map(|(name, session)| (name.clone(), session.conn)).collect()
    }

    /// Whether the connection is the one of the session with its name.
    fn is_session(&self, conn: ConnId) -> bool {
        self.conns.get(conn).is_some_and(|known| known.phase == Phase::Up)
    }

    /// Connections of a name, the oldest first.
    fn conns_of(&self, name: &NodeName) -> Vec<ConnId> {
        self.conns.of(name).map(|(id, _)| id).collect()
    }

    /// Closes a connection that has no session.
    fn close(&mut self, conn: ConnId, reason: CloseReason, turn: &mut Turn) {
        if self.conns.remove(conn).is_some() {
            turn.act(Action::Close { conn, reason });
        }
    }

    fn message(&mut self, conn: ConnId, message: Message, turn: &mut Turn) {
        if !self.conns.contains(conn) {
            return;
        }
        match message {
            Message::Hello(hello) => self.hello(conn, *hello, turn),
            Message::Take(id) => self.take(conn, id, turn),
            Message::Ready(id, moment) => self.ready(conn, &id, moment, turn),
            Message::Probe(number) => turn.control(conn, Message::ProbeAck(number)),
            Message::ProbeAck(number) => self.probe_answered(conn, number, turn),
            Message::Goodbye(offsets) => self.goodbye(conn, offsets, turn),
            Message::AskPeers(after) => self.asked(conn, after, turn),
            Message::Peers(page) => self.told(conn, page, turn),
            Message::Moved(addresses) => self.moved(conn, addresses, turn),
        }
    }
}
