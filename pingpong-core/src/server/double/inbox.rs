//! The receiving side of the double: mailboxes, and where replies go.

use super::{Double, Outcome, Seen};
use crate::inbox::{CallTag, Dropped, Entry, Inbox, InboxClosed, Origin};
use crate::message::Encoded;
use crate::transport::{CallFailure, RawReply};
use crate::{Node, ServerName};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::sync::{oneshot, watch};

pub(super) struct Mailbox {
    pub(super) entries: watch::Sender<VecDeque<Entry>>,
    pub(super) closed: watch::Sender<Option<InboxClosed>>,
    pub(super) events: bool,
}

pub(super) struct Back {
    pub(super) from: Node,
    pub(super) calls: Mutex<BTreeMap<u64, oneshot::Sender<Outcome>>>,
    pub(super) counted: Arc<Mutex<Vec<(Dropped, u64)>>>,
}

#[async_trait]
impl Origin for Back {
    fn node(&self) -> &Node {
        &self.from
    }

    fn is_over(&self) -> bool {
        false
    }

    fn awaits(&self, call: CallTag, _: tokio::time::Instant) -> bool {
        self.calls.lock().unwrap().get(&call.id).is_some_and(|sender| !sender.is_closed())
    }

    async fn reply(&self, call: CallTag, reply: Result<Encoded<'_>, CallFailure>) {
        let reply = reply.map(|r| RawReply { kind: r.kind, body: Bytes::copy_from_slice(r.body) });
        if let Some(sender) = self.calls.lock().unwrap().remove(&call.id) {
            let _ = sender.send(reply);
        }
    }

    fn reply_now(&self, call: CallTag, failure: CallFailure) {
        if let Some(sender) = self.calls.lock().unwrap().remove(&call.id) {
            let _ = sender.send(Err(failure));
        }
    }

    fn count(&self, dropped: Dropped, messages: u64) {
        self.counted.lock().unwrap().push((dropped, messages));
    }
}

pub(super) struct DoubleInbox {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) name: ServerName,
    pub(super) double: Arc<Double>,
}

#[async_trait]
impl Inbox for DoubleInbox {
    async fn take(&mut self, entries: &mut VecDeque<Entry>) -> Result<(), InboxClosed> {
        let mut here = self.mailbox.entries.subscribe();
        loop {
            here.mark_unchanged();
            self.mailbox.entries.send_if_modified(|waiting| {
                entries.append(waiting);
                false
            });
            if !entries.is_empty() {
                return Ok(());
            }
            if let Some(why) = *self.mailbox.closed.borrow() {
                return Err(why);
            }
            here.changed().await.unwrap();
        }
    }

    fn closed(&self) -> Pin<Box<dyn Future<Output = InboxClosed> + Send>> {
        let mut closed = self.mailbox.closed.subscribe();
        Box::pin(async move { closed.wait_for(Option::is_some).await.unwrap().unwrap() })
    }
}

impl Drop for DoubleInbox {
    fn drop(&mut self) {
        self.double.lock().servers.remove(&self.name);
        self.double.saw(Seen::Unregistered(self.name.clone()));
    }
}
