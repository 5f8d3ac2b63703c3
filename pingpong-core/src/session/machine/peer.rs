//! What is remembered of a name (N3), and of how many names (N20).

use super::conn::Conns;
use super::event::{ConnId, Limits};
use crate::address::Address;
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use crate::session::{PeersDigest, SessionId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeBounds;

/// A session that is `Up`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Its id, the same on both sides.
    pub id: SessionId,
    /// Its connection.
    pub conn: ConnId,
    /// The peer's life.
    pub incarnation: Incarnation,
    /// The peer's failure timeout.
    pub failure_timeout_millis: u32,
    /// Where the peer says that it can be dialled.
    pub addresses: Vec<Address>,
    /// Of the peer, with these addresses.
    pub(super) digest: PeersDigest,
    /// What was read of the peer's links.
    pub(super) reading: Reading,
    /// My moment of `Up`.
    pub(super) since: u64,
    /// The peer's moment of `Up`, which the chooser knows from `Ready` (N7).
    pub(super) peer_since: u64,
    /// The peer has said goodbye.
    pub(super) goodbye: bool,
}

impl Session {
    /// The peer can be dialled at these addresses from now on.
    pub(super) fn move_to(&mut self, name: &NodeName, addresses: Vec<Address>) {
        self.digest = PeersDigest::of(&Node { name: name.clone(), incarnation: self.incarnation }, &addresses);
        self.addresses = addresses;
    }
}

/// What a node has read of a neighbour's links (N17).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reading {
    /// Of this digest, or nothing yet.
    Idle(Option<PeersDigest>),
    /// The next part of the names is awaited.
    Asked {
        /// Names up to this one are read.
        after: Option<NodeName>,
        /// The digest when the first part was written; none before it came.
        first: Option<PeersDigest>,
        /// Of the names that were told so far.
        told: PeersDigest,
        /// So many names are still read.
        left: usize,
        /// What was read so far may have been dropped since.
        stale: bool,
    },
}

impl Default for Reading {
    fn default() -> Self {
        Self::Idle(None)
    }
}

/// What outlives the link to a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Memory {
    /// The greatest incarnation that was ever `Up` here (N11).
    pub(super) seen: Option<Incarnation>,
    /// The last session that this side took: the chooser's life and its number (N5).
    pub(super) taken: Option<(Incarnation, u64)>,
}

/// The one record of a name that is linked, wanted, or about to be linked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    /// Was linked, or is to be dialled by the shell's wish.
    pub(super) wanted: bool,
    /// The neighbours that tell this name (N17).
    pub(super) told_by: BTreeSet<NodeName>,
    pub(super) memory: Memory,
    pub(super) session: Option<Session>,
    /// At the chooser: the `Take` that has no answer yet (N5).
    pub(super) offer: Option<(ConnId, SessionId)>,
    /// The last probe's number (N11).
    pub(super) probe: u64,
}

impl Peer {
    /// To be dialled while there is no session (N16).
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted || !self.told_by.is_empty()
    }

    /// It left, or was forgotten: no longer dialled.
    pub(super) fn let_go(&mut self) {
        self.wanted = false;
        self.told_by.clear();
    }

    /// Neither linked nor wanted.
    fn is_idle(&self) -> bool {
        !self.is_wanted() && self.session.is_none()
    }

    /// Dialled for what neighbours tell alone.
    fn is_hearsay(&self) -> bool {
        !self.wanted && self.session.is_none()
    }
}

/// All names. `records` never holds more than `max_peers`, `retired` never more than four times as many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Roster {
    /// Boxed, as a node of the map has room for eleven.
    records: BTreeMap<NodeName, Box<Peer>>,
    /// Names that are neither linked nor wanted, the one whose link ended first at the front.
    retired: VecDeque<(NodeName, Memory)>,
    /// A record was dropped: what was told of that name is not known any more, and there is room for another one.
    dropped: bool,
    /// Some neighbour may tell some name: there is something to look for.
    hearsay: bool,
    /// Names that may have become idle.
    released: Vec<NodeName>,
}

/// A name that made room for another one, and who had told it.
pub(super) type Evicted = (NodeName, BTreeSet<NodeName>);

impl Roster {
    pub(super) fn get(&self, name: &NodeName) -> Option<&Peer> {
        self.records.get(name).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, name: &NodeName) -> Option<&mut Peer> {
        self.records.get_mut(name).map(Box::as_mut)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeName, &Peer)> {
        self.records.iter().map(|(name, peer)| (name, peer.as_ref()))
    }

    /// The records of some names, in their order.
    pub(super) fn range<'a>(
        &'a self,
        names: impl RangeBounds<NodeName> + 'a,
    ) -> impl Iterator<Item = (&'a NodeName, &'a Peer)> {
        self.records.range(names).map(|(name, peer)| (name, peer.as_ref()))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.records.values_mut().map(Box::as_mut)
    }

    pub(super) fn session(&self, name: &NodeName) -> Option<&Session> {
        self.get(name).and_then(|peer| peer.session.as_ref())
    }

    /// The record of a name, made if there is room for it.
    pub(super) fn record(&mut self, name: &NodeName, limits: Limits) -> Option<&mut Peer> {
        if !self.records.contains_key(name) {
            if self.records.len() >= limits.max_peers {
                return None;
            }
            let memory = match self.retired.iter().position(|(other, _)| other == name) {
                Some(place) => self.retired.remove(place).map(|(_, memory)| memory).unwrap_or_default(),
                None => Memory::default(),
            };
            self.records.insert(name.clone(), Box::new(Peer { memory, ..Peer::default() }));
        }
        self.get_mut(name)
    }

    /// Makes the record of a name that is here in person: one that is known by hearsay alone makes room for it. `None`: there is none.
    pub(super) fn admit(&mut self, name: &NodeName, limits: Limits, conns: &Conns) -> Option<Option<Evicted>> {
        let mut evicted = None;
        if !self.records.contains_key(name) && self.records.len() >= limits.max_peers {
            let hearsay = self.iter().find(|(other, peer)| peer.is_hearsay() && !conns.hold_record(other));
            let (hearsay, tellers) = hearsay.map(|(other, peer)| (other.clone(), peer.told_by.clone()))?;
            self.retire(hearsay.clone());
            evicted = Some((hearsay, tellers));
        }
        self.record(name, limits).map(|_| evicted)
    }

    /// Whether a record was dropped since this was asked last.
    pub(super) fn has_dropped(&mut self) -> bool {
        std::mem::take(&mut self.dropped)
    }

    /// A neighbour tells a name.
    pub(super) fn tell(&mut self, name: &NodeName, by: &NodeName, limits: Limits) -> bool {
        let Some(record) = self.record(name, limits) else { return false };
        record.told_by.insert(by.clone());
        self.hearsay = true;
        true
    }

    /// A neighbour tells these names no more; which of them it had told.
    pub(super) fn untell(&mut self, by: &NodeName, which: impl Fn(&NodeName) -> bool) -> Vec<NodeName> {
        // All records are looked at, and where all are linked with all there is no hearsay.
        if !self.hearsay {
            return Vec::new();
        }
        self.hearsay = false;
        let mut untold = Vec::new();
        for (name, record) in &mut self.records {
            if which(name) && record.told_by.remove(by) {
                untold.push(name.clone());
            }
            self.hearsay |= !record.told_by.is_empty();
        }
        self.released.extend_from_slice(&untold);
        untold
    }

    /// Whether any neighbour tells any name.
    pub(super) fn has_hearsay(&mut self) -> bool {
        self.hearsay = self.hearsay && self.records.values().any(|record| !record.told_by.is_empty());
        self.hearsay
    }

    /// Something that kept the record of that name has ended.
    pub(super) fn release(&mut self, name: &NodeName) {
        self.released.push(name.clone());
    }

    /// Retires the names that are neither linked, wanted nor about to be linked.
    pub(super) fn tidy(&mut self, limits: Limits, conns: &mut Conns) {
        let mut released = std::mem::take(&mut self.released);
        released.extend(conns.take_removed());
        for name in released {
            if self.get(&name).is_some_and(Peer::is_idle) && !conns.hold_record(&name) {
                self.retire(name);
            }
        }
        while self.retired.len() > limits.max_peers.saturating_mul(Limits::SEEN_FACTOR) {
            self.retired.pop_front();
        }
    }

    /// Drops a record; what outlives it is retired, not lost.
    fn retire(&mut self, name: NodeName) {
        let memory = self.records.remove(&name).map(|peer| peer.memory);
        self.dropped = true;
        self.retired.extend(memory.filter(|memory| memory.seen.is_some()).map(|memory| (name, memory)));
    }

    /// Drops all memory of a name that is not in use.
    pub(super) fn expire(&mut self, name: &NodeName) {
        self.dropped |= self.records.remove(name).is_some();
        self.retired.retain(|(other, _)| other != name);
    }

    /// No record outlives its use, and no hearsay is overlooked.
    #[cfg(any(test, feature = "model"))]
    pub(super) fn assert_what_is_held_twice(&self, conns: &Conns) {
        for (name, peer) in self.iter() {
            assert!(!peer.is_idle() || conns.hold_record(name), "{name} is kept for nothing: {self:?}");
            assert!(self.hearsay || peer.told_by.is_empty(), "{name} is hearsay: {self:?}");
        }
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.records.len(), self.retired.len())
    }
}
