//! Signals of a daemon: end (SIGTERM, SIGINT), and read the identity again (SIGHUP).
//!
//! They are caught from the start, so that none kills a node that could say goodbye; whoever asks later learns of those that came
//! before.

use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// A signal that ends a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
}

#[derive(Clone, Debug)]
pub(crate) struct Signals {
    /// How many came, and which was the last.
    ends: watch::Receiver<(u64, Signal)>,
    renewals: watch::Receiver<u64>,
    _task: std::sync::Arc<Task>,
}

#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hangup = signal(SignalKind::hangup())?;
        let (ended, ends) = watch::channel((0, Signal::Term));
        let (renewed, renewals) = watch::channel(0);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(()) = term.recv() => ended.send_modify(|(count, last)| (*count, *last) = (*count + 1, Signal::Term)),
                    Some(()) = int.recv() => ended.send_modify(|(count, last)| (*count, *last) = (*count + 1, Signal::Int)),
                    Some(()) = hangup.recv() => renewed.send_modify(|count| *count += 1),
                    else => return,
                }
            }
        });
        Ok(Self { ends, renewals, _task: std::sync::Arc::new(Task(task.abort_handle())) })
    }

    /// Waits for the next signal to end that this one has not been told of. Cancel safe.
    pub(crate) async fn end(&mut self) -> Signal {
        match self.ends.changed().await {
            Ok(()) => self.ends.borrow_and_update().1,
            // The runtime ends, and all of this with it.
            Err(_) => std::future::pending().await,
        }
    }

    /// Changes with each SIGHUP.
    pub(crate) fn renewals(&self) -> watch::Receiver<u64> {
        self.renewals.clone()
    }
}
