//! A play from the first to the last: the stage is set, played on and closed, however the play ends.

use super::CLOSING;
use super::deadline::within;
use super::error::DemoError;
use super::outcome::Outcome;
use super::play::{Audience, Play};
use super::signals::{Interrupts, Signal};
use super::stage::Stage;
use std::time::Duration;

/// How the closing of a stage ended.
enum Closing {
    Closed(Result<(), DemoError>),
    /// Not in time.
    Late,
    /// Somebody does not want to wait.
    Left(Signal),
}

/// Plays on a stage that is to be set. The first signal ends the play, and the stage is closed; the next one ends that, too.
pub(crate) async fn direct<S: Stage>(
    set: impl Future<Output = Result<S, DemoError>>,
    nodes: usize,
    patience: Duration,
    audience: &mut impl Audience,
    signals: &mut impl Interrupts,
) -> Outcome {
    let stage = tokio::select! {
        biased;
        signal = signals.next() => return Outcome::interrupted(signal),
        stage = set => stage,
    };
    let mut stage = match stage {
        Ok(stage) => stage,
        Err(error) => return Outcome::failed(error),
    };
    let mut play = Play::new(&mut stage, audience, nodes, patience);
    let mut signal = tokio::select! {
        biased;
        signal = signals.next() => Some(signal),
        () = play.perform() => None,
    };
    let steps = play.into_steps();
    let left = match close(&mut stage, &mut signal, signals).await {
        Closing::Closed(closed) => closed.err(),
        Closing::Late => Some(DemoError::Left { nodes: stage.running().join(" "), within: CLOSING }),
        // Whoever runs is killed when the stage is dropped.
        Closing::Left(again) => Some(DemoError::LeftAtOnce { signal: again, nodes: stage.running().join(" ") }),
    };
    let mut outcome = Outcome { steps, signal, left, ..Outcome::default() };
    if signal.is_none() && !outcome.played() {
        outcome.logs = stage.logs();
    }
    outcome
}

async fn close<S: Stage>(stage: &mut S, signal: &mut Option<Signal>, signals: &mut impl Interrupts) -> Closing {
    let mut closing = Box::pin(within(CLOSING, stage.close()));
    loop {
        tokio::select! {
            biased;
            next = signals.next() => match signal {
                Some(_) => return Closing::Left(next),
                None => *signal = Some(next),
            },
            closed = &mut closing => return closed.map_or(Closing::Late, Closing::Closed),
        }
    }
}
