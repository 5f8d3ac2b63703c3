//! The one owner of a node's links: feeds the session machine, and keeps its times.
//!
//! All events of all names pass through this task, one after the other (N3). It never waits for a connection, a server or a
//! sender; what it asks of them is queued, and bounded. What the machine says is carried out in `actions`.

use super::connection::{Conn, Notice};
use super::links::LinkInfo;
use super::session::TASK_PANICKED;
use super::shared::Shared;
use super::ticks::Compared;
use crate::address::Address;
use crate::config::{IncarnationStore, OutsideWorld};
use crate::link::{Closed, Connection, DialError, Link};
use crate::name::NodeName;
use crate::repeats::Repeats;
use crate::session::{AttemptId, CloseReason, ConnId, Event, Machine, Message, Outcome, Outside, Redial};
use crate::transport::{Shutdown, StopReason};
use crate::wire::decode_close;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{self, AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;

/// How long the closes of a node that stops may take to get on their way.
pub(super) const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// What callers ask of the driver.
#[derive(Debug)]
pub(super) enum Command {
    Disconnect(NodeName, oneshot::Sender<bool>),
    Forget(NodeName, oneshot::Sender<bool>),
    Leave(Duration),
    Links(oneshot::Sender<Vec<LinkInfo>>),
}

pub(super) struct Driver<L: Link> {
    pub(super) link: Arc<L>,
    pub(super) shared: Arc<Shared>,
    pub(super) outside: Arc<dyn OutsideWorld>,
    pub(super) store: Arc<dyn IncarnationStore>,
    pub(super) machine: Machine,
    pub(super) redial: Redial,
    pub(super) conns: BTreeMap<ConnId, Conn<L::Connection>>,
    pub(super) last_conn: u64,
    /// What the machine has not been told yet, because it happened while its actions were carried out.
    pub(super) pending: VecDeque<Event>,
    /// Wakes this task: a flag of a session changed.
    pub(super) attention: Arc<Notify>,
    pub(super) notices: mpsc::Sender<Notice<L::Connection>>,
    pub(super) inbound: mpsc::Receiver<Notice<L::Connection>>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) dials: JoinSet<()>,
    pub(super) dial_handles: BTreeMap<AttemptId, AbortHandle>,
    /// Which of them accepts connections.
    pub(super) accepting: Option<task::Id>,
    /// Of all connections, which so need no set of their own; the one that accepts them; and one for each session that has ended, until its tasks have.
    pub(super) tasks: JoinSet<()>,
    pub(super) ticks: u64,
    /// Connections that have asked twice for this node's links since the last tick.
    pub(super) late: Vec<ConnId>,
    /// How this node's links and those of its neighbours compare (N17).
    pub(super) compared: Compared,
    pub(super) next_tick: Instant,
    /// The last tick at which so much was under way that handshakes are late.
    pub(super) crowded_at: Option<Instant>,
    pub(super) leave_by: Option<Instant>,
    /// While leaving: every session so far ended with the peer's word that everything was handed over (S2).
    pub(super) flushed: bool,
    pub(super) repeats: Repeats,
    /// The connection that ended last, if it was with that word.
    pub(super) done: Option<ConnId>,
    pub(super) stop: Option<StopReason>,
}

/// So many notices are taken at once.
const NOTICES_A_STEP: usize = 32;

impl<L: Link> Driver<L> {
    pub(super) async fn run(mut self) {
        // Nobody may wait for ever for a driver that is gone.
        let _told = Told(Arc::clone(&self.shared));
        let accepting = self.tasks.spawn(accept(Arc::clone(&self.link), self.notices.clone()));
        self.accepting = Some(accepting.id());
        while self.stop.is_none() {
            self.step().await;
            self.feed_pending().await;
            self.shared.dialled.send_if_modified(|dialled| {
                !*dialled && {
                    *dialled = self.redial.has_tried_seeds();
                    *dialled
                }
            });
        }
        accepting.abort();
        self.end().await;
    }

    async fn step(&mut self) {
        let started = self.shared.common.started;
        let dial_at = self.redial.next_due().filter(|_| !self.machine.is_leaving()).map(|due| started + due);
        // What keeps time goes first: a flood of notices must not hold up heartbeats.
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.next_tick) => self.tick(),
            () = until(self.leave_by) => {
                self.leave_by = None;
                self.flushed = false;
                self.pending.push_back(Event::LeaveDeadline);
            }
            command = self.commands.recv() => self.command(command).await,
            () = self.attention.notified() => self.look_at_sessions(),
            () = until(dial_at) => self.dial(),
            Some(ended) = self.dials.join_next() => drop(reap("dial", ended, &mut self.dials)),
            Some(ended) = self.tasks.join_next() => self.tasks_ended(ended).await,
            Some(notice) = self.inbound.recv() => self.notices(notice).await,
        }
    }

    /// A notice, and those that wait behind it: what a step looks at first costs more than a notice. If none waits, whoever is about to
    /// bring one goes first: where many links begin at a time, each would wake this task anew.
    async fn notices(&mut self, first: Notice<L::Connection>) {
        if self.inbound.is_empty() {
            tokio::task::yield_now().await;
        }
        self.notice(first).await;
        for _ in 1..NOTICES_A_STEP {
            self.feed_pending().await;
            if self.stop.is_some() || self.next_tick <= Instant::now() {
                return;
            }
            let Ok(next) = self.inbound.try_recv() else { return };
            self.notice(next).await;
        }
    }

    async fn feed_pending(&mut self) {
        while let Some(event) = self.pending.pop_front() {
            self.feed(event).await;
        }
    }

    /// Everything ends; nothing is left behind (S2).
    async fn end(mut self) {
        let Some(reason) = self.stop.take() else { return };
        let failed = reason != StopReason::Shutdown;
        self.dials.shutdown().await;
        for session in self.shared.sessions() {
            // Only if the endpoint failed: the machine ends its sessions otherwise.
            if let Some(mut tasks) = self.shared.down(&session.member().node.name, &crate::DownReason::LocalShutdown) {
                tasks.shutdown().await;
            }
        }
        drop(std::mem::take(&mut self.conns));
        while self.tasks.join_next().await.is_some() {}
        self.link.close(CLOSE_DEADLINE).await;
        self.shared.end_servers().shutdown().await;
        tracing::info!(node = %self.machine.node(), %reason, "stopped");
        let Self { link, shared, inbound, flushed, .. } = self;
        // Whatever holds a socket is gone before anybody is told.
        drop((link, inbound));
        shared.stopped(reason, Shutdown { flushed: flushed && !failed });
    }

    pub(super) fn now(&self) -> Duration {
        self.shared.now()
    }

    pub(super) fn outside(&self) -> Outside {
        Outside { wall_millis: self.outside.wall_millis(), random: self.outside.random() }
    }

    // ---- what others say

    async fn command(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Disconnect(name, answer)) => {
                let linked = self.machine.session(&name).is_some();
                self.feed(Event::Disconnect(name)).await;
                let _ = answer.send(linked);
            }
            Some(Command::Forget(name, answer)) => {
                let known = self.machine.session(&name).is_some() || self.redial.is_wanted(&name);
                self.feed(Event::Forget(name.clone())).await;
                let now = self.now();
                self.redial.forget(&name, now);
                let _ = answer.send(known);
            }
            Some(Command::Leave(deadline)) if !self.machine.is_leaving() => {
                // A deadline beyond what the clock can say is as good as none.
                self.leave_by = Instant::now().checked_add(deadline);
                self.flushed = true;
                self.shared.leave();
                self.feed(Event::Leave).await;
            }
            Some(Command::Leave(_)) => {}
            Some(Command::Links(answer)) => {
                // Whoever asked may have gone.
                let _ = answer.send(self.links());
            }
            // Every handle was dropped without a shutdown: nobody waits for a goodbye.
            None => {
                self.flushed = false;
                self.shared.leave();
                self.feed(Event::Leave).await;
                self.feed(Event::LeaveDeadline).await;
                self.stop.get_or_insert(StopReason::Shutdown);
            }
        }
    }

    async fn notice(&mut self, notice: Notice<L::Connection>) {
        match notice {
            Notice::Accepted(connection) => {
                let from = connection.peer().clone();
                let conn = self.keep(connection);
                self.feed(Event::Accepted { conn, from }).await;
            }
            Notice::Dialled(id, result) => self.dialled(id, result).await,
            Notice::Message(conn, message) => self.message(conn, message).await,
            Notice::Broken(conn, words) => self.feed(Event::Broken { conn, words }).await,
            Notice::Overloaded(conn) => self.feed(Event::Overloaded { conn }).await,
            Notice::Ended(conn, closed) => self.ended(conn, closed).await,
            Notice::EndpointClosed => {
                let words = "it accepts no more connections".to_owned();
                self.stop.get_or_insert(StopReason::Endpoint(words));
            }
        }
    }

    async fn message(&mut self, conn: ConnId, message: Message) {
        if let (Message::Hello(hello), Some(known)) = (&message, self.conns.get(&conn))
            && hello.name != *known.connection.peer()
        {
            let (proved, remote) = (known.connection.peer(), known.connection.remote());
            if let Some(left_out) = self.repeats.write(proved.as_str(), "claims another name", self.shared.now()) {
                tracing::warn!(claims = %hello.name, %proved, %remote, left_out,
                    "a peer claims a name that is not in its certificate");
            }
        }
        self.feed(Event::Message { conn, message }).await;
    }

    async fn dialled(&mut self, id: AttemptId, result: Result<L::Connection, DialError>) {
        if self.dial_handles.remove(&id).is_none() {
            return; // given up meanwhile: dropping the connection closes it
        }
        let now = self.now();
        match result {
            Ok(connection) => {
                let to = connection.peer().clone();
                self.redial.answered(id, Outcome::Connected(to.clone()), now);
                let conn = self.keep(connection);
                self.feed(Event::Connected { conn, to }).await;
            }
            Err(error @ (DialError::Refused { .. } | DialError::Address { .. })) => {
                if let Some(left_out) = self.repeats.write_one_of("dial refused", &error.to_string(), now) {
                    tracing::warn!(%error, left_out, "dial refused");
                }
                self.redial.answered(id, Outcome::Refused, now);
            }
            Err(error @ DialError::AnotherName { .. }) => {
                if let Some(left_out) = self.repeats.write_one_of("another node", &error.to_string(), now) {
                    tracing::info!(%error, left_out, "another node answered a dial");
                }
                self.redial.answered(id, Outcome::Failed, now);
            }
            Err(error) => {
                tracing::debug!(%error, "dial failed");
                self.redial.answered(id, Outcome::Failed, now);
            }
        }
    }

    fn keep(&mut self, connection: L::Connection) -> ConnId {
        self.last_conn += 1;
        let id = ConnId(self.last_conn);
        let now = self.now();
        self.redial.handshake_began(connection.peer(), now);
        let conn = Conn::start(id, connection, self.machine.node(), &self.shared, &self.notices, &mut self.tasks);
        self.conns.insert(id, conn);
        id
    }

    async fn ended(&mut self, conn: ConnId, closed: Closed) {
        let Some(known) = self.conns.get(&conn) else { return };
        let name = known.connection.peer().clone();
        let event = match closed {
            Closed::ByPeer(reason) => {
                let reason = decode_close(&reason);
                let remote = known.connection.remote();
                self.note_close(&name, &remote, &reason, "the peer closed the connection");
                self.note_rival(&name, &remote, &reason);
                if self.machine.handshaking(conn).is_some() {
                    let now = self.now();
                    self.redial.closed(&name, &reason, now);
                }
                self.done = (reason == CloseReason::Done).then_some(conn);
                Event::Closed { conn, reason }
            }
            Closed::Refused(words) => {
                let now = self.now();
                if let Some(left_out) = self.repeats.write(name.as_str(), &words, now) {
                    let remote = known.connection.remote();
                    tracing::warn!(peer = %name, %remote, reason = words, left_out, "the peer refused this node");
                }
                self.redial.closed(&name, &CloseReason::Refused(words), now);
                Event::Lost { conn }
            }
            Closed::Lost(words) => {
                tracing::debug!(peer = %name, words, "connection lost");
                Event::Lost { conn }
            }
            Closed::Here => Event::Lost { conn },
        };
        self.feed(event).await;
        self.discard(conn);
    }

    /// Logs why a connection was closed, by whichever side.
    pub(super) fn note_close(&mut self, peer: &NodeName, remote: &Address, reason: &CloseReason, what: &str) {
        if !matches!(reason, CloseReason::Refused(_) | CloseReason::Protocol(_) | CloseReason::Full) {
            return tracing::debug!(%peer, %remote, %reason, "{what}");
        }
        let now = self.now();
        if let Some(left_out) = self.repeats.write(peer.as_str(), &reason.to_string(), now) {
            tracing::warn!(%peer, %remote, %reason, left_out, "{what}");
        }
    }

    /// A peer's word can end every link of this node, or its life (N12, S3): whose word it was must be known.
    fn note_rival(&mut self, peer: &NodeName, remote: &Address, reason: &CloseReason) {
        let (CloseReason::Raise(_) | CloseReason::Replaced { .. }) = reason else { return };
        let now = self.now();
        if let Some(left_out) = self.repeats.write(&format!("{peer} rival"), &reason.to_string(), now) {
            tracing::warn!(%peer, %remote, %reason, left_out, "a peer says that it has seen a greater incarnation of this name");
        }
    }

    /// Tasks have ended. A connection without one that panicked would be linked and deaf, or mute.
    async fn tasks_ended(&mut self, first: Result<(), JoinError>) {
        for panicked in reap("connection", first, &mut self.tasks) {
            if self.accepting == Some(panicked) {
                self.stop
                    .get_or_insert(StopReason::Endpoint("the task that accepts connections has panicked".to_owned()));
            }
            if let Some((id, _)) = self.conns.iter().find(|(_, conn)| conn.has_task(panicked)) {
                self.feed(Event::Broken { conn: *id, words: TASK_PANICKED.to_owned() }).await;
            }
        }
    }

    /// The connection is done with; its tasks end.
    pub(super) fn discard(&mut self, conn: ConnId) {
        if let Some(conn) = self.conns.remove(&conn)
            && conn.carried.is_none()
        {
            self.redial.handshake_ended(conn.connection.peer());
        }
    }
}

/// Tasks of the driver have ended. One that panicked was waited for by nothing else, so this is where it is said. Returns those.
fn reap(what: &str, first: Result<(), JoinError>, others: &mut JoinSet<()>) -> Vec<task::Id> {
    let ended = std::iter::once(first).chain(std::iter::from_fn(|| others.try_join_next()));
    let panicked = ended.filter_map(Result::err).filter(JoinError::is_panic);
    panicked
        .inspect(|error| tracing::error!(%error, "a task of the driver panicked: {what}"))
        .map(|error| error.id())
        .collect()
}

/// Says that the node has stopped, should the driver end without saying why.
struct Told(Arc<Shared>);

impl Drop for Told {
    fn drop(&mut self) {
        if self.0.stopped.borrow().is_none() {
            drop(self.0.end_servers());
            self.0.stopped(StopReason::Defect, Shutdown { flushed: false });
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn accept<L: Link>(link: Arc<L>, notices: mpsc::Sender<Notice<L::Connection>>) {
    while let Some(connection) = link.accept().await {
        if notices.send(Notice::Accepted(connection)).await.is_err() {
            return;
        }
    }
    let _ = notices.send(Notice::EndpointClosed).await;
}
