//! A store that is older than what others have seen of it: an older copy, or its disk did not keep what it said it had (P27).

use super::ledger::Ledger;
use super::trouble::{Trouble, Troubles};
use crate::node::{Incarnation, Node};

/// Another node has seen more of this node's slot than it has counted: it begins a new epoch, if it has given no number yet, and must stop
/// otherwise. Returns the change to wait for.
pub(super) fn begin_anew(
    ledger: &Ledger,
    troubles: &Troubles,
    seen: u64,
    from: &Node,
    now: Incarnation,
) -> Option<u64> {
    let slot = ledger.slot();
    let count = ledger.counts().get(&slot).unwrap_or(0);
    match ledger.begin(now) {
        Ok(begun) => {
            if begun.now {
                tracing::error!(
                    %slot, count, seen, %from, epoch = %now,
                    "the store is older than what others have seen of it; was it restored from a copy? It begins a new epoch"
                );
            }
            Some(begun.ticket)
        }
        Err(slot) => {
            troubles.tell(Trouble::StoreIsOlder { slot, count, seen });
            None
        }
    }
}
