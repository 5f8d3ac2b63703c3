//! `calls`: calls of all nodes, by one caller and by many.

use super::nodes::{Nodes, used};
use super::protocol::{Beside, Order, Said};
use super::record::{Common, Figure, Measured};
use crate::cluster::ClusterError;
use std::time::Duration;

/// Who calls, and what is cast beside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) callers: usize,
    pub(crate) beside: Beside,
    pub(crate) duration: Duration,
    /// How long the nodes may take to say what they have of the pings beside.
    pub(crate) deadline: Duration,
}

impl Plan {
    /// What tells it from other runs.
    pub(crate) fn case(&self) -> Vec<(&'static str, serde_json::Value)> {
        let beside = match self.beside {
            Beside::None => "none",
            Beside::Same => "same",
            Beside::Other => "other",
        };
        vec![("callers", self.callers.into()), ("beside", beside.into())]
    }

    /// Measures calls of the first node. The nodes are linked.
    pub(crate) async fn measure(&self, nodes: &mut impl Nodes) -> Result<Measured, ClusterError> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let before = used(nodes).await?;
        let order = Order::Call {
            callers: self.callers,
            whom: None,
            warm_up_ms: millis(self.duration / 10),
            duration_ms: millis(self.duration),
            beside: self.beside,
            deadline_ms: millis(self.deadline),
        };
        nodes.tell(0, "call all nodes", order).await?;
        let (times, beside) = match nodes.said(0).await? {
            Said::Called { times, beside } => (times, beside),
            said => return Err(nodes.unexpected(0, said)),
        };
        let after = used(nodes).await?;
        let mut common = Common {
            false_downs: after.downs(),
            elapsed_s: times.elapsed_s,
            cpu_s: before.cpu_until(&after).iter().sum(),
            rss_bytes: after.peak_bytes(),
            ..Common::default()
        };
        let mut figures = vec![
            ("calls_per_s", Figure::Measure(times.per_s())),
            ("p50_us", Figure::Measure(times.p50_us)),
            ("p99_us", Figure::Measure(times.p99_us)),
        ];
        let mut headline = 3;
        if let Some(beside) = beside {
            figures.push(("casts_per_s", Figure::Measure(beside.casts_per_s)));
            figures.push(("backlog_bytes", Figure::Count(beside.backlog_bytes)));
            headline = 5;
            (common.lost, common.out_of_order) = (beside.verdict.lost, beside.verdict.out_of_order);
            common.duplicates = beside.verdict.duplicates;
        }
        figures.extend([
            ("p999_us", Figure::Measure(times.p999_us)),
            ("max_us", Figure::Measure(times.max_us)),
            ("calls", Figure::Count(times.calls)),
            ("failures", Figure::Count(times.failures)),
        ]);
        Ok(Measured { case: self.case(), common, figures, headline, failures: times.failures })
    }
}
