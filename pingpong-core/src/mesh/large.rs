//! The budget for large messages, those above a block: one for all that a node sends, one for all that it receives (O1).
//!
//! A share lives as long as the buffer that it was taken for, wherever that is: in a lane, in a mailbox, in the network stack. What one
//! peer holds of what is received is bounded as well, so that it leaves room for others.

use crate::wire::{HEADER, MAX_PREFIX};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Clone, Debug)]
pub(super) struct LargeBudget {
    bytes: Arc<Semaphore>,
    total: usize,
}

/// What one peer may hold of a budget: half of it, but at least two messages, so that a server which is stuck with one does not hold up
/// what it sends to the others (C6).
#[derive(Clone, Debug)]
pub(super) struct PeerBudget {
    own: LargeBudget,
    all: LargeBudget,
}

impl PeerBudget {
    pub(super) fn new(all: &LargeBudget, max_message: usize) -> Self {
        let own = (all.total / 2).max(max_message.saturating_mul(2)).min(all.total);
        Self { own: LargeBudget::new(own), all: all.clone() }
    }

    /// The most that it may hold at once.
    pub(super) fn most(&self) -> usize {
        self.own.total
    }

    /// Waits for a share, first come, first served; who waits for the peer's own holds nothing of the others'. Cancel safe.
    pub(super) async fn share(&self, length: usize) -> Share {
        let own = self.own.share(length).await;
        let mut share = self.all.share(length).await;
        share._of_peer = Some(own._permit);
        share
    }
}

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
    _of_peer: Option<OwnedSemaphorePermit>,
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

    pub(super) fn total(&self) -> usize {
        self.total
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
        Self { _permit: permit, _of_peer: None, _turn: None }
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

    #[tokio::test(start_paused = true)]
    async fn a_peer_holds_half_and_at_least_two_messages() {
        async fn held(budget: &PeerBudget) -> Vec<Share> {
            let (mut held, second) = (Vec::new(), std::time::Duration::from_secs(1));
            while let Ok(share) = tokio::time::timeout(second, budget.share(100 + HEADER + MAX_PREFIX)).await {
                held.push(share);
            }
            held
        }
        let all = LargeBudget::new(1_000);
        let (one, other) = (PeerBudget::new(&all, 100), PeerBudget::new(&all, 100));
        let of_one = held(&one).await;
        assert_eq!(of_one.len(), 5);
        assert_eq!(held(&other).await.len(), 5, "the other half");
        drop(of_one);
        assert_eq!(held(&one).await.len(), 5, "it comes back");
        assert_eq!(held(&PeerBudget::new(&LargeBudget::new(200), 100)).await.len(), 2);
        assert_eq!(held(&PeerBudget::new(&LargeBudget::new(300), 100)).await.len(), 2);
    }
}
