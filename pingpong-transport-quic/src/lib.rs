//! Links of PingPong over QUIC with mutual TLS.
