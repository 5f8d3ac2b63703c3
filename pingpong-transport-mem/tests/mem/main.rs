//! The links in memory keep the contract of the seam (L1 - L6), and its faults do what they say (F1 - F3).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this crate is tests, its helpers too")]

mod connections;
mod dials;
mod faults;
mod lanes;
mod same_twice;
mod support;
