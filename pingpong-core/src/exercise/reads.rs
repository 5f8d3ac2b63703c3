//! Reads and confirmations at a majority, for all clients of this node: those who wait share a round.

use super::counts::{Counts, Slot};
use super::members::Voices;
use super::messages::Agreement;
use super::quorum::{Lacks, Patience, Quorum};
use super::read::{MajorityRead, ReadError};
use super::rounds::Rounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long a read in another node's place goes on; the other gives it up at its own deadline.
const FOR_OTHERS: Duration = Duration::from_secs(10);

type Agreed = Result<MajorityRead, ReadError>;

/// A node's reads, by what is to be agreed on, and its confirmations.
#[derive(Debug)]
pub(super) struct Reads {
    values: Rounds<Asker, Agreed>,
    snapshots: Rounds<Asker, Agreed>,
    holds: Rounds<Hold, Result<(), ReadError>>,
    need: usize,
}

/// Who waits for a read.
#[derive(Debug)]
struct Asker {
    until: Instant,
    have: Arc<AtomicUsize>,
}

/// A count that a majority is to hold.
#[derive(Debug)]
struct Hold {
    slot: Slot,
    count: u64,
    until: Instant,
    have: Arc<AtomicUsize>,
}

/// A majority did not say in time that it holds a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotHeld {
    pub(super) have: usize,
    pub(super) need: usize,
}

impl Reads {
    pub(super) fn start(quorum: &Quorum) -> Self {
        let reads = |agreement| {
            let quorum = quorum.clone();
            Rounds::start(move |askers| read(quorum.clone(), agreement, askers))
        };
        let for_holds = quorum.clone();
        Self {
            values: reads(Agreement::Values),
            snapshots: reads(Agreement::Snapshot),
            holds: Rounds::start(move |askers| hold(for_holds.clone(), askers)),
            need: quorum.need(),
        }
    }

    /// What a majority agrees on, at the latest at that time. Cancel safe.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) async fn read(&self, agreement: Agreement, until: Instant) -> Agreed {
        let rounds = match agreement {
            Agreement::Values => &self.values,
            Agreement::Snapshot => &self.snapshots,
        };
        let have = Arc::new(AtomicUsize::new(0));
        let asker = Asker { until, have: Arc::clone(&have) };
        match tokio::time::timeout_at(until, rounds.ask(asker)).await {
            Ok(Some(agreed)) => agreed,
            Ok(None) => Err(ReadError::Stopped),
            Err(_) => Err(match agreement {
                Agreement::Values => ReadError::DeadlinePassed { have: have.load(Ordering::Relaxed), need: self.need },
                Agreement::Snapshot => ReadError::Unstable,
            }),
        }
    }

    /// The same for a node that is no member.
    pub(super) async fn agree(&self, agreement: Agreement) -> Agreed {
        self.read(agreement, Instant::now() + FOR_OTHERS).await
    }

    /// Waits until a majority holds a count, at the latest until that time. Cancel safe: the count is held all the same, or not.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub(super) async fn hold(&self, slot: Slot, count: u64, until: Instant) -> Result<(), NotHeld> {
        let have = Arc::new(AtomicUsize::new(0));
        let hold = Hold { slot, count, until, have: Arc::clone(&have) };
        match tokio::time::timeout_at(until, self.holds.ask(hold)).await {
            Ok(Some(Ok(()))) => Ok(()),
            _ => Err(NotHeld { have: have.load(Ordering::Relaxed), need: self.need }),
        }
    }
}

async fn read(quorum: Quorum, agreement: Agreement, askers: Vec<Asker>) -> Agreed {
    let until = askers.iter().map(|asker| asker.until).max().unwrap_or_else(Instant::now);
    let have = |have| askers.iter().for_each(|asker| asker.have.store(have, Ordering::Relaxed));
    quorum.read(agreement, until, have).await
}

async fn hold(quorum: Quorum, askers: Vec<Hold>) -> Result<(), ReadError> {
    let until = askers.iter().map(|asker| asker.until).max().unwrap_or_else(Instant::now);
    let counts: Counts = askers.iter().map(|asker| (asker.slot.clone(), asker.count)).collect();
    let have = |have| askers.iter().for_each(|asker| asker.have.store(have, Ordering::Relaxed));
    let lacks = Lacks::all(Arc::new(counts));
    quorum.hold(&lacks, Voices::default(), until, Patience::UntilDeadline, have).await.map(drop)
}
