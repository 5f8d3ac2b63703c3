//! The store that is gone with its process.

use super::{Batch, CommitError, Kept, LoadError, Store};
use async_trait::async_trait;

/// Keeps nothing beside what its ledger holds anyway. Each start of the process is a new epoch (P5), and for a member amnesia, except
/// at the first start of its cluster (P25).
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryStore;

#[async_trait]
impl Store for MemoryStore {
    async fn load(&mut self) -> Result<Option<Kept>, LoadError> {
        Ok(None)
    }

    async fn commit(&mut self, _: Batch) -> Result<(), CommitError> {
        Ok(())
    }
}
