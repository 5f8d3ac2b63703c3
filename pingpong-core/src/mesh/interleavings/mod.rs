//! The threads of each hand-made piece of synchronisation, in many orders: see [`crate::sync`].

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod calls;
mod lane;
mod mailbox;
mod session;
mod tables;
mod view;

use super::counters::CounterCells;
use super::roster::Member;
use super::session::{Common, Session};
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use crate::sync::explore;
use shuttle::future::block_on;
use shuttle::thread;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

fn node(name: &str) -> Node {
    Node { name: NodeName::new(name).unwrap(), incarnation: Incarnation::new(1, 0) }
}

/// A session, or node, whose slot is its key.
fn member(name: &str, key: u64) -> Member {
    Member { node: node(name), key, slot: key as usize }
}

fn common() -> Arc<Common> {
    let counters = Arc::new(CounterCells::default());
    let calls = super::calls::Calls::new(8, Arc::clone(&counters));
    Arc::new(Common { counters, calls, started: Instant::now(), max_message: 1 << 20 })
}

fn remote(member: Member, common: &Arc<Common>) -> Arc<Session> {
    let replies = super::lane::Lane::new(1_000, super::large::LargeBudget::new(1 << 20));
    let number = member.key;
    let attention = Arc::default();
    let conn = crate::session::ConnId(number);
    Session::remote(member, Arc::clone(common), conn, replies, number, Duration::from_secs(2), attention)
}
