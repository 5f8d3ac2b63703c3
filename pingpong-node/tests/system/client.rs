//! A client of a node: asks by its control socket for one thing after the other, and records what came of it.
//!
//! What a node did not answer before it was killed is unknown. Nothing is taken for refused that a node may have read.

use crate::node::{LONG, within};
use crate::record::Record;
use pingpong_conformance::history::{self, Ack, Level, Operation, Outcome, What};
use pingpong_node::NodeName;
use pingpong_node::control::{
    AckLevel, Answer, Client as Call, ClientError, CountsRead, FailureKind, ReadLevel, Request, SlotCount, Worth,
};
use pingpong_node::exercise::Pinged;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Ping(AckLevel),
    /// Of its last ping that was not confirmed; if all were, of its last one with a number.
    Confirm,
    Read(ReadLevel, What),
}

/// Somebody who asks one node.
pub(crate) struct Client {
    record: Arc<Record>,
    node: NodeName,
    socket: PathBuf,
    pinged: Option<SlotCount>,
    unconfirmed: Option<SlotCount>,
}

impl Client {
    pub(crate) fn of(node: &NodeName, socket: PathBuf, record: &Arc<Record>) -> Self {
        Self { record: Arc::clone(record), node: node.clone(), socket, pinged: None, unconfirmed: None }
    }

    /// One operation. Nothing is done, nor returned, if there is no ping to confirm.
    pub(crate) async fn ask(&mut self, ask: &Ask, patience: Duration) -> Option<Outcome> {
        let deadline_ms = u64::try_from(patience.as_millis()).unwrap();
        let (operation, request) = match ask {
            Ask::Ping(ack) => {
                let operation = Operation::Ping { producer: self.node.clone(), ack: ack_of(*ack) };
                (operation, Request::Ping { count: 1, rate: None, ack: *ack, deadline_ms: Some(deadline_ms) })
            }
            Ask::Confirm => {
                let slot = self.unconfirmed.as_ref().or(self.pinged.as_ref())?.clone();
                let Pinged { slot: of, count } = Pinged::try_from(slot.clone()).unwrap();
                (Operation::Confirm { slot: of, count }, Request::Confirm { slot, deadline_ms })
            }
            Ask::Read(level, what) => {
                let operation =
                    Operation::Read { node: self.node.clone(), level: level_of(*level), what: what.clone() };
                (operation, Request::Counts { deadline_ms, read: Some(*level) })
            }
        };
        let id = self.record.begin(operation);
        let what = format!("{} answers {request:?}, or ends", self.node);
        let outcome = match within(LONG, &what, self.call(&request)).await {
            Ok(answer) => self.outcome(ask, answer),
            Err(outcome) => outcome,
        };
        if matches!((ask, &outcome), (Ask::Confirm, Outcome::Refused)) {
            // It has no such ping any more: its store was lost.
            self.unconfirmed = None;
        }
        self.record.end(id, outcome.clone());
        Some(outcome)
    }

    async fn call(&self, request: &Request) -> Result<Answer, Outcome> {
        let answer = match Call::ask(&self.socket, request).await {
            Ok(call) => call.only().await,
            Err(error) => Err(error),
        };
        answer.map_err(|error| match error {
            ClientError::Unreachable { error, .. } => match error.kind() {
                // There was no connection. The last one: too many wait for one already.
                ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::WouldBlock => Outcome::Refused,
                _ => Outcome::Unknown,
            },
            ClientError::Failed(failure) => match failure.kind {
                // The first one: its producer does not run yet, or there is no such ping to confirm.
                FailureKind::Request | FailureKind::Refused | FailureKind::Busy => Outcome::Refused,
                _ => Outcome::Unknown,
            },
            // It ended before the answer, or in the middle of it.
            _ => Outcome::Unknown,
        })
    }

    fn outcome(&mut self, ask: &Ask, answer: Answer) -> Outcome {
        match (ask, answer) {
            (Ask::Ping(_), Answer::Pinged { slot: None, .. }) => Outcome::Queued,
            (Ask::Ping(_), Answer::Pinged { slot: Some(done), .. }) => {
                self.pinged = Some(done.clone());
                let Pinged { slot, count } = Pinged::try_from(done).unwrap();
                Outcome::Acknowledged { slot, count }
            }
            (Ask::Ping(_), Answer::Unconfirmed { slot: done, .. }) => {
                self.unconfirmed = Some(done.clone());
                let Pinged { slot, count } = Pinged::try_from(done).unwrap();
                Outcome::Unconfirmed { slot, count }
            }
            (Ask::Confirm, Answer::Confirmed(_)) => {
                self.unconfirmed = None;
                Outcome::Confirmed
            }
            (Ask::Confirm, Answer::Unconfirmed { .. }) => Outcome::Unknown,
            (Ask::Read(_, what), Answer::Read(read)) => Outcome::Answered(shown(what, read)),
            (ask, other) => panic!("{} answers {ask:?} by {other:?}", self.node),
        }
    }
}

fn ack_of(ack: AckLevel) -> Ack {
    match ack {
        AckLevel::Queued => Ack::Queued,
        AckLevel::Local => Ack::Local,
        AckLevel::Majority => Ack::Majority,
    }
}

fn level_of(level: ReadLevel) -> Level {
    match level {
        ReadLevel::Local => Level::Local,
        ReadLevel::Fresh => Level::Fresh,
        ReadLevel::Majority => Level::Majority,
        ReadLevel::Snapshot => Level::Snapshot,
    }
}

/// Of an answer, what was asked for.
fn shown(what: &What, read: CountsRead) -> history::Answer {
    let value = |name: &NodeName| read.values.iter().find(|value| value.node == *name).map_or(0, |value| value.pings);
    match what {
        What::Producer(name) => history::Answer::one(name.clone(), value(name)),
        What::Total => history::Answer::total(read.total),
        What::All => {
            let exact = read.values.iter().filter(|value| value.worth == Worth::Exact);
            let exact = exact.map(|value| value.node.clone()).collect();
            let values = read.values.iter().map(|value| (value.node.clone(), value.pings)).collect();
            history::Answer { values, total: Some(read.total), exact, complete: read.worth == Worth::Exact }
        }
    }
}
