//! The stories on the in-memory network.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod support;

use support::MemHarness;

pingpong_conformance::exercise_stories!(MemHarness::new);
