//! The network: what tests hold.

use crate::faults::Paths;
use crate::link::MemLink;
use crate::state::{Process, Shared, State};
use crate::timer::Timer;
use crate::wait::{Lobby, Woken};
use pingpong_core::{Address, NodeName};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Bounds of a network; the same for every link on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that a lane holds between `send` and `recv`; at least [`Settings::LEAST_WINDOW`]. Default 1 MiB. Each piece
    /// counts [`Settings::PIECE_BYTES`] more than it carries, since that is what it costs.
    pub lane_window: usize,
    /// Lanes that one end of a connection may have open at once. Default 32.
    pub lanes: usize,
    /// Connections that wait to be accepted at one link. Default 256.
    pub backlog: usize,
    /// Datagrams that wait at one end of a connection, and as many that are on their way to it. Default 64.
    pub datagrams: usize,
}

impl Settings {
    /// What a piece of a lane costs beside its bytes.
    pub const PIECE_BYTES: usize = 256;
    /// The smallest window that is used; a smaller one is raised to it.
    pub const LEAST_WINDOW: usize = 2 * Self::PIECE_BYTES;
}

impl Default for Settings {
    fn default() -> Self {
        Self { lane_window: 1 << 20, lanes: 32, backlog: 256, datagrams: 64 }
    }
}

/// A network in this process. A clone is the same network.
///
/// What arrives is acknowledged by the network itself, whatever the process there does: one whose threads are blocked is not silent
/// here, as it would be over QUIC. [`stall`](Self::stall) makes it so.
///
/// ```
/// use pingpong_core::{Address, ClusterName, Mesh, MeshConfig, NodeName, Transport};
/// use pingpong_transport_mem::MemNetwork;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network = MemNetwork::new(1);
/// let (a, b) = (Address::new("a")?, Address::new("b")?);
/// let start = async |host: &Address, seeds: Vec<Address>| {
///     let name = NodeName::new(host.as_str())?;
///     let mut config = MeshConfig::new(ClusterName::new("test")?, name.clone());
///     config.seeds = seeds;
///     Ok::<_, Box<dyn std::error::Error>>(Mesh::start(network.bind(name, host.clone())?, config).await?)
/// };
/// let (at_a, _at_b) = (start(&a, vec![]).await?, start(&b, vec![a.clone()]).await?);
/// let mut events = at_a.monitor();
/// assert!(events.next().await.is_some_and(|event| event.is_up()));
///
/// network.cut(&a, &b); // silent: packets vanish, no error
/// assert!(events.next().await.is_some_and(|event| !event.is_up())); // found out by the failure detector
/// network.heal(&a, &b);
/// assert!(events.next().await.is_some_and(|event| event.is_up()));
/// # Ok(())
/// # }
/// ```
///
/// It lives as long as a clone, a link or a connection of it does. It belongs to one runtime: delays use that one's clock.
#[derive(Clone, Debug)]
pub struct MemNetwork(Arc<Shared>);

/// An endpoint cannot be bound (S1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody is bound to that address.
    #[error("the address {address} is taken by {by}; choose another one, or close or crash that one first")]
    AddressTaken {
        /// The address.
        address: Address,
        /// Who is bound to it.
        by: NodeName,
    },
}

impl MemNetwork {
    /// A network without faults and with the default bounds. The same seed, and the same calls, give the same events.
    pub fn new(seed: u64) -> Self {
        Self::with_settings(seed, Settings::default())
    }

    /// A network with other bounds.
    pub fn with_settings(seed: u64, mut settings: Settings) -> Self {
        settings.lane_window = settings.lane_window.max(Settings::LEAST_WINDOW);
        Self(Shared::new(State {
            settings,
            random: StdRng::seed_from_u64(seed),
            hosts: BTreeMap::new(),
            bound: BTreeMap::new(),
            processes: BTreeMap::new(),
            connections: FxHashMap::default(),
            dials: BTreeMap::new(),
            paths: Paths::default(),
            held: BTreeMap::new(),
            flying: BTreeMap::new(),
            lobby: Lobby::default(),
            woken: Woken::new(),
            time: Timer::default(),
            last_id: 0,
        }))
    }

    /// Starts an endpoint at a host. The address is the host, for all faults; the name is what the link proves to its peers.
    /// Two hosts may carry one name, as two nodes that were started with one certificate would.
    ///
    /// # Errors
    /// [`BindError::AddressTaken`] while another endpoint is bound there.
    pub fn bind(&self, name: NodeName, address: Address) -> Result<MemLink, BindError> {
        let process = self.0.with(|state| {
            let host = state.host(&address);
            if let Some(taken) = state.bound.get(&host).and_then(|id| state.processes.get(id)) {
                return Err(BindError::AddressTaken { address: address.clone(), by: taken.name.clone() });
            }
            let id = state.next_id();
            let process = Process {
                name: name.clone(),
                address: address.clone(),
                host,
                closed: false,
                connections: BTreeSet::new(),
                backlog: VecDeque::new(),
            };
            state.processes.insert(id, process);
            state.bound.insert(host, id);
            Ok(id)
        })?;
        Ok(MemLink::new(Arc::clone(&self.0), process, name, address))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}
