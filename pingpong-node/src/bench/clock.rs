//! The wall clock, which all processes of this machine share.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 (UTC). A clock that is set meanwhile spoils the figures of one run, and nothing else.
pub(crate) fn wall_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
