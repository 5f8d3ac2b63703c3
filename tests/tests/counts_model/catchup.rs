//! Catch-up on links as the contract of transports has them: a link is up or cut; while it is up, it is first in, first out, and
//! without gaps (C2, C3). A cut drops what was on its way, a heal is an `Up` on both sides (M7). A cast to a name that is not
//! registered vanishes (C5), a call that fails is reported (R3), and a late answer is discarded (R4).
//!
//! One producer, on the first node, and a consumer on each of three.

use crate::queue::{Asked, Lane, Message, Queue};
use crate::rules::{Rule, Rules};

pub(crate) const NODES: usize = 3;
pub(crate) const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];

/// What a check explores.
#[derive(Clone, Debug)]
pub(crate) struct Catchup {
    pub(crate) pings: u8,
    pub(crate) faults: Faults,
    /// Every cut link heals. Else what stays may be a bridge.
    pub(crate) all_heal: bool,
    /// A consumer's store outlives its crash.
    pub(crate) stores_last: bool,
    /// A crashed producer need not come back.
    pub(crate) producer_may_die: bool,
    pub(crate) rules: Rules,
}

/// How much may still go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Faults {
    pub(crate) cuts: u8,
    pub(crate) consumer_crashes: u8,
    pub(crate) producer_crashes: u8,
    /// Calls that run into their deadline on a live link.
    pub(crate) deadlines: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Consumer {
    pub(crate) runs: bool,
    pub(crate) registered: bool,
    pub(crate) count: u8,
    /// The number of its last call.
    pub(crate) call: u8,
    /// Who has yet to answer: of each node the producer, and the consumer.
    pub(crate) waits: [[bool; 2]; NODES],
    /// It has news for that node.
    pub(crate) news: [bool; NODES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Network {
    pub(crate) consumers: [Consumer; NODES],
    pub(crate) count: u8,
    pub(crate) producer_runs: bool,
    /// `Up`s that the producer has yet to handle; of its own node, its start.
    pub(crate) ups: [bool; NODES],
    /// Of each pair.
    pub(crate) linked: [bool; PAIRS.len()],
    /// From, to.
    pub(crate) queues: [[Queue; NODES]; NODES],
    pub(crate) pings_left: u8,
    pub(crate) left: Faults,
}

/// One step. Nodes are numbers, links are numbers of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Ping,
    /// The producer casts its counts to a node that came up.
    HandleUp(usize),
    Receive {
        from: usize,
        to: usize,
        lane: Lane,
    },
    SendNews {
        from: usize,
        to: usize,
    },
    StartConsumer(usize),
    StartProducer,
    Heal(usize),
    Cut(usize),
    CrashConsumer(usize),
    CrashProducer,
    Deadline {
        of: usize,
        node: usize,
        asked: Asked,
    },
}

impl Network {
    pub(crate) fn is_linked(&self, one: usize, other: usize) -> bool {
        one == other || self.linked[one + other - 1]
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, message: Message) {
        if self.is_linked(from, to) {
            self.queues[from][to].push(message);
        }
    }

    pub(crate) fn ask(&mut self, node: usize, to: usize, asked: Asked) {
        let call = self.consumers[node].call;
        self.consumers[node].waits[to][asked as usize] = true;
        let question = if asked == Asked::Producer { Message::AskProducer(call) } else { Message::AskCounts(call) };
        self.send(node, to, question);
    }

    /// A consumer that has all its answers is registered now at the latest.
    pub(crate) fn answered(&mut self, node: usize) {
        let consumer = &mut self.consumers[node];
        consumer.registered |= consumer.runs && !consumer.is_waiting();
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let done =
            |consumer: &Consumer| consumer.registered && !consumer.is_waiting() && consumer.news == [false; NODES];
        self.queues.iter().flatten().all(Queue::is_empty)
            && (!self.producer_runs || self.ups == [false; NODES])
            && self.consumers.iter().all(done)
    }

    /// Within each connected group all consumers have the same, and what the producer has, if it runs there (P16).
    pub(crate) fn agrees(&self) -> bool {
        let mut groups: [usize; NODES] = std::array::from_fn(|node| node);
        for (one, other) in PAIRS.into_iter().chain(PAIRS).filter(|(one, other)| self.is_linked(*one, *other)) {
            let group = groups[one].min(groups[other]);
            (groups[one], groups[other]) = (group, group);
        }
        let count = |node: usize| self.consumers[node].count;
        (0..NODES).all(|node| {
            let same = (0..NODES).all(|other| groups[node] != groups[other] || count(node) == count(other));
            same && (!self.producer_runs || groups[node] != groups[0] || count(node) == self.count)
        })
    }

    /// The nodes without the producer are alike: of two states that differ in their names alone, one.
    pub(crate) fn canonical(&self) -> Self {
        let mut other = *self;
        other.linked.swap(0, 1);
        other.ups.swap(1, 2);
        other.consumers.swap(1, 2);
        for consumer in &mut other.consumers {
            consumer.waits.swap(1, 2);
            consumer.news.swap(1, 2);
        }
        other.queues.swap(1, 2);
        for queues in &mut other.queues {
            queues.swap(1, 2);
        }
        if other < *self { other } else { *self }
    }
}

impl Consumer {
    pub(crate) fn is_waiting(&self) -> bool {
        self.waits != [[false; 2]; NODES]
    }
}

impl Catchup {
    pub(crate) fn first(&self) -> Network {
        let consumer = Consumer { runs: true, registered: true, ..Consumer::default() };
        Network {
            consumers: [consumer; NODES],
            count: 0,
            producer_runs: true,
            ups: [false; NODES],
            linked: [true; PAIRS.len()],
            queues: Default::default(),
            pings_left: self.pings,
            left: self.faults,
        }
    }

    pub(crate) fn merge(&self, network: &mut Network, node: usize, count: u8, from: Option<usize>) {
        if count > network.consumers[node].count {
            network.consumers[node].count = count;
            if self.rules.has(Rule::NewsOnChange) {
                let tells = |other| other != node && from != Some(other) && network.is_linked(node, other);
                network.consumers[node].news = std::array::from_fn(tells);
            }
        }
    }
}
