//! From whole frames of a lane to the mailboxes of the servers that they are for.

use super::lane::Lane;
use super::mailbox::{Delivered, Mailbox, Waited};
use super::roster::LOCAL;
use super::session::{Session, messages};
use super::shared::Shared;
use crate::inbox::{InboxClosed, Origin};
use crate::name::ServerName;
use crate::transport::CallFailure;
use crate::wire::{Frame, LaneRole};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::OwnedSemaphorePermit;

/// Runs of frames for one name that are copied out of the block in which they came.
const SMALL_RUN: usize = 8 << 10;

impl Shared {
    /// Reads a lane for the local node: the same order and the same bytes as every link.
    pub(super) async fn deliver_locally(self: Arc<Self>, lane: Arc<Lane>, role: LaneRole) {
        let mut done = 0;
        while let Some(taken) = lane.take(0, LOCAL, done, usize::MAX).await {
            let small = taken.is_small();
            done = taken.cost;
            let local = self.local();
            self.deliver_role(&local, &role, taken.bytes).await;
            if small {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Hands whole frames of a lane over to the servers that they are for.
    pub(super) async fn deliver_role(&self, session: &Arc<Session>, role: &LaneRole, frames: Bytes) {
        match role {
            LaneRole::Server(name) => self.deliver(session, name, frames).await,
            _ => self.deliver_named(session, frames).await,
        }
    }

    /// Runs of frames for one name go over together.
    async fn deliver_named(&self, session: &Arc<Session>, mut frames: Bytes) {
        while !frames.is_empty() {
            let name = Frame::at(&frames, 0).and_then(|(frame, _)| frame.name()).map(<[u8]>::to_vec);
            let mut end = 0;
            while let Some((frame, next)) = Frame::at(&frames, end)
                && frame.name() == name.as_deref()
            {
                end = next;
            }
            if end == 0 {
                return;
            }
            // A small run must not keep the block of a large one alive in a mailbox.
            let run = frames.split_to(end);
            let run = if run.len() < SMALL_RUN { Bytes::copy_from_slice(&run) } else { run };
            let parsed = name.and_then(|n| String::from_utf8(n).ok()).and_then(|n| ServerName::new(&n).ok());
            match parsed {
                Some(name) => self.deliver(session, &name, run).await,
                None => self.refuse(session, &run, &CallFailure::NoSuchServer).await,
            }
        }
    }

    async fn deliver(&self, session: &Arc<Session>, name: &ServerName, mut frames: Bytes) {
        loop {
            let mailbox = self.mailbox(name);
            let Some(mailbox) = mailbox else {
                return self.refuse(session, &frames, &CallFailure::NoSuchServer).await;
            };
            if !mailbox.serves(session.node(), session.is_local()) {
                return self.refuse(session, &frames, &CallFailure::NotAllowed).await;
            }
            match mailbox.deliver(session, frames, self.timeouts.stall).await {
                Delivered::Done => return,
                Delivered::Gone(back) => frames = back,
                Delivered::Stalled(back) => {
                    frames = back;
                    self.stop_stalled(session, &mailbox);
                }
            }
        }
    }

    /// Waits for the turn of a large message at that server. `None` if there is no such server, or it does not serve that node: the
    /// message will be refused.
    pub(super) async fn turn_at(&self, session: &Session, name: &ServerName) -> Option<OwnedSemaphorePermit> {
        loop {
            let mailbox = self.mailbox(name).filter(|m| m.serves(session.node(), session.is_local()))?;
            match mailbox.turn(session, self.timeouts.stall).await {
                Ok(turn) => return Some(turn),
                Err(Waited::Gone) => tokio::task::yield_now().await,
                Err(Waited::Stalled) => self.stop_stalled(session, &mailbox),
            }
        }
    }

    /// A server that takes nothing is stopped by its own node; the link stays (O3).
    fn stop_stalled(&self, session: &Session, mailbox: &Arc<Mailbox>) {
        self.unregister(mailbox);
        if mailbox.close(InboxClosed::Stalled) {
            session.counters().stalled_servers.fetch_add(1, Relaxed);
            let (server, stall) = (mailbox.name(), self.timeouts.stall);
            tracing::warn!(%server, ?stall, "server stopped: it took nothing from its full mailbox");
        }
    }

    async fn refuse(&self, session: &Arc<Session>, frames: &Bytes, why: &CallFailure) {
        let counters = session.counters();
        let cell = if *why == CallFailure::NotAllowed { &counters.not_allowed } else { &counters.no_such_server };
        cell.fetch_add(messages(frames), Relaxed);
        let mut offset = 0;
        while let Some((frame, end)) = Frame::at(frames, offset) {
            offset = end;
            if let Some(call) = frame.call() {
                session.reply(call, Err(why.clone())).await;
            }
        }
    }
}
