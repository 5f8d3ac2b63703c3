//! Histories written by hand, one call for each operation.

use pingpong_conformance::history::{Ack, Answer, History, Level, Operation, Outcome, Violation, What, check};
use pingpong_core::exercise::Slot;
use pingpong_core::{Incarnation, NodeName};
use std::ops::Range;

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

pub(crate) fn slot(producer: &str, epoch: u64) -> Slot {
    Slot { producer: name(producer), epoch: Incarnation::new(epoch, 0) }
}

pub(crate) fn values<const N: usize>(values: [(&str, u128); N]) -> Answer {
    Answer::all(values.map(|(producer, value)| (name(producer), value)))
}

/// Each method records one operation over this time. Slots are of epoch 1 unless said.
pub(crate) trait Script {
    fn done(&mut self, time: Range<u64>, operation: Operation, outcome: Outcome);
    fn ping_in(&mut self, time: Range<u64>, ack: Ack, slot: Slot, count: u64);

    fn acked(&mut self, time: Range<u64>, producer: &str, count: u64) {
        self.ping_in(time, Ack::Majority, slot(producer, 1), count);
    }
    fn local(&mut self, time: Range<u64>, producer: &str, count: u64) {
        self.ping_in(time, Ack::Local, slot(producer, 1), count);
    }
    fn unconfirmed(&mut self, time: Range<u64>, producer: &str, count: u64) {
        let operation = Operation::Ping { producer: name(producer), ack: Ack::Majority };
        self.done(time, operation, Outcome::Unconfirmed { slot: slot(producer, 1), count });
    }
    fn other(&mut self, time: Range<u64>, producer: &str, outcome: Outcome) {
        let ack = if outcome == Outcome::Queued { Ack::Queued } else { Ack::Majority };
        self.done(time, Operation::Ping { producer: name(producer), ack }, outcome);
    }
    fn unknown(&mut self, time: Range<u64>, producer: &str) {
        self.other(time, producer, Outcome::Unknown);
    }
    fn confirm(&mut self, time: Range<u64>, producer: &str, count: u64) {
        self.done(time, Operation::Confirm { slot: slot(producer, 1), count }, Outcome::Confirmed);
    }
    fn value(&mut self, time: Range<u64>, level: Level, producer: &str, value: u128) {
        let operation = Operation::Read { node: name("x"), level, what: What::Producer(name(producer)) };
        self.done(time, operation, Outcome::Answered(Answer::one(name(producer), value)));
    }
    fn total(&mut self, time: Range<u64>, level: Level, total: u128) {
        let operation = Operation::Read { node: name("x"), level, what: What::Total };
        self.done(time, operation, Outcome::Answered(Answer::total(total)));
    }
    fn all(&mut self, time: Range<u64>, level: Level, node: &str, answer: Answer) {
        let operation = Operation::Read { node: name(node), level, what: What::All };
        self.done(time, operation, Outcome::Answered(answer));
    }
    fn quiet<const N: usize>(&mut self, at: u64, readings: [(&str, &[(Slot, u64)]); N]);
}

impl Script for History {
    fn done(&mut self, time: Range<u64>, operation: Operation, outcome: Outcome) {
        let id = self.begin(time.start, operation);
        self.end(id, time.end, outcome);
    }

    fn ping_in(&mut self, time: Range<u64>, ack: Ack, slot: Slot, count: u64) {
        let operation = Operation::Ping { producer: slot.producer.clone(), ack };
        self.done(time, operation, Outcome::Acknowledged { slot, count });
    }

    fn quiet<const N: usize>(&mut self, at: u64, readings: [(&str, &[(Slot, u64)]); N]) {
        let readings = readings.map(|(node, counts)| (name(node), counts.iter().cloned().collect()));
        self.settled(at, readings.into());
    }
}

/// Writes both siblings: the right one passes, and the wrong one is refused, for this reason.
pub(crate) fn refused(write: impl Fn(&mut History, bool)) -> Violation {
    let [right, wrong] = [false, true].map(|wrong| {
        let mut history = History::new();
        write(&mut history, wrong);
        check(&history)
    });
    if let Err(violation) = right {
        panic!("the right one is refused: {violation}");
    }
    let violation = wrong.expect_err("the wrong one passes");
    println!("{violation}\n");
    violation
}

/// A test of both siblings.
macro_rules! refuses {
    ($name:ident, $violation:pat $(if $guard:expr)?, |$history:ident, $wrong:ident| $write:expr) => {
        #[test]
        fn $name() {
            let violation = refused(|$history, $wrong| $write);
            assert!(matches!(&violation, $violation $(if $guard)?), "{violation:?}");
        }
    };
}

pub(crate) use refuses;
