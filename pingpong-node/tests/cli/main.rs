//! `pingpong-node` as an operator uses it: certificates, configurations, and running nodes that are asked and told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod certs;
mod cluster;
mod config;
mod counts;
mod faults;
mod levels;
mod operate;
