//! A play from the first to the last: the stage is set, played on and closed, however the play ends.

use super::outcome::Outcome;
use super::play::{Audience, Play};
use super::stage::Stage;
use crate::cluster::{ClusterError, Interrupts, close};
use std::time::Duration;

/// Plays on a stage that is to be set. The first signal ends the play, and the stage is closed; the next one ends that, too.
pub(crate) async fn direct<S: Stage>(
    set: impl Future<Output = Result<S, ClusterError>>,
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
    let left = close(stage.close(), &mut signal, signals).await.left(|| stage.running());
    let mut outcome = Outcome { steps, signal, left, ..Outcome::default() };
    if signal.is_none() && !outcome.played() {
        outcome.logs = stage.logs();
    }
    outcome
}
