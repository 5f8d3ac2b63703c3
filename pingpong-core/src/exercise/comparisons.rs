//! With which peers a consumer compares its counts, and which question to each is out. Pure: the consumer asks, and hands in what comes.
//!
//! A few at once, one question to each of them. The others wait, and have often nothing new any more when it is their turn.

use super::compare::Compare;
use super::digest::{Part, Sum};
use super::messages::AskConsumer;
use crate::name::NodeName;
use std::collections::{BTreeMap, VecDeque};

/// Peers with which it compares at once.
const AT_ONCE: usize = 16;
/// Parts whose sums are told at once.
pub(super) const MAX_CUTS: usize = 256;
/// Parts into which one is cut.
const FAN: usize = 16;

/// All comparisons of one consumer.
#[derive(Debug)]
pub(super) struct Comparisons {
    /// A part with so few slots is fetched rather than cut further.
    few: u32,
    /// Peers whose turn has not come, and what their counts came to when they last said so.
    waiting: VecDeque<(NodeName, Option<Sum>)>,
    running: BTreeMap<NodeName, Running>,
    /// The last question of any of them.
    questions: u64,
}

#[derive(Debug)]
struct Running {
    compare: Compare,
    /// The question that is out, and its number: an answer to an earlier one is of a session that is over.
    asked: AskConsumer,
    number: u64,
    /// How often it was asked before.
    before: u32,
    /// The peer has changed since, and is to be compared with once more.
    once_more: Option<Sum>,
}

/// What to ask a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) to: NodeName,
    pub(super) number: u64,
    pub(super) ask: AskConsumer,
}

impl Comparisons {
    /// None yet. So many slots are told without being asked for.
    pub(super) fn new(few_slots: u32) -> Self {
        // Half as many: some of a part that differs are the same.
        Self { few: few_slots / 2, waiting: VecDeque::new(), running: BTreeMap::new(), questions: 0 }
    }

    /// A peer's counts may be others than this node's.
    pub(super) fn add(&mut self, name: NodeName, sum: Option<Sum>) {
        if let Some(running) = self.running.get_mut(&name) {
            running.once_more = sum;
        } else if let Some(waiting) = self.waiting.iter_mut().find(|(waiting, _)| *waiting == name) {
            waiting.1 = sum;
        } else {
            self.waiting.push_back((name, sum));
        }
    }

    /// The first question to the next one whose turn it is, if any; this node's counts come to `mine`.
    pub(super) fn begin(&mut self, mine: impl Fn() -> Sum) -> Option<Question> {
        while self.running.len() < AT_ONCE
            && let Some((name, sum)) = self.waiting.pop_front()
        {
            let mut compare = Compare::new(self.few);
            if sum.is_none_or(|sum| sum != mine())
                && let Some(asked) = compare.next()
            {
                let running = Running { compare, asked, number: 0, before: 0, once_more: None };
                self.running.insert(name.clone(), running);
                return self.question(&name);
            }
        }
        None
    }

    /// The question to that peer, under a new number.
    fn question(&mut self, name: &NodeName) -> Option<Question> {
        let running = self.running.get_mut(name)?;
        self.questions += 1;
        running.number = self.questions;
        Some(Question { to: name.clone(), number: running.number, ask: running.asked.clone() })
    }

    /// Whether this question to that peer is out.
    pub(super) fn is_out(&self, name: &NodeName, number: u64) -> bool {
        self.running.get(name).is_some_and(|running| running.number == number)
    }

    /// The same question once more, if it is out still.
    pub(super) fn again(&mut self, name: &NodeName, number: u64) -> Option<Question> {
        if self.is_out(name, number) { self.question(name) } else { None }
    }

    /// It is to be asked again: how often it was before.
    pub(super) fn postpone(&mut self, name: &NodeName) -> u32 {
        let Some(running) = self.running.get_mut(name) else { return 0 };
        let before = running.before;
        running.before = before.saturating_add(1);
        before
    }

    /// The peer has said sums; `mine` are this node's of the same parts.
    pub(super) fn sums(
        &mut self,
        name: &NodeName,
        sums: Vec<(Part, Sum)>,
        mine: impl FnOnce(&[(Part, Sum)]) -> Vec<(Part, Sum)>,
    ) {
        let Some(Running { compare, asked: AskConsumer::Sums(asked), .. }) = self.running.get_mut(name) else {
            return;
        };
        if sums.len() > MAX_CUTS * FAN {
            return;
        }
        let mine: BTreeMap<Part, Sum> = mine(&sums).into_iter().collect();
        compare.compare(asked, sums, |part| mine.get(&part).copied().unwrap_or_default());
    }

    /// That question is answered: the next one. `None`: the comparison is over.
    pub(super) fn next(&mut self, name: &NodeName) -> Option<Question> {
        let running = self.running.get_mut(name)?;
        if let Some(next) = running.compare.next() {
            running.asked = next;
            running.before = 0;
            return self.question(name);
        }
        if let Some(once_more) = self.end(name) {
            self.waiting.push_back((name.clone(), Some(once_more)));
        }
        None
    }

    /// It comes to nothing; whether the peer has changed meanwhile.
    pub(super) fn end(&mut self, name: &NodeName) -> Option<Sum> {
        self.running.remove(name)?.once_more
    }

    /// The peer is down.
    pub(super) fn forget(&mut self, name: &NodeName) {
        self.waiting.retain(|(waiting, _)| waiting != name);
        self.running.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise::counts::Slot;
    use crate::exercise::digest::Digest;
    use crate::{Incarnation, NodeName};

    fn name(number: usize) -> NodeName {
        NodeName::new(&format!("n{number}")).unwrap()
    }

    fn sum(count: u64) -> Sum {
        let mut digest = Digest::new();
        let slot = Slot { producer: name(0), epoch: Incarnation::new(1, 1) };
        digest.change(&slot, None, Some(count));
        digest.root()
    }

    /// Whom it begins to ask.
    fn begun(comparisons: &mut Comparisons) -> Vec<String> {
        std::iter::from_fn(|| comparisons.begin(|| sum(1))).map(|question| question.to.to_string()).collect()
    }

    #[test]
    fn a_few_are_asked_at_once_and_the_next_when_one_is_over() {
        let mut comparisons = Comparisons::new(64);
        (0..AT_ONCE + 2).for_each(|number| comparisons.add(name(number), None));
        assert_eq!(begun(&mut comparisons), (0..AT_ONCE).map(|number| format!("n{number}")).collect::<Vec<_>>());
        assert_eq!(comparisons.next(&name(3)), None, "nothing differs");
        assert_eq!(begun(&mut comparisons), [format!("n{AT_ONCE}")]);
        comparisons.forget(&name(AT_ONCE + 1));
        comparisons.forget(&name(0));
        assert_eq!(begun(&mut comparisons), [""; 0], "the last one is down");
    }

    #[test]
    fn whoever_has_the_same_by_its_turn_is_not_asked() {
        let mut comparisons = Comparisons::new(64);
        comparisons.add(name(1), Some(sum(2)));
        comparisons.add(name(2), Some(sum(1)));
        comparisons.add(name(1), Some(sum(1)));
        assert_eq!(begun(&mut comparisons), [""; 0]);
    }

    #[test]
    fn whoever_changes_while_it_is_asked_is_asked_once_more() {
        let mut comparisons = Comparisons::new(64);
        comparisons.add(name(1), None);
        let first = comparisons.begin(|| sum(1)).unwrap();
        comparisons.add(name(1), Some(sum(7)));
        assert_eq!(begun(&mut comparisons), [""; 0], "one question at a time");
        assert_eq!(comparisons.next(&name(1)), None);
        let second = comparisons.begin(|| sum(1)).unwrap();
        assert!(second.number > first.number && second.to == name(1));
        assert_eq!(comparisons.next(&name(1)), None);
        assert_eq!(begun(&mut comparisons), [""; 0]);
    }

    #[test]
    fn answers_to_an_earlier_question_are_told_apart() {
        let mut comparisons = Comparisons::new(64);
        comparisons.add(name(1), None);
        let first = comparisons.begin(|| sum(1)).unwrap();
        assert_eq!((comparisons.postpone(&name(1)), comparisons.postpone(&name(1))), (0, 1));
        let again = comparisons.again(&name(1), first.number).unwrap();
        assert_eq!(again.ask, first.ask);
        assert!(!comparisons.is_out(&name(1), first.number) && comparisons.is_out(&name(1), again.number));
        assert_eq!(comparisons.again(&name(1), first.number), None);
        // The session ends, and another one begins.
        comparisons.forget(&name(1));
        comparisons.add(name(1), None);
        let other = comparisons.begin(|| sum(1)).unwrap();
        assert!(!comparisons.is_out(&name(1), again.number) && comparisons.is_out(&name(1), other.number));
    }
}
