//! Snapshots: each is the whole vector at one instant, and no other order than that of the pings explains them (P22).
//!
//! It looks at pings and snapshots alone. With reads of single producers they have no common order, see
//! [`counters`](super::counters).
//!
//! # Why it is exact
//! Snapshots that are consistent are a chain: sorted by total, each has at least as much of every producer as the one before.
//! Equal ones are a *stage*. The effects of the pings are placed as in [`sweep`](super::sweep), of each producer apart, as late
//! as something forces them; and one thing more forces them: an effect beyond a stage in one producer comes after the instants
//! of the stage, so that all other producers must have reached it. Placements that keep this rule, all windows and all lower
//! bounds are closed under the pointwise least of their counts (if the least of two counts is beyond a stage, both are, and
//! both have reached it in every producer). So there is a least one. What is forced here is forced in every placement, and of
//! what is open the window that closes first is taken, which leaves the least for later by the induction of `sweep`, for each
//! producer. So this finds the least one. What it cannot place is placed by none, and a stage that it leaves before one of its
//! reads has begun is left by all.

use super::eras::{Era, eras};
use super::numbers::Producer;
use super::record::Level;
use super::sweep::Window;
use super::timeline::{Mark, Read, Shown, Timeline};
use super::violation::{Torn, Violation};
use super::windows::windows;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Equal snapshots.
struct Stage<'a> {
    values: &'a [u128],
    /// The one that began last.
    last: &'a Read<'a>,
    /// The one that ended first.
    first: &'a Read<'a>,
}

/// The pings of one producer, on their way to be placed.
struct Placed {
    /// By opening, the next one last.
    waiting: Vec<(usize, usize)>,
    open: BinaryHeap<Reverse<usize>>,
    count: u128,
}

/// Checks the answers of `snapshot` that show all producers.
pub(super) fn snapshots(line: &Timeline<'_>, producers: &[Producer<'_>]) -> Result<(), Violation> {
    eras(line).into_iter().try_for_each(|era| of_era(line, producers, &era))
}

fn of_era(line: &Timeline<'_>, producers: &[Producer<'_>], era: &Era<'_, '_>) -> Result<(), Violation> {
    let stages = stages(line, &era.reads)?;
    if stages.is_empty() {
        return Ok(());
    }
    let mut all = Vec::new();
    let mut closing = Vec::new();
    for (index, producer) in producers.iter().enumerate() {
        let name = line.producers[index];
        let marks: Vec<Mark<'_>> = era.marks.iter().filter(|mark| mark.slot.producer == *name).copied().collect();
        let windows = windows(producer, &marks, line.end);
        closing.extend(windows.iter().map(|window| (window.last, index, window.closes)));
        all.push(Placed::new(&windows));
    }
    closing.sort_unstable();
    let mut ends: Vec<_> = stages.iter().enumerate().map(|(stage, of)| (of.first.end, stage)).collect();
    ends.sort_unstable();
    let mut sweep = Sweep { line, stages, all, next: 0 };
    let mut ends = ends.into_iter().peekable();
    for (gap, producer, closes) in closing {
        while let Some((end, stage)) = ends.next_if(|(end, _)| *end < gap) {
            sweep.reach(stage, end)?;
        }
        sweep.close(gap, producer, closes)?;
    }
    ends.try_for_each(|(end, stage)| sweep.reach(stage, end))
}

/// The stages in order.
fn stages<'a>(line: &Timeline<'_>, of_era: &[&'a Read<'_>]) -> Result<Vec<Stage<'a>>, Violation> {
    let mut reads: Vec<(u128, &[u128], &Read<'_>)> = Vec::new();
    for read in of_era.iter().copied().filter(|read| read.level == Level::Snapshot) {
        if let Shown::All(values, total) = &read.shown {
            reads.push((*total, values, read));
        }
    }
    reads.sort_by_key(|(total, ..)| *total);
    let mut stages: Vec<Stage<'a>> = Vec::new();
    for (_, values, read) in reads {
        match stages.last_mut() {
            Some(stage) if stage.values == values => {
                if read.begin > stage.last.begin {
                    stage.last = read;
                }
                if read.end < stage.first.end {
                    stage.first = read;
                }
            }
            Some(stage) if stage.values.iter().zip(values).any(|(before, after)| before > after) => {
                let (one, other) = (line.entry(stage.first.entry), line.entry(read.entry));
                return Err(Violation::SnapshotsUnordered { one, other });
            }
            _ => stages.push(Stage { values, last: read, first: read }),
        }
    }
    Ok(stages)
}

impl Placed {
    fn new(windows: &[Window]) -> Self {
        let mut waiting: Vec<_> = windows.iter().map(|window| (window.first, window.last)).collect();
        waiting.sort_unstable_by_key(|window| Reverse(*window));
        Self { waiting, open: BinaryHeap::new(), count: 0 }
    }

    fn open(&mut self, gap: usize) {
        while let Some((_, last)) = self.waiting.pop_if(|(first, _)| *first <= gap) {
            self.open.push(Reverse(last));
        }
    }
}

struct Sweep<'a, 'b> {
    line: &'a Timeline<'b>,
    stages: Vec<Stage<'a>>,
    all: Vec<Placed>,
    /// The first stage that is not reached yet.
    next: usize,
}

impl Sweep<'_, '_> {
    /// The windows of this producer that close here.
    fn close(&mut self, gap: usize, producer: usize, closes: Option<usize>) -> Result<(), Violation> {
        self.all[producer].open(gap);
        while self.all[producer].open.peek().is_some_and(|Reverse(last)| *last <= gap) {
            // Beyond a stage, all of the stage comes first.
            while let Some(stage) = self.stages.get(self.next)
                && self.all[producer].count >= value(stage.values, producer)
            {
                self.enter(gap, closes)?;
            }
            self.leave(gap, producer, closes)?;
            self.all[producer].open.pop();
            self.all[producer].count += 1;
        }
        Ok(())
    }

    /// A read of this stage ends.
    fn reach(&mut self, stage: usize, gap: usize) -> Result<(), Violation> {
        while self.next <= stage {
            self.enter(gap, None)?;
        }
        Ok(())
    }

    /// The next stage is reached, by effects in this gap.
    fn enter(&mut self, gap: usize, cause: Option<usize>) -> Result<(), Violation> {
        let stage = self.next;
        for producer in 0..self.all.len() {
            let wanted = value(self.stages[stage].values, producer);
            self.all[producer].open(gap);
            while self.all[producer].count < wanted {
                self.leave(gap, producer, cause)?;
                if self.all[producer].open.pop().is_none() {
                    let read = self.stages[stage].first;
                    return Err(self.torn(read, producer, Torn::AtMost(self.all[producer].count), cause));
                }
                self.all[producer].count += 1;
            }
        }
        self.next += 1;
        Ok(())
    }

    /// The next effect of this producer is beyond the stage that was reached last, so all reads of it must have begun. Those of
    /// the stages before had to when this one was reached, which takes an effect beyond each of them.
    fn leave(&self, gap: usize, producer: usize, cause: Option<usize>) -> Result<(), Violation> {
        let Some(left) = self.next.checked_sub(1).map(|left| &self.stages[left]) else { return Ok(()) };
        if left.last.begin < gap {
            return Ok(());
        }
        Err(self.torn(left.last, producer, Torn::AtLeast(self.all[producer].count + 1), cause))
    }

    fn torn(&self, read: &Read<'_>, producer: usize, why: Torn, cause: Option<usize>) -> Violation {
        let (read, producer) = (self.line.entry(read.entry), self.line.producers[producer].clone());
        Violation::SnapshotTorn { read, producer, why, cause: cause.map(|entry| self.line.entry(entry)) }
    }
}

fn value(values: &[u128], producer: usize) -> u128 {
    values.get(producer).copied().unwrap_or(0)
}
