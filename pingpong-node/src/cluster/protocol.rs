//! What is said on the pipes of a node's process: one JSON value a line, one answer to each order, in their order.
//!
//! Orders come on the node's standard input, answers leave on its standard output. When its input ends, the node ends.

use pingpong_node::quic::{Identity, QuicConfig};
use pingpong_node::{Address, MeshConfig};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr};

/// What one kind of nodes is told, and says.
pub(crate) trait Protocol: 'static {
    /// The command that starts such nodes, for messages to people.
    const COMMAND: &'static str;
    /// The hidden command that is such a node.
    const NODE: &'static str;
    /// How a node is started.
    type Start: Serialize + DeserializeOwned;
    /// What it is told then.
    type Order: Serialize + DeserializeOwned;
    /// What it says, beside what all nodes say.
    type Said: Serialize + DeserializeOwned + Debug;
}

/// What a node is told. It is not shown in any log: there is a key in it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order<S, O> {
    /// Start. This is the first order, and comes once.
    Start(Box<S>),
    /// Whatever such a node does.
    #[serde(untagged)]
    Do(O),
}

/// How every node is started. Its identity is told and not left in files, so that no key outlives the cluster, however it ends.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Where it listens. Any port will do for a node that others know by the address of a relay.
    #[serde(default)]
    pub(crate) listen: Option<SocketAddr>,
    /// Where others dial it; where it listens, if nowhere else.
    #[serde(default)]
    pub(crate) advertise: Option<String>,
    /// Whom it dials.
    pub(crate) seeds: Vec<String>,
    /// The authority's certificate, as PEM.
    pub(crate) authority: String,
    /// The node's certificate, as PEM.
    pub(crate) certificate: String,
    /// The node's private key, as PEM.
    pub(crate) key: String,
}

impl Start {
    /// The endpoint of such a node: defaults, but for who it is and where.
    ///
    /// # Errors
    /// What is wrong, and the remedy.
    pub(crate) fn quic(&self, mesh: &MeshConfig) -> Result<QuicConfig, String> {
        let [authority, certificate, key] = [&self.authority, &self.certificate, &self.key].map(|pem| pem.as_bytes());
        let identity = Identity::from_pem(authority, certificate, key).map_err(|error| error.to_string())?;
        let listen = self.listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let mut quic = QuicConfig::for_mesh(listen, identity, mesh);
        let advertise = self.advertise.iter().map(|address| Address::new(address));
        quic.advertise = advertise.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        Ok(quic)
    }
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer<A> {
    /// The node listens there.
    Started(SocketAddr),
    /// It is done.
    Done,
    /// It could not be done. A node that could not start ends.
    Failed(String),
    /// What it was asked for.
    #[serde(untagged)]
    Said(A),
}

/// The answer, or the order, as a line.
pub(crate) fn line(words: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(words).map(|text| text + "\n")
}
