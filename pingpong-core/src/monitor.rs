//! Node events: who came, who went, and why (M2, M3, M5, M8).

use crate::node::{Incarnation, Node};
use futures_core::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Why a session ended (M5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DownReason {
    /// The peer said goodbye (S2).
    Left {
        /// Everything that it had sent was handed over. `false`: the goodbye's deadline, or the connection's end, came first.
        flushed: bool,
    },
    /// The failure detector gave its verdict, or the network reported the connection dead (M6).
    Lost,
    /// The peer no longer holds this session (M9): what was sent in it may be lost.
    PeerLostUs,
    /// A greater incarnation of that name answered (M3), or that node took one.
    Replaced,
    /// This node took a greater incarnation, because a peer had seen one above its own.
    Renewed,
    /// A queue to or from the peer was full, without progress, for the stall timeout (O3).
    Overloaded,
    /// By command, here or at the peer (`Transport::disconnect`).
    Disconnected,
    /// By command, here or at the peer (`Transport::forget`).
    Forgotten,
    /// One side broke the protocol; the words say how.
    Protocol(String),
    /// This node shuts down.
    LocalShutdown,
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left { flushed: true } => f.write_str("left, everything was handed over"),
            Self::Left { flushed: false } => f.write_str("left, not everything was handed over"),
            Self::Lost => f.write_str("lost"),
            Self::PeerLostUs => f.write_str("the peer lost us"),
            Self::Replaced => f.write_str("replaced by a newer incarnation"),
            Self::Renewed => f.write_str("this node took a newer incarnation"),
            Self::Overloaded => f.write_str("overloaded"),
            Self::Disconnected => f.write_str("disconnected by command"),
            Self::Forgotten => f.write_str("forgotten by command"),
            Self::Protocol(words) => write!(f, "protocol error: {words}"),
            Self::LocalShutdown => f.write_str("this node shuts down"),
        }
    }
}

/// What happened to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeChange {
    /// A session began.
    Up,
    /// The session ended.
    Down(DownReason),
}

/// One event of a monitor.
///
/// For one name, `Up` and `Down` alternate, and `Down` names the incarnation that was up (M3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvent {
    /// The node that came or went.
    pub node: Node,
    /// What it did.
    pub change: NodeChange,
    /// Events of this name that were folded away before this one, because the monitor was not read in time (M8). Always even:
    /// whole pairs of `Down` and `Up` are folded, so that alternation holds.
    pub skipped: u64,
}

impl NodeEvent {
    /// Whether a session began.
    pub fn is_up(&self) -> bool {
        matches!(self.change, NodeChange::Up)
    }

    /// The life that came or went.
    pub fn incarnation(&self) -> Incarnation {
        self.node.incarnation
    }
}

impl fmt::Display for NodeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            NodeChange::Up => write!(f, "up {}", self.node)?,
            NodeChange::Down(reason) => write!(f, "down {}: {reason}", self.node)?,
        }
        if self.skipped > 0 { write!(f, " ({} events skipped)", self.skipped) } else { Ok(()) }
    }
}

/// A monitor's stream of events; it ends when the node has shut down.
///
/// Dropping it ends the subscription. It never blocks the transport: a monitor that is not read costs the memory of one
/// session for each name, however long it sleeps (M8).
pub struct NodeEvents {
    inner: Pin<Box<dyn Stream<Item = NodeEvent> + Send>>,
}

impl NodeEvents {
    /// Wraps a stream of events. For implementors of a transport.
    pub fn new(stream: impl Stream<Item = NodeEvent> + Send + 'static) -> Self {
        Self { inner: Box::pin(stream) }
    }

    /// The next event, or `None` once the node has shut down.
    ///
    /// Cancel safe: an event is taken only when this returns it.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        std::future::poll_fn(|cx| self.inner.as_mut().poll_next(cx)).await
    }
}

impl Stream for NodeEvents {
    type Item = NodeEvent;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<NodeEvent>> {
        self.inner.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for NodeEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeEvents").finish_non_exhaustive()
    }
}
