//! What is left when all is quiet: the same everywhere, all that was promised, and nothing that nobody did.
//!
//! Counts of 0 are not compared: a node may forget such slots (P8).

use super::numbers::{Producer, before};
use super::record::{Level, Readings};
use super::timeline::{Mark, Timeline};
use super::violation::Violation;
use pingpong_core::NodeName;
use pingpong_core::exercise::Slot;
use std::collections::BTreeMap;

/// Checks all readings.
pub(super) fn settled(line: &Timeline<'_>, producers: &[Producer<'_>]) -> Result<(), Violation> {
    let mut earlier: Option<(usize, u64, &Readings)> = None;
    for (rank, at, readings) in &line.settled {
        agree(*at, readings)?;
        let Some(counts) = readings.values().next() else { continue };
        let counts: BTreeMap<&Slot, u64> =
            counts.iter().filter(|(_, count)| **count > 0).map(|(slot, count)| (slot, *count)).collect();
        let now = Now { line, rank: *rank, at: *at, counts, readings };
        now.pings()?;
        now.answers()?;
        now.nothing_else(producers)?;
        if let Some(earlier) = earlier {
            now.not_fallen(earlier)?;
        }
        earlier = Some((*rank, *at, readings));
    }
    Ok(())
}

fn agree(at: u64, readings: &Readings) -> Result<(), Violation> {
    let Some((one, first)) = readings.iter().next() else { return Ok(()) };
    let count = |counts: &BTreeMap<Slot, u64>, slot| counts.get(slot).copied().unwrap_or(0);
    for (other, second) in readings {
        for slot in first.keys().chain(second.keys()) {
            let (of_one, of_other) = (count(first, slot), count(second, slot));
            if of_one != of_other {
                let (slot, one, other) = (slot.clone(), one.clone(), other.clone());
                return Err(Violation::Disagree { at, slot, one, of_one, other, of_other });
            }
        }
    }
    Ok(())
}

struct Now<'a, 'b> {
    line: &'a Timeline<'b>,
    rank: usize,
    at: u64,
    /// What all nodes have.
    counts: BTreeMap<&'a Slot, u64>,
    readings: &'a Readings,
}

impl Now<'_, '_> {
    fn count(&self, slot: &Slot) -> u64 {
        self.counts.get(slot).copied().unwrap_or(0)
    }

    /// Majority always, unless the loss was accepted; local unless its own store was lost since, or is a copy from before (section 7).
    fn pings(&self) -> Result<(), Violation> {
        let numbered = self.line.pings.iter().filter_map(|ping| {
            let mark = ping.answer?;
            (!self.line.lost_ping(&mark, ping.begin, self.rank)).then_some(mark)
        });
        let has = |mark: &Mark<'_>| self.count(mark.slot) >= mark.count;
        let majority = self.line.majority.iter().filter(|mark| !self.line.given_up(mark, self.rank)).copied();
        match majority.chain(numbered).find(|mark| mark.at < self.rank && !has(mark)) {
            Some(mark) => {
                let (operation, found) = (self.line.entry(mark.entry), self.count(mark.slot));
                Err(Violation::LostPing { at: self.at, operation, found })
            }
            None => Ok(()),
        }
    }

    /// An answer of a quorum is held by a quorum. Any other came of some store, and that may be lost.
    fn answers(&self) -> Result<(), Violation> {
        let mut values = vec![0_u128; self.line.producers.len()];
        for (slot, count) in &self.counts {
            if let Some(value) = values.get_mut(self.line.producer(&slot.producer)) {
                *value += u128::from(*count);
            }
        }
        let total = values.iter().sum();
        let last_loss = self.line.losses.iter().map(|loss| loss.at).rfind(|at| *at < self.rank);
        for read in self.line.reads.iter().filter(|read| read.end < self.rank) {
            let kept = match read.level {
                Level::Majority | Level::Snapshot => !self.line.forgotten(read.begin, self.rank),
                Level::Local => {
                    self.readings.contains_key(read.node) && !self.line.lost(read.node, read.begin, self.rank)
                }
                Level::Fresh => last_loss.is_none_or(|at| at < read.begin),
            };
            let shown = read.shown.values().map(|(producer, value)| (Some(producer), value));
            for (producer, value) in shown.chain(read.shown.total().map(|total| (None, total))).filter(|_| kept) {
                let found = producer.and_then(|producer| values.get(producer).copied()).unwrap_or(total);
                if found < value {
                    let (of, read) = (self.line.of(producer), self.line.entry(read.entry));
                    return Err(Violation::LostAnswer { at: self.at, read, of, found });
                }
            }
        }
        Ok(())
    }

    /// Each number belongs to a ping.
    fn nothing_else(&self, producers: &[Producer<'_>]) -> Result<(), Violation> {
        for (producer, name) in producers.iter().zip(&self.line.producers) {
            let slots: BTreeMap<_, _> = self
                .counts
                .iter()
                .filter(|(slot, _)| slot.producer == **name)
                .map(|(slot, count)| ((*slot).clone(), *count))
                .collect();
            let mut need = 0_u128;
            for (slot, count) in &slots {
                let numbered = producer.slots.get(slot).into_iter().flat_map(|numbered| numbered.range(..=count));
                let numbered = numbered.filter(|(_, numbered)| numbered.begin < self.rank).count();
                need += u128::from(*count).saturating_sub(u128::try_from(numbered).unwrap_or(0));
            }
            let begun = u128::try_from(before(&producer.unnumbered, self.rank)).unwrap_or(u128::MAX);
            if need > begun {
                let producer = (*name).clone();
                return Err(Violation::SettledInvented { at: self.at, producer, need, begun, slots });
            }
            let mut one_slot = producer.slots.keys().copied().chain(slots.keys()).filter(|_| !producer.lost);
            if let Some(one) = one_slot.next()
                && let Some(other) = one_slot.find(|other| *other != one)
            {
                return Err(Violation::SettledSecondEpoch { at: self.at, one: one.clone(), other: other.clone() });
            }
        }
        Ok(())
    }

    fn not_fallen(&self, (rank, earlier, readings): (usize, u64, &Readings)) -> Result<(), Violation> {
        let kept = |node: &NodeName| self.readings.contains_key(node) && !self.line.lost(node, rank, self.rank);
        for (node, counts) in readings.iter().filter(|(node, _)| kept(node)) {
            for (slot, before) in counts {
                let (before, after) = (*before, self.count(slot));
                if after < before {
                    let (at, node, slot) = (self.at, node.clone(), slot.clone());
                    return Err(Violation::SettledFell { at, earlier, node, slot, before, after });
                }
            }
        }
        Ok(())
    }
}
