//! Whom a consumer must tell: one flag a peer, set by what others say, cleared on sending (P15).

use super::store::Merged;
use crate::name::NodeName;
use std::collections::BTreeMap;

/// What each linked peer was told, by the store's revisions.
#[derive(Debug)]
pub(super) struct Gossip {
    peers: BTreeMap<NodeName, Peer>,
    /// The store's revision when this consumer looked last: what rose since then was this node's own producer.
    seen: u64,
    armed: bool,
}

#[derive(Debug)]
struct Peer {
    flagged: bool,
    told: u64,
}

impl Gossip {
    pub(super) fn new(seen: u64) -> Self {
        Self { peers: BTreeMap::new(), seen, armed: false }
    }

    /// A peer that comes up is told everything.
    pub(super) fn up(&mut self, name: NodeName) {
        self.peers.insert(name, Peer { flagged: true, told: 0 });
    }

    pub(super) fn down(&mut self, name: &NodeName) {
        self.peers.remove(name);
    }

    /// Flags the peers that must hear of a merge of what `from` said.
    pub(super) fn changed(&mut self, merged: Merged, from: &NodeName) {
        let own = merged.before > self.seen;
        let news = merged.after > merged.before;
        self.seen = merged.after;
        for (name, peer) in &mut self.peers {
            peer.flagged |= own || (news && name != from);
        }
    }

    /// The peers that must hear, by what they were told last.
    pub(super) fn flagged(&self) -> BTreeMap<u64, Vec<NodeName>> {
        let mut flagged: BTreeMap<u64, Vec<NodeName>> = BTreeMap::new();
        for (name, peer) in self.peers.iter().filter(|(_, peer)| peer.flagged) {
            flagged.entry(peer.told).or_default().push(name.clone());
        }
        flagged
    }

    pub(super) fn told(&mut self, name: &NodeName, revision: u64) {
        if let Some(peer) = self.peers.get_mut(name) {
            *peer = Peer { flagged: false, told: revision };
        }
    }

    /// Whether somebody is flagged, and no timer will see to it.
    pub(super) fn wants_timer(&self) -> bool {
        !self.armed && self.peers.values().any(|peer| peer.flagged)
    }

    pub(super) fn set_timer(&mut self, armed: bool) {
        self.armed = armed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    #[test]
    fn news_go_to_all_but_the_one_who_brought_them() {
        let mut gossip = Gossip::new(1);
        for peer in ["b", "c", "d"] {
            gossip.up(name(peer));
            gossip.told(&name(peer), 1);
        }
        gossip.changed(Merged { before: 1, after: 1 }, &name("b"));
        assert!(!gossip.wants_timer(), "nothing changed");
        gossip.changed(Merged { before: 1, after: 2 }, &name("b"));
        assert_eq!(gossip.flagged(), BTreeMap::from([(1, vec![name("c"), name("d")])]));
        gossip.told(&name("c"), 2);
        gossip.changed(Merged { before: 3, after: 3 }, &name("a"));
        let all = BTreeMap::from([(1, vec![name("b"), name("d")]), (2, vec![name("c")])]);
        assert_eq!(gossip.flagged(), all, "this node's own pings, which nobody brought");
    }
}
