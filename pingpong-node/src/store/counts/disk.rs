//! What the log and redb read and write through: the file, watched.
//!
//! redb says of a commit that failed only that it may have become durable. What a node must know is whether a *sync* failed, for then
//! nobody can tell what the disk has, or something before it, which leaves what was synced as it is (P6). So each failure is written
//! down here, where the calls are made. After a failed sync nothing is written or synced any more: the system may call clean what it
//! has lost.
//!
//! A database that is opened is written to at once: its repair, and the mark that it is in use. A file that will be refused must not be
//! (P7). So opening is *staged*: changes are kept in memory, and what is read shows them, until the file is accepted; only then they
//! are made, in the order in which redb made them.
//!
//! The locks that redb asks for are held from the first opening until the file is let go, over openings in between (P27).

use super::layout::TABLES;
use redb::{BackendError, StorageBackend};
use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// redb keeps both of its commit slots, and which of them holds, in so many first bytes of the tables.
const HEADER: u64 = 4096;

type Range = (Bound<u64>, Bound<u64>);

/// A file, watched. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    below: Box<dyn StorageBackend>,
    /// Only to be read: others may read it too.
    reader: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Vec<Range>,
    staged: Option<Staged>,
    failure: Option<Failure>,
    /// Whether the slots have been written to since [`Disk::watch`], or may have been.
    header_written: bool,
}

/// What failed first; a sync that failed counts more, and is never forgotten.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// What the system said, of what.
    pub(super) words: String,
    /// It was a sync.
    pub(super) of_a_sync: bool,
}

/// Changes that the file does not have yet, oldest first.
struct Staged {
    below: u64,
    len: u64,
    changes: Vec<Change>,
}

enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl Disk {
    pub(super) fn new(below: impl StorageBackend, reader: bool) -> Self {
        Self(Arc::new(Watched { below: Box::new(below), reader, state: Mutex::default() }))
    }

    /// From here on changes are staged; what was staged before is dropped.
    pub(super) fn stage(&self) -> io::Result<()> {
        let mut state = self.state();
        let below = self.0.below.len().map_err(|error| state.failed("measured", error))?;
        state.staged = Some(Staged { below, len: below, changes: Vec::new() });
        Ok(())
    }

    /// Makes the changes that were staged, and all later ones directly.
    pub(super) fn release(&self) -> io::Result<()> {
        let changes = self.state().staged.take().map_or_else(Vec::new, |staged| staged.changes);
        let released = changes.into_iter().try_for_each(|change| match change {
            Change::Write(offset, bytes) => self.write(offset, &bytes),
            Change::SetLen(len) => self.set_len(len),
            Change::Sync => self.sync_data(),
        });
        if released.is_err() {
            self.detach();
        }
        released
    }

    /// From here on nothing reaches the file, until it is staged again: a database that is given up still writes when it is dropped.
    pub(super) fn detach(&self) {
        self.state().staged = Some(Staged { below: 0, len: 0, changes: Vec::new() });
    }

    /// Forgets what failed, unless that was a sync, and begins to watch the slots.
    pub(super) fn watch(&self) {
        let mut state = self.state();
        state.failure.take_if(|failure| !failure.of_a_sync);
        state.header_written = false;
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.state().failure.clone()
    }

    pub(super) fn header_written(&self) -> bool {
        self.state().header_written
    }

    /// What is behind the lock is whole between any two lines here, whatever panics.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn failed(&mut self, what: &str, error: io::Error) -> io::Error {
        let of_a_sync = what == "synced";
        if self.failure.as_ref().is_none_or(|first| of_a_sync && !first.of_a_sync) {
            self.failure = Some(Failure { words: format!("it cannot be {what}: {error}"), of_a_sync });
        }
        error
    }

    fn writable(&self) -> io::Result<()> {
        match &self.failure {
            Some(failure) if failure.of_a_sync => Err(io::Error::other(failure.words.clone())),
            _ => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.state();
        match &state.staged {
            Some(staged) => Ok(staged.len),
            None => self.0.below.len().map_err(|error| state.failed("measured", error)),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        let read = match &state.staged {
            Some(staged) => staged.read(&*self.0.below, offset, out),
            None => self.0.below.read(offset, out),
        };
        read.map_err(|error| state.failed("read", error))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        if let Some(staged) = &mut state.staged {
            staged.len = len;
            staged.changes.push(Change::SetLen(len));
            return Ok(());
        }
        state.writable()?;
        self.0.below.set_len(len).map_err(|error| state.failed("resized", error))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        if let Some(staged) = &mut state.staged {
            staged.changes.push(Change::Sync);
            return Ok(());
        }
        state.writable()?;
        self.0.below.sync_data().map_err(|error| state.failed("synced", error))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if let Some(staged) = &mut state.staged {
            staged.len = staged.len.max(offset + data.len() as u64);
            staged.changes.push(Change::Write(offset, data.to_vec()));
            return Ok(());
        }
        state.writable()?;
        state.header_written |= (TABLES..TABLES + HEADER).contains(&offset);
        self.0.below.write(offset, data).map_err(|error| state.failed("written", error))
    }

    /// Not yet: the file may be opened again.
    fn close(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        let mut state = self.state();
        if state.held.contains(&(start, end)) {
            return Ok(true);
        }
        let locked = match self.0.reader {
            true => self.0.below.try_lock_shared_range(start, end)?,
            false => self.0.below.try_lock_range(start, end)?,
        };
        if locked {
            state.held.push((start, end));
        }
        Ok(locked)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.below.unlock_range(start, end)?;
        self.state().held.retain(|held| *held != (start, end));
        Ok(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The locks go with the file in any case.
        let _ = self.below.close();
    }
}

impl Staged {
    fn read(&self, below: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (has, lacks) = out.split_at_mut(within(self.below, offset, out.len()));
        if !has.is_empty() {
            below.read(offset, has)?;
        }
        lacks.fill(0);
        for change in &self.changes {
            match change {
                Change::Write(at, bytes) => {
                    // Where the two begin in each other; one of the two is 0.
                    let (skip, from) = (within(offset, *at, bytes.len()), within(*at, offset, out.len()));
                    let count = (bytes.len() - skip).min(out.len() - from);
                    out[from..from + count].copy_from_slice(&bytes[skip..skip + count]);
                }
                Change::SetLen(len) => {
                    let kept = within(*len, offset, out.len());
                    out[kept..].fill(0);
                }
                Change::Sync => {}
            }
        }
        Ok(())
    }
}

/// How many of the `len` bytes from `start` on are before `end`.
fn within(end: u64, start: u64, len: usize) -> usize {
    usize::try_from(end.saturating_sub(start)).map_or(len, |before| before.min(len))
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged").field("len", &self.len).field("changes", &self.changes.len()).finish()
    }
}
