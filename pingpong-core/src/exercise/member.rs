//! The member: it votes, and does not before it may (P10, P19, P23).

use super::ledger::{Begun, Ledger, Published};
use super::messages::{Agreed, Ask, AskMember, MemberSays};
use super::quorum::{Announced, Answer, Quorum, Then, answer, beyond, then};
use super::reads::Reads;
use super::store::{CommitError, Identity, Origin};
use super::trouble::{Trouble, Troubles};
use crate::message::Never;
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use crate::repeats::Repeats;
use crate::server::{Context, ReplyTo, Server};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Answers that may wait for a sync. The node that asks gives its question up in time, and asks again.
const MAX_WAITING: usize = 4_096;
/// Reads in other nodes' places that may go on at once; whoever asks for more is told, and asks another member. It leaves room for the rest.
const MAX_AGREEING: usize = 16;
/// When what there was no room for is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// When a member that has no room for what the others have looks again.
const NO_ROOM: Duration = Duration::from_secs(30);

/// The server that votes. It alone answers for this node's store, so that nothing is said of it that is not synced.
pub(super) struct Member {
    ledger: Arc<Ledger>,
    quorum: Quorum,
    reads: Arc<Reads>,
    troubles: Troubles,
    /// Answers that wait for a sync, in the order of their changes.
    waiting: VecDeque<Waiting>,
    /// The earliest change that [`Info::Settled`] is on its way for.
    settling: Option<u64>,
    /// Reads that go on in other nodes' places.
    agreeing: usize,
    began: Instant,
    repeats: Repeats,
}

struct Waiting {
    ticket: u64,
    then: Then,
    reply: ReplyTo<AskMember>,
}

pub(super) enum Info {
    /// A change is synced, or cannot be for now.
    Settled(Result<(), CommitError>),
    /// What came of announcing a new store.
    Announced(Announced),
    /// A read in another node's place is done.
    Answered,
    /// The time has come to recover, after that change.
    Recover(u64),
}

impl Member {
    pub(super) fn new(ledger: Arc<Ledger>, quorum: Quorum, reads: Arc<Reads>, troubles: Troubles) -> Self {
        Self {
            ledger,
            quorum,
            reads,
            troubles,
            waiting: VecDeque::new(),
            settling: None,
            agreeing: 0,
            began: Instant::now(),
            repeats: Repeats::default(),
        }
    }

    fn settle(&mut self, cx: &mut Context<Self>) {
        let Some(ticket) = self.waiting.front().map(|first| first.ticket) else { return };
        if self.settling.is_some_and(|settling| settling <= ticket) {
            return;
        }
        let ledger = Arc::clone(&self.ledger);
        if cx.spawn(move |_| async move { Info::Settled(ledger.settled(ticket).await) }).is_ok() {
            self.settling = Some(ticket);
        }
    }

    async fn settled(&mut self, settled: Result<(), CommitError>, cx: &mut Context<Self>) {
        self.settling = None;
        let synced = self.ledger.last_synced();
        // What was refused is refused for all: they ask again.
        while self.waiting.front().is_some_and(|waiting| settled.is_err() || waiting.ticket <= synced)
            && let Some(waiting) = self.waiting.pop_front()
        {
            let says = then(&self.ledger, settled.clone(), waiting.then, self.quorum.settings());
            waiting.reply.send(says).await;
        }
        self.settle(cx);
    }

    /// Recovers when the store says that it must, once that change is synced.
    fn recover(&mut self, after: u64, cx: &mut Context<Self>) {
        self.is_old(cx.node().incarnation);
        let (quorum, ledger) = (self.quorum.clone(), Arc::clone(&self.ledger));
        let started = cx.spawn(move |_| async move {
            if let Err(error) = ledger.synced(after).await {
                return Info::Announced(Announced::Failed(error));
            }
            ledger.until_recovering().await;
            let Identity { epoch, origin, .. } = ledger.identity();
            match origin {
                Origin::Init => tracing::info!(%epoch, "this node has its first store: it votes when the other members have said so"),
                Origin::Replacement => {
                    tracing::warn!(%epoch, "this node has a new store: it does not vote before it has recovered");
                }
            }
            Info::Announced(quorum.recover().await)
        });
        if started.is_err() {
            // It may not be left out.
            let _ = cx.after(AGAIN, Info::Recover(after));
        }
    }

    /// A store whose own epoch is not the last one that it knows of its node was put back from a copy: its voice would never count (P24).
    fn is_old(&self, now: Incarnation) {
        let Published { voice, .. } = self.ledger.published();
        let own = self.ledger.slot();
        if let Some(known) = voice.known.get(&own.producer).filter(|known| **known > voice.epoch) {
            self.begin_above(&own.producer, *known, now);
        }
    }

    fn announced(&mut self, announced: Announced, cx: &mut Context<Self>) {
        match announced {
            Announced::Active(from) => {
                tracing::info!(?from, "this node votes");
                self.recover(0, cx);
            }
            Announced::Known(by, known) => {
                let identity = self.ledger.identity();
                let is_first = identity.origin == Origin::Init;
                if is_first {
                    tracing::error!(
                        %by, %known,
                        "this node was said to start for the first time, and has been there before: it recovers before it votes"
                    );
                }
                let begun = if is_first && known < identity.epoch {
                    Some(self.ledger.stand_as_replacement())
                } else {
                    self.begin_above(&by, known, cx.node().incarnation)
                };
                if let Some(begun) = begun {
                    self.recover(begun, cx);
                }
            }
            Announced::Older(by, seen) => {
                let slot = self.ledger.slot();
                let now = cx.node().incarnation;
                if let Some(begun) = self.begin_above(&by, slot.epoch, now) {
                    tracing::warn!(%slot, seen, "others have seen more of this store's slot than it has");
                    self.recover(begun, cx);
                }
            }
            Announced::Outdated(begun) => self.recover(begun, cx),
            Announced::NoRoom(slots) => {
                tracing::error!(slots, "there is no room for what the other members have: this node cannot vote");
                let _ = cx.after(NO_ROOM, Info::Recover(0));
            }
            Announced::Failed(error) => tracing::error!(%error, "not recovered"),
        }
    }

    /// Another store of this name was there, with an epoch that is not below this one's: a new epoch begins (P23). Returns the change.
    fn begin_above(&self, by: &NodeName, known: Incarnation, now: Incarnation) -> Option<u64> {
        let begun = if now > known { self.ledger.begin(now).ok() } else { None };
        match begun {
            Some(Begun { ticket, now: is_new }) => {
                if is_new {
                    tracing::warn!(%by, %known, epoch = %now, "another store of this node is known: this one begins a new epoch");
                }
                Some(ticket)
            }
            None => {
                self.troubles.tell(Trouble::EpochTaken { slot: self.ledger.slot(), known });
                None
            }
        }
    }

    /// Reads in the place of a node that is no member.
    fn agree(&mut self, ask: Ask, reply: ReplyTo<AskMember>, cx: &mut Context<Self>) {
        let Ask::Agree(agreement, known) = ask else { return };
        let few = self.quorum.settings().few_slots;
        let reads = Arc::clone(&self.reads);
        if self.agreeing >= MAX_AGREEING {
            // The caller is told, and asks another member.
            return;
        }
        let started = cx.spawn(move |_| async move {
            let agreed = reads.agree(agreement).await;
            let agreed = agreed.map(|read| {
                let (parts, counts) = beyond(&read.counts, &known, few);
                Agreed { parts, counts, holders: read.holders }
            });
            reply.send(MemberSays::Agreed(agreed)).await;
            Info::Answered
        });
        self.agreeing += usize::from(started.is_ok());
    }
}

impl Server for Member {
    type Cast = Never;
    type Call = AskMember;
    type Info = Info;

    async fn started(&mut self, cx: &mut Context<Self>) {
        self.recover(0, cx);
    }

    async fn cast(&mut self, _: &Node, message: Never, _: &mut Context<Self>) {
        match message {}
    }

    /// What can be answered at once, and what waits for the store if nobody else is to be answered meanwhile.
    async fn call(&mut self, from: &Node, request: AskMember, _: &mut Context<Self>) -> MemberSays {
        let members = self.quorum.members();
        if request.members != members.fingerprint() {
            if let Some(left_out) = self.repeats.write(from.name.as_str(), "mismatch", self.began.elapsed()) {
                tracing::warn!(%from, left_out, "a node asks that is configured with other members, or another cluster");
            }
            let (cluster, members) = (members.cluster().clone(), members.names().to_vec());
            return MemberSays::ConfigMismatch { cluster, members };
        }
        match answer(&self.ledger, from, request.ask, self.quorum.settings()) {
            Answer::Now(says) => says,
            Answer::Synced(ticket, after) => {
                then(&self.ledger, self.ledger.settled(ticket).await, after, self.quorum.settings())
            }
        }
    }

    async fn call_later(&mut self, from: &Node, request: AskMember, reply: ReplyTo<AskMember>, cx: &mut Context<Self>) {
        if request.members != self.quorum.members().fingerprint() {
            let says = self.call(from, request, cx).await;
            return reply.send(says).await;
        }
        if matches!(request.ask, Ask::Agree(..)) {
            return self.agree(request.ask, reply, cx);
        }
        match answer(&self.ledger, from, request.ask, self.quorum.settings()) {
            Answer::Now(says) => reply.send(says).await,
            Answer::Synced(ticket, then) => {
                self.waiting.retain(|waiting| waiting.reply.is_waiting());
                if self.waiting.len() >= MAX_WAITING {
                    let words = format!("{MAX_WAITING} answers wait for the store");
                    return reply.send(MemberSays::Refused(words)).await;
                }
                // What is committing already is synced before what was accepted since, and may be asked for later.
                let place = self.waiting.partition_point(|waiting| waiting.ticket <= ticket);
                self.waiting.insert(place, Waiting { ticket, then, reply });
                self.settle(cx);
            }
        }
    }

    async fn info(&mut self, info: Info, cx: &mut Context<Self>) {
        match info {
            Info::Settled(settled) => self.settled(settled, cx).await,
            Info::Announced(announced) => self.announced(announced, cx),
            Info::Recover(after) => self.recover(after, cx),
            Info::Answered => self.agreeing -= 1,
        }
    }
}
