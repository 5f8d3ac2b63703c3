//! A store that ends with its process: whatever tasks of a killed node still run, nothing reaches its disk any more.

use crate::disk::{Disk, DiskStore};
use async_trait::async_trait;
use pingpong_core::exercise::{Batch, CommitError, Counts, Kept, LoadError, Store};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Ends what one process does with a disk.
pub(crate) struct Fence {
    disk: Disk,
    dead: watch::Sender<bool>,
    in_flight: Arc<Mutex<Option<Batch>>>,
}

impl Fence {
    /// The store of a process that begins now.
    pub(crate) fn around(disk: &Disk) -> (Self, FencedStore) {
        let (dead, in_flight) = (watch::Sender::new(false), Arc::default());
        let store = FencedStore { store: disk.store(), dead: dead.subscribe(), in_flight: Arc::clone(&in_flight) };
        (Self { disk: disk.clone(), dead, in_flight }, store)
    }

    /// The process is killed. What it was storing then is on the disk if that is said, and else only if it was there already.
    pub(crate) fn kill(self, lands: bool) {
        self.dead.send_replace(true);
        let in_flight = self.in_flight.lock().unwrap().take();
        if let Some(batch) = in_flight.filter(|_| lands) {
            // To store it a second time changes nothing.
            self.disk.put(apply(self.disk.kept(), batch));
        }
    }
}

fn apply(kept: Option<Kept>, batch: Batch) -> Option<Kept> {
    let identity = batch.identity.or(kept.as_ref().map(|kept| kept.identity))?;
    let counts: Counts = kept.map(|kept| kept.counts).unwrap_or_default();
    let counts = counts.iter().filter(|(slot, _)| !batch.forgotten.contains(slot));
    let counts = counts.map(|(slot, count)| (slot.clone(), count)).chain(batch.raised).collect();
    Some(Kept { identity, counts })
}

pub(crate) struct FencedStore {
    store: DiskStore,
    dead: watch::Receiver<bool>,
    in_flight: Arc<Mutex<Option<Batch>>>,
}

#[async_trait]
impl Store for FencedStore {
    async fn load(&mut self) -> Result<Option<Kept>, LoadError> {
        self.store.load().await
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), CommitError> {
        if !*self.dead.borrow() {
            *self.in_flight.lock().unwrap() = Some(batch.clone());
        }
        let done = tokio::select! {
            biased;
            () = dead(&mut self.dead) => None,
            done = self.store.commit(batch) => Some(done),
        };
        match done {
            Some(done) => {
                *self.in_flight.lock().unwrap() = None;
                done
            }
            None => std::future::pending().await,
        }
    }
}

async fn dead(dead: &mut watch::Receiver<bool>) {
    // An error is a fence that is gone, with its process.
    let _ = dead.wait_for(|dead| *dead).await;
}
