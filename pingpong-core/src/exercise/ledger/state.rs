//! What a ledger knows, and what of it is synced: pure, without a clock, a task or a disk.
//!
//! A change goes three steps: *pending* when it is accepted, *committing* while the store keeps it, *published* when the store has. Readers
//! and other nodes see what is published, and nothing else (P2). At most one batch is committing.

use super::recent::Recent;
use super::rules::{Ignored, Source, StoreLimits};
use crate::exercise::counts::{Counts, Slot};
use crate::exercise::digest::Digest;
use crate::exercise::members::{Members, Voice};
use crate::exercise::messages::{PingRefused, Pinged};
use crate::exercise::store::{Batch, CommitError, Identity, Kept};
use crate::name::NodeName;
use crate::node::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Told when pings are counted, or when they are not.
pub(super) type Counted = oneshot::Sender<Result<Pinged, CommitError>>;

#[derive(Debug)]
pub(super) struct State {
    name: NodeName,
    limits: StoreLimits,
    pub(super) members: Option<Members>,
    pub(super) identity: Identity,
    pub(super) counts: Arc<Counts>,
    pub(super) digest: Digest,
    pub(super) recent: Recent,
    /// Rises with each slot that is published.
    pub(super) revision: u64,
    pending: Pending,
    committing: Option<Pending>,
    /// Rises with each change that is accepted.
    accepted: u64,
    /// Whether a ping was counted since the ledger was opened.
    pinged: bool,
    /// Whether the store had been used before.
    pub(super) is_kept: bool,
    pub(super) ignored: Ignored,
    /// Why the last batch was refused.
    trouble: Option<CommitError>,
    pub(super) closed: Option<CommitError>,
}

#[derive(Debug, Default)]
struct Pending {
    identity: Option<Identity>,
    raised: BTreeMap<Slot, Raised>,
    forgotten: BTreeSet<Slot>,
    pings: Vec<(u64, Counted)>,
    /// The own slot with all of these pings, once they are numbered.
    numbered: Option<(Slot, u64)>,
    /// Slots among those raised that are not published.
    new: usize,
    /// The last change that is in it.
    ticket: u64,
}

#[derive(Debug)]
struct Raised {
    count: u64,
    by: Option<Node>,
}

/// The epochs of a name, as long as only new ones come to them.
struct Room {
    producer: NodeName,
    epochs: usize,
}

/// What became of counts that were heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::exercise) struct Merged {
    /// The change that must be synced for all of them to be, or an earlier one that is.
    pub(in crate::exercise) ticket: u64,
    /// How many may not be said by their source, or have no room.
    pub(in crate::exercise) refused: usize,
    /// What was said of this node's own slot, if that is more than it has counted (P27).
    pub(in crate::exercise) own: Option<u64>,
}

impl State {
    pub(super) fn new(name: NodeName, kept: Kept, limits: StoreLimits, members: Option<Members>) -> Self {
        let mut digest = Digest::new();
        kept.counts.iter().for_each(|(slot, count)| digest.change(slot, None, Some(count)));
        Self {
            name,
            limits,
            members,
            identity: kept.identity,
            counts: Arc::new(kept.counts),
            digest,
            recent: Recent::new(1),
            revision: 1,
            pending: Pending::default(),
            committing: None,
            accepted: 0,
            pinged: false,
            is_kept: false,
            ignored: Ignored::default(),
            trouble: None,
            closed: None,
        }
    }

    /// The slot in which this node's pings count.
    pub(super) fn own(&self) -> Slot {
        Slot { producer: self.name.clone(), epoch: self.identity.epoch }
    }

    /// What speaks in this node's answers as a member (P24).
    pub(super) fn voice(&self) -> Voice {
        let names = self.members.iter().flat_map(Members::names);
        let known = names.filter_map(|name| Some((name.clone(), self.counts.epochs(name).next_back()?.0)));
        Voice { epoch: self.identity.epoch, known: known.collect() }
    }

    /// Pings wait to be numbered. They are when their batch is committed, so that none is numbered that is refused.
    pub(super) fn ping(&mut self, pings: u64, counted: Counted) -> Result<(), PingRefused> {
        let count = self.counts.get(&self.own()).unwrap_or(0);
        let waiting =
            self.unsynced().flat_map(|pending| &pending.pings).map(|(pings, _)| u128::from(*pings)).sum::<u128>();
        if u128::from(count) + waiting + u128::from(pings) > u128::from(u64::MAX) {
            return Err(PingRefused::CountExhausted { count, wanted: pings });
        }
        self.pending.pings.push((pings, counted));
        self.accept();
        Ok(())
    }

    /// Takes over what is greater, and may be said by its source.
    pub(super) fn merge(&mut self, source: Source<'_>, counts: &Counts) -> Merged {
        let (mut merged, mut room) = (Merged::default(), None);
        // Of a name that there was no room for, there is none for the rest of the message.
        let mut full: Option<&NodeName> = None;
        for (slot, count) in counts.iter() {
            if self.is_own(slot) {
                // Whoever may not speak of others is no witness either.
                if !self.may_say(source, slot) {
                    merged.refused += 1;
                } else if self.counts.get(slot).unwrap_or(0) < count {
                    self.ignored.own_slot += 1;
                    merged.refused += 1;
                    merged.own = merged.own.max(Some(count));
                }
                continue;
            }
            if !self.may_say(source, slot) {
                merged.refused += 1;
                continue;
            }
            match self.known(slot) {
                Some(known) if count < known => self.ignored.stale += 1,
                Some(known) if count == known => {}
                None if full == Some(&slot.producer) || !self.has_room(slot, &mut room) => {
                    self.ignored.too_many_slots += 1;
                    merged.refused += 1;
                    full = Some(&slot.producer);
                    continue;
                }
                _ => self.raise(slot, count, Some(source.node().clone())),
            }
            if self.counts.get(slot).is_none_or(|published| published < count) {
                merged.ticket = merged.ticket.max(self.ticket(slot, count));
            }
        }
        merged
    }

    /// The change that must be synced for a slot to be at that count, which was accepted. What is committing may be enough.
    fn ticket(&self, slot: &Slot, count: u64) -> u64 {
        let has = |committing: &&Pending| committing.raised.get(slot).is_some_and(|raised| raised.count >= count);
        self.committing.as_ref().filter(has).map_or(self.accepted, |committing| committing.ticket)
    }

    /// The store begins a new life: the own slot is a new one, and the old one stays as it is (P4).
    pub(super) fn begin(&mut self, identity: Identity) {
        self.pending.identity = Some(identity);
        let slot = Slot { producer: self.name.clone(), epoch: identity.epoch };
        self.raise(&slot, 0, None);
    }

    /// The node's standing, or how its store came to be, is another one now.
    pub(super) fn set_identity(&mut self, identity: Identity) -> u64 {
        self.pending.identity = Some(identity);
        self.accept()
    }

    /// The identity, whether synced or not.
    pub(super) fn next_identity(&self) -> Identity {
        self.unsynced().filter_map(|pending| pending.identity).next_back().unwrap_or(self.identity)
    }

    pub(super) fn is_member(&self) -> bool {
        self.members.as_ref().is_some_and(|members| members.has(&self.name))
    }

    /// The last change that was accepted.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Whether pings wait to be numbered.
    pub(super) fn has_pings(&self) -> bool {
        !self.pending.pings.is_empty()
    }

    /// Why something is not synced.
    pub(super) fn trouble(&self) -> CommitError {
        let gone = || CommitError::Unknown { place: "the ledger".to_owned(), words: "its task has ended".to_owned() };
        self.closed.clone().or_else(|| self.trouble.clone()).unwrap_or_else(gone)
    }

    /// Whether numbers of the present epoch were given since the ledger was opened, or are about to be.
    pub(super) fn has_pinged(&self) -> bool {
        self.pinged || self.committing.as_ref().is_some_and(|committing| committing.numbered.is_some())
    }

    /// What waits to be kept, to be given to the store now; `None` if nothing does, or a batch is committing.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.committing.is_some() || self.closed.is_some() || self.pending.is_empty() {
            return None;
        }
        let mut pending = mem::take(&mut self.pending);
        pending.ticket = self.accepted;
        if !pending.pings.is_empty() {
            let epoch = pending.identity.map_or(self.identity.epoch, |identity| identity.epoch);
            let slot = Slot { producer: self.name.clone(), epoch };
            let count = self.counts.get(&slot).unwrap_or(0);
            // It was looked at when each was accepted, so that it does not overflow.
            let count = pending.pings.iter().fold(count, |count, (pings, _)| count.saturating_add(*pings));
            // A slot that begins in this very batch is in it once.
            pending.raised.remove(&slot);
            pending.numbered = Some((slot, count));
        }
        let raised = pending.raised.iter().map(|(slot, raised)| (slot.clone(), raised.count));
        let batch = Batch {
            identity: pending.identity,
            raised: raised.chain(pending.numbered.clone()).collect(),
            forgotten: pending.forgotten.iter().cloned().collect(),
        };
        self.committing = Some(pending);
        Some(batch)
    }

    /// The batch is kept: it is published, and whoever pinged is told. Returns the last change that is synced now.
    pub(super) fn committed(&mut self) -> Option<u64> {
        let done = self.committing.take()?;
        self.identity = done.identity.unwrap_or(self.identity);
        let counts = Arc::make_mut(&mut self.counts);
        for slot in &done.forgotten {
            if let Some(before) = counts.remove(slot) {
                self.digest.change(slot, Some(before), None);
                self.recent.forget(slot);
            }
        }
        let own = Slot { producer: self.name.clone(), epoch: self.identity.epoch };
        let mut number = counts.get(&own).unwrap_or(0);
        self.pinged |= done.numbered.is_some();
        let numbered = done.numbered.map(|(slot, count)| (slot, Raised { count, by: None }));
        for (slot, raised) in done.raised.into_iter().chain(numbered) {
            let before = counts.get(&slot);
            if counts.raise(&slot, raised.count) {
                self.digest.change(&slot, before, Some(raised.count));
                self.revision += 1;
                self.recent.changed(&slot, self.revision, raised.by);
            }
        }
        for (pings, counted) in done.pings {
            number = number.saturating_add(pings);
            // Refused when nobody waits any more; they are counted all the same.
            let _ = counted.send(Ok(Pinged { slot: own.clone(), count: number }));
        }
        Some(done.ticket)
    }

    /// The batch was not kept: nobody's pings are counted, and what others said waits for the next batch (P6). Returns the last change that
    /// was refused.
    pub(super) fn refused(&mut self, error: CommitError) -> Option<u64> {
        let refused = self.committing.take()?;
        for (_, counted) in refused.pings {
            let _ = counted.send(Err(error.clone()));
        }
        self.trouble = Some(error);
        let later = mem::take(&mut self.pending);
        self.pending = Pending { pings: later.pings, ..Pending::default() };
        self.pending.identity = later.identity.or(refused.identity);
        let forgotten = refused.forgotten.into_iter().chain(later.forgotten);
        self.pending.forgotten = forgotten.filter(|slot| !later.raised.contains_key(slot)).collect();
        // The slot that was to begin still is to, at 0.
        let begun = refused.identity.map(|identity| Slot { producer: self.name.clone(), epoch: identity.epoch });
        let begun =
            begun.filter(|slot| self.counts.get(slot).is_none()).map(|slot| (slot, Raised { count: 0, by: None }));
        for (slot, raised) in refused.raised.into_iter().chain(begun).chain(later.raised) {
            let greater = self.pending.raised.get(&slot).is_none_or(|known| known.count < raised.count);
            if greater {
                self.pending.new +=
                    usize::from(self.counts.get(&slot).is_none() && !self.pending.raised.contains_key(&slot));
                self.pending.raised.insert(slot, raised);
            }
        }
        Some(refused.ticket)
    }

    /// Nothing is accepted or kept any more.
    pub(super) fn close(&mut self, error: CommitError) {
        for (_, counted) in
            self.committing.take().into_iter().chain([mem::take(&mut self.pending)]).flat_map(|p| p.pings)
        {
            let _ = counted.send(Err(error.clone()));
        }
        self.closed = Some(error);
    }

    fn unsynced(&self) -> impl DoubleEndedIterator<Item = &Pending> {
        self.committing.iter().chain([&self.pending])
    }

    fn accept(&mut self) -> u64 {
        self.accepted += 1;
        self.accepted
    }

    fn is_own(&self, slot: &Slot) -> bool {
        slot.producer == self.name && (slot.epoch == self.identity.epoch || slot.epoch == self.next_identity().epoch)
    }

    /// The count of a slot, published or not.
    pub(super) fn known(&self, slot: &Slot) -> Option<u64> {
        let unsynced = self.unsynced().filter_map(|pending| pending.raised.get(slot).map(|raised| raised.count)).max();
        unsynced.max(self.counts.get(slot))
    }

    fn raise(&mut self, slot: &Slot, count: u64, by: Option<Node>) {
        let published = self.counts.get(slot).is_some();
        self.pending.forgotten.remove(slot);
        let raised = Raised { count, by };
        if self.pending.raised.insert(slot.clone(), raised).is_none() && !published {
            self.pending.new += 1;
        }
        self.accept();
    }

    fn may_say(&mut self, source: Source<'_>, slot: &Slot) -> bool {
        let node = source.node();
        if slot.producer == node.name {
            let reached = slot.epoch <= node.incarnation;
            self.ignored.future_epoch += u64::from(!reached);
            return reached;
        }
        // Without members nobody votes on counts, and everybody passes on what it knows.
        let relays = matches!(source, Source::Relay(_))
            && self.members.as_ref().is_none_or(|members| members.has(&node.name) || node.name == self.name);
        self.ignored.foreign_slot += u64::from(!relays);
        relays
    }

    /// Whether a new slot fits, after slots of count 0 that are not the highest epoch of that name were forgotten (P8).
    ///
    /// Of new slots that come in their order, the epochs of a name are counted once.
    fn has_room(&mut self, slot: &Slot, room: &mut Option<Room>) -> bool {
        let forgotten = self.unsynced().map(|pending| pending.forgotten.len()).sum::<usize>();
        let counted = room.take().filter(|room| room.producer == slot.producer && forgotten == 0);
        let epochs = counted.map_or_else(|| self.epochs(&slot.producer), |room| room.epochs);
        let slots = self.counts.len() + self.unsynced().map(|pending| pending.new).sum::<usize>() - forgotten;
        let over = (epochs + 1).saturating_sub(self.limits.epochs).max((slots + 1).saturating_sub(self.limits.slots));
        // A slot that is to be forgotten may come back without being asked for room.
        if over == 0 && forgotten == 0 {
            *room = Some(Room { producer: slot.producer.clone(), epochs: epochs + 1 });
        }
        over == 0 || self.forget(slot) >= over
    }

    /// How many epochs of a name there are, published or not.
    fn epochs(&self, producer: &NodeName) -> usize {
        let all = Slot::all_of(producer);
        let new = self.unsynced().flat_map(|pending| pending.raised.range(all.clone()));
        let new = new.filter(|(slot, _)| self.counts.get(slot).is_none()).map(|(slot, _)| slot.epoch);
        let gone = self.unsynced().map(|pending| pending.forgotten.range(all.clone()).count()).sum::<usize>();
        self.counts.epochs(producer).count() + new.collect::<BTreeSet<_>>().len() - gone
    }

    /// Forgets the slots of that name which say nothing any more; returns how many there were.
    fn forget(&mut self, slot: &Slot) -> usize {
        let is_waiting = |slot: &Slot| {
            self.unsynced().any(|pending| pending.raised.contains_key(slot) || pending.forgotten.contains(slot))
        };
        let last = self.counts.epochs(&slot.producer).next_back().map(|(epoch, _)| epoch);
        let epochs = self.counts.epochs(&slot.producer).filter(|(epoch, count)| *count == 0 && Some(*epoch) != last);
        let empty = epochs.map(|(epoch, _)| Slot { producer: slot.producer.clone(), epoch });
        // What is on its way to the store stays until it is there.
        let empty: Vec<Slot> = empty.filter(|empty| !self.is_own(empty) && !is_waiting(empty)).collect();
        let forgotten = empty.len();
        if forgotten > 0 {
            self.pending.forgotten.extend(empty);
            self.accept();
        }
        forgotten
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.identity.is_none() && self.raised.is_empty() && self.forgotten.is_empty() && self.pings.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise::store::{Origin, Standing};
    use crate::node::Incarnation;

    fn node(name: &str) -> Node {
        Node { name: NodeName::new(name).unwrap(), incarnation: Incarnation::new(100, 0) }
    }

    fn state(limits: StoreLimits) -> State {
        let identity = Identity { epoch: Incarnation::new(1, 0), origin: Origin::Init, standing: Standing::Active };
        State::new(node("own").name, Kept { identity, counts: Counts::new() }, limits, None)
    }

    fn counts(producer: &str, epochs: impl IntoIterator<Item = (u64, u64)>) -> Counts {
        let slot = |epoch| Slot { producer: node(producer).name, epoch: Incarnation::new(epoch, 0) };
        epochs.into_iter().map(|(epoch, count)| (slot(epoch), count)).collect()
    }

    #[test]
    fn what_is_committing_need_not_wait_for_what_was_accepted_since() {
        let mut state = state(StoreLimits::default());
        let (a, b) = (node("a"), node("b"));
        let first = state.merge(Source::Producer(&a), &counts("a", [(1, 5)])).ticket;
        assert!(state.take().is_some());
        let later = state.merge(Source::Producer(&b), &counts("b", [(1, 1)])).ticket;
        assert!(later > first);
        for count in [4, 5] {
            assert_eq!(state.merge(Source::Producer(&a), &counts("a", [(1, count)])).ticket, first, "{count}");
        }
        assert!(state.merge(Source::Producer(&a), &counts("a", [(1, 6)])).ticket > later);
        assert_eq!(state.committed(), Some(first));
        assert_eq!(state.merge(Source::Producer(&a), &counts("a", [(1, 5)])).ticket, 0, "it is synced");
    }

    #[test]
    fn of_slots_that_come_at_once_no_more_are_taken_than_there_is_room_for() {
        let limits = StoreLimits { epochs: 3, slots: 5 };
        let mut state = state(limits);
        let others = node("relay");
        let a = counts("a", (1..=5).map(|epoch| (epoch, 1)));
        assert_eq!(state.merge(Source::Relay(&others), &a).refused, 2, "epochs of one producer");
        let more = Counts::from_iter(["b", "c", "d"].iter().flat_map(|name| {
            let counts = counts(name, [(1, 1)]);
            counts.iter().map(|(slot, count)| (slot.clone(), count)).collect::<Vec<_>>()
        }));
        assert_eq!(state.merge(Source::Relay(&others), &more).refused, 1, "slots of all");
        assert!(state.take().is_some() && state.committed().is_some());
        assert_eq!((state.counts.len(), state.counts.of(&node("a").name).len()), (5, 3));
        assert_eq!(state.merge(Source::Relay(&others), &a).refused, 2, "nothing has changed");
    }

    #[test]
    fn a_slot_without_pings_makes_room_for_a_later_epoch_though_it_came_at_once_with_others() {
        let mut state = state(StoreLimits { epochs: 3, slots: 100 });
        let others = node("relay");
        state.merge(Source::Relay(&others), &counts("a", [(1, 0), (2, 0), (3, 7)]));
        assert!(state.take().is_some() && state.committed().is_some());
        let merged = state.merge(Source::Relay(&others), &counts("a", [(4, 1), (5, 1), (6, 1)]));
        assert_eq!(merged.refused, 1, "two were empty");
        assert!(state.take().is_some() && state.committed().is_some());
        assert_eq!(*state.counts, counts("a", [(3, 7), (4, 1), (5, 1)]));
    }
}
