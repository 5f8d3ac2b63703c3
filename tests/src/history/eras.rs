//! A history falls into eras when more stores are lost than may be, and a person accepts that (CANNOT 6).
//!
//! Each era is judged by itself: its reads, and what was acknowledged in it. Pings of earlier eras are pending in the next one, as are those of
//! unknown outcome: their own producers may have them and tell them again. But those that a store had which was left are acknowledged at its
//! beginning. Reads over the border belong to no era.

use super::timeline::{Mark, Read, Timeline};
use pingpong_core::exercise::Slot;
use std::collections::BTreeMap;

/// A loss is accepted, between these two times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted<'a> {
    pub(super) from: usize,
    pub(super) to: usize,
    /// What the stores had that were left.
    pub(super) kept: &'a BTreeMap<Slot, u64>,
}

/// What is judged together.
pub(super) struct Era<'a, 'b> {
    pub(super) reads: Vec<&'a Read<'b>>,
    /// What was acknowledged at majority.
    pub(super) marks: Vec<Mark<'b>>,
}

/// All of them, in order.
pub(super) fn eras<'a, 'b>(line: &'a Timeline<'b>) -> Vec<Era<'a, 'b>> {
    let mut eras = Vec::new();
    for number in 0..=line.accepted.len() {
        let before = number.checked_sub(1).and_then(|before| line.accepted.get(before));
        let end = line.accepted.get(number).map_or(line.end, |next| next.from);
        let acknowledged = |mark: &&Mark<'b>| before.is_none_or(|before| mark.at > before.from) && mark.at < end;
        let kept =
            before.into_iter().flat_map(|before| before.kept.iter().map(|(slot, count)| (before.to, slot, *count)));
        let kept = kept.filter(|(.., count)| *count > 0);
        let kept = kept.map(|(at, slot, count)| Mark { entry: last_known(line, slot, count), slot, count, at });
        let within = |read: &&Read<'b>| before.is_none_or(|before| read.begin > before.to) && read.end < end;
        eras.push(Era {
            reads: line.reads.iter().filter(within).collect(),
            marks: kept.chain(line.majority.iter().filter(acknowledged).copied()).collect(),
        });
    }
    eras
}

/// The last ping of a slot up to that number that was answered, or the first operation if none was: a person is to be shown something.
fn last_known(line: &Timeline<'_>, slot: &Slot, count: u64) -> usize {
    let answers = line.pings.iter().filter_map(|ping| ping.answer);
    let of_slot = answers.filter(|mark| mark.slot == slot && mark.count <= count);
    of_slot.max_by_key(|mark| mark.count).map_or(0, |mark| mark.entry)
}

impl Timeline<'_> {
    /// Whether what was acknowledged may be gone by then.
    pub(super) fn given_up(&self, mark: &Mark<'_>, by: usize) -> bool {
        let kept = |accepted: &Accepted<'_>| accepted.kept.get(mark.slot).is_some_and(|kept| *kept >= mark.count);
        self.accepted.iter().any(|accepted| mark.at < accepted.from && accepted.from < by && !kept(accepted))
    }

    /// Whether what a read has shown that began then may be gone by then.
    pub(super) fn forgotten(&self, begin: usize, by: usize) -> bool {
        self.accepted.iter().any(|accepted| begin < accepted.to && accepted.from < by)
    }
}
