//! `abcast`: pings to all nodes, until each has all of them.

use super::clock::wall_micros;
use super::node::Verdict;
use super::nodes::{Nodes, used};
use super::options::Producers;
use super::protocol::{Order, Said};
use super::record::{Common, Figure, Measured};
use crate::cluster::ClusterError;
use std::time::Duration;

/// Pings that are sent before anything is measured, as with the Erlang peer.
const WARM_UP: u64 = 1_000;
/// How long a run should take, if nobody says how many pings it is to be.
const LENGTH: Duration = Duration::from_secs(2);
/// What is tried out must take this long, or the estimate is too rough.
const ENOUGH: Duration = Duration::from_millis(200);
/// Pings that are tried out first, and the most.
const TRIES: [u64; 2] = [1_000, 1 << 30];
/// Producers begin this much after they were told: time enough for all of them to read it.
const HEAD_START: Duration = Duration::from_millis(20);

/// What is cast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) producers: Producers,
    /// Bytes of a ping.
    pub(crate) payload: usize,
    /// How long the nodes may take to say what they have, once all is sent.
    pub(crate) deadline: Duration,
}

/// What came of all producers' pings.
#[derive(Debug, Default)]
struct Cast {
    pings: u64,
    elapsed_s: f64,
    verdict: Verdict,
}

impl Plan {
    fn whom(&self, nodes: usize) -> Vec<usize> {
        match self.producers {
            Producers::One => vec![0],
            Producers::All => (0..nodes).collect(),
        }
    }

    /// What tells it from other runs.
    pub(crate) fn case(&self, count: u64) -> Vec<(&'static str, serde_json::Value)> {
        vec![("payload", self.payload.into()), ("producers", self.producers.name().into()), ("count", count.into())]
    }

    /// How many pings of each producer take two seconds. The nodes are linked, and of no use to a measurement afterwards.
    pub(crate) async fn calibrate(&self, nodes: &mut impl Nodes) -> Result<u64, ClusterError> {
        let [mut count, most] = TRIES;
        loop {
            let cast = self.cast(nodes, count).await?;
            if cast.elapsed_s >= ENOUGH.as_secs_f64() || count >= most {
                let rate = count as f64 / cast.elapsed_s.max(f64::EPSILON);
                return Ok(rounded(rate * LENGTH.as_secs_f64()));
            }
            count = (count * 4).min(most);
        }
    }

    /// Measures so many pings of each producer. The nodes are linked.
    pub(crate) async fn measure<N: Nodes>(&self, nodes: &mut N, count: u64) -> Result<Measured, ClusterError> {
        let producers = self.whom(nodes.number());
        self.cast(nodes, WARM_UP).await?;
        let before = used(nodes).await?;
        let cast = self.cast(nodes, count).await?;
        let after = used(nodes).await?;
        let cpu = before.cpu_until(&after);
        let pings_per_s = cast.pings as f64 / cast.elapsed_s.max(f64::EPSILON);
        let mut figures = vec![
            ("pings_per_s", Figure::Measure(pings_per_s)),
            ("mb_per_s", Figure::Measure(pings_per_s * self.payload as f64 / 1e6)),
            ("pings", Figure::Count(cast.pings)),
        ];
        if !N::ONE_PROCESS {
            let mean = |is_producer: bool| {
                let of = cpu.iter().enumerate().filter(|(node, _)| producers.contains(node) == is_producer);
                let of: Vec<f64> = of.map(|(_, cpu)| *cpu).collect();
                (!of.is_empty()).then(|| of.iter().sum::<f64>() / of.len() as f64)
            };
            let roles = [("cpu_producer_s", mean(true)), ("cpu_receiver_s", mean(false))];
            figures.extend(roles.into_iter().filter_map(|(name, cpu)| Some((name, Figure::Measure(cpu?)))));
        }
        Ok(Measured {
            case: self.case(count),
            common: Common {
                lost: cast.verdict.lost,
                out_of_order: cast.verdict.out_of_order,
                duplicates: cast.verdict.duplicates,
                false_downs: after.downs(),
                elapsed_s: cast.elapsed_s,
                cpu_s: cpu.iter().sum(),
                rss_bytes: after.peak_bytes(),
            },
            figures,
            headline: if self.payload > 64 { 2 } else { 1 },
            failures: 0,
        })
    }

    async fn cast(&self, nodes: &mut impl Nodes, count: u64) -> Result<Cast, ClusterError> {
        let producers = self.whom(nodes.number());
        let begin_us = wall_micros() + micros(HEAD_START);
        let deadline_ms = micros(self.deadline) / 1_000;
        for producer in &producers {
            nodes.tell(*producer, "ping all nodes", Order::Produce { count, begin_us, deadline_ms }).await?;
        }
        let (mut cast, mut first) = (Cast::default(), u64::MAX);
        for producer in producers {
            match nodes.said(producer).await? {
                Said::Produced { first_us, verdict } => {
                    first = first.min(first_us);
                    cast.pings += count;
                    cast.verdict.add(&verdict);
                }
                said => return Err(nodes.unexpected(producer, said)),
            }
        }
        cast.elapsed_s = cast.verdict.done_us.saturating_sub(first) as f64 / 1e6;
        Ok(cast)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// To two digits: the same count in many sittings.
fn rounded(count: f64) -> u64 {
    let digits = 10f64.powf((count.max(1.0).log10().floor() - 1.0).max(0.0));
    ((count / digits).round() * digits).max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_two_digits() {
        assert_eq!([0.0, 7.4, 12.0, 1_264.0, 9_999_999.0].map(rounded), [1, 7, 12, 1_300, 10_000_000]);
    }
}
