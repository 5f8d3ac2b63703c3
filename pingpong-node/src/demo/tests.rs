//! The play on a stage that does exactly what it is told, or almost.

use super::direct::direct;
use super::outcome::Outcome;
use super::play::{Audience, Play, Scene, Step};
use super::stage::{Counts, Disk, Look, Stage, Verdict, name};
use crate::cluster::{ClusterError, Interrupts, Signal};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// What goes wrong on the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// One ping of each order is not counted.
    LosesPings,
    /// A node cannot ping.
    Refuses,
    /// A consumer that crashes goes on, and hears the pings that it should miss.
    CrashIsNone,
    /// A consumer that starts again after a crash does not ask the others: it knows what its own node pings from then on.
    CrashForgets,
    /// A consumer that starts again asks the producers alone: nobody tells it what its own node pinged before.
    CrashForgetsItself,
    /// A node that was killed stays in the lists of the others.
    KilledStaysLinked,
    /// The others forget what a killed node has pinged.
    ForgetsTheKilled,
    /// A node that is started again is not told what it pinged before it was killed.
    RestartForgetsItself,
    /// A node that is started again finds nobody.
    RestartStaysAlone,
    /// Nodes of different sides stay in each other's lists.
    CutStaysLinked,
    /// Pings cross the partition.
    LeakyPartition,
    /// After the heal there are links again, and nobody is told what it missed.
    HealForgets,
    /// After the heal the sides do not find each other.
    HealStaysCut,
    /// A consumer that crashes within a partition is told nothing afterwards.
    CutCrashForgets,
    /// A node that starts again finds its disk empty.
    #[cfg(feature = "daemon")]
    DiskIsEmpty,
    /// A node that was alone when it was killed finds a ping less on its disk.
    #[cfg(feature = "daemon")]
    DiskIsOld,
    /// The smaller side answers as a majority.
    #[cfg(feature = "daemon")]
    MinorityAnswers,
    /// The larger side refuses.
    #[cfg(feature = "daemon")]
    MajorityRefuses,
    /// What a majority says lacks a ping.
    #[cfg(feature = "daemon")]
    MajorityIsOld,
    /// The nodes do not all end.
    NeverCloses,
    /// A node cannot be ended.
    CannotClose,
}

/// Nodes without a network: who is in one group knows the same at once.
struct Model {
    flaw: Flaw,
    groups: Vec<usize>,
    up: Vec<bool>,
    /// None while there is no consumer.
    counts: Vec<Option<Counts>>,
    /// What is on the disks of nodes that were killed.
    disks: Vec<Option<Counts>>,
    /// Nodes that have lost their disks, and have not learned from a majority of others what was on them.
    lost: Vec<bool>,
    /// Nodes that are told nothing that happened before.
    deaf: Vec<bool>,
}

impl Model {
    fn new(nodes: usize, flaw: Flaw) -> Self {
        Self {
            flaw,
            groups: vec![0; nodes],
            up: vec![true; nodes],
            counts: vec![None; nodes],
            disks: vec![None; nodes],
            lost: vec![false; nodes],
            deaf: vec![false; nodes],
        }
    }

    #[cfg(feature = "daemon")]
    fn flawed(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// Whether there is a cut.
    fn is_cut(&self) -> bool {
        self.groups.iter().any(|group| *group != self.groups[0])
    }

    fn begin(&mut self, node: usize) {
        self.counts[node] = Some(Counts::from([(name(node), 0)]));
    }

    fn talk(&self, a: usize, b: usize) -> bool {
        self.up[a] && self.up[b] && self.groups[a] == self.groups[b]
    }

    fn votes(&self, node: usize) -> bool {
        self.counts[node].is_some() && !self.lost[node]
    }

    fn recover(&mut self) {
        let most = self.up.len() / 2 + 1;
        for _ in 0..self.up.len() {
            for node in (0..self.up.len()).filter(|node| self.counts[*node].is_some()).collect::<Vec<_>>() {
                let others = (0..self.up.len()).filter(|other| *other != node && self.talk(node, *other));
                self.lost[node] &= others.filter(|other| self.votes(*other)).count() < most;
            }
        }
    }

    /// Everybody who can is told everything, or what one producer pinged alone.
    fn spread(&mut self, of: Option<usize>) {
        let all = 0..self.up.len();
        for (from, to) in all.clone().flat_map(|from| all.clone().map(move |to| (from, to))) {
            let leaks = self.flaw == Flaw::LeakyPartition && self.up[from] && self.up[to];
            if !(self.talk(from, to) || leaks) || (of.is_none() && self.deaf[to]) {
                continue;
            }
            let said = self.counts[from].clone().unwrap_or_default();
            let Some(known) = &mut self.counts[to] else { continue };
            for (producer, count) in said.into_iter().filter(|(producer, _)| of.is_none_or(|of| name(of) == *producer))
            {
                let known = known.entry(producer).or_default();
                *known = count.max(*known);
            }
        }
    }
}

impl Stage for Model {
    async fn open(&mut self) -> Result<(), ClusterError> {
        (0..self.up.len()).for_each(|node| self.begin(node));
        self.spread(None);
        Ok(())
    }

    async fn ping(&mut self, node: usize, pings: u64) -> Result<(), ClusterError> {
        let pings = match self.flaw {
            Flaw::Refuses => return Err(ClusterError::node(&name(node), "ping", "it will not")),
            Flaw::LosesPings => pings - 1,
            _ => pings,
        };
        let own = self.counts[node].as_mut().and_then(|counts| counts.get_mut(&name(node)));
        *own.ok_or_else(|| ClusterError::NotRunning { node: name(node) })? += pings;
        self.spread(Some(node));
        Ok(())
    }

    async fn crash(&mut self, node: usize) -> Result<(), ClusterError> {
        if self.flaw != Flaw::CrashIsNone {
            self.counts[node] = None;
            self.lost[node] = true;
        }
        Ok(())
    }

    async fn recover(&mut self, node: usize) -> Result<(), ClusterError> {
        match self.flaw {
            Flaw::CrashIsNone => return Ok(()),
            Flaw::CrashForgets => self.deaf[node] = true,
            Flaw::CutCrashForgets if self.is_cut() => self.deaf[node] = true,
            _ => {}
        }
        self.begin(node);
        if self.flaw == Flaw::CrashForgetsItself {
            (0..self.up.len()).filter(|other| *other != node).for_each(|other| self.spread(Some(other)));
            return Ok(());
        }
        self.spread(None);
        Ok(())
    }

    async fn kill(&mut self, node: usize, disk: Disk) -> Result<(), ClusterError> {
        self.up[node] = self.flaw == Flaw::KilledStaysLinked;
        self.disks[node] = self.counts[node].take().filter(|_| disk == Disk::Kept);
        self.lost[node] |= disk == Disk::Lost;
        #[cfg(feature = "daemon")]
        if self.flawed(Flaw::DiskIsEmpty) {
            self.disks[node] = None;
        } else if self.flawed(Flaw::DiskIsOld) && self.is_cut() {
            *self.disks[node].as_mut().unwrap().get_mut(&name(node)).unwrap() -= 1;
        }
        if self.flaw == Flaw::ForgetsTheKilled {
            for counts in self.counts.iter_mut().flatten() {
                counts.insert(name(node), 0);
            }
        }
        Ok(())
    }

    async fn restart(&mut self, node: usize) -> Result<(), ClusterError> {
        self.up[node] = self.flaw != Flaw::RestartStaysAlone;
        self.begin(node);
        if let Some(disk) = self.disks[node].take() {
            self.counts[node] = Some(disk);
        }
        if self.flaw == Flaw::RestartForgetsItself {
            (0..node).for_each(|other| self.spread(Some(other)));
            self.deaf[node] = true;
        }
        self.spread(None);
        Ok(())
    }

    async fn partition(&mut self, groups: &[Vec<usize>]) -> Result<(), ClusterError> {
        for (number, group) in groups.iter().enumerate() {
            group.iter().for_each(|node| self.groups[*node] = number);
        }
        Ok(())
    }

    async fn heal(&mut self) -> Result<(), ClusterError> {
        if self.flaw != Flaw::HealStaysCut {
            self.groups.fill(0);
        }
        if self.flaw != Flaw::HealForgets {
            self.spread(None);
        }
        Ok(())
    }

    async fn look(&mut self, node: usize, majority: bool) -> Result<Look, ClusterError> {
        let uncut = self.flaw == Flaw::CutStaysLinked;
        let linked = |other: &usize| *other != node && (self.talk(node, *other) || uncut && self.up[*other]);
        let links: std::collections::BTreeSet<String> = (0..self.up.len()).filter(linked).map(name).collect();
        let counts = self.counts[node].clone().unwrap_or_default();
        self.recover();
        let total = counts.values().sum::<u64>();
        let all = (0..self.up.len()).filter(|other| *other == node || self.talk(node, *other));
        let is_most = all.filter(|other| self.votes(*other)).count() > self.up.len() / 2;
        #[cfg(feature = "daemon")]
        let (is_most, total) = match self.flaw {
            Flaw::MinorityAnswers => (true, total),
            Flaw::MajorityRefuses => (false, total),
            Flaw::MajorityIsOld => (is_most, total.saturating_sub(1)),
            _ => (is_most, total),
        };
        let verdict = if is_most { Verdict::Total(total) } else { Verdict::Refused };
        let recovering = self.lost[node] && self.counts[node].is_some();
        Ok(Look { links, counts, recovering, majority: majority.then_some(verdict) })
    }

    fn silent(&self) -> Option<ClusterError> {
        None
    }

    fn logs(&self) -> Vec<(String, String)> {
        vec![(name(0), "its last words".to_owned())]
    }

    fn running(&self) -> Vec<String> {
        vec![name(0)]
    }

    async fn close(&mut self) -> Result<(), ClusterError> {
        match self.flaw {
            Flaw::NeverCloses => std::future::pending().await,
            Flaw::CannotClose => Err(ClusterError::node(&name(0), "end", "it will not")),
            _ => Ok(()),
        }
    }
}

struct Nobody;

impl Audience for Nobody {
    fn begins(&mut self, _: Scene) {}
    fn waits(&mut self, _: Scene, _: usize, _: usize) {}
    async fn ends(&mut self, _: &Step) {}
}

async fn play(nodes: usize, flaw: Flaw) -> Vec<Step> {
    let (mut stage, mut nobody) = (Model::new(nodes, flaw), Nobody);
    let mut play = Play::new(&mut stage, &mut nobody, nodes, Duration::from_secs(10));
    play.perform().await;
    play.into_steps()
}

#[tokio::test(start_paused = true)]
async fn nodes_that_do_right_are_found_right_however_many_they_are() {
    for nodes in [2, 3, 4, 16] {
        let steps = play(nodes, Flaw::None).await;
        assert_eq!((steps.len(), steps.iter().all(Step::ok)), (Scene::ALL.len(), true), "{nodes}: {steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_flaw_is_found_in_the_step_where_it_shows_and_the_play_ends_there() {
    let flaws = [
        (Flaw::LosesPings, Scene::Ping),
        (Flaw::Refuses, Scene::Ping),
        (Flaw::CrashIsNone, Scene::Crash),
        (Flaw::CrashForgets, Scene::Crash),
        (Flaw::CrashForgetsItself, Scene::Crash),
        (Flaw::KilledStaysLinked, Scene::Kill),
        (Flaw::ForgetsTheKilled, Scene::Kill),
        (Flaw::RestartForgetsItself, Scene::Restart),
        (Flaw::RestartStaysAlone, Scene::Restart),
        (Flaw::CutStaysLinked, Scene::Partition),
        (Flaw::LeakyPartition, Scene::Partition),
        (Flaw::HealForgets, Scene::Heal),
        (Flaw::HealStaysCut, Scene::Heal),
        (Flaw::CutCrashForgets, Scene::CutCrash),
        #[cfg(feature = "daemon")]
        (Flaw::DiskIsEmpty, Scene::AllKilled),
        #[cfg(feature = "daemon")]
        (Flaw::DiskIsOld, Scene::CutKill),
        #[cfg(feature = "daemon")]
        (Flaw::MinorityAnswers, Scene::Majority),
        #[cfg(feature = "daemon")]
        (Flaw::MajorityRefuses, Scene::Majority),
        #[cfg(feature = "daemon")]
        (Flaw::MajorityIsOld, Scene::Majority),
    ];
    for (flaw, scene) in flaws {
        // Of two nodes neither side is a majority.
        let least = if scene == Scene::Majority && !format!("{flaw:?}").starts_with("Minority") { 3 } else { 2 };
        for nodes in [2, 3, 5].into_iter().filter(|nodes| *nodes >= least) {
            let steps = play(nodes, flaw).await;
            let (last, before) = steps.split_last().unwrap();
            assert!(before.iter().all(Step::ok), "{flaw:?}: {before:?}");
            assert_eq!((last.scene, last.ok()), (scene, false), "{flaw:?} of {nodes}: {last:?}");
            let error = if flaw == Flaw::Refuses { "cannot ping" } else { "after 10 s" };
            assert!(last.error.as_ref().unwrap().contains(error), "{last:?}");
        }
    }
}

/// Signals, each so many milliseconds after the beginning.
struct Script(VecDeque<(Instant, Signal)>);

impl Script {
    fn new(signals: &[(u64, Signal)]) -> Self {
        Self(signals.iter().map(|(at, signal)| (Instant::now() + Duration::from_millis(*at), *signal)).collect())
    }
}

impl Interrupts for Script {
    async fn next(&mut self) -> Signal {
        let Some((at, signal)) = self.0.front().copied() else { return std::future::pending().await };
        tokio::time::sleep_until(at).await;
        self.0.pop_front();
        signal
    }
}

async fn directed(flaw: Flaw, signals: &[(u64, Signal)]) -> Outcome {
    let set = std::future::ready(Ok(Model::new(2, flaw)));
    direct(set, 2, Duration::from_secs(10), &mut Nobody, &mut Script::new(signals)).await
}

fn json(outcome: &Outcome) -> serde_json::Value {
    serde_json::from_str(&outcome.json("model", 2).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_wrong_count_stands_in_the_result_beside_the_right_one() {
    let outcome = directed(Flaw::LosesPings, &[]).await;
    let value = json(&outcome);
    let wrong = &value["steps"][1];
    assert_eq!((&value["ok"], &wrong["ok"], outcome.code()), (&false.into(), &false.into(), 1), "{value}");
    let count = |views: &str| wrong[views]["n2"]["counts"]["n1"].clone();
    assert_eq!((count("expected"), count("seen")), (10.into(), 9.into()), "{value}");
    assert!(value.get("error").is_none() && wrong["error"].is_string(), "{value}");
    assert_eq!(outcome.logs.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_right_and_could_not_be_cleaned_up_is_told_and_is_not_ok() {
    for (flaw, error) in [(Flaw::CannotClose, "cannot end"), (Flaw::NeverCloses, "have not ended within 5 s")] {
        let outcome = directed(flaw, &[]).await;
        let value = json(&outcome);
        assert!(outcome.played() && value["steps"].as_array().unwrap().len() == Scene::ALL.len(), "{value}");
        assert_eq!((&value["ok"], outcome.code()), (&false.into(), 1), "{value}");
        assert!(value["error"].as_str().unwrap().contains(error), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_stage_there_is_a_result_all_the_same() {
    let error = ClusterError::node("n1", "start", "there is no room");
    let set = std::future::ready(Err::<Model, _>(error));
    let outcome = direct(set, 2, Duration::from_secs(10), &mut Nobody, &mut Script::new(&[])).await;
    let value = json(&outcome);
    assert_eq!((&value["ok"], &value["steps"], outcome.code()), (&false.into(), &serde_json::json!([]), 1), "{value}");
    assert!(value["error"].as_str().unwrap().contains("there is no room"), "{value}");
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_the_play_and_a_second_one_ends_the_waiting() {
    let stuck = directed(Flaw::KilledStaysLinked, &[(5_000, Signal::Terminate)]).await;
    assert_eq!((stuck.steps.len(), stuck.code(), stuck.left.is_none()), (3, 143, true), "{stuck:?}");
    let value = json(&stuck);
    assert_eq!((&value["ok"], &value["error"]), (&false.into(), &"interrupted by SIGTERM".into()), "{value}");

    let began = Instant::now();
    let signals = [(100, Signal::Interrupt), (2_000, Signal::Quit)];
    let left = directed(Flaw::NeverCloses, &signals).await;
    assert_eq!((left.steps.len(), left.code(), began.elapsed()), (2, 130, Duration::from_secs(2)), "{left:?}");
    let error = json(&left)["error"].to_string();
    assert!(error.contains("interrupted by SIGINT; left at once by SIGQUIT, while nodes n1"), "{error}");
}
