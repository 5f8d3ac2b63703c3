//! The budget for large messages, those above a block: one for all that a node sends, one for all that it receives (O1).
//!
//! A share lives as long as the buffer that it was taken for, wherever that is: in a lane, in a mailbox, in the network stack.

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

    /// A message is a little longer on the wire than its limit, which the budget holds at least once.
    fn permits(&self, length: usize) -> u32 {
        u32::try_from(length.min(self.total)).unwrap_or(u32::MAX)
    }

    pub(super) fn try_share(&self, length: usize) -> Option<Share> {
        Arc::clone(&self.bytes).try_acquire_many_owned(self.permits(length)).ok().map(|_permit| Share { _permit })
    }

    /// Waits for a share, first come, first served. Cancel safe.
    pub(super) async fn share(&self, length: usize) -> Option<Share> {
        Arc::clone(&self.bytes).acquire_many_owned(self.permits(length)).await.ok().map(|_permit| Share { _permit })
    }
}

impl Share {
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
        let budget = LargeBudget::new(100);
        let bytes = budget.try_share(80).unwrap().keep(vec![1; 80]);
        let part = bytes.slice(10..20);
        drop(bytes);
        assert!(budget.try_share(80).is_none());
        assert_eq!(part, [1; 10][..]);
        drop(part);
        assert!(budget.try_share(200).is_some(), "more than all is all");
    }
}
