//! What the servers send each other: counts of slots, and voices of members. Both are packed into integers, since
//! millions of states hold them.

use std::fmt;

pub(crate) const PRODUCERS: usize = 2;
/// Two epochs of each producer.
const SLOTS: usize = 2 * PRODUCERS;

/// The place of one producer's pings in one epoch of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) producer: u8,
    pub(crate) epoch: u8,
}

impl Slot {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..2).flat_map(|epoch| (0..PRODUCERS as u8).map(move |producer| Self { producer, epoch }))
    }

    fn index(self) -> usize {
        usize::from(self.producer) + PRODUCERS * usize::from(self.epoch)
    }
}

/// A count for each slot, a byte each.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Counts(u32);

impl Counts {
    pub(crate) fn only(slot: Slot, count: u8) -> Self {
        Self::default().with(slot, count)
    }

    pub(crate) fn of(self, slot: Slot) -> u8 {
        self.bytes()[slot.index()]
    }

    pub(crate) fn with(self, slot: Slot, count: u8) -> Self {
        let mut bytes = self.bytes();
        bytes[slot.index()] = count;
        Self(u32::from_le_bytes(bytes))
    }

    /// The greater count of each slot (P1).
    pub(crate) fn merge(self, other: Self) -> Self {
        let (one, other) = (self.bytes(), other.bytes());
        Self(u32::from_le_bytes(std::array::from_fn(|slot| one[slot].max(other[slot]))))
    }

    pub(crate) fn holds(self, other: Self) -> bool {
        self.merge(other) == self
    }

    /// The value of each producer: the sum over its epochs.
    pub(crate) fn values(self) -> [u8; PRODUCERS] {
        let bytes = self.bytes();
        std::array::from_fn(|producer| bytes[producer] + bytes[producer + PRODUCERS])
    }

    /// With the two producers in each other's place.
    pub(crate) fn exchanged(self) -> Self {
        let [a, b, later_a, later_b] = self.bytes();
        Self(u32::from_le_bytes([b, a, later_b, later_a]))
    }

    pub(crate) fn bits(self) -> u64 {
        u64::from(self.0)
    }

    fn bytes(self) -> [u8; SLOTS] {
        self.0.to_le_bytes()
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}

/// The highest epoch of each member that is known, four bits each; 0 is none. A member knows its own.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Known(u32);

impl Known {
    const BITS: usize = 4;

    pub(crate) fn only(member: usize, epoch: u8) -> Self {
        Self(u32::from(epoch) << (member * Self::BITS))
    }

    /// This epoch, or a higher one that is known already.
    pub(crate) fn with(self, member: usize, epoch: u8) -> Self {
        self.merge(Self::only(member, epoch))
    }

    pub(crate) fn of(self, member: usize) -> u8 {
        (self.0 >> (member * Self::BITS) & 15) as u8
    }

    pub(crate) fn merge(self, other: Self) -> Self {
        let greatest = |member| Self::only(member, self.of(member).max(other.of(member))).0;
        Self((0..8).map(greatest).sum())
    }

    /// Each member under its new name.
    pub(crate) fn renamed(self, names: &[u8]) -> Self {
        let places = names.iter().enumerate();
        Self(places.map(|(member, name)| Self::only(usize::from(*name), self.of(member)).0).sum())
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// What a member says with every vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Voice {
    pub(crate) member: u8,
    pub(crate) epoch: u8,
    pub(crate) known: Known,
}

impl Voice {
    /// Crash-consistent: neither was heard before the other lost its store, as far as they know.
    pub(crate) fn is_consistent(&self, other: &Self) -> bool {
        let knows = |one: &Self, other: &Self| one.known.of(usize::from(other.member)) <= other.epoch;
        knows(self, other) && knows(other, self)
    }

    pub(crate) fn renamed(self, names: &[u8]) -> Self {
        Self { member: names[usize::from(self.member)], epoch: self.epoch, known: self.known.renamed(names) }
    }
}

/// Votes of members that would no longer say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Voices(Vec<Voice>);

impl Voices {
    /// Of one life of a member the first vote is enough: it knows least, so it agrees with whatever a later one does.
    pub(crate) fn note(&mut self, voice: Voice) {
        if !self.0.iter().any(|before| (before.member, before.epoch) == (voice.member, voice.epoch)) {
            self.0.push(voice);
            self.0.sort_unstable();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Voice> {
        self.0.iter()
    }

    pub(crate) fn rename(&mut self, names: &[u8]) {
        for voice in &mut self.0 {
            *voice = voice.renamed(names);
        }
        self.0.sort_unstable();
    }
}

/// Most voices that are ever compared: of each member one, and one of each earlier life.
const MOST: usize = 16;

/// Whether so many of the voices, of different members, are consistent with each other.
pub(crate) fn is_quorum(
    voices: impl Iterator<Item = Voice>,
    quorum: usize,
    consistent: fn(&Voice, &Voice) -> bool,
) -> bool {
    let mut heard = [Voice { member: 0, epoch: 0, known: Known::default() }; MOST];
    // With whom of the earlier ones each goes together.
    let mut partners = [0_u16; MOST];
    let mut count = 0;
    for voice in voices {
        for (at, other) in heard[..count].iter().enumerate() {
            if other.member != voice.member && consistent(other, &voice) {
                partners[count] |= 1 << at;
            }
        }
        heard[count] = voice;
        count += 1;
        if grows(&partners, partners[count - 1], quorum - 1) {
            return true;
        }
    }
    false
}

/// Whether so many of the candidates go together.
fn grows(partners: &[u16; MOST], candidates: u16, wanted: usize) -> bool {
    let members = || (0..MOST).filter(|at| candidates & 1 << at != 0);
    wanted == 0 || members().any(|at| grows(partners, candidates & partners[at], wanted - 1))
}
