//! Tests the suite: every fault is noticed by some case, every case notices some fault, and without a fault all pass.
//!
//! By default each fault meets the cases that are listed for it. `MATRIX=full` runs every case with every fault, prints the
//! matrix, and shows which lists could be better.

mod support;

use pingpong_conformance::broken::{Breaking, FAULTS, Fault, breaks};
use pingpong_conformance::{CASES, Case, Outcome, run_case};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use support::MemHarness;

/// Which cases noticed a fault, and how a sample of them put it.
type Caught = BTreeMap<Fault, BTreeMap<&'static str, String>>;

fn meet(fault: Fault, case: &'static Case) -> Option<String> {
    match run_case(case, Arc::new(Breaking::new(MemHarness::new(), fault))) {
        Outcome::Failed(words) => Some(words),
        Outcome::Passed | Outcome::Skipped(_) => None,
    }
}

fn run(pairs: Vec<(Fault, &'static Case)>) -> Caught {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let (work, caught) = (Mutex::new(pairs.into_iter()), Mutex::new(Caught::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((fault, case)) = work.lock().unwrap().next() else { return };
                    let start = Instant::now();
                    if let Some(words) = meet(fault, case) {
                        caught.lock().unwrap().entry(fault).or_default().insert(case.name, words);
                    }
                    if start.elapsed().as_secs() > 5 {
                        println!("{fault:?} and {} took {:?}", case.name, start.elapsed());
                    }
                }
            });
        }
    });
    caught.into_inner().unwrap()
}

fn print(caught: &Caught) {
    let mut text = String::new();
    for fault in FAULTS {
        let cases = caught.get(fault);
        let _ = writeln!(text, "{fault:?} ({}):", cases.map_or(0, BTreeMap::len));
        for (case, words) in cases.into_iter().flatten() {
            let first: String = words.lines().next().unwrap_or_default().chars().take(100).collect();
            let _ = writeln!(text, "    {case}: {first}");
        }
    }
    println!("{text}");
}

#[test]
fn every_fault_is_noticed_and_every_case_notices_one() {
    std::panic::set_hook(Box::new(|_| {})); // a case that fails is what is looked for
    let full = std::env::var("MATRIX").is_ok_and(|mode| mode == "full");
    let listed = |fault: Fault, case: &Case| breaks(fault).contains(&case.name);
    let mut pairs = Vec::new();
    for fault in FAULTS {
        pairs.extend(CASES.iter().filter(|case| full || listed(*fault, case)).map(|case| (*fault, case)));
    }
    let (count, start) = (pairs.len(), Instant::now());
    let caught = run(pairs);
    drop(std::panic::take_hook());
    print(&caught);
    println!("{count} runs of {} cases with {} faults took {:?}", CASES.len(), FAULTS.len(), start.elapsed());

    let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
    let noticed: BTreeSet<&str> = caught.values().flat_map(|cases| cases.keys().copied()).collect();
    let blind: Vec<_> = names.difference(&noticed).collect();
    let unseen: Vec<_> = FAULTS.iter().filter(|fault| !caught.contains_key(*fault)).collect();
    let missed: Vec<_> = FAULTS
        .iter()
        .flat_map(|fault| breaks(*fault).iter().map(move |case| (fault, *case)))
        .filter(|(fault, case)| !caught.get(fault).is_some_and(|cases| cases.contains_key(case)))
        .collect();
    assert!(blind.is_empty(), "cases that notice no fault: {blind:?}");
    assert!(unseen.is_empty(), "faults that no case notices: {unseen:?}");
    assert!(missed.is_empty(), "faults that a case is listed for and does not notice: {missed:?}");
}

#[test]
fn without_a_fault_every_case_passes() {
    for case in CASES {
        let outcome = run_case(case, Arc::new(MemHarness::new()));
        assert_eq!(outcome, Outcome::Passed, "{case}");
    }
}
