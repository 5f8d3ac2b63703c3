//! A history in the order of its events, sorted by what the rules ask for: pings, acknowledgements, reads, facts.
//!
//! Every begin, end and fact has a rank of its own, and every time below is a rank: no two are equal. What was refused is left
//! out. An outcome that does not fit its operation is named here, and nowhere else.

use super::eras::Accepted;
use super::record::{Ack, Answer, Entry, Fact, History, Level, Operation, Outcome, Readings, What};
use super::violation::{Of, Violation};
use pingpong_core::NodeName;
use pingpong_core::exercise::Slot;
use std::collections::BTreeMap;

/// A ping that was not refused.
#[derive(Debug)]
pub(super) struct Ping<'a> {
    pub(super) entry: usize,
    pub(super) producer: usize,
    pub(super) begin: usize,
    /// When it was answered, with which number; a ping without one may be counted too.
    pub(super) answer: Option<Mark<'a>>,
}

/// From this time on, this number and all before it in the slot are acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark<'a> {
    pub(super) entry: usize,
    pub(super) slot: &'a Slot,
    pub(super) count: u64,
    pub(super) at: usize,
}

/// A read that was answered.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub(super) entry: usize,
    pub(super) node: &'a NodeName,
    pub(super) level: Level,
    pub(super) begin: usize,
    pub(super) end: usize,
    pub(super) shown: Shown,
    pub(super) answer: &'a Answer,
}

/// What it showed, by index of the producer.
#[derive(Debug)]
pub(super) enum Shown {
    One(usize, u128),
    Total(u128),
    All(Vec<u128>, u128),
}

impl Shown {
    /// The producers that were asked about, with their values.
    pub(super) fn values(&self) -> impl Iterator<Item = (usize, u128)> + '_ {
        let (one, all) = match self {
            Self::One(producer, value) => (Some((*producer, *value)), &[][..]),
            Self::Total(_) => (None, &[][..]),
            Self::All(values, _) => (None, values.as_slice()),
        };
        one.into_iter().chain(all.iter().copied().enumerate())
    }

    pub(super) fn total(&self) -> Option<u128> {
        match self {
            Self::One(..) => None,
            Self::Total(total) | Self::All(_, total) => Some(*total),
        }
    }
}

/// A node's store was lost, or is an earlier copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss<'a> {
    pub(super) at: usize,
    pub(super) node: &'a NodeName,
    /// What the copy has.
    pub(super) kept: Option<&'a BTreeMap<Slot, u64>>,
}

impl Loss<'_> {
    /// How many pings of that slot are there still.
    pub(super) fn kept(&self, slot: &Slot) -> u64 {
        self.kept.and_then(|kept| kept.get(slot)).copied().unwrap_or(0)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    pub(super) history: &'a History,
    /// The number of events, which is also the gap after all of them.
    pub(super) end: usize,
    pub(super) producers: Vec<&'a NodeName>,
    index: BTreeMap<&'a NodeName, usize>,
    pub(super) pings: Vec<Ping<'a>>,
    /// Acknowledgements at majority: of pings, and of confirms.
    pub(super) majority: Vec<Mark<'a>>,
    /// Acknowledged confirms alone.
    pub(super) confirms: Vec<Mark<'a>>,
    pub(super) reads: Vec<Read<'a>>,
    pub(super) losses: Vec<Loss<'a>>,
    pub(super) accepted: Vec<Accepted<'a>>,
    pub(super) settled: Vec<(usize, u64, &'a Readings)>,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(history: &'a History) -> Result<Self, Violation> {
        if let Some((id, why)) = history.misuse {
            let entry = id.and_then(|id| history.entries.get(id.0)).cloned().map(Box::new);
            return Err(Violation::Malformed { entry, why });
        }
        let mut line = Self {
            history,
            end: 0,
            producers: names(history),
            index: BTreeMap::new(),
            pings: Vec::new(),
            majority: Vec::new(),
            confirms: Vec::new(),
            reads: Vec::new(),
            losses: Vec::new(),
            accepted: Vec::new(),
            settled: Vec::new(),
        };
        line.index = line.producers.iter().enumerate().map(|(index, name)| (*name, index)).collect();
        line.rank()?;
        Ok(line)
    }

    /// Ranks all events, and sorts them.
    fn rank(&mut self) -> Result<(), Violation> {
        let history = self.history;
        let mut events: Vec<(u64, usize)> = history.facts.iter().map(|(at, call, _)| (*at, *call)).collect();
        for entry in &history.entries {
            events.push((entry.begin, entry.begun));
            events.extend(entry.end.iter().map(|(at, _)| (*at, entry.ended)));
        }
        events.sort_unstable();
        self.end = events.len();
        // Calls are numbered from 1, without a gap unless one was misused.
        let mut ranks = vec![0; events.iter().map(|(_, call)| call + 1).max().unwrap_or(0)];
        for (rank, (_, call)) in events.into_iter().enumerate() {
            if let Some(place) = ranks.get_mut(call) {
                *place = rank;
            }
        }
        let rank = |call: usize| ranks.get(call).copied().unwrap_or(0);
        let mut accepting = None;
        for (at, call, fact) in &history.facts {
            match fact {
                Fact::Accepting => accepting = accepting.or(Some(rank(*call))),
                Fact::Accepted(kept) => {
                    let to = rank(*call);
                    self.accepted.push(Accepted { from: accepting.take().unwrap_or(to), to, kept });
                }
                Fact::StoreLost(node) => self.losses.push(Loss { at: rank(*call), node, kept: None }),
                Fact::RolledBack(node, kept) => self.losses.push(Loss { at: rank(*call), node, kept: Some(kept) }),
                Fact::Settled(readings) => self.settled.push((rank(*call), *at, readings)),
            }
        }
        self.losses.sort_by_key(|loss| loss.at);
        self.settled.sort_by_key(|(rank, ..)| *rank);
        for (index, entry) in history.entries.iter().enumerate() {
            self.enter(index, entry, rank(entry.begun), rank(entry.ended))?;
        }
        Ok(())
    }

    fn enter(&mut self, index: usize, entry: &'a Entry, begin: usize, end: usize) -> Result<(), Violation> {
        let malformed = |why| Err(Violation::Malformed { entry: Some(Box::new(entry.clone())), why });
        let outcome = entry.end.as_ref().map_or(&Outcome::Unknown, |(_, outcome)| outcome);
        match (&entry.operation, outcome) {
            (_, Outcome::Refused) | (Operation::Confirm { .. } | Operation::Read { .. }, Outcome::Unknown) => Ok(()),
            (Operation::Ping { producer, ack }, outcome) => {
                let number = match (ack, outcome) {
                    (Ack::Queued, Outcome::Queued) | (_, Outcome::Unknown) => None,
                    (
                        Ack::Local | Ack::Majority,
                        Outcome::Acknowledged { slot, count } | Outcome::Unconfirmed { slot, count },
                    ) => Some((slot, *count)),
                    _ => return malformed("a ping of this level does not end so"),
                };
                let answer = number.map(|(slot, count)| Mark { entry: index, slot, count, at: end });
                if number.is_some_and(|(slot, count)| slot.producer != *producer || count == 0) {
                    return malformed("it has a number of another producer, or 0");
                }
                if *ack == Ack::Majority && matches!(outcome, Outcome::Acknowledged { .. }) {
                    self.majority.extend(answer);
                }
                let producer = self.producer(producer);
                self.pings.push(Ping { entry: index, producer, begin, answer });
                Ok(())
            }
            (Operation::Confirm { slot, count }, Outcome::Confirmed) => {
                let mark = Mark { entry: index, slot, count: *count, at: end };
                self.majority.push(mark);
                self.confirms.push(mark);
                Ok(())
            }
            (Operation::Read { node, level, what }, Outcome::Answered(answer)) => {
                let Some(shown) = self.shown(what, answer) else {
                    return malformed("its answer is not what it asked for");
                };
                if let (What::All, Some(total)) = (what, answer.total)
                    && shown.total() != Some(answer.values.values().copied().fold(0, u128::saturating_add))
                {
                    return Err(Violation::TotalIsNotSum { read: Box::new(entry.clone()), total });
                }
                self.reads.push(Read { entry: index, node, level: *level, begin, end, shown, answer });
                Ok(())
            }
            _ => malformed("an operation of this kind does not end so"),
        }
    }

    /// `None` if the answer does not fit the question.
    fn shown(&self, what: &What, answer: &Answer) -> Option<Shown> {
        match what {
            What::Producer(name) => {
                let value = answer.values.get(name).copied();
                (answer.values.len() == usize::from(value.is_some()))
                    .then(|| Shown::One(self.producer(name), value.unwrap_or(0)))
            }
            What::Total => answer.total.filter(|_| answer.values.is_empty()).map(Shown::Total),
            What::All => {
                let mut values = vec![0; self.producers.len()];
                for (name, value) in &answer.values {
                    *values.get_mut(self.producer(name))? = *value;
                }
                let sum = || values.iter().copied().fold(0, u128::saturating_add);
                let total = answer.total.unwrap_or_else(sum);
                Some(Shown::All(values, total))
            }
        }
    }

    /// All names are known: the index is made of the history.
    pub(super) fn producer(&self, name: &NodeName) -> usize {
        self.index.get(name).copied().unwrap_or(usize::MAX)
    }

    pub(super) fn entry(&self, index: usize) -> Box<Entry> {
        // Indices come from the history itself; the first entry stands for none.
        Box::new(self.history.entries[index].clone())
    }

    pub(super) fn of(&self, producer: Option<usize>) -> Of {
        producer.and_then(|index| self.producers.get(index)).map_or(Of::Total, |name| Of::Producer((*name).clone()))
    }

    /// Whether the node's store was lost after `from` and before `to`.
    pub(super) fn lost(&self, node: &NodeName, from: usize, to: usize) -> bool {
        self.losses_of(node, from, to).next().is_some()
    }

    /// Whether a ping that began at `from` may have gone with its node's store by then, unless a majority has it.
    pub(super) fn lost_ping(&self, mark: &Mark<'_>, from: usize, to: usize) -> bool {
        self.losses_of(&mark.slot.producer, from, to).any(|loss| loss.kept(mark.slot) < mark.count)
    }

    fn losses_of(&self, node: &NodeName, from: usize, to: usize) -> impl Iterator<Item = &Loss<'a>> {
        self.losses.iter().filter(move |loss| loss.node == node && from < loss.at && loss.at < to)
    }

    /// Whether it ever was.
    pub(super) fn ever_lost(&self, node: &NodeName) -> bool {
        self.losses.iter().any(|loss| loss.node == node)
    }
}

/// Every name that pings, or that an answer or a reading has pings of.
fn names(history: &History) -> Vec<&NodeName> {
    let mut names = Vec::new();
    for entry in &history.entries {
        match &entry.operation {
            Operation::Ping { producer, .. } | Operation::Read { what: What::Producer(producer), .. } => {
                names.push(producer);
            }
            Operation::Confirm { slot, .. } => names.push(&slot.producer),
            Operation::Read { .. } => {}
        }
        if let Some((_, Outcome::Answered(answer))) = &entry.end {
            names.extend(answer.values.keys());
        }
    }
    for (_, _, fact) in &history.facts {
        if let Fact::Settled(readings) = fact {
            names.extend(readings.values().flat_map(|slots| slots.keys().map(|slot| &slot.producer)));
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}
