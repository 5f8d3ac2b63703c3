//! Links of PingPong over QUIC with mutual TLS.
//!
//! Every connection is authenticated on both sides: the cluster's authority signs each node's certificate, whose one DNS name is
//! the node's name (A1). There is no mode without it. A lane is a unidirectional stream; a heartbeat is a datagram.
//!
//! | module | what it is |
//! | --- | --- |
//! | `authority`, `identity` | who signs, and who a node is |
//! | `tls` | the two TLS configurations, and how a peer's name is read |
//! | `config` | windows, limits and times |
//! | `link`, `connection` | the four traits of the seam |

#![forbid(unsafe_code)]

mod authority;
mod config;
mod connection;
#[cfg(feature = "faults")]
pub mod faults;
mod identity;
mod link;
mod tls;

pub use authority::{Authority, AuthorityError, Validity};
pub use config::QuicConfig;
pub use connection::{QuicConnection, QuicReceiver, QuicSender};
pub use identity::{Identity, IdentityError};
pub use link::{BindError, QuicLink};
