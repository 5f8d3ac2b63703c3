//! One question to the members, each asked on its own and asked again until it has answered: what the rounds of a quorum are made of.

use super::Quorum;
use super::desk::{self, Answer};
use crate::exercise::ask::ask;
use crate::exercise::backoff::Backoff;
use crate::exercise::messages::{Ask, AskMember, MEMBER, MemberSays};
use crate::name::NodeName;
use crate::node::Node;
use crate::transport::CallFailure;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::BTreeMap;
use std::pin::Pin;
use tokio::time::Instant;

/// What came of asking one member.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) member: NodeName,
    pub(super) outcome: Result<(Node, MemberSays), CallFailure>,
}

type Asked<'a> = Pin<Box<dyn Future<Output = Said> + Send + 'a>>;

/// Members that are being asked.
pub(super) struct Poll<'a> {
    quorum: &'a Quorum,
    asked: FuturesUnordered<Asked<'a>>,
    until: Instant,
    backoff: Backoff,
    /// How often each was asked again.
    again: BTreeMap<NodeName, u32>,
}

impl<'a> Poll<'a> {
    pub(super) fn new(quorum: &'a Quorum, until: Instant) -> Self {
        let settings = &quorum.settings;
        let node = quorum.transport.node();
        let backoff = Backoff::new(settings.member_again_least, settings.member_again_most, &node);
        Self { quorum, asked: FuturesUnordered::new(), until, backoff, again: BTreeMap::new() }
    }

    /// Waits until then, and no longer.
    pub(super) fn until(&mut self, until: Instant) {
        self.until = until;
    }

    /// Asks a member.
    pub(super) fn ask(&mut self, member: &NodeName, ask: Ask) {
        self.asked.push(Box::pin(ask_one(self.quorum, member.clone(), || ask, self.until, None)));
    }

    /// Asks a member again, a little later.
    pub(super) fn ask_again(&mut self, member: &NodeName, ask: Ask) {
        self.ask_later(member, || ask);
    }

    /// The same; what is asked is made up only then.
    pub(super) fn ask_later(&mut self, member: &NodeName, ask: impl FnOnce() -> Ask + Send + 'a) {
        let before = self.again.entry(member.clone()).or_default();
        let at = Instant::now() + self.backoff.delay(*before);
        *before = before.saturating_add(1);
        self.asked.push(Box::pin(ask_one(self.quorum, member.clone(), ask, self.until, Some(at))));
    }

    /// The next answer; `None` when the time is over, or nobody is asked.
    pub(super) async fn next(&mut self) -> Option<Said> {
        tokio::time::timeout_at(self.until, self.asked.next()).await.ok().flatten()
    }
}

async fn ask_one(
    quorum: &Quorum,
    member: NodeName,
    question: impl FnOnce() -> Ask + Send,
    until: Instant,
    at: Option<Instant>,
) -> Said {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
    let question = question();
    let own = quorum.transport.node();
    if own.name == member {
        let says = match desk::answer(&quorum.ledger, &own, question, &quorum.settings) {
            Answer::Now(says) => says,
            Answer::Synced(ticket, then) => {
                let settled = quorum.ledger.settled(ticket).await;
                desk::then(&quorum.ledger, settled, then, &quorum.settings)
            }
        };
        return Said { member, outcome: Ok((own, says)) };
    }
    let left = until.saturating_duration_since(Instant::now()).min(quorum.settings.ask_deadline);
    let request = AskMember { members: quorum.members.fingerprint(), ask: question };
    let outcome = ask(&*quorum.transport, &member, &MEMBER, &request, left).await;
    Said { member, outcome }
}
