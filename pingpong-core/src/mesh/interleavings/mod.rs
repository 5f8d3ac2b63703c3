//! The threads of each hand-made piece of synchronisation, in many orders: see [`crate::sync`].

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod calls;
mod lane;
mod mailbox;
mod session;
mod tables;
mod view;

use super::counters::CounterCells;
use super::fixtures::{common, member, node, remote};
use super::session::Session;
use crate::name::NodeName;
use crate::sync::explore;
use shuttle::future::block_on;
use shuttle::thread;
use std::sync::Arc;
use std::time::Duration;
