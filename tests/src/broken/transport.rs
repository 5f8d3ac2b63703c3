//! A transport that is broken in one way.

use super::inbox::{self, BrokenInbox};
use super::{Fault, calls, casts, events};
use crate::harness::Timing;
use async_trait::async_trait;
use pingpong_core::inbox::{Allow, Inbox, ServerOptions};
use pingpong_core::message::Encoded;
use pingpong_core::transport::{Counters, RegisterError, SendError, Shutdown, StopReason};
use pingpong_core::{Incarnation, Node, NodeEvents, NodeName, Replies, Sent, ServerName, Targets, Transport, WhenFull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// What the halves of a broken transport share.
pub(super) struct State {
    pub(super) inner: Arc<dyn Transport>,
    pub(super) fault: Fault,
    pub(super) timing: Timing,
    /// Set while the harness holds a cut.
    pub(super) cut: Arc<AtomicBool>,
    /// Casts, or calls, so far.
    pub(super) count: AtomicU64,
    pub(super) casts: casts::Memory,
    pub(super) calls: calls::Memory,
    pub(super) events: events::Memory,
    pub(super) inboxes: inbox::Memory,
    /// Held by whoever makes others wait for no reason.
    pub(super) lock: tokio::sync::Mutex<()>,
}

impl State {
    pub(super) fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}

/// Another transport with a [`Fault`] in it.
pub struct Broken {
    state: Arc<State>,
}

impl Broken {
    /// Puts the fault into `inner`; `cut` tells it when the harness holds a cut.
    pub fn new(inner: Arc<dyn Transport>, fault: Fault, timing: Timing, cut: Arc<AtomicBool>) -> Self {
        let state = State {
            inner,
            fault,
            timing,
            cut,
            count: AtomicU64::new(0),
            casts: casts::Memory::default(),
            calls: calls::Memory::default(),
            events: events::Memory::default(),
            inboxes: inbox::Memory::default(),
            lock: tokio::sync::Mutex::default(),
        };
        Self { state: Arc::new(state) }
    }
}

#[async_trait]
impl Transport for Broken {
    fn node(&self) -> Node {
        let node = self.state.inner.node();
        if self.state.is(Fault::HidesIncarnations) { events::timeless(node) } else { node }
    }

    fn list(&self) -> Vec<Node> {
        events::list(&self.state)
    }

    fn monitor(&self) -> NodeEvents {
        events::monitor(&self.state)
    }

    fn try_abcast(
        &self,
        targets: &Targets,
        server: &ServerName,
        message: Encoded<'_>,
        when_full: WhenFull,
    ) -> Result<Sent, SendError> {
        casts::try_abcast(&self.state, targets, server, message, when_full)
    }

    async fn abcast(&self, targets: &Targets, server: &ServerName, message: Encoded<'_>) -> Result<Sent, SendError> {
        casts::abcast(&self.state, targets, server, message).await
    }

    async fn multi_call(
        &self,
        targets: &Targets,
        server: &ServerName,
        request: Encoded<'_>,
        deadline: Duration,
    ) -> Replies {
        calls::multi_call(&self.state, targets, server, request, deadline).await
    }

    fn register(&self, server: &ServerName, mut options: ServerOptions) -> Result<Box<dyn Inbox>, RegisterError> {
        let state = &self.state;
        match state.fault {
            Fault::IgnoresAllowList => options.allow = Allow::Everyone,
            Fault::ServesNobodyElse if matches!(options.allow, Allow::Only(_)) => options = options.allow_only([]),
            Fault::EventsToEveryServer => options.events = true,
            Fault::EventsToNoServer => options.events = false,
            _ => {}
        }
        if state.is(Fault::SecondLifeIsDeaf) && state.inboxes.again(server) {
            return Ok(Box::new(inbox::Deaf));
        }
        match state.inner.register(server, options) {
            Err(RegisterError::NameTaken(_)) if state.is(Fault::AcceptsSecondServer) => Ok(Box::new(inbox::Deaf)),
            Err(RegisterError::ShuttingDown) if state.is(Fault::TakesMoreAfterShutdown) => Ok(Box::new(inbox::Deaf)),
            Err(error) => Err(error),
            Ok(inbox) if inbox::concerns(state.fault) => Ok(Box::new(BrokenInbox::new(state, server, inbox))),
            Ok(inbox) => Ok(inbox),
        }
    }

    async fn disconnect(&self, name: &NodeName) -> bool {
        match self.state.fault {
            Fault::DisconnectDoesNothing => true,
            Fault::DisconnectDoesNotWait => {
                let (state, name) = (Arc::clone(&self.state), name.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(state.timing.failure / 8).await;
                    state.inner.disconnect(&name).await
                });
                true
            }
            Fault::DisconnectForgets => self.state.inner.forget(name).await,
            _ => self.state.inner.disconnect(name).await,
        }
    }

    async fn forget(&self, name: &NodeName) -> bool {
        match self.state.fault {
            Fault::ForgetIsDisconnect => self.state.inner.disconnect(name).await,
            _ => self.state.inner.forget(name).await,
        }
    }

    async fn shutdown(&self, deadline: Duration) -> Shutdown {
        let inner = &self.state.inner;
        match self.state.fault {
            Fault::ShutdownDropsQueues => {
                inner.shutdown(Duration::ZERO).await;
                Shutdown { flushed: true }
            }
            Fault::ShutdownOverruns => {
                let shutdown = inner.shutdown(deadline).await;
                tokio::time::sleep(deadline * 20).await;
                shutdown
            }
            Fault::ShutdownLeavesATask => {
                let inner = Arc::clone(inner);
                tokio::spawn(async move {
                    std::future::pending::<()>().await;
                    drop(inner);
                });
                self.state.inner.shutdown(deadline).await
            }
            Fault::ShutdownSaysFlushed => {
                inner.shutdown(deadline).await;
                Shutdown { flushed: true }
            }
            Fault::SecondShutdownDiffers => {
                let shutdown = inner.shutdown(deadline).await;
                let first = self.state.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
                Shutdown { flushed: shutdown.flushed && first }
            }
            _ => inner.shutdown(deadline).await,
        }
    }

    async fn stopped(&self) -> StopReason {
        let own = self.state.inner.node();
        match self.state.fault {
            Fault::StopsWithoutCause => {
                StopReason::Replaced { by: Incarnation::above(own.incarnation, 0, 0), own, at: None }
            }
            Fault::StopsWithoutReason => {
                self.state.inner.stopped().await;
                StopReason::Endpoint("stopped".to_owned())
            }
            _ => self.state.inner.stopped().await,
        }
    }

    fn counters(&self) -> Counters {
        if self.state.is(Fault::CountsNothing) { Counters::default() } else { self.state.inner.counters() }
    }
}
