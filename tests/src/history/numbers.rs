//! The numbers of pings: each given once, in order, and none without pings for all below it (P2, P4).
//!
//! A ping that was answered with a number is *numbered*; any other that was not refused may fill a number that no answer
//! names, or be of no number at all. Later rules rely on what is checked here.

use super::timeline::{Mark, Ping, Timeline};
use super::violation::Violation;
use pingpong_core::exercise::Slot;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The pings of one producer.
#[derive(Debug, Default)]
pub(super) struct Producer<'a> {
    /// The numbered pings of each slot: begin, and the answer.
    pub(super) slots: BTreeMap<&'a Slot, BTreeMap<u64, Numbered<'a>>>,
    /// When the others began, sorted.
    pub(super) unnumbered: Vec<usize>,
    /// When any began, sorted.
    pub(super) begins: Vec<usize>,
    /// Its store was lost, so it may have more than one slot, also such as no answer names.
    pub(super) lost: bool,
}

/// A numbered ping.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered<'a> {
    pub(super) begin: usize,
    pub(super) answer: Mark<'a>,
}

/// How many of the sorted times are before this one.
pub(super) fn before(times: &[usize], at: usize) -> usize {
    times.partition_point(|time| *time < at)
}

/// Sorts the pings by producer, and checks their numbers.
pub(super) fn producers<'a>(line: &Timeline<'a>) -> Result<Vec<Producer<'a>>, Violation> {
    let mut producers: Vec<Producer<'a>> = Vec::new();
    for name in &line.producers {
        producers.push(Producer { lost: line.ever_lost(name), ..Producer::default() });
    }
    for ping in &line.pings {
        if let Some(producer) = producers.get_mut(ping.producer) {
            enter(line, producer, ping)?;
        }
    }
    for producer in &mut producers {
        producer.unnumbered.sort_unstable();
        producer.begins.sort_unstable();
    }
    // An acknowledged confirm knows its number as well as the ping's answer does.
    let mut known: Vec<Mark<'a>> = line.pings.iter().filter_map(|ping| ping.answer).collect();
    known.extend(&line.confirms);
    known.sort_unstable_by_key(|mark| mark.at);
    let mut marks: Vec<Vec<Mark<'a>>> = producers.iter().map(|_| Vec::new()).collect();
    for mark in known {
        if let Some(marks) = marks.get_mut(line.producer(&mark.slot.producer)) {
            marks.push(mark);
        }
    }
    for (producer, marks) in producers.iter().zip(&marks) {
        one_epoch(line, producer, marks)?;
        existing(line, producer, marks)?;
        in_order(line, producer, marks)?;
    }
    Ok(producers)
}

fn enter<'a>(line: &Timeline<'a>, producer: &mut Producer<'a>, ping: &Ping<'a>) -> Result<(), Violation> {
    producer.begins.push(ping.begin);
    let Some(answer) = ping.answer else {
        producer.unnumbered.push(ping.begin);
        return Ok(());
    };
    let numbered = Numbered { begin: ping.begin, answer };
    match producer.slots.entry(answer.slot).or_default().insert(answer.count, numbered) {
        Some(first) => {
            let (first, second) = (line.entry(first.answer.entry), line.entry(ping.entry));
            Err(Violation::NumberTwice { first, second })
        }
        None => Ok(()),
    }
}

/// The same store is the same epoch, by definition of the epoch.
fn one_epoch(line: &Timeline<'_>, producer: &Producer<'_>, marks: &[Mark<'_>]) -> Result<(), Violation> {
    let Some(first) = marks.first().filter(|_| !producer.lost) else { return Ok(()) };
    match marks.iter().find(|mark| mark.slot != first.slot) {
        Some(mark) => Err(Violation::SecondEpoch { operation: line.entry(mark.entry), other: first.slot.clone() }),
        None => Ok(()),
    }
}

/// Numbers are counted: whoever knows number n knows that n pings of the slot had begun.
fn existing(line: &Timeline<'_>, producer: &Producer<'_>, marks: &[Mark<'_>]) -> Result<(), Violation> {
    let mut greatest: BTreeMap<&Slot, u64> = BTreeMap::new();
    let mut sorted: BTreeMap<&Slot, Vec<u64>> = BTreeMap::new();
    for (slot, numbered) in &producer.slots {
        sorted.insert(slot, numbered.keys().copied().collect());
    }
    let gaps = |slot: &Slot, count: u64| {
        let known = sorted.get(slot).map_or(0, |numbers| numbers.partition_point(|number| *number <= count));
        count.saturating_sub(u64::try_from(known).unwrap_or(u64::MAX))
    };
    let mut need = 0_u64;
    for mark in marks {
        let had = greatest.get(mark.slot).copied().unwrap_or(0);
        if mark.count <= had {
            continue;
        }
        greatest.insert(mark.slot, mark.count);
        need = need.saturating_sub(gaps(mark.slot, had)).saturating_add(gaps(mark.slot, mark.count));
        let begun = u64::try_from(before(&producer.unnumbered, mark.at)).unwrap_or(u64::MAX);
        if need > begun {
            let (operation, producer) = (line.entry(mark.entry), mark.slot.producer.clone());
            return Err(Violation::NumberInvented { operation, producer, need, begun });
        }
    }
    Ok(())
}

/// A ping that begins after a number is known gets a greater one.
fn in_order(line: &Timeline<'_>, producer: &Producer<'_>, marks: &[Mark<'_>]) -> Result<(), Violation> {
    let mut by_slot: BTreeMap<&Slot, Vec<Mark<'_>>> = BTreeMap::new();
    for mark in marks {
        by_slot.entry(mark.slot).or_default().push(*mark);
    }
    for (slot, marks) in &mut by_slot {
        marks.sort_unstable_by_key(|mark| Reverse(mark.count));
        let mut marks = marks.iter().peekable();
        let mut first: Option<Mark<'_>> = None;
        for (count, numbered) in producer.slots.get(slot).into_iter().flatten().rev() {
            while let Some(mark) = marks.next_if(|mark| mark.count >= *count) {
                if first.is_none_or(|first| mark.at < first.at) {
                    first = Some(*mark);
                }
            }
            if let Some(first) = first.filter(|first| first.at < numbered.begin) {
                let (first, second) = (line.entry(first.entry), line.entry(numbered.answer.entry));
                return Err(Violation::NumberBack { first, second });
            }
        }
    }
    Ok(())
}
