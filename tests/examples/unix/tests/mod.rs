//! The suite on Unix sockets, and nodes in processes of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod harness;
mod lanes;
mod processes;

use harness::UnixHarness;
use pingpong_conformance::{CASES, Capability, Case, Harness};

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

#[test]
fn the_transport_and_its_harness_are_as_short_as_the_guide_claims() {
    let code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let lines = include_str!("../link.rs").lines().filter(code).count();
    assert!(lines < 250, "{lines} lines of code");
    let lines = include_str!("harness.rs").lines().count();
    assert!(lines < 160, "{lines} lines of harness");
    let (skipped, all) = skipped_of_all();
    let claim = format!("{skipped} of {all}.");
    assert!(include_str!("../../../../docs/write-a-transport.md").contains(&claim), "it must say {claim}");
}

fn skipped_of_all() -> (usize, usize) {
    let capabilities = UnixHarness::new().capabilities();
    let skipped = |case: &&Case| case.needs.iter().any(|need| capabilities.missing(*need).is_some());
    (CASES.iter().filter(skipped).count(), CASES.len())
}
