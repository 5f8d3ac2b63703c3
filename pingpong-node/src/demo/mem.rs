//! A stage within this process: nodes on the in-memory network, on the real clock.

use super::player::{self, Part, Player};
use super::shelf::Shelf;
use super::stage::{Disk, Look, Stage, name};
use crate::cluster::ClusterError;
use pingpong_node::mem::MemNetwork;
use pingpong_node::{Address, Mesh, NodeName};
use std::sync::Arc;

/// Nodes of one process. A kill takes its host from the network, without a farewell to anybody.
pub(crate) struct MemStage {
    players: Vec<Option<Player>>,
    network: MemNetwork,
    addresses: Vec<Address>,
    shelf: Shelf,
}

impl MemStage {
    /// Sets the stage; no node is started.
    pub(crate) fn new(nodes: usize) -> Result<Self, ClusterError> {
        let address = |node| {
            Address::new(&name(node)).map_err(|error| ClusterError::own("the address of a node")(error.to_string()))
        };
        Ok(Self {
            players: (0..nodes).map(|_| None).collect(),
            network: MemNetwork::new(1),
            addresses: (0..nodes).map(address).collect::<Result<_, _>>()?,
            shelf: Shelf::new()?,
        })
    }

    async fn start(&mut self, node: usize, first: bool) -> Result<(), ClusterError> {
        let (name, address) = (name(node), &self.addresses[node]);
        let refused = |words: String| ClusterError::Start { node: name.clone(), words };
        let seeds = self.addresses.iter().filter(|other| *other != address).map(Address::as_str);
        let config = player::mesh(&name, seeds)?;
        let own = NodeName::new(&name).map_err(|error| refused(error.to_string()))?;
        let link = self.network.bind(own, address.clone()).map_err(|error| refused(error.to_string()))?;
        let mesh = Mesh::start(link, config).await.map_err(|error| refused(error.to_string()))?;
        let part = Part { nodes: self.addresses.len(), dir: self.shelf.of(&name)?, first };
        self.players[node].insert(Player::on(Arc::new(mesh))).play(part).await
    }

    fn player(&mut self, node: usize) -> Result<&mut Player, ClusterError> {
        self.players[node].as_mut().ok_or_else(|| ClusterError::NotRunning { node: name(node) })
    }
}

impl Stage for MemStage {
    async fn open(&mut self) -> Result<(), ClusterError> {
        for node in 0..self.addresses.len() {
            self.start(node, true).await?;
        }
        Ok(())
    }

    async fn ping(&mut self, node: usize, pings: u64) -> Result<(), ClusterError> {
        self.player(node)?.ping(pings).await
    }

    async fn crash(&mut self, node: usize) -> Result<(), ClusterError> {
        self.player(node)?.crash().await
    }

    async fn recover(&mut self, node: usize) -> Result<(), ClusterError> {
        self.player(node)?.recover().await
    }

    async fn kill(&mut self, node: usize, disk: Disk) -> Result<(), ClusterError> {
        self.network.crash(&self.addresses[node]);
        // It stays in its place until it has ended, so that it is waited for even if this is not.
        if let Some(player) = &mut self.players[node] {
            player.end().await;
        }
        self.players[node] = None;
        match disk {
            Disk::Lost => self.shelf.lose(&name(node)),
            Disk::Kept => Ok(()),
        }
    }

    async fn restart(&mut self, node: usize) -> Result<(), ClusterError> {
        self.start(node, false).await
    }

    async fn partition(&mut self, groups: &[Vec<usize>]) -> Result<(), ClusterError> {
        let group = |group: &Vec<usize>| group.iter().map(|node| self.addresses[*node].clone()).collect::<Vec<_>>();
        let groups: Vec<Vec<Address>> = groups.iter().map(group).collect();
        let groups: Vec<&[Address]> = groups.iter().map(Vec::as_slice).collect();
        self.network.partition(&groups);
        Ok(())
    }

    async fn heal(&mut self) -> Result<(), ClusterError> {
        self.network.heal_all();
        Ok(())
    }

    async fn look(&mut self, node: usize, majority: bool) -> Result<Look, ClusterError> {
        self.player(node)?.look(majority).await
    }

    /// Nobody: a node of this process does not hang alone.
    fn silent(&self) -> Option<ClusterError> {
        None
    }

    /// There are none: what the nodes say of themselves is not recorded within one process.
    fn logs(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn running(&self) -> Vec<String> {
        (0..self.players.len()).filter(|node| self.players[*node].is_some()).map(name).collect()
    }

    async fn close(&mut self) -> Result<(), ClusterError> {
        for node in 0..self.addresses.len() {
            self.kill(node, Disk::Kept).await?;
        }
        Ok(())
    }
}
