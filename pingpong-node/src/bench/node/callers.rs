//! Callers: each calls the counters of all nodes again and again, and the time of each call is kept.

use super::counter::Ask;
use hdrhistogram::Histogram;
use pingpong_node::server::TransportExt;
use pingpong_node::{ServerName, Targets, Transport};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long one call may take: as with the Erlang peer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Digits that a time is kept to.
const DIGITS: u8 = 3;

/// Who calls whom, and for how long.
#[derive(Clone)]
pub(crate) struct Callers {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) server: ServerName,
    /// So many callers at once.
    pub(crate) callers: usize,
    /// So many nodes must answer each call.
    pub(crate) nodes: usize,
    /// Calls that begin earlier are not kept.
    pub(crate) begin: Instant,
    /// No call begins later; but everybody calls once at least.
    pub(crate) end: Instant,
}

/// How long the calls took.
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

/// Times in nanoseconds, and failures. One for all callers: a histogram each would be the greater part of the node's memory.
struct Kept {
    times: Histogram<u64>,
    failures: u64,
}

impl Callers {
    /// Calls until the end.
    pub(crate) async fn call(&self) -> Result<Times, String> {
        let times = Histogram::new(DIGITS).map_err(|error| error.to_string())?;
        let kept = Arc::new(Mutex::new(Kept { times, failures: 0 }));
        let mut callers = JoinSet::new();
        for _ in 0..self.callers {
            callers.spawn(self.clone().one(Arc::clone(&kept)));
        }
        while let Some(ended) = callers.join_next().await {
            ended.map_err(|error| error.to_string())?;
        }
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |quantile: f64| micros(kept.times.value_at_quantile(quantile));
        Ok(Times {
            calls: kept.times.len(),
            failures: kept.failures,
            elapsed_s: self.begin.elapsed().as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: micros(kept.times.max()),
        })
    }

    async fn one(self, kept: Arc<Mutex<Kept>>) {
        let mut called = false;
        loop {
            let began = Instant::now();
            if began >= self.end && called {
                return;
            }
            let answer = self.transport.call(&Targets::All, &self.server, &Ask, DEADLINE).await;
            let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if began >= self.begin {
                called = true;
                let right = answer.is_ok_and(|answer| answer.failed.is_empty() && answer.replies.len() == self.nodes);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.failures += u64::from(!right);
                // It resizes itself, and is refused only beyond five hundred years.
                let _ = kept.times.record(took);
            }
        }
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}
