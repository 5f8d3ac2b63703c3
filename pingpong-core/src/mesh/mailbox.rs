//! The mailbox of one server: batches in order, bounded in bytes, and the node events between them.
//!
//! Invariants: nothing of a session is pushed behind its `Down` (the flag is checked under the mailbox's lock); what waits is
//! at most the bound, or a single batch (O1); every entry costs at least [`ENTRY`], so the number of entries is bounded too.
//! Events pass the bound: two for each session and server.

use super::session::{Session, messages};
use super::shared::Shared;
use crate::inbox::{Allow, Batch, Dropped, Entry, Inbox, InboxClosed, Origin, Room, ServerOptions};
use crate::name::ServerName;
use crate::node::Node;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// What an entry costs besides its bytes.
const ENTRY: usize = 64;

pub(super) struct Mailbox {
    name: ServerName,
    options: ServerOptions,
    queue: Mutex<Queue>,
    /// Changed under the queue's lock.
    closed: watch::Sender<Option<InboxClosed>>,
    room: Arc<Semaphore>,
    /// Messages that the server took, out of its inbox or out of a batch: its progress (O3).
    taken: Arc<AtomicU64>,
    bound: usize,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    waker: Option<Waker>,
}

/// Whether a batch is in the mailbox; if not, it is the caller's again, with its share of the budget for large messages.
#[derive(Debug)]
pub(super) enum Delivered {
    /// It is, or its session is closed.
    Done,
    /// The server has gone.
    Gone(Bytes, Option<OwnedSemaphorePermit>),
    /// The server took nothing from its full mailbox for the stall timeout (O3).
    Stalled(Bytes, Option<OwnedSemaphorePermit>),
}

impl Mailbox {
    pub(super) fn new(name: ServerName, options: ServerOptions, bound: usize) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(bound));
        Arc::new(Self {
            name,
            options,
            queue: Mutex::default(),
            closed: watch::Sender::new(None),
            room,
            taken: Arc::default(),
            bound,
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

    pub(super) fn event(&self, entry: Entry) {
        let mut queue = self.lock();
        if self.why_closed().is_none() {
            queue.entries.push_back(entry);
        }
        let waker = queue.waker.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Waits for room, and pushes the batch.
    ///
    /// Not cancel safe for the batch: dropped before it is ready, the batch is gone. Only the end of its session does that.
    pub(super) async fn deliver(
        &self,
        session: &Arc<Session>,
        frames: Bytes,
        large: Option<OwnedSemaphorePermit>,
        stall: Duration,
    ) -> Delivered {
        let cost = u32::try_from((frames.len() + ENTRY).min(self.bound)).unwrap_or(u32::MAX);
        let acquired = Arc::clone(&self.room).acquire_many_owned(cost);
        tokio::pin!(acquired);
        loop {
            let before = self.taken.load(Ordering::Relaxed);
            match tokio::time::timeout(stall, &mut acquired).await {
                Ok(Ok(room)) => return self.push(session, frames, room, large),
                Ok(Err(_)) => return Delivered::Gone(frames, large),
                Err(_) if self.taken.load(Ordering::Relaxed) == before => return Delivered::Stalled(frames, large),
                Err(_) => {}
            }
        }
    }

    fn push(
        &self,
        session: &Arc<Session>,
        frames: Bytes,
        room: OwnedSemaphorePermit,
        large: Option<OwnedSemaphorePermit>,
    ) -> Delivered {
        let mut queue = self.lock();
        if self.why_closed().is_some() {
            return Delivered::Gone(frames, large);
        }
        if session.is_closed() {
            drop(queue);
            session.count(Dropped::WithSession, messages(&frames));
            return Delivered::Done;
        }
        let origin: Arc<dyn Origin> = Arc::clone(session) as Arc<dyn Origin>;
        let batch = Batch::new(origin, frames, Some(Room::new(Some(room), large, Arc::clone(&self.taken))));
        queue.entries.push_back(Entry::Messages(batch));
        let waker = queue.waker.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
        Delivered::Done
    }

    /// Nothing comes in any more. What waits is dropped when the server takes it no more: by the inbox. Returns whether it was
    /// open.
    pub(super) fn close(&self, why: InboxClosed) -> bool {
        self.room.close();
        let mut queue = self.lock();
        let first = self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert(why);
            first
        });
        let waker = queue.waker.take();
        // Dropping a batch answers its calls, which takes other locks.
        let dropped = std::mem::take(&mut queue.entries);
        drop(queue);
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
        std::future::poll_fn(|cx| {
            let mut queue = self.mailbox.lock();
            if !queue.entries.is_empty() {
                self.mailbox.taken.fetch_add(1, Ordering::Relaxed);
                entries.append(&mut queue.entries);
                return Poll::Ready(Ok(()));
            }
            if let Some(why) = self.mailbox.why_closed() {
                return Poll::Ready(Err(why));
            }
            queue.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
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
