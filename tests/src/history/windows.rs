//! When the pings of one producer can have taken effect, as [`Window`]s.
//!
//! Within a slot, ping n takes effect after n - 1, for a count of n shows all before it. So a window opens after the begins of
//! all pings of smaller or equal number, and closes with the first acknowledgement of an equal or greater one. A number that no
//! answer names belongs to some unnumbered ping; the k-th such number of a slot needs k of them.
//!
//! A producer whose store was never lost has one slot, so all its windows follow each other, and are exact. One that lost it may
//! have slots that nobody heard of. Then an unnumbered ping may be of any slot, and which fills which number is left open:
//! what is refused is wrong, and something wrong may pass, but only if unnumbered pings and missing numbers meet.

use super::numbers::Producer;
use super::sweep::Window;
use super::timeline::Mark;
use pingpong_core::exercise::Slot;
use std::collections::BTreeMap;

/// One window for each ping of a producer. `marks` acknowledge pings of it, in any order. `end` is the last gap.
pub(super) fn windows(producer: &Producer<'_>, marks: &[Mark<'_>], end: usize) -> Vec<Window> {
    let mut slots: BTreeMap<&Slot, Vec<Mark<'_>>> = producer.slots.keys().map(|slot| (*slot, Vec::new())).collect();
    for mark in marks {
        slots.entry(mark.slot).or_default().push(*mark);
    }
    let mut windows = Vec::with_capacity(producer.begins.len());
    let (mut filled, mut opens) = (0, 0);
    for (slot, mut marks) in slots {
        marks.sort_unstable_by_key(|mark| mark.count);
        let from = windows.len();
        let (missing, last_opens) = opening(producer, slot, &marks, end, &mut windows);
        closing(&marks, &mut windows[from..]);
        filled += missing;
        opens = last_opens;
    }
    let free = producer.unnumbered.len().saturating_sub(filled);
    if producer.lost {
        // Any of them may have filled the numbers. Those left began no earlier than the first ones.
        windows.extend(producer.unnumbered[..free].iter().map(|begin| Window {
            first: begin + 1,
            last: end,
            closes: None,
        }));
    } else {
        // They follow all the others.
        let left = producer.unnumbered[producer.unnumbered.len() - free..].iter();
        windows.extend(left.map(|begin| Window { first: opens.max(begin + 1), last: end, closes: None }));
    }
    windows
}

/// Adds a window for each number of a slot, open at the end. Returns how many numbers no answer names, and when the last opens.
fn opening(
    producer: &Producer<'_>,
    slot: &Slot,
    marks: &[Mark<'_>],
    end: usize,
    windows: &mut Vec<Window>,
) -> (usize, usize) {
    let numbered = producer.slots.get(slot);
    let greatest = numbered.and_then(|numbered| numbered.keys().next_back().copied());
    let greatest = greatest.max(marks.last().map(|mark| mark.count)).unwrap_or(0);
    let (mut missing, mut first) = (0, 0);
    for number in 1..=greatest {
        let begin = match numbered.and_then(|numbered| numbered.get(&number)) {
            Some(numbered) => numbered.begin,
            None => {
                missing += 1;
                // There are enough: the numbers are checked.
                producer.unnumbered.get(missing - 1).copied().unwrap_or(end)
            }
        };
        first = first.max(begin + 1);
        windows.push(Window { first, last: end, closes: None });
    }
    (missing, first)
}

/// Closes the windows of a slot, which are sorted by number, as the marks are.
fn closing(marks: &[Mark<'_>], windows: &mut [Window]) {
    let mut marks = marks.iter().rev().peekable();
    let mut first: Option<&Mark<'_>> = None;
    for (index, window) in windows.iter_mut().enumerate().rev() {
        while let Some(mark) = marks.next_if(|mark| usize::try_from(mark.count).is_ok_and(|count| count > index)) {
            if first.is_none_or(|first| mark.at < first.at) {
                first = Some(mark);
            }
        }
        if let Some(mark) = first {
            (window.last, window.closes) = (mark.at, Some(mark.entry));
        }
    }
}
