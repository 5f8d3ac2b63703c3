//! Nodes that keep their counts in files.

use crate::actor::{Actor, First, World};
use crate::disk::Disk;
use async_trait::async_trait;
use pingpong_conformance::toolkit::{TestNode, node};
use pingpong_core::exercise::{Batch, CommitError, Kept, LoadError, Store};
use pingpong_core::{ClusterName, Node};
use pingpong_node::store::counts::{FileStore, FileStoreError, Owner};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;

/// A directory with a file for each node.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("there is a directory for what is temporary"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.redb"))
    }

    pub(crate) fn owner(name: &str) -> Owner {
        Owner { cluster: ClusterName::new("prod").unwrap(), node: node(name) }
    }

    /// Opens the file of a node that starts.
    pub(crate) fn open(&self, node: &Node) -> Result<FileStore, FileStoreError> {
        let name = node.name.as_str();
        FileStore::open(&self.path(name), &Self::owner(name), node.incarnation)
    }

    /// Opens it once the process before has let it go: the last commit of one that was killed goes on to its end.
    pub(crate) async fn open_soon(&self, node: &TestNode) -> FileStore {
        let open = async {
            loop {
                match self.open(&node.transport().node()) {
                    Err(FileStoreError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
                    opened => return opened.expect("the file is right"),
                }
            }
        };
        tokio::time::timeout(node.timing().patience(), open).await.expect("a process that is gone holds no lock")
    }

    /// Starts a node on its file.
    pub(crate) async fn start(&self, world: &World<'_>, name: &str, first: First) -> Actor {
        self.start_slowly(world, name, first, &Gate::default()).await
    }

    /// As [`start`](Self::start), with commits that wait at this gate.
    pub(crate) async fn start_slowly(&self, world: &World<'_>, name: &str, first: First, gate: &Gate) -> Actor {
        let node = world.boot(name).await;
        let file = self.open_soon(&node).await;
        let store = Gated { file, gate: gate.clone() };
        let exercise = world.play(&node, store, first, world.members.clone()).await;
        world.actor(node, exercise, &Disk::default())
    }
}

/// Where commits wait. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Gate(Arc<watch::Sender<Passing>>);

#[derive(Clone, Copy, Debug, Default)]
struct Passing {
    /// The first commit that waits, and where.
    held: Option<(u64, Side)>,
    /// Commits that have come to it, and those that the file has.
    begun: u64,
    done: u64,
    /// The greatest count that came with the last one.
    greatest: u64,
}

/// On which side of the file commits wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }
}

impl Gate {
    /// Holds the commit after so many more, and all after it, and returns its number.
    pub(crate) fn hold_after(&self, more: u64, side: Side) -> u64 {
        let first = self.0.borrow().begun + more + 1;
        self.0.send_modify(|passing| passing.held = Some((first, side)));
        first
    }

    pub(crate) fn open(&self) {
        self.0.send_modify(|passing| passing.held = None);
    }

    /// Waits until the commit of that number has begun. Returns the greatest count in it.
    pub(crate) async fn until_begun(&self, number: u64) -> u64 {
        self.0.subscribe().wait_for(|passing| passing.begun >= number).await.expect("the gate is here").greatest
    }

    /// Waits until the file has the commit of that number.
    pub(crate) async fn until_done(&self, number: u64) {
        self.0.subscribe().wait_for(|passing| passing.done >= number).await.expect("the gate is here");
    }
}

struct Gated {
    file: FileStore,
    gate: Gate,
}

impl Gated {
    async fn waits(&self, number: u64, at: Side) {
        let mut passing = self.gate.0.subscribe();
        let passes = |passing: &Passing| passing.held.is_none_or(|(first, side)| side != at || number < first);
        passing.wait_for(passes).await.expect("the gate is here");
    }
}

#[async_trait]
impl Store for Gated {
    async fn load(&mut self) -> Result<Option<Kept>, LoadError> {
        self.file.load().await
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), CommitError> {
        let greatest = batch.raised.iter().map(|(_, count)| *count).max().unwrap_or(0);
        self.gate.0.send_modify(|passing| (passing.begun, passing.greatest) = (passing.begun + 1, greatest));
        let number = self.gate.0.borrow().begun;
        self.waits(number, Side::Before).await;
        self.file.commit(batch).await?;
        self.gate.0.send_modify(|passing| passing.done = number);
        self.waits(number, Side::After).await;
        Ok(())
    }
}
