//! What each node must say, reckoned from the pings that were ordered and from who could hear of them.
//!
//! Nothing that a node says goes into it.

use super::stage::{Counts, Look, Verdict, name};
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
    /// Nodes that have lost their disks, and do not vote yet.
    recovering: BTreeSet<usize>,
    /// Whether a majority is asked.
    asks: bool,
}

impl Truth {
    /// Nodes that can all talk, and whose consumers do not run yet.
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            groups: vec![(0..nodes).collect()],
            pinged: vec![0; nodes],
            known: BTreeMap::new(),
            recovering: BTreeSet::new(),
            asks: false,
        }
    }

    pub(crate) fn groups(&self) -> &[Vec<usize>] {
        &self.groups
    }

    /// A node's consumer starts, and knows that its own producer has begun. The others tell it what it has missed.
    pub(crate) fn starts(&mut self, node: usize) {
        self.known.insert(node, Counts::from([(name(node), 0)]));
        self.share();
    }

    /// A node's consumer is gone, with all it knew and all that was on its disk.
    pub(crate) fn ends(&mut self, node: usize) {
        self.known.remove(&node);
        self.recovering.insert(node);
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

    /// From now on a majority is asked through each node, or not.
    pub(crate) fn ask(&mut self, asks: bool) {
        self.asks = asks;
    }

    pub(crate) fn asks(&self) -> bool {
        self.asks
    }

    fn quorum(&self) -> usize {
        self.pinged.len() / 2 + 1
    }

    fn votes(&self, node: usize) -> bool {
        self.known.contains_key(&node) && !self.recovering.contains(&node)
    }

    /// Those that can talk are a majority, or they refuse.
    fn verdict(&self, group: &[usize]) -> Verdict {
        let known = group.first().and_then(|node| self.known.get(node));
        let votes = group.iter().filter(|node| self.votes(**node)).count();
        match known.filter(|_| votes >= self.quorum()) {
            Some(known) => Verdict::Total(known.values().sum()),
            None => Verdict::Refused,
        }
    }

    /// Whoever has lost its disk votes again once a majority of *others* has told it what they have. Of two nodes none ever does.
    fn recover(&mut self) {
        let helped = |node: &usize| {
            let group = self.groups.iter().find(|group| group.contains(node));
            let others = group.into_iter().flatten().filter(|other| *other != node && self.votes(**other)).count();
            self.known.contains_key(node) && others >= self.quorum()
        };
        if let Some(node) = self.recovering.iter().copied().find(|node| helped(node)) {
            self.recovering.remove(&node);
            self.recover();
        }
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
        self.recover();
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
                let majority = self.asks.then(|| self.verdict(group));
                let recovering = self.known.contains_key(node) && self.recovering.contains(node);
                views.insert(name(*node), Look { links, counts, recovering, majority });
            }
        }
        views
    }
}
