//! Carries out what the session machine says, in its order.

use super::connection::{Carried, ControlError};
use super::driver::Driver;
use super::lane::Lane;
use super::session::Session;
use super::writer::Writers;
use crate::config::CONTROL_QUEUE_BYTES;
use crate::link::{Connection, Link};
use crate::monitor::DownReason;
use crate::name::NodeName;
use crate::node::Node;
use crate::session::{Action, CloseReason, ConnId, Event, Message, SessionId};
use crate::transport::StopReason;
use crate::wire::encode_close;
use std::sync::Arc;
use std::time::Duration;

/// How long the store of incarnations may take; links stand still meanwhile.
const STORE_DEADLINE: Duration = Duration::from_secs(5);
/// The most that one message tells of links to others: half of what the control queue holds.
const PAGE_BYTES: usize = CONTROL_QUEUE_BYTES / 2;
/// A peer that announces more than the configuration allows is taken at this.
const LONGEST_FAILURE_TIMEOUT: Duration = Duration::from_secs(3_600);

impl<L: Link> Driver<L> {
    /// Tells the machine, and carries out what it says.
    pub(super) async fn feed(&mut self, event: Event) {
        let outside = self.outside();
        for action in self.machine.on(event, outside) {
            if self.stop.is_some() && !matches!(action, Action::Close { .. } | Action::Down { .. }) {
                continue;
            }
            self.act(action).await;
        }
    }

    async fn act(&mut self, action: Action) {
        let now = self.now();
        match action {
            Action::Control { conn, message } => self.control(conn, &message),
            Action::Tell { conn, after } => self.tell(conn, after),
            Action::OpenLanes { conn } => self.open_lanes(conn),
            Action::Drain { conn } => self.drain(conn),
            Action::AwaitHandover { conn, offsets } => {
                if let Some(session) = self.session_on(conn)
                    && let Some(remote) = session.as_remote()
                {
                    remote.await_handover(offsets);
                }
            }
            Action::Close { conn, reason } => self.close(conn, &reason),
            Action::Up { node, session, conn } => self.up(node, &session, conn),
            Action::Down { node, session, reason } => self.down(&node, &session, &reason),
            Action::Told { by, news } => self.redial.told(&by, &news, now),
            // A neighbour's word about itself replaces what its Hello said (M7).
            Action::Moved { name, addresses } => self.redial.up(&name, &addresses, now),
            Action::Store(incarnation) => {
                let stored = tokio::time::timeout(STORE_DEADLINE, self.store.store(incarnation)).await;
                let late = |_| Err(format!("it has not answered within {STORE_DEADLINE:?}"));
                if let Err(words) = stored.unwrap_or_else(late) {
                    self.stop = Some(StopReason::Store { incarnation, words });
                    return;
                }
                let node = self.machine.node();
                if let Some(left_out) = self.repeats.write("own incarnation", "raised", now) {
                    tracing::warn!(%node, left_out, "a peer had seen a greater incarnation of this name: took one above it");
                }
                self.shared.renew(node);
                self.redial.renewed(now);
            }
            Action::Stop { by, at } => {
                let at = at.map(|address| address.as_str().to_owned());
                self.flushed = false;
                self.stop = Some(StopReason::Replaced { own: self.machine.node(), by, at });
            }
            Action::Quit => {
                self.stop.get_or_insert(StopReason::Shutdown);
            }
        }
    }

    /// Queues a control message.
    pub(super) fn control(&mut self, conn: ConnId, message: &Message) {
        if let Some(Err(error)) = self.conns.get(&conn).map(|known| known.control(message)) {
            self.control_failed(conn, &error);
        }
    }

    /// Answers a neighbour that asks for this node's links: at once, or with the next tick if it had an answer in this one.
    pub(super) fn tell(&mut self, conn: ConnId, after: Option<NodeName>) {
        let Some(known) = self.conns.get_mut(&conn) else { return };
        if known.told_at == Some(self.ticks) {
            if known.asks.replace(after).is_none() {
                self.late.push(conn);
            }
            return;
        }
        known.told_at = Some(self.ticks);
        let page = self.machine.peers(conn, after.as_ref(), PAGE_BYTES);
        self.control(conn, &Message::Peers(page));
    }

    fn control_failed(&mut self, conn: ConnId, error: &ControlError) {
        let Some(known) = self.conns.get(&conn) else { return };
        let (peer, remote) = (known.connection.peer(), known.connection.remote());
        if let Some(left_out) = self.repeats.write(peer.as_str(), &error.to_string(), self.shared.now()) {
            tracing::warn!(%peer, %remote, %error, left_out, "control messages cannot be sent");
        }
        self.pending.push_back(match error {
            ControlError::Full => Event::Overloaded { conn },
            ControlError::Wire(error) => Event::Broken { conn, words: error.to_string() },
        });
    }

    fn close(&mut self, conn: ConnId, reason: &CloseReason) {
        let Some(known) = self.conns.get(&conn) else { return };
        let (peer, remote) = (known.connection.peer().clone(), known.connection.remote());
        known.connection.close(encode_close(reason));
        self.note_close(&peer, &remote, reason, "closed the connection");
        if self.machine.session(&peer).is_none() && matches!(reason, CloseReason::Refused(_) | CloseReason::Full) {
            // What this side refuses it need not dial again so soon either.
            let now = self.now();
            self.redial.closed(&peer, reason, now);
        }
        self.discard(conn);
    }

    fn up(&mut self, node: Node, id: &SessionId, conn: ConnId) {
        let own = self.shared.timeouts.failure;
        let known = self.machine.session(&node.name);
        let theirs = known.map_or(own, |s| Duration::from_millis(u64::from(s.failure_timeout_millis)));
        let addresses = known.map(|s| s.addresses.clone()).unwrap_or_default();
        let Some(known) = self.conns.get_mut(&conn) else { return };
        let connection = Arc::clone(&known.connection);
        let replies = Lane::new(self.shared.limits.queue_bytes, self.shared.large_out.clone());
        let session = Session::remote(
            self.shared.member_for(node.clone()),
            Arc::clone(&self.shared.common),
            conn,
            replies,
            id.number,
            Arc::clone(&self.attention),
        );
        let carried =
            Carried::new(Arc::clone(&session), own.max(theirs.min(LONGEST_FAILURE_TIMEOUT)), self.shared.now());
        let shaken = known.carried.replace(carried).is_none();
        // Each has a subject of its own, so that a link that comes back at once is seen to. Made up only where somebody reads it.
        if tracing::enabled!(tracing::Level::INFO)
            && let Some(left_out) = self.repeats.write(&format!("{} up", node.name), &id.to_string(), self.shared.now())
        {
            tracing::info!(peer = %node, session = %id, remote = %connection.remote(), left_out, "up");
        }
        let stall = self.shared.timeouts.stall + self.shared.timeouts.failure;
        self.shared
            .up(session, Arc::new(Writers { connection, stall, runtime: self.shared.runtime.clone(), grace: own }));
        let now = self.now();
        self.redial.up(&node.name, &addresses, now);
        if shaken {
            self.redial.handshake_ended(&node.name);
        }
    }

    fn open_lanes(&mut self, conn: ConnId) {
        if let Some(known) = self.conns.get(&conn) {
            known.open_lanes();
        }
    }

    fn down(&mut self, node: &Node, id: &SessionId, reason: &DownReason) {
        if tracing::enabled!(tracing::Level::INFO)
            && let Some(left_out) =
                self.repeats.write(&format!("{} down", node.name), &id.to_string(), self.shared.now())
        {
            tracing::info!(peer = %node, session = %id, %reason, left_out, "down");
        }
        let conn = self.shared.session(&node.name).and_then(|s| s.as_remote().map(|r| r.conn));
        self.flushed &= conn == self.done;
        if let Some(mut tasks) = self.shared.down(&node.name, reason) {
            self.tasks.spawn(async move { tasks.shutdown().await });
        }
        // A session of a newer incarnation may have followed in the same turn.
        let wanted = self.machine.keeps(&node.name);
        let now = self.now();
        self.redial.down(&node.name, wanted, now);
    }

    fn drain(&mut self, conn: ConnId) {
        let session = self.session_on(conn);
        if let (Some(remote), Some(known)) = (session.as_ref().and_then(|s| s.as_remote()), self.conns.get_mut(&conn)) {
            remote.replies.close();
            known.draining = true;
            self.attention.notify_one();
        }
    }

    fn session_on(&self, conn: ConnId) -> Option<Arc<Session>> {
        let name = self.conns.get(&conn)?.connection.peer().clone();
        self.shared.session(&name).filter(|s| s.as_remote().is_some_and(|r| r.conn == conn))
    }
}
