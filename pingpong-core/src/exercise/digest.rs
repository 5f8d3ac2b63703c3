//! What tells two maps of counts apart in a few bytes: sums of hashes, over all slots and over ever smaller parts of them.
//!
//! Slots fall into 4,096 buckets by a hash of their names, so that two nodes cut their slots alike. Each bucket has a sum over its
//! slots with their counts, sixteen of them make up one above, and so on up to the root. Equal roots mean equal counts, but for a chance of
//! one in 2^128. Where roots differ, a walk down finds the buckets that differ: it costs what differs, not what there is.
//!
//! A sum is kept up with each change, and never computed anew; so is what is in each bucket, so that an answer costs what is asked for.

use super::counts::{Counts, Slot};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::collections::BTreeSet;
use std::fmt;
use std::hash::Hasher;
use std::ops::Range;

/// Parts into which each part is cut.
const FAN: usize = 16;
/// Cuts from all slots down to a bucket.
const DEPTH: u8 = 3;

/// The sum over some slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sum {
    /// Of the hashes of the slots with their counts.
    hash: u128,
    /// How many slots there are.
    pub slots: u32,
}

/// The sums over 256 parts of some counts: in one question, what another node needs to answer with what differs, and no more.
///
/// Empty, or with fewer sums: nothing is known in the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums(Vec<Sum>);

impl<'de> Deserialize<'de> for Sums {
    /// No more than there are parts, whatever a peer says: a sum of nothing is two bytes on the wire, and many more in memory.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Sums;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "up to {PARTS} sums")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sums: A) -> Result<Sums, A::Error> {
                let mut bounded = Vec::new();
                while let Some(sum) = sums.next_element()? {
                    if bounded.len() == PARTS {
                        return Err(A::Error::invalid_length(PARTS + 1, &self));
                    }
                    bounded.push(sum);
                }
                Ok(Sums(bounded))
            }
        }
        deserializer.deserialize_seq(Bounded)
    }
}

/// Cuts from all slots down to the parts of [`Sums`].
const TOLD: u8 = 2;
/// How many parts those are.
const PARTS: usize = FAN.pow(TOLD as u32);

impl Sums {
    /// Of counts that have no digest. It looks at all of them.
    pub(super) fn of(counts: &Counts) -> Self {
        let mut sums = vec![Sum::default(); PARTS];
        for (slot, count) in counts.iter() {
            if let Some(sum) = sums.get_mut(usize::from(Part::told(slot).index)) {
                sum.hash = sum.hash.wrapping_add(hash(slot, Some(count)));
                sum.slots += 1;
            }
        }
        Self(sums)
    }

    /// The parts, from that one on, whose sums are others than those, with how many slots are in each.
    fn beyond<'a>(mine: &'a [Sum], theirs: &'a Self, from: u16) -> impl Iterator<Item = (Part, u32)> + 'a {
        let theirs = theirs.0.iter().copied().chain(std::iter::repeat(Sum::default()));
        let mine = (0_u16..).zip(mine).zip(theirs).skip(usize::from(from));
        mine.filter(|((_, mine), theirs)| **mine != *theirs)
            .map(|((index, mine), _)| (Part { depth: TOLD, index }, mine.slots))
    }

    /// The counts in these of the parts. It looks at all of them.
    pub(super) fn counts_in(counts: &Counts, parts: &[Part]) -> Counts {
        let parts: BTreeSet<Part> = parts.iter().copied().collect();
        let inside = counts.iter().filter(|(slot, _)| parts.contains(&Part::told(slot)));
        inside.map(|(slot, count)| (slot.clone(), count)).collect()
    }

    /// The parts whose sums are others than those.
    pub(super) fn parts_beyond(&self, theirs: &Self) -> Vec<Part> {
        Self::beyond(&self.0, theirs, 0).map(|(part, _)| part).collect()
    }
}

/// A part of all slots: those whose hashes begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Part {
    /// Cuts from all slots down to it: 0 to 3.
    depth: u8,
    /// Which of that depth.
    index: u16,
}

impl Part {
    /// All slots.
    pub(super) const ALL: Self = Self { depth: 0, index: 0 };

    /// The parts into which it is cut; `None` for a bucket.
    pub(super) fn cut(self) -> Option<impl Iterator<Item = Self>> {
        (self.depth < DEPTH).then(|| {
            let first = self.index.saturating_mul(FAN as u16);
            (0..FAN as u16).map(move |next| Self { depth: self.depth + 1, index: first.saturating_add(next) })
        })
    }

    /// Whether there is such a part: a peer may say anything.
    pub(super) fn exists(self) -> bool {
        self.depth <= DEPTH && usize::from(self.index) < FAN.pow(u32::from(self.depth))
    }

    /// The buckets that it is made of.
    fn buckets(self) -> Range<usize> {
        let each = FAN.pow(u32::from(DEPTH.saturating_sub(self.depth)));
        let first = usize::from(self.index) * each;
        if self.exists() { first..first + each } else { 0..0 }
    }

    /// Whether a slot is in it.
    #[cfg(test)]
    pub(super) fn has(self, slot: &Slot) -> bool {
        self.buckets().contains(&bucket(slot))
    }

    /// The part of [`Sums`] that a slot is in.
    pub(super) fn told(slot: &Slot) -> Self {
        Self { depth: TOLD, index: (bucket(slot) / FAN.pow(u32::from(DEPTH - TOLD))) as u16 }
    }

    /// Whether it is one of those of [`Sums`].
    pub(super) fn is_told(self) -> bool {
        self.depth == TOLD && self.exists()
    }

    /// Which of its depth it is.
    pub(super) fn index(self) -> u16 {
        self.index
    }

    /// Whether there is a part of [`Sums`] with that index.
    pub(super) fn is_index(index: u16) -> bool {
        usize::from(index) < PARTS
    }
}

/// The sums over some counts.
#[derive(Clone, Debug)]
pub(super) struct Digest {
    /// Of each depth, the sums of its parts.
    sums: [Vec<Sum>; DEPTH as usize + 1],
    /// The slots of each bucket: a set, as peers can make up slots that are all in one.
    slots: Vec<BTreeSet<Slot>>,
}

impl Digest {
    /// Of no counts.
    pub(super) fn new() -> Self {
        let sums = std::array::from_fn(|depth| vec![Sum::default(); FAN.pow(depth as u32)]);
        Self { sums, slots: vec![BTreeSet::new(); FAN.pow(u32::from(DEPTH))] }
    }

    /// The sums that another node is told.
    pub(super) fn sums(&self) -> Sums {
        Sums(if self.root().slots == 0 { Vec::new() } else { self.sums[usize::from(TOLD)].clone() })
    }

    /// The parts, from that one on, whose sums are others than those, with how many slots are in each.
    pub(super) fn beyond<'a>(&'a self, sums: &'a Sums, from: u16) -> impl Iterator<Item = (Part, u32)> + 'a {
        Sums::beyond(&self.sums[usize::from(TOLD)], sums, from)
    }

    /// The sum over everything.
    pub(super) fn root(&self) -> Sum {
        self.sum(Part::ALL)
    }

    /// The sum over a part; nothing, if there is no such part.
    pub(super) fn sum(&self, part: Part) -> Sum {
        let sums = self.sums.get(usize::from(part.depth));
        sums.and_then(|sums| sums.get(usize::from(part.index))).copied().unwrap_or_default()
    }

    /// The slots in a part; none, if there is no such part.
    pub(super) fn slots(&self, part: Part) -> impl Iterator<Item = &Slot> {
        self.slots.get(part.buckets()).into_iter().flatten().flatten()
    }

    /// A slot's count has changed; `None` where the slot is not.
    pub(super) fn change(&mut self, slot: &Slot, before: Option<u64>, after: Option<u64>) {
        let hash = |count: Option<u64>| count.map_or(0, |count| hash(slot, Some(count)));
        let (minus, plus) = (hash(before), hash(after));
        let mut index = bucket(slot);
        if let Some(slots) = self.slots.get_mut(index) {
            match after {
                Some(_) if before.is_none() => drop(slots.insert(slot.clone())),
                Some(_) => {}
                None => drop(slots.remove(slot)),
            }
        }
        for sums in self.sums.iter_mut().rev() {
            if let Some(sum) = sums.get_mut(index) {
                sum.hash = sum.hash.wrapping_sub(minus).wrapping_add(plus);
                sum.slots = sum.slots + u32::from(after.is_some()) - u32::from(before.is_some());
            }
            index /= FAN;
        }
    }
}

/// The bucket of a slot, whatever its count.
fn bucket(slot: &Slot) -> usize {
    (hash(slot, None) % FAN.pow(u32::from(DEPTH)) as u128) as usize
}

/// The same on every node, whatever built it: SipHash-1-3 with a zero key, over fields of known length.
fn hash(slot: &Slot, count: Option<u64>) -> u128 {
    let mut hasher = SipHasher13::new();
    let name = slot.producer.as_str().as_bytes();
    hasher.write(&(name.len() as u64).to_le_bytes());
    hasher.write(name);
    hasher.write(&slot.epoch.to_bytes());
    if let Some(count) = count {
        hasher.write(&count.to_le_bytes());
    }
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeName};
    use proptest::prelude::*;

    fn slot(name: &str, epoch: u64) -> Slot {
        Slot { producer: NodeName::new(name).unwrap(), epoch: Incarnation::new(epoch, 1) }
    }

    fn of(counts: &[(Slot, u64)]) -> Digest {
        let mut digest = Digest::new();
        counts.iter().for_each(|(slot, count)| digest.change(slot, None, Some(*count)));
        digest
    }

    proptest! {
        #[test]
        fn the_way_to_the_counts_does_not_matter(
            changes in prop::collection::vec(("[a-d]", 0..3_u64, prop::option::of(0..5_u64)), 0..40)
        ) {
            let (mut digest, mut counts) = (Digest::new(), std::collections::BTreeMap::new());
            for (name, epoch, count) in changes {
                let slot = slot(&name, epoch);
                let before = match count {
                    Some(count) => counts.insert(slot.clone(), count),
                    None => counts.remove(&slot),
                };
                digest.change(&slot, before, count);
            }
            let straight = of(&counts.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(&digest.sums, &straight.sums);
            for part in std::iter::once(Part::ALL).chain(Part::ALL.cut().unwrap()) {
                let slots: BTreeSet<_> = digest.slots(part).collect();
                prop_assert_eq!(digest.sum(part).slots as usize, digest.slots(part).count());
                prop_assert_eq!(slots, counts.keys().filter(|slot| part.has(slot)).collect());
            }
        }
    }

    #[test]
    fn one_count_more_is_seen_from_the_root_to_the_bucket_and_nowhere_else() {
        let many: Vec<(Slot, u64)> = (0..5_000).map(|epoch| (slot("a", epoch), epoch)).collect();
        let (one, mut other) = (of(&many), of(&many));
        let changed = slot("a", 77);
        other.change(&changed, Some(77), Some(78));
        let mut part = Part::ALL;
        while let Some(parts) = part.cut() {
            let differ: Vec<Part> = parts.filter(|part| one.sum(*part) != other.sum(*part)).collect();
            assert_eq!(differ.len(), 1, "below {part:?}");
            part = differ[0];
            assert!(part.exists() && part.has(&changed));
        }
        assert_eq!(one.root().slots, 5_000);
        assert_eq!(other.sum(part).slots as usize, many.iter().filter(|(slot, _)| part.has(slot)).count());
    }

    #[test]
    fn parts_that_do_not_exist_are_told_apart() {
        for (depth, index, exists) in [(0, 0, true), (0, 1, false), (3, 4_095, true), (3, 4_096, false), (4, 0, false)]
        {
            let part = Part { depth, index };
            assert_eq!(part.exists(), exists);
            let digest = of(&[(slot("a", 1), 1)]);
            assert!(exists || digest.sum(part) == Sum::default() && digest.slots(part).next().is_none());
        }
    }

    #[test]
    fn of_more_sums_than_there_are_parts_nothing_is_read() {
        let sums = |count: usize| postcard::to_stdvec(&vec![Sum::default(); count]).unwrap();
        let read = |bytes: Vec<u8>| postcard::from_bytes::<Sums>(&bytes);
        assert_eq!(read(sums(PARTS)), Ok(Sums(vec![Sum::default(); PARTS])));
        assert!(read(sums(PARTS + 1)).is_err());
        let told = of(&[(slot("a", 1), 1)]).sums();
        assert_eq!(read(postcard::to_stdvec(&told).unwrap()), Ok(told));
    }

    /// Nodes of different builds must agree on it.
    #[test]
    fn sums_stay_what_they_are() {
        let root = of(&[(slot("a", 1), 1), (slot("b", 2), 0)]).root();
        assert_eq!(format!("{:032x} {}", root.hash, root.slots), "b19087319fd46dcecae59240d7d0baf0 2");
    }
}
