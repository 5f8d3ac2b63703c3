//! The ping exercise on this node: it pings and reads as a service would, and counts what was acknowledged.

use super::counter::Ask;
use super::repeat::{Kept, Span, repeat};
use super::span;
use crate::bench::clock::wall_micros;
use crate::bench::exercise::{Agreed, Level, Outcome, Task};
use crate::bench::node::CLUSTER;
use pingpong_node::exercise::{Exercise, Ledger, LedgerOptions, Members, MemoryStore, ReadError, Settings};
use pingpong_node::server::TransportExt;
use pingpong_node::store::{FileStore, Owner};
use pingpong_node::{ClusterName, NodeName, ServerName, Targets, Transport};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long one ping or read may take: as a call of the bench.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of a write that is synced: a page.
const PAGE: usize = 4_096;

/// What a node keeps its counts in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Keep {
    /// A file; memory, if there is none.
    pub(crate) file: Option<PathBuf>,
    /// Whether the node was never there before.
    pub(crate) first: bool,
}

/// The exercise at work.
pub(super) struct OnNode {
    transport: Arc<dyn Transport>,
    exercise: Arc<Exercise>,
    file: Option<PathBuf>,
    /// Pings that were acknowledged since it started.
    acknowledged: Arc<AtomicU64>,
}

impl OnNode {
    /// Opens the store, and starts the servers. All nodes are members.
    pub(super) async fn start(transport: Arc<dyn Transport>, keep: &Keep, nodes: usize) -> Result<Self, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let (node, cluster) = (transport.node(), ClusterName::new(CLUSTER).map_err(|error| words(&error))?);
        let names = (0..nodes).map(|node| NodeName::new(&crate::cluster::name(node)));
        let names: Vec<NodeName> = names.collect::<Result<_, _>>().map_err(|error| words(&error))?;
        let members = Some(Members::new(cluster.clone(), names).map_err(|error| words(&error))?);
        let options = LedgerOptions { members, init: keep.first, ..LedgerOptions::default() };
        let ledger = match &keep.file {
            None => Ledger::open(MemoryStore, &node, options).await,
            Some(path) => {
                let owner = Owner { cluster, node: node.name.clone() };
                let store = FileStore::open(path, &owner, node.incarnation).map_err(|error| words(&error))?;
                Ledger::open(store, &node, options).await
            }
        };
        let ledger = ledger.map_err(|error| words(&error))?;
        let exercise =
            Exercise::start(Arc::clone(&transport), ledger, Settings::default()).map_err(|error| words(&error))?;
        Ok(Self { transport, exercise: Arc::new(exercise), file: keep.file.clone(), acknowledged: Arc::default() })
    }

    /// Does it, as a task: the thread of the orders is not one of the runtime's workers.
    pub(super) async fn obey(&mut self, task: Task) -> Result<Outcome, String> {
        let mut work = JoinSet::new();
        let exercise = Arc::clone(&self.exercise);
        match task {
            Task::Sync { duration_ms } => {
                let path = self.file.clone().ok_or("it has no file, and nothing to sync")?;
                let duration = Duration::from_millis(duration_ms);
                work.spawn_blocking(move || sync(&path, duration).map(Outcome::Synced));
            }
            Task::Alone { level, whom, warm_up_ms, duration_ms } => {
                let alone = Alone {
                    transport: Arc::clone(&self.transport),
                    exercise,
                    acknowledged: Arc::clone(&self.acknowledged),
                    level,
                    server: ServerName::new(super::SERVERS[0]).map_err(|error| error.to_string())?,
                    whom: Targets::node(NodeName::new(&whom).map_err(|error| error.to_string())?),
                    page: self.file.as_deref().map(Page::new).transpose()?,
                };
                work.spawn(alone.ping(span(warm_up_ms, duration_ms)));
            }
            Task::Ping { level, clients, warm_up_ms, duration_ms } => {
                let acknowledged = Arc::clone(&self.acknowledged);
                work.spawn(async move {
                    let counted = Arc::clone(&acknowledged);
                    let ping = move || {
                        let (exercise, counted) = (Arc::clone(&exercise), Arc::clone(&counted));
                        async move { ping(&exercise, level, &counted).await }
                    };
                    let times = repeat(clients, span(warm_up_ms, duration_ms), ping).await?;
                    Ok(Outcome::Pinged { times, acknowledged: acknowledged.load(Relaxed) })
                });
            }
            Task::Read { agreed, readers, warm_up_ms, duration_ms } => {
                work.spawn(async move {
                    let unstable = Arc::new(AtomicU64::new(0));
                    let counted = Arc::clone(&unstable);
                    let read = move || {
                        let (exercise, counted) = (Arc::clone(&exercise), Arc::clone(&counted));
                        async move { read(&exercise, agreed, &counted).await }
                    };
                    let times = repeat(readers, span(warm_up_ms, duration_ms), read).await?;
                    Ok(Outcome::Read { times, unstable: unstable.load(Relaxed) })
                });
            }
            Task::Count { pings, deadline_ms } => {
                work.spawn(async move { Ok(Outcome::Counted(count(&exercise, &pings, deadline_ms).await?)) });
            }
            Task::Vote => {
                work.spawn(async move {
                    exercise.ledger().until_active().await;
                    Ok(Outcome::At(wall_micros()))
                });
            }
            Task::Look => {
                work.spawn(async move {
                    let (read, slots) = (exercise.local(), exercise.ledger().counts().len() as u64);
                    let total = u64::try_from(read.total).unwrap_or(u64::MAX);
                    Ok(Outcome::Seen { at_us: wall_micros(), slots, total })
                });
            }
        }
        match work.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => Err(error.to_string()),
            None => Err("nobody does it".to_owned()),
        }
    }
}

async fn ping(exercise: &Exercise, level: Level, acknowledged: &AtomicU64) -> bool {
    let pinged = match level {
        Level::Queued => exercise.ping_queued(1).await,
        Level::Local => exercise.ping(1).await.map(drop),
        Level::Majority => exercise.ping_majority(1, DEADLINE).await.map(drop),
    };
    match pinged {
        Ok(()) => {
            acknowledged.fetch_add(1, Relaxed);
            true
        }
        Err(error) => {
            tracing::warn!(%error, "a ping was not acknowledged");
            false
        }
    }
}

async fn read(exercise: &Exercise, agreed: Agreed, unstable: &AtomicU64) -> bool {
    let read = match agreed {
        Agreed::Majority => exercise.majority(DEADLINE).await,
        Agreed::Snapshot => exercise.snapshot(DEADLINE).await,
    };
    match read {
        Ok(_) => true,
        Err(ReadError::Unstable) => {
            unstable.fetch_add(1, Relaxed);
            true
        }
        Err(error) => {
            tracing::warn!(%error, "nothing was read");
            false
        }
    }
}

/// Waits until there are so many pings of each, or the time is over; and says how many there are.
async fn count(
    exercise: &Exercise,
    pings: &BTreeMap<String, u64>,
    deadline_ms: u64,
) -> Result<BTreeMap<String, u64>, String> {
    let named = pings.iter().map(|(name, pings)| Ok((NodeName::new(name)?, u128::from(*pings))));
    let named: Vec<(NodeName, u128)> =
        named.collect::<Result<_, pingpong_node::name::NameError>>().map_err(|error| error.to_string())?;
    let all = exercise.local_until(|read| {
        named.iter().all(|(name, pings)| read.values.get(name).is_some_and(|value| value >= pings))
    });
    let read = tokio::time::timeout(Duration::from_millis(deadline_ms), all).await;
    let read = read.unwrap_or_else(|_| exercise.local());
    let value = |name: &NodeName| u64::try_from(read.values.get(name).copied().unwrap_or(0)).unwrap_or(u64::MAX);
    Ok(named.iter().map(|(name, _)| (name.to_string(), value(name))).collect())
}

/// One client that pings, and syncs and calls in between.
struct Alone {
    transport: Arc<dyn Transport>,
    exercise: Arc<Exercise>,
    acknowledged: Arc<AtomicU64>,
    level: Level,
    server: ServerName,
    whom: Targets,
    page: Option<Page>,
}

impl Alone {
    async fn ping(mut self, span: Span) -> Result<Outcome, String> {
        let (mut times, mut syncs, mut calls) = (Kept::new()?, Kept::new()?, Kept::new()?);
        let mut done = false;
        loop {
            let began = Instant::now();
            if began >= span.end && done {
                break;
            }
            if let Some(mut page) = self.page.take() {
                let written = tokio::task::spawn_blocking(move || page.sync().map(|took| (page, took)));
                let (page, took) = written.await.map_err(|error| error.to_string())??;
                self.page = Some(page);
                syncs.keep_for(took, true);
            }
            let calling = Instant::now();
            let answer = self.transport.call(&self.whom, &self.server, &Ask, DEADLINE).await;
            calls.keep(calling, answer.is_ok_and(|answer| answer.failed.is_empty()));
            let pinging = Instant::now();
            let right = ping(&self.exercise, self.level, &self.acknowledged).await;
            if began >= span.begin {
                done = true;
                times.keep(pinging, right);
            }
        }
        let sync = self.page.is_some().then(|| syncs.alone());
        let acknowledged = self.acknowledged.load(Relaxed);
        Ok(Outcome::Alone { times: times.alone(), sync, call: calls.alone(), acknowledged })
    }
}

/// A file of one page, which need not grow. It is removed in the end.
struct Page {
    path: PathBuf,
    file: File,
}

impl Page {
    fn new(store: &Path) -> Result<Self, String> {
        let path = store.with_extension("sync");
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path);
        let mut page = Self { file: file.map_err(refused(&path))?, path };
        page.sync()?;
        Ok(page)
    }

    /// Writes it and syncs it, and says how long that took.
    fn sync(&mut self) -> Result<Duration, String> {
        let began = Instant::now();
        let byte = began.elapsed().subsec_nanos() as u8;
        let written = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(&[byte; PAGE]));
        written.and_then(|()| self.file.sync_data()).map_err(refused(&self.path))?;
        Ok(began.elapsed())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // What is left goes with the directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{} cannot be written and synced: {error}", path.display())
}

/// Syncs again and again.
fn sync(store: &Path, duration: Duration) -> Result<super::Times, String> {
    let (mut page, mut kept) = (Page::new(store)?, Kept::new()?);
    let begin = Instant::now();
    loop {
        kept.keep_for(page.sync()?, true);
        if begin.elapsed() >= duration {
            return Ok(kept.since(begin));
        }
    }
}
