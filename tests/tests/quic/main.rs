//! The suite and the stories on QUIC.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod harness;

use harness::QuicHarness;

mod suite {
    pingpong_conformance::conformance_suite!(crate::QuicHarness::new);
}

mod stories {
    pingpong_conformance::exercise_stories!(crate::QuicHarness::patient);
}
