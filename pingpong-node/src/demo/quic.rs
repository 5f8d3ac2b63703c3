//! A stage of processes: each node is one, they talk QUIC with mutual TLS, and a relay between them makes the cuts.

use super::player::{CLUSTER, Part};
use super::protocol::{Demo, Order, Said};
use super::shelf::Shelf;
use super::stage::{Disk, Look, Stage, name};
use crate::cluster::{ClusterError, Processes, Relay};
use std::time::Duration;

/// Nodes that are processes. When it is dropped they are killed, and then the relay ends.
pub(crate) struct QuicStage {
    processes: Processes<Demo>,
    relay: Relay,
    shelf: Shelf,
    nodes: usize,
}

impl QuicStage {
    /// Makes certificates, and the network; no node is started.
    pub(crate) async fn new(nodes: usize) -> Result<Self, ClusterError> {
        Ok(Self {
            processes: Processes::new(CLUSTER, nodes)?,
            relay: Relay::start(nodes, Duration::ZERO).await?,
            shelf: Shelf::new()?,
            nodes,
        })
    }

    async fn start(&mut self, node: usize) -> Result<(), ClusterError> {
        let others = (0..self.nodes).filter(|other| *other != node);
        let seeds = others.map(|other| self.relay.address(other).to_string()).collect();
        let mut how = self.processes.identified(node, seeds);
        how.advertise = Some(self.relay.address(node).to_string());
        self.processes.start(node, how).await
    }

    async fn started(&mut self, node: usize, first: bool) -> Result<(), ClusterError> {
        let address = self.processes.started(node).await?;
        self.relay.set_real(node, Some(address));
        let part = Part { nodes: self.nodes, dir: self.shelf.of(&name(node))?, first };
        self.ask(node, "play", Order::Play(part)).await
    }

    async fn ask(&mut self, node: usize, what: &'static str, order: Order) -> Result<(), ClusterError> {
        self.processes.tell(node, what, order).await?;
        match self.processes.answer(node).await? {
            None => Ok(()),
            said => Err(self.processes.unexpected(node, said)),
        }
    }
}

impl Stage for QuicStage {
    async fn open(&mut self) -> Result<(), ClusterError> {
        for node in 0..self.nodes {
            self.start(node).await?;
        }
        for node in 0..self.nodes {
            self.started(node, true).await?;
        }
        Ok(())
    }

    async fn ping(&mut self, node: usize, pings: u64) -> Result<(), ClusterError> {
        self.ask(node, "ping", Order::Ping(pings)).await
    }

    async fn crash(&mut self, node: usize) -> Result<(), ClusterError> {
        self.ask(node, "crash its consumer", Order::Crash).await
    }

    async fn recover(&mut self, node: usize) -> Result<(), ClusterError> {
        self.ask(node, "start its consumer again", Order::Recover).await
    }

    async fn kill(&mut self, node: usize, disk: Disk) -> Result<(), ClusterError> {
        self.processes.kill(node).await?;
        // Its port is anybody's now.
        self.relay.set_real(node, None);
        match disk {
            Disk::Lost => self.shelf.lose(&name(node)),
            Disk::Kept => Ok(()),
        }
    }

    async fn restart(&mut self, node: usize) -> Result<(), ClusterError> {
        self.start(node).await?;
        self.started(node, false).await
    }

    async fn partition(&mut self, groups: &[Vec<usize>]) -> Result<(), ClusterError> {
        self.relay.partition(groups);
        Ok(())
    }

    async fn heal(&mut self) -> Result<(), ClusterError> {
        self.relay.heal();
        Ok(())
    }

    async fn look(&mut self, node: usize, majority: bool) -> Result<Look, ClusterError> {
        self.processes.tell(node, "say what it sees", Order::Look { majority }).await?;
        match self.processes.answer(node).await? {
            Some(Said::Seen(look)) => Ok(look),
            said => Err(self.processes.unexpected(node, said)),
        }
    }

    fn silent(&self) -> Option<ClusterError> {
        self.processes.silent()
    }

    fn logs(&self) -> Vec<(String, String)> {
        self.processes.logs()
    }

    fn running(&self) -> Vec<String> {
        self.processes.running()
    }

    async fn close(&mut self) -> Result<(), ClusterError> {
        let left = self.processes.close().await;
        self.relay.close().await;
        left
    }
}
