//! Carries out what the session machine says, in its order.

use super::connection::ControlError;
use super::driver::Driver;
use super::lane::Lane;
use super::session::Session;
use super::writer::Writers;
use crate::link::{Connection, Link};
use crate::monitor::DownReason;
use crate::node::Node;
use crate::session::{Action, CloseReason, ConnId, Event, SessionId};
use crate::transport::StopReason;
use crate::wire::encode_close;
use std::sync::Arc;
use std::time::Duration;

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
            Action::Control { conn, message } => {
                if let Some(Err(error)) = self.conns.get(&conn).map(|c| c.control(&message)) {
                    self.control_failed(conn, &error);
                }
            }
            Action::Tell { conn, peers } => {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.tell(peers);
                }
            }
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
            Action::Told { by, peers } => self.redial.told(&by, &peers, now),
            Action::Store(incarnation) => {
                if let Err(words) = self.store.store(incarnation).await {
                    self.stop = Some(StopReason::Store { incarnation, words });
                    return;
                }
                let node = self.machine.node();
                tracing::warn!(%node, "a peer had seen a greater incarnation of this name: took one above it");
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

    pub(super) fn control_failed(&mut self, conn: ConnId, error: &ControlError) {
        tracing::warn!(?conn, %error, "control messages cannot be sent");
        self.pending.push_back(match error {
            ControlError::Full => Event::Overloaded { conn },
            ControlError::Wire(error) => Event::Broken { conn, words: error.to_string() },
        });
    }

    fn close(&mut self, conn: ConnId, reason: &CloseReason) {
        let Some(known) = self.conns.get(&conn) else { return };
        let (peer, remote) = (known.connection.peer().clone(), known.connection.remote());
        if matches!(reason, CloseReason::Refused(_) | CloseReason::Protocol(_) | CloseReason::Full) {
            tracing::warn!(%peer, %remote, %reason, "closed the connection");
        } else {
            tracing::debug!(%peer, %remote, %reason, "closed the connection");
        }
        known.connection.close(encode_close(reason));
        self.discard(conn);
    }

    fn up(&mut self, node: Node, id: &SessionId, conn: ConnId) {
        let own = self.shared.timeouts.failure;
        let known = self.machine.session(&node.name);
        let theirs = known.map_or(own, |s| Duration::from_millis(u64::from(s.failure_timeout_millis)));
        let addresses = known.map(|s| s.addresses.clone()).unwrap_or_default();
        let Some(connection) = self.conns.get(&conn).map(|c| Arc::clone(&c.connection)) else { return };
        let replies = Lane::new(self.shared.limits.queue_bytes, self.shared.limits.max_waiting);
        let session = Session::remote(
            self.shared.member_for(node.clone()),
            Arc::clone(&self.shared.common),
            conn,
            replies,
            id.number,
            own.max(theirs.min(LONGEST_FAILURE_TIMEOUT)),
            Arc::clone(&self.attention),
        );
        tracing::info!(peer = %node, session = %id, remote = %connection.remote(), "up");
        let stall = self.shared.timeouts.stall + self.shared.timeouts.failure;
        self.shared.up(session, Arc::new(Writers { connection, stall }));
        let now = self.now();
        self.redial.up(&node.name, &addresses, now);
    }

    fn open_lanes(&mut self, conn: ConnId) {
        if let (Some(session), Some(known)) = (self.session_on(conn), self.conns.get(&conn)) {
            known.session.send_replace(Some(session));
        }
    }

    fn down(&mut self, node: &Node, id: &SessionId, reason: &DownReason) {
        tracing::info!(peer = %node, session = %id, %reason, "down");
        if let Some(mut tasks) = self.shared.down(&node.name, reason) {
            self.reaping.spawn(async move { tasks.shutdown().await });
        }
        let wanted = self.machine.wants().any(|name| *name == node.name);
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
