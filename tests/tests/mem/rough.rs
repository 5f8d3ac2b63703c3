//! The suite on a rough network: every packet takes a time of its own, so that lanes, datagrams and closes overtake each
//! other, and times are no longer exact. `SEEDS=1000 cargo test -p pingpong-conformance
//! --test mem rough` tries more of them; with `SEED=7` that one.

use crate::support::MemHarness;
use pingpong_conformance::{CASES, Outcome, run_case};
use std::sync::Arc;
use std::time::Duration;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(jitter: Duration) {
    let seeds = number("SEED").map_or(1..=number("SEEDS").unwrap_or(6), |seed| seed..=seed);
    let mut failed = Vec::new();
    for seed in seeds {
        for case in CASES {
            if let Outcome::Failed(words) = run_case(case, Arc::new(MemHarness::rough(seed, jitter))) {
                failed.push(format!("SEED={seed} {case}: {words}"));
            }
        }
    }
    assert!(failed.is_empty(), "{} failures with a jitter of {jitter:?}:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn every_case_passes_on_a_rough_network() {
    run(Duration::from_millis(20));
}

#[test]
fn every_case_passes_on_a_very_rough_network() {
    run(Duration::from_millis(120));
}
