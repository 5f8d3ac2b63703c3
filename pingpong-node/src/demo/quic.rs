//! A stage of processes: each node is one, they talk QUIC with mutual TLS, and a relay between them makes the cuts.
//!
//! Nothing of it is on a disk: identities are told to the nodes, and what they have to say is kept in memory. The nodes end
//! with their standard input. So even a demo that is killed leaves nothing behind.

use super::error::DemoError;
use super::log::Log;
use super::player::CLUSTER;
use super::process::{self, Process};
use super::protocol::{Answer, Order, Start};
use super::relay::Relay;
use super::stage::{Look, Stage, name};
use pingpong_node::quic::{Authority, Identity, Validity};
use pingpong_node::{ClusterName, NodeName};
use std::path::PathBuf;
use std::time::Duration;

/// No demo takes that long; what is left of a certificate afterwards is of no use to anybody.
const CERTIFICATES_HOLD: Duration = Duration::from_secs(86_400);

/// Nodes that are processes. When it is dropped they are killed, and then the relay ends.
pub(crate) struct QuicStage {
    nodes: Vec<Option<Process>>,
    relay: Relay,
    program: PathBuf,
    authority: String,
    identities: Vec<Identity>,
    logs: Vec<Log>,
}

impl QuicStage {
    /// Makes certificates, and the network; no node is started.
    pub(crate) async fn new(nodes: usize) -> Result<Self, DemoError> {
        let made = |error: &dyn std::fmt::Display| DemoError::own("a certificate")(error.to_string());
        let cluster = ClusterName::new(CLUSTER).map_err(|error| made(&error))?;
        let authority = Authority::new(&cluster, CERTIFICATES_HOLD).map_err(|error| made(&error))?;
        let issue = |node| {
            let node = NodeName::new(&name(node)).map_err(|error| made(&error))?;
            authority.issue(&node, Validity::from_now(CERTIFICATES_HOLD)).map_err(|error| made(&error))
        };
        Ok(Self {
            nodes: (0..nodes).map(|_| None).collect(),
            relay: Relay::start(nodes).await?,
            program: process::program()?,
            authority: authority.certificate_pem(),
            identities: (0..nodes).map(issue).collect::<Result<_, _>>()?,
            logs: vec![Log::default(); nodes],
        })
    }

    /// Starts a process, and its node. It is in its place before anything is awaited, so that it is ended whatever happens.
    async fn start(&mut self, node: usize) -> Result<(), DemoError> {
        let process = self.nodes[node].insert(Process::spawn(&self.program, &name(node), &self.logs[node])?);
        let (identity, others) = (&self.identities[node], (0..self.identities.len()).filter(|other| *other != node));
        let start = Start {
            advertise: self.relay.address(node).to_string(),
            seeds: others.map(|other| self.relay.address(other).to_string()).collect(),
            authority: self.authority.clone(),
            certificate: identity.chain_pem(),
            key: identity.key_pem(),
        };
        process.tell("start", &Order::Start(Box::new(start))).await
    }

    async fn started(&mut self, node: usize) -> Result<(), DemoError> {
        let process = self.process(node)?;
        match process.answer().await? {
            Answer::Started(address) => {
                self.relay.set_real(node, Some(address));
                Ok(())
            }
            answer => Err(process.unexpected(&answer)),
        }
    }

    async fn ask(&mut self, node: usize, what: &'static str, order: Order) -> Result<(), DemoError> {
        let process = self.process(node)?;
        match process.ask(what, &order).await? {
            Answer::Done => Ok(()),
            answer => Err(process.unexpected(&answer)),
        }
    }

    fn process(&mut self, node: usize) -> Result<&mut Process, DemoError> {
        self.nodes[node].as_mut().ok_or_else(|| DemoError::NotRunning { node: name(node) })
    }
}

impl Stage for QuicStage {
    async fn open(&mut self) -> Result<(), DemoError> {
        for node in 0..self.nodes.len() {
            self.start(node).await?;
        }
        for node in 0..self.nodes.len() {
            self.started(node).await?;
        }
        Ok(())
    }

    async fn ping(&mut self, node: usize, pings: u64) -> Result<(), DemoError> {
        self.ask(node, "ping", Order::Ping(pings)).await
    }

    async fn crash(&mut self, node: usize) -> Result<(), DemoError> {
        self.ask(node, "crash its consumer", Order::Crash).await
    }

    async fn recover(&mut self, node: usize) -> Result<(), DemoError> {
        self.ask(node, "start its consumer again", Order::Recover).await
    }

    async fn kill(&mut self, node: usize) -> Result<(), DemoError> {
        // It stays in its place until it has ended, so that it is waited for even if this is not.
        if let Some(process) = &mut self.nodes[node] {
            process.kill().await?;
        }
        self.nodes[node] = None;
        // Its port is anybody's now.
        self.relay.set_real(node, None);
        Ok(())
    }

    async fn restart(&mut self, node: usize) -> Result<(), DemoError> {
        self.start(node).await?;
        self.started(node).await
    }

    async fn partition(&mut self, groups: &[Vec<usize>]) -> Result<(), DemoError> {
        self.relay.partition(groups);
        Ok(())
    }

    async fn heal(&mut self) -> Result<(), DemoError> {
        self.relay.heal();
        Ok(())
    }

    async fn look(&mut self, node: usize) -> Result<Look, DemoError> {
        let process = self.process(node)?;
        match process.ask("say what it sees", &Order::Look).await? {
            Answer::Seen(look) => Ok(look),
            answer => Err(process.unexpected(&answer)),
        }
    }

    fn silent(&self) -> Option<DemoError> {
        self.nodes.iter().flatten().find_map(Process::silent)
    }

    fn logs(&self) -> Vec<(String, String)> {
        let words = self.logs.iter().enumerate().map(|(node, log)| (name(node), log.words()));
        words.filter(|(_, words)| !words.is_empty()).collect()
    }

    fn running(&self) -> Vec<String> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].is_some()).map(name).collect()
    }

    async fn close(&mut self) -> Result<(), DemoError> {
        let mut left = Ok(());
        for process in self.nodes.iter_mut().flatten() {
            left = left.and(process.start_kill());
        }
        for node in 0..self.nodes.len() {
            left = left.and(self.kill(node).await);
        }
        self.relay.close().await;
        left
    }
}
