//! Random faults on random nodes under traffic; what the contract promises in any case is checked throughout, and once all
//! is healed every living node must be linked with every other. `SEEDS=1000 cargo test -p pingpong-conformance --test mem
//! chaos` tries more; with `SEED=7` that one again.

use crate::support::MemHarness;
use pingpong_conformance::broken::{Breaking, Fault};
use pingpong_conformance::toolkit::{Cluster, Events, Probe, TestNode, body, message, node, options, segments, server};
use pingpong_conformance::{Clock, Harness, Place, StartOptions, Store};
use pingpong_core::{NodeName, Targets};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

const NAMES: [&str; 4] = ["a", "b", "d", "e"];
const STEPS: u64 = 30;

/// Chance, from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.roll(NAMES.len() as u64) as usize]
    }

    fn pair(&mut self) -> (Place, Place) {
        loop {
            let (one, other) = (self.name(), self.name());
            if one != other {
                return (one.into(), other.into());
            }
        }
    }
}

/// A node that lives: what it and its peers see, and the task that keeps it talking.
struct Life {
    node: TestNode,
    probe: Probe,
    events: Events,
    talking: JoinHandle<()>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.talking.abort();
    }
}

struct World<'a> {
    cluster: &'a Cluster,
    lives: BTreeMap<&'static str, Life>,
    /// The next number of each name; it goes on over restarts.
    numbers: BTreeMap<&'static str, Arc<AtomicU64>>,
    dice: Dice,
    log: Vec<String>,
}

impl World<'_> {
    fn options(&mut self, name: &'static str) -> StartOptions {
        let seeds: Vec<&str> = NAMES.into_iter().filter(|other| *other != name).collect();
        let mut options = options(name, &seeds);
        options.clock = match self.dice.roll(4) {
            0 => Clock::Behind(Duration::from_secs(self.dice.roll(100))),
            1 => Clock::Ahead(Duration::from_secs(self.dice.roll(100))),
            _ => Clock::Right,
        };
        options.store = if self.dice.roll(3) == 0 { Store::Kept } else { Store::None };
        options
    }

    async fn start(&mut self, name: &'static str) {
        let options = self.options(name);
        let node = self.cluster.start_with(options).await;
        let (probe, events) = (node.probe_with_events("s"), node.events());
        let number = Arc::clone(self.numbers.entry(name).or_default());
        let talker = node.clone();
        let talking = tokio::spawn(async move {
            loop {
                let bytes = body(number.fetch_add(1, Ordering::Relaxed), 40);
                let _ = talker.abcast(&Targets::All, &server("s"), message(&bytes)).await;
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        });
        self.lives.insert(name, Life { node, probe, events, talking });
    }

    fn check(&self, life: &Life) {
        life.events.check_alternation();
        let records = life.probe.records();
        for name in NAMES.into_iter().filter(|name| life.node.name().as_str() != *name) {
            segments(&records, &node(name));
        }
    }

    async fn end(&mut self, name: &'static str, graceful: bool) {
        let Some(mut life) = self.lives.remove(name) else { return };
        life.talking.abort();
        if graceful {
            self.cluster.stop(&life.node, self.cluster.t()).await;
        } else {
            self.cluster.harness().crash(life.node.place()).await;
        }
        life.events.gather(Duration::from_millis(1)).await;
        self.check(&life);
    }

    async fn step(&mut self) {
        let harness = self.cluster.harness();
        let (one, other) = self.dice.pair();
        let (name, kind) = (self.dice.name(), self.dice.roll(13));
        self.log.push(format!("{kind} {name} {one} {other}"));
        match kind {
            0 | 1 => harness.cut(&one, &other).await,
            2 | 3 => harness.cut_one_way(&one, &other).await,
            4 | 5 => harness.heal_all().await,
            6 => harness.partition(&[vec![one], vec![other]]).await,
            7 => harness.stall(&one).await,
            8 => {
                for name in NAMES {
                    harness.resume(&name.into()).await;
                }
            }
            9 => drop(self.lives[NAMES[0]].node.disconnect(&node(name)).await),
            10 if name != NAMES[0] => self.end(name, true).await,
            11 if name != NAMES[0] => self.end(name, false).await,
            _ if !self.lives.contains_key(name) => self.start(name).await,
            _ => {}
        }
        let time = self.cluster.t() * (1 + self.dice.roll(24) as u32) / 16;
        self.cluster.hold(time).await;
        for life in self.lives.values_mut() {
            life.events.gather(Duration::ZERO).await;
        }
    }

    /// Heals all, and checks that all is well.
    async fn heal(&mut self) {
        self.cluster.harness().heal_all().await;
        for name in NAMES {
            self.cluster.harness().resume(&name.into()).await;
            if !self.lives.contains_key(name) {
                self.start(name).await;
            }
        }
        let names: Vec<NodeName> = NAMES.iter().map(|name| node(name)).collect();
        for life in self.lives.values_mut() {
            let others: Vec<NodeName> = names.iter().filter(|name| *name != life.node.name()).cloned().collect();
            life.events.until_linked(&others).await;
        }
        self.cluster.hold(self.cluster.t() * 4).await;
        for life in self.lives.values_mut() {
            life.events.gather(Duration::ZERO).await;
            assert_eq!(life.node.list().len(), NAMES.len() - 1, "{:?} is linked with all", life.node);
        }
        for (name, number) in &self.numbers {
            let last = number.load(Ordering::Relaxed);
            for life in self.lives.values() {
                life.probe.until_number(&node(name), last).await;
            }
        }
        for life in self.lives.values() {
            self.check(life);
            let why = tokio::time::timeout(Duration::from_millis(1), life.node.stopped()).await;
            assert!(why.is_err(), "{:?} was never started twice, and stopped: {why:?}", life.node);
        }
    }
}

fn rough(seed: u64) -> MemHarness {
    MemHarness::rough(seed, Duration::from_millis(seed % 4 * 15))
}

fn run(seed: u64, harness: impl Harness) -> Result<(), String> {
    let (runtime, cluster) = (harness.runtime(), Cluster::new(Arc::new(harness)));
    let (lives, numbers) = (BTreeMap::new(), BTreeMap::new());
    let mut world = World { cluster: &cluster, lives, numbers, dice: Dice(seed), log: Vec::new() };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            for name in NAMES {
                world.start(name).await;
            }
            for _ in 0..STEPS {
                world.step().await;
            }
            world.heal().await;
        });
    }));
    let guard = runtime.enter();
    let log = std::mem::take(&mut world.log);
    drop(world);
    drop(guard);
    ended.map_err(|payload| {
        let words = payload.downcast_ref::<String>().cloned().unwrap_or_default();
        format!("SEED={seed} after {log:?}: {}", words.chars().take(1_500).collect::<String>())
    })
}

#[test]
fn whatever_happens_the_promises_hold_and_the_cluster_heals() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seeds = number("SEED").map_or(1..=number("SEEDS").unwrap_or(20), |seed: u64| seed..=seed);
    let failed: Vec<String> = seeds.filter_map(|seed| run(seed, rough(seed)).err()).collect();
    assert!(failed.is_empty(), "{} seeds failed:\n{}", failed.len(), failed.join("\n\n"));
}

#[test]
fn broken_transports_are_noticed() {
    const NOTICED: [Fault; 12] = [
        Fault::DropsHundredthCast,
        Fault::DuplicatesCasts,
        Fault::SwapsCasts,
        Fault::DropsDuringCuts,
        Fault::DeliversAfterDown,
        Fault::DeliversBeforeUp,
        Fault::WrongSender,
        Fault::ForgetsDowns,
        Fault::UpTwice,
        Fault::DownNamesAnother,
        Fault::NoRedial,
        Fault::HealDoesNothing,
    ];
    let noticed = |fault| (1..=5).any(|seed| run(seed, Breaking::new(rough(seed), fault)).is_err());
    let missed: Vec<Fault> = NOTICED.into_iter().filter(|fault| !noticed(*fault)).collect();
    assert!(missed.is_empty(), "not noticed under random faults: {missed:?}");
}
