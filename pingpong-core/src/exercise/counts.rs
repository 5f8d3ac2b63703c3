//! Counts: who pinged how often, as a value that can be merged in any order, any number of times (P1).

use crate::message::Message;
use crate::name::NodeName;
use crate::node::Incarnation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// One row of counts: a producer, and the epoch of the store that it counts in.
///
/// A lost store begins a new epoch, and never goes on in an old one: an old ping n + 1 that is still on its way, and the new
/// ping n + 1, would be one (P4).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The name of the producer's node.
    pub producer: NodeName,
    /// The node's incarnation at which its store was created.
    pub epoch: Incarnation,
}

impl Slot {
    /// From the least slot that a producer may have to the greatest.
    pub(super) fn all_of(producer: &NodeName) -> RangeInclusive<Self> {
        let at = |epoch| Self { producer: producer.clone(), epoch };
        at(Incarnation::new(0, 0))..=at(Incarnation::new(u64::MAX, u64::MAX))
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.producer, self.epoch)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// For each slot the number of its last ping.
///
/// [`merge`](Self::merge) takes the greater count of each slot. It is commutative, associative, idempotent and monotone, so
/// that neither the order of messages, nor repeats, nor gaps ever make a count wrong (P1). A slot with count 0 is kept: it
/// says that this name has begun this epoch.
///
/// ```
/// use pingpong_core::exercise::{Counts, Slot};
/// use pingpong_core::{Incarnation, NodeName};
///
/// let slot = |epoch| Slot { producer: NodeName::new("a").unwrap(), epoch: Incarnation::new(epoch, 0) };
/// let mut mine = Counts::from_iter([(slot(1), 7)]);
/// let theirs = Counts::from_iter([(slot(1), 5), (slot(2), 3)]);
/// mine.merge(&theirs);
/// assert_eq!(mine.value(&slot(1).producer), 10, "epochs add up");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(BTreeMap<Slot, u64>);

impl Counts {
    /// No slots.
    pub fn new() -> Self {
        Self::default()
    }

    /// The count of a slot; `None` if the slot is not known.
    pub fn get(&self, slot: &Slot) -> Option<u64> {
        self.0.get(slot).copied()
    }

    /// Raises a slot to `count`, unless it is there already. Returns whether anything changed; a new slot is a change.
    pub fn raise(&mut self, slot: &Slot, count: u64) -> bool {
        // The slot is cloned for a new one only.
        if let Some(known) = self.0.get_mut(slot) {
            let raised = *known < count;
            *known = count.max(*known);
            return raised;
        }
        self.0.insert(slot.clone(), count);
        true
    }

    /// Takes the greater count of each slot. Returns whether anything changed.
    pub fn merge(&mut self, other: &Self) -> bool {
        other.iter().fold(false, |changed, (slot, count)| self.raise(slot, count) || changed)
    }

    /// Whether every slot of `other` is here, with at least its count.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|(slot, count)| self.get(slot).is_some_and(|known| known >= count))
    }

    /// What `self` has, and `other` has not, or less of.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        let missing = |(slot, count): &(&Slot, u64)| other.get(slot).is_none_or(|known| known < *count);
        self.iter().filter(missing).map(|(slot, count)| (slot.clone(), count)).collect()
    }

    pub(super) fn remove(&mut self, slot: &Slot) -> Option<u64> {
        self.0.remove(slot)
    }

    /// All slots with their counts, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&Slot, u64)> + '_ {
        self.0.iter().map(|(slot, count)| (slot, *count))
    }

    /// The epochs of one producer with their counts, oldest first.
    pub fn epochs(&self, producer: &NodeName) -> impl DoubleEndedIterator<Item = (Incarnation, u64)> + '_ {
        self.0.range(Slot::all_of(producer)).map(|(slot, count)| (slot.epoch, *count))
    }

    /// What is known of one producer alone.
    #[must_use]
    pub fn of(&self, producer: &NodeName) -> Self {
        self.epochs(producer).map(|(epoch, count)| (Slot { producer: producer.clone(), epoch }, count)).collect()
    }

    /// The pings of one producer: the sum over its epochs. A producer that is not known has none.
    pub fn value(&self, producer: &NodeName) -> u128 {
        self.epochs(producer).map(|(_, count)| u128::from(count)).sum()
    }

    /// The pings of each producer.
    pub fn values(&self) -> BTreeMap<NodeName, u128> {
        let mut values: Vec<(NodeName, u128)> = Vec::new();
        for (slot, count) in self.iter() {
            match values.last_mut().filter(|(producer, _)| *producer == slot.producer) {
                Some((_, value)) => *value += u128::from(count),
                None => values.push((slot.producer.clone(), u128::from(count))),
            }
        }
        // They are sorted: so the map is made in one go, and is as small as it can be.
        BTreeMap::from_iter(values)
    }

    /// The pings of all producers. It does not wrap: that would need 2^64 slots.
    pub fn total(&self) -> u128 {
        self.0.values().map(|count| u128::from(*count)).sum()
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Slot, u64)> for Counts {
    fn from_iter<I: IntoIterator<Item = (Slot, u64)>>(slots: I) -> Self {
        let mut slots: Vec<(Slot, u64)> = slots.into_iter().collect();
        // Of a slot that comes twice the map takes the last count, which is the greatest then. A map of what is sorted is made in one go.
        slots.sort_unstable();
        Self(BTreeMap::from_iter(slots))
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Message for Counts {
    const ID: u16 = 1;
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slot(producer: &str, epoch: u64) -> Slot {
        Slot { producer: NodeName::new(producer).unwrap(), epoch: Incarnation::new(epoch, 0) }
    }

    fn counts() -> impl Strategy<Value = Counts> {
        let slot = ("[a-c]", 0..3_u64).prop_map(|(name, epoch)| slot(&name, epoch));
        let count = prop_oneof![0..4_u64, Just(u64::MAX), any::<u64>()];
        prop::collection::vec((slot, count), 0..8).prop_map(Counts::from_iter)
    }

    fn merged(a: &Counts, b: &Counts) -> Counts {
        let mut merged = a.clone();
        merged.merge(b);
        merged
    }

    proptest! {
        #[test]
        fn merge_is_commutative(a in counts(), b in counts()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        }

        #[test]
        fn merge_is_associative(a in counts(), b in counts(), c in counts()) {
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        }

        #[test]
        fn merge_is_idempotent_and_says_whether_it_changed_anything(a in counts(), b in counts()) {
            let mut once = a.clone();
            let changed = once.merge(&b);
            prop_assert_eq!(changed, once != a);
            let mut twice = once.clone();
            prop_assert!(!twice.merge(&b) && !twice.merge(&a));
            prop_assert_eq!(twice, once);
        }

        #[test]
        fn merge_is_monotone_and_loses_no_slot(a in counts(), b in counts()) {
            let after = merged(&a, &b);
            for (slot, count) in a.iter().chain(b.iter()) {
                prop_assert!(after.get(slot) >= Some(count));
            }
            prop_assert!(after.total() >= a.total() && after.total() >= b.total());
            for (producer, value) in a.values() {
                prop_assert!(after.value(&producer) >= value);
            }
        }

        #[test]
        fn counts_are_read_as_they_were_written(a in counts()) {
            prop_assert_eq!(Counts::decode(Counts::KIND, &a.encode().unwrap()), Ok(a));
        }

        #[test]
        fn bytes_of_strangers_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Counts::decode(Counts::KIND, &bytes);
        }
    }

    #[test]
    fn the_greatest_counts_add_up_without_wrapping() {
        let counts = Counts::from_iter([(slot("a", 1), u64::MAX), (slot("a", 2), u64::MAX), (slot("b", 1), 1)]);
        assert_eq!(counts.value(&slot("a", 1).producer), 2 * u128::from(u64::MAX));
        assert_eq!(counts.total(), 2 * u128::from(u64::MAX) + 1);
    }

    #[test]
    fn of_a_slot_that_comes_twice_the_greatest_count_is_taken_in_any_order() {
        let counts = |counts: [u64; 3]| Counts::from_iter(counts.map(|count| (slot("a", 1), count)));
        assert_eq!([counts([3, 9, 5]), counts([9, 5, 3]), counts([3, 5, 9])], [0, 1, 2].map(|_| counts([9, 9, 9])));
        assert_eq!(counts([3, 9, 5]).get(&slot("a", 1)), Some(9));
    }

    #[test]
    fn a_slot_of_count_0_is_kept() {
        let mut counts = Counts::new();
        assert!(counts.raise(&slot("a", 1), 0), "the slot is news");
        assert!(!counts.raise(&slot("a", 1), 0));
        assert_eq!((counts.get(&slot("a", 1)), counts.len()), (Some(0), 1));
    }
}
