//! What may happen next in a cluster, and what comes of it.

use crate::cluster::{Cluster, Level, Reader, Reply, Standing, State, Step};
use crate::counts::{Slot, is_quorum};
use crate::promises;
use crate::rules::Rule;
use stateright::{Model, Property};

impl<const N: usize> Model for Cluster<N> {
    type State = State<N>;
    type Action = Step;

    fn init_states(&self) -> Vec<State<N>> {
        vec![self.first()]
    }

    fn actions(&self, state: &State<N>, steps: &mut Vec<Step>) {
        self.producers_may(state, steps);
        for member in 0..N {
            self.member_may(state, member, steps);
        }
        for reader in 0..self.reads {
            self.reader_may(state, reader, steps);
        }
    }

    fn next_state(&self, last: &State<N>, step: Step) -> Option<State<N>> {
        let mut state = last.clone();
        match step {
            Step::Ping(producer) => self.ping(&mut state, producer),
            Step::Acknowledged(producer) => self.acknowledge(&mut state, producer),
            Step::SyncProducer(producer) => state.producers[producer].synced = state.producers[producer].count,
            Step::CrashProducer(producer) => Self::crash_producer(&mut state, producer),
            Step::LoseProducer => Self::lose_producer(&mut state),
            Step::LoseProducerAndAsk(asked) => Self::lose_producer_and_ask(&mut state, asked),
            Step::RollBack { to, .. } => self.roll_back(&mut state, to),
            Step::Hold { member, slot, count } => self.hold(&mut state, member, slot, count),
            Step::SyncMember(member) => {
                let published = state.members[member].published;
                state.members[member].store.commit(published);
            }
            Step::CrashMember(member) => Self::crash_member(&mut state, member),
            Step::LoseMember(member) => self.lose_member(&mut state, member, false),
            Step::LoseMemberAndClock(member) => self.lose_member(&mut state, member, true),
            Step::InitMember(member) => self.init_member(&mut state, member),
            Step::Recover { member, asked } => self.recover(&mut state, member, asked),
            Step::Recovered(member) => Self::recovered(&mut state, member),
            Step::Read { reader, question, member } => self.read(&mut state, reader, question, member),
            Step::ReadMore { reader, member, last } => self.reply(&mut state, reader, member, last),
            Step::Answered(reader) => self.answer(&mut state, reader),
        }
        if self.effort.returns_at_once {
            self.return_all(&mut state);
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::of_clusters(self)
    }
}

impl<const N: usize> Cluster<N> {
    fn producers_may(&self, state: &State<N>, steps: &mut Vec<Step>) {
        for (at, producer) in state.producers.iter().enumerate() {
            match &producer.ping {
                None if producer.left > 0 => steps.push(Step::Ping(at)),
                Some(votes) if self.is_at_quorum(state, producer.wanted(), votes) => steps.push(Step::Acknowledged(at)),
                _ => {}
            }
            let unsynced = producer.count != producer.synced;
            if unsynced {
                steps.push(Step::SyncProducer(at));
            }
            if state.left.producer_crashes > 0 && (producer.ping.is_some() || unsynced) {
                steps.push(Step::CrashProducer(at));
            }
        }
        let first = &state.producers[0];
        if state.left.producer_losses > 0 && first.count > 0 {
            if self.rules.has(Rule::NewSlot) {
                steps.push(Step::LoseProducer);
            } else {
                let active = state.active().fold(0_u16, |active, (member, _)| active | 1 << member);
                let quorums = (0..1_u16 << N).filter(|asked| asked.count_ones() as usize == Self::QUORUM);
                steps.extend(quorums.filter(|asked| asked & !active == 0).map(Step::LoseProducerAndAsk));
            }
        }
        if state.left.rollbacks > 0 {
            for (more_at, member) in state.active() {
                let less = 0..first.synced.min(member.published.of(first.slot));
                steps.extend(less.map(|to| Step::RollBack { to, more_at }));
            }
        }
    }

    fn member_may(&self, state: &State<N>, at: usize, steps: &mut Vec<Step>) {
        let member = &state.members[at];
        match &member.standing {
            Standing::Active => {
                for slot in Slot::all() {
                    let (have, cast) = (member.published.of(slot), state.cast.of(slot));
                    let counts = (have + 1..=cast).filter(|count| count % self.weight(slot.producer) == 0);
                    steps.extend(counts.map(|count| Step::Hold { member: at, slot, count }));
                }
                if state.left.member_losses > 0 {
                    steps.push(Step::LoseMember(at));
                    if self.clock_back {
                        steps.push(Step::LoseMemberAndClock(at));
                    }
                }
            }
            Standing::Recovering(told) | Standing::Fresh(told) => {
                let answers = |asked: &usize| *asked != at && self.answers_recovery(state, at, *asked);
                steps.extend((0..N).filter(answers).map(|asked| Step::Recover { member: at, asked }));
                if is_quorum(
                    told.voices.iter().flatten().copied(),
                    self.others_asked(&member.standing),
                    self.consistent(),
                ) {
                    steps.push(Step::Recovered(at));
                }
            }
        }
        if state.left.inits > 0 && !matches!(member.standing, Standing::Recovering(_)) {
            steps.push(Step::InitMember(at));
        }
        if member.published != member.store.counts {
            steps.push(Step::SyncMember(at));
            if state.left.member_crashes > 0 {
                steps.push(Step::CrashMember(at));
            }
        }
    }

    fn reader_may(&self, state: &State<N>, at: usize, steps: &mut Vec<Step>) {
        match &state.readers[at] {
            Reader::Idle if at == 0 || state.readers[at - 1] != Reader::Idle => {
                for (member, _) in state.active() {
                    let questions = self.questions.iter();
                    steps.extend(questions.map(|question| Step::Read { reader: at, question: *question, member }));
                }
            }
            Reader::Collects { replies, .. } => {
                let have = 1 + replies.iter().filter(|reply| **reply != Reply::None).count();
                for (member, asked) in state.active() {
                    let again = Reply::Kept(asked.published, asked.voice(member));
                    if self.asks_again() && replies[member] != again {
                        steps.push(Step::ReadMore { reader: at, member, last: false });
                    } else if !self.asks_again() && replies[member] == Reply::None {
                        let ends = [true, false].into_iter();
                        let ends = ends.filter(|last| if *last { have >= Self::QUORUM } else { have < N });
                        steps.extend(ends.map(|last| Step::ReadMore { reader: at, member, last }));
                    }
                }
            }
            Reader::WritesBack { counts, votes, .. } if self.is_at_quorum(state, *counts, votes) => {
                steps.push(Step::Answered(at));
            }
            _ => {}
        }
    }

    /// A snapshot is asked for until it is stable.
    pub(crate) fn asks_again(&self) -> bool {
        self.level == Level::Snapshot && self.rules.has(Rule::Identical)
    }
}
