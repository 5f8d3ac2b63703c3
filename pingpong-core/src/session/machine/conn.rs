//! A connection, from the dial or the accept to its end.

use super::event::ConnId;
use crate::address::Address;
use crate::name::NodeName;
use crate::node::Incarnation;
use crate::session::{Hello, MAX_ADDRESSES, SessionId};
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// How far a connection without a session has come, for the time that the shell gives it (N16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handshake {
    /// It has one failure timeout.
    Open,
    /// An older incarnation waits for a probe's answer: it has one failure timeout more.
    Parked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// The peer's `Hello` is awaited. A connection to a namesake stays here (N13).
    Open,
    /// Both said `Hello`; the chooser's word is awaited. At the chooser: a spare (N5).
    Waiting,
    /// At the chooser: `Take` is written, `Ready` awaited.
    Offered,
    /// An older incarnation waits for the answer to this probe (N11).
    Parked(u64),
    /// The connection of the session.
    Up,
}

/// What is kept of a peer's `Hello` until its session begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Greeting {
    pub(super) incarnation: Incarnation,
    pub(super) moment: u64,
    pub(super) held: Option<SessionId>,
    pub(super) random: u64,
    pub(super) failure_timeout_millis: u32,
    pub(super) addresses: Vec<Address>,
}

impl From<Hello> for Greeting {
    fn from(hello: Hello) -> Self {
        let mut addresses = hello.addresses;
        addresses.truncate(MAX_ADDRESSES);
        Self {
            incarnation: hello.incarnation,
            moment: hello.moment,
            held: hello.held,
            random: hello.random,
            failure_timeout_millis: hello.failure_timeout_millis,
            addresses,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Conn {
    /// The name that the other side proved.
    pub(super) peer: NodeName,
    /// By this node.
    pub(super) dialled: bool,
    pub(super) phase: Phase,
    /// The moment of my `Hello` on it; 0 before.
    pub(super) my_moment: u64,
    /// My random bits in that `Hello`.
    pub(super) my_random: u64,
    /// The peer's `Hello`; boxed, as it is needed for the time of the handshake only.
    pub(super) greeting: Option<Box<Greeting>>,
}

impl Conn {
    pub(super) fn new(peer: NodeName, dialled: bool) -> Self {
        Self { peer, dialled, phase: Phase::Open, my_moment: 0, my_random: 0, greeting: None }
    }

    /// A handshake that has got past the first `Hello`: its name must keep its record.
    pub(super) fn holds_record(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Offered | Phase::Parked(_))
    }
}

/// All connections, and those of each name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Conns {
    all: BTreeMap<ConnId, Conn>,
    /// The oldest first. Most names have one.
    of: BTreeMap<NodeName, SmallVec<[ConnId; 2]>>,
    /// Of whom a connection was removed since [`take_removed`](Self::take_removed).
    removed: Vec<NodeName>,
}

impl Conns {
    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.all.get_mut(&id)
    }

    pub(super) fn contains(&self, id: ConnId) -> bool {
        self.all.contains_key(&id)
    }

    pub(super) fn insert(&mut self, id: ConnId, conn: Conn) {
        self.of.entry(conn.peer.clone()).or_default().push(id);
        self.all.insert(id, conn);
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        let conn = self.all.remove(&id)?;
        if let Some(of) = self.of.get_mut(&conn.peer) {
            of.retain(|other| *other != id);
            if of.is_empty() {
                self.of.remove(&conn.peer);
            }
        }
        self.removed.push(conn.peer.clone());
        Some(conn)
    }

    /// Names whose record may have been held by a connection that is gone.
    pub(super) fn take_removed(&mut self) -> Vec<NodeName> {
        std::mem::take(&mut self.removed)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.all.iter().map(|(id, conn)| (*id, conn))
    }

    /// Those of a name, the oldest first.
    pub(super) fn of(&self, name: &NodeName) -> impl Iterator<Item = (ConnId, &Conn)> {
        let of = self.of.get(name).map_or(&[][..], SmallVec::as_slice);
        of.iter().filter_map(|id| Some((*id, self.all.get(id)?)))
    }

    /// Whether a handshake needs the record of that name.
    pub(super) fn hold_record(&self, name: &NodeName) -> bool {
        self.of(name).any(|(_, conn)| conn.holds_record())
    }
}
