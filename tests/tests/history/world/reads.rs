//! Reads: what each takes of which counts, at which instants.

use super::{Bug, Client, Node, World, value};
use pingpong_conformance::history::{Answer, Id, Level, Operation, Outcome, What};
use pingpong_core::NodeName;
use std::collections::BTreeMap;

/// A read on its way.
pub(super) struct Reading {
    id: Id,
    node: usize,
    level: Level,
    what: What,
    /// Read one after the other.
    values: BTreeMap<NodeName, u128>,
    exact: Vec<NodeName>,
    total: Option<u128>,
    left: Vec<usize>,
}

impl<C: Iterator<Item = u32>> World<C> {
    /// A read begins.
    pub(super) fn ask(&mut self, node: usize) -> Client {
        let level = [Level::Majority, Level::Majority, Level::Snapshot, Level::Fresh, Level::Local][self.pick(5)];
        let of = self.pick(self.nodes.len());
        let (what, mut left) = match (level, self.pick(3)) {
            (Level::Majority, 0) => (What::Total, Vec::new()),
            (Level::Majority, 1) => (What::Producer(self.nodes[of].name.clone()), vec![of]),
            _ => (What::All, (0..self.nodes.len()).collect()),
        };
        for last in (1..left.len()).rev() {
            left.swap(last, self.pick(last + 1));
        }
        let operation = Operation::Read { node: self.nodes[node].name.clone(), level, what: what.clone() };
        let id = self.history.begin(self.now, operation);
        let (values, exact) = (BTreeMap::new(), Vec::new());
        Client::Reading(Reading { id, node, level, what, values, exact, total: None, left })
    }

    /// It goes on by one producer.
    pub(super) fn reading(&mut self, mut reading: Reading) -> Client {
        let (one_store, not_the_owner) = (self.has(Bug::OneStore, 5), self.has(Bug::NotTheOwner, 5));
        match reading.level {
            // All at one instant.
            Level::Local | Level::Snapshot if self.bug != Some(Bug::TornSnapshot) || reading.level == Level::Local => {
                let counts = match reading.level {
                    Level::Local => &self.nodes[reading.node].store,
                    _ => &self.quorum,
                };
                for producer in std::mem::take(&mut reading.left) {
                    let producer = &self.nodes[producer].name;
                    reading.values.insert(producer.clone(), value(counts, producer));
                }
            }
            Level::Majority if reading.what == What::Total => {
                let total = self.nodes.iter().map(|node| value(&self.quorum, &node.name)).sum();
                reading.total = Some(if self.bug == Some(Bug::OldTotal) { self.old_total } else { total });
                self.old_total = total;
            }
            Level::Majority | Level::Fresh | Level::Local | Level::Snapshot => {
                let Some(of) = reading.left.pop() else { return self.answer(reading) };
                let Node { name, store, lost, .. } = &self.nodes[of];
                let owner = reading.level == Level::Fresh && !lost;
                let counts = match reading.level {
                    Level::Majority if !one_store => &self.quorum,
                    Level::Snapshot => &self.quorum,
                    _ if owner && !not_the_owner => store,
                    _ => &self.nodes[reading.node].store,
                };
                reading.values.insert(name.clone(), value(counts, name));
                reading.exact.extend(owner.then(|| name.clone()));
                return Client::Reading(reading);
            }
        }
        self.answer(reading)
    }

    fn answer(&mut self, reading: Reading) -> Client {
        let outcome = match self.pick(12) {
            0 => Outcome::Refused,
            1 => Outcome::Unknown,
            _ => {
                let complete = reading.level == Level::Fresh && reading.exact.len() == self.nodes.len();
                let answer = Answer { total: reading.total, ..Answer::all(reading.values) }.exact(reading.exact);
                Outcome::Answered(if complete { answer.complete() } else { answer })
            }
        };
        self.history.end(reading.id, self.now, outcome);
        Client::Idle
    }
}
