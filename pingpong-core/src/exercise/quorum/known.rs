//! What a node that reads has itself: where members have much, they are told the sums of its parts, and answer with what differs.
//!
//! A read of those who agree, or who have little, needs none of it.

use crate::exercise::counts::Counts;
use crate::exercise::digest::{Part, Sum, Sums};
use crate::exercise::ledger::Ledger;
use crate::exercise::messages::Ask;
use crate::name::NodeName;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is known here, from the moment at which a member must be told of it.
#[derive(Debug, Default)]
pub(super) struct Known {
    told: Option<(Arc<Counts>, Sums)>,
    /// Who is asked for what is beyond that.
    members: BTreeSet<NodeName>,
}

impl Known {
    /// From now on a member is told what is known. False if it was told that before.
    pub(super) fn is_told(&mut self, member: &NodeName, ledger: &Ledger) -> bool {
        self.sums(ledger);
        self.members.insert(member.clone())
    }

    /// The sums of what is known, for members that are all told of it.
    pub(super) fn sums(&mut self, ledger: &Ledger) -> Sums {
        self.told.get_or_insert_with(|| ledger.summed()).1.clone()
    }

    /// How a member is asked what it has.
    pub(super) fn ask(&self, member: &NodeName, sum: Sum) -> Ask {
        match &self.told {
            Some((_, sums)) if self.members.contains(member) => Ask::ReadBeyond(sums.clone()),
            _ => Ask::Read(sum),
        }
    }

    /// All that a member has which said what it has in these parts; `None` if the rest cannot be told from that.
    pub(super) fn with(&self, parts: &[Part], counts: Counts) -> Option<Counts> {
        if parts.contains(&Part::ALL) {
            return Some(counts);
        }
        let (mine, _) = self.told.as_ref().filter(|_| parts.iter().all(|part| part.is_told()))?;
        let said: BTreeSet<Part> = parts.iter().copied().collect();
        let same = mine.iter().filter(|(slot, _)| !said.contains(&Part::told(slot)));
        Some(same.chain(counts.iter()).map(|(slot, count)| (slot.clone(), count)).collect())
    }
}

/// What of these counts is beyond what another node knows, and in which parts; all of them, if they are few.
pub(in crate::exercise) fn beyond(counts: &Counts, known: &Sums, few: u32) -> (Vec<Part>, Counts) {
    if counts.len() <= few as usize {
        return (vec![Part::ALL], counts.clone());
    }
    let parts = Sums::of(counts).parts_beyond(known);
    let beyond = Sums::counts_in(counts, &parts);
    (parts, beyond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise::counts::Slot;
    use crate::exercise::ledger::{LedgerOptions, Piece, Source};
    use crate::exercise::store::MemoryStore;
    use crate::node::{Incarnation, Node};
    use proptest::prelude::*;

    fn slot(number: u64) -> Slot {
        Slot { producer: NodeName::new(&format!("n{number}x")).unwrap(), epoch: Incarnation::new(1, 0) }
    }

    async fn ledger(counts: &[(u64, u64)]) -> Arc<Ledger> {
        let node = Node { name: NodeName::new("own").unwrap(), incarnation: Incarnation::new(1, 0) };
        let ledger = Ledger::open(MemoryStore, &node, LedgerOptions::default()).await.unwrap();
        let counts: Counts = counts.iter().map(|(number, count)| (slot(*number), *count)).collect();
        let relay = Node { name: NodeName::new("relay").unwrap(), incarnation: Incarnation::new(1, 0) };
        ledger.merge(Source::Relay(&relay), &counts);
        ledger.flush().await.unwrap();
        ledger
    }

    fn counts() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((0..400_u64, 0..3_u64), 0..400)
    }

    #[test]
    fn what_a_member_says_beyond_what_is_known_is_all_that_it_has() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        proptest!(ProptestConfig::with_cases(64), |(mine in counts(), theirs in counts(), most in 1..200_u32)| {
            runtime.block_on(async {
                let (here, there) = (ledger(&mine).await, ledger(&theirs).await);
                let member = NodeName::new("member").unwrap();
                let mut known = Known::default();
                let sum = here.published().sum;
                prop_assert_eq!(known.ask(&member, sum), Ask::Read(sum));
                prop_assert!(known.is_told(&member, &here) && !known.is_told(&member, &here));
                let Ask::ReadBeyond(sums) = known.ask(&member, sum) else { panic!("it is told") };
                let Piece { parts, counts, next, .. } = there.beyond(&sums, 0, u32::MAX);
                let said = counts.len();
                prop_assert_eq!(next, None);
                prop_assert!(known.with(&parts, counts) == Some(there.counts().as_ref().clone()));
                prop_assert!(*here.counts() != *there.counts() || said == 0);

                // As what a majority agreed on, which has no digest.
                let (parts, beyond) = beyond(&there.counts(), &sums, 0);
                prop_assert_eq!(beyond.len(), said);
                prop_assert!(known.with(&parts, beyond) == Some(there.counts().as_ref().clone()));

                // In pieces, of which each has something; merged, they are all that this node lacks.
                let (mut from, mut merged) = (Some(0), here.counts().as_ref().clone());
                while let Some(at) = from {
                    let Piece { parts, counts, next, .. } = there.beyond(&sums, at, most);
                    prop_assert!(next.is_none_or(|next| next > at && !parts.is_empty()));
                    merged.merge(&counts);
                    from = next;
                }
                prop_assert!(merged.covers(&there.counts()));
                Ok(())
            })?;
        });
    }

    #[tokio::test]
    async fn what_differs_from_nothing_that_was_told_is_no_answer() {
        let mut known = Known::default();
        let counts = Counts::from_iter([(slot(1), 1)]);
        assert_eq!(known.with(&[Part::told(&slot(1))], counts.clone()), None);
        assert_eq!(known.with(&[Part::ALL], counts.clone()), Some(counts.clone()));
        known.is_told(&NodeName::new("member").unwrap(), &*ledger(&[]).await);
        let bucket = Part::ALL.cut().and_then(|mut parts| parts.next()).unwrap();
        assert_eq!(known.with(&[bucket], counts.clone()), None, "no part that was told");
        assert!(known.with(&[Part::told(&slot(1))], counts).is_some());
    }
}
