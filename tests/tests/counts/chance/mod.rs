//! Clients at random levels, and random faults, from a seed; then all is healed, and what was promised must be there.

mod clients;
mod stage;

use crate::actor::XYZ;
use crate::disk::{Fault, Manner};
use futures_util::future::{join, join_all};
use pingpong_conformance::history::{Outcome, Summary, check};
use pingpong_conformance::toolkit::{Cluster, node};
use pingpong_core::exercise::{Counts, Slot};
use stage::Stage;
use std::collections::BTreeMap;
use std::time::Duration;

/// Chance, from a seed.
struct Dice(u64);

impl Dice {
    /// One of several dice with the same seed.
    fn new(seed: u64, which: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (which << 48));
        dice.roll(2);
        dice
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len() as u64) as usize]
    }
}

/// Stores are kept, whatever else fails: what four clients saw at `majority` is one order of events. `w` does not vote.
pub(crate) async fn scenario_24_what_clients_see_at_majority_is_linearizable(c: &Cluster, seed: u64) {
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Lose).collect();
    let summary = play(c, seed, &["w", "x", "y", "z"], 4, &kinds).await;
    let [.., majority, _] = summary.reads;
    assert!(summary.acknowledged[2] > 0 && majority > 0, "little was done: {summary}");
}

/// Whatever fails: all consumers agree in the end, and hold all that was acknowledged and answered.
pub(crate) async fn scenario_35_after_random_faults_all_agree_and_nothing_is_lost(c: &Cluster, seed: u64) {
    let summary = play(c, seed, &XYZ, 3, &Kind::ALL).await;
    assert!(summary.acknowledged.iter().sum::<usize>() > 0 && summary.settled == 1, "little was done: {summary}");
}

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cut,
    CutOneWay,
    Heal,
    Delay,
    /// Of a server.
    Crash,
    /// Of a process, whose disk is kept.
    Kill,
    /// Of a process, whose disk is lost.
    Lose,
    Full,
    Slow,
    Sync,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Cut,
        Self::CutOneWay,
        Self::Heal,
        Self::Delay,
        Self::Crash,
        Self::Kill,
        Self::Lose,
        Self::Full,
        Self::Slow,
        Self::Sync,
    ];
}

/// Steps of a run, and how long each takes at most, in milliseconds.
const STEPS: u64 = 24;
const STEP: u64 = 700;
/// How long a client rests at most.
const REST: u64 = 90;

async fn play(c: &Cluster, seed: u64, names: &'static [&'static str], clients: u64, kinds: &[Kind]) -> Summary {
    let stage = Stage::new(c, names).await;
    let faults = async {
        let mut dice = Dice::new(seed, 0);
        for _ in 0..STEPS {
            let kind = dice.one_of(kinds);
            fail(&stage, &mut dice, kind).await;
            stage.pause(&mut dice, STEP).await;
            stage.restart_those_that_stopped().await;
        }
        stage.over.set(true);
    };
    let clients = join_all((1..=clients).map(|which| clients::client(&stage, Dice::new(seed, which), REST)));
    join(faults, clients).await;
    let counts = stage.settles().await;
    holds_what_was_acknowledged(&stage, &counts);
    let reading: BTreeMap<Slot, u64> = counts.iter().map(|(slot, count)| (slot.clone(), count)).collect();
    let readings = names.iter().map(|name| (node(name), reading.clone())).collect();
    let now = stage.now();
    let mut history = stage.history.borrow_mut();
    history.settled(now, readings);
    check(&history).unwrap_or_else(|violation| {
        let entries: Vec<String> = history.entries().iter().map(ToString::to_string).collect();
        panic!("{violation}\n{}", entries.join("\n"))
    })
}

/// The promise itself, as plainly as it stands; the checker looks closer.
fn holds_what_was_acknowledged(stage: &Stage<'_>, counts: &Counts) {
    for entry in stage.history.borrow().entries() {
        use pingpong_conformance::history::{Ack, Level, Operation};
        match (&entry.operation, &entry.end) {
            (Operation::Ping { ack: Ack::Majority, .. }, Some((_, Outcome::Acknowledged { slot, count }))) => {
                assert!(counts.get(slot) >= Some(*count), "{entry}, and in the end {counts:?}");
            }
            (
                Operation::Read { level: Level::Majority | Level::Snapshot, .. },
                Some((_, Outcome::Answered(answer))),
            ) => {
                assert!(answer.total.is_none_or(|total| counts.total() >= total), "{entry}, and in the end {counts:?}");
                for (name, value) in &answer.values {
                    assert!(counts.value(name) >= *value, "{entry}, and in the end {counts:?}");
                }
            }
            _ => {}
        }
    }
}

async fn fail(stage: &Stage<'_>, dice: &mut Dice, kind: Kind) {
    let harness = stage.world.cluster.harness();
    let one = dice.one_of(stage.names);
    let others: Vec<&str> = stage.names.iter().copied().filter(|other| *other != one).collect();
    let other = dice.one_of(&others);
    let disk = stage.life(one).map(|life| life.actor.disk.clone());
    let on_disk = |change: &dyn Fn(&mut Manner)| {
        if let Some(disk) = &disk {
            disk.behave(|manner| change(manner));
        }
    };
    match kind {
        Kind::Cut => harness.cut(&one.into(), &other.into()).await,
        Kind::CutOneWay => harness.cut_one_way(&one.into(), &other.into()).await,
        Kind::Heal => {
            harness.heal_all().await;
            for name in stage.names {
                stage.start(name).await;
            }
        }
        Kind::Delay => harness.delay(&one.into(), &other.into(), Duration::from_millis(dice.roll(60))).await,
        Kind::Crash => {
            if let Some(life) = stage.life(one) {
                let exercise = &life.actor.exercise;
                match (dice.roll(3), exercise.member()) {
                    (0, _) => exercise.consumer().crash().await,
                    (1, Some(member)) => member.crash().await,
                    _ => exercise.producer().crash().await,
                }
            }
        }
        Kind::Kill => {
            stage.kill(one).await;
            // Some come back at once, and some with the next heal.
            if dice.roll(2) == 0 {
                stage.start(one).await;
            }
        }
        Kind::Lose => {
            if stage.may_lose(one) {
                stage.kill(one).await;
                stage.lose(one);
                stage.start(one).await;
            }
        }
        Kind::Full => on_disk(&|manner| manner.fault = if manner.fault.is_none() { Some(Fault::Full) } else { None }),
        Kind::Slow => {
            let latency = Duration::from_millis(dice.roll(60));
            on_disk(&|manner| manner.latency = latency);
        }
        Kind::Sync => {
            let kept = dice.roll(2) == 0;
            on_disk(&|manner| manner.fault = Some(Fault::Sync { kept }));
        }
    }
}
