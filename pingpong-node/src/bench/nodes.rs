//! What a benchmark needs: nodes that start, do as they are told, and to which faults can happen.

#[cfg(feature = "daemon")]
use super::exercise::Stores;
use super::node::{Setup, Usage};
use super::options::Seeds;
use super::protocol::{Order, Said};
use crate::cluster::{ClusterError, name};
#[cfg(feature = "daemon")]
use std::path::PathBuf;
use std::time::Duration;

/// How nodes are set up, whatever carries their links.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// So many there are.
    pub(crate) nodes: usize,
    /// Whom each dials.
    pub(crate) seeds: Seeds,
    /// Bytes of a ping.
    pub(crate) payload: usize,
    /// What the exercise keeps its counts in, if that is to run.
    #[cfg(feature = "daemon")]
    pub(crate) stores: Option<Stores>,
}

impl Layout {
    /// That of one node, which has been started before or not.
    pub(crate) fn setup(&self, node: usize, first: bool) -> Setup {
        #[cfg(not(feature = "daemon"))]
        let _ = first;
        Setup {
            number: node,
            nodes: self.nodes,
            payload: self.payload,
            #[cfg(feature = "daemon")]
            keep: self.stores.as_ref().map(|stores| stores.keep(node, first)),
        }
    }

    /// The file that a node keeps its counts in.
    #[cfg(feature = "daemon")]
    pub(crate) fn store(&self, node: usize) -> Option<PathBuf> {
        self.stores.as_ref().and_then(|stores| stores.file(node))
    }
}

/// Nodes, by their numbers from 0. The first one is whom the others dial, if they do not dial each other.
///
/// Nothing outlives [`close`](Self::close), nor the nodes; every future may be dropped halfway.
pub(crate) trait Nodes {
    /// Whether all nodes share a process: then what one of them says that it has used, all have used together.
    const ONE_PROCESS: bool;

    /// How many there are.
    fn number(&self) -> usize;
    /// Starts a node, and does not wait until it has started.
    async fn start(&mut self, node: usize) -> Result<(), ClusterError>;
    /// Waits until it has started.
    async fn started(&mut self, node: usize) -> Result<(), ClusterError>;
    /// Gives an order, and does not wait for it to be carried out.
    async fn tell(&mut self, node: usize, what: &'static str, order: Order) -> Result<(), ClusterError>;
    /// What it says to its last order.
    async fn said(&mut self, node: usize) -> Result<Said, ClusterError>;
    /// Lets time pass in which nobody is told anything. An error says which node has ended meanwhile.
    async fn rest(&mut self, time: Duration) -> Result<(), ClusterError>;
    /// The error for an answer that goes with another order.
    fn unexpected(&self, node: usize, said: Said) -> ClusterError {
        ClusterError::node(&name(node), "say what it was asked", format!("it says {said:?}"))
    }
    /// `kill -9`: it is gone from one moment to the next, and says goodbye to nobody.
    async fn kill(&mut self, node: usize) -> Result<(), ClusterError>;
    /// Cuts every path between a node and the others. Nobody is told.
    fn cut(&mut self, node: usize);
    /// Heals all cuts.
    fn heal(&mut self);
    /// The file that a node keeps its counts in, if it has one.
    #[cfg(feature = "daemon")]
    fn store(&self, node: usize) -> Option<PathBuf>;
    /// The node that was told something long ago and has not answered, as an error.
    fn silent(&self) -> Option<ClusterError>;
    /// The last lines that each node wrote to its log, of those that wrote any.
    fn logs(&self) -> Vec<(String, String)>;
    /// The nodes that have not ended.
    fn running(&self) -> Vec<String>;
    /// Ends all nodes, and whatever else there is, and waits until they have ended. An error says what is left.
    async fn close(&mut self) -> Result<(), ClusterError>;
}

/// Starts all nodes, and waits until each is linked with all others. Says when the last one was.
pub(crate) async fn open(nodes: &mut impl Nodes) -> Result<u64, ClusterError> {
    for node in 0..nodes.number() {
        nodes.start(node).await?;
    }
    for node in 0..nodes.number() {
        nodes.started(node).await?;
    }
    linked(nodes).await
}

/// Waits until all nodes are linked, and says when the last one was.
pub(crate) async fn linked(nodes: &mut impl Nodes) -> Result<u64, ClusterError> {
    let all: Vec<usize> = (0..nodes.number()).collect();
    let others = nodes.number() - 1;
    let at = times(nodes, &all, "say when it is linked with all others", |_| Order::Linked { others }).await?;
    Ok(at.into_iter().max().unwrap_or(0))
}

/// Tells some nodes something, all at once, and waits for the times that they answer with.
pub(crate) async fn times(
    nodes: &mut impl Nodes,
    whom: &[usize],
    what: &'static str,
    order: impl Fn(usize) -> Order,
) -> Result<Vec<u64>, ClusterError> {
    for node in whom {
        nodes.tell(*node, what, order(*node)).await?;
    }
    let mut times = Vec::new();
    for node in whom {
        match nodes.said(*node).await? {
            Said::At(at) => times.push(at),
            said => return Err(nodes.unexpected(*node, said)),
        }
    }
    Ok(times)
}

/// What nodes have used, and seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    /// Of each process: of nodes that share one, the first one speaks for all.
    pub(crate) usage: Vec<Usage>,
    /// How often each node has seen another one go.
    pub(crate) downs: Vec<u64>,
}

impl Used {
    pub(crate) fn downs(&self) -> u64 {
        self.downs.iter().sum()
    }

    /// The most memory that a process had at once.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.usage.iter().map(|usage| usage.peak_bytes).max().unwrap_or(0)
    }

    /// The CPU time of each process until a later look, in seconds.
    pub(crate) fn cpu_until(&self, later: &Self) -> Vec<f64> {
        self.usage.iter().zip(&later.usage).map(|(before, after)| before.cpu_until(after)).collect()
    }
}

/// What all nodes have used, and seen.
pub(crate) async fn used<N: Nodes>(nodes: &mut N) -> Result<Used, ClusterError> {
    let mut all = Used::default();
    for node in 0..nodes.number() {
        nodes.tell(node, "say what it has used", Order::Used).await?;
        match nodes.said(node).await? {
            Said::Used { usage, downs } => {
                all.downs.push(downs);
                if all.usage.is_empty() || !N::ONE_PROCESS {
                    all.usage.push(usage);
                }
            }
            said => return Err(nodes.unexpected(node, said)),
        }
    }
    Ok(all)
}
