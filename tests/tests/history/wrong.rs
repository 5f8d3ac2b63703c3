//! For each rule of numbers, of local reads and of quiet times a history that breaks it and nothing else, and a sibling that
//! keeps it.

use super::script::{Script, name, refused, refuses, slot, values};
use pingpong_conformance::history::{Ack, Answer, History, Level, Of, Operation, Outcome, Violation, What, check};

fn of(producer: &str) -> Of {
    Of::Producer(name(producer))
}

// Numbers.

refuses!(a_number_given_twice, Violation::NumberTwice { .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    h.local(12..22, "a", if wrong { 1 } else { 2 });
});

refuses!(a_number_given_twice_over_a_crash, Violation::NumberTwice { .. }, |h, wrong| {
    h.unconfirmed(10..20, "a", 1);
    h.acked(30..40, "a", if wrong { 1 } else { 2 });
});

refuses!(numbers_that_go_back, Violation::NumberBack { .. }, |h, wrong| {
    h.unknown(5..25, "a");
    h.local(10..20, "a", 2);
    h.local(if wrong { 21 } else { 19 }..30, "a", 1);
});

refuses!(a_number_below_one_that_was_confirmed, Violation::NumberBack { .. }, |h, wrong| {
    h.unknown(5..6, "a");
    h.confirm(10..20, "a", 1);
    h.local(21..30, "a", if wrong { 1 } else { 2 });
});

refuses!(a_number_without_pings_below_it, Violation::NumberInvented { need: 1, begun: 0, .. }, |h, wrong| {
    h.unknown(if wrong { 21 } else { 19 }..30, "a");
    h.local(10..20, "a", 2);
});

refuses!(a_refused_ping_that_has_a_number, Violation::NumberInvented { .. }, |h, wrong| {
    h.other(1..2, "a", if wrong { Outcome::Refused } else { Outcome::Queued });
    h.local(10..20, "a", 2);
});

refuses!(the_greatest_number, Violation::NumberInvented { .. }, |h, wrong| {
    h.local(10..20, "a", if wrong { u64::MAX } else { 1 });
});

refuses!(a_second_epoch_of_one_store, Violation::SecondEpoch { .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    if !wrong {
        h.store_lost(25, name("a"));
    }
    h.ping_in(30..40, Ack::Local, slot("a", 2), 1);
});

// Nothing invented.

refuses!(an_invented_ping, Violation::Invented { begun: 0, .. }, |h, wrong| {
    h.value(10..20, Level::Majority, "a", 1);
    h.unknown(if wrong { 21 } else { 19 }..30, "a");
});

refuses!(an_invented_local_ping, Violation::Invented { of: Of::Producer(_), .. }, |h, wrong| {
    h.other(5..6, "b", Outcome::Unknown);
    h.other(5..6, "a", if wrong { Outcome::Refused } else { Outcome::Unknown });
    h.all(10..20, Level::Local, "b", values([("a", 1)]));
});

refuses!(an_invented_total, Violation::Invented { of: Of::Total, begun: 1, .. }, |h, wrong| {
    h.acked(1..2, "a", 1);
    h.total(10..20, Level::Fresh, if wrong { 2 } else { 1 });
});

refuses!(a_total_that_is_not_the_sum, Violation::TotalIsNotSum { .. }, |h, wrong| {
    h.unknown(1..2, "a");
    h.unknown(1..2, "b");
    let total = Some(if wrong { 1 } else { 2 });
    h.all(10..20, Level::Local, "x", Answer { total, ..values([("a", 1), ("b", 1)]) });
});

refuses!(a_ping_that_was_not_there_by_its_number, Violation::TooGreat { most: 1, .. }, |h, wrong| {
    // Number 2 had not begun, so number 3 had no effect.
    h.acked(1..30, "a", 1);
    h.unconfirmed(1..50, "a", 3);
    h.value(10..20, Level::Majority, "a", if wrong { 2 } else { 1 });
    h.local(25..40, "a", 2);
});

// Local.

refuses!(a_local_read_that_falls, Violation::LocalFell { of: Of::Producer(_), .. }, |h, wrong| {
    h.unknown(1..2, "a");
    h.all(10..20, Level::Local, "x", values([("a", 1)]));
    h.all(if wrong { 21 } else { 19 }..30, Level::Local, "x", values([("a", 0)]));
    h.all(40..50, Level::Local, "y", values([("a", 0)]));
});

refuses!(a_local_read_that_falls_without_a_lost_store, Violation::LocalFell { .. }, |h, wrong| {
    h.unknown(1..2, "a");
    h.all(10..20, Level::Local, "x", values([("a", 1)]));
    h.store_lost(25, name(if wrong { "y" } else { "x" }));
    h.all(30..40, Level::Local, "x", values([("a", 0)]));
});

refuses!(a_local_read_without_a_ping_of_its_node, Violation::LocalMissed { least: 1, .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    h.all(30..40, Level::Local, if wrong { "a" } else { "b" }, values([("a", 0)]));
});

// When all is quiet.

refuses!(nodes_that_disagree, Violation::Disagree { of_one: 1, of_other: 2, .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    h.unknown(10..20, "a");
    let (a, zero) = (slot("a", 1), (slot("b", 7), 0));
    h.quiet(30, [("a", &[(a.clone(), 1), zero]), ("b", &[(a, if wrong { 2 } else { 1 })])]);
});

refuses!(a_lost_acknowledged_ping, Violation::LostPing { found: 0, .. }, |h, wrong| {
    h.acked(10..20, "a", 1);
    h.store_lost(25, name("a")); // that is no excuse
    let counts = [(slot("a", 1), 1)];
    h.quiet(30, [("a", if wrong { &[] } else { &counts })]);
});

refuses!(a_lost_local_ping, Violation::LostPing { .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    h.store_lost(25, name(if wrong { "b" } else { "a" }));
    h.quiet(30, [("a", &[]), ("b", &[])]);
});

refuses!(a_ping_that_an_earlier_copy_has, Violation::LostPing { found: 0, .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    h.local(12..22, "a", 2);
    h.store_rolled_back(25, name("a"), [(slot("a", 1), 1)].into());
    let counts = [(slot("a", 1), 1)];
    h.quiet(30, [("a", if wrong { &[] } else { &counts }), ("b", if wrong { &[] } else { &counts })]);
});

refuses!(a_majority_ping_that_is_not_in_a_copy, Violation::LostPing { found: 1, .. }, |h, wrong| {
    h.acked(10..20, "a", 1);
    if wrong {
        h.acked(12..22, "a", 2);
    } else {
        h.local(12..22, "a", 2);
    }
    h.store_rolled_back(25, name("a"), [(slot("a", 1), 1)].into());
    h.quiet(30, [("a", &[(slot("a", 1), 1)])]);
});

refuses!(a_ping_that_a_store_had_when_a_loss_was_accepted, Violation::LostPing { found: 1, .. }, |h, wrong| {
    h.acked(10..20, "a", 1);
    h.acked(12..22, "a", 2);
    h.store_lost(25, name("a"));
    h.accepting_loss(26);
    h.loss_accepted(27, [(slot("a", 1), if wrong { 2 } else { 1 })].into());
    h.quiet(30, [("b", &[(slot("a", 1), 1)])]);
});

refuses!(a_lost_confirmed_ping, Violation::LostPing { found: 0, .. }, |h, wrong| {
    h.unknown(10..20, "a");
    h.confirm(21..22, "a", 1);
    let counts = [(slot("a", 1), 1)];
    h.quiet(30, [("b", if wrong { &[] } else { &counts })]);
});

refuses!(a_lost_answer, Violation::LostAnswer { found: 0, .. }, |h, wrong| {
    h.unknown(1..2, "a");
    h.value(10..20, if wrong { Level::Majority } else { Level::Fresh }, "a", 1);
    h.store_lost(25, name("b"));
    h.quiet(30, [("a", &[]), ("b", &[])]);
});

refuses!(a_lost_local_answer, Violation::LostAnswer { found: 0, .. }, |h, wrong| {
    h.unknown(1..2, "a");
    h.all(10..20, Level::Local, "b", values([("a", 1)]));
    h.store_lost(25, name(if wrong { "a" } else { "b" }));
    h.quiet(30, [("a", &[]), ("b", &[])]);
});

refuses!(a_count_that_nobody_made, Violation::SettledInvented { need: 2, begun: 1, .. }, |h, wrong| {
    h.unknown(10..20, "a");
    h.local(10..20, "a", 1);
    h.quiet(30, [("a", &[(slot("a", 1), if wrong { 3 } else { 2 })])]);
});

refuses!(a_count_of_another_epoch_that_nobody_made, Violation::SettledInvented { .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    h.store_lost(25, name("a"));
    h.quiet(30, [("a", &[(slot("a", if wrong { 2 } else { 1 }), 1)])]);
});

refuses!(an_epoch_from_nowhere, Violation::SettledSecondEpoch { .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    h.unknown(10..20, "a");
    let counts = [(slot("a", 1), 1), (slot("a", 2), 1)];
    h.quiet(30, [("a", if wrong { &counts } else { &counts[..1] })]);
});

refuses!(a_count_that_falls_between_two_quiet_times, Violation::SettledFell { before: 1, after: 0, .. }, |h, wrong| {
    h.unknown(10..20, "a");
    h.quiet(30, [("a", &[(slot("a", 1), 1)])]);
    h.store_lost(35, name(if wrong { "b" } else { "a" }));
    h.quiet(40, [("a", &[])]);
});

// The record.

refuses!(an_outcome_of_another_kind, Violation::Malformed { .. }, |h, wrong| {
    let operation = Operation::Ping { producer: name("a"), ack: Ack::Local };
    h.done(10..20, operation, if wrong { Outcome::Queued } else { Outcome::Unknown });
});

refuses!(a_number_of_another_producer, Violation::Malformed { .. }, |h, wrong| {
    let outcome = Outcome::Acknowledged { slot: slot(if wrong { "b" } else { "a" }, 1), count: 1 };
    h.done(10..20, Operation::Ping { producer: name("a"), ack: Ack::Local }, outcome);
});

refuses!(an_answer_to_another_question, Violation::Malformed { .. }, |h, wrong| {
    let what = if wrong { What::Producer(name("b")) } else { What::Producer(name("a")) };
    let operation = Operation::Read { node: name("x"), level: Level::Local, what };
    h.done(10..20, operation, Outcome::Answered(Answer::one(name("a"), 0)));
});

refuses!(an_end_before_the_begin, Violation::Malformed { .. }, |h, wrong| {
    h.unknown(10..if wrong { 9 } else { 11 }, "a");
});

refuses!(an_end_said_twice, Violation::Malformed { entry: Some(_), .. }, |h, wrong| {
    let id = h.begin(1, Operation::Ping { producer: name("a"), ack: Ack::Local });
    h.end(id, 2, Outcome::Unknown);
    if wrong {
        h.end(id, 3, Outcome::Unknown);
    }
});

#[test]
fn at_one_time_the_order_of_the_calls_counts() {
    let write = |read_first: bool| {
        let mut history = History::new();
        let ping = history.begin(5, Operation::Ping { producer: name("a"), ack: Ack::Majority });
        if read_first {
            history.value(5..5, Level::Majority, "a", 0);
        }
        history.end(ping, 5, Outcome::Acknowledged { slot: slot("a", 1), count: 1 });
        if !read_first {
            history.value(5..5, Level::Majority, "a", 0);
        }
        check(&history)
    };
    assert!(write(true).is_ok());
    assert!(matches!(write(false), Err(Violation::Missed { .. })));
}

#[test]
fn a_violation_names_what_happened() {
    let violation = refused(|h, wrong| {
        h.acked(10..20, "a", 1);
        h.value(30..40, Level::Majority, "a", if wrong { 0 } else { 1 });
    });
    let Violation::Missed { of: whose, .. } = &violation else { panic!("{violation:?}") };
    assert_eq!(*whose, of("a"));
    let words = violation.to_string();
    for part in
        ["#1 Majority read on x of a, 30..40: answered {a: 0}", "#0 ping of a at Majority, 10..20", "number 1", "P20"]
    {
        assert!(words.contains(part), "{part:?} is not in: {words}");
    }
}

#[test]
fn a_summary_counts_what_was_checked() {
    let mut h = History::new();
    h.acked(1..2, "a", 1);
    h.local(3..4, "a", 2);
    h.other(5..6, "a", Outcome::Queued);
    h.other(5..6, "a", Outcome::Refused);
    h.unconfirmed(7..8, "b", 1);
    h.confirm(9..10, "b", 1);
    let pending = h.begin(11, Operation::Ping { producer: name("b"), ack: Ack::Majority });
    h.all(20..21, Level::Fresh, "a", values([("a", 2), ("b", 1)]).exact([name("b")]));
    h.total(20..21, Level::Majority, 2);
    let summary = check(&h).unwrap();
    assert_eq!((summary.operations, summary.acknowledged, summary.unconfirmed), (9, [1, 1, 1], 1));
    assert_eq!((summary.unknown, summary.refused, summary.confirmed), (1, 1, 1));
    assert_eq!((summary.reads, summary.exact), ([0, 1, 1, 0], 1));
    assert!(h.entries()[6].id == pending && h.entries()[6].to_string().ends_with("never ended"));
    assert_eq!(check(&History::new()).unwrap().operations, 0);
}
