//! For each rule of linearizable answers a history that breaks it and nothing else, and a sibling that keeps it.

use super::script::{Script, name, refused, refuses, slot, values};
use pingpong_conformance::history::{Ack, History, Level, Limit, Of, Torn, Violation, check};

// Majority reads of one producer.

refuses!(a_stale_majority_read, Violation::Missed { least: 1, ping: Some(_), .. }, |h, wrong| {
    h.acked(10..20, "a", 1);
    h.value(if wrong { 21 } else { 19 }..30, Level::Majority, "a", 0);
});

refuses!(a_read_without_a_confirmed_ping, Violation::Missed { .. }, |h, wrong| {
    h.unconfirmed(10..20, "a", 1);
    h.confirm(30..40, "a", 1);
    h.value(if wrong { 41 } else { 39 }..50, Level::Majority, "a", 0);
});

refuses!(a_read_without_a_ping_below_an_acknowledged_one, Violation::Missed { least: 2, .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    h.acked(30..40, "a", 2);
    h.value(50..60, Level::Majority, "a", if wrong { 1 } else { 2 });
});

refuses!(a_read_without_an_unknown_ping_below_an_acknowledged_one, Violation::Missed { least: 2, .. }, |h, wrong| {
    h.unknown(10..20, "a");
    h.acked(30..40, "a", 2);
    h.value(50..60, Level::Majority, "a", if wrong { 1 } else { 2 });
});

refuses!(a_majority_read_that_goes_back, Violation::WentBack { .. }, |h, wrong| {
    h.unconfirmed(10..20, "a", 1);
    h.value(30..40, Level::Majority, "a", 1);
    h.value(if wrong { 41 } else { 39 }..50, Level::Majority, "a", 0);
});

refuses!(a_snapshot_that_goes_back_behind_a_majority_read, Violation::WentBack { .. }, |h, wrong| {
    h.unconfirmed(10..20, "a", 1);
    h.value(30..40, Level::Majority, "a", 1);
    h.all(50..60, Level::Snapshot, "y", values([("a", if wrong { 0 } else { 1 })]));
});

refuses!(a_read_that_goes_back_after_a_loss_was_accepted, Violation::WentBack { .. }, |h, wrong| {
    h.unconfirmed(10..20, "a", 1);
    h.value(30..40, Level::Majority, "a", 1);
    h.accepting_loss(if wrong { 29 } else { 41 });
    h.loss_accepted(if wrong { 29 } else { 49 }, [].into());
    h.value(50..60, Level::Majority, "a", 0);
});

refuses!(a_read_without_what_a_store_had_when_a_loss_was_accepted, Violation::Missed { least: 1, .. }, |h, wrong| {
    h.acked(10..20, "a", 1);
    h.acked(12..22, "a", 2);
    h.accepting_loss(30);
    h.loss_accepted(40, [(slot("a", 1), 1)].into());
    h.value(50..60, Level::Majority, "a", if wrong { 0 } else { 1 });
});

refuses!(pings_of_two_epochs_add_up, Violation::Missed { least: 2, .. }, |h, wrong| {
    h.acked(10..20, "a", 1);
    h.store_lost(25, name("a"));
    h.ping_in(30..40, Ack::Majority, slot("a", 2), 1);
    h.value(50..60, Level::Majority, "a", if wrong { 1 } else { 2 });
});

// Totals.

refuses!(a_total_that_misses_one_producer, Violation::Missed { of: Of::Total, least: 2, .. }, |h, wrong| {
    h.acked(10..20, "a", 1);
    h.acked(12..22, "b", 1);
    h.total(30..40, Level::Majority, if wrong { 1 } else { 2 });
});

refuses!(a_total_that_goes_back, Violation::WentBack { of: Of::Total, .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    h.local(12..22, "b", 1);
    h.total(30..40, Level::Majority, 1);
    h.total(if wrong { 41 } else { 39 }..50, Level::Majority, 0);
});

refuses!(a_ping_that_is_missed_after_an_answer, Violation::MissedSince { of: Of::Total, pings: 1, .. }, |h, wrong| {
    // The first answer shows b's ping, for a's had not begun.
    h.unknown(5..6, "b");
    h.total(10..20, Level::Majority, 1);
    h.acked(if wrong { 21 } else { 19 }..30, "a", 1);
    h.total(40..50, Level::Majority, 1);
});

refuses!(
    a_total_that_jumps_back_below_single_reads,
    Violation::NotJoint { limit: Limit::AtLeast(2), values, .. } if values.len() == 2,
    |h, wrong| {
        h.unconfirmed(10..20, "a", 1);
        h.unconfirmed(12..22, "b", 1);
        h.value(30..40, Level::Majority, "a", 1);
        h.value(30..40, Level::Majority, "b", 1);
        h.total(50..60, Level::Majority, if wrong { 1 } else { 2 });
    }
);

refuses!(a_total_above_what_single_reads_leave, Violation::NotJoint { limit: Limit::AtMost(1), .. }, |h, wrong| {
    h.unconfirmed(10..20, "a", 1);
    h.unconfirmed(12..22, "b", 1);
    h.total(30..40, Level::Majority, if wrong { 2 } else { 1 });
    h.value(50..60, Level::Majority, "a", 0);
});

refuses!(two_totals_with_a_single_read_between, Violation::NotJoint { earlier: Some(_), .. }, |h, wrong| {
    h.unconfirmed(10..20, "a", 1);
    h.unconfirmed(12..22, "b", 1);
    h.total(30..40, Level::Majority, 1);
    h.value(41..45, Level::Majority, "a", 0); // so it was b
    h.value(46..50, Level::Majority, "a", if wrong { 1 } else { 0 });
    h.total(60..70, Level::Majority, 1);
});

// Snapshots.

refuses!(snapshots_without_an_order, Violation::SnapshotsUnordered { .. }, |h, wrong| {
    h.unconfirmed(10..20, "a", 1);
    h.unconfirmed(10..20, "b", 1);
    h.all(30..60, Level::Snapshot, "x", values([("a", 1), ("b", 0)]));
    h.all(30..60, Level::Snapshot, "y", values([("a", if wrong { 0 } else { 1 }), ("b", 1)]));
});

refuses!(
    a_snapshot_with_a_ping_but_not_the_one_before_it,
    Violation::SnapshotTorn { why: Torn::AtMost(0), cause: Some(_), .. },
    |h, wrong| {
        h.acked(10..20, "a", 1);
        h.acked(if wrong { 21 } else { 19 }..30, "b", 1);
        h.all(5..40, Level::Snapshot, "x", values([("a", 0), ("b", 1)]));
    }
);

refuses!(
    snapshots_that_are_right_of_each_producer,
    Violation::SnapshotTorn { why: Torn::AtLeast(2), .. },
    |h, wrong| {
        // The first was before a's ping, so that it has b's ping of an epoch of its own. Then the second lacks b's other ping.
        h.store_lost(1, name("b"));
        h.unknown(2..3, "b");
        h.all(4..30, Level::Snapshot, "x", values([("a", 0), ("b", 1)]));
        h.acked(5..10, "a", 1);
        h.acked(11..20, "b", 1);
        h.all(if wrong { 21 } else { 19 }..40, Level::Snapshot, "x", values([("a", 1), ("b", 1)]));
    }
);

/// The rules allow it: p's ping and q's are at different members when the snapshot asks them (P19, P22).
#[test]
fn a_snapshot_and_reads_of_single_producers_need_no_common_order() {
    let mut h = History::new();
    h.unknown(1..2, "p");
    h.all(5..50, Level::Snapshot, "x", values([("p", 1), ("q", 0)]));
    h.acked(10..20, "q", 1);
    h.value(30..40, Level::Majority, "p", 0);
    check(&h).unwrap();
}

refuses!(a_later_snapshot_without_a_ping, Violation::Missed { .. }, |h, wrong| {
    h.acked(10..20, "a", 1);
    h.all(if wrong { 21 } else { 19 }..30, Level::Snapshot, "y", values([]));
});

// Fresh.

refuses!(an_exact_value_that_misses, Violation::Missed { least: 1, .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    let answer = values([("a", 0)]);
    h.all(30..40, Level::Fresh, "x", if wrong { answer.exact([name("a")]) } else { answer });
});

refuses!(an_exact_value_that_misses_an_unconfirmed_ping, Violation::Missed { least: 1, .. }, |h, wrong| {
    h.unconfirmed(10..20, "a", 1);
    let answer = values([("a", if wrong { 0 } else { 1 })]);
    h.all(30..40, Level::Fresh, "x", answer.exact([name("a")]));
});

refuses!(exact_values_that_go_back, Violation::WentBack { .. }, |h, wrong| {
    h.unknown(10..20, "a");
    h.all(30..40, Level::Fresh, "x", values([("a", 1)]).exact([name("a")]));
    h.all(50..60, Level::Fresh, "y", values([("a", if wrong { 0 } else { 1 })]).exact([name("a")]));
});

refuses!(a_complete_total_that_misses, Violation::Missed { of: Of::Producer(_), .. }, |h, wrong| {
    h.local(10..20, "a", 1);
    h.local(10..20, "b", 1);
    let answer = values([("a", 1)]);
    h.all(30..40, Level::Fresh, "x", if wrong { answer.complete() } else { answer.exact([name("a")]) });
});
