//! The clusters: small enough to be exhausted, and each with the faults that its check is about.

use crate::cluster::{Budget, Cluster, Effort, Level};
use crate::monitor::Question;
use crate::rules::{Rule, Rules};
use crate::run::full;

const VALUE: &[Question] = &[Question::Value(0)];
const EACH: &[Question] = &[Question::Value(0), Question::Value(1)];
const TOTAL: &[Question] = &[Question::Total];
const JOINT: &[Question] = &[Question::Value(0), Question::Total];
const VECTOR: &[Question] = &[Question::All];

/// One ping each, two reads of the total, and no fault.
pub(crate) fn quiet<const N: usize>() -> Cluster<N> {
    Cluster {
        pings: [1, 1],
        reads: 2,
        questions: TOTAL,
        level: Level::Majority { unless_same: false },
        first_start: false,
        clock_back: false,
        budget: Budget::default(),
        rules: Rules::ALL,
        effort: Effort { returns_at_once: true, ..Effort::default() },
    }
}

impl<const N: usize> Cluster<N> {
    /// With a rule switched off, and as a counterexample is read best: operations return in steps of their own.
    pub(crate) fn without(self, rule: Rule) -> Self {
        let effort = Effort { returns_at_once: false, ..self.effort };
        Self { rules: self.rules.without(rule), effort, ..self }
    }
}

/// Both judges of linearizability, and nothing left out.
pub(crate) fn cross() -> Cluster<3> {
    let effort = Effort { compared: true, ..Effort::default() };
    Cluster { questions: if full() { JOINT } else { TOTAL }, effort, ..quiet() }
}

pub(crate) fn cross_value() -> Cluster<3> {
    Cluster { questions: VALUE, ..cross() }
}

/// Both judges, and a producer that leaves a ping behind.
pub(crate) fn cross_crash() -> Cluster<3> {
    Cluster { pings: [2, 0], budget: crash().budget, ..cross_value() }
}

pub(crate) fn total() -> Cluster<3> {
    Cluster { pings: [2, 2], ..quiet() }
}

/// What is acknowledged or answered is the floor of later reads.
pub(crate) fn monotone() -> Cluster<3> {
    let effort = Effort { floors: true, returns_at_once: true, ..Effort::default() };
    Cluster { questions: EACH, effort, ..quiet() }
}

/// Reads of one producer and of the total in one history.
pub(crate) fn joint() -> Cluster<3> {
    Cluster { pings: [2, 1], questions: JOINT, ..quiet() }
}

pub(crate) fn three_reads() -> Cluster<3> {
    Cluster { reads: 3, ..quiet() }
}

pub(crate) fn value() -> Cluster<3> {
    Cluster { questions: VALUE, ..quiet() }
}

pub(crate) fn one_read() -> Cluster<3> {
    Cluster { reads: 1, ..quiet() }
}

/// Five members, no fault.
pub(crate) fn five() -> Cluster<5> {
    quiet()
}

/// A producer crashes and keeps its store.
pub(crate) fn crash() -> Cluster<3> {
    let budget = Budget { producer_crashes: 1, ..Budget::default() };
    Cluster { pings: [2, 1], budget, ..quiet() }
}

pub(crate) fn crash_small() -> Cluster<3> {
    Cluster { pings: [2, 0], questions: VALUE, reads: 1, ..crash() }
}

/// A member crashes and keeps its store.
pub(crate) fn member_crash() -> Cluster<3> {
    let budget = Budget { member_crashes: 1, ..Budget::default() };
    Cluster { budget, questions: VALUE, reads: 1, ..quiet() }
}

/// So many reads, or more with the large bounds.
fn reads(usual: usize, large: usize) -> usize {
    if full() { large } else { usual }
}

fn losses(member_losses: u8) -> Budget {
    Budget { member_losses, ..Budget::default() }
}

/// A member loses its store.
pub(crate) fn amnesia() -> Cluster<3> {
    Cluster { budget: losses(1), questions: JOINT, ..quiet() }
}

/// Nobody reads: it is about what members hold.
pub(crate) fn amnesia_small<const N: usize>() -> Cluster<N> {
    let pings = if N > 3 { [1, 0] } else { [1, 1] };
    Cluster { pings, budget: losses(1), questions: VALUE, reads: 0, ..quiet() }
}

/// Two members lose theirs, one after the other or at once.
pub(crate) fn amnesia_twice() -> Cluster<3> {
    Cluster { pings: [2, 0], budget: losses(2), questions: VALUE, ..quiet() }
}

/// The same, and its clock may be set back.
pub(crate) fn clock_back() -> Cluster<3> {
    Cluster { clock_back: true, pings: [2, 0], questions: VALUE, ..amnesia() }
}

pub(crate) fn clock_back_small() -> Cluster<3> {
    Cluster { clock_back: true, ..amnesia_small() }
}

/// A member loses its store, and a producer crashes.
pub(crate) fn amnesia_crash() -> Cluster<3> {
    let budget = Budget { producer_crashes: 1, ..losses(1) };
    Cluster { pings: [2, 1], budget, reads: 1, ..quiet() }
}

/// The same with two reads, of one ping each.
pub(crate) fn amnesia_crash_total() -> Cluster<3> {
    Cluster { pings: [1, 1], reads: 2, ..amnesia_crash() }
}

/// Two members lose theirs, and the producer crashes.
pub(crate) fn amnesia_twice_crash() -> Cluster<3> {
    let budget = Budget { producer_crashes: 1, ..losses(2) };
    Cluster { budget, reads: reads(1, 2), ..amnesia_twice() }
}

/// A member and the producer lose theirs, and the producer crashes too.
pub(crate) fn amnesia_crash_lost_producer() -> Cluster<3> {
    let budget = Budget { producer_crashes: 1, producer_losses: 1, ..losses(1) };
    Cluster { budget, ..amnesia_twice() }
}

/// Of five members one loses its store.
pub(crate) fn amnesia_five() -> Cluster<5> {
    let small = Cluster { budget: losses(1), reads: 1, ..quiet() };
    if full() { Cluster { pings: [2, 0], reads: 2, questions: VALUE, ..small } } else { small }
}

/// Of five members two lose theirs, which leaves a quorum.
pub(crate) fn amnesia_five_twice() -> Cluster<5> {
    Cluster { budget: losses(2), reads: reads(0, 1), ..amnesia_small() }
}

/// Of five members one loses its store, and the producer crashes.
pub(crate) fn amnesia_five_crash() -> Cluster<5> {
    let budget = Budget { producer_crashes: 1, ..losses(1) };
    Cluster { pings: [2, 0], budget, reads: 1, ..amnesia_small() }
}

/// The first start, and `init` once more of a name that others may know.
pub(crate) fn first_start() -> Cluster<3> {
    let small = Cluster { pings: [2, 0], reads: 2, ..first_start_small() };
    if full() { Cluster { pings: [1, 1], questions: TOTAL, ..small } } else { small }
}

pub(crate) fn first_start_small<const N: usize>() -> Cluster<N> {
    let budget = Budget { inits: 1, ..Budget::default() };
    Cluster { pings: [1, 0], first_start: true, budget, ..amnesia_small() }
}

/// Of five members whose first start is done one is initialised once more, or two with the large bounds.
pub(crate) fn init_five() -> Cluster<5> {
    let budget = Budget { inits: 1 + u8::from(full()), ..Budget::default() };
    Cluster { first_start: false, budget, reads: 1, ..first_start_small() }
}

/// The producer loses its store, and goes on in a new slot.
pub(crate) fn lost_producer() -> Cluster<3> {
    let budget = Budget { producer_losses: 1, ..Budget::default() };
    let questions = if full() { JOINT } else { TOTAL };
    Cluster { pings: [2, 1], budget, questions, ..quiet() }
}

pub(crate) fn lost_producer_small() -> Cluster<3> {
    Cluster { pings: [2, 0], questions: VALUE, ..lost_producer() }
}

/// The producer's store is replaced by an older copy.
pub(crate) fn rolled_back() -> Cluster<3> {
    let budget = Budget { rollbacks: 1, ..Budget::default() };
    let (pings, questions) = if full() { ([2, 1], JOINT) } else { ([3, 0], VALUE) };
    Cluster { pings, budget, questions, ..quiet() }
}

pub(crate) fn rolled_back_small() -> Cluster<3> {
    Cluster { pings: [2, 0], questions: VALUE, reads: 1, ..rolled_back() }
}

/// No write-back when a quorum replied the same.
pub(crate) fn skip_if_same() -> Cluster<3> {
    Cluster { pings: [2, 1], level: Level::Majority { unless_same: true }, ..quiet() }
}

pub(crate) fn skip_if_same_amnesia() -> Cluster<3> {
    Cluster { pings: [1, 1], budget: losses(1), ..skip_if_same() }
}

/// Two snapshots.
pub(crate) fn snapshot() -> Cluster<3> {
    Cluster { pings: [2, 1], level: Level::Snapshot, questions: VECTOR, ..quiet() }
}

/// Two snapshots, of one ping each.
pub(crate) fn snapshot_small() -> Cluster<3> {
    Cluster { pings: [1, 1], ..snapshot() }
}

pub(crate) fn snapshot_amnesia() -> Cluster<3> {
    Cluster { budget: losses(1), ..snapshot_small() }
}
