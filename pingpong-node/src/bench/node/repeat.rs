//! The same again and again, by one or by many at once, and how long it took each time.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Digits that a time is kept to.
const DIGITS: u8 = 3;

/// How long the calls took, or whatever else was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) calls: u64,
    /// Calls that some node did not answer.
    pub(crate) failures: u64,
    pub(crate) elapsed_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

impl Times {
    pub(crate) fn per_s(&self) -> f64 {
        self.calls as f64 / self.elapsed_s.max(f64::EPSILON)
    }
}

/// Times in nanoseconds, and failures. One for all at once: a histogram each would be the greater part of the node's memory.
pub(super) struct Kept {
    times: Histogram<u64>,
    nanos: u64,
    failures: u64,
}

impl Kept {
    pub(super) fn new() -> Result<Self, String> {
        let times = Histogram::new(DIGITS).map_err(|error| error.to_string())?;
        Ok(Self { times, nanos: 0, failures: 0 })
    }

    pub(super) fn keep(&mut self, began: Instant, right: bool) {
        self.keep_for(began.elapsed(), right);
    }

    pub(super) fn keep_for(&mut self, took: Duration, right: bool) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos = self.nanos.saturating_add(took);
        self.failures += u64::from(!right);
        // It resizes itself, and is refused only beyond five hundred years.
        let _ = self.times.record(took);
    }

    /// What was kept, one after the other and with something else in between: it has taken the sum of all.
    #[cfg(feature = "daemon")]
    pub(super) fn alone(&self) -> Times {
        self.over(Duration::from_nanos(self.nanos))
    }

    /// What was kept since then.
    pub(super) fn since(&self, begin: Instant) -> Times {
        self.over(begin.elapsed())
    }

    fn over(&self, elapsed: Duration) -> Times {
        let at = |quantile: f64| micros(self.times.value_at_quantile(quantile));
        Times {
            calls: self.times.len(),
            failures: self.failures,
            elapsed_s: elapsed.as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: micros(self.times.max()),
        }
    }
}

/// When something is done again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// What begins earlier is not kept.
    pub(crate) begin: Instant,
    /// Nothing begins later; but everybody does it once at least.
    pub(crate) end: Instant,
}

/// Does it again and again, by so many at once. It says whether it came right.
pub(super) async fn repeat<W: Future<Output = bool> + Send + 'static>(
    many: usize,
    span: Span,
    work: impl Fn() -> W + Clone + Send + 'static,
) -> Result<Times, String> {
    let kept = Arc::new(Mutex::new(Kept::new()?));
    let mut all = JoinSet::new();
    for _ in 0..many {
        all.spawn(one(span, work.clone(), Arc::clone(&kept)));
    }
    while let Some(ended) = all.join_next().await {
        ended.map_err(|error| error.to_string())?;
    }
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(kept.since(span.begin))
}

async fn one<W: Future<Output = bool>>(span: Span, work: impl Fn() -> W, kept: Arc<Mutex<Kept>>) {
    let mut done = false;
    loop {
        let began = Instant::now();
        if began >= span.end && done {
            return;
        }
        let right = work().await;
        if began >= span.begin {
            done = true;
            kept.lock().unwrap_or_else(PoisonError::into_inner).keep(began, right);
        }
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}
