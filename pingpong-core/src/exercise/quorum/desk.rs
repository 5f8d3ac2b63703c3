//! What a member answers, to others and to its own node alike.

use crate::exercise::counts::{Counts, Slot};
use crate::exercise::digest::Part;
use crate::exercise::ledger::{Ledger, Piece, Published, Source};
use crate::exercise::messages::{Ask, MemberSays, Rest};
use crate::exercise::settings::Settings;
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exercise) enum Then {
    /// That it holds what it was told to.
    Held,
    /// What it has, by which another member recovers; and its slot of that one's present epoch, with each piece.
    Counts(Rest, Slot),
    /// That it has never heard of another store of that name. Whoever does not vote yet can say so, too.
    Remembered,
}

/// Answers as a member. `Agree` is no question to a store, and is answered elsewhere.
pub(in crate::exercise) fn answer(ledger: &Ledger, from: &Node, ask: Ask, settings: &Settings) -> Answer {
    let Published { standing, voice, counts, sum } = ledger.published();
    let votes = standing == Standing::Active;
    match ask {
        Ask::Hold(counts) => hold(ledger, from, &counts, settings),
        Ask::Read(_) if !votes => Answer::Now(MemberSays::Recovering),
        Ask::Read(theirs) if theirs == sum => Answer::Now(MemberSays::Same(voice)),
        Ask::Read(_) if sum.slots > settings.few_slots => Answer::Now(MemberSays::Differs),
        Ask::Read(_) => {
            let counts = counts.as_ref().clone();
            Answer::Now(MemberSays::Counts { voice, parts: vec![Part::ALL], counts, next: None })
        }
        // All at one instant, however much it is: pieces of several are no answer (P22).
        Ask::ReadBeyond(known) => Answer::Now(of_a_voter(ledger.beyond(&known, 0, u32::MAX))),
        Ask::Salvage(rest) => Answer::Now(says(ledger.beyond(&rest.known, rest.from, settings.piece_slots))),
        Ask::Recover { epoch, origin, count, rest } => {
            let then = match origin {
                Origin::Init => Some(Then::Remembered),
                Origin::Replacement => votes.then(|| Then::Counts(rest, Slot { producer: from.name.clone(), epoch })),
            };
            recover(ledger, from, (epoch, count), origin, then, settings)
        }
        Ask::Agree(..) => Answer::Now(MemberSays::Recovering),
    }
}

/// What is answered once the change is synced.
pub(in crate::exercise) fn then(
    ledger: &Ledger,
    settled: Result<(), CommitError>,
    then: Then,
    settings: &Settings,
) -> MemberSays {
    if let Err(error) = settled {
        return MemberSays::Refused(error.to_string());
    }
    let Published { standing, voice, .. } = ledger.published();
    match (standing, then) {
        (_, Then::Remembered) => MemberSays::Held(voice),
        (Standing::Recovering | Standing::Observer, _) => MemberSays::Recovering,
        (Standing::Active, Then::Held) => MemberSays::Held(voice),
        // What counts beside the voice of the asking node's earlier life was said before its present epoch was remembered; and counts only grow.
        // So pieces of later instants do as well, as long as each part is in one of them.
        (Standing::Active, Then::Counts(rest, own)) => {
            let mut piece = ledger.beyond(&rest.known, rest.from, settings.piece_slots);
            // Whether the asking store is an older copy (P27) must not wait for the piece that this is in.
            if let Some(count) = ledger.counts().get(&own) {
                piece.counts.raise(&own, count);
            }
            of_a_voter(piece)
        }
    }
}

fn says(Piece { voice, parts, counts, next, .. }: Piece) -> MemberSays {
    MemberSays::Counts { voice, parts, counts, next }
}

fn of_a_voter(piece: Piece) -> MemberSays {
    if piece.standing == Standing::Active { says(piece) } else { MemberSays::Recovering }
}

/// A member that recovers takes over what arrives, and does not vote on it (P23).
fn hold(ledger: &Ledger, from: &Node, counts: &Counts, settings: &Settings) -> Answer {
    let merged = ledger.merge(Source::Relay(from), counts);
    if merged.refused > 0 {
        let words = "it holds slots that the asking node may not speak of, or that there is no room for";
        return Answer::Now(MemberSays::Refused(words.to_owned()));
    }
    if merged.ticket == 0 {
        return Answer::Now(then(ledger, Ok(()), Then::Held, settings));
    }
    Answer::Synced(merged.ticket, Then::Held)
}

fn recover(
    ledger: &Ledger,
    from: &Node,
    (epoch, count): (Incarnation, u64),
    origin: Origin,
    remembered: Option<Then>,
    settings: &Settings,
) -> Answer {
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
    match remembered {
        None => Answer::Now(MemberSays::Recovering),
        Some(after) if merged.ticket == 0 => Answer::Now(then(ledger, Ok(()), after, settings)),
        Some(after) => Answer::Synced(merged.ticket, after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise::ledger::LedgerOptions;
    use crate::exercise::members::Members;
    use crate::exercise::store::{Identity, MemoryStore};
    use crate::name::{ClusterName, NodeName};

    fn node(name: &str) -> Node {
        Node { name: NodeName::new(name).unwrap(), incarnation: Incarnation::new(1, 0) }
    }

    /// P27 must not wait for the piece that this is in.
    #[tokio::test]
    async fn each_piece_says_how_far_the_recovering_store_was_seen_to_have_counted() {
        let cluster = ClusterName::new("prod").unwrap();
        let members = Members::new(cluster, ["a", "b"].map(|name| node(name).name)).unwrap();
        let options = LedgerOptions { members: Some(members), ..LedgerOptions::default() };
        let ledger = Ledger::open(MemoryStore, &node("b"), options).await.unwrap();
        let Identity { epoch, .. } = ledger.identity();
        ledger.activate(epoch);
        let slot = |name: &str| Slot { producer: node(name).name, epoch: node(name).incarnation };
        let others = (0..100).map(|number| (slot(&format!("n{number}x")), 1));
        let counts: Counts = others.chain([(slot("a"), 7)]).collect();
        ledger.merge(Source::Relay(&node("a")), &counts);
        ledger.flush().await.unwrap();

        let settings = Settings { piece_slots: 1, ..Settings::default() };
        let (mut from, mut pieces, mut heard) = (Some(0), 0, Counts::new());
        while let Some(at) = from {
            let rest = Rest { from: at, ..Rest::default() };
            let ask = Ask::Recover { epoch: slot("a").epoch, origin: Origin::Replacement, count: 0, rest };
            let Answer::Now(MemberSays::Counts { counts, next, .. }) = answer(&ledger, &node("a"), ask, &settings)
            else {
                panic!("it votes, and knows of that epoch");
            };
            assert_eq!(counts.get(&slot("a")), Some(7));
            heard.merge(&counts);
            (from, pieces) = (next, pieces + 1);
        }
        assert!(pieces > 50 && heard == *ledger.counts(), "{pieces} pieces");
    }
}
