//! Links of PingPong over QUIC with mutual TLS 1.3.
//!
//! A node proves its name with a certificate that the cluster's authority signed; the name is the certificate's DNS name. There
//! is no mode without encryption, and none that accepts a certificate unchecked.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`QuicLink`] | an endpoint: dials, and accepts dials; tuned by [`QuicConfig`] |
//! | [`QuicConnection`], [`QuicSender`], [`QuicReceiver`] | a connection, and its lanes: one stream each |
//! | [`Identity`], [`Authority`], [`Renewal`], [`CertificateInfo`] | certificates: read, checked, issued, replaced while a node runs |
//!
//! ```
//! use pingpong_core::{ClusterName, NodeName};
//! use pingpong_transport_quic::{Authority, QuicConfig, QuicLink, Validity};
//! use std::time::Duration;
//!
//! async fn bind() -> Result<QuicLink, Box<dyn std::error::Error>> {
//!     let year = Duration::from_secs(365 * 86_400);
//!     let authority = Authority::new(&ClusterName::new("shop")?, year)?;
//!     let identity = authority.issue(&NodeName::new("n1.shop.example")?, Validity::from_now(year))?;
//!     Ok(QuicLink::bind(QuicConfig::new("0.0.0.0:4000".parse()?, identity))?)
//! }
//! ```

#![forbid(unsafe_code)]

mod accept;
mod authority;
mod bell;
mod census;
mod certificate;
mod config;
mod congestion;
mod connection;
mod current;
mod dial;
#[cfg(feature = "faults")]
pub mod faults;
mod identity;
#[cfg(all(test, feature = "interleavings"))]
mod interleavings;
mod link;
mod peer;
mod places;
mod probe;
mod ready;
mod refusals;
mod renewal;
mod resolve;
mod socket;
mod sync;
#[cfg(test)]
mod tests;
mod tls;
mod words;

pub use authority::{Authority, AuthorityError, Validity};
pub use certificate::{CertificateError, CertificateInfo, date};
pub use config::{BindError, QuicConfig};
pub use connection::{QuicConnection, QuicReceiver, QuicSender};
pub use identity::{Identity, IdentityError};
pub use link::QuicLink;
pub use renewal::{RenewError, Renewal};
pub use resolve::check_address;
