//! What a probe has seen, and what the contract says about any such record.

use super::pattern;
use pingpong_core::inbox::InboxClosed;
use pingpong_core::message::MessageType;
use pingpong_core::{DownReason, Node, NodeName};

/// One thing that a server saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A session began.
    Up(Node),
    /// A session ended.
    Down(Node, DownReason),
    /// A cast.
    Cast(Message),
    /// A call.
    Call(Message),
    /// The inbox ended.
    Closed(InboxClosed),
}

impl Record {
    /// The message, if it is one.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Cast(message) | Self::Call(message) => Some(message),
            _ => None,
        }
    }

    /// The node that it is about.
    pub fn node(&self) -> Option<&Node> {
        match self {
            Self::Up(node) | Self::Down(node, _) => Some(node),
            Self::Cast(message) | Self::Call(message) => Some(&message.from),
            Self::Closed(_) => None,
        }
    }
}

/// A numbered message as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender, as the transport vouches for it.
    pub from: Node,
    /// Its number; `u64::MAX` if the body is too short to hold one.
    pub number: u64,
    /// Bytes of the body.
    pub size: usize,
    /// Type and version.
    pub kind: MessageType,
    /// Whether the rest of the body is the pattern of its number.
    pub intact: bool,
}

impl Message {
    pub(super) fn read(from: &Node, kind: MessageType, body: &[u8]) -> Self {
        let number = number_of(body);
        let intact = body.len() >= 8 && (8..body.len()).all(|at| body[at] == pattern(number, at));
        Self { from: from.clone(), number, size: body.len(), kind, intact }
    }
}

/// The number of a message of that body.
pub(super) fn number_of(body: &[u8]) -> u64 {
    body.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
}

/// The numbers of the messages of one name, in the order of delivery.
pub fn numbers(records: &[Record], from: &NodeName) -> Vec<u64> {
    let messages = records.iter().filter_map(Record::message);
    messages.filter(|message| message.from.name == *from).map(|message| message.number).collect()
}

/// A session's part of a server's mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The peer.
    pub node: Node,
    /// The numbers that were delivered.
    pub numbers: Vec<u64>,
    /// Whether its `Down` came.
    pub ended: bool,
}

/// Cuts the record of a server with events into the sessions with one peer, and checks what holds in any case: `Up` and
/// `Down` alternate and name the same incarnation, every message lies between them and is of that incarnation (C4, M3), each
/// session's numbers have no gap (C3), and no number comes twice.
pub fn segments(records: &[Record], name: &NodeName) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut greatest = None;
    for record in records.iter().filter(|record| record.node().is_some_and(|node| node.name == *name)) {
        let open = segments.last_mut().filter(|segment| !segment.ended);
        match (record, open) {
            (Record::Up(node), None) => {
                segments.push(Segment { node: node.clone(), numbers: Vec::new(), ended: false });
            }
            (Record::Down(node, _), Some(open)) => {
                assert_eq!(*node, open.node, "Down names the incarnation that was up");
                open.ended = true;
            }
            (Record::Cast(message) | Record::Call(message), Some(open)) => {
                let number = message.number;
                assert_eq!(message.from, open.node, "message {number} is of the incarnation that is up");
                if let Some(last) = open.numbers.last() {
                    assert_eq!(number, last + 1, "no gap, no duplicate, no swap in a session; seen {open:?}");
                }
                assert!(
                    greatest < Some(number),
                    "message {number} came after {greatest:?}: once delivered, never again"
                );
                greatest = Some(number);
                open.numbers.push(number);
            }
            (record, open) => panic!("{record:?} where the session is {open:?}: Up, its messages, Down, in this order"),
        }
    }
    segments
}
