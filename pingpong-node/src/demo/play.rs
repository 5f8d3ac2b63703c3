//! The play: what happens on a stage, and what must be seen after each step.

use super::error::Late;
use super::stage::{Disk, Stage, name};
use super::truth::{Truth, Views};
use crate::cluster::{ClusterError, within};
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// Nodes are asked this often while a step waits.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Counts that must not arrive are waited for this long: more than the pause between two pieces of news.
const HOLD: Duration = Duration::from_millis(300);
/// Whose consumer crashes.
const CRASHED: usize = 1;

/// A step of the play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "daemon"), allow(dead_code, reason = "the last three need a disk"))]
pub(crate) enum Scene {
    Meet,
    Ping,
    Crash,
    Kill,
    Restart,
    Partition,
    Heal,
    CutCrash,
    AllKilled,
    CutKill,
    Majority,
}

impl Scene {
    /// In the order in which they are played. A build whose nodes keep nothing on a disk ends before those that need one.
    pub(crate) const ALL: &[Self] = &[
        Self::Meet,
        Self::Ping,
        Self::Crash,
        Self::Kill,
        Self::Restart,
        Self::Partition,
        Self::Heal,
        Self::CutCrash,
        #[cfg(feature = "daemon")]
        Self::AllKilled,
        #[cfg(feature = "daemon")]
        Self::CutKill,
        #[cfg(feature = "daemon")]
        Self::Majority,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meet => "nodes find each other",
            Self::Ping => "pings reach everybody",
            Self::Crash => "a consumer crashes and recovers",
            Self::Kill => "a node is killed",
            Self::Restart => "it starts again",
            Self::Partition => "partition: each side counts its own",
            Self::Heal => "heal: all catch up",
            Self::CutCrash => "a consumer crashes in a partition",
            Self::AllKilled => "all are killed, and start again on their disks",
            Self::CutKill => "a producer is killed in a partition",
            Self::Majority => "partition: what a majority says",
        }
    }

    /// Its name, and which of so many nodes it is about.
    pub(crate) fn title(self, nodes: usize) -> String {
        let last = || name(nodes.saturating_sub(1));
        match self {
            Self::Crash | Self::CutCrash => format!("{}: that of {}", self.name(), name(CRASHED)),
            Self::Kill | Self::Restart | Self::CutKill => format!("{}: {}", self.name(), last()),
            Self::Majority => format!("{}: {} | {}", self.name(), side(0..nodes.saturating_sub(1)), last()),
            Self::Partition => {
                let (one, other) = (side(0..half(nodes)), side(half(nodes)..nodes));
                format!("{}: {one} | {other}", self.name())
            }
            Self::Meet | Self::Ping | Self::Heal | Self::AllKilled => self.name().to_owned(),
        }
    }
}

/// How many nodes are on the first side of the cut.
const fn half(nodes: usize) -> usize {
    nodes / 2
}

fn side(nodes: Range<usize>) -> String {
    match nodes.len() {
        0..=3 => nodes.map(name).collect::<Vec<_>>().join(", "),
        _ => format!("{} to {}", name(nodes.start), name(nodes.end - 1)),
    }
}

/// What came of a step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) scene: Scene,
    pub(crate) expected: Views,
    pub(crate) seen: Views,
    pub(crate) took: Duration,
    /// Why it was not carried out to its end.
    pub(crate) error: Option<String>,
}

impl Step {
    pub(crate) fn ok(&self) -> bool {
        self.error.is_none() && !self.expected.is_empty() && self.expected == self.seen
    }
}

/// Whom the play tells how it goes. What is said while a step runs must not take its time, and may be missed.
pub(crate) trait Audience {
    fn begins(&mut self, scene: Scene);
    /// While a step waits: so many of all nodes are as they should be.
    fn waits(&mut self, scene: Scene, right: usize, of: usize);
    async fn ends(&mut self, step: &Step);
}

/// The play, as far as it has gone.
pub(crate) struct Play<'a, S, A> {
    stage: &'a mut S,
    audience: &'a mut A,
    nodes: usize,
    /// How long a step may take.
    patience: Duration,
    truth: Truth,
    expected: Views,
    seen: Views,
    steps: Vec<Step>,
}

impl<'a, S: Stage, A: Audience> Play<'a, S, A> {
    pub(crate) fn new(stage: &'a mut S, audience: &'a mut A, nodes: usize, patience: Duration) -> Self {
        Self {
            stage,
            audience,
            nodes,
            patience,
            truth: Truth::new(nodes),
            expected: Views::new(),
            seen: Views::new(),
            steps: Vec::new(),
        }
    }

    /// Plays to the end, or to the first step that goes wrong.
    pub(crate) async fn perform(&mut self) {
        for scene in Scene::ALL.iter().copied() {
            let began = Instant::now();
            (self.expected, self.seen) = Default::default();
            self.audience.begins(scene);
            let error = match within(self.patience, Box::pin(self.play(scene))).await {
                Some(result) => result.err().map(|error| error.to_string()),
                None => Some(self.stage.silent().map_or_else(|| self.late().to_string(), |silent| silent.to_string())),
            };
            let step =
                Step { scene, expected: self.expected.clone(), seen: self.seen.clone(), took: began.elapsed(), error };
            let ok = step.ok();
            // It is kept first: telling it may be interrupted.
            self.steps.push(step);
            if let Some(step) = self.steps.last() {
                self.audience.ends(step).await;
            }
            if !ok {
                break;
            }
        }
    }

    /// The steps that were played to their end, whatever it was.
    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    async fn play(&mut self, scene: Scene) -> Result<(), ClusterError> {
        match scene {
            Scene::Meet => self.meet(scene).await,
            Scene::Ping => self.ping_everybody(scene).await,
            Scene::Crash => self.crash_a_consumer(scene).await,
            Scene::Kill => self.kill_a_node(scene).await,
            Scene::Restart => self.start_it_again(scene).await,
            Scene::Partition => self.partition(scene).await,
            Scene::Heal => self.heal(scene).await,
            Scene::CutCrash => self.crash_in_a_partition(scene).await,
            Scene::AllKilled => self.kill_all(scene).await,
            Scene::CutKill => self.kill_in_a_partition(scene).await,
            Scene::Majority => self.ask_a_majority(scene).await,
        }
    }

    fn late(&self) -> Late {
        Late { within: self.patience, right: self.right(), of: self.expected.len() }
    }

    /// How many nodes are as they should be.
    fn right(&self) -> usize {
        self.expected.iter().filter(|(node, view)| self.seen.get(*node) == Some(view)).count()
    }

    fn last(&self) -> usize {
        self.nodes - 1
    }

    /// A producer says that it has begun: it is known, with no pings.
    async fn meet(&mut self, scene: Scene) -> Result<(), ClusterError> {
        self.stage.open().await?;
        (0..self.nodes).for_each(|node| self.truth.starts(node));
        self.settle(scene).await
    }

    async fn ping_everybody(&mut self, scene: Scene) -> Result<(), ClusterError> {
        for node in 0..self.nodes {
            self.ping(node, 10 * (node as u64 + 1)).await?;
        }
        self.settle(scene).await
    }

    /// The others ping while it is down, and not afterwards; and nobody has a reason to tell it what it pinged itself. So
    /// it gets back what it lost and what it missed only if it asks.
    async fn crash_a_consumer(&mut self, scene: Scene) -> Result<(), ClusterError> {
        self.stage.crash(CRASHED).await?;
        self.truth.ends(CRASHED);
        for node in (0..self.nodes).filter(|node| *node != CRASHED) {
            self.ping(node, 20).await?;
        }
        self.settle(scene).await?;
        // The others pass on to each other what they heard, and to it; that must have found nobody there.
        tokio::time::sleep(HOLD).await;
        self.stage.recover(CRASHED).await?;
        self.truth.starts(CRASHED);
        self.settle(scene).await
    }

    /// The others see it go, go on, and keep what it has pinged.
    async fn kill_a_node(&mut self, scene: Scene) -> Result<(), ClusterError> {
        let last = self.last();
        self.stage.kill(last, Disk::Lost).await?;
        self.truth.ends(last);
        self.truth.regroup(vec![(0..last).collect()]);
        self.settle(scene).await?;
        for node in 0..last {
            self.ping(node, 3).await?;
        }
        self.settle(scene).await
    }

    /// It has lost everything, and gets everything back, its own pings included; then it goes on.
    async fn start_it_again(&mut self, scene: Scene) -> Result<(), ClusterError> {
        let last = self.last();
        self.stage.restart(last).await?;
        self.truth.regroup(vec![(0..self.nodes).collect()]);
        self.truth.starts(last);
        self.settle(scene).await?;
        self.ping(last, 7).await?;
        self.settle(scene).await
    }

    /// Both sides notice the cut, both ping, and neither hears of the other's.
    async fn partition(&mut self, scene: Scene) -> Result<(), ClusterError> {
        let half = half(self.nodes);
        self.truth.regroup(vec![(0..half).collect(), (half..self.nodes).collect()]);
        self.stage.partition(self.truth.groups()).await?;
        self.settle(scene).await?;
        for node in 0..self.nodes {
            self.ping(node, 100 * (node as u64 + 1)).await?;
        }
        self.settle(scene).await?;
        // What leaks does not go away again; a link that flaps on a loaded machine does come back.
        tokio::time::sleep(HOLD).await;
        self.settle(scene).await
    }

    async fn heal(&mut self, scene: Scene) -> Result<(), ClusterError> {
        self.stage.heal().await?;
        self.truth.regroup(vec![(0..self.nodes).collect()]);
        self.settle(scene).await
    }

    async fn cut(&mut self, first: usize, scene: Scene) -> Result<(), ClusterError> {
        self.truth.regroup(vec![(0..first).collect(), (first..self.nodes).collect()]);
        self.stage.partition(self.truth.groups()).await?;
        self.settle(scene).await
    }

    /// It loses what it knew while the other side pings on. What its own side has comes back at once, the rest after the heal.
    async fn crash_in_a_partition(&mut self, scene: Scene) -> Result<(), ClusterError> {
        self.cut(half(self.nodes), scene).await?;
        self.stage.crash(CRASHED).await?;
        self.truth.ends(CRASHED);
        for node in (0..self.nodes).filter(|node| *node != CRASHED) {
            self.ping(node, 1_000).await?;
        }
        self.stage.recover(CRASHED).await?;
        self.truth.starts(CRASHED);
        self.settle(scene).await?;
        self.heal(scene).await
    }

    /// Nobody is left who could tell them: what they know is from their disks.
    async fn kill_all(&mut self, scene: Scene) -> Result<(), ClusterError> {
        self.expected = self.truth.views();
        for node in 0..self.nodes {
            self.stage.kill(node, Disk::Kept).await?;
        }
        for node in 0..self.nodes {
            self.stage.restart(node).await?;
        }
        self.settle(scene).await?;
        self.ping(self.last(), 5).await?;
        self.settle(scene).await
    }

    /// It pings where nobody hears it, is killed, and starts again, alone: it goes on where it was, and after the heal all have its pings.
    async fn kill_in_a_partition(&mut self, scene: Scene) -> Result<(), ClusterError> {
        let last = self.last();
        self.cut(last, scene).await?;
        self.ping(last, 40).await?;
        self.ping(0, 2).await?;
        self.stage.kill(last, Disk::Kept).await?;
        self.stage.restart(last).await?;
        self.settle(scene).await?;
        self.ping(last, 2).await?;
        self.settle(scene).await?;
        self.heal(scene).await
    }

    /// The side with more than half of the nodes answers, and is right; the other one refuses, and shows what it knows only if it is asked
    /// for that.
    async fn ask_a_majority(&mut self, scene: Scene) -> Result<(), ClusterError> {
        self.cut(self.last(), scene).await?;
        self.ping(0, 6).await?;
        self.truth.ask(true);
        self.settle(scene).await
    }

    async fn ping(&mut self, node: usize, pings: u64) -> Result<(), ClusterError> {
        self.stage.ping(node, pings).await?;
        self.truth.pings(node, pings);
        Ok(())
    }

    /// Waits until every node is as it should be: until the end of the step, if need be.
    async fn settle(&mut self, scene: Scene) -> Result<(), ClusterError> {
        self.expected = self.truth.views();
        loop {
            self.look().await?;
            if self.seen == self.expected {
                return Ok(());
            }
            self.audience.waits(scene, self.right(), self.expected.len());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&mut self) -> Result<(), ClusterError> {
        for node in self.truth.groups().concat() {
            let view = self.stage.look(node, self.truth.asks()).await?;
            self.seen.insert(name(node), view);
        }
        self.seen.retain(|node, _| self.expected.contains_key(node));
        Ok(())
    }
}
