//! Explores a world to its end, and says in one line what came of it.

use crate::report;
use crate::watch::witness;
use crate::world::{State, Step, World};
use stateright::{Checker, HasDiscoveries, Model, Path};
use std::io::{Write, stderr};
use std::sync::Once;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Whether the large bounds are asked for, by `MODEL=full`.
pub(crate) fn full() -> bool {
    std::env::var("MODEL").is_ok_and(|value| value == "full")
}

/// All checks together take at most this long, or the process ends: which ones are not in the report tells why. (The checker's own limit
/// does nothing on one thread.)
fn keep_time() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let all = Duration::from_secs(if full() { 3_600 } else { 240 });
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

fn report(name: &'static str, checker: &impl Checker<World>, start: Instant, result: &str) {
    let line = format!(
        "{name}: {} states, {} generated, depth {}, {:.1} s; {result}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        start.elapsed().as_secs_f64(),
    );
    report::report("session-model", name, line);
}

fn broken_promise(name: &'static str, path: &Path<State, Step>) -> (&'static str, usize) {
    (path.last_state().bad.unwrap_or(name), path.clone().into_actions().len())
}

/// A promise is broken that must hold: the steps are printed, and the test fails.
fn fails(
    name: &'static str,
    checker: &impl Checker<World>,
    start: Instant,
    property: &'static str,
    path: Path<State, Step>,
) -> ! {
    let (promise, length) = broken_promise(property, &path);
    report(name, checker, start, &format!("violates '{promise}' in {length} steps"));
    for (number, step) in path.into_actions().iter().enumerate() {
        println!("  {:2} {step:?}", number + 1);
    }
    panic!("{name} violates '{promise}'");
}

/// The world is exhausted, keeps every promise, and has come across everything it was made for.
pub(crate) fn holds(name: &'static str, world: World) {
    keep_time();
    let start = Instant::now();
    let (met, wanted) = (world.met.clone(), world.witnesses | witness::SETTLED);
    let checker = world.checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        fails(name, &checker, start, property, path);
    }
    let missing = wanted & !met.load(Ordering::Relaxed);
    let missing = witness::NAMES.iter().enumerate().filter(|(bit, _)| missing & (1 << bit) != 0);
    let missing: Vec<_> = missing.map(|(_, name)| name).collect();
    report(name, &checker, start, "exhausted, holds");
    assert!(missing.is_empty(), "{name} never came across: {missing:?}");
}

/// Random walks through a world that is too large to exhaust: so many states are passed.
pub(crate) fn walks(name: &'static str, world: World) {
    keep_time();
    let start = Instant::now();
    let states = if full() { 20_000_000 } else { 200_000 };
    let builder = world.checker().target_state_count(states).finish_when(HasDiscoveries::AnyFailures);
    let checker = builder.spawn_simulation(1, stateright::UniformChooser).join();
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        fails(name, &checker, start, property, path);
    }
    report(name, &checker, start, "walked, holds");
}

/// The world breaks a promise: the rule that is off is needed. The shortest way there is found.
pub(crate) fn finds(name: &'static str, promise: &str, world: World) {
    keep_time();
    let start = Instant::now();
    let checker = world.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let Some((property, path)) = checker.discoveries().into_iter().next() else {
        report(name, &checker, start, "no counterexample");
        panic!("{name}: the rule that is off is not needed, or the world is too small to tell");
    };
    let (broken, length) = broken_promise(property, &path);
    report(name, &checker, start, &format!("violates '{broken}' in {length} steps"));
    assert!(broken.contains(promise), "{name} was to break '{promise}', and breaks '{broken}'");
}
