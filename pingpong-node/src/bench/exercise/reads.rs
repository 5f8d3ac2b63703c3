//! `reads`: what a majority agrees on, beside calls of all nodes by as many callers.

use super::limit::called;
use super::{Level, Outcome, Task, millis, outcome, voting};
use crate::bench::nodes::{Nodes, used};
use crate::bench::protocol::{Order, Said};
use crate::bench::record::{Common, Figure, Measured};
use crate::cluster::ClusterError;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Agreed {
    /// The value of each producer, and the total.
    Majority,
    /// All counts at one instant.
    Snapshot,
}

/// What happens while it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Meanwhile {
    /// Nothing: the members agree.
    #[default]
    None,
    /// One client of the last node pings, each ping after the one before is in its store.
    Pings,
}

/// Who reads.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    pub(crate) agreed: Agreed,
    pub(crate) readers: usize,
    pub(crate) beside: Meanwhile,
    pub(crate) store: &'static str,
    pub(crate) duration: Duration,
}

impl Reads {
    /// What tells it from other runs.
    pub(super) fn case(&self) -> Vec<(&'static str, serde_json::Value)> {
        let agreed = match self.agreed {
            Agreed::Majority => "majority",
            Agreed::Snapshot => "snapshot",
        };
        let beside = match self.beside {
            Meanwhile::None => "none",
            Meanwhile::Pings => "pings",
        };
        vec![
            ("store", self.store.into()),
            ("read", agreed.into()),
            ("readers", self.readers.into()),
            ("beside", beside.into()),
        ]
    }

    /// Measures it on nodes that are linked.
    pub(super) async fn measure(&self, nodes: &mut impl Nodes) -> Result<Measured, ClusterError> {
        voting(nodes).await?;
        let calls = called(nodes, None, self.readers, self.duration / 2).await?;
        let before = used(nodes).await?;
        let (warm_up_ms, duration_ms) = (millis(self.duration / 10), millis(self.duration));
        let last = nodes.number() - 1;
        let pings = self.beside == Meanwhile::Pings;
        if pings {
            // It begins no later, and ends no earlier, but for the time that an order takes.
            let task = Task::Ping { level: Level::Local, clients: 1, warm_up_ms, duration_ms };
            nodes.tell(last, "ping", Order::Exercise(task)).await?;
        }
        let task = Task::Read { agreed: self.agreed, readers: self.readers, warm_up_ms, duration_ms };
        nodes.tell(0, "read", Order::Exercise(task)).await?;
        let (times, unstable) = match outcome(nodes, 0).await? {
            Outcome::Read { times, unstable } => (times, unstable),
            other => return Err(nodes.unexpected(0, Said::Exercise(other))),
        };
        let pinged = match pings {
            false => None,
            true => match outcome(nodes, last).await? {
                Outcome::Pinged { times, .. } => Some(times),
                other => return Err(nodes.unexpected(last, Said::Exercise(other))),
            },
        };
        let after = used(nodes).await?;
        let mut figures = vec![
            ("reads_per_s", Figure::Measure(times.per_s())),
            ("p50_us", Figure::Measure(times.p50_us)),
            ("p99_us", Figure::Measure(times.p99_us)),
            ("p50_to_calls", Figure::Measure(times.p50_us / calls.p50_us.max(f64::EPSILON))),
            ("reads_to_calls", Figure::Measure(times.per_s() / calls.per_s().max(f64::EPSILON))),
        ];
        let headline = figures.len();
        figures.extend([
            ("calls_p50_us", Figure::Measure(calls.p50_us)),
            ("calls_per_s", Figure::Measure(calls.per_s())),
            ("p999_us", Figure::Measure(times.p999_us)),
            ("max_us", Figure::Measure(times.max_us)),
            ("reads", Figure::Count(times.calls)),
        ]);
        if let Some(pinged) = pinged {
            figures.push(("pings_per_s", Figure::Measure(pinged.per_s())));
            figures.push(("unstable", Figure::Count(unstable)));
        }
        // Without pings there is an instant for every snapshot.
        let failures = times.failures + pinged.map_or(unstable, |pinged| pinged.failures);
        figures.push(("failures", Figure::Count(failures)));
        let common = Common {
            false_downs: after.downs(),
            elapsed_s: times.elapsed_s,
            cpu_s: before.cpu_until(&after).iter().sum(),
            rss_bytes: after.peak_bytes(),
            ..Common::default()
        };
        Ok(Measured { case: self.case(), common, figures, headline, failures })
    }
}
