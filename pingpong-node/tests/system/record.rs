//! What clients did and saw, on one clock, as a history that can be checked; and what happened meanwhile, for whoever reads it.

use pingpong_conformance::history::{History, Id, Operation, Outcome, Readings};
use pingpong_node::NodeName;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Instant;

/// Shared by all who have something to record.
pub(crate) struct Record {
    start: Instant,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    history: History,
    /// With the time in microseconds.
    notes: Vec<(u64, String)>,
}

impl Record {
    /// Time begins now.
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), kept: Mutex::default() }
    }

    /// The clock is read under the lock, so that the order of the calls is the order of the times.
    fn now<T>(&self, keep: impl FnOnce(&mut Kept, u64) -> T) -> T {
        let mut kept = self.kept.lock().unwrap();
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap();
        keep(&mut kept, now)
    }

    /// To be called before the request leaves.
    pub(crate) fn begin(&self, operation: Operation) -> Id {
        self.now(|kept, now| kept.history.begin(now, operation))
    }

    /// To be called after the answer is there.
    pub(crate) fn end(&self, id: Id, outcome: Outcome) {
        self.now(|kept, now| kept.history.end(id, now, outcome));
    }

    pub(crate) fn store_lost(&self, node: NodeName) {
        self.note(format!("{node} has lost its store"));
        self.now(|kept, now| kept.history.store_lost(now, node));
    }

    pub(crate) fn settled(&self, readings: Readings) {
        self.note(format!("settled: {readings:?}"));
        self.now(|kept, now| kept.history.settled(now, readings));
    }

    pub(crate) fn note(&self, text: String) {
        self.now(|kept, now| kept.notes.push((now, text)));
    }

    /// What was recorded so far.
    pub(crate) fn history(&self) -> History {
        self.kept.lock().unwrap().history.clone()
    }

    /// All of it, by the time of its begin.
    pub(crate) fn text(&self) -> String {
        let kept = self.kept.lock().unwrap();
        let operations = kept.history.entries().iter().map(|entry| (entry.begin, format!("  {entry}")));
        let mut lines: Vec<(u64, String)> = kept.notes.iter().cloned().chain(operations).collect();
        lines.sort_by_key(|(at, _)| *at);
        let mut text = String::new();
        for (at, line) in lines {
            let _ = writeln!(text, "{at:>10} {line}");
        }
        text
    }
}
