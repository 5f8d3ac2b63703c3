//! The one owner of a node's counts, and of the store that keeps them (P2, P3, P5, P6).
//!
//! The servers of a node decide, and tell the ledger; it outlives them. What they tell it waits for the store and is committed together,
//! one sync for all that wait; then it is published: readers and other nodes see nothing else.
//!
//! | part | what it does |
//! | --- | --- |
//! | `state` | what is pending, committing and published: pure |
//! | `rules` | who may say what, and how much |
//! | `recent` | what changed last, for news |
//! | `parts` | what of it others lack, found by sums |
//! | `progress` | how far the store has come, and who waits for it |
//! | `writer` | the one task that talks to the store |

mod parts;
mod progress;
mod recent;
mod rules;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use parts::Piece;
pub(super) use rules::Source;
pub use rules::{Ignored, StoreLimits};
pub(super) use state::Merged;

use super::counts::{Counts, Slot};
use super::digest::Sum;
use super::members::{Members, Voice};
use super::messages::{PingRefused, Pinged};
use super::store::{CommitError, Identity, Kept, LoadError, MemoryStore, Origin, Standing, Store};
use crate::node::{Incarnation, Node};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use progress::{Progress, Watched};
use state::State;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

/// How a ledger is opened.
#[derive(Clone, Debug, Default)]
pub struct LedgerOptions {
    /// Bounds of what is counted.
    pub limits: StoreLimits,
    /// Who votes; nobody, by default: then there are neither acknowledgements nor reads by majority.
    pub members: Option<Members>,
    /// Whether an empty store is that of a node's very first start, in a cluster that starts for the first time (P25). Only a person knows.
    /// By default it is one that was lost: the node, if it is a member, recovers before it votes.
    pub init: bool,
}

/// A ledger cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store does not take its first batch.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The counts of one node, and the store that keeps them. It outlives the servers of its node; dropping it ends its task.
///
/// ```
/// use pingpong_core::exercise::{Ledger, LedgerOptions, MemoryStore};
/// use pingpong_core::{Incarnation, Node, NodeName};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Node { name: NodeName::new("a")?, incarnation: Incarnation::new(1, 2) };
/// let ledger = Ledger::open(MemoryStore, &node, LedgerOptions::default()).await?;
/// assert_eq!(ledger.counts().get(&ledger.slot()), Some(0), "the epoch has begun");
/// # Ok(())
/// # }
/// ```
pub struct Ledger {
    shared: Arc<Shared>,
    /// Its task; none once it is closed, and in tests that run it themselves.
    writer: std::sync::Mutex<Option<JoinHandle<()>>>,
}

/// What the ledger's users and its writer have in common.
struct Shared {
    state: Mutex<State>,
    /// Told when something waits for the store.
    work: Notify,
    /// Follows the state's revision.
    revisions: watch::Sender<u64>,
    progress: Watched,
}

/// A new epoch has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    /// The change to wait for.
    pub(super) ticket: u64,
    /// Whether it was this call that began it.
    pub(super) now: bool,
}

/// A slot that has changed.
#[derive(Clone, Debug)]
pub(super) struct Changed {
    pub(super) slot: Slot,
    pub(super) count: u64,
    /// Who brought it; nobody, if this node's own producer did.
    pub(super) by: Option<Node>,
}

/// A member at an instant: what it has published, and what speaks for it.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) standing: Standing,
    pub(super) voice: Voice,
    pub(super) counts: Arc<Counts>,
    pub(super) sum: Sum,
}

impl Ledger {
    /// Opens the store of a node. What was kept in it is published at once; an empty one begins with the node's incarnation as its epoch.
    ///
    /// One ledger for each incarnation, if its store was empty: a second one would begin the same slot again, and count new pings under
    /// old numbers (P4). Must be called within a tokio runtime, on which the task that talks to the store will run.
    ///
    /// Not cancel safe: dropped before it is ready, the store may have its first batch or not.
    ///
    /// # Errors
    /// [`OpenError`]; the store was not changed, or has its first batch.
    pub async fn open(store: impl Store, node: &Node, options: LedgerOptions) -> Result<Arc<Self>, OpenError> {
        let mut store: Box<dyn Store> = Box::new(store);
        let loaded = store.load().await?;
        let is_member = options.members.as_ref().is_some_and(|members| members.has(&node.name));
        let is_new = loaded.is_none();
        let kept = loaded.unwrap_or_else(|| Kept {
            identity: Identity {
                epoch: node.incarnation,
                origin: if options.init { Origin::Init } else { Origin::Replacement },
                // Whatever it is said to be: the others know (P25).
                standing: Standing::Recovering,
            },
            counts: Counts::new(),
        });
        let standing = match kept.identity.standing {
            _ if !is_member => Standing::Observer,
            // It was none: others may have acknowledged what never came here.
            Standing::Observer => Standing::Recovering,
            standing => standing,
        };
        let identity = Identity { standing, ..kept.identity };
        let is_another = identity != kept.identity;
        let mut state = State::new(node.name.clone(), kept, options.limits, options.members);
        if is_new || state.counts.get(&state.own()).is_none() {
            state.begin(identity);
        } else if is_another {
            state.set_identity(identity);
        }
        if let Some(batch) = state.take() {
            store.commit(batch).await?;
            state.committed();
        }
        state.is_kept = !is_new;
        let shared = Arc::new(Shared::new(state));
        let writer = tokio::spawn(writer::run(Arc::clone(&shared), store, node.clone()));
        Ok(Arc::new(Self { shared, writer: std::sync::Mutex::new(Some(writer)) }))
    }

    /// A new one without members, and its task, which the test runs where it likes.
    #[cfg(all(test, feature = "interleavings"))]
    pub(super) fn with_writer(store: impl Store, node: &Node) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let identity = Identity { epoch: node.incarnation, origin: Origin::Init, standing: Standing::Observer };
        let mut state =
            State::new(node.name.clone(), Kept { identity, counts: Counts::new() }, StoreLimits::default(), None);
        state.begin(identity);
        let shared = Arc::new(Shared::new(state));
        let task = writer::run(Arc::clone(&shared), Box::new(store), node.clone());
        (Self { shared, writer: std::sync::Mutex::default() }, task)
    }

    /// A ledger in memory, without members: its counts are gone with the process. Not cancel safe, as [`open`](Self::open).
    ///
    /// # Errors
    /// None in truth: memory takes everything.
    pub async fn in_memory(node: &Node) -> Result<Arc<Self>, OpenError> {
        Self::open(MemoryStore, node, LedgerOptions::default()).await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// Lets go of the store, and waits until it is free for another ledger: a batch that is on its way is kept, and what waits is not;
    /// [`flush`](Self::flush) first, if it is to be. Nothing is accepted any more.
    ///
    /// Cancel safe: once polled, the store is let go although the future is dropped.
    pub async fn close(&self) {
        let words = "the ledger was closed".to_owned();
        self.shared.close(CommitError::Unknown { place: "the ledger".to_owned(), words });
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // However it ended, the store is free.
            let _ = writer.await;
        }
    }

    /// The slot in which this node's pings count.
    pub fn slot(&self) -> Slot {
        self.lock().own()
    }

    /// Who the store is.
    pub fn identity(&self) -> Identity {
        self.lock().identity
    }

    /// Who votes.
    pub fn members(&self) -> Option<Members> {
        self.lock().members.clone()
    }

    /// All that is published.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.lock().counts)
    }

    /// What was heard and not taken over, since the ledger was opened.
    pub fn ignored(&self) -> Ignored {
        self.lock().ignored
    }

    /// A number that rises with each change of what is published: whoever watches it needs not ask again and again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.revisions.subscribe()
    }

    /// Waits until the store has failed for good, and says how (P6). The node must stop then: what the store has kept is unknown, and
    /// only a new process can read it. Cancel safe.
    pub async fn failed(&self) -> CommitError {
        self.shared.progress.wait_for(|progress| progress.closed).await;
        self.lock().trouble()
    }

    /// Waits until this node may vote, if it is a member: it has recovered, or had nothing to recover (P23). Cancel safe.
    pub async fn until_active(&self) {
        self.until(Standing::Active).await;
    }

    /// Waits until everything that was accepted is in the store. Cancel safe.
    ///
    /// # Errors
    /// [`CommitError`] when the store refuses it, or has failed.
    pub async fn flush(&self) -> Result<(), CommitError> {
        let ticket = self.lock().accepted();
        self.settled(ticket).await
    }

    /// Counts pings: numbers them, and returns when that is in the store (P2).
    ///
    /// Dropped before it is ready, the pings are counted or not.
    pub(super) async fn ping(&self, pings: u64) -> Result<Pinged, PingRefused> {
        let (counted, done) = oneshot::channel();
        {
            let mut state = self.lock();
            if let Some(error) = &state.closed {
                return Err(refused(error));
            }
            state.ping(pings, counted)?;
        }
        self.shared.work.notify_one();
        match done.await {
            Ok(Ok(pinged)) => Ok(pinged),
            Ok(Err(error)) => Err(refused(&error)),
            // The writer is gone, with its runtime.
            Err(_) => Err(PingRefused::StoreClosed("the ledger is closed".to_owned())),
        }
    }

    /// Takes over what is greater, and may be said by its source. It is published when it is synced.
    pub(super) fn merge(&self, source: Source<'_>, counts: &Counts) -> Merged {
        let merged = self.lock().merge(source, counts);
        self.shared.work.notify_one();
        merged
    }

    /// Waits until a change is synced, or the store says that it cannot be for now. Cancel safe.
    pub(super) async fn settled(&self, ticket: u64) -> Result<(), CommitError> {
        let settled = |p: &Progress| p.synced >= ticket || p.refused >= ticket || p.closed;
        let progress = self.shared.progress.wait_for(settled).await;
        if progress.synced >= ticket { Ok(()) } else { Err(self.lock().trouble()) }
    }

    /// Waits until a change is synced, however often the store refuses it. Cancel safe.
    ///
    /// # Errors
    /// [`CommitError::Unknown`]: the store has failed.
    pub(super) async fn synced(&self, ticket: u64) -> Result<(), CommitError> {
        let progress = self.shared.progress.wait_for(|progress| progress.synced >= ticket || progress.closed).await;
        if progress.synced >= ticket { Ok(()) } else { Err(self.lock().trouble()) }
    }

    /// The last change that is synced.
    pub(super) fn last_synced(&self) -> u64 {
        self.shared.progress.now().synced
    }

    /// Counts a direct count that went back.
    pub(super) fn count_backwards(&self) {
        self.lock().ignored.backwards += 1;
    }

    /// This node as a member, at this instant.
    pub(super) fn published(&self) -> Published {
        let state = self.lock();
        Published {
            standing: state.identity.standing,
            voice: state.voice(),
            counts: Arc::clone(&state.counts),
            sum: state.digest.root(),
        }
    }

    /// What has changed since that revision; `None` if nobody knows any more. And the revision now.
    pub(super) fn changed_since(&self, revision: u64) -> (Option<Vec<Changed>>, u64) {
        let state = self.lock();
        let changed = state.recent.after(revision).map(|changed| {
            let with_count = |(slot, by): &(Slot, Option<Node>)| {
                Some(Changed { slot: slot.clone(), count: state.counts.get(slot)?, by: by.clone() })
            };
            changed.filter_map(with_count).collect()
        });
        (changed, state.revision)
    }

    /// All that is published, and its revision.
    pub(super) fn counts_at(&self) -> (Arc<Counts>, u64) {
        let state = self.lock();
        (Arc::clone(&state.counts), state.revision)
    }

    /// Waits until something is published after that revision. Cancel safe.
    pub(super) async fn changed_after(&self, revision: u64) {
        let mut revisions = self.shared.revisions.subscribe();
        if revisions.wait_for(|now| *now > revision).await.is_err() {
            // Not reached: the sender is in the ledger itself.
            std::future::pending::<()>().await;
        }
    }

    /// The revision of what is published.
    pub(super) fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// Whether a slot was accepted, published or not.
    pub(super) fn knows(&self, slot: &Slot) -> bool {
        self.lock().known(slot).is_some()
    }

    /// The store begins anew with this epoch: what it has counted so far stays as it is (P4, P27). A member recovers.
    ///
    /// Returns the change to wait for, also if it has begun anew already and only the store has not come so far. Refused, with the own slot, if
    /// the epoch is not above the present one, or pings of it were numbered since the ledger was
    /// opened: those have numbers that others have given away already, and cannot be taken back.
    pub(super) fn begin(&self, epoch: Incarnation) -> Result<Begun, Slot> {
        let mut state = self.lock();
        if state.next_identity().epoch > state.identity.epoch {
            return Ok(Begun { ticket: state.accepted(), now: false });
        }
        if epoch <= state.identity.epoch || state.has_pinged() {
            return Err(state.own());
        }
        let standing = if state.is_member() { Standing::Recovering } else { Standing::Observer };
        state.begin(Identity { epoch, origin: Origin::Replacement, standing });
        let ticket = state.accepted();
        drop(state);
        self.shared.work.notify_one();
        Ok(Begun { ticket, now: true })
    }

    /// Whether it was opened on a store that had been used before, and may be older than what others have seen of it (P27).
    pub(super) fn is_kept(&self) -> bool {
        self.lock().is_kept
    }

    /// The identity that there is, or is about to be; and the last change, by which it is.
    pub(super) fn next_identity(&self) -> (Identity, u64) {
        let state = self.lock();
        (state.next_identity(), state.accepted())
    }

    /// Waits until this node has to recover. Cancel safe.
    pub(super) async fn until_recovering(&self) {
        self.until(Standing::Recovering).await;
    }

    /// Waits until an epoch above that one has begun. Cancel safe.
    pub(super) async fn until_above(&self, known: Incarnation) {
        self.shared.progress.wait_for(|_| self.next_identity().0.epoch > known).await;
    }

    async fn until(&self, standing: Standing) {
        self.shared.progress.wait_for(|_| self.identity().standing == standing).await;
    }

    /// This member votes from now on, with this epoch; returns the change to wait for. `None`: another epoch has begun meanwhile, which knows
    /// nothing of what was asked for this one.
    pub(super) fn activate(&self, epoch: Incarnation) -> Option<u64> {
        let mut state = self.lock();
        let identity = state.next_identity();
        if identity.epoch != epoch {
            return None;
        }
        let ticket = state.set_identity(Identity { standing: Standing::Active, ..identity });
        drop(state);
        self.shared.work.notify_one();
        Some(ticket)
    }

    /// The store is no longer taken for the first one of its node (P25): it recovers. Returns the change to wait for.
    pub(super) fn stand_as_replacement(&self) -> u64 {
        let mut state = self.lock();
        let identity =
            Identity { standing: Standing::Recovering, origin: Origin::Replacement, ..state.next_identity() };
        let ticket = state.set_identity(identity);
        drop(state);
        self.shared.work.notify_one();
        ticket
    }
}

fn refused(error: &CommitError) -> PingRefused {
    match error {
        CommitError::Refused { .. } => PingRefused::StoreFull(error.to_string()),
        CommitError::Unknown { .. } => PingRefused::StoreClosed(error.to_string()),
    }
}

impl Shared {
    fn new(state: State) -> Self {
        let (revision, synced) = (state.revision, state.accepted());
        Self {
            state: Mutex::new(state),
            work: Notify::new(),
            revisions: watch::Sender::new(revision),
            progress: Watched::new(Progress { synced, ..Progress::default() }),
        }
    }

    // Nothing panics while it is held, and each change is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner) {
            writer.abort();
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("slot", &self.slot()).finish_non_exhaustive()
    }
}
