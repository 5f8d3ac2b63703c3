//! Linearizable counters: `majority` answers (P19 to P21), and the exact ones of `fresh` (P18).
//!
//! Both are the same question with other reads and other acknowledgements. A snapshot is read here as a value of each producer
//! and a total, each with an instant of its own. That all its values share one instant is a question of pings and snapshots
//! only: while a snapshot is on its way, one member has replied with p's new ping and without q's, q's is then acknowledged,
//! and a read that misses the first member finds p without its ping. Both answers are right, and no one order has both.
//!
//! Three questions, each exact by [`sweep`](super::sweep) where the windows are:
//! 1. Each producer alone, with its own reads.
//! 2. The total alone, with all pings as they are.
//! 3. Both together (P21): the reads of a producer leave its i-th effect between two hulls, and these are the windows of which
//!    the total is asked. That is exact if the pings of each producer follow each other, as those of one slot do. If not, it
//!    refuses nothing that is right, and may pass what is wrong only by 1 and 2 together.

use super::eras::{Era, eras};
use super::numbers::{Producer, before};
use super::record::Level;
use super::sweep::{Bounds, Conflict, Window, earliest, latest};
use super::timeline::{Mark, Read, Timeline};
use super::violation::{Limit, Violation};
use super::windows::windows;
use std::collections::BTreeMap;

/// Checks the answers of `majority` and `snapshot`.
pub(super) fn majority(line: &Timeline<'_>, producers: &[Producer<'_>]) -> Result<(), Violation> {
    for Era { reads, marks } in eras(line) {
        let reads = reads.into_iter().filter(|read| matches!(read.level, Level::Majority | Level::Snapshot));
        let asked = reads.map(|read| Asked { read, exact: None }).collect();
        counters(line, producers, &marks, asked)?;
    }
    Ok(())
}

/// Checks the exact answers of `fresh`: at the owner, every ping with a number has taken effect when it is answered (P2).
pub(super) fn fresh(line: &Timeline<'_>, producers: &[Producer<'_>]) -> Result<(), Violation> {
    let marks: Vec<_> = line.pings.iter().filter_map(|ping| ping.answer).collect();
    let reads = line.reads.iter().filter(|read| read.level == Level::Fresh);
    let exact = |read: &Read<'_>| line.producers.iter().map(|name| read.answer.exact.contains(*name)).collect();
    let asked = reads.map(|read| Asked { read, exact: Some(exact(read)) }).collect();
    counters(line, producers, &marks, asked)
}

/// A read, and which of its values count. `None`: all, and the total.
struct Asked<'a> {
    read: &'a Read<'a>,
    exact: Option<Vec<bool>>,
}

impl Asked<'_> {
    fn values(&self) -> impl Iterator<Item = (usize, u128)> + '_ {
        let counts = |producer: usize| {
            self.read.answer.complete || self.exact.as_ref().is_none_or(|exact| exact.get(producer) == Some(&true))
        };
        self.read.shown.values().filter(move |(producer, _)| counts(*producer))
    }

    fn total(&self) -> Option<u128> {
        self.read.shown.total().filter(|_| self.exact.is_none() || self.read.answer.complete)
    }
}

fn counters(
    line: &Timeline<'_>,
    producers: &[Producer<'_>],
    marks: &[Mark<'_>],
    asked: Vec<Asked<'_>>,
) -> Result<(), Violation> {
    if asked.is_empty() {
        return Ok(());
    }
    let mut marked: Vec<Vec<Mark<'_>>> = producers.iter().map(|_| Vec::new()).collect();
    for mark in marks {
        if let Some(marked) = marked.get_mut(line.producer(&mark.slot.producer)) {
            marked.push(*mark);
        }
    }
    let mut bounds: Vec<Bounds> = producers.iter().map(|_| Bounds::default()).collect();
    let mut totals = Bounds::default();
    for asked in &asked {
        let read = asked.read;
        for (producer, value) in asked.values() {
            if let Some(bounds) = bounds.get_mut(producer) {
                bounds.read(read.begin, read.end, count(value), read.entry);
            }
        }
        if let Some(total) = asked.total() {
            totals.read(read.begin, read.end, count(total), read.entry);
        }
    }
    let (mut all, mut hulls) = (Vec::new(), Vec::new());
    for (index, producer) in producers.iter().enumerate() {
        let own = windows(producer, &marked[index], line.end);
        let judged = |conflict| judge(line, Some(index), conflict);
        let last = latest(&own, &bounds[index]).map_err(judged)?;
        if !totals.least.is_empty() {
            // It finds one, as `latest` did.
            let first = earliest(&own, &bounds[index], line.end).map_err(judged)?;
            hulls.extend(first.into_iter().zip(last).map(|(first, last)| (index, first, last)));
            all.extend(own);
        }
    }
    if totals.least.is_empty() {
        return Ok(());
    }
    latest(&all, &totals).map_err(|conflict| judge(line, None, conflict))?;
    let joint: Vec<_> =
        hulls.iter().map(|(_, first, last)| Window { first: *first, last: *last, closes: None }).collect();
    latest(&joint, &totals).map_err(|conflict| not_joint(line, &hulls, conflict))?;
    Ok(())
}

/// Values that do not fit were refused before: they are more than the pings begun.
fn count(value: u128) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn wide(count: usize) -> u128 {
    u128::try_from(count).unwrap_or(u128::MAX)
}

/// The conflict in words of pings and reads.
fn judge(line: &Timeline<'_>, producer: Option<usize>, conflict: Conflict) -> Violation {
    let of = line.of(producer);
    let (bound, count, witness) = match conflict {
        Conflict::TooSmall { bound, count, witness } => (bound, count, witness),
        Conflict::TooGreat { bound, count } => {
            return Violation::TooGreat { read: line.entry(bound.read), of, most: wide(count) };
        }
        Conflict::Never { closes } => {
            // Not reached: the numbers are checked before.
            let entry = closes.map(|entry| line.entry(entry));
            return Violation::Malformed { entry, why: "it was acknowledged before it began" };
        }
    };
    let read = line.entry(bound.read);
    let ping = witness.closes.map(|entry| line.entry(entry));
    match witness.earlier {
        None => Violation::Missed { read, of, least: wide(count), ping },
        Some(earlier) if earlier.count > bound.count => {
            Violation::WentBack { read, of, earlier: line.entry(earlier.read) }
        }
        Some(earlier) => {
            Violation::MissedSince { read, of, earlier: line.entry(earlier.read), pings: witness.windows, ping }
        }
    }
}

fn not_joint(line: &Timeline<'_>, hulls: &[(usize, usize, usize)], conflict: Conflict) -> Violation {
    let mut values = BTreeMap::new();
    let mut sum = |counts: &dyn Fn(usize, usize) -> bool| {
        for (producer, first, last) in hulls {
            if let Some(name) = line.producers.get(*producer).filter(|_| counts(*first, *last)) {
                *values.entry((*name).clone()).or_default() += 1;
            }
        }
    };
    let (bound, limit, earlier) = match conflict {
        Conflict::TooSmall { bound, count, witness } => {
            sum(&|_, last| last <= bound.gap);
            (bound, Limit::AtLeast(wide(count)), witness.earlier)
        }
        Conflict::TooGreat { bound, count } => {
            sum(&|first, _| first <= bound.gap);
            (bound, Limit::AtMost(wide(count)), None)
        }
        Conflict::Never { .. } => return Violation::Malformed { entry: None, why: "a hull is empty" },
    };
    let earlier = earlier.map(|earlier| line.entry(earlier.read));
    Violation::NotJoint { read: line.entry(bound.read), limit, values, earlier }
}

/// No answer of any level has more pings than had begun by its end.
pub(super) fn invented(line: &Timeline<'_>, producers: &[Producer<'_>]) -> Result<(), Violation> {
    let mut begins: Vec<_> = producers.iter().flat_map(|producer| producer.begins.iter().copied()).collect();
    begins.sort_unstable();
    for read in &line.reads {
        let refuse = |producer, value: u128, begins: &[usize]| {
            let begun = wide(before(begins, read.end));
            let of = line.of(producer);
            (value > begun).then(|| Violation::Invented { read: line.entry(read.entry), of, begun })
        };
        for (index, value) in read.shown.values() {
            if let Some(violation) = refuse(Some(index), value, &producers[index].begins) {
                return Err(violation);
            }
        }
        if let Some(violation) = read.shown.total().and_then(|total| refuse(None, total, &begins)) {
            return Err(violation);
        }
    }
    Ok(())
}
