//! Who is linked, as one lane sees it: an immutable list that senders and calls share.

use crate::name::NodeName;
use crate::node::Node;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The key of the local node's cursor. Sessions count from 1.
pub(super) const LOCAL: u64 = 0;

/// One session, or the local node.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) node: Node,
    /// Unique in this process; never used again.
    pub(super) key: u64,
    /// Index of its cursor; used again after the session.
    pub(super) slot: usize,
}

impl Member {
    /// As the reader of a lane that has no other.
    pub(super) fn alone(&self) -> Self {
        Self { slot: 0, ..self.clone() }
    }
}

/// Members sorted by name, and their nodes for those who ask who accepted.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    members: Vec<Member>,
    nodes: Arc<[Node]>,
}

impl Default for Roster {
    fn default() -> Self {
        Self { members: Vec::new(), nodes: Arc::from([]) }
    }
}

impl Roster {
    fn new(members: Vec<Member>) -> Self {
        let nodes = members.iter().map(|m| m.node.clone()).collect();
        Self { members, nodes }
    }

    pub(super) fn with(&self, member: Member) -> Self {
        let mut members = self.members.clone();
        let at = members.partition_point(|m| m.node < member.node);
        members.insert(at, member);
        Self::new(members)
    }

    pub(super) fn without(&self, key: u64) -> Self {
        Self::new(self.members.iter().filter(|m| m.key != key).cloned().collect())
    }

    pub(super) fn renewed(&self, local: &Node) -> Self {
        let mut members = self.members.clone();
        for member in members.iter_mut().filter(|m| m.key == LOCAL) {
            member.node = local.clone();
        }
        Self::new(members)
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The members of these names, sorted by name, and the names that are not here. A name counts once.
    pub(super) fn find(&self, names: &[NodeName]) -> (Vec<Member>, Vec<NodeName>) {
        let wanted: BTreeSet<&NodeName> = names.iter().collect();
        let is_here = |name: &NodeName| self.members.iter().any(|m| m.node.name == *name);
        let missing = wanted.iter().filter(|name| !is_here(name)).map(|name| (*name).clone()).collect();
        let here = self.members.iter().filter(|m| wanted.contains(&m.node.name)).cloned().collect();
        (here, missing)
    }

    pub(super) fn nodes(&self) -> &Arc<[Node]> {
        &self.nodes
    }

    pub(super) fn keys(&self) -> Vec<u64> {
        self.members.iter().map(|m| m.key).collect()
    }

    pub(super) fn has(&self, key: u64) -> bool {
        self.members.iter().any(|m| m.key == key)
    }
}
