//! Many seeds, on all cores: each run has a thread and a runtime of its own.

use crate::draw::draw;
use crate::run::run;
use pingpong_conformance::history::Summary;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Failures after which no more seeds are tried.
const ENOUGH: usize = 3;
/// No run takes so long, unless it goes round in circles while its own clock stands still. In CPU time where that is known: on a busy machine a
/// process may wait for its turn for longer than that.
const HANGS: Duration = Duration::from_secs(60);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Which seeds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    /// These.
    Range(u64, u64),
    /// From this one on, for so long.
    For(u64, Duration),
}

/// What came of them.
#[derive(Default)]
pub(crate) struct Tried {
    pub(crate) seeds: u64,
    pub(crate) took: Duration,
    /// Each with the words of its failure; sorted.
    pub(crate) failed: Vec<(u64, String)>,
    /// One that did not come to its end.
    pub(crate) hangs: Option<u64>,
    total: Summary,
}

/// What the threads share: the next seed, and which ones run since when.
#[derive(Default)]
struct Work {
    next: u64,
    last: u64,
    until: Option<Instant>,
    running: BTreeMap<u64, Duration>,
    /// How long this process has run, by its CPU time, and by the clock on the wall: one that is stopped, as by a debugger or a closed lid, has
    /// not.
    awake: Duration,
    cpu: Option<Duration>,
}

impl Work {
    /// So long after the last look: a seed that runs for too long.
    fn hangs(&mut self, since_then: Duration, cpu: Option<Duration>) -> Option<u64> {
        let used = cpu.zip(self.cpu).map(|(now, before)| now.saturating_sub(before));
        self.cpu = cpu;
        self.awake += since_then.min(LOOK).min(used.unwrap_or(LOOK));
        self.running.iter().find(|(_, since)| self.awake - **since > HANGS).map(|(seed, _)| *seed)
    }
}

/// Tries seeds until they are done, or some have failed.
pub(crate) fn try_all(which: Which) -> Tried {
    let begin = Instant::now();
    let (next, last, until) = match which {
        Which::Range(first, last) => (first, last, None),
        Which::For(first, time) => (first, u64::MAX, Some(begin + time)),
    };
    let work = Arc::new(Mutex::new(Work { next, last, until, ..Work::default() }));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (done, results) = sync_channel(threads);
    for _ in 0..threads {
        let (work, done) = (Arc::clone(&work), done.clone());
        // One that hangs is left behind, and ends with the process.
        std::thread::spawn(move || try_some(&work, &done));
    }
    drop(done);
    let mut tried = Tried::default();
    let mut looked = Instant::now();
    loop {
        match results.recv_timeout(LOOK) {
            Ok((seed, outcome)) => tried.add(seed, outcome),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let since_then = std::mem::replace(&mut looked, Instant::now()).elapsed();
        tried.hangs = work.lock().unwrap().hangs(since_then, cpu_time());
        if tried.failed.len() >= ENOUGH || tried.hangs.is_some() {
            work.lock().unwrap().last = 0;
        }
        if let Some(seed) = tried.hangs {
            tried.failed.push((seed, format!("it hangs: its clock has stood still for {HANGS:?}")));
            break;
        }
    }
    tried.took = begin.elapsed();
    tried.failed.sort();
    tried
}

/// What this process has used of all processors, where that can be told.
fn cpu_time() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    return Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime)).ok();
    #[cfg(not(target_os = "linux"))]
    None
}

fn try_some(work: &Mutex<Work>, done: &SyncSender<(u64, Result<Summary, String>)>) {
    loop {
        let seed = {
            let mut work = work.lock().unwrap();
            let seed = work.next;
            if seed > work.last || work.until.is_some_and(|until| Instant::now() >= until) {
                return;
            }
            work.next += 1;
            let awake = work.awake;
            work.running.insert(seed, awake);
            seed
        };
        let outcome = run(&draw(seed)).outcome;
        work.lock().unwrap().running.remove(&seed);
        if done.send((seed, outcome)).is_err() {
            return;
        }
    }
}

impl Tried {
    fn add(&mut self, seed: u64, outcome: Result<Summary, String>) {
        self.seeds += 1;
        let run = match outcome {
            Ok(summary) => summary,
            Err(words) => return self.failed.push((seed, words)),
        };
        let total = &mut self.total;
        for (total, run) in total.acknowledged.iter_mut().zip(run.acknowledged) {
            *total += run;
        }
        for (total, run) in total.reads.iter_mut().zip(run.reads) {
            *total += run;
        }
        total.operations += run.operations;
        total.unconfirmed += run.unconfirmed;
        total.unknown += run.unknown;
        total.refused += run.refused;
        total.confirmed += run.confirmed;
        total.exact += run.exact;
        total.lost += run.lost;
        total.rolled_back += run.rolled_back;
        total.accepted += run.accepted;
        total.settled += run.settled;
    }

    /// How many, how fast, and what they did.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let seconds = self.took.as_secs_f64();
        let _ = writeln!(text, "{} seeds in {seconds:.1} s, {:.1} a second", self.seeds, self.seeds as f64 / seconds);
        let _ = write!(text, "{}", self.total);
        text
    }
}
