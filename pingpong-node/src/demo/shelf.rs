//! Where the counts of the demo's nodes outlive their processes: a directory that the demo makes, and removes when it ends.

use crate::cluster::ClusterError;
use pingpong_node::Node;
use pingpong_node::exercise::Store;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A temporary directory with one in it for each node. Dropping it removes all of it.
#[derive(Debug)]
pub(crate) struct Shelf(PathBuf);

impl Shelf {
    pub(crate) fn new() -> Result<Self, ClusterError> {
        let mut random = [0; 8];
        let failed = ClusterError::system("a temporary directory cannot be made for the counts");
        let name =
            |random: [u8; 8]| format!("pingpong-demo-{}-{:016x}", std::process::id(), u64::from_le_bytes(random));
        // Nobody else has one of that name: the process's id is in it, and the time.
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        random.copy_from_slice(&nanos.to_le_bytes()[..8]);
        let dir = std::env::temp_dir().join(name(random));
        make(&dir).map_err(failed)?;
        Ok(Self(dir))
    }

    /// That of a node.
    pub(crate) fn of(&self, node: &str) -> Result<PathBuf, ClusterError> {
        let dir = self.0.join(node);
        make(&dir).map_err(ClusterError::system("a temporary directory cannot be made for the counts"))?;
        Ok(dir)
    }

    /// A node's disk is lost.
    pub(crate) fn lose(&self, node: &str) -> Result<(), ClusterError> {
        lose(&self.0.join(node)).map_err(ClusterError::system("the counts of a node cannot be removed"))
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        // What cannot be removed stays: there is nobody left to be told.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
fn make(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn make(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

/// What is in a node's directory is gone; the directory stays.
pub(crate) fn lose(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// A node's store: its file. A build without the file store keeps them in memory.
#[cfg(feature = "daemon")]
pub(crate) fn open(dir: &Path, node: &Node) -> Result<impl Store + use<>, Box<dyn std::error::Error + Send + Sync>> {
    use pingpong_node::store::{FileStore, Owner};
    let cluster = pingpong_node::ClusterName::new(super::player::CLUSTER)?;
    let owner = Owner { cluster, node: node.name.clone() };
    Ok(FileStore::open(&dir.join("counts.redb"), &owner, node.incarnation)?)
}

/// A node's store: its file. A build without the file store keeps them in memory.
#[cfg(not(feature = "daemon"))]
pub(crate) fn open(_: &Path, _: &Node) -> Result<impl Store + use<>, std::convert::Infallible> {
    Ok(pingpong_node::exercise::MemoryStore)
}
