//! The play: what happens on a stage, and what must be seen after each step.
//!
//! What is expected is reckoned here, from the pings that were ordered and from who could hear of them; nothing that a node
//! says goes into it.

use super::error::DemoError;
use super::stage::{Counts, Look, Stage, name};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What is expected, or seen, of each node that runs.
pub(crate) type Views = BTreeMap<String, Look>;

/// Nodes are asked this often while a step waits.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Counts that must not arrive are waited for this long: more than the pause between two pieces of news.
const HOLD: Duration = Duration::from_millis(300);

/// What came of a step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// Whether it is about links alone: nobody has pinged yet.
    pub(crate) links_only: bool,
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

/// Whom the play tells how it goes.
pub(crate) trait Audience {
    fn begins(&mut self, name: &'static str);
    /// While a step waits: so many of all nodes are as they should be.
    fn waits(&mut self, name: &'static str, right: usize, of: usize);
    fn ends(&mut self, step: &Step);
}

/// The play, as far as it has gone.
pub(crate) struct Play<'a, S, A> {
    stage: &'a S,
    audience: &'a mut A,
    /// How long a step may wait.
    patience: Duration,
    /// The nodes that run, in the groups that can talk.
    groups: Vec<Vec<usize>>,
    /// All pings that were ordered, by producer.
    pinged: Vec<u64>,
    /// What the consumers of each running node should have counted.
    known: BTreeMap<usize, Counts>,
    expected: Views,
    seen: Views,
    steps: Vec<Step>,
}

impl<'a, S: Stage, A: Audience> Play<'a, S, A> {
    pub(crate) fn new(stage: &'a S, audience: &'a mut A, nodes: usize, patience: Duration) -> Self {
        Self {
            stage,
            audience,
            patience,
            groups: vec![(0..nodes).collect()],
            pinged: vec![0; nodes],
            known: (0..nodes).map(|node| (node, Counts::new())).collect(),
            expected: Views::new(),
            seen: Views::new(),
            steps: Vec::new(),
        }
    }

    /// Plays to the end, or to the first step that goes wrong.
    pub(crate) async fn perform(mut self) -> Vec<Step> {
        type Name = &'static str;
        const NAMES: [Name; 7] = [
            "nodes find each other",
            "pings reach everybody",
            "a consumer crashes and recovers",
            "a node is killed",
            "it starts again",
            "partition: each side counts its own",
            "heal: all catch up",
        ];
        for (number, name) in NAMES.into_iter().enumerate() {
            let began = Instant::now();
            (self.expected, self.seen) = Default::default();
            self.audience.begins(name);
            let result = match number {
                0 => self.find_each_other(name).await,
                1 => self.ping_everybody(name).await,
                2 => self.crash_a_consumer(name).await,
                3 => self.kill_a_node(name).await,
                4 => self.start_it_again(name).await,
                5 => self.partition(name).await,
                _ => self.heal(name).await,
            };
            let step = Step {
                name,
                links_only: number == 0,
                expected: self.expected.clone(),
                seen: self.seen.clone(),
                took: began.elapsed(),
                error: result.err().map(|error| error.to_string()),
            };
            let ok = step.ok();
            self.audience.ends(&step);
            self.steps.push(step);
            if !ok {
                break;
            }
        }
        self.steps
    }

    fn last(&self) -> usize {
        self.pinged.len() - 1
    }

    async fn find_each_other(&mut self, name: &'static str) -> Result<(), DemoError> {
        self.stage.open().await?;
        // A producer says that it has begun: it is known, with no pings.
        self.expect_pings(&[]);
        self.settle(name).await.map(drop)
    }

    async fn ping_everybody(&mut self, name: &'static str) -> Result<(), DemoError> {
        for node in 0..=self.last() {
            self.ping(node, 10 * (node as u64 + 1)).await?;
        }
        self.settle(name).await.map(drop)
    }

    /// The others ping before, while and after it is down; what it missed it must ask for.
    async fn crash_a_consumer(&mut self, name: &'static str) -> Result<(), DemoError> {
        let (stage, nodes) = (self.stage, self.pinged.len());
        let others = async {
            for _ in 0..20 {
                for node in (0..nodes).filter(|node| *node != 1) {
                    stage.ping(node, 1).await?;
                }
            }
            Ok::<(), DemoError>(())
        };
        let (crashed, pinged) = tokio::join!(stage.crash_consumer(1), others);
        crashed.and(pinged)?;
        let pings: Vec<_> = (0..nodes).filter(|node| *node != 1).map(|node| (node, 20)).collect();
        self.expect_pings(&pings);
        self.settle(name).await.map(drop)
    }

    /// The others see it go, go on, and keep what it has pinged.
    async fn kill_a_node(&mut self, name: &'static str) -> Result<(), DemoError> {
        let last = self.last();
        self.stage.kill(last).await?;
        self.groups = vec![(0..last).collect()];
        self.known.remove(&last);
        if self.settle(name).await? {
            for node in 0..last {
                self.ping(node, 3).await?;
            }
            self.settle(name).await?;
        }
        Ok(())
    }

    /// It has lost everything, and gets everything back, its own pings included; then it goes on.
    async fn start_it_again(&mut self, name: &'static str) -> Result<(), DemoError> {
        let last = self.last();
        self.stage.restart(last).await?;
        self.groups = vec![(0..=last).collect()];
        self.known.insert(last, Counts::new());
        self.expect_pings(&[]);
        if self.settle(name).await? {
            self.ping(last, 7).await?;
            self.settle(name).await?;
        }
        Ok(())
    }

    /// Both sides notice the cut, both ping, and neither hears of the other's.
    async fn partition(&mut self, name: &'static str) -> Result<(), DemoError> {
        let nodes = self.pinged.len();
        self.groups = vec![(0..nodes / 2).collect(), (nodes / 2..nodes).collect()];
        self.stage.partition(&self.groups).await?;
        if self.settle(name).await? {
            for node in 0..nodes {
                self.ping(node, 100 * (node as u64 + 1)).await?;
            }
            if self.settle(name).await? {
                // What leaks does not go away again; a link that flaps on a loaded machine does come back.
                tokio::time::sleep(HOLD).await;
                self.settle(name).await?;
            }
        }
        Ok(())
    }

    async fn heal(&mut self, name: &'static str) -> Result<(), DemoError> {
        self.stage.heal().await?;
        self.groups = vec![(0..self.pinged.len()).collect()];
        self.expect_pings(&[]);
        self.settle(name).await.map(drop)
    }

    async fn ping(&mut self, node: usize, pings: u64) -> Result<(), DemoError> {
        self.stage.ping(node, pings).await?;
        self.expect_pings(&[(node, pings)]);
        Ok(())
    }

    /// Whoever can talk knows all that one of them knows, and what one of them pings.
    fn expect_pings(&mut self, pings: &[(usize, u64)]) {
        for (node, pings) in pings {
            self.pinged[*node] += pings;
        }
        for group in &self.groups {
            let mut all = Counts::new();
            for node in group {
                let own = (name(*node), self.pinged[*node]);
                for (producer, count) in self.known.get(node).cloned().unwrap_or_default().into_iter().chain([own]) {
                    let known = all.entry(producer).or_default();
                    *known = count.max(*known);
                }
            }
            self.known.extend(group.iter().map(|node| (*node, all.clone())));
        }
    }

    fn views(&self) -> Views {
        let mut views = Views::new();
        for group in &self.groups {
            let names: BTreeSet<String> = group.iter().map(|node| name(*node)).collect();
            for node in group {
                let mut links = names.clone();
                links.remove(&name(*node));
                let counts = self.known.get(node).cloned().unwrap_or_default();
                views.insert(name(*node), Look { links, counts });
            }
        }
        views
    }

    /// Waits until every node is as it should be. False once patience is at its end; then it is known what was seen.
    async fn settle(&mut self, name: &'static str) -> Result<bool, DemoError> {
        self.expected = self.views();
        let deadline = Instant::now() + self.patience;
        loop {
            self.look().await?;
            if self.seen == self.expected {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            let right = self.expected.iter().filter(|(node, view)| self.seen.get(*node) == Some(view)).count();
            self.audience.waits(name, right, self.expected.len());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&mut self) -> Result<(), DemoError> {
        for node in self.groups.concat() {
            let view = self.stage.look(node).await?;
            self.seen.insert(name(node), view);
        }
        self.seen.retain(|node, _| self.expected.contains_key(node));
        Ok(())
    }
}

/// What is expected or seen in a step, as it is reported.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Shown<'a> {
    Links(BTreeMap<&'a str, &'a BTreeSet<String>>),
    Counts(BTreeMap<&'a str, &'a Counts>),
}

impl<'a> Shown<'a> {
    pub(crate) fn links(views: &'a Views) -> Self {
        Self::Links(views.iter().map(|(node, view)| (node.as_str(), &view.links)).collect())
    }

    pub(crate) fn counts(views: &'a Views) -> Self {
        Self::Counts(views.iter().map(|(node, view)| (node.as_str(), &view.counts)).collect())
    }
}
