//! The producer: it collects this node's pings, has them counted, and tells every consumer.

use super::counts::Counts;
use super::ledger::{Ledger, Source};
use super::messages::{
    AskConsumer, AskProducer, CONSUMER, ConsumerSays, PingRefused, Pinged, ProducerSays, Told, When,
};
use super::older::begin_anew;
use super::settings::Settings;
use super::store::Origin;
use super::trouble::Troubles;
use crate::message::Never;
use crate::monitor::DownReason;
use crate::name::NodeName;
use crate::node::Node;
use crate::server::{CastError, Context, ReplyTo, Server, TransportExt};
use crate::transport::{NotSent, Reply, SendError, Targets};
use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

/// Pings that may wait for their answers. Their callers are of this very node, whose calls in flight are bounded as well.
const MAX_WAITING: usize = 65_536;

/// The server that counts what this node pings.
///
/// Pings that come while the store is busy wait, and are counted together (P3). Then it casts the cumulative count of its slot to all
/// consumers, and answers (P9). It casts its counts to each node that comes up. A node whose queue was full is told again later, so that
/// it is behind for a while, and never for good.
pub(super) struct Producer {
    ledger: Arc<Ledger>,
    settings: Arc<Settings>,
    troubles: Troubles,
    waiting: Waiting,
    /// Whether nobody who can be reached has seen more of the own slot than the store has; that is asked once.
    checked: bool,
    /// Whether pings are with the ledger, or wait for that.
    counting: bool,
    /// Pings that wait or are with the ledger: those that are answered, and those that were.
    taken: u128,
    /// Why the ledger took no pings last.
    refused: Option<PingRefused>,
    /// Nodes that were not told the latest, because their queues were full.
    behind: BTreeSet<NodeName>,
    /// Whether [`Info::Repair`] is on its way.
    repairing: bool,
    /// Whether [`Info::CountAgain`] is on its way.
    again: bool,
}

/// Pings that are counted together.
#[derive(Default)]
pub(super) struct Waiting {
    /// Those that were answered when they came. They come first, as they came first.
    queued: u64,
    /// Those that are answered when they are counted.
    asked: Vec<(u64, ReplyTo<AskProducer>)>,
}

pub(super) enum Info {
    /// The time has come to tell those that are behind.
    Repair,
    /// Pings are counted, or not.
    Counted(Waiting, Result<Pinged, PingRefused>),
    /// What others have seen of this node.
    Checked(Vec<Reply<ConsumerSays>>),
    /// The time has come to try again what the store had no room for.
    CountAgain,
}

impl Producer {
    pub(super) fn new(ledger: Arc<Ledger>, settings: Arc<Settings>, troubles: Troubles) -> Self {
        Self {
            ledger,
            settings,
            troubles,
            waiting: Waiting::default(),
            checked: false,
            counting: false,
            taken: 0,
            refused: None,
            behind: BTreeSet::new(),
            repairing: false,
            again: false,
        }
    }

    fn own_counts(&self) -> Counts {
        self.ledger.counts().of(&self.ledger.slot().producer)
    }

    /// Whether this many pings more may wait.
    fn room_for(&self, pings: u64, when: When) -> Result<(), PingRefused> {
        if self.waiting.asked.len() >= MAX_WAITING {
            return Err(PingRefused::Busy { limit: MAX_WAITING });
        }
        // Whoever waits is told what comes of it; whoever does not must be told now.
        if let Some(refused) = self.refused.clone().filter(|_| when == When::Queued) {
            return Err(refused);
        }
        let count = self.ledger.counts().get(&self.ledger.slot()).unwrap_or(0);
        if u128::from(count) + self.taken + u128::from(pings) > u128::from(u64::MAX) {
            return Err(PingRefused::CountExhausted { count, wanted: pings });
        }
        Ok(())
    }

    /// Gives what waits to the ledger, unless something is there.
    fn count(&mut self, cx: &mut Context<Self>) {
        if self.counting || self.waiting.is_empty() {
            return;
        }
        if !self.checked && self.ledger.is_kept() && !cx.list().is_empty() {
            self.counting = self.check(cx);
            if self.counting {
                return;
            }
        }
        let waiting = mem::take(&mut self.waiting);
        let (ledger, pings) = (Arc::clone(&self.ledger), waiting.pings());
        // One piece of work at a time: there is room for it.
        self.counting = cx
            .spawn(move |_| async move {
                let counted = ledger.ping(pings).await;
                Info::Counted(waiting, counted)
            })
            .is_ok();
    }

    /// Asks what others have seen of this node, before it numbers its first ping on a store that may be an older copy (P27). Whoever is not
    /// reached now is heard later, and then the node must stop.
    fn check(&self, cx: &mut Context<Self>) -> bool {
        let (name, deadline) = (cx.node().name, self.settings.ask_deadline);
        let others = Targets::Nodes(cx.list().into_iter().map(|node| node.name).collect());
        let asked = cx.spawn(move |transport| async move {
            let replies = transport.call(&others, &CONSUMER, &AskConsumer::Of(name), deadline).await;
            Info::Checked(replies.map(|replies| replies.replies).unwrap_or_default())
        });
        asked.is_ok()
    }

    fn compare(&mut self, replies: Vec<Reply<ConsumerSays>>, cx: &mut Context<Self>) {
        (self.checked, self.counting) = (true, false);
        for Reply { node, reply } in replies {
            let ConsumerSays::Counts(counts) = reply else { continue };
            let Some(seen) = self.ledger.merge(Source::Relay(&node), &counts).own else { continue };
            // Pings that wait are counted in the new epoch; of the old one the consumer hears.
            begin_anew(&self.ledger, &self.troubles, seen, &node, cx.node().incarnation);
        }
        self.count(cx);
    }

    async fn counted(&mut self, waiting: Waiting, counted: Result<Pinged, PingRefused>, cx: &mut Context<Self>) {
        self.counting = false;
        let pings = waiting.pings();
        let Waiting { queued, asked } = waiting;
        match counted {
            Ok(Pinged { slot, count }) => {
                self.refused = None;
                self.taken = self.taken.saturating_sub(u128::from(pings));
                self.count(cx);
                self.tell(&Targets::All, Counts::from_iter([(slot.clone(), count)]), cx);
                let mut count = count.saturating_sub(pings).saturating_add(queued);
                for (pings, reply) in asked {
                    count = count.saturating_add(pings);
                    reply.send(ProducerSays::Pinged(Pinged { slot: slot.clone(), count })).await;
                }
            }
            Err(refused) => {
                self.taken = self.taken.saturating_sub(u128::from(pings - queued));
                for (_, reply) in asked {
                    reply.send(ProducerSays::Refused(refused.clone())).await;
                }
                self.refused = Some(refused);
                // These were answered: they are counted as soon as they can be.
                self.waiting.queued += queued;
                if !self.again {
                    self.again = cx.after(self.settings.count_again, Info::CountAgain).is_ok();
                }
                if !self.waiting.asked.is_empty() {
                    self.count(cx);
                }
            }
        }
    }

    /// Tells the consumers of these targets, and remembers which could not be told.
    fn tell(&mut self, targets: &Targets, counts: Counts, cx: &mut Context<Self>) {
        match cx.try_abcast(targets, &CONSUMER, &Told::Pinged(counts)) {
            Ok(sent) => {
                // Who is not linked is told when it comes up.
                let full = sent.refused.into_iter().filter(|refused| refused.reason == NotSent::Full);
                self.behind.extend(full.map(|refused| refused.name));
            }
            // A node that leaves: what it counts from now on is told when its store comes back, or ends with a store in memory.
            Err(CastError::Send(SendError::ShuttingDown)) => {}
            Err(error) => tracing::error!(%error, "the consumers cannot be told"),
        }
        if !self.behind.is_empty() && !self.repairing {
            self.repairing = cx.after(self.settings.repair_interval, Info::Repair).is_ok();
        }
    }
}

impl Waiting {
    /// All of them. Each was looked at when it came, so that the sum does not overflow.
    fn pings(&self) -> u64 {
        self.asked.iter().fold(self.queued, |sum, (pings, _)| sum.saturating_add(*pings))
    }

    fn is_empty(&self) -> bool {
        self.queued == 0 && self.asked.is_empty()
    }
}

impl Server for Producer {
    type Cast = Never;
    type Call = AskProducer;
    type Info = Info;

    const EVENTS: bool = true;

    async fn started(&mut self, cx: &mut Context<Self>) {
        // The events begin with an `Up` of every linked node (M2); there is none of this one.
        let own = Targets::node(cx.node().name);
        self.tell(&own, self.own_counts(), cx);
    }

    async fn cast(&mut self, _: &Node, message: Never, _: &mut Context<Self>) {
        match message {}
    }

    async fn call(&mut self, from: &Node, request: AskProducer, cx: &mut Context<Self>) -> ProducerSays {
        match request {
            AskProducer::Slots => {
                let exact = self.ledger.identity().origin == Origin::Init;
                ProducerSays::Slots { counts: self.own_counts(), exact }
            }
            AskProducer::Ping(..) if from.name != cx.node().name => ProducerSays::Refused(PingRefused::NotLocal),
            AskProducer::Ping(pings, when) => match self.room_for(pings, when) {
                Err(refused) => ProducerSays::Refused(refused),
                Ok(()) => {
                    self.waiting.queued += pings;
                    self.taken += u128::from(pings);
                    self.count(cx);
                    ProducerSays::Queued
                }
            },
        }
    }

    async fn call_later(
        &mut self,
        from: &Node,
        request: AskProducer,
        reply: ReplyTo<AskProducer>,
        cx: &mut Context<Self>,
    ) {
        if let AskProducer::Ping(pings, When::Stored) = request
            && from.name == cx.node().name
            && self.room_for(pings, When::Stored).is_ok()
        {
            self.waiting.asked.push((pings, reply));
            self.taken += u128::from(pings);
            return self.count(cx);
        }
        let answer = self.call(from, request, cx).await;
        reply.send(answer).await;
    }

    async fn info(&mut self, info: Info, cx: &mut Context<Self>) {
        match info {
            Info::Checked(replies) => self.compare(replies, cx),
            Info::Counted(waiting, counted) => self.counted(waiting, counted, cx).await,
            Info::CountAgain => {
                self.again = false;
                if self.waiting.is_empty() {
                    // Only another ping can tell whether there is room again.
                    self.refused = None;
                }
                self.count(cx);
            }
            Info::Repair => {
                self.repairing = false;
                let behind: Vec<NodeName> = mem::take(&mut self.behind).into_iter().collect();
                if !behind.is_empty() {
                    self.tell(&Targets::Nodes(behind), self.own_counts(), cx);
                }
            }
        }
    }

    async fn node_up(&mut self, node: &Node, cx: &mut Context<Self>) {
        self.tell(&Targets::node(node.name.clone()), self.own_counts(), cx);
    }

    async fn node_down(&mut self, node: &Node, _: &DownReason, _: &mut Context<Self>) {
        self.behind.remove(&node.name);
    }
}
