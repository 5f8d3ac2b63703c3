//! Callers: each calls the counters of all nodes, or of one, again and again.

use super::counter::Ask;
use super::repeat::{Span, Times, repeat};
use pingpong_node::server::TransportExt;
use pingpong_node::{ServerName, Targets, Transport};
use std::sync::Arc;
use std::time::Duration;

/// How long one call may take: as with the Erlang peer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Who calls whom, and for how long.
#[derive(Clone)]
pub(crate) struct Callers {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) server: ServerName,
    pub(crate) targets: Targets,
    /// So many callers at once.
    pub(crate) callers: usize,
    /// So many nodes must answer each call.
    pub(crate) nodes: usize,
    pub(crate) span: Span,
}

impl Callers {
    /// Calls until the end.
    pub(crate) async fn call(&self) -> Result<Times, String> {
        let callers = Arc::new(self.clone());
        let work = move || {
            let callers = Arc::clone(&callers);
            async move {
                let answer = callers.transport.call(&callers.targets, &callers.server, &Ask, DEADLINE).await;
                answer.is_ok_and(|answer| answer.failed.is_empty() && answer.replies.len() == callers.nodes)
            }
        };
        repeat(self.callers, self.span, work).await
    }
}
