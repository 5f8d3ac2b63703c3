//! What changed last, and who brought it: so that peers are told that, and no more.
//!
//! Bounded: whoever is further behind than it reaches back compares its counts instead.

use crate::exercise::counts::Slot;
use crate::node::Node;
use std::collections::BTreeMap;

/// Slots that are remembered.
const SLOTS: usize = 4_096;

/// The slots that changed last, each by the revision that changed it last.
#[derive(Debug, Default)]
pub(super) struct Recent {
    slots: BTreeMap<Slot, u64>,
    revisions: BTreeMap<u64, (Slot, Option<Node>)>,
    /// Everything after this revision is here.
    since: u64,
}

impl Recent {
    /// Nothing before that revision is remembered.
    pub(super) fn new(since: u64) -> Self {
        Self { since, ..Self::default() }
    }

    /// A slot has changed, in the greatest revision so far.
    pub(super) fn changed(&mut self, slot: &Slot, revision: u64, by: Option<Node>) {
        self.forget(slot);
        self.slots.insert(slot.clone(), revision);
        self.revisions.insert(revision, (slot.clone(), by));
        if self.slots.len() > SLOTS
            && let Some((revision, (slot, _))) = self.revisions.pop_first()
        {
            self.slots.remove(&slot);
            self.since = revision;
        }
    }

    /// A slot is no longer kept.
    pub(super) fn forget(&mut self, slot: &Slot) {
        if let Some(before) = self.slots.remove(slot) {
            self.revisions.remove(&before);
        }
    }

    /// The slots that changed after that revision, with those who brought them; `None` if that was too long ago.
    pub(super) fn after(&self, revision: u64) -> Option<impl Iterator<Item = &(Slot, Option<Node>)>> {
        (revision >= self.since).then(|| self.revisions.range(revision + 1..).map(|(_, changed)| changed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NodeName;
    use crate::node::Incarnation;

    fn slot(epoch: u64) -> Slot {
        Slot { producer: NodeName::new("a").unwrap(), epoch: Incarnation::new(epoch, 0) }
    }

    #[test]
    fn a_slot_is_there_once_with_its_last_change() {
        let mut recent = Recent::new(2);
        for (epoch, revision) in [(1, 3), (2, 4), (1, 5)] {
            recent.changed(&slot(epoch), revision, None);
        }
        let after =
            |revision| recent.after(revision).map(|slots| slots.map(|(slot, _)| slot.clone()).collect::<Vec<_>>());
        assert_eq!(after(2), Some(vec![slot(2), slot(1)]));
        assert_eq!(after(4), Some(vec![slot(1)]));
        assert_eq!(after(5), Some(vec![]));
        assert_eq!(after(1), None, "nobody knows");
    }

    #[test]
    fn it_reaches_back_so_far_and_says_so() {
        let mut recent = Recent::new(0);
        for number in 1..=SLOTS as u64 + 10 {
            recent.changed(&slot(number), number, None);
        }
        assert!(recent.after(9).is_none());
        assert_eq!(recent.after(10).map(Iterator::count), Some(SLOTS));
    }
}
