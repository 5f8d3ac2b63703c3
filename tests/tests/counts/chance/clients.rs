//! Clients that ping and read at all levels, and write down what they see.

use super::Dice;
use super::stage::{Life, Stage};
use pingpong_conformance::history::{Ack, Answer, Level, Operation, Outcome, What};
use pingpong_conformance::toolkit::node;
use pingpong_core::NodeName;
use pingpong_core::exercise::{FreshRead, FreshValue, MajorityRead, PingError, PingRefused, Pinged};
use std::collections::BTreeMap;
use std::time::Duration;

/// Goes on until the stage says that it is over.
pub(super) async fn client(stage: &Stage<'_>, mut dice: Dice, pause: u64) {
    let mut unconfirmed: Vec<Pinged> = Vec::new();
    while !stage.over.get() {
        stage.pause(&mut dice, pause).await;
        let Some(life) = stage.life(dice.one_of(stage.names)) else { continue };
        let deadline = Duration::from_millis(50 + dice.roll(1_000));
        let node = life.actor.node.name().clone();
        match dice.roll(10) {
            0 => ping(stage, &life, Ack::Queued, deadline).await,
            1 | 2 => ping(stage, &life, Ack::Local, deadline).await,
            3 | 4 => ping(stage, &life, Ack::Majority, deadline).await,
            5 => {
                if let Some(pinged) = unconfirmed.pop() {
                    confirm(stage, &life, pinged, deadline).await;
                }
                None
            }
            6 => reads(stage, &life, Level::Local, What::All, deadline, node).await,
            7 => reads(stage, &life, Level::Fresh, What::All, deadline, node).await,
            8 => reads(stage, &life, Level::Snapshot, What::All, deadline, node).await,
            _ => {
                let what = match dice.roll(3) {
                    0 => What::Producer(self::node(dice.one_of(stage.names))),
                    1 => What::Total,
                    _ => What::All,
                };
                reads(stage, &life, Level::Majority, what, deadline, node).await
            }
        }
        .into_iter()
        .for_each(|pinged| unconfirmed.push(pinged));
    }
}

/// A ping that must be counted, when all faults are over: with it all that waited before is.
pub(super) async fn pings(stage: &Stage<'_>, life: &Life) {
    let id = stage.begin(Operation::Ping { producer: life.actor.node.name().clone(), ack: Ack::Majority });
    let Pinged { slot, count } = life.actor.pings_for_good(1).await;
    stage.end(id, Outcome::Acknowledged { slot, count });
}

/// Returns the ping if it is to be confirmed.
async fn ping(stage: &Stage<'_>, life: &Life, ack: Ack, deadline: Duration) -> Option<Pinged> {
    let id = stage.begin(Operation::Ping { producer: life.actor.node.name().clone(), ack });
    let exercise = &life.actor.exercise;
    let work = async {
        match ack {
            Ack::Queued => exercise.ping_queued(1).await.map(|()| Outcome::Queued),
            Ack::Local => exercise.ping(1).await.map(acknowledged),
            Ack::Majority => exercise.ping_majority(1, deadline).await.map(acknowledged),
        }
    };
    let done = tokio::select! {
        biased;
        () = life.ended() => Ok(Outcome::Unknown),
        done = work => done,
    };
    let mut unconfirmed = None;
    let outcome = done.unwrap_or_else(|error| match error {
        PingError::Unconfirmed(error) => {
            let Pinged { slot, count } = error.pinged.clone();
            unconfirmed = Some(error.pinged);
            Outcome::Unconfirmed { slot, count }
        }
        PingError::Unavailable { .. } => Outcome::Refused,
        PingError::Refused(PingRefused::StoreClosed(_)) => Outcome::Unknown,
        PingError::Refused(_) => Outcome::Refused,
        PingError::Unanswered(why) if !why.was_sent() => Outcome::Refused,
        PingError::Unanswered(_) => Outcome::Unknown,
        error => panic!("a ping at {ack:?}: {error}"),
    });
    stage.end(id, outcome);
    unconfirmed
}

fn acknowledged(Pinged { slot, count }: Pinged) -> Outcome {
    Outcome::Acknowledged { slot, count }
}

async fn confirm(stage: &Stage<'_>, life: &Life, pinged: Pinged, deadline: Duration) {
    let id = stage.begin(Operation::Confirm { slot: pinged.slot.clone(), count: pinged.count });
    let outcome = tokio::select! {
        biased;
        () = life.ended() => Outcome::Unknown,
        confirmed = life.actor.exercise.confirm(&pinged, deadline) => match confirmed {
            Ok(()) => Outcome::Confirmed,
            Err(_) => Outcome::Refused,
        },
    };
    stage.end(id, outcome);
}

async fn reads(
    stage: &Stage<'_>,
    life: &Life,
    level: Level,
    what: What,
    deadline: Duration,
    node: NodeName,
) -> Option<Pinged> {
    let id = stage.begin(Operation::Read { node, level, what: what.clone() });
    let exercise = &life.actor.exercise;
    let work = async {
        match level {
            Level::Local => {
                let read = exercise.local();
                Some(all(read.values, read.total))
            }
            Level::Fresh => exercise.fresh(deadline).await.ok().map(fresh),
            Level::Majority => exercise.majority(deadline).await.ok().map(|read| answer(&read, &what)),
            Level::Snapshot => exercise.snapshot(deadline).await.ok().map(|read| answer(&read, &what)),
        }
    };
    let outcome = tokio::select! {
        biased;
        () = life.ended() => Outcome::Unknown,
        answer = work => answer.map_or(Outcome::Refused, Outcome::Answered),
    };
    stage.end(id, outcome);
    None
}

fn all(values: BTreeMap<NodeName, u128>, total: u128) -> Answer {
    Answer { total: Some(total), ..Answer::all(values) }
}

fn answer(read: &MajorityRead, what: &What) -> Answer {
    match what {
        What::Producer(name) => Answer::one(name.clone(), read.value(name)),
        What::Total => Answer::total(read.total()),
        What::All => all(read.values(), read.total()),
    }
}

fn fresh(read: FreshRead) -> Answer {
    let is_complete = read.is_complete();
    let exact = read.values.iter().filter(|(_, value)| matches!(value, FreshValue::Exact(_)));
    let exact: Vec<NodeName> = exact.map(|(name, _)| name.clone()).collect();
    let values = read.values.into_iter().map(|(name, value)| (name, value.pings())).collect();
    let answer = all(values, read.total).exact(exact);
    if is_complete { answer.complete() } else { answer }
}
