//! What may happen next during catch-up, and what comes of it.

use crate::catchup::{Catchup, Consumer, Move, NODES, Network, PAIRS};
use crate::promises;
use crate::queue::{Asked, Lane, Message, Queue, Told};
use crate::rules::Rule;
use crate::run::{Check, Symmetry};
use stateright::{Model, Property};

impl Model for Catchup {
    type State = Network;
    type Action = Move;

    fn init_states(&self) -> Vec<Network> {
        vec![self.first()]
    }

    fn actions(&self, network: &Network, moves: &mut Vec<Move>) {
        self.progress(network, moves);
        if !self.all_heal {
            moves.extend(links(network, false).map(Move::Heal));
        }
        if !network.producer_runs && self.producer_may_die {
            moves.push(Move::StartProducer);
        }
        let left = network.left;
        if left.cuts > 0 {
            moves.extend(links(network, true).map(Move::Cut));
        }
        if left.consumer_crashes > 0 {
            moves.extend((0..NODES).filter(|node| network.consumers[*node].runs).map(Move::CrashConsumer));
        }
        if left.producer_crashes > 0 && network.producer_runs {
            moves.push(Move::CrashProducer);
        }
        if left.deadlines > 0 {
            for (of, consumer) in network.consumers.iter().enumerate() {
                let waits = open(consumer).map(|(node, asked)| Move::Deadline { of, node, asked });
                moves.extend(waits);
            }
        }
    }

    fn next_state(&self, last: &Network, step: Move) -> Option<Network> {
        let mut network = *last;
        match step {
            Move::Ping => {
                network.pings_left -= 1;
                network.count += 1;
                (0..NODES).for_each(|node| self.cast(&mut network, node));
            }
            Move::HandleUp(node) => {
                network.ups[node] = false;
                self.cast(&mut network, node);
            }
            Move::Receive { from, to, lane } => {
                let message = network.queues[from][to].pop(lane)?;
                self.receive(&mut network, from, to, message);
            }
            Move::SendNews { from, to } => {
                network.consumers[from].news[to] = false;
                let count = network.consumers[from].count;
                network.send(from, to, Message::Told(Told::News(count)));
            }
            Move::StartConsumer(node) => self.start_consumer(&mut network, node),
            Move::StartProducer => {
                network.producer_runs = true;
                let first_ups = self.rules.has(Rule::CastOnFirstUps) && self.rules.has(Rule::CastOnUp);
                network.ups = std::array::from_fn(|node| node == 0 || first_ups && network.is_linked(0, node));
            }
            Move::Heal(link) => self.heal(&mut network, link),
            Move::Cut(link) => cut(&mut network, link),
            Move::CrashConsumer(node) => {
                network.left.consumer_crashes -= 1;
                let before = network.consumers[node];
                let count = if self.stores_last { before.count } else { 0 };
                network.consumers[node] = Consumer { call: before.call + 1, count, ..Consumer::default() };
            }
            Move::CrashProducer => {
                network.left.producer_crashes -= 1;
                network.producer_runs = false;
                network.ups = [false; NODES];
            }
            Move::Deadline { of, node, asked } => self.deadline(&mut network, of, node, asked),
        }
        Some(network)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::of_catchup()
    }
}

impl Check for Catchup {
    fn symmetry(&self) -> Option<Symmetry<Network>> {
        Some(Network::canonical)
    }
}

/// Links that are up, or that are cut.
fn links(network: &Network, up: bool) -> impl Iterator<Item = usize> {
    (0..PAIRS.len()).filter(move |link| network.linked[*link] == up)
}

/// Whom a consumer waits for.
fn open(consumer: &Consumer) -> impl Iterator<Item = (usize, Asked)> {
    let all = (0..NODES).flat_map(|node| [(node, Asked::Producer), (node, Asked::Consumer)]);
    all.filter(|(node, asked)| consumer.waits[*node][*asked as usize])
}

fn cut(network: &mut Network, link: usize) {
    network.left.cuts -= 1;
    network.linked[link] = false;
    let (one, other) = PAIRS[link];
    for (from, to) in [(one, other), (other, one)] {
        network.queues[from][to] = Queue::default();
        // The call says that the node is down.
        network.consumers[from].waits[to] = [false; 2];
        network.consumers[from].news[to] = false;
        network.answered(from);
    }
    if one == 0 {
        network.ups[other] = false;
    }
}

impl Catchup {
    /// What goes on by itself.
    pub(crate) fn progress(&self, network: &Network, moves: &mut Vec<Move>) {
        if network.producer_runs {
            moves.extend((network.pings_left > 0).then_some(Move::Ping));
            moves.extend((0..NODES).filter(|node| network.ups[*node]).map(Move::HandleUp));
        } else if !self.producer_may_die {
            moves.push(Move::StartProducer);
        }
        for (from, consumer) in network.consumers.iter().enumerate() {
            for (to, queue) in network.queues[from].iter().enumerate() {
                let lanes = Lane::ALL.into_iter().filter(|lane| queue.has(*lane));
                moves.extend(lanes.map(|lane| Move::Receive { from, to, lane }));
            }
            let news = (0..NODES).filter(|to| consumer.runs && consumer.news[*to]);
            moves.extend(news.map(|to| Move::SendNews { from, to }));
            moves.extend((!consumer.runs).then_some(Move::StartConsumer(from)));
        }
        if self.all_heal {
            moves.extend(links(network, false).map(Move::Heal));
        }
    }

    fn cast(&self, network: &mut Network, to: usize) {
        let count = network.count;
        network.send(0, to, Message::Told(Told::Pinged(count)));
    }

    fn receive(&self, network: &mut Network, from: usize, to: usize, message: Message) {
        let consumer = network.consumers[to];
        let waits =
            |asked: Asked, call: u8| consumer.runs && consumer.call == call && consumer.waits[from][asked as usize];
        match message {
            Message::Told(told) if consumer.registered => {
                let (count, teller) = match told {
                    Told::Pinged(count) => (count, None),
                    Told::News(count) => (count, Some(from)),
                };
                self.merge(network, to, count, teller);
            }
            // C5.
            Message::Told(_) => {}
            Message::AskProducer(call) => {
                let (asked, count) = (Asked::Producer, network.count);
                let answer = Message::Counts(asked, call, count);
                network.send(to, from, if network.producer_runs { answer } else { Message::NoSuchServer(asked, call) });
            }
            Message::AskCounts(call) => {
                let (asked, count) = (Asked::Consumer, consumer.count);
                let answer = Message::Counts(asked, call, count);
                network.send(to, from, if consumer.registered { answer } else { Message::NoSuchServer(asked, call) });
            }
            Message::Counts(asked, call, count) if waits(asked, call) => {
                network.consumers[to].waits[from][asked as usize] = false;
                self.merge(network, to, count, (asked == Asked::Consumer).then_some(from));
                network.answered(to);
            }
            Message::NoSuchServer(asked, call) if waits(asked, call) => {
                network.consumers[to].waits[from][asked as usize] = false;
                network.answered(to);
            }
            // R4.
            Message::Counts(..) | Message::NoSuchServer(..) => {}
        }
    }

    fn start_consumer(&self, network: &mut Network, node: usize) {
        network.consumers[node].runs = true;
        network.consumers[node].registered = self.rules.has(Rule::RegisterFirst);
        for other in 0..NODES {
            let linked = network.is_linked(node, other);
            if linked && other == 0 {
                network.ask(node, 0, Asked::Producer);
            }
            if linked && other != node && self.rules.has(Rule::AskConsumers) {
                network.ask(node, other, Asked::Consumer);
            }
            // The first `Up`s of its own monitor.
            let has_news = network.consumers[node].count > 0 && self.rules.has(Rule::NewsOnUp);
            network.consumers[node].news[other] = linked && other != node && has_news;
        }
        network.answered(node);
    }

    fn heal(&self, network: &mut Network, link: usize) {
        network.linked[link] = true;
        let (one, other) = PAIRS[link];
        if one == 0 && network.producer_runs && self.rules.has(Rule::CastOnUp) {
            network.ups[other] = true;
        }
        for (from, to) in [(one, other), (other, one)] {
            network.consumers[from].news[to] = network.consumers[from].runs && self.rules.has(Rule::NewsOnUp);
        }
    }

    /// A call ran into its deadline: another one asks all who have not answered.
    fn deadline(&self, network: &mut Network, of: usize, node: usize, asked: Asked) {
        network.left.deadlines -= 1;
        if self.rules.has(Rule::AskAgain) {
            network.consumers[of].call += 1;
            let again = network.consumers[of];
            open(&again).for_each(|(node, asked)| network.ask(of, node, asked));
        } else {
            network.consumers[of].waits[node][asked as usize] = false;
            network.answered(of);
        }
    }
}
