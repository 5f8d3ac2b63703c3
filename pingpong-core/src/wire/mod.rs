//! The wire format: every byte that two nodes exchange, in one place. `docs/wire.md` describes it for other languages.
//!
//! Lanes carry [`Frame`]s after a [`LaneHeader`]; the control lane carries control messages; datagrams carry heartbeats;
//! a close carries its reason. Lengths are checked against a limit before anything is allocated, and no input panics.

mod control;
#[cfg(test)]
mod examples;
mod frame;
mod splitter;

pub use control::{
    ControlDecoder, LaneHeader, LaneRole, MAX_CLOSE, MAX_CONTROL, decode_close, decode_heartbeat, encode_close,
    encode_control, encode_heartbeat, encode_lane_header,
};
pub use frame::{Frame, FrameKind, HEADER, MAX_PREFIX, Prefix, ReplyStatus};
pub use splitter::{Content, LargeFrame, Splitter};

use crate::session::Versions;

/// Bytes that break the wire format. The connection that they came on is closed with these words (M5, "protocol error").
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A length outside its limits.
    #[error("{item} of {length} bytes, allowed are {least} to {most}")]
    Length {
        /// What is too short or too long.
        item: &'static str,
        /// The length that was announced.
        length: u64,
        /// The smallest that is allowed.
        least: u64,
        /// The greatest that is allowed.
        most: u64,
    },
    /// A tag that means nothing in this version.
    #[error("unknown {item} {value}")]
    Unknown {
        /// What is unknown.
        item: &'static str,
        /// Its value.
        value: u64,
    },
    /// No minor version of the protocol that both speak (A3).
    #[error("the peer speaks protocol {theirs}, this node {ours}; upgrade one of the two")]
    Versions {
        /// The peer's.
        theirs: Versions,
        /// This node's.
        ours: Versions,
    },
    /// A body that is not of its shape.
    #[error("malformed {item}: {words}")]
    Malformed {
        /// What is malformed.
        item: &'static str,
        /// What the decoder says.
        words: String,
    },
}
