//! Whom a consumer must tell what: everything that has changed since a peer was told last, if any of it was brought by another one (P15).
//!
//! A peer is a node in one incarnation. What an earlier one of that name brought is news for the next: its store may be another one.

use super::counts::Counts;
use super::ledger::Ledger;
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use std::collections::BTreeMap;

/// What each linked peer was told last, by the ledger's revisions.
#[derive(Debug, Default)]
pub(super) struct Gossip {
    told: BTreeMap<NodeName, (Incarnation, u64)>,
}

/// What some peers are to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) peers: Vec<NodeName>,
    /// `None`: more has changed than is remembered.
    pub(super) counts: Option<Counts>,
}

impl Gossip {
    /// A peer has come up. It will learn by itself what there is up to that revision.
    pub(super) fn up(&mut self, node: &Node, revision: u64) {
        self.told.insert(node.name.clone(), (node.incarnation, revision));
    }

    /// A peer was told everything up to that revision, or knows it. One that is down is told when it comes up.
    pub(super) fn told(&mut self, name: &NodeName, revision: u64) {
        if let Some((_, told)) = self.told.get_mut(name) {
            *told = revision;
        }
    }

    pub(super) fn down(&mut self, name: &NodeName) {
        self.told.remove(name);
    }

    /// What whom is to be told now, and the revision that this comes up to. Each piece of news is for all who were told the same before,
    /// so that it is encoded once. A node that passes on nobody else's counts tells its own alone: `only` is its name.
    pub(super) fn news(&mut self, ledger: &Ledger, only: Option<&NodeName>) -> (Vec<News>, u64) {
        let mut by_revision: BTreeMap<u64, Vec<Node>> = BTreeMap::new();
        for (name, (incarnation, told)) in &self.told {
            by_revision.entry(*told).or_default().push(Node { name: name.clone(), incarnation: *incarnation });
        }
        let names = |nodes: Vec<Node>| nodes.into_iter().map(|node| node.name).collect::<Vec<_>>();
        let mut all = Vec::new();
        let mut now = ledger.revision();
        for (told, peers) in by_revision {
            let (changed, revision) = ledger.changed_since(told);
            now = now.min(revision);
            let Some(mut changed) = changed else {
                all.push(News { peers: names(peers), counts: only.map(|only| ledger.counts().of(only)) });
                continue;
            };
            changed.retain(|changed| only.is_none_or(|only| changed.slot.producer == *only));
            let is_news = |peer: &Node| changed.iter().any(|changed| changed.by.as_ref() != Some(peer));
            let (peers, informed): (Vec<_>, Vec<_>) = peers.into_iter().partition(is_news);
            informed.iter().for_each(|peer| self.told(&peer.name, revision));
            if !peers.is_empty() {
                let counts = changed.into_iter().map(|changed| (changed.slot, changed.count)).collect();
                all.push(News { peers: names(peers), counts: Some(counts) });
            }
        }
        (all, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise::counts::Slot;
    use crate::exercise::ledger::Source;

    fn name(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    fn node(text: &str) -> Node {
        Node { name: name(text), incarnation: Incarnation::new(1, 0) }
    }

    #[tokio::test]
    async fn news_go_to_all_but_the_one_who_brought_them() {
        let ledger = Ledger::in_memory(&node("a")).await.unwrap();
        let mut gossip = Gossip::default();
        for peer in ["b", "c", "d"] {
            gossip.up(&node(peer), ledger.revision());
        }
        assert_eq!(gossip.news(&ledger, None).0, [], "nothing changed");
        let of = |text: &str, count| (Slot { producer: name(text), epoch: Incarnation::new(1, 0) }, count);
        ledger.merge(Source::Producer(&node("b")), &Counts::from_iter([of("b", 1)]));
        ledger.flush().await.unwrap();
        let (news, now) = gossip.news(&ledger, None);
        let expected = News { peers: vec![name("c"), name("d")], counts: Some(Counts::from_iter([of("b", 1)])) };
        assert_eq!(news, [expected]);
        gossip.told(&name("c"), now);
        ledger.ping(1).await.unwrap();
        let (news, _) = gossip.news(&ledger, None);
        let all = [
            News { peers: vec![name("d")], counts: Some(Counts::from_iter([of("a", 1), of("b", 1)])) },
            News { peers: vec![name("b"), name("c")], counts: Some(Counts::from_iter([of("a", 1)])) },
        ];
        assert_eq!(news, all, "this node's own pings, which nobody brought");
        let (news, _) = gossip.news(&ledger, Some(&name("a")));
        let own = Some(Counts::from_iter([of("a", 1)]));
        let own = [
            News { peers: vec![name("d")], counts: own.clone() },
            News { peers: vec![name("b"), name("c")], counts: own },
        ];
        assert_eq!(news, own, "and nothing else, if it passes on nothing");
    }

    /// What the earlier incarnation had said may be kept only after the next one has come up, with a store that has none of it.
    #[tokio::test]
    async fn what_an_earlier_incarnation_brought_is_news_for_the_next() {
        let ledger = Ledger::in_memory(&node("a")).await.unwrap();
        let mut gossip = Gossip::default();
        let (first, next) = (node("b"), Node { name: name("b"), incarnation: Incarnation::new(2, 0) });
        gossip.up(&first, ledger.revision());
        gossip.down(&first.name);
        gossip.up(&next, ledger.revision());
        let brought = Counts::from_iter([(Slot { producer: name("b"), epoch: Incarnation::new(1, 0) }, 7)]);
        ledger.merge(Source::Producer(&first), &brought);
        ledger.flush().await.unwrap();
        assert_eq!(gossip.news(&ledger, None).0, [News { peers: vec![name("b")], counts: Some(brought) }]);
    }
}
