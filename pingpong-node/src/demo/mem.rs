//! A stage within this process: nodes on the in-memory network, on the real clock.

use super::player::{self, Player};
use super::stage::{Look, Stage, name};
use crate::cluster::ClusterError;
use pingpong_node::mem::MemNetwork;
use pingpong_node::{Address, Mesh, NodeName};
use std::sync::Arc;

/// Nodes of one process. A kill takes its host from the network, without a farewell to anybody.
pub(crate) struct MemStage {
    players: Vec<Option<Player>>,
    network: MemNetwork,
    addresses: Vec<Address>,
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
        })
    }

    async fn start(&mut self, node: usize) -> Result<(), ClusterError> {
        let (name, address) = (name(node), &self.addresses[node]);
        let refused = |words: String| ClusterError::Start { node: name.clone(), words };
        let seeds = self.addresses.iter().filter(|other| *other != address).map(Address::as_str);
        let config = player::mesh(&name, seeds)?;
        let own = NodeName::new(&name).map_err(|error| refused(error.to_string()))?;
        let link = self.network.bind(own, address.clone()).map_err(|error| refused(error.to_string()))?;
        let mesh = Mesh::start(link, config).await.map_err(|error| refused(error.to_string()))?;
        self.players[node] = Some(Player::on(Arc::new(mesh)).await?);
        Ok(())
    }

    fn player(&mut self, node: usize) -> Result<&mut Player, ClusterError> {
        self.players[node].as_mut().ok_or_else(|| ClusterError::NotRunning { node: name(node) })
    }
}

impl Stage for MemStage {
    async fn open(&mut self) -> Result<(), ClusterError> {
        for node in 0..self.addresses.len() {
            self.start(node).await?;
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

    async fn kill(&mut self, node: usize) -> Result<(), ClusterError> {
        self.network.crash(&self.addresses[node]);
        // It stays in its place until it has ended, so that it is waited for even if this is not.
        if let Some(player) = &mut self.players[node] {
            player.end().await;
        }
        self.players[node] = None;
        Ok(())
    }

    async fn restart(&mut self, node: usize) -> Result<(), ClusterError> {
        self.start(node).await
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

    async fn look(&mut self, node: usize) -> Result<Look, ClusterError> {
        self.player(node)?.look().await
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
            self.kill(node).await?;
        }
        Ok(())
    }
}
