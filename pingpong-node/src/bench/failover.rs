//! `failover`: the last node is killed, restarted, stopped, and cut off; how soon do the others see it?
//!
//! Times are those of the nodes' monitors, on the wall clock that all processes of the machine share.

use super::clock::wall_micros;
use super::nodes::{Nodes, linked, times, used};
use super::protocol::{Order, Said};
use super::record::{Common, Figure, Measured};
use super::statistics::median;
use crate::cluster::{ClusterError, name};
use std::time::Duration;
use tokio::time::Instant;

/// How long a node may take to leave: `run`'s default.
const LEAVE: Duration = Duration::from_secs(10);
/// What nodes are told, for whoever waits for them in vain.
const WATCH: &str = "say when another node came or went";

/// What happens to the last node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL; it is started again once all others have seen it go.
    Kill,
    /// SIGKILL, and it is started again at once.
    Restart,
    /// It leaves; it is started again once all others have seen it go.
    Stop,
    /// It is cut off from all others, for so long.
    Cut(Duration),
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Cut(_) => "cut",
        }
    }

    /// How long it takes by itself, however fast the nodes are.
    pub(crate) fn planned(self) -> Duration {
        match self {
            Self::Cut(time) => time,
            _ => Duration::ZERO,
        }
    }

    /// What tells it from other runs.
    pub(crate) fn case(self) -> Vec<(&'static str, serde_json::Value)> {
        let mut case = vec![("fault", self.name().into())];
        if let Self::Cut(time) = self {
            case.push(("cut_s", time.as_secs_f64().into()));
        }
        case
    }

    /// Lets it happen, and measures it. The nodes are linked, before and after.
    pub(crate) async fn measure<N: Nodes>(self, nodes: &mut N, rest: Duration) -> Result<Measured, ClusterError> {
        // A link that has just come up would show how a new link fails.
        nodes.rest(rest).await?;
        let (before, began) = (used(nodes).await?, wall_micros());
        let seen = self.happen(nodes).await?;
        let ended = linked(nodes).await?;
        let after = used(nodes).await?;
        let last = nodes.number() - 1;
        // A process that was started again has used nothing before.
        let again = !N::ONE_PROCESS && !matches!(self, Self::Cut(_));
        let cpu = after.usage.iter().enumerate().map(|(node, after)| match before.usage.get(node) {
            Some(before) if !(again && node == last) => before.cpu_until(after),
            _ => after.cpu_s(),
        });
        let common = Common {
            false_downs: self.false_downs(&before.downs, &after.downs),
            elapsed_s: ended.max(began).saturating_sub(began) as f64 / 1e6,
            cpu_s: cpu.sum(),
            rss_bytes: after.peak_bytes(),
            ..Common::default()
        };
        let figures = vec![
            ("down_ms", Figure::Measure(seen.down.median)),
            ("down_max_ms", Figure::Measure(seen.down.max)),
            ("up_ms", Figure::Measure(seen.up.max)),
        ];
        let failures = u64::from(!seen.flushed);
        Ok(Measured { case: self.case(), common, figures, headline: 3, failures })
    }

    /// How often nodes were seen to go beyond what has happened. A node that was started again has seen nobody go.
    fn false_downs(self, before: &[u64], after: &[u64]) -> u64 {
        let last = after.len() - 1;
        let others = last as u64;
        let pairs = before.iter().zip(after).enumerate();
        pairs
            .map(|(node, (before, after))| match (node == last, self) {
                (false, _) => after.saturating_sub(before + 1),
                (true, Self::Cut(_)) => after.saturating_sub(before + others),
                (true, _) => *after,
            })
            .sum()
    }

    async fn happen(self, nodes: &mut impl Nodes) -> Result<Seen, ClusterError> {
        let last = nodes.number() - 1;
        let mut flushed = true;
        let down_since = wall_micros();
        let (downs, up_since) = match self {
            Self::Kill => {
                nodes.kill(last).await?;
                let downs = changes(nodes, false, down_since).await?;
                (downs, again(nodes).await?)
            }
            Self::Restart => {
                nodes.kill(last).await?;
                let up_since = again(nodes).await?;
                (changes(nodes, false, down_since).await?, up_since)
            }
            Self::Stop => {
                let deadline_ms = u64::try_from(LEAVE.as_millis()).unwrap_or(u64::MAX);
                nodes.tell(last, "leave", Order::Leave { deadline_ms }).await?;
                let downs = changes(nodes, false, down_since).await?;
                match nodes.said(last).await? {
                    Said::Left { flushed: everything } => flushed = everything,
                    said => return Err(nodes.unexpected(last, said)),
                }
                nodes.kill(last).await?;
                (downs, again(nodes).await?)
            }
            Self::Cut(time) => {
                let heal = Instant::now() + time;
                nodes.cut(last);
                let downs = both(nodes, false, down_since).await?;
                nodes.rest(heal.saturating_duration_since(Instant::now())).await?;
                let up_since = wall_micros();
                nodes.heal();
                (downs, up_since)
            }
        };
        // It was up before, so that whoever has come since has gone before (M3).
        let ups = both(nodes, true, down_since).await?;
        Ok(Seen { down: Spread::of(&downs, down_since), up: Spread::of(&ups, up_since), flushed })
    }
}

/// What monitors said, in milliseconds since it happened.
struct Seen {
    down: Spread,
    up: Spread,
    /// Whoever left had told the others everything.
    flushed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    median: f64,
    max: f64,
}

impl Spread {
    fn of(at_us: &[u64], since_us: u64) -> Self {
        let millis: Vec<f64> = at_us.iter().map(|at| at.saturating_sub(since_us) as f64 / 1e3).collect();
        Self { median: median(&millis), max: millis.iter().copied().fold(0.0, f64::max) }
    }
}

/// Starts the last node again, and says since when.
async fn again(nodes: &mut impl Nodes) -> Result<u64, ClusterError> {
    let (last, since) = (nodes.number() - 1, wall_micros());
    nodes.start(last).await?;
    nodes.started(last).await?;
    Ok(since)
}

/// When each of the others saw the last node come, or go.
async fn changes(nodes: &mut impl Nodes, up: bool, since_us: u64) -> Result<Vec<u64>, ClusterError> {
    let last = nodes.number() - 1;
    let others: Vec<usize> = (0..last).collect();
    times(nodes, &others, WATCH, |_| Order::Changed { node: name(last), up, since_us }).await
}

/// The same, and when the last node saw each of the others come, or go.
async fn both(nodes: &mut impl Nodes, up: bool, since_us: u64) -> Result<Vec<u64>, ClusterError> {
    let mut seen = changes(nodes, up, since_us).await?;
    let last = nodes.number() - 1;
    for other in 0..last {
        seen.extend(times(nodes, &[last], WATCH, |_| Order::Changed { node: name(other), up, since_us }).await?);
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_seen_to_go_more_often_than_it_went_is_counted() {
        let cut = Fault::Cut(Duration::ZERO);
        assert_eq!(Fault::Kill.false_downs(&[0, 1, 0], &[1, 2, 0]), 0);
        assert_eq!(Fault::Restart.false_downs(&[0, 0, 5], &[3, 1, 1]), 3, "it begins to count anew");
        assert_eq!(cut.false_downs(&[0, 0, 1], &[1, 1, 3]), 0);
        assert_eq!(cut.false_downs(&[0, 0, 0], &[1, 2, 4]), 3);
    }

    #[test]
    fn times_count_from_when_it_happened() {
        assert_eq!(Spread::of(&[3_000, 9_000, 4_000], 1_000), Spread { median: 3.0, max: 8.0 });
    }
}
