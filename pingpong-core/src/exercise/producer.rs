//! The producer: it numbers this node's pings, and tells every consumer.

use super::messages::{AskProducer, CONSUMER, PingRefused, ProducerSays, Told};
use super::store::MemoryStore;
use super::{Settings, counts::Counts};
use crate::message::Never;
use crate::monitor::DownReason;
use crate::name::NodeName;
use crate::node::Node;
use crate::server::{CastError, Context, Server};
use crate::transport::{NotSent, SendError, Targets};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The server that counts what this node pings.
///
/// It casts the cumulative count of its slot to all consumers with every ping, and its counts to each node that comes up. A
/// node whose queue was full is told again later, so that it is behind for a while, and never for good.
pub(super) struct Producer {
    store: Arc<MemoryStore>,
    settings: Arc<Settings>,
    /// Nodes that were not told the latest, because their queues were full.
    behind: BTreeSet<NodeName>,
    /// Whether [`Repair`] is on its way.
    repairing: bool,
}

/// The time has come to tell those that are behind.
pub(super) struct Repair;

impl Producer {
    pub(super) fn new(store: Arc<MemoryStore>, settings: Arc<Settings>) -> Self {
        Self { store, settings, behind: BTreeSet::new(), repairing: false }
    }

    fn slots(&self) -> Counts {
        self.store.counts_of(&self.store.slot().producer)
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
        self.repair_later(cx);
    }

    fn repair_later(&mut self, cx: &mut Context<Self>) {
        if !self.behind.is_empty() && !self.repairing {
            self.repairing = cx.after(self.settings.repair_interval, Repair).is_ok();
        }
    }
}

impl Server for Producer {
    type Cast = Never;
    type Call = AskProducer;
    type Info = Repair;

    const EVENTS: bool = true;

    async fn started(&mut self, cx: &mut Context<Self>) {
        // The events begin with an `Up` of every linked node (M2); there is none of this one.
        let own = Targets::node(cx.node().name);
        self.tell(&own, self.slots(), cx);
    }

    async fn cast(&mut self, _: &Node, message: Never, _: &mut Context<Self>) {
        match message {}
    }

    async fn call(&mut self, from: &Node, request: AskProducer, cx: &mut Context<Self>) -> ProducerSays {
        match request {
            AskProducer::Slots => ProducerSays::Slots(self.slots()),
            AskProducer::Ping(_) if from.name != cx.node().name => ProducerSays::Refused(PingRefused::NotLocal),
            // Stored first: no number leaves the node before it is (P2).
            AskProducer::Ping(pings) => match self.store.ping(pings) {
                Ok(pinged) => {
                    let counts = Counts::from_iter([(pinged.slot.clone(), pinged.count)]);
                    self.tell(&Targets::All, counts, cx);
                    ProducerSays::Pinged(pinged)
                }
                Err(refused) => ProducerSays::Refused(refused),
            },
        }
    }

    async fn info(&mut self, Repair: Repair, cx: &mut Context<Self>) {
        self.repairing = false;
        let behind: Vec<NodeName> = std::mem::take(&mut self.behind).into_iter().collect();
        if !behind.is_empty() {
            self.tell(&Targets::Nodes(behind), self.slots(), cx);
        }
    }

    async fn node_up(&mut self, node: &Node, cx: &mut Context<Self>) {
        self.tell(&Targets::node(node.name.clone()), self.slots(), cx);
    }

    async fn node_down(&mut self, node: &Node, _: &DownReason, _: &mut Context<Self>) {
        self.behind.remove(&node.name);
    }
}
