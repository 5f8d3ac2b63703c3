//! How far the lanes of a session are, at its graceful end (S2): what was handed over here, and what was written there.

use crate::session::LaneOffset;
use std::collections::BTreeMap;

/// How far the peer's lanes were handed over, and up to where they must be before the goodbye is complete (S2).
#[derive(Default)]
pub(super) struct Handover {
    pub(super) done: BTreeMap<u16, u64>,
    pub(super) goal: Option<Vec<LaneOffset>>,
}

/// Which of our lanes have been written to their end, when this node leaves.
#[derive(Default)]
pub(super) struct DrainState {
    pub(super) writing: usize,
    pub(super) ended: Vec<LaneOffset>,
}

impl Handover {
    pub(super) fn complete(&self) -> bool {
        let reached = |l: &LaneOffset| self.done.get(&l.lane).copied().unwrap_or(0) >= l.offset;
        self.goal.as_ref().is_some_and(|goal| goal.iter().all(reached))
    }
}
