//! The [`Transport`] trait: four verbs of Erlang/OTP's distribution, and exactly what each promises when something fails.
//!
//! The numbers (M1 ... F3) are those of the contract in `docs/guarantees.md`; every case of the conformance suite names the
//! one that it checks. Where OTP is known to hurt its users the promise here is stronger than OTP's.

mod node;
mod replies;
mod sent;

pub use node::{Counters, RegisterError, Shutdown, StopReason};
pub use replies::{CallFailure, Failed, RawReply, Replies, Reply};
pub use sent::{NotSent, Refused, SendError, Sent, Targets, WhenFull};

use crate::inbox::{Inbox, ServerOptions};
use crate::message::Encoded;
use crate::monitor::NodeEvents;
use crate::name::{NodeName, ServerName};
use crate::node::Node;
use async_trait::async_trait;
use std::time::Duration;

/// One node's view of its cluster: who is there, and ways to reach them.
///
/// This page is the contract; `docs/guarantees.md` sets it beside Erlang/OTP's. *Must* binds whoever it is said of, *must not* as
/// well, *may* is allowed and must be expected.
///
/// ```
/// use pingpong_core::server::TransportExt;
/// use pingpong_core::transport::NotSent;
/// use pingpong_core::{CallFailure, NodeChange, ServerName, Targets, Transport};
/// # use pingpong_core::{message, request};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Flush;
/// # request!(Flush => Flushed, id = 1, version = 0);
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Flushed(u64);
/// # message!(Flushed, id = 2, version = 0);
/// use std::time::Duration;
///
/// async fn use_a_node(node: &dyn Transport) -> Result<(), Box<dyn std::error::Error>> {
///     println!("{} sees {:?}", node.node(), node.list());
///
///     let cache = ServerName::new("cache")?;
///     let sent = node.cast(&cache, &Flush).await?; // waits for queues, not for handlers
///     for refused in &sent.refused {
///         match refused.reason {
///             NotSent::NotLinked => println!("{} is away: it starts with an empty cache", refused.name),
///             NotSent::Full => println!("{} is slow", refused.name),
///         }
///     }
///
///     let answers = node.call(&Targets::All, &cache, &Flush, Duration::from_secs(1)).await?;
///     for failed in answers.failed {
///         match failed.reason {
///             CallFailure::NoSuchServer => println!("{} runs no cache", failed.name),
///             reason if !reason.was_sent() => println!("{} has not got it, ask again: {reason}", failed.name),
///             reason => println!("{} may have done it or not: {reason}", failed.name),
///         }
///     }
///
///     let mut events = node.monitor();
///     while let Some(event) = events.next().await {
///         match event.change {
///             NodeChange::Up => println!("{} came", event.node),
///             NodeChange::Down(reason) => println!("{} went: {reason}", event.node),
///         }
///     }
///     Ok(())
/// }
/// ```
///
/// # Words
/// A **node** is one running instance, [`Node`]; a restart under the same name is another one, with a greater incarnation. A peer
/// that has seen a greater one says so, and the newcomer rises above it: where it was `Up`, that is seen as `Down(replaced)`, `Up`. A
/// **link** joins two nodes that talk; links are pairwise, and a node is not cut off from a third because two others are. A
/// **session** is one life of a link, from `Up` to `Down`. A **server** is a named receiver, at most one of a name on each node.
/// **Sent** means accepted by the queue of a link; **delivered** means given to the server's handler.
///
/// # What a caller may rely on
/// ## Membership
/// - M1. [`list`](Self::list) returns the nodes with a session right now, sorted by name, without the local one.
/// - M2. A [`monitor`](Self::monitor) starts with one `Up` for every node already linked, then live events: nobody has to combine it
///   with `list`.
/// - M3. For one name `Up` and `Down` alternate, and `Down` names the incarnation that was up. A restart is `Down(old)`, `Up(new)`, also
///   when it is quicker than the failure detector.
/// - M4. Whoever has handled `Up(n)` finds n in `list`, unless a `Down(n)` already waits for it.
/// - M5. A `Down` says why: [`DownReason`](crate::DownReason).
/// - M6. A silent peer is `Down` within the failure timeout. A node that was suspended itself gives its peers a fresh interval.
/// - M7. After a heal the link comes back by itself. A seed is dialled for ever, its name resolved each time; another node that was
///   linked until it left, was forgotten, or `forget_after` passed. Any one working address on either side suffices.
/// - M8. A monitor never blocks the transport, never misses a state, and needs bounded memory: a slow reader gets flaps folded, and
///   counted in [`NodeEvent::skipped`](crate::NodeEvent::skipped).
/// - M9. What was sent in a session is never lost without a `Down` on every side that was `Up` in it. Of two nodes the smaller name
///   chooses the connection, whoever dialled; a second one is closed and nobody sees it.
///
/// ## Casts
/// - C1. [`abcast`](Self::abcast) sends to the server of that name on the local node and on every linked node, or on the nodes asked
///   for. It waits for queues, never for a reply, and says which nodes accepted.
/// - C2. From one node to one server on another, casts and calls are delivered in the order sent.
/// - C3. Between `Up` and `Down`, what is delivered to a server is a gap-free prefix of what was sent to it, each once. If that cannot
///   be kept, the link goes `Down` on both sides: there is no silent loss on a link that stays up.
/// - C4. Nothing of a session is delivered before its `Up` or after its `Down`, nothing of an old incarnation after `Up` of a newer one. A
///   server that asks for events gets a session's `Up` and `Down` as the first and the last entry of that session; what is unhandled at
///   `Down` is dropped, unless the peer left and had handed over everything (S2): then it is handled before that entry.
/// - C5. Two exceptions, both counted: a name with no server there; the mailbox of a server that crashed or was stopped. From its
///   registration on, a server sees a gap-free stream.
/// - C6. Servers do not wait for each other, up to `lanes` names on each link; further names share one lane.
/// - C7. A message is encoded once, however many nodes it goes to.
///
/// ## Calls
/// - R1. [`multi_call`](Self::multi_call) returns by its deadline, always.
/// - R2. The targets are fixed at the call, and each is in the result exactly once, with the incarnation that answered or failed.
/// - R3. Each failure has its own [`reason`](CallFailure), which says whether the request was sent; all but the deadline are reported when
///   they are known here.
/// - R4. A late reply is discarded, and never reaches a later call.
/// - R5. A server does not start on a request whose caller has given up.
/// - R6. Calls run concurrently; a slow server delays only the calls to itself.
///
/// ## Overload and limits
/// - O1. All queues are bounded, in bytes and in messages, and the bounds add up to a maximum that is checked at start
///   ([`Limits::worst_case`](crate::config::Limits::worst_case)).
/// - O2. When a queue is full `abcast` waits; [`try_abcast`](Self::try_abcast) sends to the nodes with room and names the others.
/// - O3. (a) A peer that takes no byte of a non-empty queue for the stall timeout is cut: `Down(overloaded)`. (b) A server that takes no
///   message from a full mailbox for as long is stopped by its own node and counted, its calls end, and the link stays.
/// - O4. A message over the maximum is refused at the sender, with both sizes; the link stays.
///
/// ## Start and stop
/// - S1. A bad configuration fails at start, with an error that names the item and the remedy; nothing is half started.
/// - S2. A [`shutdown`](Self::shutdown) says goodbye: peers show `Down(left)` once they have handed over everything that was sent, or say that
///   it was not flushed. What was on its way *to* the leaver may be lost.
/// - S3. Of two processes of one name the greater incarnation wins once it has answered; each stops only for a greater one that was alive
///   beside it, never both, and says why ([`StopReason::Replaced`]).
///
/// ## Who may, and what they say
/// - A1. Only a node of the same cluster that proves its own name links. A handler gets the authenticated [`Node`]; a server may name the
///   nodes that it serves.
/// - A2. A message carries its type and version; one that does not decode is counted, or answered so, and the link stays.
/// - A3. Two minor protocol versions talk; two major ones refuse each other, and name both.
///
/// ## Faults
/// - F1. A cut is silent: packets vanish, and nobody gets an error for it.
/// - F2. A cut shorter than half the failure timeout loses nothing: what was sent meanwhile arrives after the heal, in order. Of one between
///   half of it and all of it either outcome may come; both sides see the same one.
/// - F3. A longer one is `Down` on both sides, what was in flight is gone, and after the heal they are `Up` again. Cut off in one direction,
///   the deaf side has its `Down` within the failure timeout, the other at most one more later.
///
/// # What a caller must do, and must not
/// - It must handle a `Down` as the possible loss of whatever it sent in that session, and of whatever it had not heard an answer to.
/// - It must use a call, not a cast, to know that something was handled: delivered is not processed.
/// - It must not take a failed call for one that did not run, unless [`CallFailure::was_sent`] is `false`: only then is a retry safe.
/// - It must not rely on an order between different servers, between different senders, or between replies and casts.
/// - It must not wait for room within a handler, with `abcast` or otherwise: two handlers that wait for each other wait for ever.
/// - It may call from many tasks at once, and drop any of these futures; each method says what then has happened.
///
/// # What an implementor must do, and must not
/// Most backends should implement [`Link`](crate::link::Link), and let [`Mesh`](crate::mesh::Mesh) keep this contract.
/// Whoever implements this trait, a wrapper for example:
/// - must keep every promise above, and pass the conformance suite;
/// - must be cancel safe as each method says: a dropped future has done all of its work or none of it;
/// - must linearize the calls of many tasks: what one task has seen happen has happened for all;
/// - must not block a thread, hold a lock across an await, or start work that [`shutdown`](Self::shutdown) does not end;
/// - must not deliver a message twice, in another session, or under another name than its sender has proved;
/// - may report a node `Down` sooner than the failure timeout, if it has proof; may refuse a message that its queues have no room for,
///   but must say so.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Who this node is now. The incarnation rises when a peer has seen a greater one of this name (contract, "Words").
    fn node(&self) -> Node;

    /// The nodes with a session right now, sorted by name, without the local one (M1).
    fn list(&self) -> Vec<Node>;

    /// Subscribes to node events; the first ones are an `Up` for every node already linked (M2).
    fn monitor(&self) -> NodeEvents;

    /// Sends to `server` on all targets without waiting (C1, O2).
    ///
    /// `when_full` says what happens when the queue of some target has no room: [`WhenFull::Refuse`] sends to nobody,
    /// [`WhenFull::Skip`] sends to the others and names the skipped ones in [`Sent::refused`]. One slow node does not keep
    /// the message from the others.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent to anyone.
    fn try_abcast(
        &self,
        targets: &Targets,
        server: &ServerName,
        message: Encoded<'_>,
        when_full: WhenFull,
    ) -> Result<Sent, SendError>;

    /// Sends to `server` on all targets, and waits until every queue has room (C1, O2). It never waits for a reply.
    ///
    /// Waiting senders are served in the order in which they came. A target that goes down meanwhile is no longer waited for.
    ///
    /// Cancel safe: a future that is dropped before it is ready has sent to all or to nobody, never to some.
    ///
    /// # Errors
    /// [`SendError`], but never [`SendError::Full`]; nothing was sent to anyone.
    async fn abcast(&self, targets: &Targets, server: &ServerName, message: Encoded<'_>) -> Result<Sent, SendError>;

    /// Calls `server` on all targets, and returns one outcome for each, at the latest after `deadline` (R1 - R6).
    ///
    /// The targets are fixed at the call. It returns as soon as every outcome is known; all failures but the deadline are
    /// known without waiting for it. An answer above 64 KiB from a link waits for room in `large_bytes`, at most until the deadline.
    ///
    /// Cancel safe: dropping the future gives the call up; targets that have not started on it never will (R5).
    async fn multi_call(
        &self,
        targets: &Targets,
        server: &ServerName,
        request: Encoded<'_>,
        deadline: Duration,
    ) -> Replies;

    /// Registers a server of this name on the local node. It sees a gap-free stream from here on (C5); dropping the inbox
    /// ends the registration.
    ///
    /// # Errors
    /// [`RegisterError`] when the name is taken, or the node shuts down.
    fn register(&self, server: &ServerName, options: ServerOptions) -> Result<Box<dyn Inbox>, RegisterError>;

    /// Ends the session with `name` on both sides. The link comes back by itself: this resets a link, it keeps nobody out.
    ///
    /// Returns whether there was a session, once its `Down` is in the monitors' view.
    /// Cancel safe: the command is carried out even if the future is dropped after its first poll.
    async fn disconnect(&self, name: &NodeName) -> bool;

    /// As [`disconnect`](Self::disconnect), and forgets the addresses of `name`: neither side dials again, unless the other is
    /// its seed. A forgotten node that dials is known again. Returns whether the name was known.
    ///
    /// Cancel safe, as `disconnect`.
    async fn forget(&self, name: &NodeName) -> bool;

    /// Leaves the cluster: sends what is queued, says goodbye, and waits for the peers' word, at most for `deadline` (S2).
    ///
    /// Calls in flight end with an error, monitors and inboxes end, and no task, socket or file is left behind. A second call
    /// waits for the first. Cancel safe: once polled, the shutdown goes on although the future is dropped.
    async fn shutdown(&self, deadline: Duration) -> Shutdown;

    /// Waits until this node has stopped, and says why. Ready at once if it already has. Cancel safe.
    async fn stopped(&self) -> StopReason;

    /// What was counted instead of delivered, since the start of the node (C5, A1, A2).
    fn counters(&self) -> Counters;
}
