//! The one place of a node that holds counts (P5).

use super::counts::{Counts, Slot};
use super::messages::{PingRefused, Pinged};
use crate::name::NodeName;
use crate::node::Node;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::BTreeMap;
use tokio::sync::watch;

/// Bounds of a store (P8, O1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Epochs of one producer. Default 1,000.
    pub epochs: usize,
    /// Slots of all producers. Default 65,536: a few MiB.
    pub slots: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self { epochs: 1_000, slots: 65_536 }
    }
}

/// Counts that were heard and not taken over. None of them stops the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ignored {
    /// Below what is known. Normal after heals.
    pub stale: u64,
    /// Below what that very producer had said in the same session: a store was rolled back, or the order broken (C2).
    pub backwards: u64,
    /// Of a producer about another one.
    pub foreign_slot: u64,
    /// Of an epoch that its producer has not reached.
    pub future_epoch: u64,
    /// Beyond the bounds of the store.
    pub too_many_slots: u64,
    /// Of this node's own slot, above what this node has counted: only its own producer raises it.
    pub own_slot: u64,
}

/// Who says so.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// A producer of its own slots.
    Producer(&'a Node),
    /// A consumer of what it knows.
    Consumer,
}

/// What a merge did to the store's revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merged {
    pub(super) before: u64,
    pub(super) after: u64,
}

/// The counts of one node, in memory: gone with the process, so that every start of the process is a new epoch.
///
/// It outlives the servers of its node: a crash of the producer or of the consumer loses nothing. Only what is in it is shown
/// to readers and to other nodes (P2).
pub struct MemoryStore {
    slot: Slot,
    limits: StoreLimits,
    state: Mutex<State>,
    /// Follows the state's revision.
    revisions: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    counts: Counts,
    /// Of each slot, the revision that changed it last.
    changed: BTreeMap<Slot, u64>,
    revision: u64,
    ignored: Ignored,
}

impl State {
    fn raise(&mut self, slot: &Slot, count: u64) {
        if self.counts.raise(slot, count) {
            self.revision += 1;
            self.changed.insert(slot.clone(), self.revision);
        }
    }

    fn remove(&mut self, slot: &Slot) {
        self.counts.remove(slot);
        self.changed.remove(slot);
    }

    /// Whether a new slot fits, after slots of count 0 that are not the highest epoch of that name were forgotten (P8).
    fn has_room(&mut self, slot: &Slot, own: &Slot, limits: StoreLimits) -> bool {
        let full = |state: &Self| {
            state.counts.epochs(&slot.producer).count() >= limits.epochs || state.changed.len() >= limits.slots
        };
        if !full(self) {
            return true;
        }
        let older: Vec<Slot> = self
            .counts
            .epochs(&slot.producer)
            .rev()
            .skip(1)
            .filter(|(_, count)| *count == 0)
            .map(|(epoch, _)| Slot { producer: slot.producer.clone(), epoch })
            .filter(|empty| empty != own)
            .collect();
        older.iter().for_each(|empty| self.remove(empty));
        !full(self)
    }
}

impl MemoryStore {
    /// An empty store of this node. Its epoch is the node's incarnation now.
    ///
    /// One store for each incarnation: a second one would begin the same slot again, and count new pings under old numbers
    /// (P4). A node that has lost its store must start anew.
    pub fn new(node: &Node) -> Self {
        Self::with_limits(node, StoreLimits::default())
    }

    /// An empty store with other bounds than the default ones.
    pub fn with_limits(node: &Node, limits: StoreLimits) -> Self {
        let slot = Slot { producer: node.name.clone(), epoch: node.incarnation };
        let mut state = State::default();
        state.raise(&slot, 0);
        Self { slot, limits, revisions: watch::Sender::new(state.revision), state: Mutex::new(state) }
    }

    // Nothing panics while it is held, and each change is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot in which this node's pings count.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// All that is known.
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// All slots of one producer.
    pub fn counts_of(&self, producer: &NodeName) -> Counts {
        self.lock().counts.of(producer)
    }

    /// What was heard and not taken over, since the store was created.
    pub fn ignored(&self) -> Ignored {
        self.lock().ignored
    }

    /// Numbers this many pings in the own slot.
    ///
    /// # Errors
    /// [`PingRefused::CountExhausted`]; nothing was counted.
    pub(super) fn ping(&self, pings: u64) -> Result<Pinged, PingRefused> {
        let mut state = self.lock();
        let count = state.counts.get(&self.slot).unwrap_or(0);
        let Some(after) = count.checked_add(pings) else {
            return Err(PingRefused::CountExhausted { count, wanted: pings });
        };
        state.raise(&self.slot, after);
        self.revisions.send_replace(state.revision);
        Ok(Pinged { slot: self.slot.clone(), count: after })
    }

    /// Takes over what is greater and may be said by its source.
    pub(super) fn merge(&self, source: Source<'_>, counts: &Counts) -> Merged {
        let mut state = self.lock();
        let before = state.revision;
        for (slot, count) in counts.iter() {
            if let Source::Producer(node) = source {
                if slot.producer != node.name {
                    state.ignored.foreign_slot += 1;
                    continue;
                }
                if slot.epoch > node.incarnation {
                    state.ignored.future_epoch += 1;
                    continue;
                }
            }
            match state.counts.get(&slot) {
                Some(known) if slot == self.slot => state.ignored.own_slot += u64::from(count > known),
                Some(known) if count < known => state.ignored.stale += 1,
                Some(_) => state.raise(&slot, count),
                None if state.has_room(&slot, &self.slot, self.limits) => state.raise(&slot, count),
                None => state.ignored.too_many_slots += 1,
            }
        }
        if state.revision > before {
            self.revisions.send_replace(state.revision);
        }
        Merged { before, after: state.revision }
    }

    /// Counts a direct count that went back.
    pub(super) fn count_backwards(&self) {
        self.lock().ignored.backwards += 1;
    }

    /// All slots that changed after that revision, and the revision now. Everything changed after 0.
    pub(super) fn changed_since(&self, revision: u64) -> (Counts, u64) {
        let state = self.lock();
        if revision == 0 {
            return (state.counts.clone(), state.revision);
        }
        let changed = state.changed.iter().filter(|(_, changed)| **changed > revision);
        let counts = changed.filter_map(|(slot, _)| Some((slot.clone(), state.counts.get(slot)?))).collect();
        (counts, state.revision)
    }

    pub(super) fn knows(&self, slot: &Slot) -> bool {
        self.lock().counts.get(slot).is_some()
    }

    /// A number that rises with each change of the counts: whoever watches it needs not ask again and again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }

    pub(super) fn revision(&self) -> u64 {
        self.lock().revision
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").field("slot", &self.slot).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Incarnation;

    fn node(name: &str, millis: u64) -> Node {
        Node { name: NodeName::new(name).unwrap(), incarnation: Incarnation::new(millis, 0) }
    }

    fn one(name: &str, epoch: u64, count: u64) -> Counts {
        let node = node(name, epoch);
        Counts::from_iter([(Slot { producer: node.name, epoch: node.incarnation }, count)])
    }

    #[test]
    fn pings_are_numbered_from_1_and_never_wrap() {
        let store = MemoryStore::new(&node("a", 5));
        assert_eq!(store.counts().get(store.slot()), Some(0), "the epoch has begun");
        assert_eq!(store.ping(1).unwrap().count, 1);
        assert_eq!(store.ping(u64::MAX - 2).unwrap().count, u64::MAX - 1);
        assert_eq!(store.ping(1).unwrap().count, u64::MAX);
        let refused = PingRefused::CountExhausted { count: u64::MAX, wanted: 1 };
        assert_eq!(store.ping(1), Err(refused));
        assert_eq!(store.counts().total(), u128::from(u64::MAX));
    }

    /// The rows of the abuse table that need no voting members.
    #[test]
    fn what_may_not_be_said_changes_nothing_and_is_counted() {
        let store = MemoryStore::new(&node("a", 5));
        let b = node("b", 3);
        store.merge(Source::Producer(&b), &one("b", 3, 7));
        let before = store.counts();
        type Row<'a> = (Source<'a>, Counts, fn(&Ignored) -> u64);
        let rows: [Row<'_>; 5] = [
            (Source::Consumer, one("b", 3, 6), |i| i.stale),
            (Source::Producer(&b), one("c", 1, 1), |i| i.foreign_slot),
            (Source::Producer(&b), one("b", 4, 1), |i| i.future_epoch),
            (Source::Consumer, one("a", 5, 1), |i| i.own_slot),
            (Source::Producer(&node("a", 5)), one("a", 5, 1), |i| i.own_slot),
        ];
        for (source, counts, metric) in rows {
            let was = metric(&store.ignored());
            let merged = store.merge(source, &counts);
            assert_eq!((merged.before, store.counts()), (merged.after, before.clone()), "{source:?} {counts:?}");
            assert_eq!(metric(&store.ignored()), was + 1, "{source:?} {counts:?}");
        }
        assert_eq!(store.ping(1).unwrap().count, 1, "the node still answers");
    }

    #[test]
    fn a_consumer_may_relay_the_slots_of_others_and_older_ones_of_this_node() {
        let store = MemoryStore::new(&node("a", 5));
        store.merge(Source::Consumer, &one("c", 9, 4));
        store.merge(Source::Consumer, &one("a", 2, 6));
        store.ping(1).unwrap();
        assert_eq!(store.counts().value(&node("c", 0).name), 4);
        assert_eq!(store.counts().value(&node("a", 0).name), 7, "old and new epoch add up");
    }

    #[test]
    fn slots_are_bounded_and_empty_ones_make_room_first() {
        let store = MemoryStore::with_limits(&node("a", 5), StoreLimits { epochs: 3, slots: 5 });
        for (epoch, count) in [(1, 4), (2, 0), (3, 0)] {
            store.merge(Source::Consumer, &one("b", epoch, count));
        }
        store.merge(Source::Consumer, &one("b", 4, 1));
        let b = node("b", 0).name;
        assert_eq!(store.counts().epochs(&b).map(|(e, _)| e.millis()).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(store.ignored().too_many_slots, 0);
        store.merge(Source::Consumer, &one("b", 5, 1));
        store.merge(Source::Consumer, &one("b", 6, 1));
        assert_eq!(store.counts().epochs(&b).map(|(e, _)| e.millis()).collect::<Vec<_>>(), [1, 4, 5]);
        assert_eq!(store.ignored().too_many_slots, 1);
        store.merge(Source::Consumer, &one("c", 1, 1));
        store.merge(Source::Consumer, &one("d", 1, 1));
        assert_eq!((store.counts().len(), store.ignored().too_many_slots), (5, 2));
    }

    #[test]
    fn only_what_changed_since_is_told() {
        let store = MemoryStore::new(&node("a", 5));
        store.merge(Source::Consumer, &one("b", 1, 1));
        let (all, revision) = store.changed_since(0);
        assert_eq!((all, revision), (store.counts(), store.revision()));
        store.merge(Source::Consumer, &one("c", 1, 1));
        assert_eq!(store.changed_since(revision).0, one("c", 1, 1));
        assert!(store.changed_since(store.revision()).0.is_empty());
    }
}
