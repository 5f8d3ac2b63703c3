//! Five nodes, pings, and faults at random, for as long as `SOAK_SECONDS` in the environment says; 20 s if it says nothing.
//!
//! Between faults there are calms, in which all must be well: each node is linked with each, all consumers agree and are right,
//! no link ends, nothing is logged at warn or above but the number of handshakes that failed before. Of the nodes whose processes live
//! all the while, file descriptors and threads must stay what they were, and in a soak of ten minutes or more memory and tasks too: QUIC
//! keeps what a cut has left behind for a minute and a half. What happened is told in `target/tmp/reports/soak.txt`.

use crate::lab::{Lab, Plan, setting, write_report};
use crate::lan::Lan;
use crate::node::{BACK, LONG, Node, Watch, within};
use pingpong_node::control::{AckLevel, Answer, Request};
use procfs::process::Process;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const NODES: usize = 5;
/// The first ones are stopped and cut off as all others are, but never ended.
const LASTING: usize = 2;
/// How long a calm must hold.
const CALM: Duration = Duration::from_secs(2);
/// More than the failure timeout.
const SETTLED: Duration = Duration::from_secs(3);
const PINGS: u64 = 500;

/// What happens to nodes and paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// `kill -9`, and started again after the pause.
    Kill,
    /// SIGTERM, and started again after the pause.
    Leave,
    /// SIGSTOP, and SIGCONT after the pause.
    Stop,
    /// A path is cut, both ways.
    Cut,
    /// A path is cut, one way.
    HalfCut,
    /// The network falls apart in two.
    Partition,
    /// Two at once: a partition, within which a node is killed and started again.
    KillWithin,
}

const FAULTS: [Fault; 7] =
    [Fault::Kill, Fault::Leave, Fault::Stop, Fault::Cut, Fault::HalfCut, Fault::Partition, Fault::KillWithin];

/// What a process uses.
#[derive(Clone, Copy, Debug)]
struct Used {
    rss_kib: u64,
    descriptors: usize,
    threads: u64,
    tasks: usize,
}

/// Something that must not grow: what it is, how much more of it there may be, and in a soak of how many seconds.
type Flat = (&'static str, fn(&Used) -> u64, u64, u64);

struct Soak {
    lan: Lan,
    plans: Vec<Plan>,
    nodes: Vec<Node>,
    random: StdRng,
    /// Pings that each node has acknowledged, and those of them that others need not know: of a process that was killed.
    acknowledged: [u128; NODES],
    uncertain: [u128; NODES],
    happened: BTreeMap<Fault, u32>,
    /// At each calm, of each lasting node.
    used: Vec<[Used; LASTING]>,
    /// Lines at warn or above, by what they say.
    warnings: BTreeMap<String, u32>,
    calms: u32,
    /// Nothing has happened since the last one.
    well: bool,
}

fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

/// Lines at warn or above.
fn warnings(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| line.contains(" WARN ") || line.contains("ERROR "))
}

impl Soak {
    async fn start(lab: &Lab, lan: Lan, seed: u64) -> Self {
        let mut plans: Vec<Plan> = Vec::new();
        for node in 0..NODES {
            let plan = lan.put(lab.plan(&name(node)), node);
            // One of the lasting ones, and one that comes and goes.
            let seeds: Vec<_> = plans.iter().take(LASTING + 1).map(|plan| plan.listen.to_string()).collect();
            plans.push(if seeds.is_empty() { plan } else { plan.with("seeds", seeds.join(",")) });
        }
        let mut nodes = Vec::new();
        for plan in &plans {
            nodes.push(plan.start().await);
        }
        Self {
            lan,
            plans,
            nodes,
            random: StdRng::seed_from_u64(seed),
            acknowledged: [0; NODES],
            uncertain: [0; NODES],
            happened: BTreeMap::new(),
            used: Vec::new(),
            warnings: BTreeMap::new(),
            calms: 0,
            well: false,
        }
    }

    async fn ping(&mut self, node: usize) {
        let request = Request::Ping { count: PINGS, rate: None, ack: AckLevel::Local, deadline_ms: None };
        let counted = async {
            // One that has just started may not have its producer yet, and counts nothing then.
            while !matches!(self.nodes[node].try_ask(&request).await, Some(Answer::Pinged { done: true, .. })) {}
        };
        within(LONG, "pings are counted", counted).await;
        self.acknowledged[node] += u128::from(PINGS);
    }

    async fn again(&mut self, node: usize) {
        let fresh = self.plans[node].start().await;
        let old = std::mem::replace(&mut self.nodes[node], fresh);
        self.remember(&old.said());
    }

    fn remember(&mut self, log: &str) {
        for line in warnings(log) {
            // Without its time, and without names and numbers.
            let words = line.split_whitespace().skip(1);
            let kind: Vec<&str> =
                words.filter(|word| !word.contains('=') && !word.contains(char::is_numeric)).collect();
            *self.warnings.entry(kind.join(" ")).or_default() += 1;
        }
    }

    async fn kill(&mut self, node: usize) {
        let end = self.nodes[node].end("KILL");
        assert_eq!(end.await, None, "a signal ended it");
        // What it had counted and told nobody yet is gone with it.
        self.uncertain[node] = self.acknowledged[node];
    }

    async fn fault(&mut self) {
        let fault = *FAULTS.choose(&mut self.random).unwrap();
        *self.happened.entry(fault).or_default() += 1;
        let pause = Duration::from_millis(self.random.random_range(50..6_000));
        let any = self.random.random_range(0..NODES);
        let other = (any + self.random.random_range(1..NODES)) % NODES;
        let passing = self.random.random_range(LASTING..NODES);
        self.ping(any).await;
        let was_well = std::mem::take(&mut self.well);
        match fault {
            Fault::Kill => {
                self.kill(passing).await;
                sleep(pause).await;
                self.again(passing).await;
            }
            Fault::Leave => {
                let end = self.nodes[passing].end("TERM");
                assert_eq!(end.await, Some(0), "it left");
                if !was_well {
                    // It may have been alone with what it had counted, which is gone with its memory.
                    self.uncertain[passing] = self.acknowledged[passing];
                }
                sleep(pause).await;
                self.again(passing).await;
            }
            Fault::Stop => {
                self.nodes[any].signal("STOP").await;
                self.ping(other).await;
                sleep(pause).await;
                self.nodes[any].signal("CONT").await;
            }
            Fault::Cut | Fault::HalfCut => {
                let ways = [(any, other), (other, any)];
                self.lan.close_only(&ways[..if fault == Fault::Cut { 2 } else { 1 }]).await;
                self.ping(other).await;
                sleep(pause).await;
            }
            Fault::Partition | Fault::KillWithin => {
                let side: Vec<bool> = (0..NODES).map(|_| self.random.random()).collect();
                let pairs = (0..NODES).flat_map(|from| (0..NODES).map(move |to| (from, to)));
                let ways: Vec<_> = pairs.filter(|(from, to)| side[*from] != side[*to]).collect();
                self.lan.close_only(&ways).await;
                self.ping(other).await;
                if fault == Fault::KillWithin {
                    self.kill(passing).await;
                    self.again(passing).await;
                }
                sleep(pause).await;
            }
        }
        // Now and then the next fault comes before all is well again.
        if self.random.random_ratio(2, 3) {
            self.calm().await;
        }
    }

    /// Heals everything, waits until all is well, and sees whether it stays so.
    async fn calm(&mut self) {
        self.lan.close_only(&[]).await;
        // By then whoever was silent for almost too long has been heard, or is lost.
        sleep(SETTLED).await;
        let mut watches = within(2 * BACK, "all are linked with all", self.whole()).await;
        if tokio::time::timeout(BACK, self.agree()).await.is_err() {
            let counts = self.nodes[0].counts().await;
            let (acknowledged, uncertain) = (self.acknowledged, self.uncertain);
            panic!("of {acknowledged:?}, {uncertain:?} of which may be lost, after {BACK:?}: {counts:?}");
        }
        let before: Vec<usize> = self.nodes.iter().map(|node| node.said().len()).collect();
        let quiet = watches.iter_mut().map(|watch| watch.is_quiet(CALM));
        futures_util::future::join_all(quiet).await;
        for (node, before) in self.nodes.iter().zip(before) {
            let said = node.said();
            // But for the line that sums up what was not worth a line of its own when it happened.
            let causeless = warnings(&said[before..]).filter(|line| !line.contains(": more handshakes failed "));
            let causeless: Vec<&str> = causeless.collect();
            assert_eq!(causeless, [""; 0], "{} warns, and nothing is wrong", node.name);
        }
        drop(watches);
        let mut used = Vec::new();
        for node in &self.nodes[..LASTING] {
            used.push(usage(node).await);
        }
        self.used.push(used.try_into().unwrap());
        self.calms += 1;
        self.well = true;
    }

    async fn whole(&self) -> Vec<Watch> {
        loop {
            let mut watches = Vec::new();
            for node in &self.nodes {
                let mut watch = node.watch().await;
                let mut linked = std::collections::BTreeSet::new();
                while linked.len() < NODES - 1 {
                    let event = watch.next().await;
                    if event.up {
                        linked.insert(event.node)
                    } else {
                        linked.remove(&event.node)
                    };
                }
                watches.push(watch);
            }
            if self.sessions_are_shared().await {
                return watches;
            }
        }
    }

    /// Whether both sides of each link know it by one session (M9).
    async fn sessions_are_shared(&self) -> bool {
        let mut sessions: BTreeMap<String, usize> = BTreeMap::new();
        for node in &self.nodes {
            for link in node.links().await {
                *sessions.entry(link.session).or_default() += 1;
            }
        }
        sessions.len() == NODES * (NODES - 1) / 2 && sessions.values().all(|sides| *sides == 2)
    }

    async fn agree(&mut self) {
        loop {
            let counts = self.nodes[0].counts().await;
            let first = &counts[&name(0)];
            let right = (0..NODES).all(|node| {
                let count = first.get(&name(node)).copied().unwrap_or(0);
                let acknowledged = self.acknowledged[node];
                (acknowledged - self.uncertain[node]..=acknowledged).contains(&count)
            });
            if right && counts.len() == NODES && counts.values().all(|others| others == first) {
                for node in 0..NODES {
                    self.acknowledged[node] = first.get(&name(node)).copied().unwrap_or(0);
                    self.uncertain[node] = 0;
                }
                return;
            }
        }
    }

    fn report(&self, seconds: u64) -> String {
        let mut text = format!("{seconds} s, {} calms, pings {:?}\n", self.calms, self.acknowledged);
        let _ = writeln!(text, "faults: {:?}", self.happened);
        for (node, name) in (0..LASTING).map(|node| (node, name(node))) {
            let at = [0, self.used.len() / 4, self.used.len() / 2, self.used.len() * 3 / 4, self.used.len() - 1];
            for at in at {
                let _ = writeln!(text, "{name} at calm {at}: {:?}", self.used[at][node]);
            }
        }
        for (kind, count) in &self.warnings {
            let _ = writeln!(text, "{count} x {kind}");
        }
        text
    }

    /// Of a lasting node, the greatest of the first half of all calms, and of the second half.
    fn halves(&self, node: usize, what: fn(&Used) -> u64) -> (u64, u64) {
        let (first, second) = self.used.split_at(self.used.len().div_ceil(2));
        let greatest = |calms: &[[Used; LASTING]]| calms.iter().map(|used| what(&used[node])).max().unwrap_or(0);
        (greatest(first), greatest(second))
    }
}

async fn usage(node: &Node) -> Used {
    let process = Process::new(i32::try_from(node.id()).unwrap()).unwrap();
    let status = process.status().unwrap();
    Used {
        rss_kib: status.vmrss.unwrap(),
        descriptors: process.fd_count().unwrap(),
        threads: status.threads,
        tasks: node.status().await.tasks,
    }
}

#[tokio::test]
async fn nodes_that_suffer_all_kinds_of_faults_are_well_in_between_and_do_not_grow() {
    let seconds = setting("SOAK_SECONDS").unwrap_or(20);
    let seed = setting("SOAK_SEED").unwrap_or_else(rand::random);
    println!("SOAK_SEED={seed}");
    let test = "nodes_that_suffer_all_kinds_of_faults_are_well_in_between_and_do_not_grow";
    let Some(lan) = Lan::new(test, &[1_500; NODES]).await else { return };
    let lab = Lab::new();
    let mut soak = Soak::start(&lab, lan, seed).await;
    soak.calm().await;
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        soak.fault().await;
    }
    soak.calm().await;
    for node in 0..NODES {
        let said = soak.nodes[node].said();
        soak.remember(&said);
    }
    let report = format!("SOAK_SEED={seed}: {}", soak.report(seconds));
    println!("{report}");
    write_report("soak.txt", &report);
    let flat: [Flat; 4] = [
        ("descriptors", |used| used.descriptors as u64, 3, 0),
        ("threads", |used| used.threads, 0, 0),
        ("tasks", |used| used.tasks as u64, 16, 600),
        ("KiB of memory", |used| used.rss_kib, 4_096, 600),
    ];
    for (what, value, more, from) in flat {
        for node in (0..LASTING).filter(|_| seconds >= from) {
            let (first, second) = soak.halves(node, value);
            assert!(second <= first + more, "{}: {first} {what}, and then {second}: {report}", name(node));
        }
    }
}
