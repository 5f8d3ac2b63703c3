//! Which counts may be said by whom, and how many there may be (P8, and the abuse table of section 7).

use crate::node::Node;
use serde::Serialize;

/// Bounds of a ledger (P8, O1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Epochs of one producer. Default 1,000.
    pub epochs: usize,
    /// Slots of all producers. Default 262,144: some 40 MiB.
    pub slots: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self { epochs: 1_000, slots: 262_144 }
    }
}

/// Counts that were heard and not taken over. None of them stops the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Ignored {
    /// Below what is known. Normal after heals.
    pub stale: u64,
    /// Below what that very producer had said in the same session: a store was rolled back, or the order broken (C2).
    pub backwards: u64,
    /// Of another name than the sender's, which is no member.
    pub foreign_slot: u64,
    /// Of an epoch that its producer has not reached.
    pub future_epoch: u64,
    /// Beyond the bounds of the ledger.
    pub too_many_slots: u64,
    /// Of this node's own slot, above what this node has counted: only its own producer raises it.
    pub own_slot: u64,
}

/// Who says so.
#[derive(Clone, Copy, Debug)]
pub(in crate::exercise) enum Source<'a> {
    /// A producer of its own slots.
    Producer(&'a Node),
    /// A node of what it knows.
    Relay(&'a Node),
}

impl<'a> Source<'a> {
    pub(in crate::exercise) fn node(self) -> &'a Node {
        match self {
            Self::Producer(node) | Self::Relay(node) => node,
        }
    }
}
