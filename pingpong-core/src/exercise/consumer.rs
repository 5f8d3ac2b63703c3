//! The consumer: it keeps what all nodes pinged, asks for what it missed, and passes on what it learns.

use super::Settings;
use super::backoff::Backoff;
use super::counts::{Counts, Slot};
use super::gossip::Gossip;
use super::messages::{AskCounts, AskProducer, CONSUMER, PRODUCER, ProducerSays, Told};
use super::store::{MemoryStore, Source};
use crate::monitor::DownReason;
use crate::name::NodeName;
use crate::node::Node;
use crate::repeats::Repeats;
use crate::server::{CastError, Context, Server, TransportExt};
use crate::transport::{CallFailure, Failed, Replies, Reply, SendError, Targets};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::Instant;

/// The server that keeps what all nodes pinged.
///
/// It is registered before it asks anybody (P13): what comes in between is in its mailbox, and what came before is in the
/// answers.
pub(super) struct Consumer {
    store: Arc<MemoryStore>,
    settings: Arc<Settings>,
    gossip: Gossip,
    backoff: Backoff,
    /// What each producer said last in its present session, to notice one that goes back.
    said: BTreeMap<Slot, u64>,
    began: Instant,
    repeats: Repeats,
}

/// Which servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Producers,
    Consumers,
}

/// A question to the servers of some nodes.
#[derive(Debug)]
pub(super) struct Question {
    whom: Whom,
    nodes: Vec<NodeName>,
    /// How often these were asked before.
    before: u32,
}

pub(super) enum Info {
    Answered(Question, Vec<Reply<Counts>>, Vec<Failed>),
    AskAgain(Question),
    Gossip,
}

impl Consumer {
    pub(super) fn new(store: Arc<MemoryStore>, settings: Arc<Settings>, backoff: Backoff) -> Self {
        let gossip = Gossip::new(store.revision());
        Self {
            store,
            settings,
            gossip,
            backoff,
            said: BTreeMap::new(),
            began: Instant::now(),
            repeats: Repeats::default(),
        }
    }

    fn ask(&self, question: Question, cx: &mut Context<Self>) {
        let deadline = self.settings.ask_deadline;
        let Question { whom, before, .. } = question;
        let targets = Targets::Nodes(question.nodes.clone());
        let started = cx.spawn(move |transport| async move {
            let (answers, failed) = match whom {
                Whom::Producers => {
                    let replies = transport.call(&targets, &PRODUCER, &AskProducer::Slots, deadline).await;
                    let Replies { replies, failed } = replies.unwrap_or_default();
                    let slots = replies.into_iter().filter_map(|Reply { node, reply }| match reply {
                        ProducerSays::Slots(reply) => Some(Reply { node, reply }),
                        _ => None,
                    });
                    (slots.collect(), failed)
                }
                Whom::Consumers => {
                    let replies = transport.call(&targets, &CONSUMER, &AskCounts, deadline).await;
                    let Replies { replies, failed } = replies.unwrap_or_default();
                    (replies, failed)
                }
            };
            Info::Answered(question, answers, failed)
        });
        if started.is_err() {
            tracing::error!(?whom, before, "no room to ask; the counts may be behind until the next event");
        }
    }

    fn answered(
        &mut self,
        question: Question,
        answers: Vec<Reply<Counts>>,
        failed: Vec<Failed>,
        cx: &mut Context<Self>,
    ) {
        let Question { whom, before, .. } = question;
        for Reply { node, reply } in answers {
            let source = if whom == Whom::Producers { Source::Producer(&node) } else { Source::Consumer };
            self.merge(&node, source, &reply, cx);
        }
        let mut late = Vec::new();
        for Failed { name, reason, .. } in failed {
            match reason {
                CallFailure::DeadlinePassed { .. } => late.push(name),
                // A starting server and an `Up` speak for themselves (P14).
                CallFailure::NoSuchServer
                | CallFailure::ServerStopped
                | CallFailure::NotLinked
                | CallFailure::NodeDown { .. } => {}
                reason => tracing::warn!(node = %name, ?whom, %reason, "no counts from there"),
            }
        }
        if !late.is_empty() {
            let again = Question { whom, nodes: late, before: before.saturating_add(1) };
            let delay = self.backoff.delay(before);
            tracing::debug!(?again, ?delay, "not answered in time, asked again");
            if cx.after(delay, Info::AskAgain(again)).is_err() {
                tracing::error!("no room to ask again; the counts may be behind until the next event");
            }
        }
    }

    fn ask_again(&self, mut question: Question, cx: &mut Context<Self>) {
        // Who went down meanwhile speaks for itself when it comes up.
        let linked = cx.list();
        question.nodes.retain(|name| linked.iter().any(|node| node.name == *name));
        if !question.nodes.is_empty() {
            self.ask(question, cx);
        }
    }

    fn merge(&mut self, from: &Node, source: Source<'_>, counts: &Counts, cx: &mut Context<Self>) {
        let merged = self.store.merge(source, counts);
        self.gossip.changed(merged, &from.name);
        self.gossip_later(cx);
    }

    /// A producer's casts come in the order sent (C2), so that its counts do not go back within a session.
    fn watch(&mut self, from: &Node, counts: &Counts) {
        for (slot, count) in counts.iter().filter(|(slot, _)| slot.producer == from.name) {
            match self.said.get_mut(&slot) {
                Some(said) if count < *said => {
                    if let Some(left_out) =
                        self.repeats.write_one_of("went back", &slot.to_string(), self.began.elapsed())
                    {
                        tracing::warn!(%slot, count, said, left_out, "a producer's count went back; was its store rolled back?");
                    }
                    self.store.count_backwards();
                }
                Some(said) => *said = count,
                // What the store refuses needs no watching; that bounds the map.
                None if self.store.knows(&slot) => {
                    self.said.insert(slot, count);
                }
                None => {}
            }
        }
    }

    fn gossip_later(&mut self, cx: &mut Context<Self>) {
        if self.gossip.wants_timer() {
            let armed = cx.after(self.settings.gossip_interval, Info::Gossip).is_ok();
            self.gossip.set_timer(armed);
        }
    }

    /// Tells flagged peers what changed since they were told last; each distinct message is encoded once.
    fn send_news(&mut self, peers: BTreeMap<u64, Vec<NodeName>>, cx: &mut Context<Self>) {
        for (since, names) in peers {
            let (counts, revision) = self.store.changed_since(since);
            match cx.try_abcast(&Targets::Nodes(names.clone()), &CONSUMER, &Told::News(counts)) {
                Ok(sent) => {
                    let told = names.iter().filter(|name| !sent.refused.iter().any(|r| r.name == **name));
                    told.for_each(|name| self.gossip.told(name, revision));
                }
                // A node that leaves: nobody hears it any more.
                Err(CastError::Send(SendError::ShuttingDown)) => {}
                Err(error) => tracing::error!(%error, "other consumers cannot be told"),
            }
        }
        self.gossip_later(cx);
    }
}

impl Server for Consumer {
    type Cast = Told;
    type Call = AskCounts;
    type Info = Info;

    const EVENTS: bool = true;

    async fn started(&mut self, cx: &mut Context<Self>) {
        let nodes: Vec<NodeName> = cx.list().into_iter().map(|node| node.name).collect();
        if nodes.is_empty() {
            return;
        }
        for whom in [Whom::Producers, Whom::Consumers] {
            self.ask(Question { whom, nodes: nodes.clone(), before: 0 }, cx);
        }
    }

    async fn cast(&mut self, from: &Node, message: Told, cx: &mut Context<Self>) {
        match message {
            Told::Pinged(counts) => {
                self.merge(from, Source::Producer(from), &counts, cx);
                self.watch(from, &counts);
            }
            Told::News(counts) => self.merge(from, Source::Consumer, &counts, cx),
        }
    }

    async fn call(&mut self, _: &Node, AskCounts: AskCounts, _: &mut Context<Self>) -> Counts {
        self.store.counts()
    }

    async fn info(&mut self, info: Info, cx: &mut Context<Self>) {
        match info {
            Info::Answered(question, answers, failed) => self.answered(question, answers, failed, cx),
            Info::AskAgain(question) => self.ask_again(question, cx),
            Info::Gossip => {
                self.gossip.set_timer(false);
                let flagged = self.gossip.flagged();
                self.send_news(flagged, cx);
            }
        }
    }

    async fn node_up(&mut self, node: &Node, cx: &mut Context<Self>) {
        self.gossip.up(node.name.clone());
        self.send_news(BTreeMap::from([(0, vec![node.name.clone()])]), cx);
    }

    async fn node_down(&mut self, node: &Node, _: &DownReason, _: &mut Context<Self>) {
        self.gossip.down(&node.name);
        self.said.retain(|slot, _| slot.producer != node.name);
    }
}
