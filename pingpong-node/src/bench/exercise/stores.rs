//! Where the nodes keep their counts: in memory, or in files of a directory that goes with the bench.

use crate::bench::node::{CLUSTER, Keep};
use crate::cluster::{ClusterError, name};
use pingpong_node::exercise::{Batch, Identity, Origin, Slot, Standing, Store};
use pingpong_node::store::{FileStore, Owner};
use pingpong_node::{ClusterName, Incarnation, NodeName};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// What counts are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A file of each node.
    File,
    /// The memory of its process.
    Memory,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Memory => "memory",
        }
    }
}

/// The stores of all nodes. The last clone that is dropped removes the files.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    dir: Option<Arc<TempDir>>,
}

impl Stores {
    /// Files go to a new directory in that one.
    pub(crate) fn new(kind: Kind, within: &Path) -> Result<Self, ClusterError> {
        let dir = match kind {
            Kind::Memory => None,
            Kind::File => {
                let made = tempfile::Builder::new().prefix("pingpong-bench-").tempdir_in(within);
                let refused = ClusterError::system(format!("no directory can be made in {}", within.display()));
                Some(Arc::new(made.map_err(refused)?))
            }
        };
        Ok(Self { dir })
    }

    /// The file of a node.
    pub(crate) fn file(&self, node: usize) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.path().join(format!("{}.redb", name(node))))
    }

    /// What a node that starts is told.
    pub(crate) fn keep(&self, node: usize, first: bool) -> Keep {
        Keep { file: self.file(node), first }
    }
}

/// Makes the file of a node that has counted before: slots of so many producers, of so many epochs each, with one ping each.
pub(super) async fn fill(path: PathBuf, node: usize, producers: u64, epochs: u64) -> Result<(), ClusterError> {
    let made = |error: &dyn std::fmt::Display| ClusterError::own("a file of counts")(error.to_string());
    let own = NodeName::new(&name(node)).map_err(|error| made(&error))?;
    let cluster = ClusterName::new(CLUSTER).map_err(|error| made(&error))?;
    let epoch = Incarnation::new(1, 0);
    let mut raised = vec![(Slot { producer: own.clone(), epoch }, 0)];
    for producer in 0..producers {
        let producer = NodeName::new(&format!("producer-{producer}")).map_err(|error| made(&error))?;
        raised.extend(
            (1..=epochs).map(|epoch| (Slot { producer: producer.clone(), epoch: Incarnation::new(epoch, 0) }, 1)),
        );
    }
    let identity = Identity { epoch, origin: Origin::Init, standing: Standing::Active };
    let owner = Owner { cluster, node: own };
    let open = tokio::task::spawn_blocking(move || FileStore::open(&path, &owner, epoch));
    let mut store = open.await.map_err(|error| made(&error))?.map_err(|error| made(&error))?;
    let batch = Batch { identity: Some(identity), raised, forgotten: Vec::new() };
    store.commit(batch).await.map_err(|error| made(&error))
}
