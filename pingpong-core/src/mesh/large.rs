//! The budget for large messages, those above a block: one for all that a node sends, one for all that it receives (O1).
//!
//! A share lives as long as the buffer that it was taken for, wherever that is: in a lane, in a mailbox, in the network stack.

use crate::wire::{HEADER, MAX_PREFIX};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Clone, Debug)]
pub(super) struct LargeBudget {
    bytes: Arc<Semaphore>,
    total: usize,
}

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
    /// The turn at a server, which has one such message at a time: one that is stuck must not use the budget up (C6).
    _turn: Option<OwnedSemaphorePermit>,
}

/// A buffer that holds its share.
struct Kept<T> {
    bytes: T,
    _share: Share,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Kept<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl LargeBudget {
    pub(super) fn new(total: usize) -> Self {
        Self { bytes: Arc::new(Semaphore::new(total)), total }
    }

    /// Counted without what the wire adds: a budget of two messages holds two.
    fn permits(&self, length: usize) -> u32 {
        let body = length.saturating_sub(HEADER + MAX_PREFIX);
        u32::try_from(body.min(self.total)).unwrap_or(u32::MAX)
    }

    pub(super) fn try_share(&self, length: usize) -> Option<Share> {
        Arc::clone(&self.bytes).try_acquire_many_owned(self.permits(length)).ok().map(Share::new)
    }

    /// Waits for a share, first come, first served. Cancel safe.
    pub(super) async fn share(&self, length: usize) -> Share {
        match Arc::clone(&self.bytes).acquire_many_owned(self.permits(length)).await {
            Ok(permit) => Share::new(permit),
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Share {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: permit, _turn: None }
    }

    /// Holds the turn at a server as long as the share.
    pub(super) fn with_turn(mut self, turn: Option<OwnedSemaphorePermit>) -> Self {
        self._turn = turn;
        self
    }

    /// The share now lives as long as these bytes.
    pub(super) fn keep(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(Kept { bytes, _share: self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_comes_back_with_the_last_handle_of_its_bytes() {
        let budget = LargeBudget::new(1_000);
        let bytes = budget.try_share(900).unwrap().keep(vec![1; 80]);
        let part = bytes.slice(10..20);
        drop(bytes);
        assert!(budget.try_share(900).is_none());
        assert_eq!(part, [1; 10][..]);
        drop(part);
        assert!(budget.try_share(2_000).is_some(), "more than all is all");
    }
}
