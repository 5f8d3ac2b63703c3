//! Clusters that are started for the occasion on this machine, and of which nothing is left: what the demo and the bench share.
//!
//! It knows processes, certificates, pipes and cuts; what a node does, and what is right, is the affair of whoever uses it.
//! Nothing of it is on a disk: identities are told to the nodes, and what they have to say is kept in memory. The nodes end
//! with their standard input, and so even a program that is killed leaves nothing behind.
//!
//! | module | what it is |
//! | --- | --- |
//! | `processes`, `process`, `log` | the nodes' processes, as this program holds them; their last words |
//! | `protocol`, `child` | what is said on a process's pipes; what runs in it |
//! | `relay` | a network between the processes, which can be cut |
//! | `closing`, `signals`, `deadline` | how it ends, also when somebody wants it to |

#[cfg(feature = "quic")]
mod child;
mod closing;
mod deadline;
mod error;
#[cfg(feature = "quic")]
mod log;
#[cfg(feature = "quic")]
mod process;
#[cfg(feature = "quic")]
mod processes;
#[cfg(feature = "quic")]
mod protocol;
#[cfg(feature = "quic")]
mod relay;
mod signals;

#[cfg(feature = "quic")]
pub(crate) use child::{Child, NodeOptions, run_node};
pub(crate) use closing::close;
pub(crate) use deadline::within;
pub(crate) use error::ClusterError;
#[cfg(feature = "quic")]
pub(crate) use processes::Processes;
#[cfg(feature = "quic")]
pub(crate) use protocol::{Protocol, Start};
#[cfg(feature = "quic")]
pub(crate) use relay::Relay;
pub(crate) use signals::{Interrupts, Signal, Signals};

use clap::ValueEnum;
use std::io::Write;

/// The transports of this build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Processes, QUIC with mutual TLS.
    #[cfg(feature = "quic")]
    #[default]
    Quic,
    /// One process, links in memory.
    #[cfg(feature = "mem")]
    #[cfg_attr(not(feature = "quic"), default)]
    Mem,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "quic")]
            Self::Quic => "quic",
            #[cfg(feature = "mem")]
            Self::Mem => "mem",
        }
    }
}

/// The name of a node.
pub(crate) fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

/// How an error is said to people.
pub(crate) fn complaint(command: &str, error: &impl std::fmt::Display) -> String {
    format!("pingpong-node {command}: {error}\n")
}

/// Says an error where it disturbs no output.
pub(crate) fn complain(command: &str, error: &impl std::fmt::Display) {
    // When standard error is closed, there is nobody to tell.
    let _ = std::io::stderr().write_all(complaint(command, error).as_bytes());
}
