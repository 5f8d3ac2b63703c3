//! What the machine can do, measured on the very nodes and the file system that are used then.

use super::{Outcome, Task, done, millis};
use crate::bench::node::Times;
use crate::bench::nodes::Nodes;
use crate::bench::protocol::{Beside, Order, Said};
use crate::bench::record::Figure;
use crate::cluster::{ClusterError, name};
use std::time::Duration;

/// How long each of them is measured, if there is more time than that.
const ENOUGH: Duration = Duration::from_millis(250);

/// What nothing that is built on it can beat.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limit {
    /// A page that is written and synced; none where nothing is synced.
    pub(super) sync: Option<Times>,
    /// A call from the first node to the second one.
    pub(super) call: Times,
}

impl Limit {
    /// Measures it.
    pub(super) async fn measure(nodes: &mut impl Nodes, duration: Duration) -> Result<Self, ClusterError> {
        let duration = duration.min(ENOUGH);
        let sync = match nodes.store(0) {
            None => None,
            Some(_) => match done(nodes, 0, "write and sync", Task::Sync { duration_ms: millis(duration) }).await? {
                Outcome::Synced(times) => Some(times),
                other => return Err(nodes.unexpected(0, Said::Exercise(other))),
            },
        };
        Ok(Self { sync, call: called(nodes, Some(name(1)), 1, duration).await? })
    }

    /// The mean of two, before and after what is measured.
    pub(super) fn mean(self, other: Self) -> Self {
        let mean = |one: Times, other: Times| Times {
            calls: one.calls + other.calls,
            elapsed_s: one.elapsed_s + other.elapsed_s,
            p50_us: (one.p50_us + other.p50_us) / 2.0,
            ..one
        };
        let sync = self.sync.zip(other.sync).map(|(one, other)| mean(one, other));
        Self { sync, call: mean(self.call, other.call) }
    }

    /// The least that a ping can take that is acknowledged after so many syncs, one after the other, and so many calls.
    pub(super) fn least_us(&self, syncs: u32, calls: u32) -> f64 {
        f64::from(syncs) * self.sync.map_or(0.0, |sync| sync.p50_us) + f64::from(calls) * self.call.p50_us
    }

    pub(super) fn figures(&self) -> Vec<(&'static str, Figure)> {
        let sync = self.sync.map(|sync| {
            [("sync_p50_us", Figure::Measure(sync.p50_us)), ("syncs_per_s", Figure::Measure(sync.per_s()))]
        });
        let call = ("call_p50_us", Figure::Measure(self.call.p50_us));
        sync.into_iter().flatten().chain([call]).collect()
    }
}

/// Calls of one node, or of all, by so many callers on the first one.
pub(super) async fn called(
    nodes: &mut impl Nodes,
    whom: Option<String>,
    callers: usize,
    duration: Duration,
) -> Result<Times, ClusterError> {
    let order = Order::Call {
        callers,
        whom,
        warm_up_ms: millis(duration / 10),
        duration_ms: millis(duration),
        beside: Beside::None,
        deadline_ms: 0,
    };
    nodes.tell(0, "call other nodes", order).await?;
    match nodes.said(0).await? {
        Said::Called { times, .. } => Ok(times),
        said => Err(nodes.unexpected(0, said)),
    }
}
