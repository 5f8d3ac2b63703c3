//! What a [`Harness`](crate::Harness) of nodes on a [`Link`](pingpong_core::link::Link) needs whatever its network: the configuration
//! of its nodes, what is kept for each place, and a runtime that stands still.

use crate::faulty::LaneFaults;
use crate::harness::{Clock, Place, StartOptions, Store, Timing};
use async_trait::async_trait;
use pingpong_core::config::{IncarnationStore, OutsideWorld};
use pingpong_core::transport::Shutdown;
use pingpong_core::{Address, ClusterName, Incarnation, MeshConfig, Transport};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

const CLUSTER: &str = "conformance";
/// The wall clock when a case begins, in milliseconds since 1970.
pub(crate) const BEGIN: u64 = 1_800_000_000_000;

/// The cluster of all nodes that are not told another one.
pub fn cluster() -> ClusterName {
    ClusterName::new(CLUSTER).unwrap()
}

/// What is the same in every harness, whatever its network.
pub struct Ground {
    timing: Timing,
    seed: u64,
    /// When the first node was started: all wall clocks are set by it.
    begin: OnceLock<Instant>,
    started: AtomicU64,
    nodes: Mutex<BTreeMap<Place, Arc<dyn Transport>>>,
    stores: Mutex<BTreeMap<Place, Arc<Stored>>>,
    lanes: Mutex<BTreeMap<Place, LaneFaults>>,
}

impl Ground {
    /// For nodes with these timeouts; the seed decides their random bits.
    pub fn new(timing: Timing, seed: u64) -> Self {
        Self {
            timing,
            seed,
            begin: OnceLock::new(),
            started: AtomicU64::new(0),
            nodes: Mutex::default(),
            stores: Mutex::default(),
            lanes: Mutex::default(),
        }
    }

    /// The times that its nodes are started with.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The configuration of a node that is about to start; `address` says where a seed is dialled.
    pub fn config(&self, options: &StartOptions, address: impl Fn(&Place) -> Address) -> MeshConfig {
        let cluster = options.cluster.clone().unwrap_or_else(cluster);
        let mut config = MeshConfig::new(cluster, options.name.clone());
        config.seeds = options.seeds.iter().map(address).collect();
        config.limits = options.limits.unwrap_or_default();
        config.timeouts.failure = self.timing.failure;
        config.timeouts.stall = self.timing.stall;
        config.timeouts.forget_after = options.forget_after.unwrap_or(config.timeouts.forget_after);
        let bits = AtomicU64::new(self.seed.rotate_left(32) ^ (self.next_number() << 16));
        let begin = *self.begin.get_or_init(Instant::now);
        config.outside = Arc::new(Outside { clock: options.clock, bits, begin });
        if let Some(store) = self.store(&options.place, options.store) {
            config.incarnations = store;
        }
        config
    }

    fn store(&self, place: &Place, which: Store) -> Option<Arc<Stored>> {
        let mut stores = self.stores.lock().unwrap();
        match which {
            Store::None => return None,
            Store::Lost => drop(stores.remove(place)),
            Store::Kept => {}
        }
        Some(Arc::clone(stores.entry(place.clone()).or_default()))
    }

    /// A number that nothing else of this harness has.
    pub fn next_number(&self) -> u64 {
        self.started.fetch_add(1, Ordering::Relaxed)
    }

    /// The node runs; it is kept until it stops or crashes.
    pub fn keep(&self, place: Place, node: &Arc<dyn Transport>) {
        self.nodes.lock().unwrap().insert(place, Arc::clone(node));
    }

    /// The node there, which is not kept any more.
    pub fn take(&self, place: &Place) -> Option<Arc<dyn Transport>> {
        self.nodes.lock().unwrap().remove(place)
    }

    /// Where nodes run.
    pub fn places(&self) -> Vec<Place> {
        self.nodes.lock().unwrap().keys().cloned().collect()
    }

    /// Shuts the node there down, and keeps it no more. As cancel safe as [`Transport::shutdown`].
    pub async fn stop(&self, place: &Place, deadline: Duration) -> Shutdown {
        match self.take(place) {
            Some(node) => node.shutdown(deadline).await,
            None => Shutdown { flushed: false },
        }
    }

    /// The faults of the lanes that lead to a place.
    pub fn lanes(&self, place: &Place) -> LaneFaults {
        self.lanes.lock().unwrap().entry(place.clone()).or_default().clone()
    }
}

/// Keeps every worker of the runtime that it is called on busy with nothing for that time, so that no task runs. The caller is none of
/// its tasks, but what the runtime blocks on; the runtime has several threads. Not to be cancelled: it goes on to its end.
///
/// # Panics
/// If it is called outside of a runtime.
pub async fn block_workers(time: Duration) {
    let workers = Handle::current().metrics().num_workers();
    let together = Arc::new(Barrier::new(workers));
    let blocked: Vec<_> = (0..workers)
        .map(|_| {
            let together = Arc::clone(&together);
            tokio::spawn(async move {
                together.wait();
                let end = std::time::Instant::now() + time;
                while let Some(left) = end.checked_duration_since(std::time::Instant::now()) {
                    std::thread::park_timeout(left);
                }
            })
        })
        .collect();
    for worker in blocked {
        worker.await.unwrap();
    }
}

/// A wall clock that follows the paused one, and counted instead of random bits.
struct Outside {
    clock: Clock,
    bits: AtomicU64,
    begin: Instant,
}

impl OutsideWorld for Outside {
    fn wall_millis(&self) -> u64 {
        let right = BEGIN + self.begin.elapsed().as_millis() as u64;
        match self.clock {
            Clock::Right => right,
            Clock::Behind(by) => right - by.as_millis() as u64,
            Clock::Ahead(by) => right + by.as_millis() as u64,
        }
    }

    fn random(&self) -> u64 {
        // Every bit of the counter moves many of the result.
        let n = self.bits.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (n ^ (n >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }
}

/// A store in memory.
#[derive(Default)]
struct Stored(Mutex<Option<Incarnation>>);

#[async_trait]
impl IncarnationStore for Stored {
    async fn load(&self) -> Result<Option<Incarnation>, String> {
        Ok(*self.0.lock().unwrap())
    }

    async fn store(&self, incarnation: Incarnation) -> Result<(), String> {
        *self.0.lock().unwrap() = Some(incarnation);
        Ok(())
    }
}
