//! A member on a new store: what it does before it votes (P23, P25).

use super::Quorum;
use super::poll::{Poll, Said};
use crate::exercise::counts::Counts;
use crate::exercise::ledger::Source;
use crate::exercise::members::Voices;
use crate::exercise::messages::{Ask, MemberSays};
use crate::exercise::store::{CommitError, Origin, Standing};
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// No end: a member that recovers asks for as long as it takes.
const FOREVER: Duration = Duration::from_secs(365 * 86_400);

/// What came of announcing a store to the other members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exercise) enum Announced {
    /// It votes now, and has what these had.
    Active(Vec<NodeName>),
    /// Another store of this name had that epoch, which is greater, or is there although this is said to be the first one.
    Known(NodeName, Incarnation),
    /// The store failed.
    Failed(CommitError),
}

impl Quorum {
    fn others(&self) -> impl Iterator<Item = &NodeName> {
        let own = self.transport.node().name;
        self.members.names().iter().filter(move |member| **member != own)
    }

    /// Announces the new store to all other members, and becomes one that votes when a majority of *others* has remembered it, and said
    /// what it has (P23). Asks until then.
    pub(in crate::exercise) async fn recover(&self) -> Announced {
        let epoch = self.ledger.identity().epoch;
        let ask = || Ask::Recover { epoch, origin: Origin::Replacement };
        let mut poll = Poll::new(self, Instant::now() + FOREVER);
        let mut replies: BTreeMap<NodeName, (Node, Counts)> = BTreeMap::new();
        let mut voices = Voices::default();
        self.others().for_each(|member| poll.ask(member, ask()));
        loop {
            for outdated in voices.drop_outdated() {
                replies.remove(&outdated);
                poll.ask_again(&outdated, ask());
            }
            if voices.len() >= self.need() {
                return self.recovered(replies).await;
            }
            if self.ledger.identity().standing == Standing::Active {
                // A person has accepted the loss meanwhile.
                return Announced::Active(Vec::new());
            }
            let Some(Said { member, outcome }) = poll.next().await else {
                // There is no other member: it waits for a person.
                return std::future::pending().await;
            };
            match outcome {
                Ok((node, MemberSays::Counts(voice, counts))) => {
                    voices.add(member.clone(), voice);
                    replies.insert(member, (node, counts));
                    continue;
                }
                Ok((_, MemberSays::Known(known))) => return Announced::Known(member, known),
                Ok((_, says)) => tracing::debug!(%member, ?says, "does not help to recover"),
                Err(reason) => tracing::debug!(%member, %reason, "does not help to recover"),
            }
            poll.ask_again(&member, ask());
        }
    }

    async fn recovered(&self, replies: BTreeMap<NodeName, (Node, Counts)>) -> Announced {
        let from: Vec<NodeName> = replies.keys().cloned().collect();
        for (node, counts) in replies.values() {
            self.ledger.merge(Source::Relay(node), counts);
        }
        // In one batch with what was merged, or a later one: it never votes without.
        let ticket = self.ledger.stand(Standing::Active);
        match self.ledger.settled(ticket).await {
            Ok(()) => Announced::Active(from),
            Err(CommitError::Refused { .. }) => {
                // It waits in the ledger, and is tried again there.
                self.ledger.synced(ticket).await.map_or_else(Announced::Failed, |()| Announced::Active(from))
            }
            Err(error) => Announced::Failed(error),
        }
    }

    /// Says to a member that this node's store is the first one of its name; `Some` if that is not so (P25).
    pub(in crate::exercise) async fn introduce(&self, member: &NodeName) -> Option<Incarnation> {
        let epoch = self.ledger.identity().epoch;
        let ask = || Ask::Recover { epoch, origin: Origin::Init };
        let mut poll = Poll::new(self, Instant::now() + FOREVER);
        poll.ask(member, ask());
        loop {
            match poll.next().await?.outcome {
                Ok((_, MemberSays::Known(known))) => return Some(known),
                Ok((_, MemberSays::Refused(_))) => poll.ask_again(member, ask()),
                // It has remembered it, and will not say otherwise; or it is of another configuration, which the voting tells.
                Ok(_) => return None,
                // Its server will start, or its node comes back: then it is asked again.
                Err(reason) if reason.was_sent() => poll.ask_again(member, ask()),
                Err(_) => return None,
            }
        }
    }

    /// Takes over what the others have who can be reached, whether they vote or not, and votes from now on: a person has said that what only
    /// lost stores had is gone (CANNOT 6). Returns from whom something was taken over.
    ///
    /// # Errors
    /// [`CommitError`]: it does not vote.
    pub(in crate::exercise) async fn accept_loss(&self) -> Result<Vec<NodeName>, CommitError> {
        let mut poll = Poll::new(self, Instant::now() + self.settings.ask_deadline);
        let mut from = Vec::new();
        self.others().for_each(|member| poll.ask(member, Ask::Salvage));
        while let Some(Said { member, outcome }) = poll.next().await {
            match outcome {
                Ok((node, MemberSays::Counts(_, counts))) => {
                    self.ledger.merge(Source::Relay(&node), &counts);
                    from.push(member);
                }
                other => tracing::warn!(%member, ?other, "nothing was taken over from there"),
            }
        }
        let ticket = self.ledger.stand(Standing::Active);
        self.ledger.settled(ticket).await?;
        from.sort();
        tracing::warn!(?from, "the loss is accepted: this node votes with what it and these had");
        Ok(from)
    }
}
