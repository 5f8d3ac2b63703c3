//! The nodes of a case.

use super::{Answer, Events, Probe, body, message, node, server};
use crate::harness::{Harness, Place, StartError, StartOptions, Timing};
use pingpong_core::inbox::ServerOptions;
use pingpong_core::transport::{Counters, Shutdown};
use pingpong_core::{NodeName, Replies, Targets, Transport};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How often something is looked at that tells nobody when it changes.
pub(super) const ASK: Duration = Duration::from_millis(10);

/// The world of a case: its harness, and the times that apply.
pub struct Cluster {
    harness: Arc<dyn Harness>,
    timing: Timing,
}

impl Cluster {
    /// A world without nodes.
    pub fn new(harness: Arc<dyn Harness>) -> Self {
        let timing = harness.timing();
        Self { harness, timing }
    }

    /// The harness, for faults.
    pub fn harness(&self) -> &dyn Harness {
        self.harness.as_ref()
    }

    /// The times that apply.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The failure timeout.
    pub fn t(&self) -> Duration {
        self.timing.failure
    }

    /// Starts a node.
    ///
    /// # Errors
    /// As the backend says.
    pub async fn try_start(&self, options: StartOptions) -> Result<TestNode, StartError> {
        let place = options.place.clone();
        let transport = self.harness.start(options).await?;
        Ok(TestNode { name: transport.node().name, transport, place, timing: self.timing })
    }

    /// Starts a node, which must succeed.
    pub async fn start_with(&self, options: StartOptions) -> TestNode {
        let name = options.name.clone();
        self.try_start(options).await.unwrap_or_else(|error| panic!("{name} does not start: {error}"))
    }

    /// Starts a node at the place of its name, with these seeds.
    pub async fn start(&self, name: &str, seeds: &[&str]) -> TestNode {
        self.start_with(options(name, seeds)).await
    }

    /// Starts nodes that are each other's seeds, and waits until all are linked.
    pub async fn linked<const N: usize>(&self, names: [&str; N]) -> [TestNode; N] {
        self.linked_with(names, |options| options).await
    }

    /// As [`linked`](Self::linked), each started with options of its own.
    pub async fn linked_with<const N: usize>(
        &self,
        names: [&str; N],
        change: impl Fn(StartOptions) -> StartOptions,
    ) -> [TestNode; N] {
        let mut nodes = Vec::new();
        for name in names {
            let seeds: Vec<&str> = names.into_iter().filter(|other| *other != name).collect();
            nodes.push(self.start_with(change(options(name, &seeds))).await);
        }
        for one in &nodes {
            let others: Vec<NodeName> = nodes.iter().map(|n| n.name.clone()).filter(|n| *n != one.name).collect();
            one.events().until_linked(&others).await;
        }
        nodes.try_into().unwrap_or_else(|_| unreachable!("as many nodes as names"))
    }

    /// The process is gone.
    pub async fn crash(&self, node: TestNode) {
        self.harness.crash(&node.place).await;
    }

    /// The node leaves.
    pub async fn stop(&self, node: &TestNode, deadline: Duration) -> Shutdown {
        let limit = self.timing.within(deadline) + self.timing.failure;
        match timeout(limit, self.harness.stop(&node.place, deadline)).await {
            Ok(shutdown) => shutdown,
            Err(_) => panic!("{} did not stop within {limit:?}, its deadline was {deadline:?}", node.place),
        }
    }

    /// Lets time pass, to keep things as they are for so long. Never a way to wait for a result.
    pub async fn hold(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Options of a node at the place of its name.
pub fn options(name: &str, seeds: &[&str]) -> StartOptions {
    let mut options = StartOptions::new(node(name));
    options.seeds = seeds.iter().copied().map(Place::from).collect();
    options
}

/// A node of a case: its transport, with shortcuts.
#[derive(Clone)]
pub struct TestNode {
    transport: Arc<dyn Transport>,
    name: NodeName,
    place: Place,
    timing: Timing,
}

impl TestNode {
    /// Its name.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Its transport, to be shared.
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport)
    }

    /// Where it lives.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The times that apply.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// A new monitor.
    pub fn events(&self) -> Events {
        Events::new(self.monitor(), self.place.to_string(), self.timing)
    }

    /// A server that records messages and echoes calls.
    pub fn probe(&self, name: &str) -> Probe {
        self.probe_with(name, ServerOptions::new(), Answer::Echo)
    }

    /// A server that records node events as well.
    pub fn probe_with_events(&self, name: &str) -> Probe {
        self.probe_with(name, ServerOptions::new().with_events(), Answer::Echo)
    }

    /// A server that does this with calls.
    pub fn probe_that(&self, name: &str, answer: Answer) -> Probe {
        self.probe_with(name, ServerOptions::new(), answer)
    }

    /// A server with options of its own.
    pub fn probe_with(&self, name: &str, options: ServerOptions, answer: Answer) -> Probe {
        match Probe::register(self, &server(name), options, answer) {
            Ok(probe) => probe,
            Err(error) => panic!("{name} cannot be registered on {}: {error}", self.place),
        }
    }

    /// Waits until what was counted satisfies `done`. A count tells nobody when it changes, so it asks now and then.
    pub async fn until_counted(&self, what: &str, done: impl Fn(&Counters) -> bool) {
        let deadline = Instant::now() + self.timing.patience();
        while !done(&self.counters()) {
            assert!(Instant::now() < deadline, "{}: expected {what}; counted {:?}", self.place, self.counters());
            tokio::time::sleep(ASK).await;
        }
    }

    /// A call with a numbered request, which must return within its deadline (R1).
    pub async fn call(&self, targets: Targets, name: &str, number: u64, deadline: Duration) -> Replies {
        let body = body(number, 8);
        let name = server(name);
        let limit = self.timing.within(deadline);
        let calling = self.multi_call(&targets, &name, message(&body), deadline);
        match timeout(limit, calling).await {
            Ok(replies) => replies,
            Err(_) => panic!(
                "call {number} of {} to {name}: no result {limit:?} after it, its deadline is {deadline:?}",
                self.place
            ),
        }
    }

    /// As [`call`](Self::call), in a task of its own.
    pub fn calling(
        &self,
        targets: Targets,
        name: &'static str,
        number: u64,
        deadline: Duration,
    ) -> tokio::task::JoinHandle<Replies> {
        let node = self.clone();
        tokio::spawn(async move { node.call(targets, name, number, deadline).await })
    }
}

impl Deref for TestNode {
    type Target = dyn Transport;
    fn deref(&self) -> &Self::Target {
        self.transport.as_ref()
    }
}

impl fmt::Debug for TestNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.transport.node(), self.place)
    }
}
