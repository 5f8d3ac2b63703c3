//! Members are alike, and so are readers: of states that differ in their names alone, one is explored.

use crate::cluster::{Cluster, Reader, Reply, Standing, State};
use crate::counts::{Counts, Voice, Voices};
use crate::monitor::READERS;
use crate::run::{Check, Symmetry};

impl<const N: usize> Check for Cluster<N> {
    fn symmetry(&self) -> Option<Symmetry<State<N>>> {
        let alike: Symmetry<State<N>> =
            if self.has_like_producers() { State::canonical_of_both } else { State::canonical };
        // To stateright's tester clients have names.
        (!self.effort.compared).then_some(alike)
    }
}

impl<const N: usize> State<N> {
    /// The state with members and readers in an order of their own. Members that look alike and are not are left in the order in
    /// which they are: then a state is explored twice, which costs time alone.
    pub(crate) fn canonical(&self) -> Self {
        let mut order: [(u64, u8); N] = std::array::from_fn(|at| (self.looks(at), at as u8));
        order.sort_unstable();
        let mut names = [0; N];
        for (name, (_, at)) in order.iter().enumerate() {
            names[usize::from(*at)] = name as u8;
        }
        let mut state = self.clone();
        if !names.is_sorted() {
            state.rename(&names);
        }
        state.sort_readers();
        state
    }

    /// The same where the producers are alike too.
    pub(crate) fn canonical_of_both(&self) -> Self {
        if self.looks_of_producer(0) <= self.looks_of_producer(1) {
            return self.canonical();
        }
        let mut state = self.clone();
        state.exchange_producers();
        state.canonical()
    }

    /// What tells a producer from the other one.
    fn looks_of_producer(&self, at: usize) -> u64 {
        let seen = |counts: Counts| if at == 0 { counts.bits() } else { counts.exchanged().bits() };
        let producer = &self.producers[at];
        let own = [producer.count, producer.synced, producer.left, u8::from(producer.ping.is_some())];
        let mut looks = mix(mix(u64::from(u32::from_le_bytes(own))) ^ seen(self.cast) << 32 ^ seen(self.acknowledged));
        for member in &self.members {
            let told = if let Standing::Recovering(told) = &member.standing { seen(told.counts) } else { 0 };
            looks = looks.wrapping_add(mix(mix(seen(member.published) << 32 ^ seen(member.store.counts)) ^ told));
        }
        for reader in &self.readers {
            if let Reader::Collects { counts, .. } | Reader::WritesBack { counts, .. } = reader {
                looks = looks.wrapping_add(mix(seen(*counts)));
            }
        }
        looks
    }

    pub(crate) fn exchange_producers(&mut self) {
        self.producers.swap(0, 1);
        self.owed.swap(0, 1);
        for (at, producer) in self.producers.iter_mut().enumerate() {
            producer.slot.producer = at as u8;
        }
        for counts in [&mut self.cast, &mut self.acknowledged, &mut self.answered] {
            *counts = counts.exchanged();
        }
        for member in &mut self.members {
            member.published = member.published.exchanged();
            member.store.commit(member.store.counts.exchanged());
            if let Standing::Recovering(told) | Standing::Fresh(told) = &mut member.standing {
                told.counts = told.counts.exchanged();
            }
        }
        for reader in &mut self.readers {
            if let Reader::Collects { floor, counts, .. } | Reader::WritesBack { floor, counts, .. } = reader {
                (*floor, *counts) = (floor.exchanged(), counts.exchanged());
            }
            if let Reader::Collects { replies, .. } = reader {
                for reply in replies {
                    if let Reply::Kept(counts, _) = reply {
                        *counts = counts.exchanged();
                    }
                }
            }
        }
        self.history.monitor.edit().exchange_producers();
    }

    /// What tells a member from others, whatever they are called.
    fn looks(&self, at: usize) -> u64 {
        let member = &self.members[at];
        let counts = member.published.bits() << 32 | member.store.counts.bits();
        let (standing, told) = match &member.standing {
            Standing::Active => (0, None),
            Standing::Recovering(told) => (1, Some(told)),
            Standing::Fresh(told) => (2, Some(told)),
        };
        let mut looks = mix(mix(counts) ^ u64::from(member.epoch) << 8 ^ standing);
        for (other_at, other) in self.members.iter().enumerate() {
            let knows = u64::from(member.known.of(other_at)) << 4 | u64::from(other.known.of(at));
            let mut relation = mix(other.published.bits() << 8 | knows);
            if let Some(told) = told {
                relation ^= mix(told.counts.bits() << 4 | u64::from(told.known.of(other_at)));
                relation = mix(relation ^ told.voices[other_at].map_or(0, looks_of));
            }
            if let Standing::Recovering(told) | Standing::Fresh(told) = &other.standing {
                relation = mix(relation ^ told.voices[at].map_or(1, looks_of) ^ u64::from(told.known.of(at)));
            }
            looks = looks.wrapping_add(relation);
        }
        for (producer_at, producer) in self.producers.iter().enumerate() {
            looks =
                looks.wrapping_add(producer.ping.as_ref().map_or(0, |votes| looks_in(votes, at) ^ producer_at as u64));
        }
        for reader in &self.readers {
            looks = looks.wrapping_add(match reader {
                Reader::Idle | Reader::Done => 0,
                Reader::Collects { counts, replies, .. } => match replies[at] {
                    Reply::None => 0,
                    Reply::Merged => mix(counts.bits()),
                    Reply::Kept(kept, voice) => mix(mix(counts.bits() << 32 | kept.bits()) ^ looks_of(voice)),
                },
                Reader::WritesBack { counts, votes, .. } => mix(counts.bits() ^ looks_in(votes, at)),
            });
        }
        looks
    }

    /// Each member is called by its new name.
    pub(crate) fn rename(&mut self, names: &[u8; N]) {
        let rename = |voice: Voice| voice.renamed(names);
        self.members = placed(&self.members, names);
        for member in &mut self.members {
            member.known = member.known.renamed(names);
            if let Standing::Recovering(told) | Standing::Fresh(told) = &mut member.standing {
                told.known = told.known.renamed(names);
                told.voices = placed(&told.voices, names).map(|voice| voice.map(rename));
            }
        }
        for votes in self.producers.iter_mut().filter_map(|producer| producer.ping.as_mut()) {
            votes.rename(names);
        }
        for reader in &mut self.readers {
            match reader {
                Reader::Idle | Reader::Done => {}
                Reader::Collects { replies, .. } => {
                    *replies = placed(replies, names).map(|reply| match reply {
                        Reply::Kept(counts, voice) => Reply::Kept(counts, rename(voice)),
                        Reply::None | Reply::Merged => reply,
                    });
                }
                Reader::WritesBack { votes, .. } => votes.rename(names),
            }
        }
    }

    fn sort_readers(&mut self) {
        if self.readers.is_sorted() {
            return;
        }
        let mut order: [usize; READERS] = std::array::from_fn(|at| at);
        order.sort_by(|one, other| self.readers[*one].cmp(&self.readers[*other]));
        self.place_readers(order);
    }

    /// At each place is the reader that was at that place of the order.
    pub(crate) fn place_readers(&mut self, order: [usize; READERS]) {
        self.readers = order.map(|from| self.readers[from].clone());
        self.history.monitor.edit().place_readers(order);
    }
}

fn placed<T: Copy, const N: usize>(values: &[T; N], names: &[u8; N]) -> [T; N] {
    let mut placed = *values;
    for (value, name) in values.iter().zip(names) {
        placed[usize::from(*name)] = *value;
    }
    placed
}

fn mix(bits: u64) -> u64 {
    let bits = (bits ^ bits >> 32).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits ^ bits >> 29
}

/// What a voice says of epochs, whoever they belong to.
fn looks_of(voice: Voice) -> u64 {
    let known = (0..8).map(|member| mix(u64::from(voice.known.of(member)) + 1));
    known.fold(u64::from(voice.epoch), u64::wrapping_add)
}

fn looks_in(votes: &Voices, at: usize) -> u64 {
    let own = votes.iter().filter(|vote| usize::from(vote.member) == at);
    own.map(|vote| mix(looks_of(*vote))).fold(0, u64::wrapping_add)
}
