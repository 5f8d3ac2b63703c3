//! What readers do, and when operations return.

use crate::cluster::{Cluster, Level, Reader, Reply, State};
use crate::counts::{Counts, Voice, is_quorum};
use crate::monitor::Question;
use crate::rules::Rule;

impl<const N: usize> Cluster<N> {
    pub(crate) fn read(&self, state: &mut State<N>, at: usize, question: Question, member: usize) {
        let floor = state.acknowledged.merge(state.answered);
        let floor = if self.effort.floors { floor } else { Counts::default() };
        state.readers[at] = Reader::Collects { question, floor, counts: Counts::default(), replies: [Reply::None; N] };
        state.history.start_read(at, question);
        self.reply(state, at, member, false);
    }

    /// A member's answer, perhaps the last one that the reader waits for.
    pub(crate) fn reply(&self, state: &mut State<N>, at: usize, member: usize, last: bool) {
        let (published, voice) = (state.members[member].published, state.members[member].voice(member));
        let Reader::Collects { question, floor, counts, replies } = &mut state.readers[at] else {
            return;
        };
        *counts = counts.merge(published);
        replies[member] = if self.compares() { Reply::Kept(published, voice) } else { Reply::Merged };
        let (question, floor, counts) = (*question, *floor, *counts);
        let same = if self.compares() { self.held_identically(replies) } else { None };
        let answer = match self.level {
            Level::Snapshot if self.rules.has(Rule::Identical) => same,
            _ if !last => return,
            _ if !self.rules.has(Rule::WriteBack) => Some(counts),
            _ => same.filter(|same| *same == counts),
        };
        if answer.is_some() || !self.asks_again() {
            let counts = answer.unwrap_or(counts);
            state.readers[at] = Reader::WritesBack { question, floor, counts, votes: Default::default() };
        }
        if answer.is_some() {
            self.answer(state, at);
        }
    }

    fn compares(&self) -> bool {
        self.asks_again() || self.level == Level::Majority { unless_same: true }
    }

    /// The counts that a crash-consistent quorum replied with.
    fn held_identically(&self, replies: &[Reply; N]) -> Option<Counts> {
        let held = |reply: &Reply| if let Reply::Kept(counts, voice) = *reply { Some((counts, voice)) } else { None };
        let same = |wanted: Counts| -> bool {
            let voices = replies.iter().filter_map(held).filter(|(counts, _)| *counts == wanted);
            is_quorum(voices.map(|(_, voice): (Counts, Voice)| voice), Self::QUORUM, self.consistent())
        };
        replies.iter().filter_map(held).map(|(counts, _)| counts).find(|counts| same(*counts))
    }

    pub(crate) fn answer(&self, state: &mut State<N>, at: usize) {
        let before = std::mem::replace(&mut state.readers[at], Reader::Done);
        if let Reader::WritesBack { question, floor, counts, .. } = before {
            state.went_back |= !counts.holds(floor);
            if self.effort.floors {
                state.answered = state.answered.merge(counts);
            }
            state.history.end_read(at, question, question.answer(counts.values()));
        }
    }

    /// Whatever can return does.
    pub(crate) fn return_all(&self, state: &mut State<N>) {
        for at in 0..state.producers.len() {
            let producer = &state.producers[at];
            if producer.ping.as_ref().is_some_and(|votes| self.is_at_quorum(state, producer.wanted(), votes)) {
                self.acknowledge(state, at);
            }
        }
        for at in 0..self.reads {
            if let Reader::WritesBack { counts, votes, .. } = &state.readers[at]
                && self.is_at_quorum(state, *counts, votes)
            {
                self.answer(state, at);
            }
        }
    }
}
