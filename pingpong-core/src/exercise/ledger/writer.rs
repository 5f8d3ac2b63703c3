//! The one task that talks to the store: everything that waits becomes one batch, and the next waits meanwhile (P3).

use super::Shared;
use crate::exercise::backoff::Backoff;
use crate::exercise::store::{CommitError, Store};
use crate::node::Node;
use std::sync::Arc;
use std::time::Duration;

/// The first wait after a batch was refused, doubled each time.
const AGAIN_LEAST: Duration = Duration::from_millis(100);
/// The longest wait.
const AGAIN_MOST: Duration = Duration::from_secs(5);

/// Keeps what waits, until the store fails for good, or the ledger is dropped.
pub(super) async fn run(shared: Arc<Shared>, mut store: Box<dyn Store>, node: Node) {
    let mut backoff = Backoff::new(AGAIN_LEAST, AGAIN_MOST, &node);
    let mut refused = 0;
    loop {
        let taken = shared.lock().take();
        let Some(batch) = taken else {
            if shared.is_closed() {
                return;
            }
            shared.work.notified().await;
            continue;
        };
        match store.commit(batch).await {
            Ok(()) => {
                if refused > 0 {
                    tracing::info!(refused, "the store keeps counts again");
                }
                refused = 0;
                shared.committed();
            }
            Err(error @ CommitError::Refused { .. }) => {
                if refused == 0 {
                    tracing::error!(%error, "counts are not stored");
                }
                let delay = backoff.delay(refused);
                refused = refused.saturating_add(1);
                shared.refused(error);
                shared.again(delay).await;
            }
            Err(error) => {
                tracing::error!(%error, "the store is closed");
                return shared.close(error);
            }
        }
    }
}

impl Shared {
    fn committed(&self) {
        let mut state = self.lock();
        let synced = state.committed();
        self.revisions.send_if_modified(|revision| std::mem::replace(revision, state.revision) != state.revision);
        drop(state);
        if let Some(synced) = synced {
            self.progress.change(|progress| progress.synced = synced);
        }
    }

    fn refused(&self, error: CommitError) {
        let refused = self.lock().refused(error);
        if let Some(refused) = refused {
            self.progress.change(|progress| progress.refused = refused);
        }
    }

    pub(super) fn close(&self, error: CommitError) {
        self.lock().close(error);
        self.progress.change(|progress| progress.closed = true);
        self.work.notify_one();
    }

    fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Waits before a batch is tried again, or until somebody pings: then there is somebody to be told.
    async fn again(&self, delay: Duration) {
        let again = tokio::time::sleep(delay);
        tokio::pin!(again);
        loop {
            tokio::select! {
                biased;
                () = &mut again => return,
                () = self.work.notified() => {
                    if self.lock().has_pings() || self.is_closed() {
                        return;
                    }
                }
            }
        }
    }
}
