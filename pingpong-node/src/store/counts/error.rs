//! Why a store cannot be used.

use super::FORMAT;
use pingpong_core::{ClusterName, NodeName};
use std::io;
use std::path::PathBuf;

/// A file of counts cannot be used. It was not changed (P7).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileStoreError {
    /// The system refuses something.
    #[error("{} cannot be {what}: {error}; give the node a file that it may read and write, and room on its disk", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was to be done with it.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// Another process uses it, or this one already does (P27).
    #[error("{} is in use by another process; stop that one, or give each node a file of its own", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// There is one where a new one was to be made (P25).
    #[error("{} exists already, and init makes a new store only; start the node on it, or move it away if what it counted may be lost", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It is something else than a store of counts.
    #[error("{} is not a store of counts: {words}; name the right file, or move this one away", .path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it is.
        words: String,
    },
    /// It does not make sense.
    #[error("{} is damaged: {words}; restore it from a copy, or start with --forget-store, which moves it aside and begins a new epoch", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        words: String,
    },
    /// A newer program wrote it.
    #[error("{} has format {format}, this program reads {FORMAT}; use the program that wrote it", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// It belongs to another cluster.
    #[error("{} is of cluster {of}, and this node is of {cluster}; give it a file of its own", .path.display())]
    AnotherCluster {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        of: ClusterName,
        /// The cluster of this node.
        cluster: ClusterName,
    },
    /// It belongs to another node.
    #[error("{} is that of node {of}, and this node is {name}; give {name} a file of its own", .path.display())]
    AnotherNode {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        of: NodeName,
        /// This node.
        name: NodeName,
    },
}
