//! Whether numbers came as they were sent: 1, 2, 3 and so on, each once.
//!
//! What was lost is known only to whoever knows how many were sent: it is what is missing in [`Tally::counted`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Gaps that are remembered, so that a number that comes late is told from one that comes twice. What comes late into a gap
/// beyond them counts as a duplicate, and as lost.
const GAPS: usize = 1_024;

/// What came of one producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Different numbers.
    pub(crate) counted: u64,
    /// Numbers that came after a greater one.
    pub(crate) out_of_order: u64,
    /// Numbers that had come before.
    pub(crate) duplicates: u64,
}

/// The numbers of one producer.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    /// The greatest number so far.
    last: u64,
    tally: Tally,
    /// Numbers below `last` that have not come: the first of each gap, and its last.
    gaps: BTreeMap<u64, u64>,
}

impl Sequence {
    pub(crate) fn accept(&mut self, number: u64) {
        if number == self.last + 1 {
            self.last = number;
            self.tally.counted += 1;
        } else if number > self.last {
            if self.gaps.len() < GAPS {
                self.gaps.insert(self.last + 1, number - 1);
            }
            self.last = number;
            self.tally.counted += 1;
        } else if self.fill(number) {
            self.tally.counted += 1;
            self.tally.out_of_order += 1;
        } else {
            self.tally.duplicates += 1;
        }
    }

    /// Whether the number was missing.
    fn fill(&mut self, number: u64) -> bool {
        let Some((&first, &last)) = self.gaps.range(..=number).next_back() else { return false };
        if number > last {
            return false;
        }
        self.gaps.remove(&first);
        if first < number {
            self.gaps.insert(first, number - 1);
        }
        if number < last {
            self.gaps.insert(number + 1, last);
        }
        true
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(numbers: impl IntoIterator<Item = u64>) -> (u64, u64, u64) {
        let mut sequence = Sequence::default();
        numbers.into_iter().for_each(|number| sequence.accept(number));
        let Tally { counted, out_of_order, duplicates } = sequence.tally();
        (counted, out_of_order, duplicates)
    }

    #[test]
    fn what_comes_in_order_is_counted_and_nothing_else() {
        assert_eq!(tally(1..=1_000), (1_000, 0, 0));
        assert_eq!(tally([]), (0, 0, 0));
    }

    #[test]
    fn a_gap_at_the_beginning_the_middle_or_the_end_is_missing_in_the_count() {
        assert_eq!(tally(2..=10), (9, 0, 0));
        assert_eq!(tally((1..=4).chain(6..=10)), (9, 0, 0));
        assert_eq!(tally(1..=9), (9, 0, 0));
    }

    #[test]
    fn what_comes_late_is_not_lost_but_out_of_order() {
        assert_eq!(tally([1, 3, 2, 4]), (4, 1, 0));
        assert_eq!(tally([4, 3, 2, 1]), (4, 3, 0));
        assert_eq!(tally([1, 9, 5, 4, 6]), (5, 3, 0), "it splits the gap, and joins what is left of it");
    }

    #[test]
    fn what_comes_twice_is_a_duplicate_whether_it_was_late_or_not() {
        assert_eq!(tally([1, 2, 2, 3, 1]), (3, 0, 2));
        assert_eq!(tally([1, 3, 2, 2, 3]), (3, 1, 2));
        assert_eq!(tally([1, 0]), (1, 0, 1), "nobody sends a zero");
    }

    #[test]
    fn gaps_without_end_need_no_memory_without_end() {
        let mut sequence = Sequence::default();
        (1..=10 * GAPS as u64).for_each(|number| sequence.accept(2 * number));
        assert_eq!((sequence.gaps.len(), sequence.tally.counted), (GAPS, 10 * GAPS as u64));
        sequence.accept(1);
        assert_eq!(sequence.tally.out_of_order, 1);
    }
}
