//! The file that keeps a node's counts: what crashes, failing disks, damage and other processes do to it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod crash;
mod damage;
mod disk;
mod failing;
mod files;
mod full;
mod kill;
mod model;
mod refused;
mod size;
