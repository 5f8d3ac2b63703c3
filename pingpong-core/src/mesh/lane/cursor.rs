//! Where one link stands in a lane, and what it takes from there.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::task::Waker;

/// Below this, waiting segments are joined into one before they are written.
const SMALL: usize = 8 << 10;
/// What a segment costs besides its bytes, so that many tiny ones stay bounded too.
pub(super) const SEGMENT: usize = 64;

/// One link's place in a lane.
pub(super) struct Cursor {
    pub(super) key: u64,
    pub(super) queue: VecDeque<Bytes>,
    /// Bytes and segments that are not yet written.
    pub(super) cost: usize,
    pub(super) waker: Option<Waker>,
}

impl Cursor {
    pub(super) fn new(key: u64) -> Self {
        Self { key, queue: VecDeque::new(), cost: 0, waker: None }
    }

    pub(super) fn push(&mut self, segment: Bytes) {
        self.cost += segment.len() + SEGMENT;
        self.queue.push_back(segment);
    }
}

/// A batch for the network, and the room that it takes until it is written.
#[derive(Debug)]
pub(in crate::mesh) struct Taken {
    pub(in crate::mesh) bytes: Bytes,
    pub(in crate::mesh) cost: usize,
}

impl Taken {
    /// The next segment, cut to `max` bytes; small ones are joined, because a network stack searches its chunks one by one.
    pub(super) fn from(cursor: &mut Cursor, max: usize) -> Option<Self> {
        let mut first = cursor.queue.pop_front()?;
        if first.len() > max {
            let head = first.split_to(max);
            cursor.queue.push_front(first);
            return Some(Self { cost: head.len(), bytes: head });
        }
        let mut cost = first.len() + SEGMENT;
        if first.len() >= SMALL || cursor.queue.front().is_none_or(|next| next.len() >= SMALL) {
            return Some(Self { bytes: first, cost });
        }
        let mut joined = BytesMut::with_capacity(2 * SMALL);
        joined.extend_from_slice(&first);
        while joined.len() < SMALL {
            let Some(next) = cursor.queue.pop_front() else { break };
            if next.len() >= SMALL {
                cursor.queue.push_front(next);
                break;
            }
            cost += next.len() + SEGMENT;
            joined.extend_from_slice(&next);
        }
        Some(Self { bytes: joined.freeze(), cost })
    }

    /// Whether so little was taken that it pays to let others add more before the next one.
    pub(in crate::mesh) fn is_small(&self) -> bool {
        self.bytes.len() < SMALL
    }
}
