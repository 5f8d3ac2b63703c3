//! `mesh`: all nodes at once, from the first process on until each is linked with all others; and then nothing.

use super::clock::wall_micros;
use super::node::{Usage, packets, usage};
use super::nodes::{Nodes, open, used};
use super::record::{Common, Figure, Measured};
use crate::cluster::ClusterError;
use std::time::Duration;

/// Starts the nodes, and measures that; then watches them idle.
pub(crate) async fn measure<N: Nodes>(nodes: &mut N, idle: Duration) -> Result<Measured, ClusterError> {
    // A process that has had other nodes before has used something.
    let at_first = if N::ONE_PROCESS { usage() } else { Usage::default() };
    let began = wall_micros();
    let linked = open(nodes).await?;
    let full_mesh_s = linked.saturating_sub(began) as f64 / 1e6;
    let before = used(nodes).await?;
    let sent_before = packets();
    nodes.rest(idle).await?;
    let sent_after = packets();
    let after = used(nodes).await?;
    let per_node = |sum: f64| sum / idle.as_secs_f64().max(f64::EPSILON) / nodes.number() as f64;
    let idle_cpu: f64 = before.cpu_until(&after).iter().sum();
    let mut figures = vec![
        ("full_mesh_s", Figure::Measure(full_mesh_s)),
        ("idle_cpu_percent", Figure::Measure(100.0 * per_node(idle_cpu))),
        ("idle_rss_bytes", Figure::Count(after.usage.iter().map(|usage| usage.rss_bytes).max().unwrap_or(0))),
    ];
    if let (false, Some(before), Some(after)) = (N::ONE_PROCESS, sent_before, sent_after) {
        figures.push(("idle_packets_per_s", Figure::Measure(per_node(after.saturating_sub(before) as f64))));
    }
    Ok(Measured {
        case: Vec::new(),
        common: Common {
            false_downs: after.downs(),
            elapsed_s: full_mesh_s,
            cpu_s: before.usage.iter().map(|node| at_first.cpu_until(node)).sum(),
            rss_bytes: after.peak_bytes(),
            ..Common::default()
        },
        figures,
        headline: 3,
        failures: 0,
    })
}
