//! The play on a stage that does exactly what it is told, or almost.

use super::error::DemoError;
use super::play::{Audience, Play, Step};
use super::report::json;
use super::stage::{Counts, Look, Stage, name};
use std::sync::Mutex;
use std::time::Duration;

/// What goes wrong on the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// One ping of each order is lost.
    LosesPings,
    /// Pings cross the partition.
    LeakyPartition,
    /// A node that was killed comes back without what it had pinged before.
    ForgetsOldPings,
    /// A node cannot ping.
    Refuses,
}

struct World {
    flaw: Flaw,
    groups: Vec<usize>,
    up: Vec<bool>,
    counts: Vec<Counts>,
}

/// Nodes without a network: who is in one group knows the same at once.
struct Model(Mutex<World>);

impl Model {
    fn new(nodes: usize, flaw: Flaw) -> Self {
        Self(Mutex::new(World {
            flaw,
            groups: vec![0; nodes],
            up: vec![true; nodes],
            counts: vec![Counts::new(); nodes],
        }))
    }
}

impl World {
    fn talk(&self, a: usize, b: usize) -> bool {
        self.up[a] && self.up[b] && self.groups[a] == self.groups[b]
    }

    fn spread(&mut self) {
        for a in 0..self.up.len() {
            for b in 0..self.up.len() {
                let leaks = self.flaw == Flaw::LeakyPartition && self.up[a] && self.up[b];
                if self.talk(a, b) || leaks {
                    for (producer, count) in self.counts[a].clone() {
                        let known = self.counts[b].entry(producer).or_default();
                        *known = count.max(*known);
                    }
                }
            }
        }
    }
}

impl Stage for Model {
    async fn open(&self) -> Result<(), DemoError> {
        let mut world = self.0.lock().unwrap();
        for node in 0..world.up.len() {
            world.counts[node].insert(name(node), 0);
        }
        world.spread();
        Ok(())
    }

    async fn ping(&self, node: usize, pings: u64) -> Result<(), DemoError> {
        let mut world = self.0.lock().unwrap();
        let pings = match world.flaw {
            Flaw::Refuses => return Err(DemoError::node(&name(node), "ping", "it will not")),
            Flaw::LosesPings => pings - 1,
            _ => pings,
        };
        *world.counts[node].entry(name(node)).or_default() += pings;
        world.spread();
        Ok(())
    }

    async fn crash_consumer(&self, _: usize) -> Result<(), DemoError> {
        Ok(())
    }

    async fn kill(&self, node: usize) -> Result<(), DemoError> {
        let mut world = self.0.lock().unwrap();
        world.up[node] = false;
        world.counts[node] = Counts::new();
        if world.flaw == Flaw::ForgetsOldPings {
            for counts in &mut world.counts {
                counts.insert(name(node), 0);
            }
        }
        Ok(())
    }

    async fn restart(&self, node: usize) -> Result<(), DemoError> {
        let mut world = self.0.lock().unwrap();
        world.up[node] = true;
        world.spread();
        Ok(())
    }

    async fn partition(&self, groups: &[Vec<usize>]) -> Result<(), DemoError> {
        let mut world = self.0.lock().unwrap();
        for (number, group) in groups.iter().enumerate() {
            group.iter().for_each(|node| world.groups[*node] = number);
        }
        Ok(())
    }

    async fn heal(&self) -> Result<(), DemoError> {
        let mut world = self.0.lock().unwrap();
        world.groups.fill(0);
        world.spread();
        Ok(())
    }

    async fn look(&self, node: usize) -> Result<Look, DemoError> {
        let world = self.0.lock().unwrap();
        let links = (0..world.up.len()).filter(|other| *other != node && world.talk(node, *other)).map(name);
        Ok(Look { links: links.collect(), counts: world.counts[node].clone() })
    }

    fn logs(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    async fn close(self) -> Result<(), DemoError> {
        Ok(())
    }
}

struct Nobody;

impl Audience for Nobody {
    fn begins(&mut self, _: &'static str) {}
    fn waits(&mut self, _: &'static str, _: usize, _: usize) {}
    fn ends(&mut self, _: &Step) {}
}

async fn play(nodes: usize, flaw: Flaw) -> Vec<Step> {
    let stage = Model::new(nodes, flaw);
    Play::new(&stage, &mut Nobody, nodes, Duration::from_millis(50)).perform().await
}

#[tokio::test]
async fn nodes_that_do_right_are_found_right_however_many_they_are() {
    for nodes in [2, 3, 4, 16] {
        let steps = play(nodes, Flaw::None).await;
        assert_eq!((steps.len(), steps.iter().all(Step::ok)), (7, true), "{nodes}: {steps:?}");
    }
}

#[tokio::test]
async fn every_flaw_is_found_in_the_step_where_it_shows_and_the_play_ends_there() {
    let flaws = [
        (Flaw::LosesPings, "pings reach everybody"),
        (Flaw::Refuses, "pings reach everybody"),
        (Flaw::ForgetsOldPings, "a node is killed"),
        (Flaw::LeakyPartition, "partition: each side counts its own"),
    ];
    for (flaw, name) in flaws {
        let steps = play(3, flaw).await;
        let (last, before) = steps.split_last().unwrap();
        assert!(before.iter().all(Step::ok), "{flaw:?}: {before:?}");
        assert_eq!((last.name, last.ok()), (name, false), "{flaw:?}: {last:?}");
        assert_eq!(last.error.is_some(), flaw == Flaw::Refuses, "{last:?}");
    }
}

#[tokio::test]
async fn a_wrong_count_stands_in_the_result_beside_the_right_one() {
    let steps = play(2, Flaw::LosesPings).await;
    let text = json(false, "model", 2, &steps).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let wrong = &value["steps"][1];
    assert_eq!((&value["ok"], &wrong["ok"]), (&false.into(), &false.into()), "{text}");
    assert_eq!((&wrong["expected"]["n2"]["n1"], &wrong["seen"]["n2"]["n1"]), (&10.into(), &9.into()), "{text}");
}
