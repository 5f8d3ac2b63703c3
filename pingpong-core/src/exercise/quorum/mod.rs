//! What a majority does together: hold counts (P10), answer with them (P19, P22), and give a member back what it has lost (P23).
//!
//! The rules are few. Every two majorities have a member in common. What is acknowledged or answered is synced at a majority whose voices
//! are pairwise crash-consistent (P24). A member that has lost its store does not vote until it has learned from a majority of others what it
//! may have said.
//!
//! | part | what it does |
//! | --- | --- |
//! | `poll` | asks members, each on its own, and again |
//! | `desk` | answers as a member |
//! | `recovery` | a member on a new store becomes one that votes |

mod desk;
mod poll;
mod recovery;

pub(super) use desk::{Answer, Then, answer, then};
pub(super) use recovery::Announced;

use super::counts::Counts;
use super::ledger::Ledger;
use super::members::{Members, Voice, Voices};
use super::messages::{Agreement, Ask, MemberSays};
use super::read::ReadError;
use super::settings::Settings;
use crate::name::NodeName;
use crate::transport::Transport;
use poll::{Poll, Said};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

/// A node's way to the members.
#[derive(Clone)]
pub(super) struct Quorum {
    transport: Arc<dyn Transport>,
    ledger: Arc<Ledger>,
    members: Members,
    settings: Arc<Settings>,
}

/// What to do when a majority cannot be reached for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Wait for it until the deadline: the pings are counted already.
    UntilDeadline,
    /// Refuse at once, as every read does.
    None,
}

impl Quorum {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        ledger: Arc<Ledger>,
        members: Members,
        settings: Arc<Settings>,
    ) -> Self {
        Self { transport, ledger, members, settings }
    }

    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    pub(super) fn need(&self) -> usize {
        self.members.quorum()
    }

    /// Whether a majority can be reached, if all who can be reached vote.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`].
    pub(super) fn reachable(&self) -> Result<(), ReadError> {
        self.possible(&BTreeSet::new(), None)
    }

    /// Stores these counts at a majority. `have` is told how many have said so. The voices are of members that hold them already.
    ///
    /// # Errors
    /// [`ReadError`]; some members may hold them all the same.
    pub(super) async fn hold(
        &self,
        counts: &Arc<Counts>,
        mut voices: Voices,
        until: Instant,
        patience: Patience,
        have: impl Fn(usize) + Send,
    ) -> Result<(), ReadError> {
        let mut poll = Poll::new(self, until);
        let ask = || Ask::Hold(counts.as_ref().clone());
        let (mut recovering, mut mismatch) = (BTreeSet::new(), None);
        for member in self.members.names().iter().filter(|member| !voices.of().any(|of| of == *member)) {
            poll.ask(member, ask());
        }
        loop {
            for outdated in voices.drop_outdated() {
                poll.ask_again(&outdated, ask());
            }
            have(voices.len());
            if voices.len() >= self.need() {
                return Ok(());
            }
            let Some(Said { member, outcome }) = poll.next().await else {
                return Err(self.late(voices.len()));
            };
            match outcome {
                Ok((_, MemberSays::Held(voice))) => {
                    recovering.remove(&member);
                    voices.add(member, voice);
                    continue;
                }
                Ok((_, MemberSays::ConfigMismatch { cluster, members })) => {
                    mismatch = Some(ReadError::ConfigMismatch { member: member.clone(), cluster, members });
                }
                Ok((_, MemberSays::Recovering)) => drop(recovering.insert(member.clone())),
                Ok((_, says)) => tracing::debug!(%member, ?says, "does not hold the counts"),
                Err(reason) => tracing::debug!(%member, %reason, "does not hold the counts"),
            }
            if patience == Patience::None {
                self.possible(&recovering, mismatch.as_ref())?;
            }
            poll.ask_again(&member, ask());
        }
    }

    /// What a majority agrees on.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) async fn read(&self, agreement: Agreement, until: Instant) -> Result<Arc<Counts>, ReadError> {
        self.reachable()?;
        loop {
            let (merged, replies) = match self.collect(until).await? {
                Collected::Agreed(counts) => return Ok(counts),
                Collected::Differ(merged, replies) => (merged, replies),
            };
            if !self.members.has(&self.transport.node().name) {
                return self.ask_to_agree(agreement, &replies, until).await;
            }
            let mut voices = Voices::default();
            let holders = replies.into_iter().filter(|(_, (_, counts))| *counts == merged);
            holders.for_each(|(member, (voice, _))| voices.add(member, voice));
            self.hold(&merged, voices, until, Patience::None, |_| ()).await?;
            if agreement == Agreement::Values {
                return Ok(merged);
            }
            if Instant::now() >= until {
                return Err(ReadError::Unstable);
            }
        }
    }

    /// Asks until a majority has answered, and says whether they said the same.
    async fn collect(&self, until: Instant) -> Result<Collected, ReadError> {
        let mine = self.ledger.published();
        let mut poll = Poll::new(self, until);
        let ask = || Ask::Read(mine.sum);
        let (mut recovering, mut mismatch) = (BTreeSet::new(), None);
        let mut replies: BTreeMap<NodeName, (Voice, Arc<Counts>)> = BTreeMap::new();
        let mut voices = Voices::default();
        for member in self.members.names() {
            poll.ask(member, ask());
        }
        loop {
            for outdated in voices.drop_outdated() {
                replies.remove(&outdated);
                poll.ask_again(&outdated, ask());
            }
            if voices.len() >= self.need() {
                return Ok(Collected::from(replies));
            }
            let Some(Said { member, outcome }) = poll.next().await else {
                return Err(self.late(voices.len()));
            };
            let (voice, counts) = match outcome {
                Ok((_, MemberSays::Same(voice))) => (voice, Arc::clone(&mine.counts)),
                Ok((_, MemberSays::Counts(voice, counts))) => (voice, Arc::new(counts)),
                other => {
                    match other {
                        Ok((_, MemberSays::ConfigMismatch { cluster, members })) => {
                            mismatch = Some(ReadError::ConfigMismatch { member: member.clone(), cluster, members });
                        }
                        Ok((_, MemberSays::Recovering)) => drop(recovering.insert(member.clone())),
                        other => tracing::debug!(%member, ?other, "does not answer"),
                    }
                    self.possible(&recovering, mismatch.as_ref())?;
                    poll.ask_again(&member, ask());
                    continue;
                }
            };
            recovering.remove(&member);
            voices.add(member.clone(), voice.clone());
            replies.insert(member, (voice, counts));
        }
    }

    /// A node that is no member does not write back: a member that answered reads in its place.
    async fn ask_to_agree(
        &self,
        agreement: Agreement,
        replies: &BTreeMap<NodeName, (Voice, Arc<Counts>)>,
        until: Instant,
    ) -> Result<Arc<Counts>, ReadError> {
        let mut poll = Poll::new(self, until);
        for member in replies.keys() {
            poll.ask(member, Ask::Agree(agreement));
            match poll.next().await.map(|said| said.outcome) {
                Some(Ok((_, MemberSays::Agreed(agreed)))) => return agreed.map(Arc::new),
                None => break,
                Some(other) => tracing::debug!(%member, ?other, "does not read for this node"),
            }
        }
        self.reachable()?;
        Err(self.late(replies.len()))
    }

    fn late(&self, have: usize) -> ReadError {
        ReadError::DeadlinePassed { have, need: self.need() }
    }

    /// Whether a majority is possible with those who can be reached now, without those that are known not to vote.
    fn possible(&self, recovering: &BTreeSet<NodeName>, mismatch: Option<&ReadError>) -> Result<(), ReadError> {
        let (own, linked) = (self.transport.node().name, self.transport.list());
        let can_be_reached = |member: &NodeName| *member == own || linked.iter().any(|node| node.name == *member);
        let (here, missing): (BTreeSet<_>, BTreeSet<_>) =
            self.members.names().iter().cloned().partition(can_be_reached);
        let need = self.need();
        if here.len() < need {
            return Err(ReadError::Unavailable { have: here.len(), need, missing });
        }
        let active = here.difference(recovering).count();
        if let Some(mismatch) = mismatch.filter(|_| active <= need) {
            return Err(mismatch.clone());
        }
        if active < need {
            return Err(ReadError::Recovering { active, need, recovering: recovering.clone() });
        }
        Ok(())
    }
}

/// What a majority said.
enum Collected {
    /// All the same.
    Agreed(Arc<Counts>),
    /// Not the same; together it is this.
    Differ(Arc<Counts>, BTreeMap<NodeName, (Voice, Arc<Counts>)>),
}

impl From<BTreeMap<NodeName, (Voice, Arc<Counts>)>> for Collected {
    fn from(replies: BTreeMap<NodeName, (Voice, Arc<Counts>)>) -> Self {
        let mut counts = replies.values().map(|(_, counts)| counts);
        let first = counts.next().map(Arc::clone).unwrap_or_default();
        if counts.all(|counts| Arc::ptr_eq(counts, &first) || *counts == first) {
            return Self::Agreed(first);
        }
        let mut merged = first.as_ref().clone();
        for (_, counts) in replies.values() {
            merged.merge(counts);
        }
        Self::Differ(Arc::new(merged), replies)
    }
}
