//! The suite on the in-memory network.

mod support;

use support::MemHarness;

pingpong_conformance::conformance_suite!(MemHarness::new);
