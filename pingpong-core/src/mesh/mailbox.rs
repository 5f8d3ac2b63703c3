//! The mailbox of one server: batches in order, bounded in bytes, and the node events between them.
//!
//! Invariants: nothing of a session is pushed behind its `Down` (the flag is checked under the mailbox's lock); what waits is
//! at most the bound, or a single batch (O1); every entry costs at least [`ENTRY`], so the number of entries is bounded too.
//! Events pass the bound: two for each peer, beyond which sessions that came and went are folded away.

#[cfg(test)]
mod tests;

use super::session::{Session, messages};
use super::shared::Shared;
use crate::inbox::{Allow, Batch, Dropped, Entry, Inbox, InboxClosed, Origin, Room, ServerOptions};
use crate::monitor::DownReason;
use crate::name::ServerName;
use crate::node::Node;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// What an entry costs besides its bytes.
const ENTRY: usize = 64;
/// How often, within the stall timeout, a full mailbox is looked at.
pub(super) const LOOKS: u32 = 8;

pub(super) struct Mailbox {
    name: ServerName,
    options: ServerOptions,
    queue: Mutex<Queue>,
    /// Changed under the queue's lock.
    closed: watch::Sender<Option<InboxClosed>>,
    room: Arc<Semaphore>,
    /// Of large messages: one at a time.
    turn: Arc<Semaphore>,
    bound: usize,
    /// Beyond so many events, sessions that came and went are folded away.
    most_events: usize,
    /// Rises with whatever the server takes, messages of a batch included.
    progress: Arc<AtomicU64>,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// Of the entries, how many are no messages.
    events: usize,
    waker: Option<Waker>,
}

/// Whether a batch is in the mailbox; if not, it is the caller's again.
#[derive(Debug)]
pub(super) enum Delivered {
    /// It is, or its session is closed.
    Done,
    /// The server has gone.
    Gone(Bytes),
    /// The server took nothing from its full mailbox for the stall timeout (O3).
    Stalled(Bytes),
}

/// Why waiting for a server came to nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waited {
    /// The server has gone.
    Gone,
    /// It took nothing for the stall timeout (O3).
    Stalled,
}

impl Mailbox {
    pub(super) fn new(name: ServerName, options: ServerOptions, bound: usize, max_peers: usize) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(bound));
        Arc::new(Self {
            name,
            options,
            queue: Mutex::default(),
            closed: watch::Sender::new(None),
            room,
            turn: Arc::new(Semaphore::new(1)),
            bound,
            most_events: 2 * max_peers,
            progress: Arc::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn name(&self) -> &ServerName {
        &self.name
    }

    pub(super) fn wants_events(&self) -> bool {
        self.options.events
    }

    /// Whether messages of that node are served (A1).
    pub(super) fn serves(&self, from: &Node, local: bool) -> bool {
        match &self.options.allow {
            Allow::Everyone => true,
            Allow::Only(names) => local || names.contains(&from.name),
        }
    }

    fn why_closed(&self) -> Option<InboxClosed> {
        *self.closed.borrow()
    }

    /// Queues a node event. For a server that takes nothing, sessions that came and went meanwhile are folded away.
    pub(super) fn event(&self, entry: Entry) {
        let mut queue = self.lock();
        if let Entry::Down(node, reason) = &entry
            && queue.events >= self.most_events
            && *reason != (DownReason::Left { flushed: true })
            && let Some(up) = queue.entries.iter().rposition(|e| matches!(e, Entry::Up(n) if n == node))
        {
            // What it sent is over, so nothing of the session is left to be shown.
            queue.entries.remove(up);
            queue.events -= 1;
            return;
        }
        if self.why_closed().is_none() {
            queue.events += 1;
            queue.entries.push_back(entry);
        }
        let waker = queue.waker.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Waits for room, and pushes the batch.
    ///
    /// Not cancel safe for the batch: dropped before it is ready, the batch is gone. Only the end of its session does that.
    pub(super) async fn deliver(&self, session: &Arc<Session>, frames: Bytes, stall: Duration) -> Delivered {
        let cost = u32::try_from((frames.len() + ENTRY).min(self.bound)).unwrap_or(u32::MAX);
        let arrived = Instant::now();
        match self.wait(session, Arc::clone(&self.room).acquire_many_owned(cost), stall).await {
            Ok(room) => self.push(session, frames, room, arrived),
            Err(Waited::Gone) => Delivered::Gone(frames),
            Err(Waited::Stalled) => Delivered::Stalled(frames),
        }
    }

    /// Waits until no other large message is on its way to this server, or in its hands.
    pub(super) async fn turn(&self, session: &Session, stall: Duration) -> Result<OwnedSemaphorePermit, Waited> {
        self.wait(session, Arc::clone(&self.turn).acquire_owned(), stall).await
    }

    /// Whether nothing waits for the server, and nothing is in its hands.
    fn is_idle(&self) -> bool {
        self.room.available_permits() == self.bound
    }

    /// Waits for the server; gives up if it has gone, or has something and takes nothing for `stall` (O3). That is seen at so many
    /// looks in a row: a process that was stopped for that long looks once.
    async fn wait<T>(
        &self,
        session: &Session,
        wanted: impl Future<Output = Result<T, AcquireError>>,
        stall: Duration,
    ) -> Result<T, Waited> {
        tokio::pin!(wanted);
        let (mut seen, mut still) = (self.progress.load(Ordering::Relaxed), 0);
        loop {
            if let Ok(got) = tokio::time::timeout(stall / LOOKS, &mut wanted).await {
                // Where each message that is taken makes room for what waits, no look comes to see it.
                if self.progress.load(Ordering::Relaxed) != seen {
                    session.server_works();
                }
                return got.map_err(|_| Waited::Gone);
            }
            let progress = self.progress.load(Ordering::Relaxed);
            if progress != seen || self.is_idle() {
                (seen, still) = (progress, 0);
                session.server_works();
                continue;
            }
            still += 1;
            if still >= LOOKS {
                return Err(Waited::Stalled);
            }
        }
    }

    fn push(&self, session: &Arc<Session>, frames: Bytes, room: OwnedSemaphorePermit, arrived: Instant) -> Delivered {
        let mut queue = self.lock();
        if self.why_closed().is_some() {
            return Delivered::Gone(frames);
        }
        if session.is_closed() {
            drop(queue);
            session.count(Dropped::WithSession, messages(&frames));
            return Delivered::Done;
        }
        let origin: Arc<dyn Origin> = Arc::clone(session) as Arc<dyn Origin>;
        let batch = Batch::new(origin, frames, Some(Room::new(room, Arc::clone(&self.progress)))).arrived(arrived);
        queue.entries.push_back(Entry::Messages(batch));
        let waker = queue.waker.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
        Delivered::Done
    }

    /// Waits until something is there, and appends all of it. Cancel safe.
    pub(super) async fn take(&self, entries: &mut VecDeque<Entry>) -> Result<(), InboxClosed> {
        std::future::poll_fn(|cx| {
            let mut queue = self.lock();
            if !queue.entries.is_empty() {
                self.progress.fetch_add(1, Ordering::Relaxed);
                queue.events = 0;
                entries.append(&mut queue.entries);
                return Poll::Ready(Ok(()));
            }
            if let Some(why) = self.why_closed() {
                return Poll::Ready(Err(why));
            }
            queue.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Nothing comes in any more. Messages that wait are dropped; node events are still shown (C4). Returns whether it was open.
    pub(super) fn close(&self, why: InboxClosed) -> bool {
        self.room.close();
        self.turn.close();
        let mut queue = self.lock();
        let first = self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert(why);
            first
        });
        let waker = queue.waker.take();
        let (dropped, events): (VecDeque<Entry>, VecDeque<Entry>) =
            queue.entries.drain(..).partition(|entry| matches!(entry, Entry::Messages(_)));
        queue.entries = events;
        drop(queue);
        // Dropping a batch answers its calls, which takes other locks.
        drop(dropped);
        waker.into_iter().for_each(Waker::wake);
        first
    }
}

/// The server's end of a mailbox; ends the registration when dropped.
pub(super) struct MailboxInbox {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) shared: Arc<Shared>,
}

#[async_trait]
impl Inbox for MailboxInbox {
    async fn take(&mut self, entries: &mut VecDeque<Entry>) -> Result<(), InboxClosed> {
        self.mailbox.take(entries).await
    }

    fn closed(&self) -> Pin<Box<dyn Future<Output = InboxClosed> + Send>> {
        let mut closed = self.mailbox.closed.subscribe();
        Box::pin(async move {
            let closed = closed.wait_for(Option::is_some).await.ok().and_then(|why| *why);
            closed.unwrap_or(InboxClosed::ShuttingDown)
        })
    }
}

impl Drop for MailboxInbox {
    fn drop(&mut self) {
        self.shared.unregister(&self.mailbox);
        self.mailbox.close(InboxClosed::ShuttingDown);
    }
}
