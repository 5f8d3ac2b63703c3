//! Explores what a check is about to its end, and says in one line what came of it.

use crate::report;
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::fmt::Debug;
use std::hash::Hash;
use std::io::{Write, stderr};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Gives one of all states that are the same but for names.
pub(crate) type Symmetry<S> = fn(&S) -> S;

/// What can be explored.
pub(crate) trait Check:
    Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq> + Send + Sync + 'static
{
    /// Where names may be exchanged.
    fn symmetry(&self) -> Option<Symmetry<Self::State>>;
}

/// Whether the large bounds are asked for, by `MODEL=full`.
pub(crate) fn full() -> bool {
    std::env::var("MODEL").is_ok_and(|value| value == "full")
}

/// All checks together take at most this long, or the process ends: which ones are not in the report tells why. (The checker's own
/// limit does nothing on one thread.)
fn keep_time() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let all = Duration::from_secs(if full() { 3_600 } else { 300 });
        let end = Instant::now() + all;
        std::thread::spawn(move || {
            while let Some(left) = end.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(left);
            }
            let _ = writeln!(stderr(), "the checks of the model take longer than the {all:?} that they have together");
            std::process::exit(101);
        });
    });
}

fn report<C: Check>(name: &'static str, checker: &impl Checker<C>, start: Instant, result: &str) {
    let line = format!(
        "{name}: {} states, {} generated, depth {}, {:.1} s; {result}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        start.elapsed().as_secs_f64(),
    );
    report::report("counts-model", name, line);
}

/// The first promise that is broken, and the steps on the way there.
fn broken<C: Check>(checker: &impl Checker<C>) -> Option<(&'static str, Vec<C::Action>)> {
    let promises = checker.model().properties().into_iter();
    let mut promises = promises.filter(|promise| promise.expectation != Expectation::Sometimes);
    promises.find_map(|promise| Some((promise.name, checker.discovery(promise.name)?.into_actions())))
}

/// Reports how a promise is broken.
fn violates<C: Check>(
    name: &'static str,
    checker: &impl Checker<C>,
    start: Instant,
    promise: &str,
    steps: &[C::Action],
) {
    report(name, checker, start, &format!("violates '{promise}' in {} steps", steps.len()));
    for (number, step) in steps.iter().enumerate() {
        println!("  {:2} {step:?}", number + 1);
    }
}

/// It is exhausted, keeps every promise, and has come across everything that it was made for.
pub(crate) fn holds<C: Check>(name: &'static str, check: C) {
    keep_time();
    let start = Instant::now();
    let symmetry = check.symmetry();
    let builder = check.checker().finish_when(HasDiscoveries::AnyFailures);
    let builder = if let Some(symmetry) = symmetry { builder.symmetry_fn(symmetry) } else { builder };
    let checker = builder.spawn_dfs().join();
    if let Some((promise, steps)) = broken(&checker) {
        violates(name, &checker, start, promise, &steps);
        panic!("{name} violates '{promise}'");
    }
    report(name, &checker, start, "exhausted, holds");
    let witnesses = checker.model().properties().into_iter();
    let missing = witnesses.filter(|witness| witness.expectation == Expectation::Sometimes);
    let missing = missing.filter(|witness| checker.discovery(witness.name).is_none());
    let missing: Vec<_> = missing.map(|witness| witness.name).collect();
    assert!(missing.is_empty(), "{name} never came across: {missing:?}");
}

/// A promise is broken: the rule that is off is needed. The shortest way there is found.
pub(crate) fn finds<C: Check + Clone>(name: &'static str, promise: &str, check: C) {
    keep_time();
    let start = Instant::now();
    let search = |depth: usize| {
        let builder = check.clone().checker().finish_when(HasDiscoveries::AnyFailures);
        builder.target_max_depth(depth).spawn_bfs().join()
    };
    let mut checker = search(usize::MAX);
    let Some(mut found) = broken(&checker) else {
        report(name, &checker, start, "no counterexample");
        panic!("{name}: the rule that is off is not needed, or the bounds are too small to tell");
    };
    // The checker goes on for a while, and gives the last one that it has come across.
    loop {
        let next = search(found.1.len() + 1);
        let Some(shorter) = broken(&next) else { break };
        (checker, found) = (next, shorter);
    }
    violates(name, &checker, start, found.0, &found.1);
    assert!(found.0.contains(promise), "{name} was to break '{promise}', and breaks '{}'", found.0);
}
