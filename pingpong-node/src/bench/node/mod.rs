//! A node of the bench, on any transport: it uses what every service uses, and does nothing that a service could not do.
//!
//! It does as it is told, and measures what only it can see. What the figures come to is reckoned by the bench.
//!
//! | part | what it is |
//! | --- | --- |
//! | here | the node, and what it does when it is told something |
//! | `counter`, `sequence` | the server: it counts pings, and sees whether they come in order |
//! | `produce`, `callers`, `beside` | casts, calls, and both at once |
//! | `exercise` | pings that are acknowledged, and reads: the ping exercise on this node |
//! | `repeat` | the same again and again, and how long it took |
//! | `watch` | who comes and goes, and when |
//! | `usage` | CPU and memory of this process |

mod beside;
mod callers;
mod counter;
#[cfg(feature = "daemon")]
mod exercise;
#[cfg(test)]
mod flaws;
mod produce;
mod repeat;
mod sequence;
mod usage;
mod watch;

pub(crate) use counter::PING_BYTES;
#[cfg(feature = "daemon")]
pub(crate) use exercise::Keep;
pub(crate) use produce::Verdict;
pub(crate) use repeat::Times;
#[cfg(feature = "mem")]
pub(crate) use usage::forget_peak;
pub(crate) use usage::{Usage, packets, usage};

use super::clock::wall_micros;
use super::protocol::{Beside, Order, Said};
use crate::cluster::ClusterError;
use beside::BesideCalls;
use bytes::Bytes;
use callers::Callers;
use counter::{Counter, LargePing, Numbered, Ping};
use pingpong_node::link::Link;
use pingpong_node::server::{ServerHandle, SpawnOptions, spawn};
use pingpong_node::{Address, ClusterName, Mesh, MeshConfig, NodeName, ServerName, Targets, Transport};
use produce::Producer;
use repeat::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use watch::Watch;

/// The cluster of all benches; each has an authority of its own.
pub(crate) const CLUSTER: &str = "bench";
/// The servers that are pinged and called, and those that are pinged beside.
const SERVERS: [&str; 2] = ["counter", "other"];

/// How a node is set up, whatever carries its links.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Which node it is, from 0.
    pub(crate) number: usize,
    /// So many there are.
    pub(crate) nodes: usize,
    /// Bytes of a ping, at least [`PING_BYTES`].
    pub(crate) payload: usize,
    /// What the exercise keeps its counts in, if that is to run on it, too.
    #[cfg(feature = "daemon")]
    pub(crate) keep: Option<Keep>,
}

impl Setup {
    /// A node's configuration: its defaults, but for a cluster that is larger than these allow.
    pub(crate) fn mesh(&self, name: &str, seeds: &[String]) -> Result<MeshConfig, ClusterError> {
        let refused = |error: &dyn Display| ClusterError::own("a name of a node")(error.to_string());
        let cluster = ClusterName::new(CLUSTER).map_err(|error| refused(&error))?;
        let mut config = MeshConfig::new(cluster, NodeName::new(name).map_err(|error| refused(&error))?);
        let seeds = seeds.iter().map(|seed| Address::new(seed));
        config.seeds = seeds.collect::<Result<_, _>>().map_err(|error| refused(&error))?;
        if self.nodes > config.limits.max_peers {
            config.limits.max_peers = self.nodes;
            config.limits.max_memory = u64::MAX;
        }
        Ok(config)
    }
}

/// A node with its servers. Dropping it ends them, and the node without a farewell.
pub(crate) struct BenchNode<L: Link> {
    name: String,
    setup: Setup,
    mesh: Arc<Mesh<L>>,
    transport: Arc<dyn Transport>,
    watch: Watch,
    servers: BTreeMap<&'static str, ServerName>,
    handles: Vec<ServerHandle>,
    #[cfg(feature = "daemon")]
    exercise: Option<exercise::OnNode>,
    filler: Bytes,
    /// Pings that were sent to each server: counters know the numbers of a producer for as long as they live.
    sent: BTreeMap<&'static str, u64>,
}

impl<L: Link> BenchNode<L> {
    /// Starts the servers.
    pub(crate) async fn on(mesh: Mesh<L>, setup: Setup) -> Result<Self, ClusterError> {
        let mesh = Arc::new(mesh);
        let transport: Arc<dyn Transport> = Arc::clone(&mesh) as Arc<dyn Transport>;
        let name = transport.node().name.to_string();
        let filler = Bytes::from(vec![0x5a; setup.payload.saturating_sub(PING_BYTES)]);
        let watch = Watch::of(&*transport);
        let mut node = Self {
            name,
            setup,
            mesh,
            transport,
            watch,
            servers: BTreeMap::new(),
            handles: Vec::new(),
            #[cfg(feature = "daemon")]
            exercise: None,
            filler,
            sent: BTreeMap::new(),
        };
        if node.is_large() { node.serve::<LargePing>() } else { node.serve::<Ping>() }?;
        #[cfg(feature = "daemon")]
        if let Some(keep) = &node.setup.keep {
            let started = exercise::OnNode::start(Arc::clone(&node.transport), keep, node.setup.nodes).await;
            node.exercise = Some(started.map_err(|words| node.failed("start the exercise", words))?);
        }
        Ok(node)
    }

    fn is_large(&self) -> bool {
        self.setup.payload > PING_BYTES
    }

    fn serve<P: Numbered>(&mut self) -> Result<(), ClusterError> {
        for server in SERVERS {
            let name = ServerName::new(server).map_err(|error| self.failed("name its servers", error))?;
            let transport = Arc::clone(&self.transport);
            let spawned = spawn(transport, name.clone(), Counter::<P>::default, SpawnOptions::default());
            self.handles.push(spawned.map_err(|error| self.failed("start its servers", error))?);
            self.servers.insert(server, name);
        }
        Ok(())
    }

    fn failed(&self, what: &'static str, words: impl ToString) -> ClusterError {
        ClusterError::node(&self.name, what, words)
    }

    fn producer(&self, server: &'static str) -> Result<Producer, ClusterError> {
        let name = self.servers.get(server).ok_or_else(|| self.failed("ping", format!("it has no server {server}")))?;
        Ok(Producer {
            transport: Arc::clone(&self.transport),
            server: name.clone(),
            number: self.setup.number as u64,
            filler: self.filler.clone(),
        })
    }

    /// Carries out an order. It may be dropped halfway: whatever it has started ends then.
    pub(crate) async fn obey(&mut self, order: Order) -> Result<Option<Said>, ClusterError> {
        let said = match order {
            Order::Linked { others } => Said::At(self.saw("say when it was linked", self.watch.linked(others).await)?),
            Order::Changed { node, up, since_us } => {
                let at = self.watch.changed(&node, up, since_us).await;
                Said::At(self.saw("say who came and went", at)?)
            }
            Order::Produce { count, begin_us, deadline_ms } => {
                let deadline = Duration::from_millis(deadline_ms);
                if self.is_large() {
                    self.produce::<LargePing>(count, begin_us, deadline).await?
                } else {
                    self.produce::<Ping>(count, begin_us, deadline).await?
                }
            }
            Order::Call { callers, whom, warm_up_ms, duration_ms, beside, deadline_ms } => {
                let deadline = Duration::from_millis(deadline_ms);
                self.call(callers, whom, span(warm_up_ms, duration_ms), beside, deadline).await?
            }
            #[cfg(feature = "daemon")]
            Order::Exercise(task) => {
                let running = self.exercise.as_mut();
                let running = running.ok_or_else(|| ClusterError::own("a node")("it runs no exercise".to_owned()))?;
                let outcome = running.obey(task).await;
                Said::Exercise(outcome.map_err(|words| self.failed("ping, count or read", words))?)
            }
            Order::Used => Said::Used { usage: usage(), downs: self.watch.downs() },
            Order::Leave { deadline_ms } => {
                let end = self.transport.shutdown(Duration::from_millis(deadline_ms)).await;
                Said::Left { flushed: end.flushed }
            }
        };
        Ok(Some(said))
    }

    fn saw(&self, what: &'static str, at: Result<u64, watch::Ended>) -> Result<u64, ClusterError> {
        at.map_err(|error| self.failed(what, error))
    }

    async fn produce<P: Numbered>(
        &mut self,
        count: u64,
        begin_us: u64,
        deadline: Duration,
    ) -> Result<Said, ClusterError> {
        let [server, _] = SERVERS;
        let producer = self.producer(server)?;
        let (before, nodes) = (self.sent.get(server).copied().unwrap_or(0), self.setup.nodes);
        let last = before + count;
        tokio::time::sleep(Duration::from_micros(begin_us.saturating_sub(wall_micros()))).await;
        // A task, as in a service: the thread of the orders is not one of the runtime's workers.
        let mut work = JoinSet::new();
        work.spawn(async move {
            let first_us = wall_micros();
            producer.cast::<P>(before + 1, |number| number <= last).await.map_err(|error| error.to_string())?;
            let verdict = producer.verdict(last, nodes, deadline).await?;
            Ok(Said::Produced { first_us, verdict })
        });
        self.sent.insert(server, last);
        self.ended("ping", &mut work).await
    }

    async fn call(
        &mut self,
        callers: usize,
        whom: Option<String>,
        span: Span,
        beside: Beside,
        deadline: Duration,
    ) -> Result<Said, ClusterError> {
        let [called, other] = SERVERS;
        let server = self.producer(called)?.server;
        let nodes = self.setup.nodes;
        let (targets, answers) = match whom {
            None => (Targets::All, nodes),
            Some(name) => (Targets::node(NodeName::new(&name).map_err(|error| self.failed("call", error))?), 1),
        };
        let transport = Arc::clone(&self.transport);
        let callers = Callers { transport, server, targets, callers, nodes: answers, span };
        let cast_to = match beside {
            Beside::None => None,
            Beside::Same => Some(called),
            Beside::Other => Some(other),
        };
        let beside = match cast_to {
            Some(server) => {
                let (producer, mesh) = (self.producer(server)?, Arc::clone(&self.mesh));
                let before = self.sent.get(server).copied().unwrap_or(0);
                Some(if self.is_large() {
                    BesideCalls::start::<LargePing, L>(producer, before, mesh, span.begin)
                } else {
                    BesideCalls::start::<Ping, L>(producer, before, mesh, span.begin)
                })
            }
            None => None,
        };
        let mut work = JoinSet::new();
        work.spawn(async move { callers.call().await });
        let times: Times = self.ended("call", &mut work).await?;
        let besides = match (beside, cast_to) {
            (Some(beside), Some(server)) => {
                let ended = beside.end(nodes, deadline).await;
                let (sent, besides) = ended.map_err(|words| self.failed("ping beside calls", words))?;
                self.sent.insert(server, sent);
                Some(besides)
            }
            _ => None,
        };
        Ok(Said::Called { times, beside: besides })
    }

    async fn ended<T: 'static>(
        &self,
        what: &'static str,
        work: &mut JoinSet<Result<T, String>>,
    ) -> Result<T, ClusterError> {
        match work.join_next().await {
            Some(Ok(result)) => result.map_err(|words| self.failed(what, words)),
            Some(Err(error)) => Err(self.failed(what, error)),
            None => Err(self.failed(what, "nobody does it")),
        }
    }

    /// Ends the node, and waits until nothing of it is left. A process does that by ending itself.
    #[cfg(feature = "mem")]
    pub(crate) async fn end(self) {
        drop(self.handles);
        #[cfg(feature = "daemon")]
        drop(self.exercise);
        self.transport.shutdown(Duration::ZERO).await;
    }
}

/// From now on, after so much time for warming up.
fn span(warm_up_ms: u64, duration_ms: u64) -> Span {
    let begin = Instant::now() + Duration::from_millis(warm_up_ms);
    Span { begin, end: begin + Duration::from_millis(duration_ms) }
}
