//! A client: asks its node for one thing after the other, and records what came of it.
//!
//! What its node did not answer before it was killed is unknown. While there is no node it asks for nothing.

use crate::plan::{Ask, ClientPlan};
use crate::record::Record;
use crate::signal::Signal;
use crate::world::{Life, gone};
use pingpong_conformance::history::{Ack, Answer, Level, Operation, Outcome, What};
use pingpong_conformance::toolkit::node;
use pingpong_core::NodeName;
use pingpong_core::exercise::{
    ConfirmError, Exercise, FreshRead, FreshValue, MajorityRead, PingError, PingRefused, Pinged, ReadError, Unconfirmed,
};
use std::sync::Arc;
use std::time::Duration;

/// Runs until its plan is done, or clients are to be silent.
pub(crate) async fn run(plan: ClientPlan, record: Arc<Record>, now: Signal<Option<Arc<Life>>>, silent: Duration) {
    let name = node(plan.node);
    let mut pinged = None;
    for (at, ask) in plan.asks {
        tokio::time::sleep_until(record.start() + at).await;
        if record.start().elapsed() > silent {
            return;
        }
        let life = now.get();
        if let Some(life) = life {
            one(&record, &name, &now, &life, ask, &mut pinged).await;
        }
    }
}

/// One operation. Returns whether it was answered, and not refused.
pub(crate) async fn one(
    record: &Record,
    name: &NodeName,
    now: &Signal<Option<Arc<Life>>>,
    life: &Arc<Life>,
    ask: Ask,
    pinged: &mut Option<Pinged>,
) -> bool {
    let Some(operation) = operation(name, ask, pinged.as_ref()) else { return false };
    let id = record.begin(operation);
    let outcome = tokio::select! {
        biased;
        () = gone(now, life) => Outcome::Unknown,
        outcome = perform(&life.exercise, ask, pinged) => outcome,
    };
    let answered = !matches!(outcome, Outcome::Unknown | Outcome::Refused | Outcome::Unconfirmed { .. });
    record.end(id, outcome);
    answered
}

fn operation(name: &NodeName, ask: Ask, pinged: Option<&Pinged>) -> Option<Operation> {
    let ping = |ack| Operation::Ping { producer: name.clone(), ack };
    let read = |level, what| Operation::Read { node: name.clone(), level, what };
    Some(match ask {
        Ask::PingQueued => ping(Ack::Queued),
        Ask::PingLocal => ping(Ack::Local),
        Ask::PingMajority(_) => ping(Ack::Majority),
        Ask::Confirm(_) => {
            let Pinged { slot, count } = pinged?.clone();
            Operation::Confirm { slot, count }
        }
        Ask::ReadLocal => read(Level::Local, What::All),
        Ask::ReadFresh(_) => read(Level::Fresh, What::All),
        Ask::ReadValue(of, _) => read(Level::Majority, What::Producer(node(of))),
        Ask::ReadTotal(_) => read(Level::Majority, What::Total),
        Ask::ReadAll(_) => read(Level::Majority, What::All),
        Ask::Snapshot(_) => read(Level::Snapshot, What::All),
    })
}

async fn perform(exercise: &Exercise, ask: Ask, pinged: &mut Option<Pinged>) -> Outcome {
    match ask {
        Ask::PingQueued => exercise.ping_queued(1).await.map_or_else(not_counted, |()| Outcome::Queued),
        Ask::PingLocal => acknowledged(exercise.ping(1).await, pinged),
        Ask::PingMajority(within) => acknowledged(exercise.ping_majority(1, within).await, pinged),
        Ask::Confirm(within) => {
            let Some(pinged) = pinged else { return Outcome::Refused };
            match exercise.confirm(pinged, within).await {
                Ok(()) => Outcome::Confirmed,
                Err(ConfirmError::Unconfirmed(_)) => Outcome::Unknown,
                Err(_) => Outcome::Refused,
            }
        }
        Ask::ReadLocal => {
            let read = exercise.local();
            Outcome::Answered(Answer { total: Some(read.total), ..Answer::all(read.values) })
        }
        Ask::ReadFresh(within) => Outcome::Answered(fresh(&exercise.fresh(within).await.expect("it has a form"))),
        Ask::ReadValue(of, within) => {
            answered(exercise.majority(within).await, |read| Answer::one(node(of), read.value(&node(of))))
        }
        Ask::ReadTotal(within) => answered(exercise.majority(within).await, |read| Answer::total(read.total())),
        Ask::ReadAll(within) => answered(exercise.majority(within).await, all),
        Ask::Snapshot(within) => answered(exercise.snapshot(within).await, all),
    }
}

fn acknowledged(done: Result<Pinged, PingError>, pinged: &mut Option<Pinged>) -> Outcome {
    match done {
        Ok(done) => {
            *pinged = Some(done.clone());
            Outcome::Acknowledged { slot: done.slot, count: done.count }
        }
        Err(PingError::Unconfirmed(Unconfirmed { pinged: done, .. })) => {
            *pinged = Some(done.clone());
            Outcome::Unconfirmed { slot: done.slot, count: done.count }
        }
        Err(error) => not_counted(error),
    }
}

fn not_counted(error: PingError) -> Outcome {
    match error {
        // The disk may have them.
        PingError::Refused(PingRefused::StoreClosed(_)) => Outcome::Unknown,
        PingError::Unanswered(reason) if reason.was_sent() => Outcome::Unknown,
        _ => Outcome::Refused,
    }
}

fn answered(read: Result<MajorityRead, ReadError>, answer: impl FnOnce(MajorityRead) -> Answer) -> Outcome {
    read.map_or(Outcome::Refused, |read| Outcome::Answered(answer(read)))
}

fn all(read: MajorityRead) -> Answer {
    Answer { total: Some(read.total()), ..Answer::all(read.values()) }
}

fn fresh(read: &FreshRead) -> Answer {
    let values = read.values.iter().map(|(name, value)| (name.clone(), value.pings())).collect();
    let exact = read.values.iter().filter(|(_, value)| matches!(value, FreshValue::Exact(_)));
    let exact = exact.map(|(name, _)| name.clone()).collect();
    Answer { values, total: Some(read.total), exact, complete: read.is_complete() }
}
