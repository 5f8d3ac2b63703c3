//! Where a node's counts outlive what crashes: the seam between those who decide and what keeps (P5).
//!
//! A store keeps, and decides nothing. The [`Ledger`](super::Ledger) owns it, and is the only one that talks to it: it collects what
//! waits, commits it together, and shows it to readers and to other nodes only when the commit has returned (P2, P3).
//!
//! | store | what it survives |
//! | --- | --- |
//! | [`MemoryStore`] | crashes of the servers; it is gone with the process |
//! | `pingpong_node::store::FileStore` | crashes of the process and of the machine; it is gone with the disk |

mod memory;

pub use memory::MemoryStore;

use super::counts::{Counts, Slot};
use crate::node::Incarnation;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// What a store keeps besides counts: whose life it began with, and whether that node may vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node's incarnation when this store was created (P4). It must never be that of another store.
    pub epoch: Incarnation,
    /// How the store came to be.
    pub origin: Origin,
    /// Whether the node votes.
    pub standing: Standing,
}

/// How a store came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// By `init`, at the very first start of the node: there is no earlier epoch of its name, and there never was (P18, P25).
    Init,
    /// In place of one that was lost, set aside, or older than it should be: there may be earlier epochs.
    Replacement,
}

/// Whether a node votes (P23).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It is no member. What a majority acknowledged need not have passed through this store: if the node becomes a member, it recovers first.
    Observer,
    /// It is a member, and does.
    Active,
    /// It is a member, and may have voted before, on a store that is gone: it learns from the other members what it may have acknowledged,
    /// or that they have never heard of it, and does not vote before it has.
    Recovering,
}

/// All that a store has kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Who it is.
    pub identity: Identity,
    /// What was counted.
    pub counts: Counts,
}

/// Changes that are kept together or not at all (P7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// A new identity; the first batch of an empty store has one.
    pub identity: Option<Identity>,
    /// The slots that rose, with their new counts. Each slot once.
    pub raised: Vec<(Slot, u64)>,
    /// The slots that are no longer kept (P8). None of them is among those that rose.
    pub forgotten: Vec<Slot>,
}

/// What a [`Ledger`](super::Ledger) keeps its counts in.
///
/// # What an implementor must do, and must not
/// - A batch must be kept whole or not at all, whatever crashes at whatever instant; [`load`](Self::load) after a crash must return the
///   state after some batch: the last one for which `commit` returned, or the one that was being committed (P7).
/// - `commit` must not return `Ok` before the batch would survive what the store is made for (P2).
/// - After [`CommitError::Refused`] the store must be as before the batch, and must go on. After [`CommitError::Unknown`] it must refuse
///   everything: a sync that failed must not be tried again, since the system may then call it clean (P6).
/// - It must not be shared with another ledger, in this process or another (P27).
#[async_trait]
pub trait Store: Send + 'static {
    /// Everything that was committed; `None` if nothing ever was. The ledger asks once, before its first batch. Need not be cancel safe.
    ///
    /// # Errors
    /// [`LoadError`]; nothing was changed.
    async fn load(&mut self) -> Result<Option<Kept>, LoadError>;

    /// Keeps a batch. Returns once it is kept for certain.
    ///
    /// Need not be cancel safe: the ledger waits for its end, or is gone with the process.
    ///
    /// # Errors
    /// [`CommitError`] says whether the batch may be tried again.
    async fn commit(&mut self, batch: Batch) -> Result<(), CommitError>;
}

/// What is in a store cannot be read. It was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the counts in {place} cannot be read: {words}")]
pub struct LoadError {
    /// What the store is in.
    pub place: String,
    /// What is wrong with it, and the remedy.
    pub words: String,
}

/// A batch was not kept for certain (P6).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// It was not kept, and nothing else was changed; the disk is full, for example. It may be tried again.
    #[error("nothing more can be stored in {place}: {words}; make room, and it goes on by itself")]
    Refused {
        /// What the store is in.
        place: String,
        /// Why not.
        words: String,
    },
    /// It may have been kept or not. The store takes nothing more: only reading it again, in a new process, can tell.
    #[error(
        "it is unknown what {place} has kept: {words}; check the disk, and start the node again, which reads what is there"
    )]
    Unknown {
        /// What the store is in.
        place: String,
        /// What failed.
        words: String,
    },
}
