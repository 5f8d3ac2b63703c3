//! The nodes of a run: how they start, what happens to them, and how they end.
//!
//! - A kill is a kill: packets, disk and clients of the old process end at once, whatever of its tasks goes on for a moment.
//! - Fewer stores than a majority of the members are lost, or have not recovered, at the same time (P12), but for a [`disaster`](crate::disaster).
//!   A kill that would lose one more keeps the disk, or is left out if the store is in memory.

use crate::copies::Copies;
use crate::disk::Disk;
use crate::draw::millis;
use crate::mem_harness::MemHarness;
use crate::plan::{Fate, InFlight, Manner, Name, Setup};
use crate::record::Record;
use crate::signal::Signal;
use crate::store::Fence;
use pingpong_conformance::toolkit::{Cluster, TestNode, node, options};
use pingpong_conformance::{Harness, Place, Store};
use pingpong_core::exercise::{
    Exercise, ExerciseError, Ledger, LedgerOptions, Members, MemoryStore, Settings, Standing, Trouble,
};
use pingpong_core::{ClusterName, Transport};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long servers may take to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// The servers of a node, while they run.
pub(crate) struct Life {
    pub(crate) exercise: Exercise,
    /// How often servers were told to crash.
    pub(crate) crashes: AtomicU64,
}

/// A process.
struct Process {
    node: TestNode,
    ledger: Arc<Ledger>,
    fence: Option<Fence>,
}

/// A name, whatever lives under it.
pub(crate) struct Host {
    pub(crate) disk: Disk,
    process: Option<Process>,
    life: Signal<Option<Arc<Life>>>,
    started: bool,
    /// Its store was lost, or is older than it should be, and it is a member.
    pub(crate) lost: bool,
    pub(crate) copies: Copies,
    /// How the incarnation of the next process comes to be.
    incarnation: Store,
}

/// All of them.
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) record: Arc<Record>,
    cluster: Cluster,
    members: Members,
    settings: Settings,
    hosts: BTreeMap<Name, Host>,
    troubled: mpsc::Sender<Name>,
}

impl World {
    /// Nobody runs yet. Who cannot go on is told to the receiver.
    pub(crate) fn new(setup: &Setup, record: &Arc<Record>, harness: MemHarness) -> (Self, mpsc::Receiver<Name>) {
        let mut settings = Settings::default();
        settings.gossip_interval = setup.gossip;
        settings.ask_deadline = setup.ask_deadline;
        settings.few_slots = setup.few_slots;
        settings.piece_slots = setup.piece_slots;
        settings.restart.max_restarts = 1_000;
        let names = setup.members().iter().map(|name| node(name));
        let members = Members::new(ClusterName::new("simulated").unwrap(), names).unwrap();
        let host = || Host {
            disk: Disk::default(),
            process: None,
            life: Signal::new(None),
            started: false,
            lost: false,
            copies: Copies::default(),
            incarnation: if setup.memory { Store::None } else { Store::Kept },
        };
        let hosts = setup.names().into_iter().map(|name| (name, host())).collect();
        let (troubled, told) = mpsc::channel(64);
        let (setup, record, cluster) = (setup.clone(), Arc::clone(record), Cluster::new(Arc::new(harness)));
        (Self { setup, record, cluster, members, settings, hosts, troubled }, told)
    }

    pub(crate) fn host(&self, name: Name) -> &Host {
        &self.hosts[name]
    }

    pub(crate) fn host_mut(&mut self, name: Name) -> &mut Host {
        self.hosts.get_mut(name).unwrap()
    }

    pub(crate) fn harness(&self) -> &dyn Harness {
        self.cluster.harness()
    }

    /// Follows the servers of a node.
    pub(crate) fn watch(&self, name: Name) -> Signal<Option<Arc<Life>>> {
        self.host(name).life.clone()
    }

    /// The servers of a node, if they run.
    pub(crate) fn life(&self, name: Name) -> Option<Arc<Life>> {
        self.host(name).life.get()
    }

    pub(crate) fn ledger(&self, name: Name) -> Option<&Arc<Ledger>> {
        self.host(name).process.as_ref().map(|process| &process.ledger)
    }

    pub(crate) fn transport(&self, name: Name) -> Option<Arc<dyn Transport>> {
        self.host(name).process.as_ref().map(|process| process.node.transport())
    }

    pub(crate) fn quorum(&self) -> usize {
        self.members.quorum()
    }

    pub(crate) fn names(&self) -> Vec<Name> {
        self.hosts.keys().copied().collect()
    }

    /// Starts a node, or its servers if its process runs; nothing if they run too.
    pub(crate) async fn start(&mut self, name: Name) {
        if self.life(name).is_some() {
            return;
        }
        if let Some(ledger) = self.ledger(name)
            && timeout(Duration::ZERO, ledger.failed()).await.is_ok()
        {
            // Its store failed while its servers were away: only a new process can go on.
            self.kill(name, Fate::Kept, InFlight::Vanishes).await;
        }
        if self.host(name).process.is_none() {
            let process = self.process(name).await;
            self.host_mut(name).process = Some(process);
        }
        let Some(process) = &self.host(name).process else { return };
        let (transport, ledger) = (process.node.transport(), Arc::clone(&process.ledger));
        let exercise = Exercise::start(transport, ledger, self.settings.clone()).expect("the names are free");
        let life = Arc::new(Life { exercise, crashes: AtomicU64::new(0) });
        self.host(name).life.replace(Some(Arc::clone(&life)));
        self.look_after(name, life);
        self.record.note(format!("{name} is started"));
        self.until_noticed(name).await;
    }

    /// Waits until every node has heard of every other one.
    pub(crate) async fn all_know_all(&self) {
        let all = self.hosts.len();
        let known = async {
            for name in self.names() {
                let life = self.life(name).expect("it was started");
                life.exercise.local_until(|read| read.values.len() == all).await;
            }
        };
        if timeout(PATIENCE, known).await.is_err() {
            self.record.wrong("nothing has failed, and not all nodes have heard of each other".to_owned());
        }
    }

    async fn process(&mut self, name: Name) -> Process {
        // A new store's epoch is a later one.
        tokio::time::sleep(millis(2)).await;
        let others: Vec<Name> = self.names().into_iter().filter(|other| *other != name).collect();
        let mut options = options(name, &others);
        let host = self.host_mut(name);
        options.store = std::mem::replace(&mut host.incarnation, Store::Kept);
        let first = !std::mem::replace(&mut host.started, true);
        let disk = host.disk.clone();
        if self.setup.memory {
            options.store = Store::None;
        }
        self.behave(name, Manner::Well);
        let node = self.cluster.start_with(options).await;
        self.watch_links(name, &node);
        self.meet_witness(name, &node).await;
        let opened = LedgerOptions { members: Some(self.members.clone()), init: first, ..LedgerOptions::default() };
        let identity = node.transport().node();
        if self.setup.memory {
            let ledger = Ledger::open(MemoryStore, &identity, opened).await.expect("memory takes everything");
            return Process { node, ledger, fence: None };
        }
        let (fence, store) = Fence::around(&disk);
        let ledger = Ledger::open(store, &identity, opened).await.expect("the disk is well");
        Process { node, ledger, fence: Some(fence) }
    }

    fn watch_links(&self, name: Name, node: &TestNode) {
        let (mut events, record) = (node.transport().monitor(), Arc::clone(&self.record));
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                record.note(format!("{name} sees {event}"));
            }
        });
    }

    /// Tells when a node cannot go on.
    fn look_after(&self, name: Name, life: Arc<Life>) {
        let (now, troubled, record) = (self.watch(name), self.troubled.clone(), Arc::clone(&self.record));
        tokio::spawn(async move {
            let end = tokio::select! {
                biased;
                () = gone(&now, &life) => return,
                end = life.exercise.stopped() => end,
            };
            drop(life);
            match end {
                Err(ExerciseError::Trouble(Trouble::StoreFailed(_))) => {
                    record.note(format!("{name}: its store failed"));
                }
                other => record.wrong(format!("{name} stopped: {other:?}")),
            }
            let _ = troubled.send(name).await;
        });
    }

    /// A node that cannot go on is started again.
    pub(crate) async fn restart(&mut self, name: Name) {
        self.kill(name, Fate::Kept, InFlight::Vanishes).await;
        self.start(name).await;
    }

    /// Whether as many stores as may be are gone for now, this one's included.
    pub(crate) fn may_lose(&self, name: Name) -> bool {
        let is_member = |name| self.setup.members().contains(&name);
        let lost = self.hosts.iter().filter(|(other, host)| **other != name && host.lost && !host.has_recovered());
        !is_member(name) || lost.count() + 1 < self.members.quorum()
    }

    /// The process is gone.
    pub(crate) async fn kill(&mut self, name: Name, fate: Fate, in_flight: InFlight) {
        let lost = self.setup.memory || fate == Fate::Lost;
        let lost = lost && self.may_lose(name);
        if self.host(name).process.is_some() && (lost || !self.setup.memory) {
            self.end_process(name, lost, in_flight).await;
        }
    }

    /// The process is gone, if there is one, and the store with it if that is said.
    pub(crate) async fn end_process(&mut self, name: Name, lost: bool, in_flight: InFlight) {
        self.record.note(format!("{name} is killed{}", if lost { ", its store is lost" } else { "" }));
        let host = self.host_mut(name);
        let life = host.life.replace(None);
        if let Some(Process { fence: Some(fence), .. }) = host.process.take() {
            fence.kill(in_flight == InFlight::Lands);
        }
        host.copies.remember(name, host.disk.kept().as_ref());
        if lost {
            host.copies.lost();
            host.disk.put(None);
            host.incarnation = Store::Lost;
        }
        self.harness().crash(&Place::from(name)).await;
        if let Some(life) = life {
            self.count_crashes(name, &life);
        }
        if lost {
            self.record.store_lost(node(name));
            let is_member = self.setup.members().contains(&name);
            self.host_mut(name).lost = is_member;
        }
    }

    /// No server crashes unless it is told to.
    fn count_crashes(&self, name: Name, life: &Life) {
        let Life { exercise, crashes } = life;
        let servers = [Some(exercise.producer()), Some(exercise.consumer()), exercise.member()];
        let restarts: u64 = servers.into_iter().flatten().map(|server| server.restarts()).sum();
        if restarts > crashes.load(Ordering::Relaxed) {
            self.record.wrong(format!("a server of {name} crashed"));
        }
    }

    pub(crate) async fn stop_servers(&mut self, name: Name) {
        let life = self.host(name).life.replace(None);
        if let Some(life) = life {
            match timeout(PATIENCE, life.exercise.stop()).await {
                Ok(Ok(())) => {}
                other => self.record.wrong(format!("the servers of {name} do not stop: {other:?}")),
            }
            self.count_crashes(name, &life);
        }
    }

    /// The end of all.
    pub(crate) async fn end(&mut self) {
        for name in self.names() {
            if let Some(life) = self.life(name) {
                self.count_crashes(name, &life);
            }
        }
    }
}

impl Host {
    /// A member that has lost its store may do without it again.
    fn has_recovered(&self) -> bool {
        self.is_active() && !self.copies.is_older()
    }

    /// It votes, or does when it is started.
    pub(crate) fn is_active(&self) -> bool {
        match &self.process {
            Some(process) => process.ledger.identity().standing == Standing::Active,
            None => self.disk.kept().is_some_and(|kept| kept.identity.standing == Standing::Active),
        }
    }
}

/// Waits until these servers of a node run no more.
pub(crate) async fn gone(now: &Signal<Option<Arc<Life>>>, life: &Arc<Life>) {
    now.wait_for(|now| now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, life))).await;
}
