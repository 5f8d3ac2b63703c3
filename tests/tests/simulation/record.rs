//! What happened in a run, as text and as a history, on one clock.

use pingpong_conformance::history::{History, Id, Level, Operation, Outcome, Readings};
use pingpong_core::NodeName;
use pingpong_core::exercise::Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use tokio::time::Instant;

/// Shared by all that happens in a run.
pub(crate) struct Record {
    start: Mutex<Instant>,
    kept: Mutex<Kept>,
}

/// All that happened.
#[derive(Default)]
pub(crate) struct Kept {
    /// With the time in microseconds.
    facts: Vec<(u64, Fact)>,
    operations: usize,
    /// What must not happen, and is no matter of the history; the first one counts.
    wrong: Option<String>,
    /// A node that is no member has pings of a lost store that no member has.
    outsider_knows_more: bool,
}

enum Fact {
    Begin(Operation),
    /// Of the operation with that number.
    End(usize, Outcome),
    StoreLost(NodeName),
    RolledBack(NodeName, BTreeMap<Slot, u64>),
    Accepting,
    Accepted(BTreeMap<Slot, u64>),
    /// Whether the node has yet to notice that its store is older than what others have seen.
    Older(NodeName, bool),
    Settled(Readings),
    Note(String),
}

impl Record {
    /// Time begins now.
    pub(crate) fn new() -> Self {
        Self { start: Mutex::new(Instant::now()), kept: Mutex::default() }
    }

    /// The plan begins now, and with it time once more. No operation has begun before.
    pub(crate) fn plan_begins(&self) {
        self.note("the plan begins".to_owned());
        *self.start.lock().unwrap() = Instant::now();
    }

    pub(crate) fn start(&self) -> Instant {
        *self.start.lock().unwrap()
    }

    fn add(&self, fact: Fact) {
        let now = u64::try_from(self.start().elapsed().as_micros()).unwrap();
        self.kept.lock().unwrap().facts.push((now, fact));
    }

    /// Returns the number of the operation.
    pub(crate) fn begin(&self, operation: Operation) -> usize {
        self.add(Fact::Begin(operation));
        let mut kept = self.kept.lock().unwrap();
        kept.operations += 1;
        kept.operations - 1
    }

    pub(crate) fn end(&self, number: usize, outcome: Outcome) {
        self.add(Fact::End(number, outcome));
    }

    pub(crate) fn store_lost(&self, node: NodeName) {
        self.add(Fact::StoreLost(node));
    }

    pub(crate) fn store_rolled_back(&self, node: NodeName, kept: BTreeMap<Slot, u64>) {
        self.add(Fact::RolledBack(node, kept));
    }

    pub(crate) fn accepting_loss(&self) {
        self.add(Fact::Accepting);
    }

    pub(crate) fn loss_accepted(&self, kept: BTreeMap<Slot, u64>) {
        self.add(Fact::Accepted(kept));
    }

    /// From now on the node has to notice that its store is older than what others have seen; or has.
    pub(crate) fn is_older(&self, node: NodeName, older: bool) {
        self.add(Fact::Older(node, older));
    }

    pub(crate) fn settled(&self, readings: Readings) {
        self.add(Fact::Settled(readings));
    }

    pub(crate) fn note(&self, text: String) {
        self.add(Fact::Note(text));
    }

    /// Something is wrong that clients do not see.
    pub(crate) fn wrong(&self, text: String) {
        self.note(format!("WRONG: {text}"));
        self.kept.lock().unwrap().wrong.get_or_insert(text);
    }

    /// A node that is no member has pings that no member has, and whose producer has lost its store. Nobody takes its word for them; what it
    /// shows, and what `fresh` shows where it is reached, may not be what the others come to.
    pub(crate) fn outsider_knows_more(&self) {
        self.kept.lock().unwrap().outsider_knows_more = true;
    }

    /// What was recorded so far.
    pub(crate) fn take(&self) -> Kept {
        std::mem::take(&mut self.kept.lock().unwrap())
    }
}

/// What an answer calls exact of these nodes is not.
fn without(outcome: Outcome, nodes: &BTreeSet<&NodeName>) -> Outcome {
    let Outcome::Answered(mut answer) = outcome else { return outcome };
    answer.complete &= nodes.is_empty();
    answer.exact.retain(|name| !nodes.contains(name));
    Outcome::Answered(answer)
}

impl Kept {
    pub(crate) fn wrong(&self) -> Option<String> {
        self.wrong.clone()
    }

    /// What clients saw.
    pub(crate) fn history(&self) -> History {
        let mut history = History::new();
        let mut ids: Vec<(Id, bool)> = Vec::new();
        let mut older: BTreeSet<&NodeName> = BTreeSet::new();
        // Nodes that were older at some time while a read went on.
        let mut reading: BTreeMap<usize, BTreeSet<&NodeName>> = BTreeMap::new();
        for (at, fact) in &self.facts {
            match fact {
                Fact::Begin(operation) => {
                    let is_fresh = matches!(operation, Operation::Read { level: Level::Fresh, .. });
                    if is_fresh {
                        reading.insert(ids.len(), older.clone());
                    }
                    ids.push((history.begin(*at, operation.clone()), is_fresh));
                }
                Fact::End(number, outcome) => {
                    let (id, is_fresh) = ids[*number];
                    let left_out = is_fresh && self.outsider_knows_more;
                    let outcome = if left_out { Outcome::Unknown } else { outcome.clone() };
                    history.end(id, *at, without(outcome, &reading.remove(number).unwrap_or_default()));
                }
                Fact::StoreLost(node) => {
                    older.remove(node);
                    history.store_lost(*at, node.clone());
                }
                Fact::RolledBack(node, kept) => history.store_rolled_back(*at, node.clone(), kept.clone()),
                Fact::Accepting => history.accepting_loss(*at),
                Fact::Accepted(kept) => history.loss_accepted(*at, kept.clone()),
                Fact::Older(node, true) => {
                    older.insert(node);
                    for reading in reading.values_mut() {
                        reading.insert(node);
                    }
                }
                Fact::Older(node, false) => drop(older.remove(node)),
                Fact::Settled(readings) => history.settled(*at, readings.clone()),
                Fact::Note(_) => {}
            }
        }
        history
    }

    /// All of it, in the order in which it happened.
    pub(crate) fn text(&self) -> String {
        let (mut text, mut operations) = (String::new(), Vec::new());
        for (at, fact) in &self.facts {
            let _ = write!(text, "{:>12.6} ", *at as f64 / 1e6);
            let _ = match fact {
                Fact::Begin(operation) => {
                    operations.push(operation);
                    writeln!(text, "  #{} {operation}", operations.len() - 1)
                }
                Fact::End(number, outcome) => writeln!(text, "  #{number} {outcome}, the {}", operations[*number]),
                Fact::StoreLost(node) => writeln!(text, "{node} has lost its store"),
                Fact::RolledBack(node, kept) => writeln!(text, "{node} has an earlier store again: {kept:?}"),
                Fact::Accepting => writeln!(text, "a person begins to accept the loss"),
                Fact::Accepted(kept) => writeln!(text, "the loss is accepted; what is left: {kept:?}"),
                Fact::Older(node, true) => writeln!(text, "{node} does not know yet that others have seen more"),
                Fact::Older(node, false) => {
                    writeln!(text, "{node} has what others have seen, or knows that it has not")
                }
                Fact::Settled(readings) => writeln!(text, "settled: {readings:?}"),
                Fact::Note(note) => writeln!(text, "{note}"),
            };
        }
        text
    }
}
