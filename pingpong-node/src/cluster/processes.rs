//! Nodes that are processes, with throw-away identities of one authority.

use super::log::Log;
use super::process::{Process, program};
use super::protocol::{Answer, Order, Protocol, Start};
use super::{ClusterError, name};
use pingpong_node::quic::{Authority, Identity, Validity};
use pingpong_node::{ClusterName, NodeName};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

/// Nothing here takes that long; what is left of a certificate afterwards is of no use to anybody.
const CERTIFICATES_HOLD: Duration = Duration::from_secs(86_400);

/// Processes, by the numbers of their nodes. When it is dropped they are killed.
pub(crate) struct Processes<P> {
    nodes: Vec<Option<Process<P>>>,
    program: PathBuf,
    authority: String,
    identities: Vec<Identity>,
    logs: Vec<Log>,
}

impl<P: Protocol> Processes<P> {
    /// Makes certificates for so many nodes; none is started.
    pub(crate) fn new(cluster: &str, nodes: usize) -> Result<Self, ClusterError> {
        let made = |error: &dyn std::fmt::Display| ClusterError::own("a certificate")(error.to_string());
        let cluster = ClusterName::new(cluster).map_err(|error| made(&error))?;
        let authority = Authority::new(&cluster, CERTIFICATES_HOLD).map_err(|error| made(&error))?;
        let issue = |node| {
            let node = NodeName::new(&name(node)).map_err(|error| made(&error))?;
            authority.issue(&node, Validity::from_now(CERTIFICATES_HOLD)).map_err(|error| made(&error))
        };
        Ok(Self {
            nodes: (0..nodes).map(|_| None).collect(),
            program: program()?,
            authority: authority.certificate_pem(),
            identities: (0..nodes).map(issue).collect::<Result<_, _>>()?,
            logs: (0..nodes).map(|_| Log::default()).collect(),
        })
    }

    /// How a node is started with its identity.
    pub(crate) fn identified(&self, node: usize, seeds: Vec<String>) -> Start {
        let identity = &self.identities[node];
        Start {
            listen: None,
            advertise: None,
            seeds,
            authority: self.authority.clone(),
            certificate: identity.chain_pem(),
            key: identity.key_pem(),
        }
    }

    /// Starts a process, and its node. It is in its place before anything is awaited, so that it is ended whatever happens.
    pub(crate) async fn start(&mut self, node: usize, how: P::Start) -> Result<(), ClusterError> {
        let process = self.nodes[node].insert(Process::spawn(&self.program, &name(node), &self.logs[node])?);
        process.tell("start", &Order::Start(Box::new(how))).await
    }

    /// Waits until a node has started, and says where it listens.
    pub(crate) async fn started(&mut self, node: usize) -> Result<SocketAddr, ClusterError> {
        let process = self.process(node)?;
        match process.answer().await? {
            Answer::Started(address) => Ok(address),
            answer => Err(process.unexpected(&answer)),
        }
    }

    /// Gives an order, and does not wait for it to be carried out.
    pub(crate) async fn tell(&mut self, node: usize, what: &'static str, order: P::Order) -> Result<(), ClusterError> {
        self.process(node)?.tell(what, &Order::Do(order)).await
    }

    /// Waits for what a node says to its last order: something, or just that it is done.
    pub(crate) async fn answer(&mut self, node: usize) -> Result<Option<P::Said>, ClusterError> {
        let process = self.process(node)?;
        let answer = process.answer().await?;
        said(process, answer)
    }

    /// The same, unless a process ends meanwhile that may be why this one does not answer.
    pub(crate) async fn answer_unless_ended(&mut self, node: usize) -> Result<Option<P::Said>, ClusterError> {
        let running =
            self.nodes.iter_mut().enumerate().filter_map(|(number, process)| Some((number, process.as_mut()?)));
        let (mut asked, others): (Vec<_>, Vec<_>) = running.partition(|(number, _)| *number == node);
        let (_, asked) = asked.pop().ok_or_else(|| ClusterError::NotRunning { node: name(node) })?;
        let others = others.into_iter().map(|(_, process)| process);
        let answer = tokio::select! {
            biased;
            answer = asked.answer() => answer?,
            error = any_ended(others.collect()) => return Err(error),
        };
        said(asked, answer)
    }

    /// Waits until a process has ended by itself. Cancel safe.
    pub(crate) async fn ended(&mut self) -> ClusterError {
        any_ended(self.nodes.iter_mut().flatten().collect()).await
    }

    /// The error for an answer that goes with another order.
    pub(crate) fn unexpected(&self, node: usize, said: Option<P::Said>) -> ClusterError {
        match &self.nodes[node] {
            Some(process) => process.unexpected(&said.map_or(Answer::Done, Answer::Said)),
            None => ClusterError::NotRunning { node: name(node) },
        }
    }

    fn process(&mut self, node: usize) -> Result<&mut Process<P>, ClusterError> {
        self.nodes[node].as_mut().ok_or_else(|| ClusterError::NotRunning { node: name(node) })
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) async fn kill(&mut self, node: usize) -> Result<(), ClusterError> {
        // It stays in its place until it has ended, so that it is waited for even if this is not.
        if let Some(process) = &mut self.nodes[node] {
            process.kill().await?;
        }
        self.nodes[node] = None;
        Ok(())
    }

    /// A node that was told something long ago and has not answered, as an error.
    pub(crate) fn silent(&self) -> Option<ClusterError> {
        self.nodes.iter().flatten().find_map(Process::silent)
    }

    /// The last lines that each node wrote to its log, of those that wrote any.
    pub(crate) fn logs(&self) -> Vec<(String, String)> {
        let words = self.logs.iter().enumerate().map(|(node, log)| (name(node), log.words()));
        words.filter(|(_, words)| !words.is_empty()).collect()
    }

    /// The nodes that have not ended.
    pub(crate) fn running(&self) -> Vec<String> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].is_some()).map(name).collect()
    }

    /// Kills all, and waits until they are gone.
    pub(crate) async fn close(&mut self) -> Result<(), ClusterError> {
        let mut left = Ok(());
        for process in self.nodes.iter_mut().flatten() {
            left = left.and(process.start_kill());
        }
        for node in 0..self.nodes.len() {
            left = left.and(self.kill(node).await);
        }
        left
    }
}

fn said<P: Protocol>(process: &Process<P>, answer: Answer<P::Said>) -> Result<Option<P::Said>, ClusterError> {
    match answer {
        Answer::Done => Ok(None),
        Answer::Said(said) => Ok(Some(said)),
        answer => Err(process.unexpected(&answer)),
    }
}

/// Waits until one of these has ended.
async fn any_ended<P: Protocol>(processes: Vec<&mut Process<P>>) -> ClusterError {
    let mut ends: Vec<_> = processes.into_iter().map(|process| Box::pin(process.ended())).collect();
    poll_fn(|cx| {
        let ended = ends.iter_mut().find_map(|end| match end.as_mut().poll(cx) {
            Poll::Ready(error) => Some(error),
            Poll::Pending => None,
        });
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}
