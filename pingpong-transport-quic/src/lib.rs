//! Links of PingPong over QUIC with mutual TLS.

#[cfg(feature = "faults")]
pub mod faults;
