//! A node that plays the exercise, on any transport.

use super::error::DemoError;
use super::stage::Look;
use pingpong_node::Transport;
use pingpong_node::config::Timeouts;
use pingpong_node::exercise::{Exercise, MemoryStore, Settings};
use std::sync::Arc;
use std::time::Duration;

/// The cluster of all demos; each has an authority of its own.
pub(crate) const CLUSTER: &str = "demo";
/// A silent node is given up after this: short, so that nobody waits long for a partition to be noticed.
pub(crate) const FAILURE_TIMEOUT: Duration = Duration::from_secs(1);

/// The times of a node of the demo.
pub(crate) fn timeouts() -> Timeouts {
    Timeouts { failure: FAILURE_TIMEOUT, ..Timeouts::default() }
}

/// A node with its producer and its consumer. Dropping it ends both, and the node without a farewell.
pub(crate) struct Player {
    name: String,
    transport: Arc<dyn Transport>,
    exercise: Exercise,
}

impl Player {
    /// Starts both servers, with an empty store.
    pub(crate) fn on(transport: Arc<dyn Transport>) -> Result<Self, DemoError> {
        let node = transport.node();
        let name = node.name.to_string();
        let store = Arc::new(MemoryStore::new(&node));
        let exercise = Exercise::start(Arc::clone(&transport), store, Settings::default())
            .map_err(|error| DemoError::node(&name, "start the exercise", error))?;
        Ok(Self { name, transport, exercise })
    }

    pub(crate) async fn ping(&self, pings: u64) -> Result<(), DemoError> {
        let answer = self.exercise.ping(pings).await;
        answer.map(drop).map_err(|error| DemoError::node(&self.name, "ping", error))
    }

    /// Kills the consumer as a panic would, and checks that its supervisor has restarted it.
    pub(crate) async fn crash_consumer(&self) -> Result<(), DemoError> {
        let consumer = self.exercise.consumer();
        let before = consumer.restarts();
        consumer.crash().await;
        if consumer.restarts() > before {
            return Ok(());
        }
        Err(DemoError::node(&self.name, "crash its consumer", "its supervisor did not restart it"))
    }

    pub(crate) fn look(&self) -> Look {
        let values = self.exercise.local().values;
        Look {
            links: self.transport.list().into_iter().map(|node| node.name.to_string()).collect(),
            counts: values
                .into_iter()
                .map(|(producer, pings)| (producer.to_string(), u64::try_from(pings).unwrap_or(u64::MAX)))
                .collect(),
        }
    }
}
