//! The seam for backends: what a [`Mesh`](crate::mesh::Mesh) needs of a network, and nothing more.
//!
//! A backend moves opaque bytes. It knows nothing of sessions, servers, messages or events; whoever writes one writes these
//! four traits, a few hundred lines, and runs the conformance suite on them. `docs/write-a-transport.md` leads through it.
//!
//! # What a backend must do
//! - L1. **Authenticate.** [`Connection::peer`] is a name that the other side has proved (A1). A connection whose peer has not
//!   proved its name must not be returned, neither by `dial` nor by `accept`.
//! - L2. **Order.** Bytes of one lane arrive in order, whole and once, or the connection fails: no lane ends alone. There is no order between
//!   lanes, datagrams and the close; lanes are accepted in the order in which the peer opened them.
//! - L3. **Lanes do not wait for each other.** A lane whose receiver does not read must hold up its own sender alone: neither
//!   other lanes, nor datagrams, nor the close.
//! - L4. **Bounded.** What a lane holds between `send` and `recv` is bounded in bytes; `send` waits beyond it. Handshakes
//!   under way, connections and lanes that were not accepted yet are bounded too.
//! - L5. **Silence is not failure.** A network that drops everything must not end the connection before three failure timeouts
//!   have passed: the Mesh decides (M6). What was sent during a shorter cut arrives after it (F2).
//! - L6. **A close is best effort.** [`Connection::close`] takes effect here at once, tells the peer if it can, and never waits.
//!
//! # What a backend must not do
//! It must not retry or redial by itself, reorder, or deliver anything twice; and must not panic on bytes from the network.
//!
//! # What a backend may do
//! It may lose datagrams, and a close that is on its way. It may report a dead peer earlier than the failure detector would
//! ([`Closed::Lost`]), if it has proof.
//!
//! Every future of these traits must be cancel safe, except [`LaneSender::send`]: the Mesh drops them in `select!`.

use crate::address::Address;
use crate::name::NodeName;
use bytes::Bytes;
use std::future::Future;
use std::time::Duration;

/// An endpoint of a network: dials, and accepts dials.
pub trait Link: Send + Sync + 'static {
    /// What a dial results in.
    type Connection: Connection;

    /// What this endpoint is: the Mesh compares it with its own configuration before it starts (S1, O1).
    fn endpoint(&self) -> Endpoint;

    /// Where peers can dial this endpoint; told to them in the handshake. At most 8 are told.
    fn addresses(&self) -> Vec<Address>;

    /// Dials an address, once. A name in it is resolved anew each time.
    ///
    /// With `expect` the peer must prove that very name. Without it (a seed, whose name is not known yet) any name that the
    /// cluster's authority vouches for will do. The Mesh bounds the time.
    ///
    /// Must be cancel safe: dropping the future gives the attempt up, and leaves nothing behind.
    ///
    /// # Errors
    /// [`DialError`].
    fn dial(
        &self,
        address: &Address,
        expect: Option<&NodeName>,
    ) -> impl Future<Output = Result<Self::Connection, DialError>> + Send;

    /// The next connection that a peer dialled and that has been authenticated. `None` once the endpoint is closed.
    ///
    /// A handshake that fails is the backend's to log, rate limited, with the peer's address and the reason.
    ///
    /// Must be cancel safe: a connection is taken only when this returns it.
    fn accept(&self) -> impl Future<Output = Option<Self::Connection>> + Send;

    /// Closes the endpoint; every connection ends. Waits until what the closes say is on its way, at most for `deadline`.
    ///
    /// Must be cancel safe: once polled, the endpoint is closed although the future is dropped.
    fn close(&self, deadline: Duration) -> impl Future<Output = ()> + Send;
}

/// What the Mesh must know of an endpoint before it starts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The name that it proves to its peers (L1). A Mesh of another name does not start: nobody would link with it.
    pub name: NodeName,
    /// Lanes that each side of a connection may open. A Mesh that needs more does not start.
    pub lanes: usize,
    /// Bytes that the connection of a link may hold on this side: windows and buffers of the backend.
    pub connection_bytes: u64,
    /// Bytes that the endpoint may hold beside those: of handshakes, of connections whose lanes were not asked for yet, of
    /// those that end.
    pub other_bytes: u64,
}

/// An authenticated connection to one peer. Dropping it closes it, without a reason.
pub trait Connection: Send + Sync + 'static {
    /// Where bytes go in.
    type Sender: LaneSender;
    /// Where bytes come out.
    type Receiver: LaneReceiver;

    /// The name that the peer has proved (L1).
    fn peer(&self) -> &NodeName;

    /// Where the peer is, for logs.
    fn remote(&self) -> Address;

    /// Opens a lane. The peer learns of it with its first bytes. Waits while the peer takes no further lane.
    ///
    /// Must be cancel safe: dropped before it is ready, no lane was opened, or the connection ends.
    ///
    /// # Errors
    /// [`Broken`] when the connection has ended, or the peer never will allow another lane.
    fn open(&self, priority: Priority) -> impl Future<Output = Result<Self::Sender, Broken>> + Send;

    /// The next lane that the peer opened.
    ///
    /// The Mesh takes the first one, which is its control lane, at once, and asks for others only when the link is up. Until
    /// then a backend may make the peer wait for further lanes, so that whoever only shakes hands holds little (L4).
    ///
    /// Must be cancel safe: a lane is taken only when this returns it.
    ///
    /// # Errors
    /// [`Broken`] when the connection has ended.
    fn accept(&self) -> impl Future<Output = Result<Self::Receiver, Broken>> + Send;

    /// Sends a datagram of at most 100 bytes, ahead of what the lanes hold; it may be lost. Never waits.
    fn send_datagram(&self, datagram: Bytes);

    /// The next datagram. Old ones may be dropped when they are not taken. Must be cancel safe.
    ///
    /// # Errors
    /// [`Broken`] when the connection has ended.
    fn recv_datagram(&self) -> impl Future<Output = Result<Bytes, Broken>> + Send;

    /// How many packets of the peer have arrived so far, of any kind: each is a sign of life (N18).
    fn packets(&self) -> u64;

    /// What the backend knows of the network in between, for people who operate a node.
    fn path(&self) -> Path {
        Path::default()
    }

    /// Ends the connection here at once, and tells the peer if it can (L6). `reason` has at most 512 bytes. Only the first
    /// close counts.
    fn close(&self, reason: Bytes);

    /// Waits until the connection has ended, whoever ended it. Must be cancel safe.
    fn closed(&self) -> impl Future<Output = Closed> + Send;
}

/// The sending end of a lane. Dropping it without a close of the connection is a protocol error that the peer sees.
pub trait LaneSender: Send + 'static {
    /// Sends bytes, after all that were sent before. Waits while the lane is full (L4).
    ///
    /// Not cancel safe: if it is dropped before it is ready, the lane must not be used again.
    ///
    /// # Errors
    /// [`Broken`] when the connection has ended, or the peer refuses the lane.
    fn send(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Broken>> + Send;
}

/// The receiving end of a lane. What it does not take stays with the sender.
pub trait LaneReceiver: Send + 'static {
    /// Waits for bytes, and puts them into the first of `chunks`; returns how many chunks that made, 0 at the end of the lane.
    ///
    /// Must be cancel safe: bytes are taken only when this returns them.
    ///
    /// # Errors
    /// [`Broken`] when the connection has ended, or the peer gave the lane up.
    fn recv(&mut self, chunks: &mut [Bytes]) -> impl Future<Output = Result<usize, Broken>> + Send;
}

/// What goes first when bytes of several lanes wait for the network. It orders, and reserves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Casts and calls.
    Server,
    /// Replies and cancels.
    Replies,
    /// Control messages.
    Control,
}

/// The network between two ends of a connection, as far as a backend knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Path {
    /// Packets that were sent.
    pub sent_packets: u64,
    /// Those of them that were lost on the way.
    pub lost_packets: u64,
}

impl Path {
    /// So many packets were sent, so many of them lost.
    pub const fn new(sent_packets: u64, lost_packets: u64) -> Self {
        Self { sent_packets, lost_packets }
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// This side closed it.
    Here,
    /// The peer closed it, with this reason.
    ByPeer(Bytes),
    /// The peer does not accept this side's identity. A backend reports it so if it learns of it only after its own side of
    /// the handshake was complete (TLS 1.3); otherwise the dial fails with [`DialError::Refused`].
    Refused(String),
    /// The network, or the peer's process, is gone; the words say how that is known.
    Lost(String),
}

/// A dial failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Nobody answers there. Trying again is right.
    #[error("{address} cannot be reached: {words}")]
    Unreachable {
        /// Where.
        address: Address,
        /// What the network says.
        words: String,
    },
    /// One side does not accept the other's identity or version. Trying again helps only after somebody mends that.
    #[error("{address} was refused: {words}")]
    Refused {
        /// Where.
        address: Address,
        /// Which side refused what, and the remedy.
        words: String,
    },
    /// Another node than the one that is dialled answers there: that one has moved, and this address is out of date.
    #[error("{expected} was dialled at {address}, and {answered} answered")]
    AnotherName {
        /// Where.
        address: Address,
        /// Who was dialled.
        expected: NodeName,
        /// Who answered, by the name that it proves.
        answered: NodeName,
    },
    /// The address is not one of this backend's.
    #[error("{address} is not an address of this transport: {words}")]
    Address {
        /// The address.
        address: Address,
        /// What is expected.
        words: String,
    },
    /// This endpoint is closed.
    #[error("the endpoint is closed")]
    EndpointClosed,
}

impl DialError {
    /// [`DialError::Unreachable`], in the network's words.
    pub fn unreachable(address: &Address, words: impl ToString) -> Self {
        Self::Unreachable { address: address.clone(), words: words.to_string() }
    }

    /// [`DialError::Refused`]; the words say which side refused what, and the remedy.
    pub fn refused(address: &Address, words: impl ToString) -> Self {
        Self::Refused { address: address.clone(), words: words.to_string() }
    }

    /// Holds the name that answered against the one that was dialled, if it was known (L1).
    ///
    /// # Errors
    ///
    /// [`DialError::AnotherName`] if they differ.
    pub fn check_name(address: &Address, expected: Option<&NodeName>, answered: &NodeName) -> Result<(), Self> {
        match expected.filter(|expected| *expected != answered) {
            None => Ok(()),
            Some(expected) => {
                let (expected, answered) = (expected.clone(), answered.clone());
                Err(Self::AnotherName { address: address.clone(), expected, answered })
            }
        }
    }
}

/// A connection, or a lane of it, has ended; [`Connection::closed`] says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the connection has ended: {0}")]
pub struct Broken(pub String);
