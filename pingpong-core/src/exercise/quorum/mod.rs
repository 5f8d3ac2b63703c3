//! What a majority does together: hold counts (P10), answer with them (P19, P22), and give a member back what it has lost (P23).
//!
//! The rules are few. Every two majorities have a member in common. What is acknowledged or answered is synced at a majority whose voices
//! are pairwise crash-consistent (P24). A member that has lost its store does not vote until it has learned from a majority of others what it
//! may have said.
//!
//! | part | what it does |
//! | --- | --- |
//! | `known` | what a node that reads has itself, and makes of answers that say only what differs |
//! | `poll` | asks members, each on its own, and again |
//! | `desk` | answers as a member |
//! | `recovery` | a member on a new store becomes one that votes |

mod desk;
mod known;
mod poll;
mod recovery;

pub(super) use desk::{Answer, Then, answer, then};
pub(super) use known::beyond;
pub(super) use recovery::Announced;

use super::backoff::Backoff;
use super::counts::Counts;
use super::ledger::Ledger;
use super::members::{Members, Voice, Voices};
use super::messages::{Agreed, Agreement, Ask, MemberSays};
use super::read::{MajorityRead, ReadError};
use super::settings::Settings;
use crate::name::NodeName;
use crate::node::Incarnation;
use crate::transport::Transport;
use known::Known;
use poll::{Poll, Said};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a majority has time before those are told all who have not said what they have: most often it suffices.
const SILENT: Duration = Duration::from_millis(200);
/// How long a snapshot waits for those that answer after a majority has.
const STRAGGLERS: Duration = Duration::from_millis(20);

/// A node's way to the members.
#[derive(Clone)]
pub(super) struct Quorum {
    transport: Arc<dyn Transport>,
    ledger: Arc<Ledger>,
    members: Members,
    settings: Arc<Settings>,
}

/// Counts that a majority is to hold, and what of them single members lack.
#[derive(Clone, Debug)]
pub(super) struct Lacks {
    all: Arc<Counts>,
    /// Of members that have said what they have: the life that said so, and what it lacks.
    of: BTreeMap<NodeName, (Incarnation, Counts)>,
}

impl Lacks {
    /// Nobody is known to have any of them.
    pub(super) fn all(counts: Arc<Counts>) -> Self {
        Self { all: counts, of: BTreeMap::new() }
    }

    /// These members have said what they have.
    fn beyond(counts: Arc<Counts>, replies: &BTreeMap<NodeName, (Voice, Arc<Counts>)>) -> Self {
        let of = replies.iter().map(|(member, (voice, has))| (member.clone(), (voice.epoch, counts.beyond(has))));
        Self { of: of.collect(), all: counts }
    }

    /// What a member is asked first; `None` where others have said what they have, and it has not: it would have to be told all.
    fn first(&self, member: &NodeName) -> Option<Ask> {
        if self.of.is_empty() {
            return Some(self.whole());
        }
        self.of.get(member).map(|(_, lacks)| Ask::Hold(lacks.clone()))
    }

    /// What it is asked if it may have lost what it had.
    fn whole(&self) -> Ask {
        Ask::Hold(self.all.as_ref().clone())
    }

    /// Whether what it was asked first says nothing, as another life of it answers than the one that said what it has.
    fn is_of_another_life(&self, member: &NodeName, voice: &Voice) -> bool {
        self.of.get(member).is_some_and(|(epoch, _)| *epoch != voice.epoch)
    }
}

/// Members that cannot help for now, and why.
#[derive(Debug, Default)]
struct Unable {
    recovering: BTreeSet<NodeName>,
    mismatch: BTreeMap<NodeName, ReadError>,
}

impl Unable {
    /// Takes note of an answer that is none.
    fn says(
        &mut self,
        member: &NodeName,
        outcome: Result<(crate::node::Node, MemberSays), crate::transport::CallFailure>,
    ) {
        match outcome {
            Ok((_, MemberSays::ConfigMismatch { cluster, members })) => {
                let error = ReadError::ConfigMismatch { member: member.clone(), cluster, members };
                self.mismatch.insert(member.clone(), error);
            }
            Ok((_, MemberSays::Recovering)) => drop(self.recovering.insert(member.clone())),
            other => tracing::debug!(%member, ?other, "it does not help"),
        }
    }

    fn helps(&mut self, member: &NodeName) {
        self.recovering.remove(member);
        self.mismatch.remove(member);
    }
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

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn need(&self) -> usize {
        self.members.quorum()
    }

    /// Whether a majority can be reached, if all who can be reached vote.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`].
    pub(super) fn reachable(&self) -> Result<(), ReadError> {
        self.possible(&Unable::default())
    }

    /// Stores counts at a majority. `have` is told how many have said so. The voices are of members that hold them already.
    ///
    /// # Errors
    /// [`ReadError`]; some members may hold them all the same.
    pub(super) async fn hold(
        &self,
        lacks: &Lacks,
        mut voices: Voices,
        until: Instant,
        patience: Patience,
        have: impl Fn(usize) + Send,
    ) -> Result<BTreeSet<NodeName>, ReadError> {
        let mut poll = Poll::new(self, until);
        let (mut unable, mut whole) = (Unable::default(), BTreeSet::new());
        let late = Instant::now() + SILENT;
        let mut silent: Vec<&NodeName> = Vec::new();
        for member in self.members.names().iter().filter(|member| !voices.of().any(|of| of == *member)) {
            match lacks.first(member) {
                Some(ask) => poll.ask(member, ask),
                None => silent.push(member),
            }
        }
        loop {
            for outdated in voices.drop_outdated() {
                whole.insert(outdated.clone());
                poll.ask_again(&outdated, lacks.whole());
            }
            have(voices.len());
            if voices.len() >= self.need() {
                return Ok(voices.of().cloned().collect());
            }
            let next = if silent.is_empty() {
                poll.next().await
            } else {
                let Ok(next) = tokio::time::timeout_at(late, poll.next()).await else {
                    silent.drain(..).for_each(|member| poll.ask(member, lacks.whole()));
                    continue;
                };
                next
            };
            let Some(Said { member, outcome }) = next else {
                return Err(self.late(voices.len(), &unable));
            };
            match outcome {
                Ok((_, MemberSays::Held(voice)))
                    if whole.contains(&member) || !lacks.is_of_another_life(&member, &voice) =>
                {
                    unable.helps(&member);
                    voices.add(member, voice);
                    continue;
                }
                Ok((_, MemberSays::Held(_))) => drop(whole.insert(member.clone())),
                other => unable.says(&member, other),
            }
            if patience == Patience::None {
                self.possible(&unable)?;
            }
            silent.drain(..).for_each(|member| poll.ask(member, lacks.whole()));
            let first = lacks.first(&member).filter(|_| !whole.contains(&member));
            poll.ask_again(&member, first.unwrap_or_else(|| lacks.whole()));
        }
    }

    /// What a majority agrees on. `have` is told how many have answered.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) async fn read(
        &self,
        agreement: Agreement,
        until: Instant,
        have: impl Fn(usize) + Send + Sync,
    ) -> Result<MajorityRead, ReadError> {
        self.reachable()?;
        let unstable = |error| match (error, agreement) {
            (ReadError::DeadlinePassed { .. }, Agreement::Snapshot) => ReadError::Unstable,
            (error, _) => error,
        };
        let node = self.transport.node();
        let mut backoff = Backoff::new(self.settings.member_again_least, self.settings.member_again_most, &node);
        let mut rounds = 0;
        let mut collected = self.collect(agreement, rounds, until, &have).await?;
        loop {
            let (merged, replies) = match collected {
                Collected::Agreed(counts, holders) => return Ok(self.shown(counts, holders)),
                Collected::Differ(merged, replies) => (merged, replies),
            };
            if !self.members.has(&self.transport.node().name) {
                // Others are asked now, and none of them has answered.
                have(0);
                return self.ask_to_agree(agreement, until).await.map_err(unstable);
            }
            let lacks = Lacks::beyond(Arc::clone(&merged), &replies);
            let mut voices = Voices::default();
            let holders = replies.into_iter().filter(|(_, (_, counts))| *counts == merged);
            holders.for_each(|(member, (voice, _))| voices.add(member, voice));
            let holders = self.hold(&lacks, voices, until, Patience::None, &have).await.map_err(unstable)?;
            if agreement == Agreement::Values {
                return Ok(self.shown(merged, holders));
            }
            // Rounds without a pause would keep the members from getting anywhere.
            let again = Instant::now() + backoff.delay(rounds);
            if again >= until {
                return Err(ReadError::Unstable);
            }
            tokio::time::sleep_until(again).await;
            rounds = rounds.saturating_add(1);
            collected = self.collect(agreement, rounds, until, &have).await.map_err(unstable)?;
        }
    }

    /// Asks until a majority has answered, and says whether they said the same. After the first round it is known that they will differ from
    /// this node: then they are told at once what it has, so that all answer at about the same instant.
    async fn collect(
        &self,
        agreement: Agreement,
        rounds: u32,
        until: Instant,
        have: impl Fn(usize) + Send,
    ) -> Result<Collected, ReadError> {
        let mine = self.ledger.published();
        let mut poll = Poll::new(self, until);
        let mut known = Known::default();
        let mut unable = Unable::default();
        let mut replies: BTreeMap<NodeName, (Voice, Arc<Counts>)> = BTreeMap::new();
        let mut voices = Voices::default();
        for member in self.members.names() {
            if rounds > 0 && mine.sum.slots > self.settings.few_slots {
                known.is_told(member, &self.ledger);
            }
            poll.ask(member, known.ask(member, mine.sum));
        }
        loop {
            for outdated in voices.drop_outdated() {
                replies.remove(&outdated);
                poll.ask_again(&outdated, known.ask(&outdated, mine.sum));
            }
            have(voices.len());
            let mut next = None;
            if voices.len() >= self.need() {
                let collected = Collected::of(replies.clone(), self.need());
                // Two that agree and one that lags behind are a snapshot, whoever answered first.
                let is_done = agreement == Agreement::Values || voices.len() == self.members.len();
                if is_done || matches!(collected, Collected::Agreed(..)) {
                    return Ok(collected);
                }
                next = tokio::time::timeout(STRAGGLERS, poll.next()).await.ok().flatten();
                if next.is_none() {
                    return Ok(collected);
                }
            }
            if next.is_none() {
                next = poll.next().await;
            }
            let Some(Said { member, outcome }) = next else {
                return Err(self.late(voices.len(), &unable));
            };
            let (voice, counts) = match outcome {
                Ok((_, MemberSays::Same(voice))) => (voice, Arc::clone(&mine.counts)),
                Ok((_, MemberSays::Counts { voice, parts, counts, next: None })) => match known.with(&parts, counts) {
                    Some(counts) => (voice, Arc::new(counts)),
                    None => {
                        tracing::debug!(%member, "it says what differs from counts that it was not told");
                        poll.ask_again(&member, known.ask(&member, mine.sum));
                        continue;
                    }
                },
                Ok((_, MemberSays::Differs)) if known.is_told(&member, &self.ledger) => {
                    unable.helps(&member);
                    poll.ask(&member, known.ask(&member, mine.sum));
                    continue;
                }
                other => {
                    unable.says(&member, other);
                    if let Err(ReadError::Recovering { .. }) = self.possible(&unable) {
                        // Others who have been asked may say why: a mismatch is more than a member that recovers.
                        while let Ok(Some(Said { member, outcome })) =
                            tokio::time::timeout(STRAGGLERS, poll.next()).await
                        {
                            unable.says(&member, outcome);
                        }
                    }
                    self.possible(&unable)?;
                    poll.ask_again(&member, known.ask(&member, mine.sum));
                    continue;
                }
            };
            unable.helps(&member);
            voices.add(member.clone(), voice.clone());
            replies.insert(member, (voice, counts));
        }
    }

    /// A node that is no member does not write back: a member reads in its place. One may be cut off from the others, so all of them are
    /// asked, one after the other.
    async fn ask_to_agree(&self, agreement: Agreement, until: Instant) -> Result<MajorityRead, ReadError> {
        let mut poll = Poll::new(self, until);
        let mut known = Known::default();
        let question = Ask::Agree(agreement, known.sums(&self.ledger));
        let mut last = None;
        loop {
            for member in self.members.names() {
                if last.is_some() {
                    poll.ask_again(member, question.clone());
                } else {
                    poll.ask(member, question.clone());
                }
                match poll.next().await.map(|said| said.outcome) {
                    Some(Ok((_, MemberSays::Agreed(Ok(Agreed { parts, counts, holders }))))) => {
                        match known.with(&parts, counts) {
                            Some(counts) => return Ok(self.shown(Arc::new(counts), holders)),
                            None => tracing::debug!(%member, "it says what differs from counts that it was not told"),
                        }
                    }
                    Some(Ok((_, MemberSays::Agreed(Err(error))))) => last = Some(error),
                    None => return Err(last.unwrap_or_else(|| self.late(0, &Unable::default()))),
                    Some(other) => tracing::debug!(%member, ?other, "does not read for this node"),
                }
            }
            self.reachable()?;
            last.get_or_insert_with(|| self.late(0, &Unable::default()));
        }
    }

    /// What these members hold, and who cannot be reached beside them.
    fn shown(&self, counts: Arc<Counts>, holders: BTreeSet<NodeName>) -> MajorityRead {
        let (_, mut missing) = self.by_reach();
        missing.retain(|member| !holders.contains(member));
        MajorityRead { counts, holders, missing }
    }

    /// The members that can be reached from this node, itself included, and those that cannot.
    fn by_reach(&self) -> (BTreeSet<NodeName>, BTreeSet<NodeName>) {
        let (own, linked) = (self.transport.node().name, self.transport.list());
        let can_be_reached = |member: &NodeName| *member == own || linked.iter().any(|node| node.name == *member);
        self.members.names().iter().cloned().partition(can_be_reached)
    }

    /// The time is over; what stood in the way says more than that.
    fn late(&self, have: usize, unable: &Unable) -> ReadError {
        let mismatch = unable.mismatch.values().next().cloned();
        mismatch.unwrap_or(ReadError::DeadlinePassed { have, need: self.need() })
    }

    /// Whether a majority is possible with those who can be reached now, without those that are known not to help.
    fn possible(&self, unable: &Unable) -> Result<(), ReadError> {
        let (here, missing) = self.by_reach();
        let need = self.need();
        if here.len() < need {
            return Err(ReadError::Unavailable { have: here.len(), need, missing });
        }
        let able = here.iter().filter(|member| !unable.mismatch.contains_key(*member)).count();
        if let Some(mismatch) = unable.mismatch.values().next().filter(|_| able < need) {
            return Err(mismatch.clone());
        }
        let votes = |member: &&NodeName| !unable.recovering.contains(*member) && !unable.mismatch.contains_key(*member);
        let active = here.iter().filter(votes).count();
        if active < need {
            return Err(ReadError::Recovering { active, need, recovering: unable.recovering.clone() });
        }
        Ok(())
    }
}

/// What a majority said.
enum Collected {
    /// All the same, of these members.
    Agreed(Arc<Counts>, BTreeSet<NodeName>),
    /// Not the same; together it is this.
    Differ(Arc<Counts>, BTreeMap<NodeName, (Voice, Arc<Counts>)>),
}

impl Collected {
    /// Puts together what a majority, or more, has answered: so many must have said the same.
    fn of(replies: BTreeMap<NodeName, (Voice, Arc<Counts>)>, need: usize) -> Self {
        let same = |one: &Arc<Counts>, other: &Arc<Counts>| Arc::ptr_eq(one, other) || one == other;
        let counts: Vec<&Arc<Counts>> = replies.values().map(|(_, counts)| counts).collect();
        let agreed = counts.iter().find(|one| counts.iter().filter(|other| same(one, other)).count() >= need);
        if let Some(agreed) = agreed {
            let holders = replies.iter().filter(|(_, (_, counts))| same(counts, agreed));
            return Self::Agreed(Arc::clone(agreed), holders.map(|(member, _)| member.clone()).collect());
        }
        let mut merged = Counts::new();
        for counts in counts {
            merged.merge(counts);
        }
        Self::Differ(Arc::new(merged), replies)
    }
}
