//! The suite and the stories on the in-memory network: on a paused clock, where times are exact; on rough networks; under faults at random.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod chaos;
mod determinism;
mod rough;
#[path = "../support/mod.rs"]
mod support;

mod suite {
    pingpong_conformance::conformance_suite!(crate::support::MemHarness::new);
}

mod stories {
    pingpong_conformance::exercise_stories!(crate::support::MemHarness::new);
}
