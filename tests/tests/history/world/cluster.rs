//! What happens to the nodes meanwhile.

use super::{Bug, Client, Counts, World, merge};
use crate::script::slot;
use pingpong_conformance::history::Readings;

impl<C: Iterator<Item = u32>> World<C> {
    /// Something happens that no client asked for.
    pub(super) fn cluster(&mut self) {
        let (one, other) = (self.pick(self.nodes.len()), self.pick(self.nodes.len()));
        let kind = self.pick(8);
        match kind {
            0..3 => {
                let mut from = self.nodes[one].store.clone();
                let mut own = self.nodes[other].store.clone();
                if self.has(Bug::NoMerge, 5) {
                    own.retain(|slot, _| *slot == self.nodes[other].slot);
                }
                merge(&mut from, &own);
                self.nodes[other].store = from;
            }
            3..5 => {
                // A prefix of a slot reaches a quorum without an answer.
                let most = self.nodes[one].store.get(&self.nodes[one].slot).copied().unwrap_or(0);
                let count = self.pick(usize::try_from(most).unwrap() + 1) as u64;
                let slot = self.nodes[one].slot.clone();
                merge(&mut self.quorum, &Counts::from([(slot, count)]));
            }
            5..7 if !self.ghosts.is_empty() => {
                let at = self.pick(self.ghosts.len());
                let node = self.ghosts.swap_remove(at);
                self.number(node);
            }
            7 if self.lose > 0 && self.pick(self.lose) == 0 => self.lose(one),
            _ => {}
        }
    }

    fn lose(&mut self, index: usize) {
        if self.bug == Some(Bug::LostQuorum) {
            self.quorum.remove(&self.nodes[index].slot);
        }
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != index);
        let most = others.filter_map(|(_, other)| other.store.get(&self.nodes[index].slot)).max().copied();
        let node = &mut self.nodes[index];
        (node.store, node.lost) = (Counts::new(), true);
        if self.bug == Some(Bug::SameSlot) {
            node.store.extend(most.map(|most| (node.slot.clone(), most)));
        } else {
            let epoch = node.slot.epoch.millis() + 1;
            node.slot = slot(node.name.as_str(), epoch);
        }
        self.history.store_lost(self.now, node.name.clone());
        self.ghosts.retain(|ghost| *ghost != index);
    }

    /// All clients give up, and all nodes come to the same counts.
    pub(super) fn quiet(&mut self) {
        for client in &mut self.clients {
            *client = Client::Idle;
        }
        let mut all = self.quorum.clone();
        for node in &self.nodes {
            merge(&mut all, &node.store);
        }
        for node in &mut self.nodes {
            node.store = all.clone();
        }
        let mut readings: Readings = self.nodes.iter().map(|node| (node.name.clone(), all.clone())).collect();
        if self.bug == Some(Bug::NoCatchUp)
            && let Some(mut reading) = readings.last_entry()
        {
            reading.get_mut().retain(|slot, _| *slot != self.nodes[0].slot);
        }
        self.history.settled(self.now, readings);
    }
}
