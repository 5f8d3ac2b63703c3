//! The processes, their files, and the paths between them.
//!
//! Only what is in here touches a process, and it says so in the record. Whoever ends without being told to is found when it is killed.

use crate::lab::{Lab, Plan, write_report};
use crate::node::{LONG, Node, within};
use crate::record::Record;
use crate::relay::Relay;
use pingpong_node::NodeName;
use pingpong_node::control::{Answer, NodeStatus, ReadLevel, Request};
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;

/// The first ones vote; the last one only counts and reads.
pub(crate) const NODES: usize = 4;
pub(crate) const MEMBERS: usize = 3;
/// How often something is looked at that tells of itself to nobody.
pub(crate) const AGAIN: Duration = Duration::from_millis(100);

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
            let plan = plan.with_data().with("members", &members).with("seeds", seeds.join(","));
            // Not a line for each request.
            let level = "info,pingpong_core::exercise::quorum::recovery=debug,pingpong_node::control=warn";
            let plan = plan.with("advertise", relay.places[at]).with("log-level", level);
            plan.init().await;
            let (name, up) = (NodeName::new(&plan.name).unwrap(), watch::Sender::new(false));
            machines.push(Machine { name, plan, node: None, up, stopped: None, log: String::new() });
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
        self.go_on(Duration::ZERO).await;
        for node in 0..NODES {
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
        let data = machine.plan.data();
        match loss {
            Loss::File => fs::remove_file(data.join("counts.redb")).unwrap(),
            Loss::Directory => fs::remove_dir_all(data).unwrap(),
            Loss::Forgotten => {}
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
