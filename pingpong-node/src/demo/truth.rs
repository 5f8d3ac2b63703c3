//! What each node must say, reckoned from the pings that were ordered and from who could hear of them.
//!
//! Nothing that a node says goes into it.

use super::stage::{Counts, Look, name};
use std::collections::{BTreeMap, BTreeSet};

/// What is expected, or seen, of each node that runs.
pub(crate) type Views = BTreeMap<String, Look>;

/// Who runs, who can talk, and what each consumer must know.
pub(crate) struct Truth {
    /// The nodes that run, in the groups that can talk.
    groups: Vec<Vec<usize>>,
    /// All pings that were ordered, by producer.
    pinged: Vec<u64>,
    /// What the consumers that run must know.
    known: BTreeMap<usize, Counts>,
}

impl Truth {
    /// Nodes that can all talk, and whose consumers do not run yet.
    pub(crate) fn new(nodes: usize) -> Self {
        Self { groups: vec![(0..nodes).collect()], pinged: vec![0; nodes], known: BTreeMap::new() }
    }

    pub(crate) fn groups(&self) -> &[Vec<usize>] {
        &self.groups
    }

    /// A node's consumer starts, and knows that its own producer has begun. The others tell it what it has missed.
    pub(crate) fn starts(&mut self, node: usize) {
        self.known.insert(node, Counts::from([(name(node), 0)]));
        self.share();
    }

    /// A node's consumer is gone, with all it knew.
    pub(crate) fn ends(&mut self, node: usize) {
        self.known.remove(&node);
    }

    pub(crate) fn pings(&mut self, node: usize, pings: u64) {
        self.pinged[node] += pings;
        if let Some(known) = self.known.get_mut(&node) {
            known.insert(name(node), self.pinged[node]);
        }
        self.share();
    }

    /// From now on these can talk, and nobody else runs.
    pub(crate) fn regroup(&mut self, groups: Vec<Vec<usize>>) {
        self.groups = groups;
        self.share();
    }

    /// Whoever can talk knows all that one of them knows.
    fn share(&mut self) {
        for group in &self.groups {
            let mut all = Counts::new();
            for (producer, count) in group.iter().filter_map(|node| self.known.get(node)).flatten() {
                let known = all.entry(producer.clone()).or_default();
                *known = (*count).max(*known);
            }
            for node in group {
                if let Some(known) = self.known.get_mut(node) {
                    known.clone_from(&all);
                }
            }
        }
    }

    /// What every node that runs must say now.
    pub(crate) fn views(&self) -> Views {
        let mut views = Views::new();
        for group in &self.groups {
            let names: BTreeSet<String> = group.iter().map(|node| name(*node)).collect();
            for node in group {
                let mut links = names.clone();
                links.remove(&name(*node));
                let counts = self.known.get(node).cloned().unwrap_or_default();
                views.insert(name(*node), Look { links, counts });
            }
        }
        views
    }
}
