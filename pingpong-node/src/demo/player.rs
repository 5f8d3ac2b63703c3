//! A node that plays the exercise, on any transport.

use super::stage::{Counts, Look};
use crate::cluster::ClusterError;
use pingpong_node::config::Timeouts;
use pingpong_node::exercise::{AskConsumer, CONSUMER, ConsumerSays, Exercise, Ledger, Settings};
use pingpong_node::server::{Restart, TransportExt};
use pingpong_node::transport::CallFailure;
use pingpong_node::{Address, ClusterName, Incarnation, MeshConfig, Node, NodeName, Targets, Transport};
use std::sync::Arc;
use std::time::Duration;

/// The cluster of all demos; each has an authority of its own.
pub(crate) const CLUSTER: &str = "demo";
/// A silent node is given up after this: short, so that nobody waits long for a partition to be noticed.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(1);
/// Longer than any step: it is the step's deadline that ends a demo.
const NEVER: Duration = Duration::from_secs(86_400);

/// How a node of the demo finds the others, whatever carries its links.
pub(crate) fn mesh<'a>(name: &str, seeds: impl Iterator<Item = &'a str>) -> Result<MeshConfig, ClusterError> {
    let refused = |error: &dyn std::fmt::Display| ClusterError::own("a name of a node")(error.to_string());
    let cluster = ClusterName::new(CLUSTER).map_err(|error| refused(&error))?;
    let mut config = MeshConfig::new(cluster, NodeName::new(name).map_err(|error| refused(&error))?);
    config.seeds = seeds.map(Address::new).collect::<Result<_, _>>().map_err(|error| refused(&error))?;
    config.timeouts = Timeouts { failure: FAILURE_TIMEOUT, ..Timeouts::default() };
    Ok(config)
}

/// A node with its producer and its consumer. Dropping it ends both, and the node without a farewell.
pub(crate) struct Player {
    name: String,
    transport: Arc<dyn Transport>,
    /// None from a crash until the recovery.
    exercise: Option<Exercise>,
    /// How often all that it kept was lost.
    losses: u64,
}

impl Player {
    /// Starts both servers, with an empty store.
    pub(crate) async fn on(transport: Arc<dyn Transport>) -> Result<Self, ClusterError> {
        let name = transport.node().name.to_string();
        let mut player = Self { name, transport, exercise: None, losses: 0 };
        player.start().await?;
        Ok(player)
    }

    async fn start(&mut self) -> Result<(), ClusterError> {
        let mut settings = Settings::default();
        settings.ping_deadline = NEVER;
        // A consumer that crashes stays down until it is told to recover; one that crashes unasked is found.
        settings.restart = Restart { max_restarts: 0, ..Restart::default() };
        let exercise = Exercise::start(Arc::clone(&self.transport), self.ledger().await?, settings);
        self.exercise = Some(exercise.map_err(|error| ClusterError::node(&self.name, "start the exercise", error))?);
        Ok(())
    }

    /// An empty store, in an epoch of its own.
    ///
    /// A store that is lost while its node lives is followed by another one of the same incarnation, which must not number
    /// new pings like old ones (P4), and whose epoch may not be above the incarnation. So the epochs of one incarnation are
    /// numbered where its random bits would be: below the incarnation, and above all earlier ones, by the milliseconds.
    async fn ledger(&self) -> Result<Arc<Ledger>, ClusterError> {
        let Node { name, incarnation } = self.transport.node();
        let epoch = Incarnation::new(incarnation.millis(), self.losses);
        let ledger = Ledger::in_memory(&Node { name, incarnation: epoch }).await;
        ledger.map_err(|error| ClusterError::node(&self.name, "open its store", error))
    }

    fn exercise(&self, what: &'static str) -> Result<&Exercise, ClusterError> {
        self.exercise.as_ref().ok_or_else(|| ClusterError::node(&self.name, what, "its servers are down"))
    }

    pub(crate) async fn ping(&self, pings: u64) -> Result<(), ClusterError> {
        let answer = self.exercise("ping")?.ping(pings).await;
        answer.map(drop).map_err(|error| ClusterError::node(&self.name, "ping", error))
    }

    /// Kills the consumer as a panic would, ends the producer, and drops the store of both.
    pub(crate) async fn crash(&mut self) -> Result<(), ClusterError> {
        const WHAT: &str = "crash its consumer";
        let exercise = self.exercise(WHAT)?;
        exercise.consumer().crash().await;
        if exercise.consumer().stopped().await.is_ok() {
            return Err(ClusterError::node(&self.name, WHAT, "it was stopped, and did not crash"));
        }
        let stopped = exercise.producer().stop().await;
        stopped.map_err(|error| ClusterError::node(&self.name, "stop its producer", error))?;
        self.exercise = None;
        self.losses += 1;
        Ok(())
    }

    /// Starts both servers again, with an empty store.
    pub(crate) async fn recover(&mut self) -> Result<(), ClusterError> {
        self.start().await
    }

    /// What the transport says of its links, and what the consumer answers when it is asked.
    pub(crate) async fn look(&self) -> Result<Look, ClusterError> {
        let failed = |error: &dyn std::fmt::Display| ClusterError::node(&self.name, "ask its consumer", error);
        let own = Targets::node(self.transport.node().name);
        let answer =
            self.transport.call(&own, &CONSUMER, &AskConsumer::Counts, NEVER).await.map_err(|error| failed(&error))?;
        let counts = match (answer.replies.first(), answer.failed.first()) {
            (Some(pingpong_node::transport::Reply { reply: ConsumerSays::Counts(counts), .. }), _) => counts.values(),
            (Some(_), _) => return Err(failed(&"it answered another question")),
            // It is down, and says nothing; one that went down meanwhile, too.
            (None, Some(none)) if matches!(none.reason, CallFailure::NoSuchServer | CallFailure::ServerStopped) => {
                Default::default()
            }
            (None, Some(none)) => return Err(failed(&none.reason)),
            (None, None) => return Err(failed(&"there was no answer")),
        };
        let counts = counts.into_iter().map(|(producer, pings)| {
            let pings = u64::try_from(pings).unwrap_or(u64::MAX);
            (producer.to_string(), pings)
        });
        Ok(Look {
            links: self.transport.list().into_iter().map(|node| node.name.to_string()).collect(),
            counts: counts.collect::<Counts>(),
        })
    }

    /// Ends the node, and waits until nothing of it is left. A process does that by ending itself.
    #[cfg(feature = "mem")]
    pub(crate) async fn end(&mut self) {
        self.exercise = None;
        // It has no farewell to say that anybody could hear.
        self.transport.shutdown(Duration::ZERO).await;
    }
}
