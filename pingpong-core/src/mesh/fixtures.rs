//! Members and sessions for tests of single parts of a mesh.

use super::calls::Calls;
use super::counters::CounterCells;
use super::lane::Lane;
use super::large::LargeBudget;
use super::roster::Member;
use super::session::{Common, Session};
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use crate::session::ConnId;
use std::sync::Arc;
use tokio::time::Instant;

pub(super) fn node(name: &str) -> Node {
    Node { name: NodeName::new(name).unwrap(), incarnation: Incarnation::new(1, 0) }
}

/// A session, or node, whose slot is its key.
pub(super) fn member(name: &str, key: u64) -> Member {
    Member { node: node(name), key, slot: key as usize }
}

pub(super) fn common() -> Arc<Common> {
    let counters = Arc::new(CounterCells::default());
    let calls = Calls::new(8, 1 << 20, Arc::clone(&counters));
    let local_replies = LargeBudget::new(2 << 20);
    Arc::new(Common { counters, calls, started: Instant::now(), max_message: 1 << 20, local_replies })
}

/// A session with another node, whose connection has the number of its key.
pub(super) fn remote(member: Member, common: &Arc<Common>) -> Arc<Session> {
    let replies = Lane::new(1_000, LargeBudget::new(1 << 20));
    let number = member.key;
    Session::remote(member, Arc::clone(common), ConnId(number), replies, number, Arc::default())
}
