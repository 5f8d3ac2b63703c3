//! Who pinged how often, on every node, whatever fails: the exercise that this project is named after.
//!
//! Each node runs a **producer**, which pings all consumers of all linked nodes and counts its pings, and a **consumer**,
//! which keeps the counts of all producers. Messages are lost, servers, processes and disks fail; the counts must not be wrong, and must be
//! complete again once the fault is over. The rules are numbered in `docs/counts.md`; those of a majority are explained in
//! `docs/consistency.md`.
//!
//! - What travels is never "one more ping" but the count so far, merged by the greater one ([`Counts`]). Messages may come
//!   twice, late, or not at all (P1).
//! - The [`Ledger`] of a node outlives its servers, and keeps what it holds in a [`Store`]. Nothing is shown before it is kept (P2).
//! - A consumer that starts asks the producers and the consumers of all linked nodes, after it is registered (P13), and asks
//!   again whoever did not answer in time (P14).
//! - When a node comes up, the producers and consumers of the others tell it what they know (P15). So all consumers of a
//!   connected group end with the same counts, a bridge included (P16).
//! - [`Members`], if there are any, vote: what a majority of them holds is acknowledged for good, and what it agrees on is right even
//!   during a partition (P12, P20).
//!
//! [`Exercise`] runs all of it on any [`Transport`].
//!
//! | part | what it does |
//! | --- | --- |
//! | `counts`, `digest`, `members` | values: what is counted, what tells two apart, who votes |
//! | `store`, `ledger` | what is kept, and by whom |
//! | `producer`, `consumer`, `member` | the servers of a node |
//! | `gossip`, `compare`, `comparisons` | how consumers learn from each other |
//! | `older`, `trouble` | what a node does about a store that is not what it should be |
//! | `quorum`, `rounds`, `reads`, `fresh` | answers that more than one node gives |

mod ask;
mod backoff;
mod compare;
mod comparisons;
mod consumer;
mod contacts;
mod counts;
mod digest;
mod fresh;
mod gossip;
#[cfg(all(test, feature = "interleavings"))]
mod interleavings;
mod ledger;
mod member;
mod members;
mod messages;
mod older;
mod ping;
mod producer;
mod quorum;
mod read;
mod reads;
mod rounds;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod trouble;

pub use counts::{Counts, Slot};
pub use digest::{Part, Sum, Sums};
pub use ledger::{Ignored, Ledger, LedgerOptions, OpenError, StoreLimits};
pub use members::{Fingerprint, MAX_MEMBERS, Members, MembersError, Voice};
pub use messages::{
    Agreed, Agreement, Ask, AskConsumer, AskMember, AskProducer, CONSUMER, ConsumerSays, MEMBER, MemberSays, PRODUCER,
    PingRefused, Pinged, ProducerSays, Rest, Told, When,
};
pub use ping::{ConfirmError, PingError, Unconfirmed};
pub use read::{FreshRead, FreshValue, LocalRead, MajorityRead, ReadError};
pub use settings::Settings;
pub use store::{Batch, CommitError, Identity, Kept, LoadError, MemoryStore, Origin, Standing, Store};
pub use trouble::Trouble;

use crate::inbox::Allow;
use crate::message::Unencodable;
use crate::name::NodeName;
use crate::server::{ServerError, ServerHandle, SpawnOptions, TransportExt, spawn};
use crate::transport::{CallFailure, RegisterError, Replies, Targets, Transport};
use backoff::Backoff;
use consumer::Consumer;
use contacts::Contacts;
use member::Member;
use producer::Producer;
use quorum::Quorum;
use reads::{NotHeld, Reads};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trouble::Troubles;

/// The servers of one node: a producer, a consumer, and, if the node is one, a member. Dropping it stops them.
///
/// ```
/// use pingpong_core::Transport;
/// use pingpong_core::exercise::{Exercise, Ledger, Settings};
/// use std::sync::Arc;
///
/// async fn run(transport: Arc<dyn Transport>) -> Result<(), Box<dyn std::error::Error>> {
///     let ledger = Ledger::in_memory(&transport.node()).await?; // or `Ledger::open` with a store in a file
///     let exercise = Exercise::start(transport, ledger, Settings::default())?;
///     exercise.ping(3).await?;
///     for (producer, pings) in exercise.local().values {
///         println!("{producer}: {pings}");
///     }
///     exercise.stopped().await?; // an error when a server crashed too often, or the store failed
///     Ok(())
/// }
/// ```
pub struct Exercise {
    transport: Arc<dyn Transport>,
    ledger: Arc<Ledger>,
    ping_deadline: Duration,
    few_slots: u32,
    contacts: Arc<Contacts>,
    troubles: Troubles,
    majority: Option<Majority>,
    consumer: ServerHandle,
    producer: ServerHandle,
}

/// What a node has whose configuration names members.
struct Majority {
    quorum: Quorum,
    reads: Arc<Reads>,
    /// The node's own vote, if it has one.
    member: Option<ServerHandle>,
}

/// A node does not vote in spite of a loss.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptLossError {
    /// It is no member.
    #[error("this node is no member, and never votes; say it to one that is")]
    NotAMember,
    /// Its store does not take it. It votes as soon as the store does.
    #[error("it does not vote yet, but will as soon as it can store that: {0}")]
    Store(#[from] CommitError),
}

/// The exercise has ended although nobody stopped it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExerciseError {
    /// One of its servers has.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The node must stop.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl Exercise {
    /// Starts the servers on a node. Must be called within a tokio runtime.
    ///
    /// The ledger belongs to this node, and may have been used by an exercise on it before. Who votes is the ledger's.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing is left running.
    pub fn start(
        transport: Arc<dyn Transport>,
        ledger: Arc<Ledger>,
        settings: Settings,
    ) -> Result<Self, RegisterError> {
        let options =
            |allow: &Allow| SpawnOptions { restart: settings.restart, allow: allow.clone(), ..SpawnOptions::default() };
        let (for_consumer, for_producer) = (options(&settings.allow_consumer), options(&settings.allow_producer));
        let for_member = options(&settings.allow_member);
        let (ping_deadline, few_slots, node) = (settings.ping_deadline, settings.few_slots, transport.node());
        let settings = Arc::new(settings);
        let (troubles, contacts) = (Troubles::default(), Arc::new(Contacts::default()));
        let backoff = Backoff::new(settings.ask_again_least, settings.ask_again_most, &node);
        let consumer = {
            let (ledger, times) = (Arc::clone(&ledger), Arc::clone(&settings));
            let (troubles, contacts) = (troubles.clone(), Arc::clone(&contacts));
            move || {
                Consumer::new(
                    Arc::clone(&ledger),
                    Arc::clone(&times),
                    backoff.clone(),
                    troubles.clone(),
                    Arc::clone(&contacts),
                )
            }
        };
        let consumer = spawn(Arc::clone(&transport), CONSUMER.clone(), consumer, for_consumer)?;
        let producer = {
            let (ledger, times, troubles) = (Arc::clone(&ledger), Arc::clone(&settings), troubles.clone());
            move || Producer::new(Arc::clone(&ledger), Arc::clone(&times), troubles.clone())
        };
        let producer = spawn(Arc::clone(&transport), PRODUCER.clone(), producer, for_producer)?;
        let majority = match ledger.members() {
            None => None,
            Some(members) => {
                let votes = members.has(&node.name);
                let quorum = Quorum::new(Arc::clone(&transport), Arc::clone(&ledger), members, settings);
                let reads = Arc::new(Reads::start(&quorum));
                let member = votes.then(|| {
                    let (ledger, quorum) = (Arc::clone(&ledger), quorum.clone());
                    let (reads, troubles) = (Arc::clone(&reads), troubles.clone());
                    let member =
                        move || Member::new(Arc::clone(&ledger), quorum.clone(), Arc::clone(&reads), troubles.clone());
                    spawn(Arc::clone(&transport), MEMBER.clone(), member, for_member)
                });
                Some(Majority { quorum, reads, member: member.transpose()? })
            }
        };
        Ok(Self { transport, ledger, ping_deadline, few_slots, contacts, troubles, majority, consumer, producer })
    }

    /// Pings all consumers this often. The answer says that the pings are in this node's store; nobody hears of those that are made
    /// while the node leaves, and they end with a store in memory.
    ///
    /// Each is a ping of its own: `ping(3)` is three pings, numbered and stored together.
    ///
    /// # Errors
    /// [`PingError`] tells what was not counted from what may be. Cancel safe in the same sense: the pings may be counted.
    pub async fn ping(&self, pings: u64) -> Result<Pinged, PingError> {
        match self.ask_producer(pings, When::Stored).await? {
            ProducerSays::Pinged(pinged) => Ok(pinged),
            ProducerSays::Refused(refused) => Err(refused.into()),
            _ => Err(PingError::Unanswered(CallFailure::NotDecodable)),
        }
    }

    /// Pings all consumers this often, as soon as they are counted: the answer says that they wait for it, and carries no number (P2). A
    /// crash of the producer, or of the node, loses those that wait.
    ///
    /// # Errors
    /// As [`ping`](Self::ping). Cancel safe in the same sense.
    pub async fn ping_queued(&self, pings: u64) -> Result<(), PingError> {
        match self.ask_producer(pings, When::Queued).await? {
            ProducerSays::Queued => Ok(()),
            ProducerSays::Refused(refused) => Err(refused.into()),
            _ => Err(PingError::Unanswered(CallFailure::NotDecodable)),
        }
    }

    /// Pings all consumers this often. The answer says that the pings are in the stores of a majority of the members: they are in every
    /// later answer of a majority, while fewer stores than a majority of members are lost at once (P12).
    ///
    /// # Errors
    /// [`PingError::Unavailable`] if fewer than a majority can be reached: nothing was counted. [`PingError::Unconfirmed`] if they have not
    /// said in time that they have them: they are counted, so do not ping again, but [`confirm`](Self::confirm). Cancel safe in the sense
    /// that the pings may be counted.
    pub async fn ping_majority(&self, pings: u64, deadline: Duration) -> Result<Pinged, PingError> {
        let until = until(deadline);
        let Some(Majority { quorum, .. }) = &self.majority else { return Err(PingError::NoMembers) };
        if let Err(ReadError::Unavailable { have, need, .. }) = quorum.reachable() {
            return Err(PingError::Unavailable { have, need });
        }
        let pinged = self.ping(pings).await?;
        match self.held(&pinged, until).await {
            Ok(()) => Ok(pinged),
            Err(NotHeld { have, need }) => Err(Unconfirmed { pinged, have, need }.into()),
        }
    }

    /// Waits until a majority has these pings, and all before them in their slot. It may be asked again and again (P11).
    ///
    /// # Errors
    /// [`ConfirmError`]. Cancel safe.
    pub async fn confirm(&self, pinged: &Pinged, deadline: Duration) -> Result<(), ConfirmError> {
        if self.majority.is_none() {
            return Err(ConfirmError::NoMembers);
        }
        if self.member().is_none() && pinged.slot.producer != self.ledger.slot().producer {
            return Err(ConfirmError::NotOwn(pinged.slot.clone()));
        }
        let known = self.ledger.counts().get(&pinged.slot);
        if known.is_none_or(|known| known < pinged.count) {
            return Err(ConfirmError::NotCounted { asked: pinged.clone(), known });
        }
        let NotHeld { have, need } = match self.held(pinged, until(deadline)).await {
            Ok(()) => return Ok(()),
            Err(not_held) => not_held,
        };
        Err(Unconfirmed { pinged: pinged.clone(), have, need }.into())
    }

    async fn held(&self, pinged: &Pinged, until: Instant) -> Result<(), NotHeld> {
        match &self.majority {
            Some(Majority { reads, .. }) => reads.hold(pinged.slot.clone(), pinged.count, until).await,
            None => Err(NotHeld { have: 0, need: 0 }),
        }
    }

    async fn ask_producer(&self, pings: u64, when: When) -> Result<ProducerSays, PingError> {
        let own = Targets::node(self.transport.node().name);
        let request = AskProducer::Ping(pings, when);
        let answer = self.transport.call(&own, &PRODUCER, &request, self.ping_deadline).await?.into_one();
        answer.map(|answer| answer.reply).map_err(PingError::Unanswered)
    }

    /// What this node knows now (P17).
    pub fn local(&self) -> LocalRead {
        let (counts, linked) = (self.ledger.counts(), self.transport.list());
        let Identity { standing, origin, .. } = self.ledger.identity();
        LocalRead {
            values: counts.values(),
            total: counts.total(),
            recovering: standing == Standing::Recovering && origin == Origin::Replacement,
            contact: self.contacts.ages(linked.into_iter().map(|node| node.name)),
        }
    }

    /// Waits until what this node knows is as `enough` says. Cancel safe.
    pub async fn local_until(&self, enough: impl Fn(&LocalRead) -> bool) -> LocalRead {
        let mut changes = self.ledger.changes();
        loop {
            changes.mark_unchanged();
            let read = self.local();
            if enough(&read) {
                return read;
            }
            if changes.changed().await.is_err() {
                // Not reached: the ledger, which this holds, holds the sender.
                return std::future::pending().await;
            }
        }
    }

    /// What the owners of the counts say, and all others who can be reached now (P18). Cancel safe.
    ///
    /// # Errors
    /// [`Unencodable`], which the request never is. It never refuses: [`FreshRead::missing`] may be everybody.
    pub async fn fresh(&self, deadline: Duration) -> Result<FreshRead, Unencodable> {
        fresh::fresh(&*self.transport, &self.ledger, self.few_slots, deadline).await
    }

    /// What a majority of the members agrees on (P19 - P21): each producer's value, and the total, are linearizable with the pings that
    /// [`ping_majority`](Self::ping_majority) acknowledged. Cancel safe.
    ///
    /// # Errors
    /// [`ReadError`]; at once, if a majority cannot be reached.
    pub async fn majority(&self, deadline: Duration) -> Result<MajorityRead, ReadError> {
        self.agree(Agreement::Values, deadline).await
    }

    /// All counts at one instant, as a majority of the members held them (P22). Cancel safe.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Unstable`] if pings never paused.
    pub async fn snapshot(&self, deadline: Duration) -> Result<MajorityRead, ReadError> {
        self.agree(Agreement::Snapshot, deadline).await
    }

    async fn agree(&self, agreement: Agreement, deadline: Duration) -> Result<MajorityRead, ReadError> {
        let Some(Majority { reads, .. }) = &self.majority else { return Err(ReadError::NoMembers) };
        reads.read(agreement, until(deadline)).await
    }

    /// Lets this node vote although it has not recovered, with what it has and what all others have who can be reached now; returns who those
    /// are. Only a person can know that the stores that are missing will not come back: what only they had is gone (CANNOT 6).
    ///
    /// # Errors
    /// [`AcceptLossError`]. Cancel safe: the loss is accepted, or not.
    pub async fn accept_loss(&self) -> Result<Vec<NodeName>, AcceptLossError> {
        match &self.majority {
            Some(Majority { quorum, member: Some(_), .. }) => Ok(quorum.accept_loss().await?),
            _ => Err(AcceptLossError::NotAMember),
        }
    }

    /// What each consumer of the linked nodes, and of this one, knows. Cancel safe, as [`Transport::multi_call`].
    ///
    /// # Errors
    /// [`Unencodable`], which the request never is.
    pub async fn ask_consumers(&self, deadline: Duration) -> Result<Replies<Counts>, Unencodable> {
        let replies = self.transport.call(&Targets::All, &CONSUMER, &AskConsumer::Counts, deadline).await?;
        let counts = replies.replies.into_iter().filter_map(|answer| match answer.reply {
            ConsumerSays::Counts(reply) => Some(crate::transport::Reply { node: answer.node, reply }),
            ConsumerSays::Sums(_) => None,
        });
        Ok(Replies { replies: counts.collect(), failed: replies.failed })
    }

    /// The ledger of this node.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The consumer.
    pub fn consumer(&self) -> &ServerHandle {
        &self.consumer
    }

    /// The producer.
    pub fn producer(&self) -> &ServerHandle {
        &self.producer
    }

    /// The member, if this node is one.
    pub fn member(&self) -> Option<&ServerHandle> {
        self.majority.as_ref().and_then(|majority| majority.member.as_ref())
    }

    /// Waits until one of the servers has ended, or the node must stop. Ready at once if that is so already. Cancel safe.
    ///
    /// # Errors
    /// [`ExerciseError`] when a server ended although nobody stopped it, nor shut the node down; or the store is not what it should be.
    pub async fn stopped(&self) -> Result<(), ExerciseError> {
        let member = async {
            match self.member() {
                Some(member) => member.stopped().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            trouble = self.troubles.first() => Err(trouble.into()),
            error = self.ledger.failed() => Err(Trouble::StoreFailed(error).into()),
            end = self.consumer.stopped() => Ok(end?),
            end = self.producer.stopped() => Ok(end?),
            end = member => Ok(end?),
        }
    }

    /// Stops the servers, the producer first, and waits until they have ended.
    ///
    /// Cancel safe, but given up early it may have stopped some of them; call it again, or drop the exercise.
    ///
    /// # Errors
    /// One may have ended on its own before.
    pub async fn stop(&self) -> Result<(), ServerError> {
        let producer = self.producer.stop().await;
        let member = match self.member() {
            Some(member) => member.stop().await,
            None => Ok(()),
        };
        self.consumer.stop().await.and(member).and(producer)
    }
}

/// A deadline beyond what the clock can say is a year from now.
fn until(deadline: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(deadline).unwrap_or(now + Duration::from_secs(365 * 86_400))
}

impl fmt::Debug for Exercise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exercise").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}
