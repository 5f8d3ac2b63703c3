//! Log lines that would repeat for as long as something is wrong: the first is written, the same again only now and then.
//!
//! Invariants: at most [`SUBJECTS`] subjects are remembered, and one that is gets at most one line in [`APART`], whatever peers do.

use std::collections::BTreeMap;
use std::time::Duration;

/// Where there are more, those are forgotten that were written longest ago.
const SUBJECTS: usize = 256;
const FORGOTTEN_AT_ONCE: usize = SUBJECTS / 8;
/// The shortest time between two lines about one subject.
const APART: Duration = Duration::from_secs(1);
/// When the same words about the same subject are written again.
const AGAIN: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(crate) struct Repeats {
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    words: String,
    written: Duration,
    left_out: u64,
}

impl Repeats {
    /// Whether to write these words about this subject now; `Some` says how many lines about it were left out since the last.
    pub(crate) fn write(&mut self, subject: &str, words: &str, now: Duration) -> Option<u64> {
        if !self.is_due(subject, words, now) {
            self.seen.entry(subject.to_owned()).and_modify(|seen| seen.left_out += 1);
            return None;
        }
        Some(self.written(subject, words, now))
    }

    /// The same for words that are a subject of their own, of which peers can make up as many as they like: all of that kind together
    /// get at most one line in [`APART`], too.
    pub(crate) fn write_one_of(&mut self, kind: &str, words: &str, now: Duration) -> Option<u64> {
        if !self.is_due(kind, words, now) || !self.is_due(words, "", now) {
            self.seen.entry(kind.to_owned()).and_modify(|seen| seen.left_out += 1);
            return None;
        }
        self.written(words, "", now);
        Some(self.written(kind, words, now))
    }

    fn is_due(&self, subject: &str, words: &str, now: Duration) -> bool {
        self.seen.get(subject).is_none_or(|seen| {
            let since = now.saturating_sub(seen.written);
            since >= APART && (seen.words != words || since >= AGAIN)
        })
    }

    /// How many lines about it were left out until now.
    fn written(&mut self, subject: &str, words: &str, now: Duration) -> u64 {
        let seen = Seen { words: words.to_owned(), written: now, left_out: 0 };
        if let Some(before) = self.seen.get_mut(subject) {
            return std::mem::replace(before, seen).left_out;
        }
        if self.seen.len() >= SUBJECTS {
            self.forget_old();
        }
        self.seen.insert(subject.to_owned(), seen);
        0
    }

    /// Some at once: to find the oldest one takes a look at all.
    fn forget_old(&mut self) {
        let mut old: Vec<(Duration, String)> = self.seen.iter().map(|(s, seen)| (seen.written, s.clone())).collect();
        old.sort_unstable();
        for (_, subject) in old.iter().take(FORGOTTEN_AT_ONCE) {
            self.seen.remove(subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_same_words_are_written_once_and_again_much_later() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.write("b", "refused", S), Some(0));
        for second in 2..600 {
            assert_eq!(repeats.write("b", "refused", second * S), None);
        }
        assert_eq!(repeats.write("b", "refused", 601 * S), Some(598));
        assert_eq!(repeats.write("d", "refused", 601 * S), Some(0), "each subject for itself");
    }

    #[test]
    fn new_words_are_written_but_not_in_a_flood() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.write("b", "expired", S), Some(0));
        assert_eq!(repeats.write("b", "another cluster", 2 * S), Some(0));
        let lines = (0..1_000).filter(|n| repeats.write("b", &n.to_string(), 3 * S + S / 1_000 * *n).is_some()).count();
        assert_eq!(lines, 1, "in a second");
    }

    #[test]
    fn words_that_peers_make_up_are_written_one_a_second_and_each_again_much_later() {
        let mut repeats = Repeats::default();
        let lines = (0..1_000).filter(|n| repeats.write_one_of("dials", &n.to_string(), S + S / 1_000 * *n).is_some());
        assert_eq!(lines.count(), 1, "in a second");
        assert_eq!(repeats.write_one_of("dials", "another", 3 * S), Some(999), "it was not said before");
        assert_eq!(repeats.write_one_of("dials", "0", 5 * S), None, "it was");
        assert_eq!(repeats.write_one_of("dials", "0", 602 * S), Some(1));
    }

    #[test]
    fn many_subjects_need_bounded_memory() {
        let mut repeats = Repeats::default();
        for n in 0..1_000_u32 {
            assert_eq!(repeats.write(&n.to_string(), "x", S * n), Some(0));
        }
        let kept = SUBJECTS - FORGOTTEN_AT_ONCE..=SUBJECTS;
        assert!(kept.contains(&repeats.seen.len()), "{}", repeats.seen.len());
        assert!((1_000 - kept.start()..1_000).all(|n| repeats.seen.contains_key(&n.to_string())), "the latest ones");
    }
}
