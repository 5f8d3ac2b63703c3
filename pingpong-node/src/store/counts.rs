//! Where a node's counts outlive the node: one file (P5). redb keeps its tables; before them is a short log, so that a batch is one small write.
//!
//! It keeps what the ledger of the exercise hands over, and decides nothing. It survives crashes of the process and of the machine; it
//! is gone with its disk. Its size is that of the slots, however often they rise: the log is folded into the tables when it is full.
//!
//! What holds, whatever crashes at whatever instant:
//! - A batch is in the file whole or not at all, and is there for certain when its commit returns (P2, P7). A commit is one sync, and
//!   a second one where the file must grow.
//! - After a crash the file has the last batch that was acknowledged, or the one that was being committed. [`open`](FileStore::open)
//!   checks every page and every record, so a file that has neither is refused. What looks as if it had never been written is not
//!   missed: a disk that lies about its syncs, or that loses the last records of the log, shows an older state, which nobody can notice
//!   here (CANNOT 7), but never a mixture.
//! - A file that is damaged, of a newer program, of another node or cluster, or no store at all is refused, and stays as it is, byte
//!   for byte (P7).
//! - One process uses it at a time. The lock goes with the process, however it ends (P27).
//!
//! What fails while it is in use (P6):
//!
//! | what fails | answer | then |
//! | --- | --- | --- |
//! | a write, a growth or a read: no room, a limit, a disk made read-only | `Refused`, and the file shows the state before | goes on, as soon as it can |
//! | the last step of a commit, and yet all of it is there | none: it was kept | goes on, when that is synced |
//! | a sync, of whatever | `Unknown` | closed: a sync that failed is not tried again |
//! | reading the file again after a failure, where the new batch may be in it | `Unknown` | closed |

mod disk;
mod error;
mod format;
mod keeper;
mod layout;
mod log;

pub use error::FileStoreError;
/// For tests of what else can happen to a file.
#[doc(hidden)]
pub use layout::{SECTOR, TABLES, Tables};

use async_trait::async_trait;
use disk::Disk;
use keeper::Keeper;
use pingpong_core::exercise::{Batch, CommitError, Identity, Kept, LoadError, Store};
use pingpong_core::{ClusterName, Incarnation, NodeName};
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem;
use std::ops::Bound;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The shape of the file that this program writes.
const FORMAT: u32 = 1;

/// Whose counts a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The cluster that the node is of.
    pub cluster: ClusterName,
    /// The node.
    pub node: NodeName,
}

/// A file of counts, open and locked.
///
/// Dropping it closes the file, which waits for the disk. That makes the next opening no surer: all that was acknowledged is kept already.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    /// Nothing after a panic, which may have left it halfway.
    keeper: Arc<Mutex<Option<Keeper>>>,
    opened_before: Incarnation,
}

impl FileStore {
    /// Opens the file of a node, and makes it if it is missing: then [`load`](Store::load) finds nothing until the first batch. What is
    /// in it is checked.
    ///
    /// It reads the whole file, so it blocks for as long as that takes.
    ///
    /// # Errors
    /// [`FileStoreError`] names the file and the remedy. Unless it cannot be written, nothing was changed.
    pub fn open(path: &Path, owner: &Owner, opened_by: Incarnation) -> Result<Self, FileStoreError> {
        if missing(path)? {
            match create(path, owner, opened_by, None) {
                // Another process was faster.
                Ok(()) | Err(FileStoreError::Exists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Self::over(backend(path, true)?, path, owner, opened_by)
    }

    /// As [`open`](Self::open), on what only looks like a file, for tests of what can happen to one. There must be a store in it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[doc(hidden)]
    pub fn over(
        below: impl StorageBackend,
        path: &Path,
        owner: &Owner,
        opened_by: Incarnation,
    ) -> Result<Self, FileStoreError> {
        let (keeper, opened_before) = Keeper::open(path.to_owned(), owner.clone(), Disk::new(below, false), opened_by)?;
        Ok(Self { path: path.to_owned(), keeper: Arc::new(Mutex::new(Some(keeper))), opened_before })
    }

    /// Makes the file of a node that has never counted before, on its very first start (P25).
    ///
    /// # Errors
    /// [`FileStoreError::Exists`] if there is anything of that name already; otherwise it cannot be made.
    pub fn init(path: &Path, owner: &Owner, identity: Identity) -> Result<(), FileStoreError> {
        create(path, owner, identity.epoch, Some(identity))
    }

    /// Checks what is in the file of a node, all of it, and changes nothing. It may be missing.
    ///
    /// # Errors
    /// [`FileStoreError`] names the file and the remedy. While a node uses the file, its lock keeps everybody else out: that is
    /// [`FileStoreError::InUse`], and says nothing of the content, good or bad.
    pub fn check(path: &Path, owner: &Owner) -> Result<(), FileStoreError> {
        if missing(path)? {
            return Ok(());
        }
        Keeper::check(path.to_owned(), owner, &Disk::new(backend(path, false)?, true))
    }

    /// Moves the file aside, to a free name beside it, so that the node can start without what it counted (P7). Returns the name;
    /// `None` if there is no file. Nothing is deleted.
    ///
    /// # Errors
    /// It is in use, or the system refuses.
    pub fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        // What cannot be opened has no node on it that could be disturbed.
        if let Ok(below) = backend(path, true)
            && let Ok(false) = below.try_lock_range(Bound::Unbounded, Bound::Unbounded)
        {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, FileStoreError::InUse { path: path.to_owned() }));
        }
        let mut names = (1_u64..).map(|number| beside(path, &format!("aside-{number}")));
        let free = names.find_map(|name| match fs::symlink_metadata(&name) {
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Ok(name)),
            Err(error) => Some(Err(error)),
        });
        let Some(free) = free.transpose()? else { return Ok(None) };
        fs::rename(path, &free)?;
        sync_directory(path)?;
        Ok(Some(free))
    }

    /// The incarnation of the node that opened the store before this one did.
    pub fn opened_before(&self) -> Incarnation {
        self.opened_before
    }

    /// A disk may take its time: it is waited for where nobody else is held up.
    ///
    /// Whoever stops waiting does not stop the work: it goes on to its end, and the next one waits for that. So batches are kept in the
    /// order in which they were handed over.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeper) -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let place = Arc::clone(&self.keeper).lock_owned().await;
        tokio::task::spawn_blocking(move || in_place(place, work)).await.unwrap_or(Err(Lost::NotBegun))
    }

    /// The same on the very thread where it was asked for, if there are others that go on with all else meanwhile: to wake another thread, and
    /// to be woken by it, takes longer than many a disk.
    async fn blocking_here<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeper) -> T + Send + 'static,
    ) -> Result<T, Lost> {
        match Handle::current().runtime_flavor() {
            RuntimeFlavor::MultiThread => {
                let place = Arc::clone(&self.keeper).lock_owned().await;
                tokio::task::block_in_place(move || in_place(place, work))
            }
            _ => self.blocking(work).await,
        }
    }
}

/// Does the work on what is in that place, and leaves the place empty if that panics.
fn in_place<T>(mut place: OwnedMutexGuard<Option<Keeper>>, work: impl FnOnce(&mut Keeper) -> T) -> Result<T, Lost> {
    let mut keeper = place.take().ok_or(Lost::Halfway)?;
    let Ok(done) = panic::catch_unwind(AssertUnwindSafe(|| work(&mut keeper))) else {
        // redb would panic once more when it is dropped. The lock stays until the process ends, as it should.
        mem::forget(keeper);
        return Err(Lost::Halfway);
    };
    *place = Some(keeper);
    Ok(done)
}

/// Work that did not come to its end.
enum Lost {
    /// The runtime is shutting down.
    NotBegun,
    /// It panicked, now or earlier.
    Halfway,
}

impl Lost {
    fn words(&self) -> String {
        match self {
            Self::NotBegun => "the runtime is shutting down".to_owned(),
            Self::Halfway => "its use ended in a panic".to_owned(),
        }
    }
}

#[async_trait]
impl Store for FileStore {
    async fn load(&mut self) -> Result<Option<Kept>, LoadError> {
        let loaded = self.blocking(|keeper| keeper.load()).await;
        loaded.unwrap_or_else(|lost| Err(LoadError { place: self.path.display().to_string(), words: lost.words() }))
    }

    /// If its future is dropped, the batch is kept or not as if it had been waited for, and the next call waits for its end.
    async fn commit(&mut self, batch: Batch) -> Result<(), CommitError> {
        // The first batch is that of whoever opens the ledger, on a task that may have more to do; the others are those of a task of their own.
        let committed = match batch.identity {
            Some(_) => self.blocking(move |keeper| keeper.commit(&batch)).await,
            None => self.blocking_here(move |keeper| keeper.commit(&batch)).await,
        };
        committed.unwrap_or_else(|lost| {
            let (place, words) = (self.path.display().to_string(), lost.words());
            Err(match lost {
                Lost::NotBegun => CommitError::Refused { place, words },
                Lost::Halfway => CommitError::Unknown { place, words },
            })
        })
    }
}

fn missing(path: &Path) -> Result<bool, FileStoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed(path, "opened")(error)),
    }
}

fn backend(path: &Path, write: bool) -> Result<FileBackend, FileStoreError> {
    let metadata = fs::metadata(path).map_err(failed(path, "opened"))?;
    if !metadata.is_file() {
        let words = if metadata.is_dir() { "it is a directory" } else { "it is no regular file" };
        return Err(FileStoreError::NotAStore { path: path.to_owned(), words: words.to_owned() });
    }
    let file = OpenOptions::new().read(true).write(write).open(path).map_err(failed(path, "opened"))?;
    FileBackend::new(file).map_err(|error| failed(path, "opened")(format::system(error.into())))
}

/// Makes a store under another name and gives it its own when it is whole, so that there never is a part of one.
fn create(
    path: &Path,
    owner: &Owner,
    opened_by: Incarnation,
    identity: Option<Identity>,
) -> Result<(), FileStoreError> {
    if !missing(path)? {
        return Err(FileStoreError::Exists { path: path.to_owned() });
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let new = beside(path, &format!("{}-{}.new", std::process::id(), now.as_nanos()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&new).map_err(failed(path, "made"))?;
    let made = FileBackend::new(file)
        .map_err(redb::Error::from)
        .and_then(|below| Keeper::found(&Disk::new(below, false), owner, opened_by, identity));
    // A link, unlike a rename, does not replace what another process has put there meanwhile.
    let linked = made.map_err(format::system).and_then(|()| fs::hard_link(&new, path));
    let removed = fs::remove_file(&new);
    match linked.and(removed).and_then(|()| sync_directory(path)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(FileStoreError::Exists { path: path.to_owned() })
        }
        made => made.map_err(failed(path, "made")),
    }
}

/// A name in the same directory.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// A new name is on disk only when its directory is.
fn sync_directory(of: &Path) -> io::Result<()> {
    let directory = of.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Elsewhere a directory cannot be opened as a file.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> FileStoreError {
    let path = path.to_owned();
    move |error| FileStoreError::Io { path, what, error }
}
