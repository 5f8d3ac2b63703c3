//! What can go wrong with a cluster that was started for the occasion, whatever it was started for.

use super::signals::Signal;
use std::fmt::Display;
use std::io;
use std::time::Duration;

/// The cluster cannot be used any more, or not be ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// The system refuses something that this program itself needs.
    #[error("{what}: {error}; {}", remedy(error))]
    System {
        /// What was to be done.
        what: String,
        /// What the system says.
        error: io::Error,
    },
    /// A node cannot be started.
    #[error("node {node} cannot be started: {words}")]
    Start {
        /// The node.
        node: String,
        /// Why not, and the remedy: these are the words of the transport.
        words: String,
    },
    /// A node was asked for something, and could not do it.
    #[error("node {node} cannot {what}: {words}; start it again, and report it if it stays so")]
    Node {
        /// The node.
        node: String,
        /// What it was asked.
        what: &'static str,
        /// What it says.
        words: String,
    },
    /// What a node's process says went wrong there.
    #[cfg(feature = "quic")]
    #[error("{0}")]
    Told(String),
    /// A node that does not run was asked for something.
    #[error("node {node} does not run; this is a mistake in pingpong-node, please report it")]
    NotRunning {
        /// The node.
        node: String,
    },
    /// A node's process is not there any more.
    #[cfg(feature = "quic")]
    #[error("the process of node {node} has ended ({how}); see what it said last, and start it again")]
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
    /// Not all nodes ended when they were to.
    #[error("nodes {nodes} were killed, and have not ended within {} s; look for them with `ps`", .within.as_secs())]
    Left {
        /// Their names.
        nodes: String,
        /// How long they were waited for.
        within: Duration,
    },
    /// Somebody did not want to wait for the end of the nodes.
    #[error("left at once by {signal}, while nodes {nodes} were ending: they are killed, and were not waited for")]
    LeftAtOnce {
        /// The second signal.
        signal: Signal,
        /// Their names.
        nodes: String,
    },
    /// A line on a pipe of a node's process is not of the protocol.
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
    /// A node's process was started by somebody else.
    #[cfg(feature = "quic")]
    #[error(
        "node {node} has read no order to start on standard input: {words}; `pingpong-node {command}` starts its nodes"
    )]
    NoOrder {
        /// The node.
        node: String,
        /// The command that starts such nodes.
        command: &'static str,
        /// What was read instead.
        words: String,
    },
    /// A name, an address or a certificate that this program made for itself was refused.
    #[error("{what}: {words}; this is a mistake in pingpong-node, please report it")]
    Own {
        /// What was refused.
        what: String,
        /// Why.
        words: String,
    },
}

impl ClusterError {
    /// For what this program makes for itself.
    pub(crate) fn own(what: &str) -> impl FnOnce(String) -> Self {
        move |words| Self::Own { what: what.to_owned(), words }
    }

    /// For a node that does not start.
    pub(crate) fn start(node: &str, words: &dyn Display) -> Self {
        Self::Start { node: node.to_owned(), words: words.to_string() }
    }

    /// For what a node was asked.
    pub(crate) fn node(node: &str, what: &'static str, words: impl ToString) -> Self {
        Self::Node { node: node.to_owned(), what, words: words.to_string() }
    }

    /// For what the system is asked.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::System { what, error }
    }
}

/// What to do about a refusal of the system. It is the same whatever was refused: a cluster needs processes, sockets
/// and memory, and no files.
fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    // ENFILE and EMFILE have no kind of their own.
    if cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24)) {
        // A relay between sixteen nodes needs a socket for each pair and direction; every node three pipes.
        return "raise the limit of open files (`ulimit -n 512`, more for a hundred nodes), or try fewer nodes";
    }
    match error.kind() {
        Kind::NotFound => "leave the program where it was started from; on Linux, mount /proc",
        Kind::PermissionDenied => "allow this user to start processes, and to use UDP on 127.0.0.1",
        Kind::WouldBlock | Kind::OutOfMemory | Kind::ResourceBusy => {
            "close other programs, raise the limit of processes (`ulimit -u`), or try fewer nodes"
        }
        Kind::AddrNotAvailable => "bring up the loopback interface",
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => "make room where the output goes",
        _ => "start it again, and report it if it stays so",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_was_refused_why_and_what_to_do() {
        let says = |error: io::Error| ClusterError::system("a socket cannot be opened")(error).to_string();
        #[cfg(unix)]
        for full in [23, 24] {
            assert!(says(io::Error::from_raw_os_error(full)).contains("ulimit -n 512"));
        }
        let gone = says(io::ErrorKind::NotFound.into());
        assert!(gone.starts_with("a socket cannot be opened: ") && gone.contains("/proc"), "{gone}");
        assert!(says(io::ErrorKind::WouldBlock.into()).contains("ulimit -u"));
        assert!(says(io::ErrorKind::StorageFull.into()).contains("make room"));
    }
}
