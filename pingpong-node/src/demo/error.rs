//! What goes wrong when nothing does: nodes that run, and do not become as they should be.

use std::time::Duration;

/// The time of a step is up.
#[derive(Debug, thiserror::Error)]
#[error(
    "after {} s {right} of {of} nodes were as expected; on a slow machine allow more time with --patience, else please \
     report it",
    .within.as_secs()
)]
pub(crate) struct Late {
    /// How long the step could take.
    pub(crate) within: Duration,
    /// How many nodes were as they should be.
    pub(crate) right: usize,
    /// How many there are.
    pub(crate) of: usize,
}
