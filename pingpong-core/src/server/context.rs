//! What a handler may do besides changing its state.

use super::Server;
use super::ext::{CastError, TransportExt};
use crate::message::Message;
use crate::name::ServerName;
use crate::node::Node;
use crate::transport::{Sent, Targets, Transport, WhenFull};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// Pieces of work that a server may have at once.
const MAX_WORK: usize = 64;
/// Timers that a server may have at once.
const MAX_TIMERS: usize = 1_024;
/// A timer beyond what the clock can say waits for this long.
const FAR: Duration = Duration::from_secs(365 * 86_400);

/// A handler's reach: its node, sends that do not wait, and timers and work that end with this life of the server.
///
/// There is no send that waits, on purpose: two handlers that waited for each other would wait for ever (O2).
pub struct Context<S: Server> {
    transport: Arc<dyn Transport>,
    name: ServerName,
    work: JoinSet<S::Info>,
    timers: BTreeMap<(Instant, u64), S::Info>,
    last_timer: u64,
}

/// The server has as much work, or as many timers, as it may have at once (O1). Nothing was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server has {limit} {what} at once, the limit; wait until one has ended")]
pub struct Busy {
    /// What there is too much of.
    pub what: &'static str,
    /// The greatest number of it.
    pub limit: usize,
}

impl<S: Server> Context<S> {
    pub(super) fn new(transport: Arc<dyn Transport>, name: ServerName) -> Self {
        Self { transport, name, work: JoinSet::new(), timers: BTreeMap::new(), last_timer: 0 }
    }

    /// Who this node is now.
    pub fn node(&self) -> Node {
        self.transport.node()
    }

    /// The nodes with a session right now (M1).
    pub fn list(&self) -> Vec<Node> {
        self.transport.list()
    }

    /// The server's own name.
    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// Sends to `server` on those targets whose queues have room; the others are in [`Sent::refused`] (O2).
    ///
    /// # Errors
    /// [`CastError`]; nothing was sent to anyone.
    pub fn try_abcast<M: Message>(
        &self,
        targets: &Targets,
        server: &ServerName,
        message: &M,
    ) -> Result<Sent, CastError> {
        self.transport.try_cast(targets, server, message, WhenFull::Skip)
    }

    /// Tells the server `info` after this time.
    ///
    /// # Errors
    /// [`Busy`] when the server has 1,024 timers.
    pub fn after(&mut self, delay: Duration, info: S::Info) -> Result<(), Busy> {
        if self.timers.len() >= MAX_TIMERS {
            return Err(Busy { what: "timers", limit: MAX_TIMERS });
        }
        let now = Instant::now();
        let at = now.checked_add(delay).unwrap_or_else(|| now + FAR);
        self.last_timer += 1;
        self.timers.insert((at, self.last_timer), info);
        Ok(())
    }

    /// Starts work beside the handlers; the server is told its result. The work may wait, so it is given the transport.
    ///
    /// It is aborted when this life of the server ends. Its panic is a panic of the server.
    ///
    /// # Errors
    /// [`Busy`] when 64 pieces of work have not been told yet.
    pub fn spawn<F, W>(&mut self, work: F) -> Result<(), Busy>
    where
        F: FnOnce(Arc<dyn Transport>) -> W,
        W: Future<Output = S::Info> + Send + 'static,
    {
        if self.work.len() >= MAX_WORK {
            return Err(Busy { what: "pieces of work", limit: MAX_WORK });
        }
        self.work.spawn(work(Arc::clone(&self.transport)));
        Ok(())
    }

    /// What the server is to be told next. Cancel safe.
    pub(super) async fn next(&mut self) -> S::Info {
        let due = self.timers.first_key_value().map(|((at, _), _)| *at);
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(timer);
        loop {
            tokio::select! {
                biased;
                Some(done) = self.work.join_next() => match done.map_err(JoinError::try_into_panic) {
                    Ok(info) => return info,
                    Err(Ok(panic)) => std::panic::resume_unwind(panic),
                    // Cancelled from outside, by the end of the runtime: there is nothing to tell.
                    Err(Err(_)) => {}
                },
                () = &mut timer => break,
            }
        }
        match self.timers.pop_first() {
            Some((_, info)) => info,
            // Not reached: the timer that ran out is there, only this takes it.
            None => std::future::pending().await,
        }
    }

    /// Ends all work, and waits until it is gone.
    pub(super) async fn end(&mut self) {
        self.timers.clear();
        self.work.shutdown().await;
    }
}

impl<S: Server> fmt::Debug for Context<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("name", &self.name)
            .field("work", &self.work.len())
            .field("timers", &self.timers.len())
            .finish_non_exhaustive()
    }
}
