//! What two nodes say to each other about their link: control messages and close reasons.
//!
//! The meaning of each is the session protocol's (N1 - N20, `docs/session.md`); how they are written as bytes is
//! the wire format's. Everything here arrived from a peer that proved its name, and may still lie about all the rest.

use crate::address::Address;
use crate::name::{ClusterName, NodeName};
use crate::node::{Incarnation, Node};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::Hasher;

/// Names one session of a pair of nodes: the chooser's life and its number there, with random bits of both sides.
///
/// Numbers of one incarnation of the chooser only rise, so a session can be compared with an earlier one of the pair (N5).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    /// The node of the pair with the smaller name.
    pub chooser: NodeName,
    /// The chooser's life.
    pub incarnation: Incarnation,
    /// The chooser's count of offers in that life, from 1.
    pub number: u64,
    /// Random bits of the chooser, then of the taker.
    pub random: [u64; 2],
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}#{}", self.chooser, self.incarnation, self.number)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Protocol versions of a node: one major, and the minors it can speak (A3).
///
/// The greatest minor that both know is spoken. Different majors refuse each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Versions {
    /// Incompatible with every other major.
    pub major: u16,
    /// The oldest minor that this node speaks.
    pub oldest_minor: u16,
    /// The newest minor that this node speaks.
    pub newest_minor: u16,
}

impl Versions {
    /// What this release speaks.
    pub const CURRENT: Self = Self { major: 1, oldest_minor: 0, newest_minor: 0 };

    /// The minor that two nodes speak, or `None` if they share none.
    pub fn common(self, other: Self) -> Option<u16> {
        let minor = self.newest_minor.min(other.newest_minor);
        (self.major == other.major && minor >= self.oldest_minor && minor >= other.oldest_minor).then_some(minor)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} to {}.{}", self.major, self.oldest_minor, self.major, self.newest_minor)
    }
}

/// The first word of each side on a connection (N2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hello {
    /// The writer's cluster (A1).
    pub cluster: ClusterName,
    /// The versions it speaks (A3).
    pub versions: Versions,
    /// Its name; refused unless the connection authenticated the same one (N1).
    pub name: NodeName,
    /// Its life.
    pub incarnation: Incarnation,
    /// The writer's moment at which this was written (N7).
    pub moment: u64,
    /// The session that the writer holds `Up` with the reader's name.
    pub held: Option<SessionId>,
    /// The writer's share of the random bits of a session id, should it take one on this connection.
    pub random: u64,
    /// The writer's failure timeout in milliseconds; the greater of the two holds (N18).
    pub failure_timeout_millis: u32,
    /// Server names that have a lane of their own on the writer's links; the same on both sides (C6).
    pub lanes: u16,
    /// Where the writer can be dialled.
    pub addresses: Vec<Address>,
}

/// A control message of the session protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Who I am, and what I hold. Boxed, since it is many times the size of the others.
    Hello(Box<Hello>),
    /// The chooser offers this session on this connection (N4, N5).
    Take(SessionId),
    /// The taker took it at this moment of its own, and is `Up` (N6).
    Ready(SessionId, u64),
    /// Are you alive now? (N11)
    Probe(u64),
    /// Yes, asked by that number.
    ProbeAck(u64),
    /// I leave; nothing follows these final offsets of my lanes (N15).
    Goodbye(Vec<LaneOffset>),
    /// With whom are you linked, beyond that name in their order, or from the first one on? (N17)
    AskPeers(Option<NodeName>),
    /// With these. Said when asked (N17).
    Peers(Peers),
    /// I can be dialled at these addresses from now on, in place of those that I said before (M7).
    Moved(Vec<Address>),
}

/// Where a lane ends: bytes of frames written to it, the header of the lane not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LaneOffset {
    /// The lane's number on its connection.
    pub lane: u16,
    /// Bytes.
    pub offset: u64,
}

/// With whom a node is linked: a part of the names, in their order (N17).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peers {
    /// Of all with whom the writer is linked, at the time of writing.
    pub digest: PeersDigest,
    /// Names that the writer has authenticated and is linked with, and where they said they can be dialled: sorted by name,
    /// and without a gap between the first and the last.
    pub told: Vec<Told>,
    /// There are more, beyond the last one of these.
    pub more: bool,
}

/// What tells two sets of linked nodes apart in eight bytes (N17): of the writer itself and all with whom it is linked, the sum
/// of the hashes of name, incarnation and addresses. Nodes that are all linked with each other have the same.
///
/// The hash is the same on all nodes; two sets have the same sum by chance once in 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeersDigest(u64);

impl PeersDigest {
    /// Of no node at all.
    pub const NONE: Self = Self(0);

    /// Of one node alone.
    pub fn of(node: &Node, addresses: &[Address]) -> Self {
        let mut hasher = SipHasher13::new();
        // Each part ends with a byte that no text has.
        let mut part = |bytes: &[u8]| {
            hasher.write(bytes);
            hasher.write(&[0xff]);
        };
        part(node.name.as_str().as_bytes());
        part(&node.incarnation.to_bytes());
        addresses.iter().for_each(|address| part(address.as_str().as_bytes()));
        Self(hasher.finish())
    }

    /// Of both together; nobody is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// Without those of `other`, who must be among them.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }
}

/// A name that a neighbour told, with the addresses of that name's own `Hello`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Told {
    /// The name.
    pub name: NodeName,
    /// The life that is linked.
    pub incarnation: Incarnation,
    /// Where it can be dialled, at most [`MAX_ADDRESSES`].
    pub addresses: Vec<Address>,
}

impl Told {
    /// Its part of the teller's digest.
    pub fn digest(&self) -> PeersDigest {
        PeersDigest::of(&Node { name: self.name.clone(), incarnation: self.incarnation }, &self.addresses)
    }
}

/// Addresses of one node that are read, kept and told (N17).
pub const MAX_ADDRESSES: usize = 8;

/// Why a connection was closed, as it travels to the other side.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum CloseReason {
    /// There is a link already, or as many connections that may become it as one name may have (N20).
    #[error("other connections of the peer are there already")]
    Surplus,
    /// Late or overtaken; dial again.
    #[error("late or overtaken; dial again")]
    Stale,
    /// The writer gave this session up.
    #[error("the peer gave this session up")]
    Lost,
    /// Of your name the writer has seen a greater incarnation, which is not linked to it: take one above it (N12).
    #[error("incarnation {0} of this name was seen before; take a greater one")]
    Raise(Incarnation),
    /// Of your name a greater incarnation is alive and linked (N13).
    #[error("incarnation {by} of this name is alive and linked")]
    Replaced {
        /// The greater one.
        by: Incarnation,
        /// Where that one can be dialled, if it said so.
        at: Option<Address>,
    },
    /// The writer takes a greater incarnation (N12).
    #[error("the peer takes a greater incarnation")]
    Renewed,
    /// The writer leaves.
    #[error("the peer leaves")]
    Leaving,
    /// Everything up to your goodbye was handed over (N15).
    #[error("everything up to the goodbye was handed over")]
    Done,
    /// By command; the link comes back (N14).
    #[error("disconnected by command")]
    Disconnected,
    /// By command; do not dial again unless the writer is your seed (N14).
    #[error("forgotten by command")]
    Forgotten,
    /// No room for another link or handshake (N20).
    #[error("no room for another link")]
    Full,
    /// A queue was full for too long (O3).
    #[error("a queue was full for too long")]
    Overloaded,
    /// Not to be linked: another cluster, version or name (A1, A3).
    #[error("refused: {0}")]
    Refused(String),
    /// The reader broke the protocol.
    #[error("protocol error: {0}")]
    Protocol(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minors_meet_and_majors_do_not() {
        let v = |major, oldest_minor, newest_minor| Versions { major, oldest_minor, newest_minor };
        assert_eq!(v(1, 0, 3).common(v(1, 2, 5)), Some(3));
        assert_eq!(v(1, 0, 1).common(v(1, 2, 5)), None);
        assert_eq!(v(1, 2, 5).common(v(1, 0, 1)), None);
        assert_eq!(v(1, 0, 3).common(v(2, 0, 3)), None);
    }
}
