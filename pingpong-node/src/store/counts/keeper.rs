//! One store, used by one thread at a time: its log, its tables, and what becomes of them when something fails (P6).
//!
//! A batch goes to the log, or, where that has no room for it or knows no such batch, to the tables, together with all that the log has. Either
//! way it is one sync, and one more where the tables must grow. What was kept is at any time: the tables, and over them the log.

use super::disk::Disk;
use super::format::{self, Facts, Wrong};
use super::layout::{self, Tables};
use super::log::{Appended, Log, Logged};
use super::{FileStoreError, Owner};
use pingpong_core::Incarnation;
use pingpong_core::exercise::{Batch, CommitError, Identity, Kept, LoadError, Slot};
use redb::{Builder, Database};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What redb may hold of the file in memory. A commit changes a few pages; the rest is read once.
const CACHE: usize = 2 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    owner: Owner,
    /// Before the disk, so that it is closed first. `None` while it is to be opened again.
    db: Option<Database>,
    disk: Disk,
    /// How many batches were kept, and how many of them the tables have.
    batches: u64,
    tabled: u64,
    log: Log,
    /// What the log has, and the tables do not: the slots that rose.
    logged: BTreeMap<Slot, u64>,
    /// Whether one of them, or `init`, has said who the store is.
    named: bool,
    /// What became unknown, from then on.
    unknown: Option<CommitError>,
}

impl Keeper {
    /// Opens what is there. Nothing is written before all of it was accepted.
    pub(super) fn open(
        path: PathBuf,
        owner: Owner,
        disk: Disk,
        opened_by: Incarnation,
    ) -> Result<(Self, Incarnation), FileStoreError> {
        let attached = attach(&disk, &owner);
        let logged = attached.and_then(|(db, facts)| {
            let found = logged(&disk, &facts)?;
            Ok((db, facts, found))
        });
        let (db, facts, Logged { mut log, batches, raised }) = logged.map_err(|wrong| wrong.of(&path, &owner))?;
        let all = Batch { raised: raised.into_iter().collect(), ..Batch::default() };
        let released = disk.release().map_err(redb::Error::from);
        if let Err(error) = released.and_then(|()| format::put(&db, &all, batches, Some(opened_by))) {
            disk.detach();
            return Err(FileStoreError::Io { path, what: "written", error: format::system(error) });
        }
        log.restart();
        let named = facts.identity.is_some();
        let keeper = Self {
            path,
            owner,
            db: Some(db),
            disk,
            batches,
            tabled: batches,
            log,
            logged: BTreeMap::new(),
            named,
            unknown: None,
        };
        Ok((keeper, facts.opened_by))
    }

    /// Reads all of it, and changes nothing.
    pub(super) fn check(path: PathBuf, owner: &Owner, disk: &Disk) -> Result<(), FileStoreError> {
        let checked = attach(disk, owner).and_then(|(db, facts)| {
            let logged = logged(disk, &facts)?;
            format::read(&db, owner, &logged.raised)
        });
        checked.map(drop).map_err(|wrong| wrong.of(&path, owner))
    }

    /// Makes a new store in an empty file.
    pub(super) fn found(
        disk: &Disk,
        owner: &Owner,
        opened_by: Incarnation,
        identity: Option<Identity>,
    ) -> Result<(), redb::Error> {
        layout::found(disk)?;
        let db = builder().create_with_backend(Tables(disk.clone()))?;
        format::found(&db, owner, opened_by, identity)?;
        Ok(db.close()?)
    }

    pub(super) fn load(&mut self) -> Result<Option<Kept>, LoadError> {
        let unreadable = |words| LoadError { place: self.path.display().to_string(), words };
        if let Some(unknown) = &self.unknown {
            return Err(unreadable(unknown.to_string()));
        }
        let Some(db) = &self.db else {
            return Err(unreadable("it is closed after a failure, until the next batch opens it again".to_owned()));
        };
        format::read(db, &self.owner, &self.logged)
            .map_err(|wrong| unreadable(wrong.of(&self.path, &self.owner).to_string()))
    }

    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        if let Some(unknown) = &self.unknown {
            return Err(unknown.clone());
        }
        if !self.named && batch.identity.is_none() {
            return Err(self.refused("its first batch must say whose it is".to_owned()));
        }
        let next = self.batches.wrapping_add(1);
        self.disk.watch();
        if self.db.is_none() && self.again(next)? {
            return Err(self.unknown("it has a batch that could not be kept"));
        }
        let appended = match batch {
            Batch { identity: None, raised, forgotten } if forgotten.is_empty() => {
                self.log.append(&self.disk, next, raised)
            }
            _ => Appended::NoRoom,
        };
        match appended {
            Appended::Kept => self.logged.extend(batch.raised.iter().cloned()),
            Appended::NoRoom => self.put(batch, next)?,
            Appended::Refused => return Err(self.refused(self.failure())),
            Appended::Unknown => return Err(self.unknown(&self.failure())),
        }
        self.batches = next;
        self.named = true;
        Ok(())
    }

    /// Keeps a batch in the tables, together with all that is in the log, which begins anew.
    fn put(&mut self, batch: &Batch, next: u64) -> Result<(), CommitError> {
        let mut raised = self.logged.clone();
        for slot in &batch.forgotten {
            raised.remove(slot);
        }
        raised.extend(batch.raised.iter().cloned());
        let all = Batch { raised: raised.into_iter().collect(), ..batch.clone() };
        let put = self.db.as_ref().map_or(Ok(()), |db| format::put(db, &all, next, None));
        if let Err(error) = put {
            let words = self.disk.failure().map_or_else(|| error.to_string(), |failure| failure.words);
            self.disk.detach();
            self.db = None;
            if !self.again(next)? {
                return Err(self.refused(words));
            }
        }
        self.tabled = next;
        self.logged.clear();
        self.log.restart();
        Ok(())
    }

    /// What the system said first.
    fn failure(&self) -> String {
        self.disk.failure().map_or_else(String::new, |failure| failure.words)
    }

    /// Opens the tables again after a batch failed, which leaves a database that takes nothing more, and says whether `next` is in them.
    ///
    /// redb writes its header, which names the new pages, in no certain order with them. What it opens is told by checksums: the new
    /// batch if all of it was written, else the one before. That is read before anything is written, from what the system would also
    /// write to the disk, so it is certain as long as no sync failed.
    fn again(&mut self, next: u64) -> Result<bool, CommitError> {
        if let Some(failure) = self.disk.failure().filter(|failure| failure.of_a_sync) {
            return Err(self.unknown(&failure.words));
        }
        let attached = attach(&self.disk, &self.owner);
        let (db, facts) = match attached {
            Ok(attached) => attached,
            Err(wrong) => {
                self.disk.detach();
                let words = wrong.of(&self.path, &self.owner).to_string();
                // Without a header that names it, it is not in the file, whatever else was written.
                return Err(if self.disk.header_written() { self.unknown(&words) } else { self.refused(words) });
            }
        };
        let kept = facts.batches == next;
        if !kept && facts.batches != self.tabled {
            self.disk.detach();
            return Err(
                self.unknown(&format!("its tables have {} batches, and {} were kept", facts.batches, self.tabled))
            );
        }
        match self.disk.release() {
            Ok(()) => self.db = Some(db),
            // What was to be written is the repair. A batch is kept only when that is synced.
            Err(_) if kept || self.disk.failure().is_some_and(|failure| failure.of_a_sync) => {
                return Err(self.unknown(&self.failure()));
            }
            Err(error) => return Err(self.refused(error.to_string())),
        }
        Ok(kept)
    }

    fn unknown(&mut self, words: &str) -> CommitError {
        self.disk.detach();
        self.db = None;
        let error = CommitError::Unknown { place: self.path.display().to_string(), words: words.to_owned() };
        self.unknown.insert(error).clone()
    }

    fn refused(&self, words: String) -> CommitError {
        CommitError::Refused { place: self.path.display().to_string(), words }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    // A plain opening trusts a file that says it was closed, and may panic if something else has changed it.
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

/// Opens, repairs and reads the facts; whatever that changes is staged.
fn attach(disk: &Disk, owner: &Owner) -> Result<(Database, Facts), Wrong> {
    disk.stage().map_err(redb::Error::from)?;
    layout::check(disk)?;
    let db = builder().create_with_backend(Tables(disk.clone()))?;
    let facts = format::facts(&db, owner)?;
    Ok((db, facts))
}

/// What the log has beyond the tables.
fn logged(disk: &Disk, facts: &Facts) -> Result<Logged, Wrong> {
    let logged = Log::read(disk, facts.batches)?;
    match facts.identity {
        None if logged.batches > 0 => Err(Wrong::Words("it has counted, and does not say its epoch".to_owned())),
        _ => Ok(logged),
    }
}
