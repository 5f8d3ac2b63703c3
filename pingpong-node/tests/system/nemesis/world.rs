//! The processes, their files, and the paths between them.
//!
//! Only what is in here touches a process, and it says so in the record. Whoever ends without being told to is found when it is killed.

use crate::client::{Ask, Client};
use crate::disk::Disk;
use crate::lab::{Lab, Plan, write_report};
use crate::lan::skip;
use crate::node::{LONG, Node, within};
use crate::record::Record;
use crate::relay::Relay;
use pingpong_conformance::history::Outcome;
use pingpong_node::NodeName;
use pingpong_node::control::{AckLevel, Answer, NodeStatus, ReadLevel, Request};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, watch};
use tokio::time::sleep;

/// The first ones vote; the last one only counts and reads.
pub(crate) const NODES: usize = 4;
pub(crate) const MEMBERS: usize = 3;
/// How often something is looked at that tells of itself to nobody.
pub(crate) const AGAIN: Duration = Duration::from_millis(100);

/// What a node's disk takes, where it can have one of its own: many times what it needs.
const DISK_MEBIBYTES: u32 = 32;
/// A store's log has some five hundred records, each of a group of pings.
const MORE_THAN_THE_LOG: usize = 10_000;

/// How a node's counts are lost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// The file is gone.
    File,
    /// The whole directory is, with the incarnation in it.
    Directory,
    /// The file is set aside by whoever starts the node.
    Forgotten,
}

/// A name, and whatever lives under it.
pub(crate) struct Machine {
    pub(crate) name: NodeName,
    pub(crate) plan: Plan,
    pub(crate) node: Option<Node>,
    /// Whether there is somebody to ask.
    pub(crate) up: watch::Sender<bool>,
    /// Clients ask only while nobody has closed it.
    pub(crate) door: Arc<RwLock<()>>,
    pub(crate) data: PathBuf,
    disk: Option<Disk>,
    /// What fills the disk.
    ballast: Option<PathBuf>,
    /// Since when, if it is.
    stopped: Option<Instant>,
    /// What its former lives said.
    log: String,
}

/// All of them.
pub(crate) struct World {
    pub(crate) record: Arc<Record>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) kills: u32,
    /// How often each name lost its store.
    pub(crate) losses: BTreeMap<NodeName, usize>,
    relay: Relay,
    _lab: Lab,
}

impl World {
    /// A new cluster.
    pub(crate) async fn start() -> Self {
        let lab = Lab::new();
        let plans: Vec<Plan> = (1..=NODES).map(|node| lab.plan(&format!("n{node}"))).collect();
        let relay = Relay::among(&plans.iter().map(|plan| plan.listen).collect::<Vec<_>>()).await;
        let members: Vec<&str> = plans[..MEMBERS].iter().map(|plan| plan.name.as_str()).collect();
        let members = members.join(",");
        let mut machines = Vec::new();
        for (at, plan) in plans.into_iter().enumerate() {
            let others = relay.places.iter().enumerate().filter(|(other, _)| *other != at);
            let seeds: Vec<String> = others.map(|(_, place)| place.to_string()).collect();
            let disk = disk(lab.path(&format!("{}.disk", plan.name))).await;
            let data = if disk.is_some() { plan.file(&format!("{}.disk/data", plan.name)) } else { plan.data() };
            let plan = plan.with("data", data.display()).with("members", &members).with("seeds", seeds.join(","));
            // Not a line for each request.
            let level = "info,pingpong_core::exercise::quorum::recovery=debug,pingpong_node::control=warn";
            let plan = plan.with("advertise", relay.places[at]).with("log-level", level);
            plan.init().await;
            let (name, up) = (NodeName::new(&plan.name).unwrap(), watch::Sender::new(false));
            let (door, log) = (Arc::default(), String::new());
            machines.push(Machine { name, plan, node: None, up, door, data, disk, ballast: None, stopped: None, log });
        }
        let mut world =
            Self { record: Arc::new(Record::new()), machines, kills: 0, losses: BTreeMap::new(), relay, _lab: lab };
        for node in 0..NODES {
            world.run(node).await;
        }
        world
    }

    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.machines[node].node.is_some()
    }

    pub(crate) fn is_stopped(&self, node: usize) -> bool {
        self.machines[node].stopped.is_some()
    }

    /// Whether disks can be filled.
    pub(crate) fn has_disks(&self) -> bool {
        self.machines.iter().all(|machine| machine.disk.is_some())
    }

    pub(crate) fn is_full(&self, node: usize) -> bool {
        self.machines[node].ballast.is_some()
    }

    /// Fills the disk of a node. A store that has grown already goes on counting all the same.
    pub(crate) fn fill(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        self.record.note(format!("{}: its disk is full", machine.name));
        machine.ballast = machine.disk.as_ref().map(Disk::fill);
    }

    /// Pings a node with a new store on a full disk, until the store takes nothing more: its tables must grow when its log is full.
    pub(crate) async fn exhaust(&self, node: usize) {
        let machine = &self.machines[node];
        let is_told = || self.running(node).said().contains("counts are not stored");
        let mut client = Client::of(&machine.name, machine.plan.socket.clone(), &self.record);
        for _ in 0..MORE_THAN_THE_LOG {
            let outcome = client.ask(&Ask::Ping(AckLevel::Local), LONG).await;
            // A node that has just started refuses as well.
            if outcome == Some(Outcome::Refused) && is_told() {
                return;
            }
        }
        panic!("{} counts more than its disk has room for: {}", machine.name, self.running(node).said());
    }

    /// There is room again on this node's disk.
    pub(crate) fn make_room(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        if let Some(ballast) = machine.ballast.take() {
            fs::remove_file(ballast).unwrap();
            self.record.note(format!("{}: its disk has room", machine.name));
        }
    }

    /// How long packets from one node to another take.
    pub(crate) fn slow(&self, from: usize, to: usize, delay: Duration) {
        self.relay.delay(from, to, delay);
    }

    /// All packets arrive at once.
    pub(crate) fn prompt(&self) {
        (0..NODES).for_each(|one| (0..NODES).for_each(|other| self.slow(one, other, Duration::ZERO)));
    }

    pub(crate) fn way(&self, from: usize, to: usize, open: bool) {
        self.relay.open(from, to, open);
    }

    /// Both ways.
    pub(crate) fn path(&self, one: usize, other: usize, open: bool) {
        self.way(one, other, open);
        self.way(other, one, open);
    }

    /// Each path is open or not, as is said of it.
    pub(crate) fn paths(&self, open: impl Fn(usize, usize) -> bool) {
        for one in 0..NODES {
            for other in one + 1..NODES {
                self.path(one, other, open(one, other));
            }
        }
    }

    fn launch(&mut self, node: usize, words: &[&str]) {
        // It does not start on a full disk, as a test of its own says.
        self.make_room(node);
        let machine = &mut self.machines[node];
        self.record.note(format!("{} is started: {}", machine.name, words.join(" ")));
        machine.node = Some(machine.plan.spawn_as(words));
        machine.up.send_replace(true);
    }

    /// Starts a node that is down, and waits until it listens.
    pub(crate) async fn run(&mut self, node: usize) {
        self.launch(node, &["run"]);
        self.running(node).says(" started ").await;
    }

    /// The same, and the node is killed so long after the start.
    pub(crate) async fn run_for(&mut self, node: usize, life: Duration) {
        self.launch(node, &["run"]);
        sleep(life).await;
        self.kill(node).await;
    }

    pub(crate) fn running(&self, node: usize) -> &Node {
        self.machines[node].node.as_ref().expect("it runs")
    }

    /// `kill -9`, also of a process that is stopped. Returns when it has ended.
    pub(crate) async fn kill(&mut self, node: usize) {
        self.kill_all(&[node]).await;
    }

    /// The same of these at once.
    pub(crate) async fn kill_all(&mut self, nodes: &[usize]) {
        let mut ends = Vec::new();
        for node in nodes {
            let machine = &mut self.machines[*node];
            let Some(running) = machine.node.take() else { continue };
            machine.up.send_replace(false);
            machine.stopped = None;
            self.kills += 1;
            ends.push(async { (*node, running.killed().await) });
        }
        for (node, said) in futures_util::future::join_all(ends).await {
            self.record.note(format!("{} is killed", self.machines[node].name));
            self.machines[node].log += &format!("{said}--- killed\n");
        }
    }

    pub(crate) async fn stop(&mut self, node: usize) {
        self.running(node).signal("STOP").await;
        self.machines[node].stopped = Some(Instant::now());
    }

    /// All that have been stopped for so long go on.
    pub(crate) async fn go_on(&mut self, after: Duration) {
        for node in 0..NODES {
            if self.machines[node].stopped.is_some_and(|since| since.elapsed() >= after) {
                self.running(node).signal("CONT").await;
                self.machines[node].stopped = None;
                self.record.note(format!("{} goes on", self.machines[node].name));
            }
        }
    }

    /// Ends all faults.
    pub(crate) async fn heal(&mut self) {
        self.record.note("all is healed".to_owned());
        self.paths(|_, _| true);
        self.prompt();
        self.go_on(Duration::ZERO).await;
        for node in 0..NODES {
            self.make_room(node);
            if !self.is_up(node) {
                self.run(node).await;
            }
        }
    }

    /// Ends all faults, and waits until every node is linked with every other one, and all members vote.
    pub(crate) async fn calm(&mut self) {
        self.heal().await;
        let mut last = BTreeMap::new();
        let well = async {
            loop {
                last.clear();
                for machine in &self.machines {
                    last.insert(&machine.plan.name, machine.node.as_ref().unwrap().status().await);
                }
                let is_well = |status: &NodeStatus| {
                    let active = status.store.as_ref().is_some_and(|store| !store.member || !store.recovering);
                    active && status.links == NODES - 1
                };
                if last.values().all(is_well) {
                    return;
                }
                sleep(AGAIN).await;
            }
        };
        let is_well = tokio::time::timeout(LONG, well).await.is_ok();
        assert!(is_well, "all is healed, and not well after {LONG:?}: {last:?}");
    }

    /// What a node itself has; empty while it cannot say.
    pub(crate) async fn values(&self, node: usize) -> BTreeMap<NodeName, u128> {
        let read = Request::Counts { deadline_ms: 1_000, read: Some(ReadLevel::Local) };
        match self.running(node).try_ask(&read).await {
            Some(Answer::Read(read)) => read.values.into_iter().map(|value| (value.node, value.pings)).collect(),
            _ => BTreeMap::new(),
        }
    }

    /// A node is killed, and its counts are lost; then it starts again on these paths. All was calm, but for cuts.
    pub(crate) async fn lose(&mut self, victim: usize, loss: Loss, then: impl Fn(usize, usize) -> bool) {
        for outsider in (MEMBERS..NODES).filter(|outsider| *outsider != victim) {
            within(LONG, "members know what others know", self.learn(outsider, victim)).await;
        }
        self.kill(victim).await;
        let machine = &self.machines[victim];
        match loss {
            Loss::File => fs::remove_file(machine.data.join("counts.redb")).unwrap(),
            Loss::Directory => fs::remove_dir_all(&machine.data).unwrap(),
            Loss::Forgotten => without_asides(&machine.data),
        }
        self.record.store_lost(machine.name.clone());
        *self.losses.entry(machine.name.clone()).or_default() += 1;
        self.paths(then);
        self.launch(victim, if matches!(loss, Loss::Forgotten) { &["run", "--forget-store"] } else { &["run"] });
        let begun = async {
            while self.values(victim).await.is_empty() {
                sleep(AGAIN).await;
            }
        };
        within(LONG, "the new store is there", begun).await;
    }

    /// Nobody asks this node for anything until the guard is dropped, and all others know what it has pinged. All is calm.
    pub(crate) async fn hush(&self, node: usize) -> OwnedRwLockWriteGuard<()> {
        let machine = &self.machines[node];
        let closed = within(LONG, "clients have their answers", Arc::clone(&machine.door).write_owned()).await;
        // What was queued before it is counted before it.
        let mut client = Client::of(&machine.name, machine.plan.socket.clone(), &self.record);
        client.ask(&Ask::Ping(AckLevel::Local), LONG).await;
        let all_know = async {
            let of = async |at: usize| self.values(at).await.get(&machine.name).copied();
            let pinged = of(node).await;
            for other in 0..NODES {
                while of(other).await != pinged {
                    sleep(AGAIN).await;
                }
            }
        };
        within(LONG, "all know what it has pinged", all_know).await;
        closed
    }

    /// Waits until a node knows of so many pings of another one.
    pub(crate) async fn knows(&self, node: usize, of: usize, pings: u128) {
        let name = &self.machines[of].name;
        let knows = async {
            while self.values(node).await.get(name).is_none_or(|known| *known < pings) {
                sleep(AGAIN).await;
            }
        };
        within(LONG, &format!("{} knows {pings} pings of {name}", self.machines[node].name), knows).await;
    }

    /// Waits until a member has recovered.
    pub(crate) async fn votes(&self, node: usize) {
        let votes = async {
            while self.running(node).status().await.store.is_none_or(|store| store.recovering) {
                sleep(AGAIN).await;
            }
        };
        within(LONG, &format!("{} votes", self.machines[node].name), votes).await;
    }

    /// Nobody takes the word of a node that is no member for another one's pings. So before a node loses its store, such a node is cut off
    /// from it, and what it has heard of others is known to members that keep theirs.
    async fn learn(&self, outsider: usize, victim: usize) {
        self.path(victim, outsider, false);
        while self.running(outsider).links().await.iter().any(|link| link.node == self.machines[victim].name) {
            sleep(AGAIN).await;
        }
        let mut heard = self.values(outsider).await;
        heard.remove(&self.machines[outsider].name);
        for member in (0..MEMBERS).filter(|member| *member != victim).cycle() {
            let known = self.values(member).await;
            heard.retain(|name, value| known.get(name).is_none_or(|known| known < value));
            if heard.is_empty() {
                return;
            }
            sleep(AGAIN).await;
        }
    }
}

/// A small disk, if one can be had here; otherwise none is filled.
async fn disk(at: PathBuf) -> Option<Disk> {
    Disk::mount(at, DISK_MEBIBYTES).await.map_err(|reason| skip("the nemesis of full disks", &reason)).ok()
}

/// Stores that were set aside would fill a small disk in time.
fn without_asides(data: &Path) {
    for file in fs::read_dir(data).unwrap() {
        let path = file.unwrap().path();
        if path.to_str().unwrap().contains("aside-") {
            fs::remove_file(path).unwrap();
        }
    }
}

/// If something is wrong, all that there is to see is kept.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        write_report("nemesis-history.txt", &self.record.text());
        for machine in &self.machines {
            let now = machine.node.as_ref().map(Node::said).unwrap_or_default();
            write_report(&format!("nemesis-{}.log", machine.name), &(machine.log.clone() + &now));
        }
    }
}
