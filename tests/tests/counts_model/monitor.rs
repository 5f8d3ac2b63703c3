//! An exact, compact monitor of linearizability, for counters.
//!
//! It keeps whatever could explain the history so far (the subset construction), instead of the history itself, so that states
//! which differ in an irrelevant past are one state. No explanation left: the history is not linearizable.

use crate::counts::PRODUCERS;

pub(crate) const READERS: usize = 3;
/// Pings that a crashed producer left behind.
const ORPHANS: usize = 3;
const FIRST_ORPHAN: usize = PRODUCERS + READERS;
const OPERATIONS: usize = FIRST_ORPHAN + ORPHANS;
/// Values of a producer that can be told apart: 0 to 4.
const VALUES: u8 = 5;

/// What a reader wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Question {
    Value(u8),
    Total,
    /// The vector of all values.
    All,
}

impl Question {
    pub(crate) fn answer(self, values: [u8; PRODUCERS]) -> [u8; PRODUCERS] {
        match self {
            Self::Value(producer) => [values[usize::from(producer)], 0],
            Self::Total => [values[0] + values[1], 0],
            Self::All => values,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    None,
    Ping(u8),
    Read,
}

/// A course of things that fits everything that was answered so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Explanation {
    values: [u8; PRODUCERS],
    /// Pings that run and have taken effect already.
    effective: u8,
    /// The values, as bits, that there were since each reader began.
    seen: [u32; READERS],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Monitor {
    operations: [Operation; OPERATIONS],
    /// What one ping of each producer adds.
    weights: [u8; PRODUCERS],
    explanations: Vec<Explanation>,
}

fn bit(values: [u8; PRODUCERS]) -> u32 {
    1 << (values[0] * VALUES + values[1])
}

impl Monitor {
    pub(crate) fn new(weights: [u8; PRODUCERS]) -> Self {
        let nothing = Explanation { values: [0; PRODUCERS], effective: 0, seen: [0; READERS] };
        Self { operations: [Operation::None; OPERATIONS], weights, explanations: vec![nothing] }
    }

    pub(crate) fn is_linearizable(&self) -> bool {
        !self.explanations.is_empty()
    }

    pub(crate) fn start_ping(&mut self, producer: usize) {
        self.operations[producer] = Operation::Ping(producer as u8);
    }

    pub(crate) fn start_read(&mut self, reader: usize) {
        self.operations[PRODUCERS + reader] = Operation::Read;
        for explanation in &mut self.explanations {
            explanation.seen[reader] = bit(explanation.values);
        }
        self.prune();
    }

    /// The producer crashed: its ping may take effect at any later time, or never.
    pub(crate) fn orphan(&mut self, producer: usize) {
        let place = (FIRST_ORPHAN..OPERATIONS).find(|at| self.operations[*at] == Operation::None);
        let place = place.expect("no more crashes than places");
        self.operations.swap(producer, place);
        for explanation in &mut self.explanations {
            if explanation.effective & 1 << producer != 0 {
                explanation.effective ^= 1 << producer | 1 << place;
            }
        }
        self.prune();
    }

    pub(crate) fn end_ping(&mut self, producer: usize) {
        self.end(producer, |explanation| {
            let effective = explanation.effective & !(1 << producer);
            (effective != explanation.effective).then_some(Explanation { effective, ..*explanation })
        });
    }

    pub(crate) fn end_read(&mut self, reader: usize, question: Question, answer: [u8; PRODUCERS]) {
        let all = (0..VALUES).flat_map(|a| (0..VALUES).map(move |b| [a, b]));
        let fitting = all.filter(|values| question.answer(*values) == answer).map(bit).fold(0, |all, one| all | one);
        self.end(PRODUCERS + reader, |explanation| {
            let mut without = *explanation;
            without.seen[reader] = 0;
            (explanation.seen[reader] & fitting != 0).then_some(without)
        });
    }

    fn end(&mut self, operation: usize, fits: impl Fn(&Explanation) -> Option<Explanation>) {
        let mut fitting = Vec::new();
        for explanation in &self.explanations {
            self.explore(explanation, &fits, &mut fitting);
        }
        self.operations[operation] = Operation::None;
        self.explanations = fitting;
        self.prune();
    }

    /// Whatever may have taken effect until now, in any order; no more of it than it takes to fit.
    fn explore(
        &self,
        explanation: &Explanation,
        fits: &impl Fn(&Explanation) -> Option<Explanation>,
        fitting: &mut Vec<Explanation>,
    ) {
        if let Some(fit) = fits(explanation) {
            fitting.push(fit);
            return;
        }
        for (at, operation) in self.operations.iter().enumerate() {
            if let Operation::Ping(producer) = *operation
                && explanation.effective & 1 << at == 0
            {
                let mut next = *explanation;
                next.values[usize::from(producer)] += self.weights[usize::from(producer)];
                next.effective |= 1 << at;
                for (reader, seen) in next.seen.iter_mut().enumerate() {
                    if self.operations[PRODUCERS + reader] == Operation::Read {
                        *seen |= bit(next.values);
                    }
                }
                self.explore(&next, fits, fitting);
            }
        }
    }

    /// An explanation that leaves readers no more than another one does explains no more.
    fn prune(&mut self) {
        self.explanations.sort_unstable();
        self.explanations.dedup();
        let all = self.explanations.clone();
        self.explanations.retain(|one| {
            !all.iter().any(|other| {
                let fewer = || one.seen.iter().zip(other.seen).all(|(one, other)| one & !other == 0);
                one != other && one.values == other.values && one.effective == other.effective && fewer()
            })
        });
    }

    /// At each place is the reader that was at that place of the order.
    pub(crate) fn place_readers(&mut self, order: [usize; READERS]) {
        let before = self.operations;
        for (at, from) in order.iter().enumerate() {
            self.operations[PRODUCERS + at] = before[PRODUCERS + from];
        }
        for explanation in &mut self.explanations {
            explanation.seen = order.map(|from| explanation.seen[from]);
        }
        self.explanations.sort_unstable();
    }

    /// The two producers in each other's place.
    pub(crate) fn exchange_producers(&mut self) {
        self.operations.swap(0, 1);
        for operation in &mut self.operations {
            if let Operation::Ping(producer) = operation {
                *producer = 1 - *producer;
            }
        }
        for explanation in &mut self.explanations {
            explanation.values.swap(0, 1);
            let (pings, others) = (explanation.effective & 0b11, explanation.effective & !0b11);
            explanation.effective = pings >> 1 | (pings & 1) << 1 | others;
            explanation.seen = explanation.seen.map(exchanged);
        }
        self.explanations.sort_unstable();
    }
}

fn exchanged(seen: u32) -> u32 {
    let all = (0..VALUES).flat_map(|a| (0..VALUES).map(move |b| [a, b]));
    all.filter(|values| seen & bit(*values) != 0).map(|[a, b]| bit([b, a])).sum()
}
