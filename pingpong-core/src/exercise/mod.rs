//! Who pinged how often, on every node, whatever fails: the exercise that this project is named after.
//!
//! Each node runs a **producer**, which pings all consumers of all linked nodes and counts its pings, and a **consumer**,
//! which keeps the counts of all producers. Messages are lost and servers crash; the counts must not be wrong, and must be
//! complete again once the fault is over:
//!
//! - What travels is never "one more ping" but the count so far, merged by the greater one ([`Counts`]). Messages may come
//!   twice, late, or not at all (P1).
//! - A consumer that starts asks the producers and the consumers of all linked nodes, after it is registered (P13), and asks
//!   again whoever did not answer in time (P14).
//! - When a node comes up, the producers and consumers of the others tell it what they know (P15). So all consumers of a
//!   connected group end with the same counts, a bridge included (P16).
//! - One [`MemoryStore`] per node outlives both servers, so that a crash of either loses nothing (P5).
//!
//! [`Exercise`] runs both on any [`Transport`].

mod backoff;
mod consumer;
mod counts;
mod gossip;
#[cfg(all(test, feature = "interleavings"))]
mod interleavings;
mod messages;
mod producer;
mod store;
#[cfg(test)]
mod tests;

pub use counts::{Counts, Slot};
pub use messages::{AskCounts, AskProducer, CONSUMER, PRODUCER, PingRefused, Pinged, ProducerSays, Told};
pub use store::{Ignored, MemoryStore, StoreLimits};

use crate::inbox::Allow;
use crate::message::Unencodable;
use crate::name::NodeName;
use crate::server::{Restart, ServerError, ServerHandle, SpawnOptions, TransportExt, spawn};
use crate::transport::{CallFailure, RegisterError, Replies, Targets, Transport};
use backoff::Backoff;
use consumer::Consumer;
use producer::Producer;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Times of the exercise, and whom its servers serve.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Consumers pass news on at most this often. Default 200 ms.
    pub gossip_interval: Duration,
    /// Producers tell a node whose queue was full again after this. Default 100 ms.
    pub repair_interval: Duration,
    /// How long a starting consumer waits for answers before it asks again. Default 2 s.
    pub ask_deadline: Duration,
    /// The first wait before it asks again, doubled each time. Default 200 ms.
    pub ask_again_least: Duration,
    /// The longest wait before it asks again. Default 10 s.
    pub ask_again_most: Duration,
    /// How long [`Exercise::ping`] waits for the producer. Default 5 s.
    pub ping_deadline: Duration,
    /// How often each of the two servers may be restarted.
    pub restart: Restart,
    /// Whom the consumer serves (A1). Default: everyone.
    pub allow_consumer: Allow,
    /// Whom the producer serves (A1); to ping it is its own node's right alone in any case. Default: everyone.
    pub allow_producer: Allow,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gossip_interval: Duration::from_millis(200),
            repair_interval: Duration::from_millis(100),
            ask_deadline: Duration::from_secs(2),
            ask_again_least: Duration::from_millis(200),
            ask_again_most: Duration::from_secs(10),
            ping_deadline: Duration::from_secs(5),
            restart: Restart::default(),
            allow_consumer: Allow::Everyone,
            allow_producer: Allow::Everyone,
        }
    }
}

/// The producer and the consumer of one node. Dropping it stops both.
///
/// ```
/// use pingpong_core::Transport;
/// use pingpong_core::exercise::{Exercise, MemoryStore, Settings};
/// use std::sync::Arc;
///
/// async fn run(transport: Arc<dyn Transport>) -> Result<(), Box<dyn std::error::Error>> {
///     let store = Arc::new(MemoryStore::new(&transport.node()));
///     let exercise = Exercise::start(transport, store, Settings::default())?;
///     exercise.ping(3).await?;
///     for (producer, pings) in exercise.local().values {
///         println!("{producer}: {pings}");
///     }
///     exercise.stopped().await?; // an error when one of the two crashed too often
///     Ok(())
/// }
/// ```
pub struct Exercise {
    transport: Arc<dyn Transport>,
    store: Arc<MemoryStore>,
    ping_deadline: Duration,
    consumer: ServerHandle,
    producer: ServerHandle,
}

/// What this node knows: never more than the truth, and behind it during a partition (P17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRead {
    /// The pings of each producer, over all its epochs.
    pub values: BTreeMap<NodeName, u128>,
    /// The pings of all producers.
    pub total: u128,
}

/// Pings were not answered as counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// Nothing was counted.
    #[error(transparent)]
    Refused(#[from] PingRefused),
    /// The producer did not answer. Unless [`CallFailure::was_sent`] says no, the pings may be counted all the same: pinging
    /// again may count them twice.
    #[error("the producer did not answer: {0}")]
    Unanswered(CallFailure),
    /// The request has no encoded form.
    #[error(transparent)]
    Unencodable(#[from] Unencodable),
}

impl Exercise {
    /// Starts both servers on a node. Must be called within a tokio runtime.
    ///
    /// The store belongs to this node, and may have been used by an exercise on it before.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing is left running.
    pub fn start(
        transport: Arc<dyn Transport>,
        store: Arc<MemoryStore>,
        settings: Settings,
    ) -> Result<Self, RegisterError> {
        let options =
            |allow: &Allow| SpawnOptions { restart: settings.restart, allow: allow.clone(), ..SpawnOptions::default() };
        let (for_consumer, for_producer) = (options(&settings.allow_consumer), options(&settings.allow_producer));
        let ping_deadline = settings.ping_deadline;
        let settings = Arc::new(settings);
        let backoff = Backoff::new(settings.ask_again_least, settings.ask_again_most, &transport.node());
        let (kept, times) = (Arc::clone(&store), Arc::clone(&settings));
        let consumer = move || Consumer::new(Arc::clone(&kept), Arc::clone(&times), backoff.clone());
        let consumer = spawn(Arc::clone(&transport), CONSUMER.clone(), consumer, for_consumer)?;
        let kept = Arc::clone(&store);
        let producer = move || Producer::new(Arc::clone(&kept), Arc::clone(&settings));
        let producer = spawn(Arc::clone(&transport), PRODUCER.clone(), producer, for_producer)?;
        Ok(Self { transport, store, ping_deadline, consumer, producer })
    }

    /// Pings all consumers this often. The answer says that the pings are in this node's store; nobody hears of those that are made
    /// while the node leaves, and they end with a store in memory.
    ///
    /// Each is a ping of its own: `ping(3)` is three pings, numbered and stored together.
    ///
    /// # Errors
    /// [`PingError`] tells what was not counted from what may be. Cancel safe in the same sense: the pings may be counted.
    pub async fn ping(&self, pings: u64) -> Result<Pinged, PingError> {
        let own = Targets::node(self.transport.node().name);
        let request = AskProducer::Ping(pings);
        let answer = self.transport.call(&own, &PRODUCER, &request, self.ping_deadline).await?;
        match answer.replies.into_iter().next().map(|answer| answer.reply) {
            Some(ProducerSays::Pinged(pinged)) => Ok(pinged),
            Some(ProducerSays::Refused(refused)) => Err(refused.into()),
            Some(ProducerSays::Slots(_)) => Err(PingError::Unanswered(CallFailure::NotDecodable)),
            None => {
                let reason = answer.failed.into_iter().next().map(|failed| failed.reason);
                Err(PingError::Unanswered(reason.unwrap_or(CallFailure::NoSuchServer)))
            }
        }
    }

    /// What this node knows now.
    pub fn local(&self) -> LocalRead {
        let counts = self.store.counts();
        LocalRead { values: counts.values(), total: counts.total() }
    }

    /// Waits until what this node knows is as `enough` says. Cancel safe.
    pub async fn local_until(&self, enough: impl Fn(&LocalRead) -> bool) -> LocalRead {
        let mut changes = self.store.changes();
        loop {
            changes.mark_unchanged();
            let read = self.local();
            if enough(&read) {
                return read;
            }
            if changes.changed().await.is_err() {
                // Not reached: the store, which this holds, holds the sender.
                return std::future::pending().await;
            }
        }
    }

    /// What each consumer of the linked nodes, and of this one, knows. Cancel safe, as [`Transport::multi_call`].
    ///
    /// # Errors
    /// [`Unencodable`], which the request never is.
    pub async fn ask_consumers(&self, deadline: Duration) -> Result<Replies<Counts>, Unencodable> {
        self.transport.call(&Targets::All, &CONSUMER, &AskCounts, deadline).await
    }

    /// The store of this node.
    pub fn store(&self) -> &Arc<MemoryStore> {
        &self.store
    }

    /// The consumer.
    pub fn consumer(&self) -> &ServerHandle {
        &self.consumer
    }

    /// The producer.
    pub fn producer(&self) -> &ServerHandle {
        &self.producer
    }

    /// Waits until one of the two has ended. Ready at once if one already has. Cancel safe.
    ///
    /// # Errors
    /// [`ServerError`] when it ended although nobody stopped it, nor shut the node down.
    pub async fn stopped(&self) -> Result<(), ServerError> {
        tokio::select! {
            biased;
            end = self.consumer.stopped() => end,
            end = self.producer.stopped() => end,
        }
    }

    /// Stops both, the producer first, and waits until they have ended.
    ///
    /// Cancel safe, but given up early it may have stopped the producer alone; call it again, or drop the exercise.
    ///
    /// # Errors
    /// As [`stopped`](Self::stopped): one may have ended on its own before.
    pub async fn stop(&self) -> Result<(), ServerError> {
        let producer = self.producer.stop().await;
        self.consumer.stop().await.and(producer)
    }
}

impl fmt::Debug for Exercise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exercise").field("store", &self.store).finish_non_exhaustive()
    }
}
