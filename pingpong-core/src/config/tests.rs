//! Bounds and times that do not go together are refused, with words that help.

use super::*;

fn config() -> MeshConfig {
    MeshConfig::new(ClusterName::new("test").unwrap(), NodeName::new("a").unwrap())
}

fn endpoint(connection_bytes: u64, other_bytes: u64) -> Endpoint {
    Endpoint { name: NodeName::new("a").unwrap(), lanes: 27, connection_bytes, other_bytes }
}

#[test]
fn the_defaults_fit_together() {
    assert_eq!(config().check(&endpoint(64 << 20, 1 << 30)), Ok(()));
}

#[test]
fn the_failure_timeout_is_two_seconds_by_default() {
    assert_eq!(config().timeouts.failure, Duration::from_secs(2), "M6 states it");
}

#[test]
fn each_refusal_names_the_field_and_both_numbers() {
    let none = endpoint(0, 0);
    let mut c = config();
    c.limits.max_peers = 0;
    assert_eq!(c.check(&none).unwrap_err().to_string(), "max_peers is 0, allowed are 1 to 10000");
    let mut c = config();
    c.limits.large_bytes = 1 << 20;
    assert!(matches!(c.check(&none), Err(ConfigError::Order { smaller: "twice max_message", .. })));
    let mut c = config();
    c.timeouts.stall = Duration::from_secs(1);
    assert!(matches!(c.check(&none), Err(ConfigError::Order { greater: "stall (ms)", .. })));
    let mut c = config();
    c.limits.max_memory = 1 << 20;
    assert!(matches!(c.check(&none), Err(ConfigError::Memory { limit: 1_048_576, .. })));
}

/// Each bound that a user can set counts as often as there are queues of it (O1).
#[test]
fn the_worst_case_grows_with_every_bound() {
    let small = Limits { max_peers: 2, max_servers: 3, lanes: 4, max_calls: 5, ..Limits::default() };
    let base = small.worst_case(&endpoint(1_000, 100)).bytes();
    let grown = |change: fn(&mut Limits)| {
        let mut limits = small;
        change(&mut limits);
        limits.worst_case(&endpoint(1_000, 100)).bytes() - base
    };
    // Five lanes with nine times their queue; the replies of two peers with 24 times theirs.
    assert_eq!(grown(|l| l.queue_bytes += 1), 5 * 9 + 2 * 24);
    assert_eq!(grown(|l| l.mailbox_bytes += 1), 3);
    assert_eq!(grown(|l| l.large_bytes += 1), 4);
    assert_eq!(grown(|l| l.max_servers += 1), (128 << 10) + (64 << 10));
    assert_eq!(grown(|l| l.max_calls += 1), 2 * TARGET);
    assert_eq!(grown(|l| l.reply_bytes += 1), 1);
    assert!(grown(|l| l.lanes += 1) >= 9 * (128 << 10) + 2 * 2 * (64 << 10), "a lane, and its readers");
    assert!(grown(|l| l.max_peers += 1) > 1_000 + 7 * 2 * (64 << 10), "a link, and its readers");
    assert_eq!(small.worst_case(&endpoint(1_001, 101)).bytes() - base, 2 + 1);
}
