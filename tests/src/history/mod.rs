//! A checker for recorded histories of the counting protocol: whether what clients saw can be explained by counts that are
//! kept as promised.
//!
//! It sees what clients see, and nothing of the nodes; what it refuses is wrong, whoever produced it. Record a [`History`] from
//! as many clients as there are, then [`check`] it:
//!
//! ```
//! use pingpong_conformance::history::{Ack, Answer, History, Level, Operation, Outcome, Violation, What, check};
//! use pingpong_core::exercise::Slot;
//! use pingpong_core::{Incarnation, NodeName};
//!
//! let a = NodeName::new("a").unwrap();
//! let slot = Slot { producer: a.clone(), epoch: Incarnation::new(1, 0) };
//! let mut history = History::new();
//! let ping = history.begin(10, Operation::Ping { producer: a.clone(), ack: Ack::Majority });
//! history.end(ping, 20, Outcome::Acknowledged { slot, count: 1 });
//! let what = What::Producer(a.clone());
//! let read = history.begin(30, Operation::Read { node: a.clone(), level: Level::Majority, what });
//! history.end(read, 40, Outcome::Answered(Answer::one(a, 0)));
//! assert!(matches!(check(&history), Err(Violation::Missed { least: 1, .. })));
//! ```
//!
//! | checked | rules |
//! |---|---|
//! | numbers: once, in order, none without a ping | P2, P4 |
//! | no answer has more pings than had begun | P17, P20 |
//! | `majority`: linearizable, each producer, the total, and both together | P20, P21 |
//! | `snapshot`: the whole vector is linearizable | P22 |
//! | `fresh`: exact values and totals are linearizable at their owners | P18 |
//! | `local`: never falls on a node, has what was answered there | P17 |
//! | when all is quiet: all nodes agree, nothing is lost, nothing is there that nobody did | P12, P16, section 7 |
//!
//! It refuses no history that the rules allow. The reverse holds too for the linearizable levels, unless a producer lost its
//! store: then something wrong may pass if pings of unknown outcome could be in any of its epochs, or if only totals and values
//! together show it.
//!
//! It takes for granted that fewer than a quorum of stores are lost at the same time (P12), or that the loss was accepted, that every lost store is recorded,
//! and that no store is an earlier copy unless that is recorded and could be noticed (P27, CANNOT 7).

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // it returns what is wrong

mod counters;
mod eras;
mod local;
mod numbers;
mod record;
mod settled;
mod snapshots;
mod sweep;
mod timeline;
mod violation;
mod windows;

pub use record::{Ack, Answer, Entry, History, Id, Level, Operation, Outcome, Readings, What};
pub use violation::{Limit, Of, Torn, Violation};

use std::fmt;
use timeline::Timeline;

/// What a history that passed was made of, so that a test can see that it was worth checking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Operations of all kinds.
    pub operations: usize,
    /// Pings acknowledged `queued`, `local` and `majority`.
    pub acknowledged: [usize; 3],
    /// Pings with a number, but not acknowledged as they asked.
    pub unconfirmed: usize,
    /// Pings of unknown outcome.
    pub unknown: usize,
    /// Operations that were refused.
    pub refused: usize,
    /// Acknowledged confirms.
    pub confirmed: usize,
    /// Answered reads at `local`, `fresh`, `majority` and `snapshot`.
    pub reads: [usize; 4],
    /// Of those at `fresh`: with an exact value.
    pub exact: usize,
    /// Stores lost.
    pub lost: usize,
    /// Stores that went back to an earlier copy.
    pub rolled_back: usize,
    /// Losses accepted.
    pub accepted: usize,
    /// Readings of all nodes.
    pub settled: usize,
}

impl Summary {
    fn new(line: &Timeline<'_>) -> Self {
        let rolled_back = line.losses.iter().filter(|loss| loss.kept.is_some()).count();
        let (lost, accepted, settled) = (line.losses.len() - rolled_back, line.accepted.len(), line.settled.len());
        let operations = line.history.entries().len();
        let mut summary = Self { operations, lost, rolled_back, accepted, settled, ..Self::default() };
        for entry in line.history.entries() {
            let outcome = entry.end.as_ref().map_or(&Outcome::Unknown, |(_, outcome)| outcome);
            match (&entry.operation, outcome) {
                (_, Outcome::Refused) => summary.refused += 1,
                (Operation::Ping { ack, .. }, Outcome::Acknowledged { .. } | Outcome::Queued) => {
                    summary.acknowledged[*ack as usize] += 1;
                }
                (Operation::Ping { .. }, Outcome::Unconfirmed { .. }) => summary.unconfirmed += 1,
                (Operation::Ping { .. }, _) => summary.unknown += 1,
                (Operation::Confirm { .. }, Outcome::Confirmed) => summary.confirmed += 1,
                (Operation::Read { level, .. }, Outcome::Answered(answer)) => {
                    summary.reads[*level as usize] += 1;
                    summary.exact += usize::from(!answer.exact.is_empty() || answer.complete);
                }
                _ => {}
            }
        }
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([queued, local, majority], reads) = (self.acknowledged, self.reads);
        write!(f, "{} operations; pings: {queued} queued, {local} local, {majority} majority, ", self.operations)?;
        write!(f, "{} unconfirmed, {} unknown; {} confirmed; ", self.unconfirmed, self.unknown, self.confirmed)?;
        write!(f, "reads: {} local, {} fresh ({} exact), ", reads[0], reads[1], self.exact)?;
        write!(f, "{} majority, {} snapshot; {} refused; ", reads[2], reads[3], self.refused)?;
        write!(f, "{} stores lost, {} rolled back, {} losses accepted, ", self.lost, self.rolled_back, self.accepted)?;
        write!(f, "settled {} times", self.settled)
    }
}

/// Checks a history.
///
/// # Errors
/// The first rule that is broken, with the operations that show it. More may be.
pub fn check(history: &History) -> Result<Summary, Violation> {
    let line = Timeline::new(history)?;
    let producers = numbers::producers(&line)?;
    counters::invented(&line, &producers)?;
    counters::majority(&line, &producers)?;
    snapshots::snapshots(&line, &producers)?;
    counters::fresh(&line, &producers)?;
    local::local(&line)?;
    settled::settled(&line, &producers)?;
    Ok(Summary::new(&line))
}
