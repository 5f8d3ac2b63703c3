//! Right histories pass, also long ones, and those in a moment.

use super::world::{Bug, World};
use pingpong_conformance::history::{Entry, Level, Of, Operation, Outcome, Summary, Violation, What, check};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Instant;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_atomic_counts_do_passes(
        nodes in 1..4_usize,
        clients in 1..6_usize,
        lose in 0..6_usize,
        choices in prop::collection::vec(any::<u32>(), 0..1_200),
    ) {
        let history = World::new(nodes, clients, lose, choices.iter().copied()).run(choices.len() / 3);
        if let Err(violation) = check(&history) {
            let entries: Vec<_> = history.entries().iter().map(ToString::to_string).collect();
            return Err(TestCaseError::fail(format!("{violation}\n{}", entries.join("\n"))));
        }
    }
}

/// A fixed sequence that looks random.
fn choices(seed: u64) -> impl Iterator<Item = u32> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    })
}

fn long(nodes: usize, clients: usize, lose: usize) -> Summary {
    let history = World::new(nodes, clients, lose, choices(7)).run(200_000);
    let start = Instant::now();
    let summary = check(&history).unwrap();
    let took = start.elapsed();
    let speed = summary.operations as f64 / took.as_secs_f64();
    println!("{summary}\n{took:?}, {speed:.0} operations per second");
    // Ten times what it takes, for slow machines: not a benchmark, but it notices what is quadratic.
    assert!(took.as_millis() < 5_000, "{took:?}");
    summary
}

#[test]
fn a_cluster_with_a_bug_is_noticed() {
    for bug in Bug::ALL {
        let mut noticed = BTreeMap::new();
        for seed in 1..=20 {
            let mut world = World::new(3, 6, 10, choices(seed));
            world.bug = Some(bug);
            let name = match check(&world.run(16_000)) {
                Ok(_) => "nothing".to_owned(),
                Err(violation) => format!("{violation:?}").split(' ').next().unwrap_or_default().to_owned(),
            };
            *noticed.entry(name).or_insert(0) += 1;
        }
        println!("{bug:?}: {noticed:?}");
        // It takes luck to see a torn snapshot.
        assert!(noticed.get("nothing").copied().unwrap_or(0) <= 2, "{bug:?}");
    }
}

#[test]
fn a_long_history_of_many_clients() {
    let summary = long(5, 40, 0);
    assert!(summary.operations > 40_000 && summary.lost == 0 && summary.exact > 1_000);
    assert!(summary.acknowledged.iter().chain(&summary.reads).all(|count| *count > 1_000), "{summary}");
}

#[test]
fn what_is_wrong_at_the_end_of_a_long_history_is_named_as_fast() {
    let mut history = World::new(5, 40, 0, choices(7)).run(200_000);
    let answered = |entry: &&Entry| {
        let Operation::Read { level: Level::Majority, what: What::Total, .. } = entry.operation else { return false };
        matches!(entry.end, Some((_, Outcome::Answered(_))))
    };
    let last = history.entries().iter().rev().find(answered).unwrap().clone();
    let Some((end, Outcome::Answered(mut answer))) = last.end else { panic!("{last}") };
    answer.total = answer.total.map(|total| total - 1);
    let read = history.begin(end + 1, last.operation);
    history.end(read, end + 2, Outcome::Answered(answer));
    let start = Instant::now();
    let violation = check(&history).unwrap_err();
    println!("{violation}\n{:?}", start.elapsed());
    assert!(start.elapsed().as_millis() < 5_000);
    assert!(matches!(violation, Violation::WentBack { of: Of::Total, .. } | Violation::Missed { of: Of::Total, .. }));
}

#[test]
fn a_long_history_with_lost_stores() {
    let summary = long(9, 60, 200);
    assert!(summary.lost > 10 && summary.settled == 4 && summary.confirmed > 100, "{summary}");
}
