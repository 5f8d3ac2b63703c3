//! Tests the suite: every fault is noticed by the cases that are listed for it, every case notices some fault, and without
//! a fault all pass. The clock is paused, so every case meets every fault in seconds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a test that prints its matrix

#[path = "support/report.rs"]
mod report;
mod support;

use pingpong_conformance::broken::{Breaking, FAULTS, Fault, breaks};
use pingpong_conformance::promises::{PROMISES, RULES};
use pingpong_conformance::stories::STORIES;
use pingpong_conformance::{CASES, Case, Outcome, run_case};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::MemHarness;

/// Which cases noticed a fault, and how they put it.
type Caught = BTreeMap<Fault, BTreeMap<&'static str, String>>;

/// A case that takes longer than this spins, whatever the paused clock says.
const SLOW: Duration = Duration::from_secs(20);

fn meet(fault: Fault, case: &'static Case) -> Option<String> {
    match run_case(case, Arc::new(Breaking::new(MemHarness::new(), fault))) {
        Outcome::Failed(words) => Some(words),
        Outcome::Passed | Outcome::Skipped(_) => None,
    }
}

fn run_all() -> Caught {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let pairs = FAULTS.iter().flat_map(|fault| CASES.iter().map(move |case| (*fault, case)));
    let (work, caught) = (Mutex::new(pairs), Mutex::new(Caught::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((fault, case)) = work.lock().unwrap().next() else { return };
                    let start = Instant::now();
                    let words = meet(fault, case);
                    let took = start.elapsed();
                    assert!(took < SLOW, "{fault:?} and {} took {took:?}", case.name);
                    if let Some(words) = words {
                        caught.lock().unwrap().entry(fault).or_default().insert(case.name, words);
                    }
                }
            });
        }
    });
    caught.into_inner().unwrap()
}

/// The matrix: its size, then each fault with the cases that notice it and the first words of each, then all of it as a grid.
fn table(caught: &Caught, took: Duration) -> String {
    let pairs = CASES.len() * FAULTS.len();
    let mut text =
        format!("{} cases with {} faults, {pairs} runs, {:.1} s\n", CASES.len(), FAULTS.len(), took.as_secs_f32());
    for fault in FAULTS {
        let cases = caught.get(fault);
        let _ = writeln!(text, "{fault:?} ({}):", cases.map_or(0, BTreeMap::len));
        for (case, words) in cases.into_iter().flatten() {
            let first: String = words.lines().next().unwrap_or_default().chars().take(100).collect();
            let _ = writeln!(text, "    {case}: {first}");
        }
    }
    text.push_str("A row for each case, a column for each fault in the order above, # where the case notices it:\n");
    for case in CASES {
        let notices = |fault| caught.get(fault).is_some_and(|cases| cases.contains_key(case.name));
        let row: String = FAULTS.iter().map(|fault| if notices(fault) { '#' } else { '.' }).collect();
        let _ = writeln!(text, "{row} {}", case.name);
    }
    text
}

/// Runs what is looked for to fail, without a word of it. One at a time: what panics say is the process's.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static QUIET: Mutex<()> = Mutex::new(());
    let _one = QUIET.lock().unwrap();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let done = work();
    std::panic::set_hook(hook);
    done
}

#[test]
fn every_fault_is_noticed_and_every_case_notices_one() {
    let (caught, took) = quietly(|| {
        let start = Instant::now();
        (run_all(), start.elapsed())
    });
    report::report("matrix", "all", table(&caught, took));

    // A fault that breaks most cases tells little of each: it does not count for them.
    let telling = caught.values().filter(|cases| cases.len() < CASES.len() / 2);
    let noticed: BTreeSet<&str> = telling.flat_map(|cases| cases.keys().copied()).collect();
    let blind: Vec<&str> = CASES.iter().map(|case| case.name).filter(|name| !noticed.contains(name)).collect();
    let unseen: Vec<_> = FAULTS.iter().filter(|fault| !caught.contains_key(*fault)).collect();
    let listed = FAULTS.iter().flat_map(|fault| breaks(*fault).iter().map(move |case| (fault, *case)));
    let missed: Vec<_> =
        listed.filter(|(fault, case)| !caught.get(fault).is_some_and(|cases| cases.contains_key(case))).collect();
    assert!(blind.is_empty(), "cases that notice no fault: {blind:?}");
    assert!(unseen.is_empty(), "faults that no case notices: {unseen:?}");
    assert!(missed.is_empty(), "faults that a case is listed for and does not notice: {missed:?}");
}

/// Faults that an application feels, besides those that leave no cluster at all. The counts repair what casts lose, so most of
/// the others are not among them.
const FELT: [Fault; 4] =
    [Fault::SecondLifeIsDeaf, Fault::HealDoesNothing, Fault::CutDoesNothing, Fault::CorruptsReplies];

#[test]
fn every_story_notices_a_fault() {
    let mut text = String::new();
    let mut blind = Vec::new();
    for story in STORIES {
        let notices = |fault: &Fault| meet(*fault, story).is_some();
        let noticed: Vec<Fault> = quietly(|| FELT.into_iter().filter(notices).collect());
        let _ = writeln!(text, "{}: {noticed:?}", story.name);
        blind.extend(noticed.is_empty().then_some(story.name));
    }
    report::report("matrix", "stories", text);
    assert!(blind.is_empty(), "stories that notice no fault: {blind:?}");
}

#[test]
fn without_a_fault_every_case_passes() {
    for case in CASES {
        let outcome = run_case(case, Arc::new(MemHarness::new()));
        assert_eq!(outcome, Outcome::Passed, "{case}");
    }
}

#[test]
fn every_promise_has_a_case_and_every_case_a_promise() {
    let promised: BTreeSet<&str> = PROMISES.iter().map(|(number, _)| *number).collect();
    let checked: BTreeSet<&str> = CASES.iter().map(|case| case.promise).collect();
    assert_eq!(promised, checked);
}

#[test]
fn every_rule_has_a_story_and_every_story_a_rule() {
    let rules: BTreeSet<&str> = RULES.iter().map(|(number, _)| *number).collect();
    let told: BTreeSet<&str> = STORIES.iter().map(|story| story.promise).collect();
    assert_eq!(rules, told);
}

#[test]
fn names_of_cases_are_their_own() {
    let names: BTreeSet<&str> = CASES.iter().chain(STORIES).map(|case| case.name).collect();
    assert_eq!(names.len(), CASES.len() + STORIES.len());
}
