//! The receiving end of a server: entries in order, messages in batches.
//!
//! A batch is whole frames as they came from one session, or from this node: nothing is copied or queued for each message.
//! Whoever takes a batch handles its messages in order, or drops it; dropping answers the calls in it.

use crate::message::{Encoded, MessageType};
use crate::monitor::DownReason;
use crate::name::NodeName;
use crate::node::Node;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::transport::CallFailure;
use crate::wire;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// How a server is registered.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Whether `Up` and `Down` entries are wanted (C4).
    pub events: bool,
    /// Whom it serves (A1).
    pub allow: Allow,
}

impl ServerOptions {
    /// Messages only, from every node.
    pub fn new() -> Self {
        Self::default()
    }

    /// With `Up` and `Down` entries: one `Up` for every node already linked, then each session's as its first and last entry.
    #[must_use]
    pub fn with_events(mut self) -> Self {
        self.events = true;
        self
    }

    /// Serves only these nodes; messages of others are counted, their calls fail with
    /// [`CallFailure::NotAllowed`]. The local node is always served.
    #[must_use]
    pub fn allow_only(mut self, names: impl IntoIterator<Item = NodeName>) -> Self {
        self.allow = Allow::only(names);
        self
    }
}

/// Whom a server serves (A1); the name is the one that the sender has proved.
#[derive(Clone, Debug, Default)]
pub enum Allow {
    /// Every node of the cluster.
    #[default]
    Everyone,
    /// The local node and these.
    Only(Arc<BTreeSet<NodeName>>),
}

impl Allow {
    /// The local node and these; with none of them, the local node alone.
    pub fn only(names: impl IntoIterator<Item = NodeName>) -> Self {
        Self::Only(Arc::new(names.into_iter().collect()))
    }
}

/// A registered server's receiving end. Dropping it ends the registration: what is in it is dropped and counted (C5), and the
/// calls among it fail with [`CallFailure::ServerStopped`].
#[async_trait]
pub trait Inbox: Send {
    /// Waits until something is there, and appends all of it to `entries`.
    ///
    /// Cancel safe: entries are moved only when it returns.
    ///
    /// # Errors
    /// [`InboxClosed`] when nothing will ever come again.
    async fn take(&mut self, entries: &mut VecDeque<Entry>) -> Result<(), InboxClosed>;

    /// Waits until nothing will come any more, also while the server is busy with what it took: whoever runs the server ends
    /// it then, so that a stuck handler is not kept (O3). Cancel safe.
    fn closed(&self) -> Pin<Box<dyn Future<Output = InboxClosed> + Send>>;
}

/// Nothing comes through this inbox any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InboxClosed {
    /// The node shuts down.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// The server took no message from a full mailbox for the stall timeout, and was stopped (O3).
    #[error("the server took no message from its full mailbox for the stall timeout")]
    Stalled,
}

/// One entry of an inbox.
#[derive(Debug)]
pub enum Entry {
    /// A session begins: no message of it comes before this.
    Up(Node),
    /// The session ended: no message of it comes after this.
    Down(Node, DownReason),
    /// Messages of one session, or of the local node.
    Messages(Batch),
}

/// Where a batch came from, and where its replies go: the receiving face of a session.
#[async_trait]
pub trait Origin: Send + Sync {
    /// The authenticated sender (A1).
    fn node(&self) -> &Node;

    /// Whether the session has ended, so that what is unhandled must be dropped (C4).
    fn is_over(&self) -> bool;

    /// Whether the caller still waits for this call, which came with a batch that arrived then (R5).
    fn awaits(&self, call: CallTag, arrived: Instant) -> bool;

    /// Answers a call. Waits for room in the reply queue, at most until the session is over.
    ///
    /// Cancel safe: dropped before it is ready, nothing was sent.
    async fn reply(&self, call: CallTag, reply: Result<Encoded<'_>, CallFailure>);

    /// As [`reply`](Self::reply), but without waiting: for drops. A session whose reply queue is full is cut (O3).
    fn reply_now(&self, call: CallTag, failure: CallFailure);

    /// Counts messages that were not handled.
    fn count(&self, dropped: Dropped, messages: u64);
}

/// Why messages were not handled; each is one of the [`Counters`](crate::transport::Counters).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The server crashed or was stopped.
    WithServer,
    /// The session ended first.
    WithSession,
    /// It did not decode.
    NotDecodable,
}

/// Names a call within its session, with the deadline that its caller gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTag {
    /// The caller's number of the call.
    pub id: u64,
    /// When the caller gives up, on the caller's monotonic clock in microseconds.
    pub deadline_us: u64,
    /// The time that was left when the caller sent it, in microseconds.
    pub timeout_us: u64,
}

/// Whole frames of one session, handed over together, in order.
///
/// What is left in it when it is dropped is counted as [`Dropped::WithServer`], and the calls among it are answered.
pub struct Batch {
    origin: Arc<dyn Origin>,
    frames: Bytes,
    offset: usize,
    arrived: Instant,
    room: Option<Room>,
}

/// The room that a batch takes up in its mailbox (O1), and the mailbox's sign of progress (O3).
#[derive(Debug)]
pub struct Room {
    progress: Arc<AtomicU64>,
    _permit: OwnedSemaphorePermit,
}

impl Room {
    /// Gives the permit back when dropped. `progress` changes with each message that is taken from the batch; it is no count:
    /// where batches of one mailbox are handled at the same time, a change may be lost among others.
    pub fn new(permit: OwnedSemaphorePermit, progress: Arc<AtomicU64>) -> Self {
        Self { progress, _permit: permit }
    }
}

/// A message for a server, lent by its batch.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// Type and version.
    pub kind: MessageType,
    /// The encoded body.
    pub body: &'a [u8],
    /// Set if the sender waits for an answer.
    pub caller: Option<Caller>,
}

impl Batch {
    /// Wraps frames that a [`Splitter`](crate::wire::Splitter) has found whole. For implementors of a transport.
    pub fn new(origin: Arc<dyn Origin>, frames: Bytes, room: Option<Room>) -> Self {
        Self { origin, frames, offset: 0, arrived: Instant::now(), room }
    }

    /// Came from the network at that time, before it waited for room in a mailbox.
    #[must_use]
    pub fn arrived(mut self, at: Instant) -> Self {
        self.arrived = at;
        self
    }

    /// The authenticated sender of all messages in it (A1).
    pub fn from(&self) -> &Node {
        self.origin.node()
    }

    /// The frames as they came, handled ones included.
    pub fn frames(&self) -> &Bytes {
        &self.frames
    }

    /// Where it came from.
    pub fn origin(&self) -> &Arc<dyn Origin> {
        &self.origin
    }

    /// The next message to be handled.
    ///
    /// Calls whose callers have given up are passed over (R5). Once the session is over nothing more comes (C4).
    #[allow(clippy::should_implement_trait)] // it lends, an iterator cannot
    #[inline(always)] // what it returns is looked at once: written down, it would be read faster than it is there
    pub fn next(&mut self) -> Option<Delivery<'_>> {
        let Self { origin, frames, offset, arrived, room } = self;
        if let Some(room) = room {
            // Only that it changes means anything, and a server takes one message at a time.
            room.progress.store(room.progress.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        while !origin.is_over() {
            let (frame, end) = wire::Frame::at(frames, *offset)?;
            *offset = end;
            let caller = match frame.call() {
                Some(tag) if !origin.awaits(tag, *arrived) => continue,
                tag => tag.map(|tag| Caller { origin: Arc::clone(origin), tag, arrived: *arrived, answered: false }),
            };
            return Some(Delivery { kind: frame.kind(), body: frame.body(), caller });
        }
        drop_rest(&**origin, frames, offset, Dropped::WithSession);
        None
    }
}

/// Counts what is left from there on, and answers the calls among it.
fn drop_rest(origin: &dyn Origin, frames: &Bytes, offset: &mut usize, why: Dropped) {
    let mut dropped = 0;
    while let Some((frame, end)) = wire::Frame::at(frames, *offset) {
        *offset = end;
        dropped += 1;
        if let (Some(tag), Dropped::WithServer) = (frame.call(), why) {
            origin.reply_now(tag, CallFailure::ServerStopped);
        }
    }
    if dropped > 0 {
        origin.count(why, dropped);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let why = if self.origin.is_over() { Dropped::WithSession } else { Dropped::WithServer };
        drop_rest(&*self.origin, &self.frames, &mut self.offset, why);
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.frames.len() - self.offset;
        f.debug_struct("Batch").field("from", self.from()).field("bytes_left", &left).finish_non_exhaustive()
    }
}

/// The one who waits for an answer. Dropping it unanswered, in a panic for example, answers
/// [`CallFailure::ServerStopped`].
pub struct Caller {
    origin: Arc<dyn Origin>,
    tag: CallTag,
    arrived: Instant,
    answered: bool,
}

impl Caller {
    /// The authenticated caller (A1).
    pub fn node(&self) -> &Node {
        self.origin.node()
    }

    /// Whether it still waits: a long piece of work may ask now and then (R5).
    pub fn is_waiting(&self) -> bool {
        !self.origin.is_over() && self.origin.awaits(self.tag, self.arrived)
    }

    /// Answers. Waits for room in the reply queue, at most until the session is over.
    ///
    /// Cancel safe: dropped before it is ready, the caller gets [`CallFailure::ServerStopped`].
    pub async fn reply(mut self, reply: Result<Encoded<'_>, CallFailure>) {
        self.origin.reply(self.tag, reply).await;
        self.answered = true;
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if !self.answered {
            self.origin.reply_now(self.tag, CallFailure::ServerStopped);
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("node", self.node()).field("call", &self.tag.id).finish_non_exhaustive()
    }
}
