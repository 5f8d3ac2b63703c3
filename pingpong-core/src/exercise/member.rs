//! The member: it votes, and does not before it may (P10, P19, P23).

use super::ledger::{Begun, Ledger};
use super::messages::{Ask, AskMember, MemberSays};
use super::quorum::{Announced, Answer, Quorum, Then, answer, then};
use super::reads::Reads;
use super::store::{CommitError, Origin};
use super::trouble::{Trouble, Troubles};
use crate::message::Never;
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use crate::repeats::Repeats;
use crate::server::{Context, ReplyTo, Server};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// Answers that may wait for a sync. The node that asks gives its question up in time, and asks again.
const MAX_WAITING: usize = 4_096;

/// The server that votes. It alone answers for this node's store, so that nothing is said of it that is not synced.
pub(super) struct Member {
    ledger: Arc<Ledger>,
    quorum: Quorum,
    reads: Arc<Reads>,
    troubles: Troubles,
    /// Answers that wait for a sync, in the order of their changes.
    waiting: VecDeque<Waiting>,
    /// Whether [`Info::Settled`] is on its way.
    settling: bool,
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
    /// A member has said whether this store is the first one of its name.
    Introduced(NodeName, Option<Incarnation>),
    /// A read in another node's place is done.
    Answered,
}

impl Member {
    pub(super) fn new(ledger: Arc<Ledger>, quorum: Quorum, reads: Arc<Reads>, troubles: Troubles) -> Self {
        Self {
            ledger,
            quorum,
            reads,
            troubles,
            waiting: VecDeque::new(),
            settling: false,
            began: Instant::now(),
            repeats: Repeats::default(),
        }
    }

    fn settle(&mut self, cx: &mut Context<Self>) {
        if self.settling {
            return;
        }
        if let Some(first) = self.waiting.front() {
            let (ledger, ticket) = (Arc::clone(&self.ledger), first.ticket);
            self.settling = cx.spawn(move |_| async move { Info::Settled(ledger.settled(ticket).await) }).is_ok();
        }
    }

    async fn settled(&mut self, settled: Result<(), CommitError>, cx: &mut Context<Self>) {
        self.settling = false;
        let synced = self.ledger.last_synced();
        // What was refused is refused for all: they ask again.
        while self.waiting.front().is_some_and(|waiting| settled.is_err() || waiting.ticket <= synced)
            && let Some(waiting) = self.waiting.pop_front()
        {
            let says = then(&self.ledger, settled.clone(), waiting.then);
            waiting.reply.send(says).await;
        }
        self.settle(cx);
    }

    /// Recovers when the store says that it must, once that change is synced.
    fn recover(&mut self, after: u64, cx: &mut Context<Self>) {
        let (quorum, ledger) = (self.quorum.clone(), Arc::clone(&self.ledger));
        let started = cx.spawn(move |_| async move {
            if let Err(error) = ledger.synced(after).await {
                return Info::Announced(Announced::Failed(error));
            }
            ledger.until_recovering().await;
            tracing::warn!(epoch = %ledger.identity().epoch, "this node has a new store: it does not vote before it has recovered");
            Info::Announced(quorum.recover().await)
        });
        if started.is_err() {
            tracing::error!("no room to recover; restart the node");
        }
    }

    fn announced(&mut self, announced: Announced, cx: &mut Context<Self>) {
        match announced {
            Announced::Active(from) => {
                tracing::info!(?from, "recovered: this node votes");
                self.recover(0, cx);
            }
            Announced::Known(by, known) => {
                if let Some(begun) = self.begin_above(&by, known, cx.node().incarnation) {
                    self.recover(begun, cx);
                }
            }
            Announced::Failed(error) => tracing::error!(%error, "not recovered"),
        }
    }

    /// Another store of this name was there, with an epoch that is not below this one's: a new epoch begins (P23). Returns the change.
    fn begin_above(&self, by: &NodeName, known: Incarnation, now: Incarnation) -> Option<u64> {
        match self.ledger.begin(now).ok().filter(|_| now > known) {
            Some(Begun { ticket, .. }) => {
                tracing::warn!(%by, %known, epoch = %now, "another store of this node is known: this one begins a new epoch");
                Some(ticket)
            }
            None => {
                self.troubles.tell(Trouble::EpochTaken { slot: self.ledger.slot(), known });
                None
            }
        }
    }

    fn introduced(&self, by: &NodeName, known: Incarnation, now: Incarnation) {
        let identity = self.ledger.identity();
        if identity.origin != Origin::Init {
            return;
        }
        tracing::error!(
            %by, %known,
            "this node was said to start for the first time, and has been there before: it recovers before it votes"
        );
        if known > identity.epoch {
            self.begin_above(by, known, now);
        } else {
            self.ledger.stand_as_replacement();
        }
    }

    /// Reads in the place of a node that is no member.
    fn agree(&mut self, ask: Ask, reply: ReplyTo<AskMember>, cx: &mut Context<Self>) {
        let Ask::Agree(agreement) = ask else { return };
        let reads = Arc::clone(&self.reads);
        // Refused, the reply is dropped, and the caller is told.
        let _ = cx.spawn(move |_| async move {
            let agreed = reads.agree(agreement).await;
            reply.send(MemberSays::Agreed(agreed.map(|counts| counts.as_ref().clone()))).await;
            Info::Answered
        });
    }
}

impl Server for Member {
    type Cast = Never;
    type Call = AskMember;
    type Info = Info;

    const EVENTS: bool = true;

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
        match answer(&self.ledger, from, request.ask) {
            Answer::Now(says) => says,
            Answer::Synced(ticket, after) => then(&self.ledger, self.ledger.settled(ticket).await, after),
        }
    }

    async fn call_later(&mut self, from: &Node, request: AskMember, reply: ReplyTo<AskMember>, cx: &mut Context<Self>) {
        if request.members != self.quorum.members().fingerprint() {
            let says = self.call(from, request, cx).await;
            return reply.send(says).await;
        }
        if matches!(request.ask, Ask::Agree(_)) {
            return self.agree(request.ask, reply, cx);
        }
        match answer(&self.ledger, from, request.ask) {
            Answer::Now(says) => reply.send(says).await,
            Answer::Synced(ticket, then) => {
                self.waiting.retain(|waiting| waiting.reply.is_waiting());
                if self.waiting.len() >= MAX_WAITING {
                    let words = format!("{MAX_WAITING} answers wait for the store");
                    return reply.send(MemberSays::Refused(words)).await;
                }
                self.waiting.push_back(Waiting { ticket, then, reply });
                self.settle(cx);
            }
        }
    }

    async fn info(&mut self, info: Info, cx: &mut Context<Self>) {
        match info {
            Info::Settled(settled) => self.settled(settled, cx).await,
            Info::Announced(announced) => self.announced(announced, cx),
            Info::Introduced(by, known) => {
                if let Some(known) = known {
                    self.introduced(&by, known, cx.node().incarnation);
                }
            }
            Info::Answered => {}
        }
    }

    async fn node_up(&mut self, node: &Node, cx: &mut Context<Self>) {
        if self.ledger.identity().origin == Origin::Init && self.quorum.members().has(&node.name) {
            let (quorum, name) = (self.quorum.clone(), node.name.clone());
            let started = cx.spawn(move |_| async move {
                let known = quorum.introduce(&name).await;
                Info::Introduced(name, known)
            });
            if started.is_err() {
                tracing::error!(%node, "no room to introduce this node's store there");
            }
        }
    }
}
