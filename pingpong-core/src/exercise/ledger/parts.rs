//! What of the published counts others lack, found by the sums of parts. An answer costs what is asked for, not what there is.

use super::Ledger;
use crate::exercise::counts::{Counts, Slot};
use crate::exercise::digest::{Part, Sum, Sums};
use crate::exercise::members::Voice;
use crate::exercise::store::Standing;
use std::collections::BTreeSet;
use std::sync::Arc;

/// So many slots are collected while pings and commits wait.
const UNDER_LOCK: u32 = 4_096;

/// What a member has beyond another node, at an instant.
#[derive(Clone, Debug)]
pub(in crate::exercise) struct Piece {
    pub(in crate::exercise) standing: Standing,
    pub(in crate::exercise) voice: Voice,
    pub(in crate::exercise) parts: Vec<Part>,
    pub(in crate::exercise) counts: Counts,
    pub(in crate::exercise) next: Option<u16>,
}

impl Ledger {
    /// The sums of these parts.
    pub(in crate::exercise) fn sums(&self, parts: impl IntoIterator<Item = Part>) -> Vec<(Part, Sum)> {
        let state = self.lock();
        parts.into_iter().map(|part| (part, state.digest.sum(part))).collect()
    }

    /// What is published of these parts.
    pub(in crate::exercise) fn counts_in(&self, parts: Vec<Part>) -> Counts {
        let parts = BTreeSet::from_iter(parts);
        let (counts, slots): (_, Vec<Slot>) = {
            let state = self.lock();
            (Arc::clone(&state.counts), parts.into_iter().flat_map(|part| state.digest.slots(part)).cloned().collect())
        };
        of_slots(&counts, slots)
    }

    /// What is published, and the sums of its parts, at the same instant.
    pub(in crate::exercise) fn summed(&self) -> (Arc<Counts>, Sums) {
        let state = self.lock();
        (Arc::clone(&state.counts), state.digest.sums())
    }

    /// This node as a member, and what it has published in parts that have other sums than those: from that part on, and so many slots that
    /// `most` is reached. All at one instant.
    pub(in crate::exercise) fn beyond(&self, known: &Sums, from: u16, most: u32) -> Piece {
        let (mut parts, mut slots, mut next, mut some) = (Vec::new(), 0_u32, None, Vec::new());
        let (standing, voice, counts) = {
            let state = self.lock();
            for (part, more) in state.digest.beyond(known, from) {
                if slots >= most {
                    next = Some(part.index());
                    break;
                }
                slots = slots.saturating_add(more);
                parts.push(part);
            }
            // Of many, nobody waits for the lock until they are put together.
            if slots <= UNDER_LOCK {
                some = parts.iter().flat_map(|part| state.digest.slots(*part)).cloned().collect();
            }
            (state.identity.standing, state.voice(), Arc::clone(&state.counts))
        };
        let counts = if slots <= UNDER_LOCK { of_slots(&counts, some) } else { Sums::counts_in(&counts, &parts) };
        Piece { standing, voice, parts, counts, next }
    }
}

fn of_slots(counts: &Counts, slots: Vec<Slot>) -> Counts {
    slots.into_iter().filter_map(|slot| counts.get(&slot).map(|count| (slot, count))).collect()
}
