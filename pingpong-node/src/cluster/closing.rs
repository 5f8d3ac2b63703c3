//! The end of a cluster: it is waited for, but not for ever, and not by whoever does not want to wait.

use super::{ClusterError, Interrupts, Signal, within};
use std::time::Duration;

/// How long the nodes may take to end.
const CLOSING: Duration = Duration::from_secs(5);
/// Names in one message.
const NAMES: usize = 16;

/// How a cluster was closed.
pub(crate) enum Closing {
    Closed(Result<(), ClusterError>),
    /// Not in time.
    Late,
    /// Somebody does not want to wait. Whoever runs is killed when the cluster is dropped.
    Left(Signal),
}

impl Closing {
    /// What is left, if anything is.
    pub(crate) fn left(self, running: impl FnOnce() -> Vec<String>) -> Option<ClusterError> {
        match self {
            Self::Closed(closed) => closed.err(),
            Self::Late => Some(ClusterError::Left { nodes: named(&running()), within: CLOSING }),
            Self::Left(signal) => Some(ClusterError::LeftAtOnce { signal, nodes: named(&running()) }),
        }
    }
}

/// Nodes by their names, the first ones if there are many.
fn named(nodes: &[String]) -> String {
    let shown = nodes[..nodes.len().min(NAMES)].join(" ");
    match nodes.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Waits until all has ended. A signal that comes meanwhile is kept, if it is the first one; the second one ends the waiting.
pub(crate) async fn close(
    closing: impl Future<Output = Result<(), ClusterError>>,
    signal: &mut Option<Signal>,
    signals: &mut impl Interrupts,
) -> Closing {
    let mut closing = Box::pin(within(CLOSING, closing));
    loop {
        tokio::select! {
            biased;
            next = signals.next() => match signal {
                Some(_) => return Closing::Left(next),
                None => *signal = Some(next),
            },
            closed = &mut closing => return closed.map_or(Closing::Late, Closing::Closed),
        }
    }
}
