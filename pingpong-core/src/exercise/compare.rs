//! Finding out what differs between this node's counts and a peer's, at a cost of what differs (section 4).
//!
//! Sums are compared from the root down, and only parts that differ are cut further or fetched. Pure: the consumer asks, and hands the
//! answers in. Every part is asked for once, so that it ends, whatever the peer says.

use super::digest::{Part, Sum};
use super::messages::AskConsumer;
use std::collections::BTreeSet;
use std::mem;

/// Parts whose sums are asked for at once: some 100 KiB of answer at most.
const CUTS: usize = 256;
/// Slots that are fetched at once, unless one part has more.
pub(super) const FETCH: u32 = 2_048;

/// A comparison with one peer, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compare {
    /// A part with so few slots is fetched rather than cut further.
    few: u32,
    /// Parts that differ, and are to be cut.
    cut: Vec<Part>,
    /// Parts that differ, and are to be fetched, with the peer's slots in them.
    fetch: Vec<(Part, u32)>,
}

impl Compare {
    pub(super) fn new(few: u32) -> Self {
        Self { few, cut: vec![Part::ALL], fetch: Vec::new() }
    }

    /// What to ask next; `None` when nothing is left.
    pub(super) fn next(&mut self) -> Option<AskConsumer> {
        if !self.cut.is_empty() {
            let rest = self.cut.split_off(self.cut.len().min(CUTS));
            return Some(AskConsumer::Sums(mem::replace(&mut self.cut, rest)));
        }
        let mut slots = 0_u32;
        let mut parts = Vec::new();
        while let Some((part, more)) = self.fetch.pop() {
            slots = slots.saturating_add(more);
            parts.push(part);
            if slots >= FETCH {
                break;
            }
        }
        (!parts.is_empty()).then_some(AskConsumer::Parts(parts))
    }

    /// The peer has said the sums of the parts of those that it was asked for; `mine` says this node's.
    pub(super) fn compare(&mut self, asked: &[Part], said: Vec<(Part, Sum)>, mine: impl Fn(Part) -> Sum) {
        let mut parts: BTreeSet<Part> = asked.iter().filter_map(|part| part.cut()).flatten().collect();
        for (part, sum) in said {
            if !parts.remove(&part) || sum.slots == 0 || sum == mine(part) {
                continue;
            }
            if sum.slots <= self.few || part.cut().is_none() {
                self.fetch.push((part, sum.slots));
            } else {
                self.cut.push(part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise::counts::Slot;
    use crate::exercise::digest::Digest;
    use crate::{Incarnation, NodeName};
    use std::collections::BTreeMap;

    fn slot(number: u64) -> Slot {
        Slot { producer: NodeName::new(&format!("n{}x", number % 100)).unwrap(), epoch: Incarnation::new(number, 7) }
    }

    fn digest(counts: &BTreeMap<Slot, u64>) -> Digest {
        let mut digest = Digest::new();
        counts.iter().for_each(|(slot, count)| digest.change(slot, None, Some(*count)));
        digest
    }

    /// Returns what was learned, the questions, and the sums and slots that travelled.
    fn walk(mine: &BTreeMap<Slot, u64>, theirs: &BTreeMap<Slot, u64>) -> (BTreeMap<Slot, u64>, usize, usize, usize) {
        let (my, their) = (digest(mine), digest(theirs));
        let (mut compare, mut learned) = (Compare::new(32), mine.clone());
        let (mut questions, mut sums, mut slots) = (0, 0, 0);
        while let Some(question) = compare.next() {
            questions += 1;
            match question {
                AskConsumer::Sums(parts) => {
                    let said: Vec<(Part, Sum)> = parts
                        .iter()
                        .filter_map(|part| part.cut())
                        .flatten()
                        .map(|part| (part, their.sum(part)))
                        .collect();
                    sums += said.len();
                    compare.compare(&parts, said, |part| my.sum(part));
                }
                AskConsumer::Parts(parts) => {
                    for (slot, count) in theirs.iter().filter(|(slot, _)| parts.iter().any(|part| part.has(slot))) {
                        slots += 1;
                        learned.insert(slot.clone(), (*count).max(learned.get(slot).copied().unwrap_or(0)));
                    }
                }
                AskConsumer::Counts | AskConsumer::Beyond(_) | AskConsumer::Of(_) => unreachable!(),
            }
        }
        (learned, questions, sums, slots)
    }

    #[test]
    fn it_costs_what_differs() {
        let mine: BTreeMap<Slot, u64> = (0..20_000).map(|number| (slot(number), number)).collect();
        let mut theirs = mine.clone();
        for number in (0..20_000).step_by(2_000) {
            theirs.insert(slot(number), number + 1);
        }
        let (learned, questions, sums, slots) = walk(&mine, &theirs);
        assert_eq!(learned, theirs);
        assert!(questions <= 5 && sums <= 16 * 21 && slots <= 10 * 32, "{questions} {sums} {slots}");
        assert_eq!(walk(&mine, &mine), (mine.clone(), 1, 16, 0));
    }

    #[test]
    fn an_empty_one_learns_everything_and_what_the_other_has_not_is_kept() {
        let theirs: BTreeMap<Slot, u64> = (0..5_000).map(|number| (slot(number), number)).collect();
        let (learned, ..) = walk(&BTreeMap::new(), &theirs);
        assert_eq!(learned, theirs);
        let mine: BTreeMap<Slot, u64> = (4_000..6_000).map(|number| (slot(number), number)).collect();
        let (learned, ..) = walk(&mine, &theirs);
        assert_eq!(learned.len(), 6_000);
        assert_eq!(walk(&theirs, &BTreeMap::new()).0, theirs);
    }

    #[test]
    fn what_was_not_asked_for_is_passed_over() {
        let mut compare = Compare::new(32);
        let sum = digest(&BTreeMap::from([(slot(1), 1)])).root();
        compare.next();
        compare.compare(&[], vec![(Part::ALL, sum)], |_| Sum::default());
        assert_eq!(compare.next(), None);
        let mut compare = Compare::new(32);
        let Some(AskConsumer::Sums(asked)) = compare.next() else { panic!("it begins at the root") };
        let child = Part::ALL.cut().unwrap().next().unwrap();
        compare.compare(&asked, vec![(child, sum), (child, sum), (Part::ALL, sum)], |_| Sum::default());
        assert_eq!(compare.next(), Some(AskConsumer::Parts(vec![child])), "once");
        assert_eq!(compare.next(), None);
    }
}
