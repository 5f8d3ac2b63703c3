//! What the contract promises of a node that is told nothing else.

#![allow(clippy::unwrap_used)] // helpers of tests

use pingpong_core::config::{Limits, Timeouts};
use pingpong_core::{ClusterName, MeshConfig, NodeName};
use std::time::Duration;

#[test]
fn a_node_is_timed_and_bounded_as_the_contract_says() {
    let config = MeshConfig::new(ClusterName::new("c").unwrap(), NodeName::new("a").unwrap());
    assert_eq!(config.timeouts, Timeouts::default(), "nothing else is set");
    assert_eq!(config.limits, Limits::default(), "nothing else is set");
    assert_eq!(config.timeouts.failure, Duration::from_secs(2), "M6");
    assert_eq!(config.timeouts.forget_after, Duration::from_secs(24 * 60 * 60), "M7");
    assert_eq!(config.timeouts.stall, Duration::from_secs(30), "O3");
    assert_eq!(config.limits.lanes, 24, "C6");
    assert_eq!(config.limits.max_message, 64 << 20, "C6, O4");
}
