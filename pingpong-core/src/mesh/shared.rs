//! What the tasks of a node share: the tables of sessions, lanes and servers, changed together under one lock.
//!
//! Lock order: the tables, then the routes, then a mailbox or a lane. No lock is held across an await. Only the driver changes sessions, so
//! the events of all names pass through one owner in one order (N3).

use super::calls::Calls;
use super::counters::CounterCells;
use super::lane::Lane;
use super::large::LargeBudget;
use super::mailbox::{Mailbox, MailboxInbox};
use super::roster::{LOCAL, Member};
use super::routes::{Route, Routes};
use super::session::{Common, Session};
use super::view::View;
use crate::config::{Limits, Timeouts};
use crate::inbox::{Entry, Inbox, InboxClosed, Origin, ServerOptions};
use crate::link::Priority;
use crate::monitor::DownReason;
use crate::name::{NodeName, ServerName};
use crate::node::Node;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::transport::{RegisterError, Shutdown, StopReason};
use crate::wire::{LaneHeader, LaneRole};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The number of the control lane, and of the lane of replies; those of servers follow.
pub(super) const CONTROL_LANE: u16 = 0;
const REPLIES_LANE: u16 = 1;
const FIRST_SERVER_LANE: u16 = 2;

/// Starts the task that writes a lane to the network; the one thing that the tables need of a connection.
pub(super) trait StartWriter: Send + Sync {
    /// For that reader of the lane.
    fn start(&self, session: &Arc<Session>, reader: &Member, lane: Arc<Lane>, header: LaneHeader, priority: Priority);
}

struct Link {
    session: Arc<Session>,
    writer: Arc<dyn StartWriter>,
}

struct Tables {
    local: Arc<Session>,
    links: BTreeMap<NodeName, Link>,
    /// In the order of their numbers.
    lanes: Vec<(LaneRole, Arc<Lane>)>,
    servers: BTreeMap<ServerName, Arc<Mailbox>>,
    /// Which cursor indices are in use; index 0 is the local node's.
    slots: Vec<bool>,
    last_key: u64,
    leaving: bool,
}

pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    pub(super) common: Arc<Common>,
    pub(super) view: Arc<View>,
    /// Set when nothing of the node is left.
    pub(super) stopped: watch::Sender<Option<(StopReason, Shutdown)>>,
    /// Whether every seed has been dialled once.
    pub(super) dialled: watch::Sender<bool>,
    /// Replies have a budget of their own: whoever waits for them takes them at once, whatever servers do.
    pub(super) large_replies: LargeBudget,
    pub(super) large_in: LargeBudget,
    pub(super) large_out: LargeBudget,
    tables: Mutex<Tables>,
    /// Changed under the lock of the tables.
    pub(super) routes: Routes,
    local_tasks: Mutex<JoinSet<()>>,
    /// Where the node runs: lanes belong to it, whoever uses them first.
    pub(super) runtime: Handle,
}

impl Shared {
    pub(super) fn new(node: Node, limits: Limits, timeouts: Timeouts) -> Arc<Self> {
        let counters = Arc::new(CounterCells::default());
        let calls = Calls::new(limits.max_calls, limits.reply_bytes, Arc::clone(&counters));
        let (max_message, local_replies) = (limits.max_message, LargeBudget::new(limits.large_bytes));
        let common = Arc::new(Common { counters, calls, started: Instant::now(), max_message, local_replies });
        let tables = Tables {
            local: Session::local(Member { node, key: LOCAL, slot: 0 }, Arc::clone(&common)),
            links: BTreeMap::new(),
            lanes: Vec::new(),
            servers: BTreeMap::new(),
            slots: vec![true],
            last_key: LOCAL,
            leaving: false,
        };
        Arc::new(Self {
            limits,
            timeouts,
            common,
            view: View::new(limits.max_peers),
            stopped: watch::Sender::new(None),
            dialled: watch::Sender::new(false),
            large_replies: LargeBudget::new(limits.large_bytes),
            large_in: LargeBudget::new(limits.large_bytes),
            large_out: LargeBudget::new(limits.large_bytes),
            tables: Mutex::new(tables),
            routes: Routes::default(),
            local_tasks: Mutex::default(),
            runtime: Handle::current(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the start of the node, as the machines of `session` count it.
    pub(super) fn now(&self) -> Duration {
        self.common.started.elapsed()
    }

    pub(super) fn node(&self) -> Node {
        self.lock().local.node().clone()
    }

    pub(super) fn local(&self) -> Arc<Session> {
        Arc::clone(&self.lock().local)
    }

    pub(super) fn session(&self, name: &NodeName) -> Option<Arc<Session>> {
        self.lock().links.get(name).map(|link| Arc::clone(&link.session))
    }

    /// All sessions, by name.
    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        self.lock().links.values().map(|link| Arc::clone(&link.session)).collect()
    }

    /// Bytes of casts and calls that wait for a session.
    pub(super) fn queued(&self, member: &Member) -> usize {
        let tables = self.lock();
        tables.lanes.iter().map(|(_, lane)| lane.queued(member.slot, member.key)).sum()
    }

    /// The session of that key, or the local node.
    pub(super) fn session_of(&self, member: &Member) -> Option<Arc<Session>> {
        self.session(&member.node.name).filter(|s| s.member().key == member.key)
    }

    // ---- sending

    /// The lane of that server; made at the first message to it.
    pub(super) fn route(self: &Arc<Self>, server: &ServerName) -> Route {
        self.routes.with(server, Route::clone).unwrap_or_else(|| self.new_route(server))
    }

    fn new_route(self: &Arc<Self>, server: &ServerName) -> Route {
        let mut tables = self.lock();
        if let Some(route) = self.routes.with(server, Route::clone) {
            return route;
        }
        if self.routes.len() < self.limits.lanes {
            let lane = self.add_lane(&mut tables, LaneRole::Server(server.clone()));
            let route = Route { lane, named: false };
            self.routes.add(server, route.clone());
            return route;
        }
        // Names beyond the limit share a lane. They are not remembered: there may be any number of them.
        let shared = tables.lanes.iter().find(|(role, _)| *role == LaneRole::Shared);
        let lane = match shared {
            Some((_, lane)) => Arc::clone(lane),
            None => self.add_lane(&mut tables, LaneRole::Shared),
        };
        Route { lane, named: true }
    }

    fn add_lane(self: &Arc<Self>, tables: &mut Tables, role: LaneRole) -> Arc<Lane> {
        let lane = Lane::new(self.limits.queue_bytes, self.large_out.clone());
        lane.join(tables.local.member().clone());
        let header = LaneHeader { lane: FIRST_SERVER_LANE + tables.lanes.len() as u16, role: role.clone() };
        for link in tables.links.values() {
            lane.join(link.session.member().clone());
            let (session, header) = (&link.session, header.clone());
            link.writer.start(session, session.member(), Arc::clone(&lane), header, Priority::Server);
        }
        if tables.leaving {
            lane.close();
        }
        tables.lanes.push((role.clone(), Arc::clone(&lane)));
        // The local node is one more reader of the lane: same order, same bytes.
        let task = Arc::clone(self).deliver_locally(Arc::clone(&lane), role);
        self.local_tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn_on(task, &self.runtime);
        lane
    }

    // ---- servers

    pub(super) fn register(
        self: &Arc<Self>,
        name: &ServerName,
        options: ServerOptions,
    ) -> Result<Box<dyn Inbox>, RegisterError> {
        let mut tables = self.lock();
        if tables.leaving {
            return Err(RegisterError::ShuttingDown);
        }
        if tables.servers.contains_key(name) {
            return Err(RegisterError::NameTaken(name.clone()));
        }
        if tables.servers.len() >= self.limits.max_servers {
            return Err(RegisterError::TooManyServers { limit: self.limits.max_servers });
        }
        let mailbox = Mailbox::new(name.clone(), options, self.limits.mailbox_bytes, self.limits.max_peers);
        if mailbox.wants_events() {
            tables.links.values().for_each(|link| mailbox.event(Entry::Up(link.session.node().clone())));
        }
        tables.servers.insert(name.clone(), Arc::clone(&mailbox));
        Ok(Box::new(MailboxInbox { mailbox, shared: Arc::clone(self) }))
    }

    pub(super) fn mailbox(&self, name: &ServerName) -> Option<Arc<Mailbox>> {
        self.lock().servers.get(name).cloned()
    }

    /// The mailbox is no longer the one of its name, unless another has taken its place already.
    pub(super) fn unregister(&self, mailbox: &Arc<Mailbox>) {
        let mut tables = self.lock();
        if tables.servers.get(mailbox.name()).is_some_and(|m| Arc::ptr_eq(m, mailbox)) {
            tables.servers.remove(mailbox.name());
        }
    }

    // ---- sessions; the driver's alone

    /// A place for a new session.
    pub(super) fn member_for(&self, node: Node) -> Member {
        let mut tables = self.lock();
        tables.last_key += 1;
        let slot = tables.slots.iter().position(|used| !used).unwrap_or(tables.slots.len());
        if slot == tables.slots.len() {
            tables.slots.push(true);
        } else {
            tables.slots[slot] = true;
        }
        Member { node, key: tables.last_key, slot }
    }

    /// A session begins: its `Up` is the first thing that servers and monitors see of it (C4).
    pub(super) fn up(&self, session: Arc<Session>, writer: Arc<dyn StartWriter>) {
        let mut tables = self.lock();
        let node = session.node().clone();
        let member = session.member().clone();
        if let Some(remote) = session.as_remote() {
            let alone = member.alone();
            remote.replies.join(alone.clone());
            let header = LaneHeader { lane: REPLIES_LANE, role: LaneRole::Replies };
            writer.start(&session, &alone, Arc::clone(&remote.replies), header, Priority::Replies);
        }
        for (number, (role, lane)) in tables.lanes.iter().enumerate() {
            lane.join(member.clone());
            let header = LaneHeader { lane: FIRST_SERVER_LANE + number as u16, role: role.clone() };
            writer.start(&session, &member, Arc::clone(lane), header, Priority::Server);
        }
        tables.links.insert(node.name.clone(), Link { session, writer });
        self.view.up(&node);
        // Last: whoever is told finds the node in the list, and can send to it (M4). It is the first entry of the session all
        // the same, since its lanes are not read yet (N8).
        for mailbox in tables.servers.values().filter(|m| m.wants_events()) {
            mailbox.event(Entry::Up(node.clone()));
        }
    }

    /// A session ended. Its connection is closed already, so that nothing arrives behind its `Down` (N8).
    ///
    /// Returns its tasks, aborted, to be waited for.
    pub(super) fn down(&self, name: &NodeName, reason: &DownReason) -> Option<JoinSet<()>> {
        let mut tables = self.lock();
        let link = tables.links.remove(name)?;
        let session = link.session;
        session.end(*reason == DownReason::Left { flushed: true });
        let alone = session.member().alone();
        let Member { node, key, slot } = session.member().clone();
        for (_, lane) in &tables.lanes {
            lane.leave(slot, key);
        }
        if let Some(used) = tables.slots.get_mut(slot) {
            *used = false;
        }
        self.view.down(name, reason.clone());
        for mailbox in tables.servers.values().filter(|m| m.wants_events()) {
            mailbox.event(Entry::Down(node.clone(), reason.clone()));
        }
        drop(tables);
        self.common.calls.session_down(key);
        let remote = session.as_remote()?;
        remote.replies.close();
        remote.replies.leave(alone.slot, key);
        let mut tasks = std::mem::take(&mut *remote.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.abort_all();
        Some(tasks)
    }

    /// This node goes on under a greater incarnation (N12); its sessions end next.
    pub(super) fn renew(&self, node: Node) {
        let mut tables = self.lock();
        for (_, lane) in &tables.lanes {
            lane.renew(&node);
        }
        tables.local = Session::local(Member { node, key: LOCAL, slot: 0 }, Arc::clone(&self.common));
    }

    /// Nothing more is accepted for sending; what is queued goes out (S2).
    pub(super) fn leave(&self) {
        let mut tables = self.lock();
        tables.leaving = true;
        tables.lanes.iter().for_each(|(_, lane)| lane.close());
    }

    /// Servers and local calls end. Returns the tasks of local delivery, aborted, to be waited for.
    pub(super) fn end_servers(&self) -> JoinSet<()> {
        self.leave();
        let servers = std::mem::take(&mut self.lock().servers);
        self.local().end(false);
        for mailbox in servers.into_values() {
            mailbox.close(InboxClosed::ShuttingDown);
        }
        self.common.calls.session_down(LOCAL);
        let mut tasks = std::mem::take(&mut *self.local_tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.abort_all();
        tasks
    }

    /// The very last: monitors end, and whoever waits for the end is told.
    pub(super) fn stopped(&self, reason: StopReason, shutdown: Shutdown) {
        self.view.stop();
        self.stopped.send_replace(Some((reason, shutdown)));
    }

    /// Tells targets that have not answered that the caller has given up.
    pub(super) fn cancel(&self, call: u64, members: impl Iterator<Item = Member>) {
        for session in members.filter_map(|m| self.session_of(&m)) {
            session.cancel(call);
        }
    }
}
