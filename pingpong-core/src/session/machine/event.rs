//! What the shell tells the machine, and what the machine tells the shell to do.

use super::exchange::News;
use crate::address::Address;
use crate::monitor::DownReason;
use crate::name::{ClusterName, NodeName};
use crate::node::{Incarnation, Node};
use crate::session::{CloseReason, LaneOffset, Message, SessionId, Versions};
use std::fmt;

/// A connection, as the shell numbers it: greater for a later one, never used again in a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// What a pure machine cannot know by itself. Passed in with every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outside {
    /// Milliseconds since 1970 (UTC) by the wall clock, which may step.
    pub wall_millis: u64,
    /// 64 random bits, fresh for each event.
    pub random: u64,
}

/// What this node says of itself in every `Hello`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its name, as its certificate proves it.
    pub name: NodeName,
    /// Its cluster: nodes of another one are refused (A1).
    pub cluster: ClusterName,
    /// Its life. The machine raises it when a peer has seen a greater one (N12).
    pub incarnation: Incarnation,
    /// The versions that it speaks (A3).
    pub versions: Versions,
    /// Its failure timeout; of two nodes the greater one holds (N18).
    pub failure_timeout_millis: u32,
    /// Server names with a lane of their own on each link. A node with another number is refused: it would open lanes that
    /// are never read.
    pub lanes: u16,
    /// Where it can be dialled; at most [`MAX_ADDRESSES`](crate::session::MAX_ADDRESSES) are said.
    pub addresses: Vec<Address>,
}

/// How much the machine keeps (N20). What is beyond is refused with `Full`; accepted connections that one name has too many of, with `Surplus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Names that are linked, wanted, or about to be linked.
    ///
    /// The greatest incarnation seen is kept for four times as many others, and a handshake may be under way on
    /// [`Limits::SPARE_HANDSHAKES`] more accepted connections.
    pub max_peers: usize,
}

impl Limits {
    /// Accepted connections without a session, beyond `max_peers`.
    pub const SPARE_HANDSHAKES: usize = 8;
    /// Connections of one name that wait for the chooser's word.
    pub const WAITING: usize = 4;
    /// Accepted connections of one name whose `Hello` has not come.
    pub const OPEN: usize = 4;
    /// Dialled connections of one name whose `Hello` has not come: one for each attempt that a name may have (N16).
    pub const DIALS: usize = 17;
    /// For each peer that may be linked, so many others whose incarnation is remembered.
    pub const SEEN_FACTOR: usize = 4;
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_peers: 256 }
    }
}

/// What happened. An event of a connection that the machine no longer has is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// My dial succeeded.
    Connected {
        /// The connection.
        conn: ConnId,
        /// The name that the other side proved.
        to: NodeName,
    },
    /// A connection came in.
    Accepted {
        /// The connection.
        conn: ConnId,
        /// The name that the other side proved.
        from: NodeName,
    },
    /// A control message came.
    Message {
        /// The connection that it came on.
        conn: ConnId,
        /// What it says.
        message: Message,
    },
    /// Every lane was handed over up to the goodbye's offsets. The answer to [`Action::AwaitHandover`].
    HandedOver {
        /// The connection.
        conn: ConnId,
    },
    /// Everything that was queued has been written. The answer to [`Action::Drain`].
    Drained {
        /// The connection.
        conn: ConnId,
        /// Where each of my lanes ends.
        offsets: Vec<LaneOffset>,
    },
    /// The other side closed the connection.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why, by its word.
        reason: CloseReason,
    },
    /// The detector's verdict, a handshake out of time, or a connection that the network reports dead.
    Lost {
        /// The connection.
        conn: ConnId,
    },
    /// A queue of the connection made no progress for the stall timeout (O3).
    Overloaded {
        /// The connection.
        conn: ConnId,
    },
    /// The other side broke the protocol below the control messages: a frame or a lane that makes no sense.
    Broken {
        /// The connection.
        conn: ConnId,
        /// How, for both logs.
        words: String,
    },
    /// The digest of the peer's links is not known here, by [`Machine::unread`](super::Machine::unread) (N17).
    Compare {
        /// The session's connection.
        conn: ConnId,
    },
    /// Leave the cluster gracefully (S2).
    Leave,
    /// The time for that is over.
    LeaveDeadline,
    /// End the session with that name; the link comes back (N14).
    Disconnect(NodeName),
    /// End it, and do not dial that name again (N14).
    Forget(NodeName),
}

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Write a message to the control stream.
    Control {
        /// The connection.
        conn: ConnId,
        /// The message.
        message: Message,
    },
    /// The peer asks for links to others: answer with [`Machine::peers`](super::Machine::peers) as it is then, at most once
    /// each tick (N17).
    Tell {
        /// The connection.
        conn: ConnId,
        /// The names after this one.
        after: Option<NodeName>,
    },
    /// From here on the lanes of this connection are read and written (N8).
    OpenLanes {
        /// The connection.
        conn: ConnId,
    },
    /// This node leaves: accept no more frames for the connection and write out what is queued, then
    /// [`Event::Drained`].
    Drain {
        /// The connection.
        conn: ConnId,
    },
    /// The peer leaves: hand over its lanes up to these offsets, then [`Event::HandedOver`].
    AwaitHandover {
        /// The connection.
        conn: ConnId,
        /// Where each lane of the peer ends.
        offsets: Vec<LaneOffset>,
    },
    /// Close the connection, with its lanes; discard what is unread or not handed over (N8).
    Close {
        /// The connection.
        conn: ConnId,
        /// What the other side is told.
        reason: CloseReason,
    },
    /// A session began: queue the event.
    Up {
        /// The peer.
        node: Node,
        /// The session.
        session: SessionId,
        /// Its connection.
        conn: ConnId,
    },
    /// A session ended; its connection is closed already: queue the event.
    Down {
        /// The peer, as it was `Up`.
        node: Node,
        /// The session.
        session: SessionId,
        /// Why.
        reason: DownReason,
    },
    /// A neighbour told addresses: for the address book.
    Told {
        /// The neighbour, which is linked.
        by: NodeName,
        /// What it told, without names that are linked, and those that there is no room for.
        news: News,
    },
    /// A neighbour can be dialled elsewhere: for the address book.
    Moved {
        /// The neighbour, which is linked.
        name: NodeName,
        /// Where.
        addresses: Vec<Address>,
    },
    /// Keep this incarnation in the store before going on (N12).
    Store(Incarnation),
    /// Another node of this name has replaced this one: stop for good (S3).
    Stop {
        /// The greater one.
        by: Incarnation,
        /// Where it can be dialled, if it said so.
        at: Option<Address>,
    },
    /// Leaving is complete.
    Quit,
}
