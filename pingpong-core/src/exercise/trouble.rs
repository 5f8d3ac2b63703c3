//! Why a node must stop, although none of its servers has crashed: its store is not what it should be.

use super::counts::Slot;
use super::store::CommitError;
use crate::node::Incarnation;
use std::sync::Arc;
use tokio::sync::watch;

/// A node's counts would be wrong from now on, or are not kept: it must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The store has failed (P6). Started again, the node reads what is there.
    #[error(transparent)]
    StoreFailed(#[from] CommitError),
    /// Another node has seen more pings of this node's slot than its store has, and pings were numbered since the start: the store is an older
    /// copy, or the disk did not keep what it said it had (P27).
    #[error(
        "the store is older than it should be: {slot} is at {count} here, and another node has seen {seen}; start the node again, and it \
         begins a new epoch"
    )]
    StoreIsOlder {
        /// The slot.
        slot: Slot,
        /// Its count here.
        count: u64,
        /// Its count elsewhere.
        seen: u64,
    },
    /// Another store of this node's name has an epoch that this node's incarnation is not above (P23).
    #[error(
        "the epoch of {slot} is taken: another store of this name had {known}; start the node again with an incarnation above that"
    )]
    EpochTaken {
        /// The slot.
        slot: Slot,
        /// The greatest epoch that is known.
        known: Incarnation,
    },
}

/// Where trouble is told, and waited for. Clones are the same. The first one stays.
#[derive(Clone, Debug)]
pub(super) struct Troubles(Arc<watch::Sender<Option<Trouble>>>);

impl Default for Troubles {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Troubles {
    pub(super) fn tell(&self, trouble: Trouble) {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            if is_first {
                tracing::error!(%trouble, "this node must stop");
                *first = Some(trouble);
            }
            is_first
        });
    }

    /// Waits for the first one. Cancel safe.
    pub(super) async fn first(&self) -> Trouble {
        let mut told = self.0.subscribe();
        loop {
            if let Ok(told) = told.wait_for(Option::is_some).await
                && let Some(trouble) = told.clone()
            {
                return trouble;
            }
            // Not reached: the sender is here.
            std::future::pending::<()>().await;
        }
    }
}
