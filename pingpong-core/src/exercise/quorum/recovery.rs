//! A member on a new store: what it does before it votes (P23, P25).
//!
//! One that was never there before asks whether that is so: as many others as a majority of its earlier life must have had one of. One that
//! has lost its store learns from a majority of others what it may have said. Both are remembered, on disk, by whoever answers.

use super::Quorum;
use super::poll::{Poll, Said};
use crate::exercise::counts::Slot;
use crate::exercise::digest::Part;
use crate::exercise::ledger::Source;
use crate::exercise::members::{MAX_MEMBERS, Voices};
use crate::exercise::messages::{Ask, MemberSays, Rest};
use crate::exercise::store::{CommitError, Identity, Origin, Standing};
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use crate::repeats::Repeats;
use crate::transport::CallFailure;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Why a member is of no help to one that recovers; none if it is only not there yet.
fn no_help(outcome: Result<(Node, MemberSays), CallFailure>) -> Option<String> {
    let reason = match outcome {
        Ok((_, MemberSays::Recovering)) => "it recovers itself".to_owned(),
        // Whatever it says: no more of it than a line takes.
        Ok((_, MemberSays::Refused(words))) => words.chars().take(200).collect(),
        Ok((_, MemberSays::ConfigMismatch { cluster, members })) => {
            let members: Vec<&str> = members.iter().take(MAX_MEMBERS).map(NodeName::as_str).collect();
            format!("it is configured with the members {} of {cluster}", members.join(", "))
        }
        Ok(_) => "its answer is to another question".to_owned(),
        Err(
            CallFailure::NotLinked
            | CallFailure::NodeDown { .. }
            | CallFailure::NoSuchServer
            | CallFailure::ServerStopped,
        ) => return None,
        Err(failure) => failure.to_string(),
    };
    Some(reason)
}

/// With which part it goes on after a piece that began there: each is behind the one before, so that they end whatever the member says.
fn goes_on(next: Option<u16>, from: u16) -> Option<u16> {
    next.filter(|next| *next > from && Part::is_index(*next))
}

/// No end: a member that recovers asks for as long as it takes.
const FOREVER: Duration = Duration::from_secs(365 * 86_400);

/// What came of announcing a store to the other members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exercise) enum Announced {
    /// It votes now, and has what these had; or they have never heard of another store of its name.
    Active(Vec<NodeName>),
    /// Another store of this name had that epoch, which is greater, or is there although this is said to be the first one.
    Known(NodeName, Incarnation),
    /// Others have seen more of this node's slot than it has: the store is an older copy (P27).
    Older(NodeName, u64),
    /// Another epoch has begun meanwhile, by this change: it is announced anew.
    Outdated(u64),
    /// There is no room for what the others have.
    NoRoom(usize),
    /// The store failed.
    Failed(CommitError),
}

impl Quorum {
    fn others(&self) -> impl Iterator<Item = &NodeName> {
        let own = self.transport.node().name;
        self.members.names().iter().filter(move |member| **member != own)
    }

    /// How many others must have answered before a member on a new store votes.
    fn witnesses(&self, origin: Origin) -> usize {
        match origin {
            // Any of its earlier life's acknowledgements was at a quorum: this many others have one of it among them.
            Origin::Init => (self.members.len() - self.need() + 1).min(self.members.len() - 1),
            Origin::Replacement => self.need(),
        }
    }

    /// Announces the new store to all other members, and becomes one that votes when enough *others* have remembered it, and said what they
    /// have (P23); or that they have never heard of another one (P25). Asks until then.
    pub(in crate::exercise) async fn recover(&self) -> Announced {
        let (Identity { epoch, origin, .. }, _) = self.ledger.next_identity();
        // With the count of the instant in which it is asked: who is pinged all the time has more after each pause.
        let own = Slot { producer: self.transport.node().name, epoch };
        let own_count = || self.ledger.counts().get(&own).unwrap_or(0);
        let ask = |from| move || Ask::Recover { epoch, origin, count: own_count(), rest: self.rest(from) };
        let mut poll = Poll::new(self, Instant::now() + FOREVER);
        // Of members that have not said all: whose life said what came so far, and with which part it goes on.
        let mut halfway: BTreeMap<NodeName, (Incarnation, u16)> = BTreeMap::new();
        // Of members that have what there is no room for.
        let mut too_much: BTreeSet<NodeName> = BTreeSet::new();
        let mut voices = Voices::default();
        let (began, mut repeats) = (Instant::now(), Repeats::default());
        self.others().for_each(|member| poll.ask(member, ask(0)()));
        loop {
            for outdated in voices.drop_outdated() {
                poll.ask_later(&outdated, ask(0));
            }
            if voices.len() >= self.witnesses(origin) {
                return self.recovered(epoch, voices).await;
            }
            if self.ledger.identity().standing == Standing::Active {
                // A person has accepted the loss meanwhile.
                return Announced::Active(Vec::new());
            }
            let Some(Said { member, outcome }) = poll.next().await else {
                // There are too few other members: it waits for a person.
                return std::future::pending().await;
            };
            let (now, begun) = self.ledger.next_identity();
            if (now.epoch, now.origin) != (epoch, origin) {
                return Announced::Outdated(begun);
            }
            match outcome {
                Ok((_, MemberSays::Held(voice))) if origin == Origin::Init => {
                    voices.add(member, voice);
                    continue;
                }
                Ok((node, MemberSays::Counts { voice, counts, next, .. })) if origin == Origin::Replacement => {
                    // Compared here, and not there: nobody has heard of more than is published here by now (P2), however fast it is pinged.
                    if let Some(seen) = counts.get(&own)
                        && seen > own_count()
                    {
                        return Announced::Older(member, seen);
                    }
                    let before = halfway.remove(&member);
                    if before.is_some_and(|(life, _)| life != voice.epoch) {
                        // It has lost what it said so far.
                        poll.ask_later(&member, ask(0));
                        continue;
                    }
                    let merged = self.ledger.merge(Source::Relay(&node), &counts);
                    if let Some(seen) = merged.own {
                        return Announced::Older(member, seen);
                    }
                    if merged.refused > 0 {
                        too_much.insert(member.clone());
                        if self.members.len() - 1 - too_much.len() < self.witnesses(origin) {
                            return Announced::NoRoom(merged.refused);
                        }
                        poll.ask_later(&member, ask(0));
                        continue;
                    }
                    // Then the next question says that it is known, and no other member tells it again. What the store refuses waits in the ledger.
                    let _ = self.ledger.settled(merged.ticket).await;
                    match goes_on(next, before.map_or(0, |(_, from)| from)) {
                        Some(next) => {
                            halfway.insert(member.clone(), (voice.epoch, next));
                            poll.ask(&member, ask(next)());
                        }
                        None => {
                            too_much.remove(&member);
                            voices.add(member, voice);
                        }
                    }
                    continue;
                }
                Ok((_, MemberSays::Known { epoch: known, count })) if known == epoch => {
                    // It may have pinged since it asked.
                    if count > own_count() {
                        return Announced::Older(member, count);
                    }
                    tracing::debug!(%member, count, "has heard of a later ping; it is asked again");
                }
                Ok((_, MemberSays::Known { epoch: known, .. })) => return Announced::Known(member, known),
                outcome => {
                    // It asks for as long as it takes, and does not vote meanwhile: somebody should know why.
                    if let Some(reason) = no_help(outcome)
                        && let Some(left_out) = repeats.write(member.as_str(), &reason, began.elapsed())
                    {
                        tracing::warn!(%member, reason, left_out, "a member does not help this one to recover; it is asked again");
                    }
                }
            }
            let from = halfway.get(&member).map_or(0, |(_, from)| *from);
            poll.ask_later(&member, ask(from));
        }
    }

    /// What this node lacks of what another one has in the parts from that one on.
    fn rest(&self, from: u16) -> Rest {
        Rest { known: self.ledger.summed().1, from }
    }

    /// What these had is merged.
    async fn recovered(&self, epoch: Incarnation, voices: Voices) -> Announced {
        let from: Vec<NodeName> = voices.of().cloned().collect();
        // In one batch with what was merged, or a later one: it never votes without.
        let Some(ticket) = self.ledger.activate(epoch) else {
            return Announced::Outdated(self.ledger.next_identity().1);
        };
        // However often the store refuses it: it waits in the ledger, and is tried again there.
        self.ledger.synced(ticket).await.map_or_else(Announced::Failed, |()| Announced::Active(from))
    }

    /// Takes over what the others have who can be reached, whether they vote or not, and votes from now on: a person has said that what only
    /// lost stores had is gone (CANNOT 6). Returns from whom something was taken over.
    ///
    /// # Errors
    /// [`CommitError`]: it does not vote.
    pub(in crate::exercise) async fn accept_loss(&self) -> Result<Vec<NodeName>, CommitError> {
        let mut from = BTreeSet::new();
        let ticket = loop {
            let (Identity { epoch, .. }, begun) = self.ledger.next_identity();
            // Nobody hears of an epoch that the store may not have after all.
            self.ledger.settled(begun).await?;
            let (told, known) = self.take_over(epoch).await;
            from.extend(told);
            if let Some(known) = known {
                self.rises_above(known).await;
            }
            // Has another epoch begun meanwhile, nobody has heard of that one.
            if let Some(ticket) = self.ledger.activate(epoch) {
                break ticket;
            }
        };
        self.ledger.settled(ticket).await?;
        tracing::warn!(?from, "the loss is accepted: this node votes with what it and these had");
        Ok(from.into_iter().collect())
    }

    /// Those who vote remember this store's epoch before they say what they have, as in a recovery: what the lost store has said of counts
    /// that are on their way to them is void then (P24). Who does not vote, has no room to remember it, or a disk that takes nothing, is asked
    /// without: a bad disk must not cost what can still be read. Returns from whom something was taken over, and the greatest epoch of this
    /// node that somebody knows, if that is above this one.
    async fn take_over(&self, epoch: Incarnation) -> (BTreeSet<NodeName>, Option<Incarnation>) {
        let (mut from, mut greatest) = (BTreeSet::new(), None);
        let own = Slot { producer: self.transport.node().name, epoch };
        let count = self.ledger.counts().get(&own).unwrap_or(0);
        let announced = |rest| Ask::Recover { epoch, origin: Origin::Replacement, count, rest };
        let asks: [&(dyn Fn(Rest) -> Ask + Sync); 2] = [&announced, &Ask::Salvage];
        for ask in asks {
            let mut poll = Poll::new(self, Instant::now() + self.settings.ask_deadline);
            let mut heard: BTreeMap<NodeName, u16> = BTreeMap::new();
            let mut again: BTreeSet<(NodeName, u16)> = BTreeSet::new();
            let left = self.others().filter(|member| !from.contains(*member));
            left.for_each(|member| poll.ask(member, ask(self.rest(0))));
            while let Some(Said { member, outcome }) = poll.next().await {
                match outcome {
                    Ok((node, MemberSays::Counts { counts, next, .. })) => {
                        self.ledger.merge(Source::Relay(&node), &counts);
                        if let Some(next) = goes_on(next, heard.get(&member).copied().unwrap_or_default()) {
                            // Who says something has time for the rest of it.
                            poll.until(Instant::now() + self.settings.ask_deadline);
                            poll.ask(&member, ask(self.rest(next)));
                            heard.insert(member, next);
                        } else {
                            from.insert(member);
                        }
                    }
                    Ok((_, MemberSays::Known { epoch: known, .. })) if known > epoch => {
                        greatest = greatest.max(Some(known));
                    }
                    other => {
                        let heard = heard.get(&member).copied();
                        let late = matches!(other, Err(CallFailure::DeadlinePassed { .. }));
                        // A piece is asked for once more, if it was late and others were not.
                        if let Some(from) = heard.filter(|from| late && again.insert((member.clone(), *from))) {
                            poll.until(Instant::now() + self.settings.ask_deadline);
                            poll.ask(&member, ask(self.rest(from)));
                            continue;
                        }
                        tracing::warn!(%member, some = heard.is_some(), ?other, "not all was taken over from there");
                    }
                }
            }
        }
        (from, greatest)
    }

    /// Somebody knows a later store of this node: with an epoch below that one its voice would never count there. The recovery, which hears
    /// the same, begins one above. If it cannot, it has told why, and the loss is accepted with the epoch that there is.
    async fn rises_above(&self, known: Incarnation) {
        let begun = self.ledger.until_above(known);
        if tokio::time::timeout(self.settings.ask_deadline, begun).await.is_err() {
            tracing::warn!(%known, "somebody knows a later store of this node, and no epoch above that has begun");
        }
    }
}
