//! Small random histories, right and wrong, against stateright's tester: the two agree on every one.

use super::script::{Script, name, slot};
use pingpong_conformance::history::{Ack, Answer, History, Level, Operation, Outcome, What, check};
use pingpong_core::exercise::Slot;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Names of the producers.
const NAMES: [&str; 2] = ["a", "b"];

/// A ping whose number is known, or in which slot of its producer an unknown one is counted.
#[derive(Clone, Debug, PartialEq)]
enum Op {
    Numbered(usize, usize, u64),
    /// The numbers of that slot that belong to others are known too.
    Unknown(usize, usize, Vec<u64>),
    /// A confirm.
    AtLeast(usize, usize, u64),
    One(usize, u128),
    Total(u128),
    All([u128; 2]),
}

/// Counts of up to three slots of each producer. After a number out of order, nothing can be right.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counts {
    slots: [[u64; 3]; 2],
    broken: bool,
}

impl Counts {
    fn value(&self, producer: usize) -> u128 {
        self.slots[producer].iter().map(|count| u128::from(*count)).sum()
    }
}

impl SequentialSpec for Counts {
    type Op = Op;
    type Ret = bool;

    fn invoke(&mut self, op: &Op) -> bool {
        let ok = match op {
            Op::Numbered(producer, slot, count) => {
                self.slots[*producer][*slot] += 1;
                self.slots[*producer][*slot] == *count
            }
            Op::Unknown(producer, slot, others) => {
                self.slots[*producer][*slot] += 1;
                !others.contains(&self.slots[*producer][*slot])
            }
            Op::AtLeast(producer, slot, count) => self.slots[*producer][*slot] >= *count,
            Op::One(producer, value) => self.value(*producer) == *value,
            Op::Total(total) => self.value(0) + self.value(1) == *total,
            Op::All(values) => [self.value(0), self.value(1)] == *values,
        };
        self.broken |= !ok;
        !self.broken
    }
}

/// What is done, over which of the events.
#[derive(Clone, Debug)]
struct Done {
    begin: usize,
    end: usize,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Acknowledged at majority if the second is true.
    Numbered(usize, bool, usize, u64),
    Unknown(usize),
    Confirm(usize, usize, u64),
    One(usize, u128),
    Total(u128),
    All([u128; 2]),
}

/// What histories are made of.
#[derive(Clone, Copy, Debug)]
struct Shape {
    producers: usize,
    pings: usize,
    reads: usize,
    /// The second store of the first producer is in use from about the middle.
    lost: bool,
    totals: bool,
    level: Level,
}

/// Turns random words into a history whose numbers are right; whether its reads are, is luck.
fn history(shape: Shape, words: &[u32]) -> Vec<Done> {
    let mut words = words.iter().copied().chain(std::iter::repeat(0));
    let mut pick = move |below: usize| words.next().unwrap() as usize % below;
    let operations = 1 + pick(shape.pings + shape.reads);
    // Begins and ends at random places: each event belongs to an operation, twice each.
    let mut events: Vec<usize> = (0..operations).flat_map(|operation| [operation, operation]).collect();
    for last in (1..events.len()).rev() {
        // Mostly near, so that some operations follow each other.
        let reach = if pick(3) == 0 { last + 1 } else { 3.min(last + 1) };
        events.swap(last, last - pick(reach));
    }
    let mut done: Vec<Done> = Vec::new();
    let mut numbered: Vec<(usize, usize)> = Vec::new(); // when, which
    for operation in 0..operations {
        let mut places = events.iter().enumerate().filter(|(_, of)| **of == operation).map(|(at, _)| at);
        let (begin, end) = (places.next().unwrap(), places.next().unwrap());
        let producer = pick(shape.producers);
        let ping = operation < shape.pings.min(operations.div_ceil(2));
        let kind = match pick(6) {
            0 if ping => Kind::Unknown(producer),
            1 if ping => Kind::Numbered(producer, false, 0, 0),
            _ if ping => Kind::Numbered(producer, true, 0, 0),
            0 if shape.level == Level::Majority => Kind::Confirm(producer, 0, 1 + pick(2) as u64),
            _ if shape.level == Level::Snapshot => Kind::All([pick(3) as u128, pick(3) as u128]),
            1 | 2 if shape.totals => Kind::Total(pick(shape.pings + 1) as u128),
            _ => Kind::One(producer, pick(shape.pings + 1) as u128),
        };
        if ping && !(matches!(kind, Kind::Unknown(_)) && pick(2) == 0) {
            numbered.push((begin + 1 + pick(end - begin), operation));
        }
        done.push(Done { begin, end, kind });
    }
    numbered.sort_unstable();
    let mut counts = [[0; 2]; 2];
    for (at, operation) in numbered.iter().copied() {
        let (Kind::Numbered(of, ..) | Kind::Unknown(of)) = done[operation].kind else { continue };
        let of_slot = usize::from(shape.lost && of == 0 && at > operations);
        counts[of][of_slot] += 1;
        if let Kind::Numbered(_, _, slot, count) = &mut done[operation].kind {
            (*slot, *count) = (of_slot, counts[of][of_slot]);
        }
    }
    confirm(shape, &numbered, &mut done);
    done
}

/// Only a number that has been given is confirmed.
fn confirm(shape: Shape, numbered: &[(usize, usize)], done: &mut [Done]) {
    for index in 0..done.len() {
        let Done { begin, kind: Kind::Confirm(producer, ..), .. } = done[index] else { continue };
        let given = numbered.iter().rev().filter(|(at, _)| *at <= begin).find_map(|(_, ping)| match done[*ping].kind {
            Kind::Numbered(of, _, slot, count) if of == producer => Some(Kind::Confirm(of, slot, count)),
            _ => None,
        });
        done[index].kind = given.unwrap_or(Kind::One(producer, shape.pings as u128 / 2));
    }
}

fn of(producer: usize, slots: usize) -> Slot {
    slot(NAMES[producer], 1 + slots as u64)
}

fn recorded(shape: Shape, done: &[Done]) -> History {
    let mut history = History::new();
    for Done { begin, end, kind } in done {
        let time = *begin as u64..*end as u64;
        let ping = |producer: usize, ack| Operation::Ping { producer: name(NAMES[producer]), ack };
        let read = |what| Operation::Read { node: name("x"), level: shape.level, what };
        let names = NAMES.map(name);
        match *kind {
            Kind::Numbered(producer, acknowledged, slot, count) => {
                let slot = of(producer, slot);
                let outcome = match acknowledged {
                    true => Outcome::Acknowledged { slot, count },
                    false => Outcome::Unconfirmed { slot, count },
                };
                history.done(time, ping(producer, Ack::Majority), outcome);
            }
            Kind::Unknown(producer) => history.done(time, ping(producer, Ack::Local), Outcome::Unknown),
            Kind::Confirm(producer, slot, count) => {
                history.done(time, Operation::Confirm { slot: of(producer, slot), count }, Outcome::Confirmed);
            }
            Kind::One(producer, value) => {
                let answer = Answer::one(names[producer].clone(), value).exact(names.clone());
                let what = What::Producer(names[producer].clone());
                history.done(time, read(what), Outcome::Answered(answer));
            }
            Kind::Total(total) => {
                history.done(time, read(What::Total), Outcome::Answered(Answer::total(total).complete()));
            }
            Kind::All(values) => {
                let answer = Answer::all(names.into_iter().zip(values));
                history.done(time, read(What::All), Outcome::Answered(answer));
            }
        }
    }
    if shape.lost {
        history.store_lost(done.len() as u64, name(NAMES[0]));
    }
    history
}

/// The numbers of a slot that answers name.
fn others(done: &[Done], producer: usize, slot: usize) -> Vec<u64> {
    let number = |done: &Done| match done.kind {
        Kind::Numbered(of, _, in_slot, count) if (of, in_slot) == (producer, slot) => Some(count),
        _ => None,
    };
    done.iter().filter_map(number).collect()
}

/// Whether stateright finds an order, for some slots of the pings of unknown outcome.
fn consistent(shape: Shape, done: &[Done]) -> bool {
    let unknown: Vec<usize> =
        (0..done.len()).filter(|operation| matches!(done[*operation].kind, Kind::Unknown(0))).collect();
    let slots = if shape.lost { 3_usize } else { 1 };
    (0..slots.pow(unknown.len() as u32)).any(|mut choice| {
        let mut chosen = BTreeMap::new();
        for operation in &unknown {
            chosen.insert(*operation, choice % slots);
            choice /= slots;
        }
        let mut events: Vec<(usize, usize, bool)> = Vec::new();
        for (operation, done) in done.iter().enumerate() {
            events.push((done.begin, operation, true));
            events.push((done.end, operation, false));
        }
        events.sort_unstable();
        // Each operation is a thread of its own, for some never end.
        let mut tester = LinearizabilityTester::new(Counts::default());
        for (_, operation, begin) in events {
            let (op, ends) = match done[operation].kind {
                Kind::Numbered(producer, acknowledged, slot, count) => {
                    (Op::Numbered(producer, slot, count), acknowledged || shape.level == Level::Fresh)
                }
                Kind::Unknown(producer) => {
                    let slot = chosen.get(&operation).copied().unwrap_or(0);
                    (Op::Unknown(producer, slot, others(done, producer, slot)), false)
                }
                Kind::Confirm(producer, slot, count) => (Op::AtLeast(producer, slot, count), true),
                Kind::One(producer, value) => (Op::One(producer, value), true),
                Kind::Total(total) => (Op::Total(total), true),
                Kind::All(values) => (Op::All(values), true),
            };
            if begin {
                tester.on_invoke(operation, op).unwrap();
            } else if ends {
                tester.on_return(operation, true).unwrap();
            }
        }
        tester.is_consistent()
    })
}

/// Runs histories of a shape, and returns how many both passed, both refused, and the checker alone passed.
fn compare(shape: Shape, cases: u32) -> [u32; 3] {
    let counts = [const { Cell::new(0) }; 3];
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let words = prop::collection::vec(any::<u32>(), 60);
    let run = TestRunner::new(config).run(&words, |words| {
        let done = history(shape, &words);
        let (right, checked) = (consistent(shape, &done), check(&recorded(shape, &done)));
        let which = match (right, &checked) {
            (true, Ok(_)) => 0,
            (false, Err(_)) => 1,
            (false, Ok(_)) => 2,
            // A ping whose number is known was counted, so those before it in its slot were, too. The tester may leave it out, since it need not
            // have taken effect: the checker knows more.
            (true, Err(_))
                if shape.lost && done.iter().any(|done| matches!(done.kind, Kind::Numbered(_, false, ..))) =>
            {
                return Ok(());
            }
            (true, Err(violation)) => {
                return Err(TestCaseError::fail(format!("it is right: {violation}\n{done:#?}")));
            }
        };
        prop_assert!(which < 2 || shape.lost, "it is wrong: {:#?}", done);
        counts[which].set(counts[which].get() + 1);
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
    let counts = counts.map(|count| count.get());
    println!("{shape:?}: {} right, {} wrong, {} wrong and not noticed", counts[0], counts[1], counts[2]);
    assert!(counts[0] > cases / 20 && counts[1] > cases / 20, "it must see right and wrong ones");
    counts
}

const ONE: Shape = Shape { producers: 1, pings: 5, reads: 4, lost: false, totals: false, level: Level::Majority };

#[test]
fn reads_of_one_producer() {
    compare(ONE, 20_000);
}

#[test]
fn totals() {
    compare(Shape { producers: 2, totals: true, ..ONE }, 10_000);
}

#[test]
fn snapshots() {
    compare(Shape { producers: 2, level: Level::Snapshot, ..ONE }, 10_000);
}

#[test]
fn exact_values_and_complete_totals() {
    compare(Shape { producers: 2, totals: true, level: Level::Fresh, ..ONE }, 10_000);
}

/// Where it is not exact, it still refuses nothing that is right, and passes little that is wrong.
#[test]
fn a_lost_store() {
    for (producers, totals, level) in
        [(1, false, Level::Majority), (2, true, Level::Majority), (2, false, Level::Snapshot)]
    {
        let shape = Shape { producers, lost: true, totals, level, ..ONE };
        let [_, refused, passed] = compare(shape, 6_000);
        assert!(passed * 50 < refused, "{passed} of {refused}");
    }
}
