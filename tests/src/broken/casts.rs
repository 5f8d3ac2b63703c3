//! Casts that go wrong.

use super::Fault;
use super::transport::State;
use pingpong_core::message::{Encoded, MessageType};
use pingpong_core::transport::{NotSent, Refused, SendError};
use pingpong_core::{Node, NodeName, Sent, ServerName, Targets, Transport, WhenFull};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A cast that is kept back.
struct Kept {
    targets: Targets,
    server: ServerName,
    kind: MessageType,
    body: Vec<u8>,
}

impl Kept {
    fn new(targets: &Targets, server: &ServerName, message: Encoded<'_>) -> Self {
        Self { targets: targets.clone(), server: server.clone(), kind: message.kind, body: message.body.to_vec() }
    }

    async fn send(&self, inner: &Arc<dyn Transport>) -> Result<Sent, SendError> {
        inner.abcast(&self.targets, &self.server, Encoded { kind: self.kind, body: &self.body }).await
    }

    fn try_send(&self, inner: &Arc<dyn Transport>) {
        let message = Encoded { kind: self.kind, body: &self.body };
        let _ = inner.try_abcast(&self.targets, &self.server, message, WhenFull::Skip);
    }
}

/// What faults of casts remember.
#[derive(Default)]
pub(super) struct Memory {
    kept: Mutex<VecDeque<Kept>>,
    waiting: AtomicU64,
    last: Mutex<Option<ServerName>>,
}

/// What a sender is told that everything was well.
fn claimed(state: &State, targets: &Targets) -> Sent {
    let mut all: Vec<Node> = state.inner.list();
    all.push(state.inner.node());
    all.sort();
    if let Targets::Nodes(names) = targets {
        all.retain(|node| names.contains(&node.name));
    }
    Sent { accepted: all.into(), refused: Vec::new() }
}

fn names(state: &State, targets: &Targets) -> Vec<NodeName> {
    match targets {
        Targets::Nodes(names) => names.clone(),
        Targets::All => claimed(state, targets).accepted.iter().map(|node| node.name.clone()).collect(),
    }
}

/// What replaces the message, its targets or its server; and whether it is swallowed or sent again.
struct Altered {
    targets: Targets,
    server: ServerName,
    kind: MessageType,
    body: Vec<u8>,
    times: u8,
}

fn alter(state: &State, targets: &Targets, server: &ServerName, message: Encoded<'_>) -> Altered {
    let number = state.count.fetch_add(1, Ordering::Relaxed);
    let kind = message.kind;
    let mut to =
        Altered { targets: targets.clone(), server: server.clone(), kind, body: message.body.to_vec(), times: 1 };
    match state.fault {
        Fault::DropsHundredthCast if number % 100 == 99 => to.times = 0,
        Fault::DropsFirstCast if number == 0 => to.times = 0,
        Fault::DropsEmptyBodies if to.body.is_empty() => to.times = 0,
        Fault::DropsDuringCuts if state.cut.load(Ordering::Relaxed) => to.times = 0,
        Fault::DuplicatesCasts if number % 10 == 9 => to.times = 2,
        Fault::SendsToSome => {
            let mut some = names(state, targets);
            some.pop();
            to.targets = Targets::Nodes(some);
        }
        Fault::SendsToAll => to.targets = Targets::All,
        Fault::SkipsTheLocalNode => {
            let own = state.inner.node().name;
            to.targets = Targets::Nodes(names(state, targets).into_iter().filter(|name| *name != own).collect());
        }
        Fault::CorruptsBodies if to.body.len() > 8 => *to.body.last_mut().expect("it is not empty") ^= 1,
        Fault::LosesVersions => to.kind.version = 0,
        Fault::MixesServers if number % 5 == 4 => {
            let last = state.casts.last.lock().unwrap().clone();
            to.server = last.unwrap_or(to.server);
        }
        _ => {}
    }
    *state.casts.last.lock().unwrap() = Some(server.clone());
    to
}

pub(super) fn try_abcast(
    state: &Arc<State>,
    targets: &Targets,
    server: &ServerName,
    message: Encoded<'_>,
    when_full: WhenFull,
) -> Result<Sent, SendError> {
    let to = alter(state, targets, server, message);
    if to.times == 0 {
        return Ok(claimed(state, targets));
    }
    let altered = Encoded { kind: to.kind, body: &to.body };
    let when = match (state.fault, when_full) {
        (Fault::RefuseSendsToOthers, _) => WhenFull::Skip,
        (Fault::SkipKeepsItFromOthers, _) => WhenFull::Refuse,
        (_, when) => when,
    };
    let result = state.inner.try_abcast(&to.targets, &to.server, altered, when);
    if to.times == 2 {
        let _ = state.inner.try_abcast(&to.targets, &to.server, altered, when);
    }
    match result {
        Ok(sent) if state.is(Fault::RefuseSendsToOthers) && when_full == WhenFull::Refuse => {
            if sent.refused.iter().any(|refused| refused.reason == NotSent::Full) {
                Err(SendError::Full)
            } else {
                Ok(sent)
            }
        }
        Err(SendError::Full) if state.is(Fault::SkipKeepsItFromOthers) && when_full == WhenFull::Skip => {
            let refused = names(state, targets).into_iter().map(|name| Refused { name, reason: NotSent::Full });
            Ok(Sent { accepted: Vec::new().into(), refused: refused.collect() })
        }
        Err(SendError::Full) if state.is(Fault::NeverFull) => {
            later(state, Kept::new(targets, server, message));
            Ok(claimed(state, targets))
        }
        other => finish(state, targets, server, message, other),
    }
}

/// Sends from a queue without an end.
fn later(state: &Arc<State>, kept: Kept) {
    state.casts.kept.lock().unwrap().push_back(kept);
    let state = Arc::clone(state);
    tokio::spawn(async move {
        let _one_by_one = state.lock.lock().await;
        let next = state.casts.kept.lock().unwrap().pop_front();
        if let Some(next) = next {
            let _ = next.send(&state.inner).await;
        }
    });
}

fn finish(
    state: &Arc<State>,
    targets: &Targets,
    server: &ServerName,
    message: Encoded<'_>,
    result: Result<Sent, SendError>,
) -> Result<Sent, SendError> {
    match (state.fault, result) {
        (Fault::HidesRefused, Ok(mut sent)) => {
            sent.refused.clear();
            Ok(sent)
        }
        (Fault::SendsToSome | Fault::SkipsTheLocalNode, Ok(_)) => Ok(claimed(state, targets)),
        (Fault::ReportsUnsorted, Ok(sent)) => {
            Ok(Sent { accepted: sent.accepted.iter().rev().cloned().collect(), refused: sent.refused })
        }
        (Fault::AcceptsOversize, Err(SendError::TooLarge { .. })) => Ok(claimed(state, targets)),
        (Fault::TruncatesOversize, Err(SendError::TooLarge { limit, .. })) => {
            let cut = Encoded { kind: message.kind, body: &message.body[..limit] };
            state.inner.try_abcast(targets, server, cut, WhenFull::Skip)
        }
        (Fault::ForgetsSizes, Err(SendError::TooLarge { limit, .. })) => {
            Err(SendError::TooLarge { size: limit, limit })
        }
        (Fault::RefusesTheMaximum, Ok(_)) if message.body.len() >= 10_000 => {
            Err(SendError::TooLarge { size: message.body.len(), limit: 9_999 })
        }
        (Fault::TakesMoreAfterShutdown, Err(SendError::ShuttingDown)) => Ok(claimed(state, targets)),
        (_, result) => result,
    }
}

pub(super) async fn abcast(
    state: &Arc<State>,
    targets: &Targets,
    server: &ServerName,
    message: Encoded<'_>,
) -> Result<Sent, SendError> {
    match state.fault {
        Fault::NeverFull => {
            later(state, Kept::new(targets, server, message));
            return Ok(claimed(state, targets));
        }
        Fault::CallsOvertakeCasts => {
            let kept = Kept::new(targets, server, message);
            let later = Arc::clone(state);
            tokio::spawn(async move {
                tokio::time::sleep(later.timing.failure / 100).await;
                kept.try_send(&later.inner);
            });
            return Ok(claimed(state, targets));
        }
        _ => {}
    }
    let to = alter(state, targets, server, message);
    let altered = Encoded { kind: to.kind, body: &to.body };
    let result = match state.fault {
        _ if to.times == 0 => return Ok(claimed(state, targets)),
        Fault::OneFullNodeBlocksAll => {
            let _held = state.lock.lock().await;
            state.inner.abcast(targets, server, message).await
        }
        Fault::SendsOneByOne => one_by_one(state, targets, server, message).await,
        Fault::WaitsForTheDead => {
            let sent = state.inner.abcast(targets, server, message).await?;
            if sent.refused.iter().any(|refused| refused.reason == NotSent::NotLinked) {
                std::future::pending::<()>().await;
            }
            Ok(sent)
        }
        Fault::ServesTheLastWaiterFirst => last_first(state, targets, server, message).await,
        Fault::SwapsCasts => swap(state, Kept::new(targets, server, message)).await,
        Fault::TwentiethAbcastSticks if state.count.load(Ordering::Relaxed).is_multiple_of(20) => {
            std::future::pending().await
        }
        _ => state.inner.abcast(&to.targets, &to.server, altered).await,
    };
    if to.times == 2 {
        let _ = state.inner.abcast(&to.targets, &to.server, altered).await;
    }
    finish(state, targets, server, message, result)
}

async fn one_by_one(
    state: &State,
    targets: &Targets,
    server: &ServerName,
    message: Encoded<'_>,
) -> Result<Sent, SendError> {
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for name in names(state, targets).into_iter().rev() {
        let sent = state.inner.abcast(&Targets::node(name), server, message).await?;
        accepted.extend(sent.accepted.iter().cloned());
        refused.extend(sent.refused);
    }
    accepted.sort();
    accepted.dedup();
    refused.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Sent { accepted: accepted.into(), refused })
}

async fn last_first(
    state: &State,
    targets: &Targets,
    server: &ServerName,
    message: Encoded<'_>,
) -> Result<Sent, SendError> {
    let place = state.casts.waiting.fetch_add(1, Ordering::Relaxed);
    let sent = loop {
        match state.inner.try_abcast(targets, server, message, WhenFull::Refuse) {
            Err(SendError::Full) => {
                let pause = Duration::from_millis(100_u64.saturating_sub(place % 12 * 8).max(1));
                tokio::time::sleep(pause).await;
            }
            other => break other,
        }
    };
    state.casts.waiting.fetch_sub(1, Ordering::Relaxed);
    sent
}

async fn swap(state: &State, kept: Kept) -> Result<Sent, SendError> {
    let number = state.count.load(Ordering::Relaxed);
    if number % 10 == 5 {
        let sent = claimed(state, &kept.targets);
        state.casts.kept.lock().unwrap().push_back(kept);
        return Ok(sent);
    }
    let sent = kept.send(&state.inner).await;
    let held = state.casts.kept.lock().unwrap().pop_front();
    if let Some(held) = held {
        let _ = held.send(&state.inner).await;
    }
    sent
}
