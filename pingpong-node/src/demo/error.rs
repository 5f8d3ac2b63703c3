//! What can go wrong beside a wrong count.

#[cfg(feature = "quic")]
use std::path::PathBuf;
use std::time::Duration;

/// The demo cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The system refuses something that the demo itself needs.
    #[error("{what}: {error}; {remedy}")]
    System {
        /// What was to be done.
        what: String,
        /// What the system says.
        error: std::io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A file cannot be written or read.
    #[cfg(feature = "quic")]
    #[error("{}: {error}; the demo needs a temporary directory it can write to, set TMPDIR to one", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A node cannot be started.
    #[error("node {node} cannot be started: {words}")]
    Start {
        /// The node.
        node: String,
        /// Why not.
        words: String,
    },
    /// A node was asked for something, and could not do it.
    #[error("node {node} cannot {what}: {words}")]
    Node {
        /// The node.
        node: String,
        /// What it was asked.
        what: &'static str,
        /// What it says.
        words: String,
    },
    /// A node that does not run was asked for something.
    #[error("node {node} does not run; this is a mistake in the demo, please report it")]
    NotRunning {
        /// The node.
        node: String,
    },
    /// A node's process is not there any more.
    #[cfg(feature = "quic")]
    #[error("the process of node {node} has ended ({how}); its log tells why")]
    Gone {
        /// The node.
        node: String,
        /// How it ended.
        how: String,
    },
    /// A node's process does not answer.
    #[cfg(feature = "quic")]
    #[error(
        "the process of node {node} was told to {what}, and has not answered for {} s; on a slow machine allow more time \
         with --patience, else please report it",
        .since.as_secs()
    )]
    Silent {
        /// The node.
        node: String,
        /// What it was told.
        what: &'static str,
        /// How long it has been waited for.
        since: Duration,
    },
    /// The time of a step is up.
    #[error(
        "after {} s {right} of {of} nodes were as expected; on a slow machine allow more time with --patience, else please \
         report it",
        .within.as_secs()
    )]
    Late {
        /// How long the step could take.
        within: Duration,
        /// How many nodes were as they should be.
        right: usize,
        /// How many there are.
        of: usize,
    },
    /// A line on a pipe between the demo and a node is not of their protocol.
    #[cfg(feature = "quic")]
    #[error(
        "a line from node {node} cannot be read: {words}: {line:?}; is something else writing to its standard output?"
    )]
    Line {
        /// The node.
        node: String,
        /// What is wrong.
        words: String,
        /// The beginning of the line.
        line: String,
    },
    /// A name, an address or a certificate that the demo made for itself was refused.
    #[error("{what}: {words}; this is a mistake in the demo, please report it")]
    Own {
        /// What was refused.
        what: String,
        /// Why.
        words: String,
    },
}

impl DemoError {
    /// For what the demo makes for itself.
    pub(crate) fn own(what: &str) -> impl FnOnce(String) -> Self {
        move |words| Self::Own { what: what.to_owned(), words }
    }

    /// For what a node was asked.
    pub(crate) fn node(node: &str, what: &'static str, words: impl ToString) -> Self {
        Self::Node { node: node.to_owned(), what, words: words.to_string() }
    }
}
