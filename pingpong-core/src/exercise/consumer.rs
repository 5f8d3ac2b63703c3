//! The consumer: it takes over what all nodes pinged, asks for what it missed, and passes on what it learns.

use super::ask::ask;
use super::backoff::Backoff;
use super::compare::FETCH;
use super::comparisons::{Comparisons, MAX_CUTS, Question};
use super::contacts::Contacts;
use super::counts::{Counts, Slot};
use super::digest::Sum;
use super::gossip::{Gossip, News};
use super::ledger::{Ledger, Merged, Source};
use super::messages::{AskConsumer, AskProducer, CONSUMER, ConsumerSays, PRODUCER, ProducerSays, Told};
use super::older::begin_anew;
use super::settings::Settings;
use super::trouble::Troubles;
use crate::monitor::DownReason;
use crate::name::NodeName;
use crate::node::Node;
use crate::repeats::Repeats;
use crate::server::{CastError, Context, Server};
use crate::transport::{CallFailure, SendError, Targets};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::time::Instant;

/// Producers that it asks at once.
const AT_ONCE: usize = 16;

/// The server that keeps what all nodes pinged.
///
/// It is registered before it asks anybody (P13): what comes in between is in its mailbox, and what came before is in the answers.
pub(super) struct Consumer {
    ledger: Arc<Ledger>,
    settings: Arc<Settings>,
    troubles: Troubles,
    contacts: Arc<Contacts>,
    gossip: Gossip,
    backoff: Backoff,
    /// What each producer said last in its present session, to notice one that goes back.
    said: BTreeMap<Slot, u64>,
    /// Producers that are to be asked for their slots, and how often they were.
    to_ask: VecDeque<(NodeName, u32)>,
    /// Producers that are being asked.
    asking: usize,
    comparisons: Comparisons,
    /// Whether [`Info::Changed`] is on its way.
    waiting: bool,
    /// Whether [`Info::Gossip`] is on its way.
    armed: bool,
    began: Instant,
    repeats: Repeats,
}

pub(super) enum Info {
    /// A producer has answered, or not; it was asked so often before.
    Producer(NodeName, u32, Result<(Node, ProducerSays), CallFailure>),
    /// A producer is to be asked again.
    AskProducer(NodeName, u32),
    /// A consumer has answered a question of a comparison, or not.
    Consumer(NodeName, u64, Result<(Node, ConsumerSays), CallFailure>),
    /// A consumer is to be asked the same again.
    AskConsumer(NodeName, u64),
    /// A new epoch has begun; this was heard of the old one.
    Begun(Node, Counts),
    /// What is published has changed.
    Changed,
    /// The time has come to tell it.
    Gossip,
}

impl Consumer {
    pub(super) fn new(
        ledger: Arc<Ledger>,
        settings: Arc<Settings>,
        backoff: Backoff,
        troubles: Troubles,
        contacts: Arc<Contacts>,
    ) -> Self {
        Self {
            ledger,
            comparisons: Comparisons::new(settings.few_slots),
            settings,
            troubles,
            contacts,
            gossip: Gossip::default(),
            backoff,
            said: BTreeMap::new(),
            to_ask: VecDeque::new(),
            asking: 0,
            waiting: false,
            armed: false,
            began: Instant::now(),
            repeats: Repeats::default(),
        }
    }

    fn merge(&mut self, source: Source<'_>, counts: &Counts, cx: &mut Context<Self>) {
        let Merged { own, .. } = self.ledger.merge(source, counts);
        if let Some(seen) = own {
            self.own_store_is_older(seen, source.node(), counts, cx);
        }
    }

    /// The store begins anew, and then takes over what others have of the old epoch.
    fn own_store_is_older(&self, seen: u64, from: &Node, counts: &Counts, cx: &mut Context<Self>) {
        let Some(begun) = begin_anew(&self.ledger, &self.troubles, seen, from, cx.node().incarnation) else { return };
        let (ledger, from, counts) = (Arc::clone(&self.ledger), from.clone(), counts.clone());
        let later = cx.spawn(move |_| async move {
            // A store that has failed stops the node.
            let _ = ledger.synced(begun).await;
            Info::Begun(from, counts)
        });
        if later.is_err() {
            tracing::warn!("no room to wait for the new epoch; the old one is complete after the next comparison");
        }
    }

    /// A producer's casts come in the order sent (C2), so that its counts do not go back within a session.
    fn watch(&mut self, from: &Node, counts: &Counts) {
        for (slot, count) in counts.iter().filter(|(slot, _)| slot.producer == from.name) {
            match self.said.get_mut(slot) {
                Some(said) if count < *said => {
                    if let Some(left_out) =
                        self.repeats.write_one_of("went back", &slot.to_string(), self.began.elapsed())
                    {
                        tracing::warn!(%slot, count, said, left_out, "a producer's count went back; was its store rolled back?");
                    }
                    self.ledger.count_backwards();
                }
                Some(said) => *said = count,
                // What the ledger refuses needs no watching; that bounds the map.
                None if self.ledger.knows(slot) => {
                    self.said.insert(slot.clone(), count);
                }
                None => {}
            }
        }
    }

    /// Asks the producers that wait to be asked, a few at once.
    fn ask_producers(&mut self, cx: &mut Context<Self>) {
        while self.asking < AT_ONCE
            && let Some((name, before)) = self.to_ask.pop_front()
        {
            let deadline = self.settings.ask_deadline;
            let asked = cx.spawn(move |transport| async move {
                let answer = ask(&*transport, &name, &PRODUCER, &AskProducer::Slots, deadline).await;
                Info::Producer(name, before, answer)
            });
            if asked.is_err() {
                tracing::error!("no room to ask a producer; the counts may be behind until its next ping");
                break;
            }
            self.asking += 1;
        }
    }

    fn producer_answered(
        &mut self,
        name: NodeName,
        before: u32,
        answer: Result<(Node, ProducerSays), CallFailure>,
        cx: &mut Context<Self>,
    ) {
        self.asking -= 1;
        match answer {
            Ok((node, ProducerSays::Slots { counts, .. })) => self.merge(Source::Producer(&node), &counts, cx),
            Ok((node, says)) => tracing::debug!(%node, ?says, "it answered another question"),
            Err(reason) if self.is_asked_again(&name, &reason, cx) => {
                let delay = self.backoff.delay(before);
                // Refused, the producer's next ping or its next `Up` tells.
                let _ = cx.after(delay, Info::AskProducer(name, before.saturating_add(1)));
            }
            Err(_) => {}
        }
        self.ask_producers(cx);
    }

    /// Whether there is an answer to be had still (P14).
    fn is_asked_again(&mut self, name: &NodeName, reason: &CallFailure, cx: &Context<Self>) -> bool {
        match reason {
            CallFailure::DeadlinePassed { .. } | CallFailure::NoRoomForReply { .. } => {
                cx.list().iter().any(|node| node.name == *name)
            }
            // A starting server and an `Up` speak for themselves.
            CallFailure::NoSuchServer
            | CallFailure::ServerStopped
            | CallFailure::NotLinked
            | CallFailure::NodeDown { .. } => false,
            reason => {
                if let Some(left_out) = self.repeats.write(name.as_str(), &reason.to_string(), self.began.elapsed()) {
                    tracing::warn!(node = %name, %reason, left_out, "no counts from there");
                }
                false
            }
        }
    }

    /// Whether that node passes on what it knows: with members they alone do, and nobody listens to others.
    fn passes_on(&self, name: &NodeName) -> bool {
        self.ledger.members().is_none_or(|members| members.has(name))
    }

    /// Whether so many slots are told without being asked for.
    fn are_few(&self, slots: usize) -> bool {
        slots <= self.settings.few_slots as usize
    }

    /// A peer's counts may be others than this node's.
    fn compare_with(&mut self, name: NodeName, sum: Option<Sum>, cx: &mut Context<Self>) {
        if self.passes_on(&name) {
            self.comparisons.add(name, sum);
            self.compare_more(cx);
        }
    }

    fn compare_more(&mut self, cx: &mut Context<Self>) {
        while let Some(question) = self.comparisons.begin(|| self.ledger.published().sum) {
            self.ask_consumer(question, cx);
        }
    }

    fn ask_consumer(&mut self, Question { to, number, ask: question }: Question, cx: &mut Context<Self>) {
        let (deadline, name) = (self.settings.ask_deadline, to.clone());
        let asked = cx.spawn(move |transport| async move {
            let answer = ask(&*transport, &to, &CONSUMER, &question, deadline).await;
            Info::Consumer(to, number, answer)
        });
        if asked.is_err() {
            tracing::error!("no room to ask a consumer; the counts may be behind until its next news");
            self.comparisons.end(&name);
        }
    }

    fn consumer_answered(
        &mut self,
        name: &NodeName,
        number: u64,
        answer: Result<(Node, ConsumerSays), CallFailure>,
        cx: &mut Context<Self>,
    ) {
        match answer {
            Ok((node, ConsumerSays::Counts(counts))) => self.merge(Source::Relay(&node), &counts, cx),
            Ok((_, ConsumerSays::Sums(sums))) => {
                let ledger = &self.ledger;
                self.comparisons.sums(name, sums, |said| ledger.sums(said.iter().map(|(part, _)| *part)));
            }
            Err(reason) => {
                if self.is_asked_again(name, &reason, cx) {
                    let delay = self.backoff.delay(self.comparisons.postpone(name));
                    if cx.after(delay, Info::AskConsumer(name.clone(), number)).is_ok() {
                        return;
                    }
                }
                self.comparisons.end(name);
            }
        }
        match self.comparisons.next(name) {
            Some(question) => self.ask_consumer(question, cx),
            None => self.compare_more(cx),
        }
    }

    /// Waits for the next change, to tell it.
    fn wait_for_change(&mut self, cx: &mut Context<Self>) {
        if self.waiting {
            return;
        }
        let (ledger, since) = (Arc::clone(&self.ledger), self.ledger.revision());
        let waits = cx.spawn(move |_| async move {
            ledger.changed_after(since).await;
            Info::Changed
        });
        self.waiting = waits.is_ok();
        if waits.is_err() {
            // Then the timer looks.
            self.gossip_later(cx);
        }
    }

    fn gossip_later(&mut self, cx: &mut Context<Self>) {
        if !self.armed {
            self.armed = cx.after(self.settings.gossip_interval, Info::Gossip).is_ok();
        }
    }

    fn send_news(&mut self, cx: &mut Context<Self>) {
        let own = cx.node().name;
        let only = Some(&own).filter(|own| !self.passes_on(own));
        let (news, now) = self.gossip.news(&self.ledger, only);
        for News { peers, counts } in news {
            // Whoever has heard most of it from others compares, and asks for the rest alone. With a node that passes on nothing nobody does.
            let sum = || Told::Sum(self.ledger.published().sum);
            let few = counts.filter(|counts| only.is_some() || self.are_few(counts.len()));
            self.tell(peers, &few.map_or_else(sum, Told::News), now, cx);
        }
    }

    /// Tells some peers what comes up to that revision.
    fn tell(&mut self, peers: Vec<NodeName>, told: &Told, revision: u64, cx: &mut Context<Self>) {
        match cx.try_abcast(&Targets::Nodes(peers.clone()), &CONSUMER, told) {
            Ok(sent) => {
                if !sent.refused.is_empty() {
                    self.gossip_later(cx);
                }
                let told = peers.iter().filter(|name| !sent.refused.iter().any(|refused| refused.name == **name));
                told.for_each(|name| self.gossip.told(name, revision));
            }
            // A node that leaves: nobody hears it any more.
            Err(CastError::Send(SendError::ShuttingDown)) => {}
            Err(error) => tracing::error!(%error, "other consumers cannot be told"),
        }
    }
}

impl Server for Consumer {
    type Cast = Told;
    type Call = AskConsumer;
    type Info = Info;

    const EVENTS: bool = true;

    async fn started(&mut self, cx: &mut Context<Self>) {
        self.wait_for_change(cx);
        for Node { name, .. } in cx.list() {
            self.to_ask.push_back((name.clone(), 0));
            self.compare_with(name, None, cx);
        }
        self.ask_producers(cx);
    }

    async fn cast(&mut self, from: &Node, message: Told, cx: &mut Context<Self>) {
        match message {
            Told::Pinged(counts) => {
                self.merge(Source::Producer(from), &counts, cx);
                self.watch(from, &counts);
            }
            Told::News(counts) => self.merge(Source::Relay(from), &counts, cx),
            Told::Sum(sum) => self.compare_with(from.name.clone(), Some(sum), cx),
        }
    }

    async fn call(&mut self, _: &Node, request: AskConsumer, _: &mut Context<Self>) -> ConsumerSays {
        match request {
            AskConsumer::Counts => ConsumerSays::Counts(self.ledger.counts().as_ref().clone()),
            AskConsumer::Beyond(known) => ConsumerSays::Counts(self.ledger.beyond(&known, 0, u32::MAX).counts),
            AskConsumer::Of(producer) => ConsumerSays::Counts(self.ledger.counts().of(&producer)),
            // Nobody who compares asks for so many at once.
            AskConsumer::Sums(parts) if parts.len() > MAX_CUTS => ConsumerSays::Sums(Vec::new()),
            AskConsumer::Sums(parts) => {
                let slots: usize =
                    self.ledger.sums(parts.iter().copied()).iter().map(|(_, sum)| sum.slots as usize).sum();
                if self.are_few(slots) {
                    return ConsumerSays::Counts(self.ledger.counts_in(parts));
                }
                let cut = parts.iter().filter(|part| part.exists()).filter_map(|part| part.cut()).flatten();
                ConsumerSays::Sums(self.ledger.sums(cut))
            }
            AskConsumer::Parts(parts) if parts.len() > FETCH as usize => ConsumerSays::Counts(Counts::new()),
            AskConsumer::Parts(parts) => ConsumerSays::Counts(self.ledger.counts_in(parts)),
        }
    }

    async fn info(&mut self, info: Info, cx: &mut Context<Self>) {
        match info {
            Info::Producer(name, before, answer) => self.producer_answered(name, before, answer, cx),
            Info::AskProducer(name, before) => {
                // Who went down meanwhile speaks for itself when it comes up.
                if cx.list().iter().any(|node| node.name == name) {
                    self.to_ask.push_back((name, before));
                    self.ask_producers(cx);
                }
            }
            Info::Consumer(name, number, answer) => {
                if self.comparisons.is_out(&name, number) {
                    self.consumer_answered(&name, number, answer, cx);
                }
            }
            Info::AskConsumer(name, number) => {
                if let Some(question) = self.comparisons.again(&name, number) {
                    self.ask_consumer(question, cx);
                }
            }
            Info::Begun(from, counts) => drop(self.ledger.merge(Source::Relay(&from), &counts)),
            Info::Changed => {
                self.waiting = false;
                self.gossip_later(cx);
            }
            Info::Gossip => {
                self.armed = false;
                self.wait_for_change(cx);
                self.send_news(cx);
            }
        }
    }

    async fn node_up(&mut self, node: &Node, cx: &mut Context<Self>) {
        self.contacts.now(&node.name);
        let (counts, revision) = self.ledger.counts_at();
        if !self.passes_on(&cx.node().name) {
            // Its producer tells its own counts; what is counted later is news.
            return self.gossip.up(node, revision);
        }
        let told = if self.are_few(counts.len()) {
            Told::News(counts.as_ref().clone())
        } else {
            Told::Sum(self.ledger.published().sum)
        };
        // What is not sent now, because its queue is full, is sent as news.
        self.gossip.up(node, 0);
        self.tell(vec![node.name.clone()], &told, revision, cx);
    }

    async fn node_down(&mut self, node: &Node, _: &DownReason, cx: &mut Context<Self>) {
        self.contacts.now(&node.name);
        self.gossip.down(&node.name);
        self.said.retain(|slot, _| slot.producer != node.name);
        self.comparisons.forget(&node.name);
        self.compare_more(cx);
    }
}
