//! What a member answers, to others and to its own node alike.

use crate::exercise::counts::{Counts, Slot};
use crate::exercise::ledger::{Ledger, Published, Source};
use crate::exercise::messages::{Ask, MemberSays};
use crate::exercise::store::{CommitError, Origin, Standing};
use crate::node::{Incarnation, Node};

/// An answer, or what it waits for.
#[derive(Debug)]
pub(in crate::exercise) enum Answer {
    /// It is known.
    Now(MemberSays),
    /// It is known once this change is synced.
    Synced(u64, Then),
}

/// What is answered after a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::exercise) enum Then {
    /// That it holds what it was told to.
    Held,
    /// What it has, by which another member recovers.
    Counts,
    /// That it has never heard of another store of that name. Whoever does not vote yet can say so, too.
    Remembered,
}

/// Answers as a member. `Agree` is no question to a store, and is answered elsewhere.
pub(in crate::exercise) fn answer(ledger: &Ledger, from: &Node, ask: Ask) -> Answer {
    let Published { standing, voice, counts, sum } = ledger.published();
    let votes = standing == Standing::Active;
    match ask {
        Ask::Hold(counts) => hold(ledger, from, &counts),
        Ask::Read(_) if !votes => Answer::Now(MemberSays::Recovering),
        Ask::Read(theirs) if theirs == sum => Answer::Now(MemberSays::Same(voice)),
        Ask::Read(_) | Ask::Salvage => Answer::Now(MemberSays::Counts(voice, counts.as_ref().clone())),
        Ask::Recover { epoch, origin, count } => recover(ledger, from, (epoch, count), origin, votes),
        Ask::Agree(_) => Answer::Now(MemberSays::Recovering),
    }
}

/// What is answered once the change is synced.
pub(in crate::exercise) fn then(ledger: &Ledger, settled: Result<(), CommitError>, then: Then) -> MemberSays {
    if let Err(error) = settled {
        return MemberSays::Refused(error.to_string());
    }
    let Published { standing, voice, counts, .. } = ledger.published();
    match (standing, then) {
        (_, Then::Remembered) => MemberSays::Held(voice),
        (Standing::Recovering | Standing::Observer, _) => MemberSays::Recovering,
        (Standing::Active, Then::Held) => MemberSays::Held(voice),
        (Standing::Active, Then::Counts) => MemberSays::Counts(voice, counts.as_ref().clone()),
    }
}

/// A member that recovers takes over what arrives, and does not vote on it (P23).
fn hold(ledger: &Ledger, from: &Node, counts: &Counts) -> Answer {
    let merged = ledger.merge(Source::Relay(from), counts);
    if merged.refused > 0 {
        let words = "it holds slots that the asking node may not speak of, or that there is no room for";
        return Answer::Now(MemberSays::Refused(words.to_owned()));
    }
    if merged.ticket == 0 {
        return Answer::Now(then(ledger, Ok(()), Then::Held));
    }
    Answer::Synced(merged.ticket, Then::Held)
}

fn recover(ledger: &Ledger, from: &Node, (epoch, count): (Incarnation, u64), origin: Origin, votes: bool) -> Answer {
    let counts = ledger.counts();
    let is_another = |(known, has): &(Incarnation, u64)| {
        match origin {
            // It has no counts to compare with, so this node compares.
            Origin::Init => *known != epoch || *has > count,
            Origin::Replacement => *known > epoch,
        }
    };
    if let Some((epoch, count)) = counts.epochs(&from.name).rfind(is_another) {
        return Answer::Now(MemberSays::Known { epoch, count });
    }
    let slot = Slot { producer: from.name.clone(), epoch };
    let merged = ledger.merge(Source::Relay(from), &Counts::from_iter([(slot, 0)]));
    if merged.refused > 0 {
        let words = "its epoch is above its own incarnation, or there is no room for it";
        return Answer::Now(MemberSays::Refused(words.to_owned()));
    }
    let after = match origin {
        Origin::Init => Then::Remembered,
        Origin::Replacement if votes => Then::Counts,
        Origin::Replacement => return Answer::Now(MemberSays::Recovering),
    };
    if merged.ticket == 0 {
        return Answer::Now(then(ledger, Ok(()), after));
    }
    Answer::Synced(merged.ticket, after)
}
