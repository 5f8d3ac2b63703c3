//! The conformance suite of the PingPong transport contract, for any transport.
