//! `acks`: pings, until each is acknowledged at its level; and whether all members have all of them, and no more.

use super::limit::Limit;
use super::{Outcome, Task, done, millis, outcome, voting};
use crate::bench::node::Times;
use crate::bench::nodes::{Nodes, used};
use crate::bench::options::Producers;
use crate::bench::protocol::{Order, Said};
use crate::bench::record::{Common, Figure, Measured};
use crate::cluster::{ClusterError, name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// When a ping is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// It waits to be counted.
    Queued,
    /// It is in the store of its node.
    Local,
    /// It is in the stores of a majority of the members.
    Majority,
}

impl Level {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Local => "local",
            Self::Majority => "majority",
        }
    }

    /// The syncs and calls that it must wait for, one after the other. Of other members the first one is waited for.
    fn needs(self) -> (u32, u32) {
        match self {
            Self::Queued => (0, 0),
            Self::Local => (1, 0),
            Self::Majority => (2, 1),
        }
    }
}

/// Who pings.
#[derive(Clone, Debug)]
pub(crate) struct Pings {
    pub(crate) level: Level,
    pub(crate) clients: usize,
    pub(crate) producers: Producers,
    pub(crate) store: &'static str,
    pub(crate) duration: Duration,
    /// How long the members may take to have all pings.
    pub(crate) deadline: Duration,
}

impl Pings {
    /// What tells it from other runs.
    pub(super) fn case(&self) -> Vec<(&'static str, serde_json::Value)> {
        vec![
            ("store", self.store.into()),
            ("level", self.level.name().into()),
            ("clients", self.clients.into()),
            ("producers", self.producers.name().into()),
        ]
    }

    /// The clients of each node that has any.
    fn clients(&self, nodes: usize) -> Vec<(usize, usize)> {
        match self.producers {
            Producers::One => vec![(0, self.clients)],
            Producers::All => {
                let of = |node| self.clients / nodes + usize::from(node < self.clients % nodes);
                (0..nodes).map(|node| (node, of(node))).filter(|(_, clients)| *clients > 0).collect()
            }
        }
    }

    /// Measures it on nodes that are linked.
    pub(super) async fn measure(&self, nodes: &mut impl Nodes) -> Result<Measured, ClusterError> {
        voting(nodes).await?;
        let (before, pinged) = (used(nodes).await?, self.ping(nodes).await?);
        let (after, Pinged { times, limit, acknowledged }) = (used(nodes).await?, pinged);
        let (lost, duplicates) = self.check(nodes, &acknowledged).await?;
        let mut figures = vec![
            ("pings_per_s", Figure::Measure(times.per_s())),
            ("p50_us", Figure::Measure(times.p50_us)),
            ("p99_us", Figure::Measure(times.p99_us)),
        ];
        let (syncs, calls) = self.level.needs();
        let least_us = limit.least_us(syncs, calls);
        if self.clients == 1 && least_us > 0.0 {
            figures.push(("p50_to_least", Figure::Measure(times.p50_us / least_us)));
            figures.push(("least_us", Figure::Measure(least_us)));
        } else if let Some(sync) = limit.sync {
            figures.push(("pings_to_syncs", Figure::Measure(times.per_s() / sync.per_s().max(f64::EPSILON))));
        }
        let headline = figures.len();
        figures.extend(limit.figures());
        figures.extend([
            ("p999_us", Figure::Measure(times.p999_us)),
            ("max_us", Figure::Measure(times.max_us)),
            ("pings", Figure::Count(times.calls)),
            ("failures", Figure::Count(times.failures)),
        ]);
        let common = Common {
            lost,
            duplicates,
            false_downs: after.downs(),
            elapsed_s: times.elapsed_s,
            cpu_s: before.cpu_until(&after).iter().sum(),
            rss_bytes: after.peak_bytes(),
            ..Common::default()
        };
        Ok(Measured { case: self.case(), common, figures, headline, failures: times.failures })
    }

    /// Lets all clients ping.
    async fn ping(&self, nodes: &mut impl Nodes) -> Result<Pinged, ClusterError> {
        // What waits for nothing has no limit, and would only be held up.
        if self.clients == 1 && self.level != Level::Queued {
            return self.ping_alone(nodes).await;
        }
        let limit = Limit::measure(nodes, self.duration / 4).await?;
        let clients = self.clients(nodes.number());
        let (warm_up_ms, duration_ms) = (millis(self.duration / 10), millis(self.duration));
        for (node, clients) in &clients {
            let task = Task::Ping { level: self.level, clients: *clients, warm_up_ms, duration_ms };
            nodes.tell(*node, "ping", Order::Exercise(task)).await?;
        }
        let (mut all, mut acknowledged) = (Vec::new(), BTreeMap::new());
        for (node, _) in clients {
            match outcome(nodes, node).await? {
                Outcome::Pinged { times, acknowledged: pings } => {
                    all.push(times);
                    acknowledged.insert(name(node), pings);
                }
                other => return Err(nodes.unexpected(node, Said::Exercise(other))),
            }
        }
        let limit = limit.mean(Limit::measure(nodes, self.duration / 4).await?);
        Ok(Pinged { times: together(&all), limit, acknowledged })
    }

    /// One client takes turns with syncs and calls.
    async fn ping_alone(&self, nodes: &mut impl Nodes) -> Result<Pinged, ClusterError> {
        let (warm_up_ms, duration_ms) = (millis(self.duration / 10), millis(self.duration));
        let task = Task::Alone { level: self.level, whom: name(1), warm_up_ms, duration_ms };
        match done(nodes, 0, "ping", task).await? {
            Outcome::Alone { times, sync, call, acknowledged } => {
                let acknowledged = BTreeMap::from([(name(0), acknowledged)]);
                Ok(Pinged { times, limit: Limit { sync, call }, acknowledged })
            }
            other => Err(nodes.unexpected(0, Said::Exercise(other))),
        }
    }

    /// Pings that some member does not have in the end, and pings that it has and that nobody was told of.
    async fn check(
        &self,
        nodes: &mut impl Nodes,
        acknowledged: &BTreeMap<String, u64>,
    ) -> Result<(u64, u64), ClusterError> {
        let (mut lost, mut duplicates) = (0, 0);
        for node in 0..nodes.number() {
            let task = Task::Count { pings: acknowledged.clone(), deadline_ms: millis(self.deadline) };
            match done(nodes, node, "count", task).await? {
                Outcome::Counted(counted) => {
                    for (producer, pings) in acknowledged {
                        let counted = counted.get(producer).copied().unwrap_or(0);
                        lost += pings.saturating_sub(counted);
                        duplicates += counted.saturating_sub(*pings);
                    }
                }
                other => return Err(nodes.unexpected(node, Said::Exercise(other))),
            }
        }
        Ok((lost, duplicates))
    }
}

/// What came of all clients' pings.
struct Pinged {
    times: Times,
    limit: Limit,
    /// All that ever were, of each node.
    acknowledged: BTreeMap<String, u64>,
}

/// Of several nodes that did the same at once: the mean of the middles, and the worst of the rest.
fn together(all: &[Times]) -> Times {
    let worst = |of: fn(&Times) -> f64| all.iter().map(of).fold(0.0, f64::max);
    let calls: u64 = all.iter().map(|times| times.calls).sum();
    let middle = all.iter().map(|times| times.p50_us * times.calls as f64).sum::<f64>();
    Times {
        calls,
        failures: all.iter().map(|times| times.failures).sum(),
        elapsed_s: worst(|times| times.elapsed_s),
        p50_us: middle / calls.max(1) as f64,
        p99_us: worst(|times| times.p99_us),
        p999_us: worst(|times| times.p999_us),
        max_us: worst(|times| times.max_us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_spread_evenly_and_none_is_left_out() {
        let pings = |clients, producers| Pings {
            level: Level::Local,
            clients,
            producers,
            store: "memory",
            duration: Duration::ZERO,
            deadline: Duration::ZERO,
        };
        assert_eq!(pings(7, Producers::One).clients(3), [(0, 7)]);
        assert_eq!(pings(7, Producers::All).clients(3), [(0, 3), (1, 2), (2, 2)]);
        assert_eq!(pings(1, Producers::All).clients(3), [(0, 1)]);
    }

    #[test]
    fn nodes_together_have_the_sum_of_their_pings_and_the_worst_of_their_times() {
        let times = |calls, p50_us, max_us| Times { calls, p50_us, max_us, elapsed_s: 2.0, ..Times::default() };
        let all = together(&[times(100, 10.0, 50.0), times(300, 30.0, 40.0)]);
        assert_eq!((all.calls, all.p50_us, all.max_us, all.per_s()), (400, 25.0, 50.0, 200.0));
        assert_eq!(together(&[]), Times::default());
    }
}
