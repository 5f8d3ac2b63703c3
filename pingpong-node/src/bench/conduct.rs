//! One set of nodes from its start to its end: they are started, measured and ended, however that goes.

#[cfg(feature = "daemon")]
use super::exercise;
use super::failover::Fault;
use super::nodes::{Nodes, open};
use super::record::Measured;
use super::{abcast, calls, mesh};
use crate::cluster::{ClusterError, Interrupts, Signal, close, within};
use serde_json::Value;
use std::time::Duration;

/// What is measured with one set of nodes.
#[derive(Clone, Debug)]
pub(crate) enum Case {
    /// How many pings a measurement takes; it is none itself.
    Calibrate(abcast::Plan),
    /// So many pings of each producer.
    Abcast(abcast::Plan, u64),
    Calls(calls::Plan),
    /// One after the other, each after the links were left alone for so long.
    Faults(Vec<Fault>, Duration),
    /// Nodes that start, and then idle for so long.
    Mesh(Duration),
    /// Pings and reads of the exercise, one after the other.
    #[cfg(feature = "daemon")]
    Exercise(Vec<exercise::Plan>, exercise::Kind),
}

impl Case {
    /// How long it takes by itself, however fast the nodes are.
    fn planned(&self) -> Duration {
        match self {
            Self::Calibrate(_) | Self::Abcast(..) => Duration::ZERO,
            Self::Calls(plan) => plan.duration + plan.duration / 10,
            Self::Faults(faults, rest) => faults.iter().map(|fault| fault.planned() + *rest).sum(),
            Self::Mesh(idle) => *idle,
            #[cfg(feature = "daemon")]
            Self::Exercise(plans, _) => plans.iter().map(exercise::Plan::planned).sum(),
        }
    }

    /// What tells it from others: of several measurements, the one that is next when so many have been measured.
    pub(crate) fn words(&self, measured: usize) -> Vec<(&'static str, Value)> {
        match self {
            Self::Calibrate(_) | Self::Mesh(_) => Vec::new(),
            Self::Abcast(plan, count) => plan.case(*count),
            Self::Calls(plan) => plan.case(),
            Self::Faults(faults, _) => {
                faults.get(measured).or(faults.last()).map(|fault| fault.case()).unwrap_or_default()
            }
            #[cfg(feature = "daemon")]
            Self::Exercise(plans, _) => {
                plans.get(measured).or(plans.last()).map(exercise::Plan::case).unwrap_or_default()
            }
        }
    }

    /// How many measurements it is.
    pub(crate) fn measurements(&self) -> u64 {
        match self {
            Self::Calibrate(_) => 0,
            Self::Abcast(..) | Self::Calls(_) | Self::Mesh(_) => 1,
            Self::Faults(faults, _) => faults.len() as u64,
            #[cfg(feature = "daemon")]
            Self::Exercise(plans, _) => plans.len() as u64,
        }
    }

    async fn measure<N: Nodes>(&self, nodes: &mut N, conducted: &mut Conducted) -> Result<(), ClusterError> {
        if let Self::Mesh(idle) = self {
            conducted.measured.push(mesh::measure(nodes, *idle).await?);
            return Ok(());
        }
        #[cfg(feature = "daemon")]
        if let Self::Exercise(plans, _) = self {
            if plans.iter().all(exercise::Plan::is_of_linked) {
                open(nodes).await?;
            }
            for plan in plans {
                conducted.measured.push(plan.measure(nodes).await?);
            }
            return Ok(());
        }
        open(nodes).await?;
        match self {
            Self::Calibrate(plan) => conducted.count = plan.calibrate(nodes).await?,
            Self::Abcast(plan, count) => conducted.measured.push(plan.measure(nodes, *count).await?),
            Self::Calls(plan) => conducted.measured.push(plan.measure(nodes).await?),
            Self::Faults(faults, rest) => {
                for fault in faults {
                    conducted.measured.push(fault.measure(nodes, *rest).await?);
                }
            }
            Self::Mesh(_) => {}
            #[cfg(feature = "daemon")]
            Self::Exercise(..) => {}
        }
        Ok(())
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Conducted {
    /// What was measured to its end.
    pub(crate) measured: Vec<Measured>,
    /// What was found out for later measurements.
    pub(crate) count: u64,
    /// Why it went no further, or what could not be ended.
    pub(crate) error: Option<String>,
    /// Who wanted it to end.
    pub(crate) signal: Option<Signal>,
    /// The last words of each node, when something went wrong.
    pub(crate) logs: Vec<(String, String)>,
}

/// The time of a run is up.
#[derive(Debug, thiserror::Error)]
#[error("the run has not ended within {} s; try fewer pings, or allow more time with --patience", .0.as_secs())]
struct Late(Duration);

/// Measures one case, on nodes that are to be set up. The first signal ends it, and the nodes are ended; the next one ends that, too.
pub(crate) async fn conduct<N: Nodes>(
    set_up: impl Future<Output = Result<N, ClusterError>>,
    case: &Case,
    patience: Duration,
    signals: &mut impl Interrupts,
) -> Conducted {
    let mut conducted = Conducted::default();
    let nodes = tokio::select! {
        biased;
        signal = signals.next() => {
            conducted.signal = Some(signal);
            return conducted;
        }
        nodes = set_up => nodes,
    };
    let mut nodes = match nodes {
        Ok(nodes) => nodes,
        Err(error) => {
            conducted.error = Some(error.to_string());
            return conducted;
        }
    };
    let limit = patience + case.planned();
    let mut signal = None;
    let measuring = within(limit, Box::pin(case.measure(&mut nodes, &mut conducted)));
    let ended = tokio::select! {
        biased;
        received = signals.next() => {
            signal = Some(received);
            Some(Ok(()))
        }
        ended = measuring => ended,
    };
    let error = match ended {
        Some(ended) => ended.err().map(|error| error.to_string()),
        None => Some(nodes.silent().map_or_else(|| Late(limit).to_string(), |silent| silent.to_string())),
    };
    let left = close(nodes.close(), &mut signal, signals).await.left(|| nodes.running());
    let errors: Vec<String> = error.into_iter().chain(left.map(|left| left.to_string())).collect();
    conducted.signal = signal;
    conducted.error = (!errors.is_empty()).then(|| errors.join("; "));
    if conducted.error.is_some() {
        conducted.logs = nodes.logs();
    }
    conducted
}
