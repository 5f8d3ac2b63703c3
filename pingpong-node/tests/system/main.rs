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
//! | `relay` | paths between nodes that can be cut one way or both: needs no privileges |
//! | `client` | asks a node for pings and counts, and records what came of it in a `record`: a history that can be checked |
//! | `lan` | nodes on machines of their own, as network namespaces: needs root, `ip` and `nft` |
//!
//! Some can be told in the environment to go on for longer, or to do the same again; each prints its seed:
//!
//! | test | what it does | settings |
//! | --- | --- | --- |
//! | `soak` | faults at random; in between all must be well | `SOAK_SECONDS`, `SOAK_SEED` |
//! | `nemesis` | faults at random; what clients saw of counts must be right | `NEMESIS_SECONDS`, `NEMESIS_SEED` |
//! | `kills` | `kill -9` of a node that counts, again and again | `KILLS` |
//!
//! Where something is missing the tests that need it say so by name, and pass; with `SYSTEM_TESTS=all` in the environment they
//! fail instead.

#![cfg(target_os = "linux")] // all of 127.0.0.0/8 is this machine; namespaces
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod client;
mod lab;
mod lan;
mod node;
mod record;
mod relay;

mod addresses;
mod certificates;
mod cuts;
mod disk;
mod kills;
mod names;
mod nemesis;
mod paths;
mod recoveries;
mod restarts;
mod signals;
mod soak;
