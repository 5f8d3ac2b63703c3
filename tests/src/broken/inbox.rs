//! Inboxes that go wrong.

use super::Fault;
use super::transport::State;
use async_trait::async_trait;
use bytes::Bytes;
use pingpong_core::inbox::{Batch, CallTag, Dropped, Entry, Inbox, InboxClosed, Origin};
use pingpong_core::message::Encoded;
use pingpong_core::{CallFailure, DownReason, Incarnation, Node, ServerName, Transport};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What faults of inboxes remember.
pub(super) struct Memory {
    crashed: watch::Sender<bool>,
    registered: Mutex<BTreeSet<ServerName>>,
    left: Mutex<BTreeMap<ServerName, VecDeque<Entry>>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { crashed: watch::channel(false).0, registered: Mutex::default(), left: Mutex::default() }
    }
}

impl Memory {
    /// Whether a server of that name was registered before.
    pub(super) fn again(&self, server: &ServerName) -> bool {
        !self.registered.lock().unwrap().insert(server.clone())
    }
}

/// Whether a fault needs a broken inbox.
pub(super) fn concerns(fault: Fault) -> bool {
    pumped(fault)
        || matches!(
            fault,
            Fault::DeliversAfterDown
                | Fault::DeliversBeforeUp
                | Fault::StartsExpiredCalls
                | Fault::WrongSender
                | Fault::UndecodableKillsLink
                | Fault::CrashTakesAll
                | Fault::InboxNeverEnds
                | Fault::LeavesCallsUnanswered
                | Fault::LosesHandlersFailure
                | Fault::NoFirstUps
                | Fault::StopsSlowServers
                | Fault::ProtocolWithoutWords
        )
}

/// Whether it takes everything out of the mailbox at once.
fn pumped(fault: Fault) -> bool {
    matches!(fault, Fault::UnboundedMailbox | Fault::IgnoresSessionEnd | Fault::MailboxToSuccessor)
}

/// An inbox that never gets anything.
pub(super) struct Deaf;

#[async_trait]
impl Inbox for Deaf {
    async fn take(&mut self, _: &mut VecDeque<Entry>) -> Result<(), InboxClosed> {
        std::future::pending().await
    }

    fn closed(&self) -> Pin<Box<dyn Future<Output = InboxClosed> + Send>> {
        Box::pin(std::future::pending())
    }
}

#[derive(Default)]
struct Queue {
    entries: Mutex<VecDeque<Entry>>,
    changed: Notify,
}

enum Source {
    Direct(Box<dyn Inbox>),
    Pumped(Arc<Queue>, JoinHandle<()>),
}

/// Another inbox with a fault in it.
pub(super) struct BrokenInbox {
    source: Source,
    state: Arc<State>,
    server: ServerName,
    crashed: watch::Receiver<bool>,
    last: BTreeMap<Node, Bytes>,
    origins: BTreeMap<Node, Arc<dyn Origin>>,
    held: VecDeque<Entry>,
    taken: Instant,
}

impl BrokenInbox {
    pub(super) fn new(state: &Arc<State>, server: &ServerName, inner: Box<dyn Inbox>) -> Self {
        let source = if pumped(state.fault) { pump(state, server, inner) } else { Source::Direct(inner) };
        Self {
            source,
            state: Arc::clone(state),
            server: server.clone(),
            crashed: state.inboxes.crashed.subscribe(),
            last: BTreeMap::new(),
            origins: BTreeMap::new(),
            held: VecDeque::new(),
            taken: Instant::now(),
        }
    }

    fn bend(&mut self, entry: Entry, entries: &mut VecDeque<Entry>) {
        match (self.state.fault, entry) {
            (Fault::NoFirstUps, Entry::Up(_)) => {}
            (Fault::ProtocolWithoutWords, Entry::Down(node, DownReason::Protocol(_))) => {
                entries.push_back(Entry::Down(node, DownReason::Protocol(String::new())));
            }
            (Fault::DeliversAfterDown, Entry::Messages(batch)) => {
                let (frames, origin) = (batch.frames().clone(), Arc::clone(batch.origin()));
                self.last.insert(batch.from().clone(), frames);
                self.origins.insert(batch.from().clone(), origin);
                entries.push_back(Entry::Messages(batch));
            }
            (Fault::DeliversAfterDown, Entry::Down(node, reason)) => {
                let late = self.last.remove(&node).zip(self.origins.remove(&node));
                entries.push_back(Entry::Down(node, reason));
                if let Some((frames, origin)) = late {
                    entries.push_back(Entry::Messages(Batch::new(
                        BrokenOrigin::around(&self.state, origin),
                        frames,
                        None,
                    )));
                }
            }
            (Fault::DeliversBeforeUp, Entry::Up(node)) => self.held.push_back(Entry::Up(node)),
            (Fault::DeliversBeforeUp, entry) => {
                entries.push_back(entry);
                entries.append(&mut self.held);
            }
            (
                Fault::StartsExpiredCalls
                | Fault::WrongSender
                | Fault::UndecodableKillsLink
                | Fault::LeavesCallsUnanswered
                | Fault::LosesHandlersFailure,
                Entry::Messages(batch),
            ) => entries.push_back(Entry::Messages(rewrap(&self.state, batch))),
            (_, entry) => entries.push_back(entry),
        }
    }
}

fn pump(state: &Arc<State>, server: &ServerName, mut inner: Box<dyn Inbox>) -> Source {
    let queue = Arc::new(Queue::default());
    let left = state.inboxes.left.lock().unwrap().remove(server);
    queue.entries.lock().unwrap().extend(left.into_iter().flatten());
    let (give, state) = (Arc::clone(&queue), Arc::clone(state));
    let task = tokio::spawn(async move {
        let mut entries = VecDeque::new();
        while inner.take(&mut entries).await.is_ok() {
            let wrapped = entries.drain(..).map(|entry| match entry {
                Entry::Messages(batch) => Entry::Messages(rewrap(&state, batch)),
                other => other,
            });
            give.entries.lock().unwrap().extend(wrapped);
            give.changed.notify_one();
        }
    });
    Source::Pumped(queue, task)
}

/// The same frames from a broken origin. The calls among them are not answered by the batch that ends here.
fn rewrap(state: &Arc<State>, mut batch: Batch) -> Batch {
    let (frames, origin) = (batch.frames().clone(), Arc::clone(batch.origin()));
    while let Some(delivery) = batch.next() {
        std::mem::forget(delivery.caller);
    }
    Batch::new(BrokenOrigin::around(state, origin), frames, None)
}

#[async_trait]
impl Inbox for BrokenInbox {
    async fn take(&mut self, entries: &mut VecDeque<Entry>) -> Result<(), InboxClosed> {
        let late = self.taken.elapsed() > self.state.timing.stall / 8;
        if self.state.is(Fault::StopsSlowServers) && late {
            return Err(InboxClosed::Stalled);
        }
        let mut fresh = VecDeque::new();
        let taking = async {
            match &mut self.source {
                Source::Direct(inner) => inner.take(&mut fresh).await,
                Source::Pumped(queue, _) => loop {
                    fresh.append(&mut queue.entries.lock().unwrap());
                    if !fresh.is_empty() {
                        return Ok(());
                    }
                    queue.changed.notified().await;
                },
            }
        };
        let crashes = self.state.is(Fault::CrashTakesAll);
        let taken = tokio::select! {
            _ = self.crashed.wait_for(|crashed| *crashed), if crashes => Err(InboxClosed::ShuttingDown),
            taken = taking => taken,
        };
        self.taken = Instant::now();
        if taken.is_err() && self.state.is(Fault::InboxNeverEnds) {
            std::future::pending::<()>().await;
        }
        for entry in fresh {
            self.bend(entry, entries);
        }
        taken
    }

    fn closed(&self) -> Pin<Box<dyn Future<Output = InboxClosed> + Send>> {
        match &self.source {
            Source::Direct(inner) if !self.state.is(Fault::InboxNeverEnds) => inner.closed(),
            _ => Box::pin(std::future::pending()),
        }
    }
}

impl Drop for BrokenInbox {
    fn drop(&mut self) {
        if self.state.is(Fault::CrashTakesAll) {
            self.state.inboxes.crashed.send_replace(true);
        }
        if let Source::Pumped(queue, task) = &self.source {
            task.abort();
            if self.state.is(Fault::MailboxToSuccessor) {
                let left = std::mem::take(&mut *queue.entries.lock().unwrap());
                self.state.inboxes.left.lock().unwrap().insert(self.server.clone(), left);
            }
        }
    }
}

/// Another origin with a fault in it.
struct BrokenOrigin {
    inner: Arc<dyn Origin>,
    node: Node,
    fault: Fault,
    transport: Arc<dyn Transport>,
}

impl BrokenOrigin {
    fn around(state: &State, inner: Arc<dyn Origin>) -> Arc<dyn Origin> {
        let mut node = inner.node().clone();
        if state.is(Fault::WrongSender) {
            node.incarnation = Incarnation::above(node.incarnation, 0, 0);
        }
        Arc::new(Self { inner, node, fault: state.fault, transport: Arc::clone(&state.inner) })
    }
}

#[async_trait]
impl Origin for BrokenOrigin {
    fn node(&self) -> &Node {
        &self.node
    }

    fn is_over(&self) -> bool {
        let ignored = matches!(self.fault, Fault::IgnoresSessionEnd | Fault::DeliversAfterDown);
        self.inner.is_over() && !ignored
    }

    fn awaits(&self, call: CallTag, arrived: Instant) -> bool {
        self.fault == Fault::StartsExpiredCalls || self.inner.awaits(call, arrived)
    }

    async fn reply(&self, call: CallTag, reply: Result<Encoded<'_>, CallFailure>) {
        let lost = self.fault == Fault::LosesHandlersFailure && reply.is_err();
        self.inner.reply(call, if lost { Err(CallFailure::ServerStopped) } else { reply }).await;
    }

    fn reply_now(&self, call: CallTag, failure: CallFailure) {
        if self.fault != Fault::LeavesCallsUnanswered {
            self.inner.reply_now(call, failure);
        }
    }

    fn count(&self, dropped: Dropped, messages: u64) {
        self.inner.count(dropped, messages);
        if self.fault == Fault::UndecodableKillsLink && dropped == Dropped::NotDecodable {
            let (transport, name) = (Arc::clone(&self.transport), self.node.name.clone());
            tokio::spawn(async move { transport.disconnect(&name).await });
        }
    }
}
