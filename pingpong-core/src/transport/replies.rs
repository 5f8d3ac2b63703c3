//! What came of a call, target by target.

use crate::message::MessageType;
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use bytes::Bytes;

/// The outcome of a [`Transport::multi_call`](super::Transport::multi_call): every target is in exactly one of the two lists (R2), each sorted by name.
#[derive(Clone, Debug)]
pub struct Replies<T = RawReply> {
    /// Who answered, and what.
    pub replies: Vec<Reply<T>>,
    /// Who did not, and why.
    pub failed: Vec<Failed>,
}

impl<T> Default for Replies<T> {
    fn default() -> Self {
        Self { replies: Vec::new(), failed: Vec::new() }
    }
}

impl<T> Replies<T> {
    /// What came of a call to one node: its answer, or why there is none. Of several, the first by name that answered; of no target at all,
    /// that it is not linked.
    ///
    /// # Errors
    /// Why the node did not answer (R3).
    pub fn into_one(self) -> Result<Reply<T>, CallFailure> {
        match (self.replies.into_iter().next(), self.failed.into_iter().next()) {
            (Some(reply), _) => Ok(reply),
            (None, failed) => Err(failed.map_or(CallFailure::NotLinked, |failed| failed.reason)),
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<T = RawReply> {
    /// The node, in the incarnation that answered.
    pub node: Node,
    /// The answer.
    pub reply: T,
}

/// An answer as it travelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawReply {
    /// Type and version.
    pub kind: MessageType,
    /// The encoded body. Above 64 KiB it takes its part of [`Limits::large_bytes`](crate::config::Limits::large_bytes) as long as it is kept.
    pub body: Bytes,
}

/// A target without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The target.
    pub name: NodeName,
    /// The incarnation that failed; `None` if the name was not linked.
    pub incarnation: Option<Incarnation>,
    /// Why.
    pub reason: CallFailure,
}

/// Why a target has no answer (R3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallFailure {
    /// No server of that name is registered there.
    #[error("no such server")]
    NoSuchServer,
    /// The server stopped, or crashed, before it answered.
    #[error("the server stopped or crashed before it answered")]
    ServerStopped,
    /// The server does not serve this node (A1).
    #[error("not allowed")]
    NotAllowed,
    /// The request, or the answer to it, does not decode (A2).
    #[error("not decodable")]
    NotDecodable,
    /// The server's answer is over the limit of its node (O4).
    #[error("the reply is {size} bytes long, the limit is {limit}")]
    ReplyTooLarge {
        /// Size of the encoded answer in bytes.
        size: u64,
        /// The configured maximum in bytes.
        limit: u64,
    },
    /// It answered, but answers in this node's hands take all the room that they may have (O1). Sent. Ask fewer nodes at once, or raise
    /// [`Limits::reply_bytes`](crate::config::Limits::reply_bytes); for an answer above 64 KiB, of a server of this very node,
    /// [`Limits::large_bytes`](crate::config::Limits::large_bytes).
    #[error(
        "no room for the reply of {size} bytes: all of them may take {limit} bytes; ask fewer nodes at once, or raise {}",
        if *.size > 64 << 10 { "large_bytes" } else { "reply_bytes" }
    )]
    NoRoomForReply {
        /// Size of the encoded answer in bytes.
        size: usize,
        /// The configured maximum in bytes of all of them.
        limit: usize,
    },
    /// There was no session with that node at the call. Not sent.
    #[error("not linked")]
    NotLinked,
    /// The session ended. If it was sent, the request may have run, but never will later.
    #[error("the node went down (request {})", sent_words(*.sent))]
    NodeDown {
        /// Whether the request had entered the queue of the link.
        sent: bool,
    },
    /// The deadline passed. If it was sent, the request may run or have run.
    #[error("the deadline passed (request {})", sent_words(*.sent))]
    DeadlinePassed {
        /// Whether the request had entered the queue of the link.
        sent: bool,
    },
    /// The request is over the limit. Not sent.
    #[error("the request is {size} bytes long, the limit is {limit}")]
    RequestTooLarge {
        /// Size of the encoded request in bytes.
        size: usize,
        /// The configured maximum in bytes.
        limit: usize,
    },
}

const fn sent_words(sent: bool) -> &'static str {
    if sent { "sent" } else { "not sent" }
}

impl CallFailure {
    /// Whether the request left this node's hands. `false`: it cannot have run, and a retry is safe.
    pub const fn was_sent(&self) -> bool {
        match self {
            Self::NotLinked | Self::RequestTooLarge { .. } => false,
            Self::NodeDown { sent } | Self::DeadlinePassed { sent } => *sent,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_of_a_call_to_one_node_is_its_answer_or_the_reason() {
        let name = NodeName::new("a").unwrap();
        let node = Node { name: name.clone(), incarnation: Incarnation::new(1, 0) };
        let answered = Replies { replies: vec![Reply { node: node.clone(), reply: 7 }], failed: Vec::new() };
        assert_eq!(answered.into_one(), Ok(Reply { node, reply: 7 }));
        let reason = CallFailure::NodeDown { sent: true };
        let failed = Failed { name, incarnation: None, reason: reason.clone() };
        assert_eq!(Replies::<u8> { replies: Vec::new(), failed: vec![failed] }.into_one(), Err(reason));
        assert_eq!(Replies::<u8>::default().into_one(), Err(CallFailure::NotLinked), "nobody was asked");
    }
}
