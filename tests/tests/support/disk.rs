//! A disk in memory, for the counts of one node: it outlives the node, and fails as it is told to.
//!
//! What is committed is there whole; a commit that is held up when its node dies is not there at all, unless it was held up after the sync.

use async_trait::async_trait;
use pingpong_core::exercise::{Batch, CommitError, Kept, LoadError, Store};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// A disk. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Inner>);

struct Inner {
    kept: Mutex<Option<Kept>>,
    manner: watch::Sender<Manner>,
    commits: watch::Sender<u64>,
}

/// How it does what it is asked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// How long a commit takes.
    pub(crate) latency: Duration,
    pub(crate) fault: Option<Fault>,
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)] // not every test file uses all of it
pub(crate) enum Fault {
    /// There is no room.
    Full,
    /// A sync fails, and what is on the disk then is this.
    Sync { kept: bool },
    /// A commit does not begin before this is over.
    HeldBefore,
    /// A commit is on the disk, and does not return before this is over.
    HeldAfter,
}

impl Default for Disk {
    fn default() -> Self {
        let (manner, commits) = (watch::Sender::default(), watch::Sender::default());
        Self(Arc::new(Inner { kept: Mutex::default(), manner, commits }))
    }
}

#[allow(dead_code)] // not every test file uses all of it
impl Disk {
    /// The store on it. One at a time: the node that had the last one is gone.
    pub(crate) fn store(&self) -> DiskStore {
        DiskStore { disk: self.clone(), failed: None }
    }

    /// From now on it does it like this.
    pub(crate) fn behave(&self, change: impl FnOnce(&mut Manner)) {
        self.0.manner.send_modify(change);
    }

    /// What fails from now on; `None` for nothing.
    pub(crate) fn fail(&self, fault: Option<Fault>) {
        self.behave(|manner| manner.fault = fault);
    }

    /// What is on it.
    pub(crate) fn kept(&self) -> Option<Kept> {
        self.0.kept.lock().unwrap().clone()
    }

    /// It is lost, or another one takes its place.
    pub(crate) fn put(&self, kept: Option<Kept>) {
        *self.0.kept.lock().unwrap() = kept;
    }

    /// Commits that have begun.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.0.commits.subscribe()
    }

    fn apply(&self, batch: Batch) {
        let mut kept = self.0.kept.lock().unwrap();
        let identity = batch.identity.or(kept.as_ref().map(|kept| kept.identity));
        let identity = identity.expect("the first batch of a store says who it is");
        let counts = kept.take().map(|kept| kept.counts).unwrap_or_default();
        let counts = counts.iter().filter(|(slot, _)| !batch.forgotten.contains(slot));
        let counts = counts.map(|(slot, count)| (slot.clone(), count)).chain(batch.raised).collect();
        *kept = Some(Kept { identity, counts });
    }
}

pub(crate) struct DiskStore {
    disk: Disk,
    failed: Option<CommitError>,
}

const PLACE: &str = "a disk of the tests";

#[async_trait]
impl Store for DiskStore {
    async fn load(&mut self) -> Result<Option<Kept>, LoadError> {
        Ok(self.disk.kept())
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), CommitError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let mut manner = self.disk.0.manner.subscribe();
        self.disk.0.commits.send_modify(|commits| *commits += 1);
        let latency = manner.borrow_and_update().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let now = *manner.wait_for(|manner| manner.fault != Some(Fault::HeldBefore)).await.expect("the disk is here");
        match now.fault {
            Some(Fault::Full) => {
                return Err(CommitError::Refused { place: PLACE.to_owned(), words: "no space left".to_owned() });
            }
            Some(Fault::Sync { kept }) => {
                if kept {
                    self.disk.apply(batch);
                }
                let failed = CommitError::Unknown { place: PLACE.to_owned(), words: "a sync failed".to_owned() };
                self.failed = Some(failed.clone());
                return Err(failed);
            }
            _ => self.disk.apply(batch),
        }
        let _ = manner.wait_for(|manner| manner.fault != Some(Fault::HeldAfter)).await;
        Ok(())
    }
}
