//! What producers and members do.

use crate::cluster::{Cluster, Member, Reader, Recovery, Standing, State, Store};
use crate::counts::{Counts, Known, Slot, Voice, Voices, is_quorum};
use crate::rules::Rule;

impl<const N: usize> Cluster<N> {
    pub(crate) fn ping(&self, state: &mut State<N>, at: usize) {
        let producer = &mut state.producers[at];
        producer.left -= 1;
        producer.count += self.weight(at as u8);
        if self.rules.has(Rule::SyncBeforeCast) {
            producer.synced = producer.count;
        }
        producer.ping = Some(Voices::default());
        state.cast = state.cast.merge(producer.wanted());
        state.history.start_ping(at);
    }

    pub(crate) fn acknowledge(&self, state: &mut State<N>, at: usize) {
        let producer = &mut state.producers[at];
        producer.ping = None;
        state.acknowledged = state.acknowledged.merge(producer.wanted());
        state.owed[at] += self.weight(at as u8);
        state.history.end_ping(at);
    }

    /// Nobody waits any more for the ping in progress, if there is one.
    fn orphan(state: &mut State<N>, at: usize) {
        if state.producers[at].ping.take().is_some() {
            state.history.orphan(at);
        }
    }

    pub(crate) fn crash_producer(state: &mut State<N>, at: usize) {
        state.left.producer_crashes -= 1;
        Self::orphan(state, at);
        state.producers[at].count = state.producers[at].synced;
    }

    pub(crate) fn lose_producer(state: &mut State<N>) {
        state.left.producer_losses -= 1;
        Self::orphan(state, 0);
        Self::open_slot(state);
    }

    fn open_slot(state: &mut State<N>) {
        let producer = &mut state.producers[0];
        producer.slot = Slot { epoch: producer.slot.epoch + 1, ..producer.slot };
        (producer.count, producer.synced) = (0, 0);
    }

    pub(crate) fn lose_producer_and_ask(state: &mut State<N>, asked: u16) {
        state.left.producer_losses -= 1;
        Self::orphan(state, 0);
        let slot = state.producers[0].slot;
        let counts = state.active().filter(|(member, _)| asked & 1 << member != 0);
        let count = counts.map(|(_, member)| member.store.counts.of(slot)).max().unwrap_or_default();
        let producer = &mut state.producers[0];
        (producer.count, producer.synced) = (count, count);
    }

    pub(crate) fn roll_back(&self, state: &mut State<N>, to: u8) {
        state.left.rollbacks -= 1;
        Self::orphan(state, 0);
        if self.rules.has(Rule::StoreIsOlder) {
            Self::open_slot(state);
        } else {
            let producer = &mut state.producers[0];
            (producer.count, producer.synced) = (to, to);
        }
    }

    pub(crate) fn hold(&self, state: &mut State<N>, at: usize, slot: Slot, count: u8) {
        let member = &mut state.members[at];
        member.published = member.published.with(slot, count);
        if self.rules.has(Rule::SyncBeforeVoice) {
            member.store.commit(member.published);
        }
    }

    pub(crate) fn crash_member(state: &mut State<N>, at: usize) {
        state.left.member_crashes -= 1;
        Self::leave_votes(state, at);
        state.members[at].published = state.members[at].store.counts;
    }

    pub(crate) fn lose_member(&self, state: &mut State<N>, at: usize, clock: bool) {
        state.left.member_losses -= 1;
        let epoch = if clock { 1 } else { state.members[at].epoch + 1 };
        let recovers = self.rules.has(Rule::Recovers);
        Self::begin_anew(state, at, epoch, recovers.then_some(Standing::Recovering));
    }

    pub(crate) fn init_member(&self, state: &mut State<N>, at: usize) {
        state.left.inits -= 1;
        let epoch = state.members[at].epoch + 1;
        let asks = self.rules.has(Rule::InitAsks);
        Self::begin_anew(state, at, epoch, asks.then_some(Standing::Fresh));
    }

    fn begin_anew(state: &mut State<N>, at: usize, epoch: u8, asks: Option<fn(Recovery<N>) -> Standing<N>>) {
        Self::leave_votes(state, at);
        let known = Known::only(at, epoch);
        let standing = asks.map_or(Standing::Active, |asks| asks(Recovery::new(known)));
        state.members[at] = Member { store: Store::default(), published: Counts::default(), epoch, known, standing };
    }

    /// Whether asking that member brings anything. Who recovers needs answers of members that vote; who asks whether its name is
    /// new takes them from all.
    pub(crate) fn answers_recovery(&self, state: &State<N>, at: usize, asked: usize) -> bool {
        let (member, other) = (&state.members[at], &state.members[asked]);
        let mut voice = other.voice(asked);
        voice.known = voice.known.with(at, member.epoch);
        match &member.standing {
            Standing::Active => false,
            Standing::Recovering(told) => other.votes() && told.voices[asked] != Some(voice),
            Standing::Fresh(told) => told.voices[asked] != Some(voice),
        }
    }

    /// The announcement of a member is answered (P23), and refused if its store should be older than it is (P25).
    pub(crate) fn recover(&self, state: &mut State<N>, at: usize, asked: usize) {
        let (epoch, knew) = (state.members[at].epoch, state.members[asked].known.of(at));
        let fresh = matches!(state.members[at].standing, Standing::Fresh(_));
        if knew > epoch && self.rules.has(Rule::EpochAbove) || fresh && knew != 0 && knew != epoch {
            Self::recover_anew(&mut state.members[at], at, epoch.max(knew + 1));
            return;
        }
        if knew < epoch {
            Self::leave_votes(state, asked);
            state.members[asked].known = state.members[asked].known.with(at, epoch);
        }
        let (counts, voice) = (state.members[asked].store.counts, state.members[asked].voice(asked));
        if let Standing::Recovering(told) | Standing::Fresh(told) = &mut state.members[at].standing {
            told.counts = told.counts.merge(counts);
            told.known = told.known.merge(voice.known);
            told.voices[asked] = Some(voice);
        }
    }

    /// The member announces itself under a higher epoch, on the store that it has.
    fn recover_anew(member: &mut Member<N>, at: usize, epoch: u8) {
        member.epoch = epoch;
        member.known = member.known.with(at, epoch);
        member.standing = Standing::Recovering(Recovery::new(member.known));
    }

    /// How many others a member needs answers from.
    pub(crate) fn others_asked(&self, standing: &Standing<N>) -> usize {
        let rule = if matches!(standing, Standing::Fresh(_)) { Rule::InitAsksQuorum } else { Rule::QuorumOfOthers };
        if self.rules.has(rule) { Self::QUORUM } else { Self::QUORUM - 1 }
    }

    pub(crate) fn recovered(state: &mut State<N>, at: usize) {
        let member = &mut state.members[at];
        if let Standing::Recovering(told) | Standing::Fresh(told) = member.standing {
            member.store.commit(told.counts);
            member.published = told.counts;
            member.known = member.known.merge(told.known);
            member.standing = Standing::Active;
        }
    }

    /// A member is about to vote otherwise: whatever it could have said until now is on its way.
    fn leave_votes(state: &mut State<N>, at: usize) {
        let member = &state.members[at];
        if !member.votes() {
            return;
        }
        let voice = member.voice(at);
        for producer in &mut state.producers {
            let wanted = producer.wanted();
            if let Some(votes) = producer.ping.as_mut().filter(|_| member.published.holds(wanted)) {
                votes.note(voice);
            }
        }
        for reader in &mut state.readers {
            if let Reader::WritesBack { counts, votes, .. } = reader
                && member.published.holds(*counts)
            {
                votes.note(voice);
            }
        }
    }

    pub(crate) fn consistent(&self) -> fn(&Voice, &Voice) -> bool {
        if self.rules.has(Rule::Voices) { Voice::is_consistent } else { |_, _| true }
    }

    /// Whether a quorum has voted for these counts, with what members say now or said before.
    pub(crate) fn is_at_quorum(&self, state: &State<N>, counts: Counts, votes: &Voices) -> bool {
        let now = state.active().filter(|(_, member)| member.published.holds(counts));
        let now = now.map(|(at, member)| member.voice(at));
        is_quorum(votes.iter().copied().chain(now), Self::QUORUM, self.consistent())
    }
}
