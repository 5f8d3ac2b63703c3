//! How a node is configured: one file in TOML, every key of which is also a flag and an environment variable.
//!
//! [`Settings`] is what a node needs to know, parsed and checked: names are names, times are times. [`KEYS`] describes each key
//! once, for `--help`, for the example file and for the names of flags and variables. [`Sources`] puts file, variables and flags
//! together; the later of them win.
//!
//! | part | what it is |
//! | --- | --- |
//! | `keys` | every key: its path, what it means, its unit, range and default |
//! | `sources` | from texts of three origins to settings, with errors that name the origin |
//! | `example` | a file with all keys and their defaults |
//! | `build` | what the Mesh and the backend are told |
//! | `words` | sizes, times and bounds as the configuration is written |

mod build;
mod example;
mod keys;
mod sources;
#[cfg(test)]
mod tests;
mod words;

pub use build::{IdentityError, SettingsError, check_private};
pub use example::example;
pub use keys::{KEYS, Key, Kind};
pub use sources::{Origin, SourceError, Sources};

use bytesize::ByteSize;
use pingpong_core::config::{Limits, Timeouts};
use pingpong_core::{Address, ClusterName, NodeName, ServerName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a node over QUIC is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The node's name: that of its certificate.
    pub name: NodeName,
    /// The cluster's name.
    pub cluster: ClusterName,
    /// Where to listen.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// Where peers can dial this node; empty: where it listens.
    #[serde(default)]
    pub advertise: Vec<Address>,
    /// Addresses that are dialled for ever (M7).
    #[serde(default)]
    pub seeds: Vec<Address>,
    /// Links that there must be for the node to be ready.
    #[serde(default)]
    pub min_links: usize,
    /// The nodes that vote on counts: the same on every node (P28). None: nobody does.
    #[serde(default)]
    pub members: Vec<NodeName>,
    /// A directory in which the node keeps what must survive it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// How long a node that is asked to stop may take to say goodbye (S2).
    #[serde(default = "leave", with = "humantime_serde")]
    pub leave: Duration,
    /// Who the node is.
    pub identity: IdentityFiles,
    /// What it writes of itself.
    #[serde(default)]
    pub log: LogSettings,
    /// The socket by which it is operated.
    #[serde(default)]
    pub control: ControlSettings,
    /// Health over HTTP.
    #[serde(default)]
    pub health: HealthSettings,
    /// Bounds (O1).
    #[serde(default)]
    pub limits: LimitSettings,
    /// Times.
    #[serde(default)]
    pub timeouts: TimeoutSettings,
    /// The network.
    #[serde(default)]
    pub quic: QuicSettings,
    /// Whom each server serves (A1); one that is not named here serves everyone.
    #[serde(default)]
    pub servers: BTreeMap<ServerName, ServerSettings>,
}

fn listen() -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 4_400)
}

fn leave() -> Duration {
    Duration::from_secs(10)
}

/// The files of an identity, in PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityFiles {
    /// The certificates of the cluster's authority.
    pub authority: PathBuf,
    /// The node's certificate, and those between it and the authority's.
    pub certificate: PathBuf,
    /// The node's private key, which nobody else may read.
    pub key: PathBuf,
    /// The authority's revocation lists; none: nobody is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocations: Option<PathBuf>,
}

/// How a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// The log, on standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Which lines are written: a level, or directives of `tracing`.
    pub level: String,
    /// How they look.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: "info,quinn_proto=error".to_owned(), format: LogFormat::Text }
    }
}

/// The control socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlSettings {
    /// Where it is; none: the node is not operated from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

/// Health and readiness over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSettings {
    /// Where to listen; none: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
}

/// Bounds of a node (O1); those of [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are those of `Limits`, and described in `KEYS`")]
pub struct LimitSettings {
    pub max_peers: usize,
    pub max_servers: usize,
    pub lanes: usize,
    pub queue_bytes: ByteSize,
    pub mailbox_bytes: ByteSize,
    pub max_message: ByteSize,
    pub large_bytes: ByteSize,
    pub max_calls: usize,
    pub reply_bytes: ByteSize,
    pub max_memory: ByteSize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        let limits = Limits::default();
        let bytes = |bytes: usize| ByteSize(bytes as u64);
        Self {
            max_peers: limits.max_peers,
            max_servers: limits.max_servers,
            lanes: limits.lanes,
            queue_bytes: bytes(limits.queue_bytes),
            mailbox_bytes: bytes(limits.mailbox_bytes),
            max_message: bytes(limits.max_message),
            large_bytes: bytes(limits.large_bytes),
            max_calls: limits.max_calls,
            reply_bytes: bytes(limits.reply_bytes),
            max_memory: ByteSize(limits.max_memory),
        }
    }
}

/// Times of a node; those of [`Timeouts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are those of `Timeouts`, and described in `KEYS`")]
pub struct TimeoutSettings {
    #[serde(with = "humantime_serde")]
    pub failure: Duration,
    #[serde(with = "humantime_serde")]
    pub stall: Duration,
    #[serde(with = "humantime_serde")]
    pub forget_after: Duration,
    #[serde(with = "humantime_serde")]
    pub dial: Duration,
    #[serde(with = "humantime_serde")]
    pub redial: Duration,
}

impl Default for TimeoutSettings {
    fn default() -> Self {
        let Timeouts { failure, stall, forget_after, dial, redial } = Timeouts::default();
        Self { failure, stall, forget_after, dial, redial }
    }
}

/// The network of a node over QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are those of `QuicConfig`, and described in `KEYS`")]
pub struct QuicSettings {
    pub lane_window: ByteSize,
    pub send_window: ByteSize,
    pub max_udp_payload: u16,
    pub socket_buffer: ByteSize,
}

impl Default for QuicSettings {
    fn default() -> Self {
        Self {
            lane_window: ByteSize::mib(1),
            send_window: ByteSize::mib(1),
            max_udp_payload: 6_500,
            socket_buffer: ByteSize::mib(4),
        }
    }
}

/// One server of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// The nodes that it serves, beside its own; others get `not allowed`.
    pub allow: Vec<NodeName>,
}
