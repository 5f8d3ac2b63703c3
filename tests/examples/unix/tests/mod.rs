//! The suite on Unix sockets, and nodes in processes of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

#[path = "../../../tests/support/common.rs"]
mod common;
mod harness;
mod processes;
#[path = "../../../tests/support/stranger.rs"]
mod stranger;

use harness::UnixHarness;
use pingpong_conformance::{Capability, Harness};

mod suite {
    pingpong_conformance::conformance_suite!(super::UnixHarness::new);
}

#[test]
fn what_the_suite_skips_is_in_the_guide_with_its_reason() {
    let (harness, guide) = (UnixHarness::new(), include_str!("../../../../docs/write-a-transport.md"));
    for capability in Capability::ALL {
        let row = format!("| `{capability:?}` |");
        match harness.capabilities().missing(capability) {
            Some(reason) => assert!(guide.contains(&format!("{row} {reason} |")), "{row} {reason} is not in the guide"),
            None => assert!(!guide.contains(&row), "{row} is not skipped"),
        }
    }
}
