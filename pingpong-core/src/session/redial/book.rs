//! Where the names are that this node wants to be linked with (N17). Each source of addresses is kept apart from the
//! others: what a neighbour told is never passed on, and goes when the last neighbour that told it does.

use super::pace::Pace;
use crate::address::Address;
use crate::name::NodeName;
use crate::session::MAX_ADDRESSES;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A name that is linked, or that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) linked: bool,
    /// What is left of the links that there were; none if the name was only told.
    pub(super) known: Option<Known>,
    /// Where a dial of this node last reached the name.
    pub(super) reached: Option<Address>,
    told: BTreeMap<NodeName, BTreeSet<Address>>,
    pub(super) pace: Pace,
    turn: usize,
}

/// What a link leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// When the link was last seen.
    pub(super) since: Duration,
    /// The addresses of the name's own `Hello`.
    pub(super) own: Vec<Address>,
}

impl Wanted {
    pub(super) fn new(pace: Pace) -> Self {
        Self { linked: false, known: None, reached: None, told: BTreeMap::new(), pace, turn: 0 }
    }

    /// Keeps what a neighbour tells, in place of what it told before. True if this is news.
    pub(super) fn tell(&mut self, by: &NodeName, addresses: &[Address]) -> bool {
        let addresses: BTreeSet<_> = addresses.iter().take(MAX_ADDRESSES).cloned().collect();
        let before = self.told.insert(by.clone(), addresses);
        match (&before, self.told.get(by)) {
            (Some(before), Some(after)) => !after.is_subset(before),
            _ => true,
        }
    }

    /// This neighbour tells the name no more.
    pub(super) fn untell(&mut self, by: &NodeName) {
        self.told.remove(by);
    }

    /// It is linked: what it says itself counts from now on.
    pub(super) fn untell_all(&mut self) {
        self.told.clear();
    }

    /// A neighbour tells it.
    pub(super) fn is_told(&self) -> bool {
        !self.told.is_empty()
    }

    /// Nothing speaks for this name any more.
    pub(super) fn is_idle(&self) -> bool {
        !self.linked && self.known.is_none() && self.told.is_empty()
    }

    /// No link and nothing else to dial it for than a neighbour's word.
    pub(super) fn is_told_only(&self) -> bool {
        !self.linked && self.known.is_none()
    }

    /// True if there is an address beside those of the seeds.
    pub(super) fn has_addresses(&self) -> bool {
        let known = self.known.as_ref().is_some_and(|known| !known.own.is_empty());
        known || self.reached.is_some() || self.told.values().any(|addresses| !addresses.is_empty())
    }

    /// Every address once: seeds, last known, told.
    pub(super) fn addresses(&self, seeds: impl Iterator<Item = Address>) -> Vec<Address> {
        let known = self.reached.iter().chain(self.known.iter().flat_map(|known| &known.own)).cloned();
        let mut seen = BTreeSet::new();
        seeds.chain(known).chain(self.told_addresses()).filter(|address| seen.insert(address.clone())).collect()
    }

    /// Those that most neighbours tell, so that one neighbour's inventions cannot crowd out what two others agree on.
    fn told_addresses(&self) -> Vec<Address> {
        let mut tellers: BTreeMap<&Address, usize> = BTreeMap::new();
        for address in self.told.values().flatten() {
            *tellers.entry(address).or_default() += 1;
        }
        let mut addresses: Vec<_> = tellers.into_iter().collect();
        addresses.sort_by_key(|(_, tellers)| Reverse(*tellers));
        addresses.truncate(MAX_ADDRESSES);
        addresses.into_iter().map(|(address, _)| address.clone()).collect()
    }

    /// The address whose turn it is.
    pub(super) fn next_address(&mut self, seeds: impl Iterator<Item = Address>) -> Option<Address> {
        let mut addresses = self.addresses(seeds);
        if addresses.is_empty() {
            return None;
        }
        let turn = self.turn % addresses.len();
        self.turn = turn + 1;
        Some(addresses.swap_remove(turn))
    }

    /// After a link the turn begins anew.
    pub(super) fn first_address_next(&mut self) {
        self.turn = 0;
    }
}

/// An address of this node's own configuration. It is dialled for ever, whoever answers there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seed {
    /// Who answered there last.
    pub(super) leads_to: Option<NodeName>,
    /// For the time when no wanted name stands behind it; else it has its turn among that name's addresses.
    pub(super) pace: Pace,
    /// A dial of it has ended, whatever came of it.
    pub(super) tried: bool,
}
