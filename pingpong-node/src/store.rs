//! What a node keeps in its data directory: its incarnation, so that a restart is greater than the last life whatever the clock says; and
//! what it has counted, in a file of its own ([`counts`]).
//!
//! One node at a time: the directory is locked as long as the store lives, and the lock goes with the process, however it ends. A
//! file is replaced whole or not at all, and is on disk before the store says so. A file that is damaged, of a newer program, or
//! another node's is never overwritten.

pub mod counts;

pub use counts::{FileStore, FileStoreError, Owner};

use async_trait::async_trait;
use pingpong_core::config::IncarnationStore;
use pingpong_core::node::IncarnationError;
use pingpong_core::{Incarnation, NodeName};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The shape of the file that this program writes.
const FORMAT: u32 = 1;

/// The data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The system refuses something.
    #[error("{} cannot be {what}: {error}; give the node a data directory that it may write to", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was to be done with it.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// Another process uses it.
    #[error("{} is in use by another process; stop that one, or give each node a data directory of its own", .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The file does not make sense.
    #[error("{} is damaged: {words}; restore it, or remove it and let the peers' memory decide", .path.display())]
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
    /// It belongs to another node.
    #[error("{} is that of node {of}, and this node is {name}; give {name} a data directory of its own", .path.display())]
    AnotherNode {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        of: NodeName,
        /// This node.
        name: NodeName,
    },
}

/// The file, as it is written.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    node: NodeName,
    incarnation: String,
}

/// A data directory, locked. Clones are the same.
#[derive(Clone, Debug)]
pub struct DataDir(Arc<Dir>);

#[derive(Debug)]
struct Dir {
    path: PathBuf,
    name: NodeName,
    _lock: File,
}

impl DataDir {
    /// Opens the directory of a node, and makes it if it is missing. What is in it is checked.
    ///
    /// # Errors
    /// [`StoreError`] names the file and the remedy; nothing was changed.
    pub fn open(dir: &Path, name: &NodeName) -> Result<Self, StoreError> {
        make(dir).map_err(failed(dir, "made"))?;
        let path = dir.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(failed(&path, "opened"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: dir.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed(&path, "locked")(error)),
        }
        read(dir, name)?;
        Ok(Self(Arc::new(Dir { path: dir.to_owned(), name: name.clone(), _lock: lock })))
    }

    /// Checks what is in the directory of a node, also while that runs; it may be missing.
    ///
    /// # Errors
    /// [`StoreError`] names the file and the remedy.
    pub fn check(dir: &Path, name: &NodeName) -> Result<(), StoreError> {
        read(dir, name).map(|_| ())
    }

    /// A disk may take its time: it is waited for where nobody else is held up.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Dir) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let dir = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&dir)).await;
        done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("incarnation.toml")
}

fn read(dir: &Path, name: &NodeName) -> Result<Option<Incarnation>, StoreError> {
    let path = file(dir);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&path, "read")(error)),
    };
    let damaged = |words: String| StoreError::Damaged { path: path.clone(), words };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| damaged(error.message().to_owned()))?;
    let format = table.get("format").and_then(toml::Value::as_integer);
    let format = format.and_then(|format| u32::try_from(format).ok());
    let format = format.ok_or_else(|| damaged("it says no format".to_owned()))?;
    if format > FORMAT {
        return Err(StoreError::Newer { path, format });
    }
    let kept: Kept = table.try_into().map_err(|error: toml::de::Error| damaged(error.message().to_owned()))?;
    if kept.node != *name {
        return Err(StoreError::AnotherNode { path, of: kept.node, name: name.clone() });
    }
    kept.incarnation.parse().map(Some).map_err(|error: IncarnationError| damaged(error.to_string()))
}

impl Dir {
    fn read(&self) -> Result<Option<Incarnation>, StoreError> {
        read(&self.path, &self.name)
    }

    fn write(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        let (path, new) = (file(&self.path), self.path.join("incarnation.new"));
        let kept = Kept { format: FORMAT, node: self.name.clone(), incarnation: incarnation.to_string() };
        let text = toml::to_string(&kept).map_err(|error| failed(&path, "written")(io::Error::other(error)))?;
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(failed(&new, "written"))?;
        fs::rename(&new, &path).map_err(failed(&path, "replaced"))?;
        // The new name is on disk only when the directory is.
        File::open(&self.path).and_then(|dir| dir.sync_all()).map_err(failed(&self.path, "written"))
    }
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io { path, what, error }
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

#[async_trait]
impl IncarnationStore for DataDir {
    async fn load(&self) -> Result<Option<Incarnation>, String> {
        self.blocking(Dir::read).await
    }

    async fn store(&self, incarnation: Incarnation) -> Result<(), String> {
        self.blocking(move |dir| dir.write(incarnation)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    #[tokio::test]
    async fn an_incarnation_outlives_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("deep").join("data");
        let store = DataDir::open(&at, &name("n1")).unwrap();
        assert_eq!(store.load().await, Ok(None));
        for millis in [5, 7] {
            store.store(Incarnation::new(millis, u64::MAX)).await.unwrap();
        }
        drop(store);
        let again = DataDir::open(&at, &name("n1")).unwrap();
        assert_eq!(again.load().await, Ok(Some(Incarnation::new(7, u64::MAX))));
    }

    #[test]
    fn a_directory_has_one_user_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path(), &name("n1")).unwrap();
        let error = DataDir::open(dir.path(), &name("n1")).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        drop(first);
        DataDir::open(dir.path(), &name("n1")).unwrap();
    }

    #[tokio::test]
    async fn what_is_not_understood_is_refused_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("incarnation.toml");
        let store = DataDir::open(dir.path(), &name("n1")).unwrap();
        store.store(Incarnation::new(5, 6)).await.unwrap();
        drop(store);
        let good = fs::read_to_string(&file).unwrap();
        let open = |of: &str| DataDir::open(dir.path(), &name(of)).unwrap_err();
        assert!(matches!(open("n2"), StoreError::AnotherNode { .. }), "{}", open("n2"));
        fs::write(&file, good.replace("format = 1", "format = 2")).unwrap();
        assert!(matches!(open("n1"), StoreError::Newer { format: 2, .. }), "{}", open("n1"));
        // Cut anywhere, it is damaged; it never was shorter, since it is replaced whole.
        for length in 0..good.len() - 1 {
            fs::write(&file, &good[..length]).unwrap();
            assert!(matches!(open("n1"), StoreError::Damaged { .. }), "{length}: {}", open("n1"));
            assert_eq!(fs::read_to_string(&file).unwrap(), good[..length], "it is left as it is");
        }
        let blocked = dir.path().join("incarnation.toml").join("data");
        assert!(matches!(DataDir::open(&blocked, &name("n1")), Err(StoreError::Io { .. })));
    }
}
