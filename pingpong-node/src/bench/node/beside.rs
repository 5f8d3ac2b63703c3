//! One producer that casts as fast as there is room, while others call.

use super::counter::Numbered;
use super::produce::Producer;
use crate::bench::protocol::Besides;
use pingpong_node::Mesh;
use pingpong_node::link::Link;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often the queues are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the tasks know of each other.
#[derive(Debug)]
struct Shared {
    /// The last ping that was sent.
    sent: AtomicU64,
    /// What that was when the time that is measured began.
    sent_before: AtomicU64,
    /// No ping begins any more.
    ended: AtomicBool,
    backlog_bytes: AtomicU64,
}

/// The producer at work. Dropping it ends its tasks.
pub(crate) struct BesideCalls {
    producer: Producer,
    shared: Arc<Shared>,
    begin: Instant,
    casts: JoinSet<Result<u64, String>>,
    looks: JoinSet<()>,
}

impl BesideCalls {
    /// Casts pings from here on; what is measured begins later.
    pub(crate) fn start<P: Numbered, L: Link>(
        producer: Producer,
        before: u64,
        mesh: Arc<Mesh<L>>,
        begin: Instant,
    ) -> Self {
        let shared = Arc::new(Shared {
            sent: AtomicU64::new(before),
            sent_before: AtomicU64::new(before),
            ended: AtomicBool::new(false),
            backlog_bytes: AtomicU64::new(0),
        });
        let (mut casts, mut looks) = (JoinSet::new(), JoinSet::new());
        let (caster, tells) = (producer.clone(), Arc::clone(&shared));
        casts.spawn(async move {
            let more = |next: u64| {
                tells.sent.store(next - 1, Relaxed);
                !tells.ended.load(Relaxed)
            };
            caster.cast::<P>(before + 1, more).await.map_err(|error| error.to_string())
        });
        let seen = Arc::clone(&shared);
        looks.spawn(async move {
            let mut looks = interval_at(begin, LOOK_EVERY);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks.tick().await;
            seen.sent_before.store(seen.sent.load(Relaxed), Relaxed);
            loop {
                let queued = mesh.links().await.iter().map(|link| link.queued_bytes as u64).max();
                seen.backlog_bytes.fetch_max(queued.unwrap_or(0), Relaxed);
                looks.tick().await;
            }
        });
        Self { producer, shared, begin, casts, looks }
    }

    /// Ends it, and says what the last ping was, and what came of all of them on so many nodes.
    pub(crate) async fn end(mut self, nodes: usize, deadline: Duration) -> Result<(u64, Besides), String> {
        let sent = self.shared.sent.load(Relaxed).saturating_sub(self.shared.sent_before.load(Relaxed));
        let casts_per_s = sent as f64 / self.begin.elapsed().as_secs_f64().max(f64::EPSILON);
        self.shared.ended.store(true, Relaxed);
        self.looks.shutdown().await;
        let next = match self.casts.join_next().await {
            Some(next) => next.map_err(|error| error.to_string())??,
            None => return Err("nobody casts".to_owned()),
        };
        let verdict = self.producer.verdict(next - 1, nodes, deadline).await?;
        let backlog_bytes = self.shared.backlog_bytes.load(Relaxed);
        Ok((next - 1, Besides { casts_per_s, backlog_bytes, verdict }))
    }
}
