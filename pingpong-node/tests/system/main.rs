//! Nodes as operators run them: processes of the program that are killed, stopped, restarted, cut off, moved, and given identities
//! and disks that fail. Each test looks at both sides, by their control sockets, their logs and their exit codes.
//!
//! The program is that of a default build: `cargo test -p pingpong-node --test system` builds it so. (`cargo test --workspace` builds
//! the QUIC backend with its socket for faults as well, which no node of such a build uses.)
//!
//! | part | what it is |
//! | --- | --- |
//! | `lab` | an authority, and plans of nodes; each node has a loopback address of its own, so that its port is always free |
//! | `node` | a process, its log, and what it answers |
//! | `relay` | a path between two nodes that can be cut one way or both: needs no privileges |
//! | `lan` | nodes on machines of their own, as network namespaces: needs root, `ip` and `nft` |
//!
//! One of them is a soak (`soak`): faults at random, for as long as `SOAK_SECONDS` says.
//!
//! Where something is missing the tests that need it say so by name, and pass; with `SYSTEM_TESTS=all` in the environment they
//! fail instead.

#![cfg(target_os = "linux")] // all of 127.0.0.0/8 is this machine; namespaces
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod lab;
mod lan;
mod node;
mod relay;

mod addresses;
mod certificates;
mod cuts;
mod disk;
mod names;
mod paths;
mod restarts;
mod signals;
mod soak;
