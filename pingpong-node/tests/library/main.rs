//! The library as its users meet it, on each transport of the build.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod allow;
mod blocking;
mod dev;
mod messages;
mod readme;
