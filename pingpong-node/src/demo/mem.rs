//! A stage within this process: nodes on the in-memory network, on the real clock.

use super::error::DemoError;
use super::player::{CLUSTER, Player, timeouts};
use super::stage::{Look, Stage, name};
use pingpong_node::mem::MemNetwork;
use pingpong_node::{Address, ClusterName, Mesh, MeshConfig, NodeName};
use std::sync::{Arc, Mutex, PoisonError};

/// Nodes of one process. A kill takes its host from the network, without a farewell to anybody.
pub(crate) struct MemStage {
    network: MemNetwork,
    addresses: Vec<Address>,
    players: Mutex<Vec<Option<Arc<Player>>>>,
}

impl MemStage {
    /// Sets the stage; no node is started.
    pub(crate) fn new(nodes: usize) -> Result<Self, DemoError> {
        let address = |node| {
            Address::new(&name(node)).map_err(|error| DemoError::own("the address of a node")(error.to_string()))
        };
        Ok(Self {
            network: MemNetwork::new(1),
            addresses: (0..nodes).map(address).collect::<Result<_, _>>()?,
            players: Mutex::new(vec![None; nodes]),
        })
    }

    async fn start(&self, node: usize) -> Result<(), DemoError> {
        let (name, address) = (name(node), &self.addresses[node]);
        let refused = |words: String| DemoError::Start { node: name.clone(), address: address.to_string(), words };
        let own = NodeName::new(&name).map_err(|error| refused(error.to_string()))?;
        let cluster = ClusterName::new(CLUSTER).map_err(|error| refused(error.to_string()))?;
        let mut config = MeshConfig::new(cluster, own.clone());
        config.seeds = self.addresses.iter().filter(|other| *other != address).cloned().collect();
        config.timeouts = timeouts();
        let link = self.network.bind(own, address.clone()).map_err(|error| refused(error.to_string()))?;
        let mesh = Mesh::start(link, config).await.map_err(|error| refused(error.to_string()))?;
        let player = Player::on(Arc::new(mesh))?;
        self.players.lock().unwrap_or_else(PoisonError::into_inner)[node] = Some(Arc::new(player));
        Ok(())
    }

    fn player(&self, node: usize) -> Result<Arc<Player>, DemoError> {
        let player = self.players.lock().unwrap_or_else(PoisonError::into_inner)[node].clone();
        player.ok_or_else(|| DemoError::Gone { node: name(node), how: "killed".to_owned() })
    }

    fn take(&self, node: usize) -> Option<Arc<Player>> {
        self.network.crash(&self.addresses[node]);
        self.players.lock().unwrap_or_else(PoisonError::into_inner)[node].take()
    }
}

impl Stage for MemStage {
    async fn open(&self) -> Result<(), DemoError> {
        for node in 0..self.addresses.len() {
            self.start(node).await?;
        }
        Ok(())
    }

    async fn ping(&self, node: usize, pings: u64) -> Result<(), DemoError> {
        self.player(node)?.ping(pings).await
    }

    async fn crash_consumer(&self, node: usize) -> Result<(), DemoError> {
        self.player(node)?.crash_consumer().await
    }

    async fn kill(&self, node: usize) -> Result<(), DemoError> {
        self.take(node);
        Ok(())
    }

    async fn restart(&self, node: usize) -> Result<(), DemoError> {
        self.start(node).await
    }

    async fn partition(&self, groups: &[Vec<usize>]) -> Result<(), DemoError> {
        let group = |group: &Vec<usize>| group.iter().map(|node| self.addresses[*node].clone()).collect::<Vec<_>>();
        let groups: Vec<Vec<Address>> = groups.iter().map(group).collect();
        let groups: Vec<&[Address]> = groups.iter().map(Vec::as_slice).collect();
        self.network.partition(&groups);
        Ok(())
    }

    async fn heal(&self) -> Result<(), DemoError> {
        self.network.heal_all();
        Ok(())
    }

    async fn look(&self, node: usize) -> Result<Look, DemoError> {
        Ok(self.player(node)?.look())
    }

    /// There are none: what the nodes say of themselves is not recorded within one process.
    fn logs(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    async fn close(self) -> Result<(), DemoError> {
        for node in 0..self.addresses.len() {
            self.take(node);
        }
        Ok(())
    }
}
