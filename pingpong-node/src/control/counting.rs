//! Requests about pings and counts.

use super::levels::{AckLevel, CountsRead, ReadLevel};
use super::protocol::{Answer, ConsumerCounts, Failure, FailureKind, RATES, Reading, SlotCount};
use super::server::{Desk, PROGRESS, say};
use pingpong_core::Transport;
use pingpong_core::exercise::{ConfirmError, Exercise, PingError, PingRefused, Pinged, Unconfirmed};
use std::io;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::{Instant, interval};

/// How long a ping waits for a majority, if it is not said.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What each consumer has counted.
pub(super) async fn counts(desk: &Desk, deadline: Duration) -> Result<Answer, Failure> {
    let replies = desk.exercise()?.ask_consumers(deadline).await;
    let replies = replies.map_err(|error| Failure::new(FailureKind::Refused, error))?;
    let answered = replies.replies.into_iter().map(|answer| ConsumerCounts::new(answer.node.name, &answer.reply));
    let failed = replies.failed.into_iter().map(|failed| (failed.name, failed.reason.to_string()));
    Ok(Answer::Counts(Reading { consumers: answered.collect(), failed: failed.collect() }))
}

/// Pings, at a rate if one is given, and says how far it is.
pub(super) async fn ping(
    mut stream: UnixStream,
    desk: &Desk,
    count: u64,
    rate: Option<f64>,
    ack: (AckLevel, Duration),
) -> io::Result<()> {
    let exercise = match desk.exercise() {
        Ok(exercise) => exercise,
        Err(failure) => return say(&mut stream, &Answer::Failed(failure)).await,
    };
    let pace = match rate.map(pace).transpose() {
        Ok(pace) => pace,
        Err(failure) => return say(&mut stream, &Answer::Failed(failure)).await,
    };
    let mut sent: u64 = 0;
    let mut slot: Option<SlotCount> = None;
    let (began, mut said) = (Instant::now(), Instant::now());
    let mut ticks = interval(pace.map_or(PROGRESS, |pace| pace.tick));
    let mut nothing = [0; 1];
    while sent < count {
        let batch = match pace {
            None => count,
            Some(pace) => {
                tokio::select! {
                    _ = ticks.tick() => {}
                    // Nobody waits for the rest of them.
                    _ = stream.read(&mut nothing) => return Ok(()),
                }
                // How many should have been sent by now, so that a late tick is made up for.
                let due = (began.elapsed().as_secs_f64() * pace.rate) as u64 + 1;
                due.min(count).saturating_sub(sent)
            }
        };
        if batch > 0 {
            match ping_once(exercise, batch, ack).await {
                Ok(pinged) => (sent, slot) = (sent + batch, pinged.map(SlotCount::from)),
                Err(PingError::Unconfirmed(unconfirmed)) => {
                    return say(&mut stream, &of_unconfirmed(unconfirmed, sent + batch)).await;
                }
                Err(error) => return say(&mut stream, &Answer::Failed(ping_failure(&error, sent, count))).await,
            }
        }
        if sent < count && said.elapsed() >= PROGRESS {
            said = Instant::now();
            say(&mut stream, &Answer::Pinged { pings: sent, done: false, slot: slot.clone() }).await?;
        }
    }
    say(&mut stream, &Answer::Pinged { pings: sent, done: true, slot }).await
}

/// What was counted; nothing yet, if nobody waited for that.
async fn ping_once(
    exercise: &Exercise,
    pings: u64,
    (ack, patience): (AckLevel, Duration),
) -> Result<Option<Pinged>, PingError> {
    match ack {
        AckLevel::Queued => exercise.ping_queued(pings).await.map(|()| None),
        AckLevel::Local => exercise.ping(pings).await.map(Some),
        AckLevel::Majority => exercise.ping_majority(pings, patience).await.map(Some),
    }
}

fn of_unconfirmed(unconfirmed: Unconfirmed, pings: u64) -> Answer {
    let Unconfirmed { pinged, have, need } = unconfirmed;
    Answer::Unconfirmed { pings, slot: pinged.into(), have, need }
}

/// Waits until a majority has what was counted.
pub(super) async fn confirm(desk: &Desk, slot: SlotCount, deadline: Duration) -> Result<Answer, Failure> {
    let pinged = Pinged::try_from(slot.clone()).map_err(|error| Failure::new(FailureKind::Request, error))?;
    match desk.exercise()?.confirm(&pinged, deadline).await {
        Ok(()) => Ok(Answer::Confirmed(slot)),
        Err(ConfirmError::Unconfirmed(unconfirmed)) => Ok(of_unconfirmed(unconfirmed, 0)),
        Err(error) => Err(Failure::new(FailureKind::Request, error)),
    }
}

/// One answer about the counts, and what it is worth.
pub(super) async fn read(desk: &Desk, level: ReadLevel, deadline: Duration) -> Result<Answer, Failure> {
    let (exercise, began) = (desk.exercise()?, Instant::now());
    let refused = |error: &dyn std::error::Error| Failure::new(FailureKind::Refused, error);
    let read = match level {
        ReadLevel::Local => CountsRead::local(&desk.mesh.node().name, exercise.local()),
        ReadLevel::Fresh => {
            let read = exercise.fresh(deadline).await.map_err(|error| refused(&error))?;
            let took = began.elapsed();
            CountsRead::fresh(&desk.mesh.node().name, read, &exercise.local().contact, took)
        }
        ReadLevel::Majority => {
            let read = exercise.majority(deadline).await.map_err(|error| refused(&error))?;
            CountsRead::majority(level, &read, began.elapsed())
        }
        ReadLevel::Snapshot => {
            let read = exercise.snapshot(deadline).await.map_err(|error| refused(&error))?;
            CountsRead::majority(level, &read, began.elapsed())
        }
    };
    Ok(Answer::Read(read))
}

/// A person accepts that stores are gone.
pub(super) async fn accept_loss(desk: &Desk) -> Result<Answer, Failure> {
    let accepted = desk.exercise()?.accept_loss().await;
    accepted.map(Answer::Accepted).map_err(|error| Failure::new(FailureKind::Refused, error))
}

#[derive(Clone, Copy)]
struct Pace {
    rate: f64,
    tick: Duration,
}

fn pace(rate: f64) -> Result<Pace, Failure> {
    if !RATES.contains(&rate) {
        let words = format!("the rate is {rate}, allowed are {} to {} pings a second", RATES.start(), RATES.end());
        return Err(Failure::new(FailureKind::Request, words));
    }
    // Faster ones go in groups.
    Ok(Pace { rate, tick: Duration::from_secs_f64(1.0 / rate).max(Duration::from_millis(5)) })
}

fn ping_failure(error: &PingError, sent: u64, count: u64) -> Failure {
    let kind = match error {
        PingError::Unanswered(reason) if reason.was_sent() => FailureKind::Unknown,
        PingError::Refused(PingRefused::StoreClosed(_)) => FailureKind::Unknown,
        _ => FailureKind::Refused,
    };
    Failure::new(kind, format!("{sent} of {count} pings are counted, then: {error}"))
}
