//! The suite on the in-memory network with several threads and the real clock, as a real network has them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod support;

use pingpong_conformance::{CASES, Outcome, run_case};
use std::sync::{Arc, Mutex};
use support::MemHarness;

/// Cases that run side by side: they wait most of the time.
const THREADS: usize = 16;

#[test]
fn every_case_passes_in_real_time() {
    let (work, failed) = (Mutex::new(CASES.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(case) = work.lock().unwrap().next() else { return };
                    if let Outcome::Failed(words) = run_case(case, Arc::new(MemHarness::real())) {
                        failed.lock().unwrap().push(format!("{case}: {words}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} cases failed:\n{}", failed.len(), failed.join("\n"));
}
