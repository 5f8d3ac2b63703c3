//! What every test has: a node in a process of its own, a good node beside it, and bounds for what an attack may cost.

use crate::good::Good;
use crate::node::{self, Node, Settings, Usage};
use crate::{SECOND, soon};
use pingpong_core::ClusterName;
use pingpong_transport_quic::Authority;
use std::time::{Duration, Instant};

/// What an attack may cost at most.
pub(crate) struct Bounds {
    /// Bytes of the heap above what was there before.
    pub(crate) heap: u64,
    /// Processor time, that of the good pair included.
    pub(crate) cpu: Duration,
}

pub(crate) struct Stage {
    pub(crate) authority: Authority,
    pub(crate) node: Node,
    pub(crate) good: Good,
    before: Usage,
    began: Instant,
}

impl Stage {
    pub(crate) async fn start(settings: Settings) -> Self {
        let authority = Authority::new(&ClusterName::new("test").unwrap(), 86_400 * SECOND).unwrap();
        let mut node = node::start(&authority, settings).await;
        let good = Good::link(&authority, "good", node.at).await;
        let before = node.usage("mark").await;
        Self { authority, node, good, before, began: Instant::now() }
    }

    /// What the attack has cost so far.
    pub(crate) async fn cost(&mut self) -> (u64, Duration) {
        let now = self.node.usage("usage").await;
        (now.peak.saturating_sub(self.before.heap), now.cpu - self.before.cpu)
    }

    /// The attack is over: what it cost, and whether the good pair was disturbed.
    pub(crate) async fn end(mut self, attack: &str, bounds: Bounds) {
        let slowest = self.good.check().await;
        let took = self.began.elapsed();
        let (heap, cpu) = self.cost().await;
        let Self { mut node, good, .. } = self;
        let events = node.ask("events").await;
        let of_good: Vec<_> = events.split(" | ").filter(|event| event.contains(" good@")).collect();
        assert!(of_good.len() == 1 && of_good[0].starts_with("up "), "the node saw: {of_good:?}");
        eprintln!(
            "{attack}: heap {} KiB of {}, cpu {} ms of {}, in {} ms; slowest word between good nodes {} ms",
            heap >> 10,
            bounds.heap >> 10,
            cpu.as_millis(),
            bounds.cpu.as_millis(),
            took.as_millis(),
            slowest.as_millis()
        );
        assert!(heap <= bounds.heap, "{attack}: {heap} bytes of heap, {} are allowed", bounds.heap);
        assert!(cpu <= bounds.cpu, "{attack}: {cpu:?} of processor time, {:?} are allowed", bounds.cpu);
        good.stop().await;
        soon(node.stop()).await;
    }
}
