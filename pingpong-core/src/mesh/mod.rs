//! Turns links into a transport.
