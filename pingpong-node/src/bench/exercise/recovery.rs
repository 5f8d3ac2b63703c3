//! `recovery`: a node that starts on a file with many slots, and a member that has lost its file.

use super::stores::fill;
use super::{Outcome, Task, done, voted, voting};
use crate::bench::clock::wall_micros;
use crate::bench::nodes::{Nodes, Used, open, used};
use crate::bench::protocol::{Order, Said};
use crate::bench::record::{Common, Figure, Measured};
use crate::cluster::{ClusterError, name};
use std::path::PathBuf;

/// Epochs of a producer that has many: as many as a ledger keeps.
const EPOCHS: u64 = 1_000;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Event {
    /// The first node starts on its file, alone.
    Start,
    /// The last node is killed, its file is removed, and it is started again: until it votes.
    Lost,
}

/// What is in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// Nothing: what all of it costs without slots.
    Empty,
    /// Producers of one epoch each.
    Names,
    /// Producers of 1,000 epochs each.
    Epochs,
}

impl Shape {
    /// So many producers, and so many epochs of each.
    fn of(self, slots: u64) -> (u64, u64) {
        match self {
            Self::Empty => (0, 0),
            Self::Names => (slots, 1),
            Self::Epochs => (slots.div_ceil(EPOCHS), EPOCHS),
        }
    }
}

/// One event, on files of one shape.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) event: Event,
    pub(crate) shape: Shape,
    pub(crate) slots: u64,
}

impl Recovery {
    /// What tells it from other runs.
    pub(super) fn case(&self) -> Vec<(&'static str, serde_json::Value)> {
        let event = match self.event {
            Event::Start => "start",
            Event::Lost => "lost",
        };
        let shape = match self.shape {
            Shape::Empty => "empty",
            Shape::Names => "names",
            Shape::Epochs => "epochs",
        };
        let (producers, epochs) = self.shape.of(self.slots);
        vec![("event", event.into()), ("shape", shape.into()), ("slots", (producers * epochs).into())]
    }

    /// Measures it. No node is started yet.
    pub(super) async fn measure<N: Nodes>(&self, nodes: &mut N) -> Result<Measured, ClusterError> {
        let (producers, epochs) = self.shape.of(self.slots);
        let pings = producers * epochs;
        let (since, at, seen, used, file) = match self.event {
            Event::Start => {
                let file = filled(nodes, 0, producers, epochs).await?;
                let since = wall_micros();
                nodes.start(0).await?;
                nodes.started(0).await?;
                let (at, seen) = look(nodes, 0).await?;
                (since, at, seen, of_one(nodes, 0).await?, file)
            }
            Event::Lost => {
                for node in 0..nodes.number() {
                    filled(nodes, node, producers, epochs).await?;
                }
                open(nodes).await?;
                voting(nodes).await?;
                let last = nodes.number() - 1;
                nodes.kill(last).await?;
                let file = file(nodes, last)?;
                let refused = ClusterError::system(format!("{} cannot be removed", file.display()));
                std::fs::remove_file(&file).map_err(refused)?;
                let since = wall_micros();
                nodes.start(last).await?;
                nodes.started(last).await?;
                let at = voted(nodes, last).await?;
                let (_, seen) = look(nodes, last).await?;
                (since, at, seen, used(nodes).await?, file)
            }
        };
        let took_ms = at.saturating_sub(since) as f64 / 1e3;
        let what = match self.event {
            Event::Start => "ready_ms",
            Event::Lost => "vote_ms",
        };
        let peak = used.usage.last().map_or(0, |usage| usage.peak_bytes);
        let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
        let common = Common {
            lost: pings.saturating_sub(seen),
            duplicates: seen.saturating_sub(pings),
            elapsed_s: took_ms / 1e3,
            cpu_s: used.usage.last().map_or(0.0, |usage| usage.cpu_s()),
            rss_bytes: used.peak_bytes(),
            ..Common::default()
        };
        let figures = vec![
            (what, Figure::Measure(took_ms)),
            ("peak_rss_bytes", Figure::Count(peak)),
            ("file_bytes", Figure::Count(bytes)),
        ];
        Ok(Measured { case: self.case(), common, figures, headline: 3, failures: 0 })
    }
}

fn file(nodes: &impl Nodes, node: usize) -> Result<PathBuf, ClusterError> {
    nodes.store(node).ok_or_else(|| ClusterError::own("the file of a node")(format!("{} has none", name(node))))
}

/// Makes the file of a node, unless it is to find none.
async fn filled(nodes: &impl Nodes, node: usize, producers: u64, epochs: u64) -> Result<PathBuf, ClusterError> {
    let file = file(nodes, node)?;
    if producers > 0 {
        fill(file.clone(), node, producers, epochs).await?;
    }
    Ok(file)
}

/// When a node has read what it has, and how many pings that is.
async fn look(nodes: &mut impl Nodes, node: usize) -> Result<(u64, u64), ClusterError> {
    match done(nodes, node, "say what it has", Task::Look).await? {
        Outcome::Seen { at_us, total, .. } => Ok((at_us, total)),
        other => Err(nodes.unexpected(node, Said::Exercise(other))),
    }
}

/// What one node has used; the others do not run.
async fn of_one(nodes: &mut impl Nodes, node: usize) -> Result<Used, ClusterError> {
    nodes.tell(node, "say what it has used", Order::Used).await?;
    match nodes.said(node).await? {
        Said::Used { usage, downs } => Ok(Used { usage: vec![usage], downs: vec![downs] }),
        said => Err(nodes.unexpected(node, said)),
    }
}
