//! A cluster of atomic counts, driven by a list of choices: whatever it does is right, unless it is given a [`Bug`].
//!
//! Every operation takes effect at instants of its own between its begin and its end. Quorums, links and files are not
//! modelled: what is at a quorum is a map that is never lost.

mod bugs;
mod cluster;
mod reads;

pub(crate) use bugs::Bug;

use crate::script::slot;
use pingpong_conformance::history::{Ack, History, Id, Operation, Outcome};
use pingpong_core::NodeName;
use pingpong_core::exercise::Slot;
use reads::Reading;
use std::collections::BTreeMap;

type Counts = BTreeMap<Slot, u64>;

/// One node: its store, with what it counts in it.
struct Node {
    name: NodeName,
    slot: Slot,
    store: Counts,
    lost: bool,
}

/// What a client is at.
enum Client {
    Idle,
    /// The ping is on its way to the node, or in its queue.
    Sent(Id, usize, Ack),
    /// It is synced.
    Numbered(Id, Ack, Slot, u64),
    Confirming(Id, Slot, u64),
    Reading(Reading),
}

/// See the module.
pub(crate) struct World<C> {
    choices: C,
    now: u64,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    /// What a quorum holds.
    quorum: Counts,
    /// Queued, and of clients that gave up.
    ghosts: Vec<usize>,
    /// Numbers that can be confirmed.
    open: Vec<(Slot, u64)>,
    /// One in so many steps of the cluster loses a store. 0: never.
    lose: usize,
    pub(crate) bug: Option<Bug>,
    /// The total of a moment ago.
    old_total: u128,
    history: History,
}

fn merge(into: &mut Counts, from: &Counts) {
    for (slot, count) in from {
        let known = into.entry(slot.clone()).or_default();
        *known = (*known).max(*count);
    }
}

fn value(counts: &Counts, producer: &NodeName) -> u128 {
    counts.iter().filter(|(slot, _)| slot.producer == *producer).map(|(_, count)| u128::from(*count)).sum()
}

impl<C: Iterator<Item = u32>> World<C> {
    pub(crate) fn new(nodes: usize, clients: usize, lose: usize, choices: C) -> Self {
        let node = |index: usize| {
            let slot = slot(&format!("n{index}"), 1);
            Node { name: slot.producer.clone(), slot, store: Counts::new(), lost: false }
        };
        Self {
            choices,
            now: 0,
            nodes: (0..nodes).map(node).collect(),
            clients: (0..clients).map(|_| Client::Idle).collect(),
            quorum: Counts::new(),
            ghosts: Vec::new(),
            open: Vec::new(),
            lose,
            bug: None,
            old_total: 0,
            history: History::new(),
        }
    }

    fn pick(&mut self, below: usize) -> usize {
        self.choices.next().map_or(0, |choice| choice as usize % below)
    }

    /// Whether the bug shows now, which it does once in so many times.
    fn has(&mut self, bug: Bug, often: usize) -> bool {
        self.bug == Some(bug) && self.pick(often) == 0
    }

    /// So many steps, and a quiet time after each quarter of them.
    pub(crate) fn run(mut self, steps: usize) -> History {
        for step in 1..=steps {
            self.now += self.pick(3) as u64;
            if self.pick(4) == 0 {
                self.cluster();
            } else {
                let client = self.pick(self.clients.len());
                let was = std::mem::replace(&mut self.clients[client], Client::Idle);
                self.clients[client] = self.step(was);
            }
            if step % (steps / 4).max(1) == 0 {
                self.quiet();
            }
        }
        self.history
    }

    fn step(&mut self, client: Client) -> Client {
        match client {
            Client::Idle => self.begin(),
            Client::Sent(id, node, ack) => self.sent(id, node, ack),
            Client::Numbered(id, ack, slot, count) => self.numbered(id, ack, slot, count),
            Client::Confirming(id, slot, count) => {
                let kept = self.commit(&slot, count);
                self.history.end(id, self.now, if kept { Outcome::Confirmed } else { Outcome::Unknown });
                Client::Idle
            }
            Client::Reading(reading) => self.reading(reading),
        }
    }

    fn begin(&mut self) -> Client {
        let node = self.pick(self.nodes.len());
        let kind = self.pick(10);
        if kind < 5 {
            let ack = [Ack::Majority, Ack::Majority, Ack::Local, Ack::Queued][self.pick(4)];
            let producer = self.nodes[node].name.clone();
            return Client::Sent(self.history.begin(self.now, Operation::Ping { producer, ack }), node, ack);
        }
        if kind == 5 && !self.open.is_empty() {
            let at = self.pick(self.open.len());
            let (slot, count) = self.open.swap_remove(at);
            let operation = Operation::Confirm { slot: slot.clone(), count };
            return Client::Confirming(self.history.begin(self.now, operation), slot, count);
        }
        self.ask(node)
    }

    fn sent(&mut self, id: Id, node: usize, ack: Ack) -> Client {
        if ack == Ack::Queued {
            self.ghosts.push(node);
            self.history.end(id, self.now, Outcome::Queued);
            return Client::Idle;
        }
        match self.pick(12) {
            0 => self.history.end(id, self.now, Outcome::Refused),
            1 => self.ghosts.push(node), // it never ends
            2 => self.history.end(id, self.now, Outcome::Unknown),
            _ => {
                let (slot, count) = self.number(node);
                return Client::Numbered(id, ack, slot, count);
            }
        }
        Client::Idle
    }

    fn number(&mut self, node: usize) -> (Slot, u64) {
        let again = self.has(Bug::AckBeforeSync, 20);
        let twice = self.has(Bug::CountedTwice, 3);
        let node = &mut self.nodes[node];
        let count = node.store.entry(node.slot.clone()).or_default();
        *count += if twice { 2 } else { 1 };
        let number = *count;
        *count -= u64::from(again);
        (node.slot.clone(), number)
    }

    fn numbered(&mut self, id: Id, ack: Ack, slot: Slot, count: u64) -> Client {
        let outcome = match (ack, self.pick(8)) {
            (_, 0) => return Client::Idle, // it never ends
            (_, 1) => Outcome::Unknown,
            (Ack::Majority, 2 | 3) => {
                self.open.push((slot.clone(), count));
                Outcome::Unconfirmed { slot, count }
            }
            (Ack::Majority, _) if !self.commit(&slot, count) => Outcome::Unconfirmed { slot, count },
            _ => Outcome::Acknowledged { slot, count },
        };
        self.history.end(id, self.now, outcome);
        Client::Idle
    }

    /// Brings pings of a slot to a quorum, if any store has them yet.
    fn commit(&mut self, slot: &Slot, count: u64) -> bool {
        let stores = self.nodes.iter().map(|node| &node.store).chain([&self.quorum]);
        let kept = stores.filter_map(|store| store.get(slot)).any(|most| *most >= count);
        if kept && !self.has(Bug::AckBeforeQuorum, 20) {
            merge(&mut self.quorum, &Counts::from([(slot.clone(), count)]));
        }
        kept
    }
}
