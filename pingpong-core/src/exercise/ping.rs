//! What comes of pings that were not simply counted (P11).

use super::counts::Slot;
use super::messages::{PingRefused, Pinged};
use crate::message::Unencodable;
use crate::transport::CallFailure;

/// Pings were not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// Nothing was counted; except for [`PingRefused::StoreClosed`], where nobody knows.
    #[error(transparent)]
    Refused(#[from] PingRefused),
    /// Nothing was counted: this node knows no members.
    #[error(
        "no members are configured, and there is no majority without them; name them on every node, or ping at another level"
    )]
    NoMembers,
    /// Nothing was counted: fewer members than a majority needs can be reached.
    #[error(
        "{have} of the {need} members that a majority needs can be reached; nothing was counted; ping at another level, or wait for them"
    )]
    Unavailable {
        /// Members that can be reached, this one included.
        have: usize,
        /// Members that must be.
        need: usize,
    },
    /// They are counted here; whether a majority has them is not known.
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
    /// The producer did not answer. Unless [`CallFailure::was_sent`] says no, the pings may be counted all the same: pinging
    /// again may count them twice.
    #[error("the producer did not answer: {0}")]
    Unanswered(CallFailure),
    /// The request has no encoded form.
    #[error(transparent)]
    Unencodable(#[from] Unencodable),
}

/// Pings that are counted here, will spread, and must not be sent again; whether a majority has them is not known.
///
/// [`Exercise::confirm`](super::Exercise::confirm) asks again, as often as you like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "counted as number {} of {}, but {have} of the {need} members that it needs have said that they have it; do not ping again, confirm it",
    .pinged.count, .pinged.slot
)]
pub struct Unconfirmed {
    /// As what they are counted.
    pub pinged: Pinged,
    /// Members that have them for certain.
    pub have: usize,
    /// Members that must.
    pub need: usize,
}

/// A count was not confirmed. What is counted stays counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError {
    /// This node knows no members.
    #[error("no members are configured, and there is no majority without them; name them on every node")]
    NoMembers,
    /// This node does not know of so many pings.
    #[error("{} is at {} here, and not at {}: there is nothing to confirm; ask the node that pinged", .asked.slot, .known.unwrap_or(0), .asked.count)]
    NotCounted {
        /// What was to be confirmed.
        asked: Pinged,
        /// What is known; `None` if the slot is not.
        known: Option<u64>,
    },
    /// The pings are another node's, and this one is no member, whose word for others would count.
    #[error("{0} is another node's, and this one is no member; ask that node, or a member")]
    NotOwn(Slot),
    /// A majority did not say in time that it has them.
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
}
