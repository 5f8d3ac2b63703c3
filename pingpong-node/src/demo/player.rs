//! A node that plays the exercise, on any transport.

use super::stage::{Counts, Look, Verdict, name};
use crate::cluster::ClusterError;
use pingpong_node::config::Timeouts;
use pingpong_node::exercise::{
    AskConsumer, CONSUMER, ConsumerSays, Exercise, Ledger, LedgerOptions, Members, Settings,
};
use pingpong_node::server::{Restart, TransportExt};
use pingpong_node::transport::CallFailure;
use pingpong_node::{Address, ClusterName, Incarnation, MeshConfig, Node, NodeName, Targets, Transport};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
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

/// A node with its servers. Dropping it ends them, and the node without a farewell.
pub(crate) struct Player {
    name: String,
    transport: Arc<dyn Transport>,
    /// What it was told to play with; nothing before.
    part: Option<Part>,
    /// None until it was told to play, and from a crash until the recovery.
    exercise: Option<Exercise>,
    /// How often all that it kept was lost.
    losses: u64,
}

/// What a node plays with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    /// How many nodes there are: all of them vote.
    pub(crate) nodes: usize,
    /// A directory for its counts. It exists.
    pub(crate) dir: PathBuf,
    /// Whether the node starts for the first time.
    pub(crate) first: bool,
}

impl Player {
    /// A node that does not play yet.
    pub(crate) fn on(transport: Arc<dyn Transport>) -> Self {
        let name = transport.node().name.to_string();
        Self { name, transport, part: None, exercise: None, losses: 0 }
    }

    /// Starts the servers.
    pub(crate) async fn play(&mut self, part: Part) -> Result<(), ClusterError> {
        let first = part.first;
        self.part = Some(part);
        self.start(first).await
    }

    async fn start(&mut self, first: bool) -> Result<(), ClusterError> {
        let mut settings = Settings::default();
        settings.ping_deadline = NEVER;
        // A consumer that crashes stays down until it is told to recover; one that crashes unasked is found.
        settings.restart = Restart { max_restarts: 0, ..Restart::default() };
        let exercise = Exercise::start(Arc::clone(&self.transport), self.ledger(first).await?, settings);
        self.exercise = Some(exercise.map_err(|error| ClusterError::node(&self.name, "start the exercise", error))?);
        Ok(())
    }

    /// What was kept; if that was lost, an empty store in an epoch of its own.
    ///
    /// A store that is lost while its node lives is followed by another one of the same incarnation, which must not number
    /// new pings like old ones (P4), and whose epoch may not be above the incarnation. So the epochs of one incarnation are
    /// numbered where its random bits would be: below the incarnation, and above all earlier ones, by the milliseconds.
    async fn ledger(&self, first: bool) -> Result<Arc<Ledger>, ClusterError> {
        let failed = |error: &dyn std::fmt::Display| ClusterError::node(&self.name, "open its store", error);
        let Some(part) = &self.part else { return Err(failed(&"it was not told to play")) };
        let Node { name: node, incarnation } = self.transport.node();
        let epoch = Incarnation::new(incarnation.millis(), self.losses);
        let own = Node { name: node, incarnation: epoch };
        let cluster = ClusterName::new(CLUSTER).map_err(|error| failed(&error))?;
        let names = (0..part.nodes).map(|node| NodeName::new(&name(node))).collect::<Result<Vec<_>, _>>();
        let members = Members::new(cluster, names.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
        let options = LedgerOptions { members: Some(members), init: first, ..LedgerOptions::default() };
        let store = super::shelf::open(&part.dir, &own).map_err(|error| failed(&error))?;
        Ledger::open(store, &own, options).await.map_err(|error| failed(&error))
    }

    fn exercise(&self, what: &'static str) -> Result<&Exercise, ClusterError> {
        self.exercise.as_ref().ok_or_else(|| ClusterError::node(&self.name, what, "its servers are down"))
    }

    pub(crate) async fn ping(&self, pings: u64) -> Result<(), ClusterError> {
        let answer = self.exercise("ping")?.ping(pings).await;
        answer.map(drop).map_err(|error| ClusterError::node(&self.name, "ping", error))
    }

    /// Kills the consumer as a panic would, ends the other servers, and loses what they kept.
    pub(crate) async fn crash(&mut self) -> Result<(), ClusterError> {
        const WHAT: &str = "crash its consumer";
        let exercise = self.exercise(WHAT)?;
        exercise.consumer().crash().await;
        if exercise.consumer().stopped().await.is_ok() {
            return Err(ClusterError::node(&self.name, WHAT, "it was stopped, and did not crash"));
        }
        // It says that the consumer crashed, which was ordered.
        let _ = exercise.stop().await;
        exercise.ledger().close().await;
        self.exercise = None;
        self.losses += 1;
        let Some(part) = &self.part else { return Ok(()) };
        super::shelf::lose(&part.dir).map_err(|error| ClusterError::node(&self.name, "lose its store", error))
    }

    /// Starts the servers again, with an empty store.
    pub(crate) async fn recover(&mut self) -> Result<(), ClusterError> {
        self.start(false).await
    }

    /// What the transport says of its links, and what the consumer answers when it is asked; and if it is to be asked, what a majority says.
    pub(crate) async fn look(&self, majority: bool) -> Result<Look, ClusterError> {
        let failed = |error: &dyn std::fmt::Display| ClusterError::node(&self.name, "ask its consumer", error);
        let own = Targets::node(self.transport.node().name);
        let answer =
            self.transport.call(&own, &CONSUMER, &AskConsumer::Counts, NEVER).await.map_err(|error| failed(&error))?;
        let counts = match answer.into_one().map(|answer| answer.reply) {
            Ok(ConsumerSays::Counts(counts)) => counts.values(),
            Ok(_) => return Err(failed(&"it answered another question")),
            // It is down, and says nothing; one that went down meanwhile, too.
            Err(CallFailure::NoSuchServer | CallFailure::ServerStopped) => Default::default(),
            Err(reason) => return Err(failed(&reason)),
        };
        let counts = counts.into_iter().map(|(producer, pings)| {
            let pings = u64::try_from(pings).unwrap_or(u64::MAX);
            (producer.to_string(), pings)
        });
        Ok(Look {
            links: self.transport.list().into_iter().map(|node| node.name.to_string()).collect(),
            counts: counts.collect::<Counts>(),
            recovering: self.exercise.as_ref().is_some_and(|exercise| exercise.local().recovering),
            majority: if majority { Some(self.majority().await?) } else { None },
        })
    }

    async fn majority(&self) -> Result<Verdict, ClusterError> {
        let read = self.exercise("ask a majority")?.majority(FAILURE_TIMEOUT).await;
        Ok(read.map_or(Verdict::Refused, |read| Verdict::Total(u64::try_from(read.total()).unwrap_or(u64::MAX))))
    }

    /// Ends the node, and waits until nothing of it is left. A process does that by ending itself.
    #[cfg(feature = "mem")]
    pub(crate) async fn end(&mut self) {
        if let Some(exercise) = self.exercise.take() {
            let ledger = Arc::clone(exercise.ledger());
            drop(exercise);
            ledger.close().await;
        }
        // It has no farewell to say that anybody could hear.
        self.transport.shutdown(Duration::ZERO).await;
    }
}
