//! What a node knows of its links, for people who operate it.

use super::driver::Driver;
use crate::address::Address;
use crate::link::{Connection, Link, Path};
use crate::node::Node;
use crate::session::SessionId;
use std::time::Duration;

/// One link of a node, as it is now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkInfo {
    /// The peer.
    pub node: Node,
    /// The session; both sides know it under this id.
    pub session: SessionId,
    /// Where the peer is.
    pub remote: Address,
    /// How long the connection has existed.
    pub age: Duration,
    /// The smallest round trip of the last heartbeats; none yet in the beginning.
    pub round_trip: Option<Duration>,
    /// What the backend says of the network in between.
    pub path: Path,
    /// Bytes that wait in queues for this peer.
    pub queued_bytes: usize,
}

impl<L: Link> Driver<L> {
    /// All links, sorted by name.
    pub(super) fn links(&self) -> Vec<LinkInfo> {
        let of = |session: &super::session::Session| {
            let remote = session.as_remote()?;
            let conn = self.conns.get(&remote.conn)?;
            let member = session.member();
            Some(LinkInfo {
                node: member.node.clone(),
                session: self.machine.session(&member.node.name)?.id.clone(),
                remote: conn.connection.remote(),
                age: conn.since.elapsed(),
                round_trip: remote.round_trip(),
                path: conn.connection.path(),
                queued_bytes: self.shared.queued(member) + remote.replies.queued(member.alone().slot, member.key),
            })
        };
        self.shared.sessions().iter().filter_map(|session| of(session)).collect()
    }
}
