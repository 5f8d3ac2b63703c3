//! What neighbours tell each other about their links (N17). What others told is never passed on.

use super::rules::Rule;
use super::{Action, ConnId, Machine, Stage, Turn};
use crate::address::Address;
use crate::name::NodeName;
use crate::session::{MAX_ADDRESSES, Peers, Told};

impl Machine {
    /// This node can be dialled at other addresses from now on: its neighbours are told, and tell theirs.
    pub fn set_addresses(&mut self, mut addresses: Vec<Address>) -> Vec<Action> {
        addresses.truncate(MAX_ADDRESSES);
        if self.identity.addresses == addresses {
            return Vec::new();
        }
        self.identity.addresses = addresses;
        self.moved = self.moment;
        if self.is_silent() {
            return Vec::new();
        }
        let peers = Peers { added: vec![self.own_news()], gone: Vec::new() };
        self.session_conns(None).into_iter().map(|(_, conn)| Action::Tell { conn, peers: peers.clone() }).collect()
    }

    fn own_news(&self) -> Told {
        Told { name: self.identity.name.clone(), addresses: self.identity.addresses.clone() }
    }

    /// A node that leaves has no news for anybody.
    fn is_silent(&self) -> bool {
        self.stage != Stage::Running || !self.rules.has(Rule::Exchange)
    }

    /// A link began: the new one is told of all others, and they of it. If this node has moved since its `Hello` on that
    /// connection, the new one is told that too.
    pub(super) fn tell_up(&self, name: &NodeName, conn: ConnId, turn: &mut Turn) {
        let Some(session) = self.peers.session(name).filter(|_| !self.is_silent()) else { return };
        let news = Told { name: name.clone(), addresses: session.addresses.clone() };
        self.tell_others(name, &Peers { added: vec![news], gone: Vec::new() }, turn);
        let others = self.sessions().filter(|(other, _)| *other != name);
        let added = others.map(|(other, session)| Told { name: other.clone(), addresses: session.addresses.clone() });
        let mut added: Vec<Told> = added.collect();
        if self.conns.get(&conn).is_some_and(|known| known.my_moment <= self.moved) {
            added.push(self.own_news());
        }
        if !added.is_empty() {
            turn.act(Action::Tell { conn, peers: Peers { added, gone: Vec::new() } });
        }
    }

    /// A link is gone, and not replaced by another one at once.
    pub(super) fn tell_gone(&self, name: &NodeName, turn: &mut Turn) {
        if !self.is_silent() {
            self.tell_others(name, &Peers { added: Vec::new(), gone: vec![name.clone()] }, turn);
        }
    }

    fn tell_others(&self, about: &NodeName, peers: &Peers, turn: &mut Turn) {
        for (_, conn) in self.session_conns(Some(about)) {
            turn.act(Action::Tell { conn, peers: peers.clone() });
        }
    }

    /// A neighbour that is not linked tells nothing.
    pub(super) fn tells_no_more(&mut self, neighbour: &NodeName) {
        for record in self.peers.values_mut() {
            record.told_by.remove(neighbour);
        }
    }

    /// A neighbour tells. Names are wanted as long as one neighbour tells them, and as there is room for them (N20).
    pub(super) fn told(&mut self, conn: ConnId, peers: Peers, turn: &mut Turn) {
        if self.is_silent() || !self.is_session(conn) {
            return;
        }
        let Some(by) = self.conns.get(&conn).map(|known| known.peer.clone()) else { return };
        for name in &peers.gone {
            if let Some(record) = self.peers.get_mut(name) {
                record.told_by.remove(&by);
            }
        }
        let mut added = Vec::new();
        for mut told in peers.added {
            told.addresses.truncate(MAX_ADDRESSES);
            if told.name == self.identity.name {
                continue;
            }
            if told.name == by {
                self.moved(&by, &told.addresses, turn);
            } else if let Some(record) = self.peers.record(&told.name, self.limits) {
                record.told_by.insert(by.clone());
            } else {
                continue;
            }
            added.push(told);
        }
        turn.act(Action::Told { by, peers: Peers { added, gone: peers.gone } });
    }

    /// A neighbour has new addresses by its own word, which is passed on as that of its `Hello` was.
    fn moved(&mut self, name: &NodeName, addresses: &[Address], turn: &mut Turn) {
        let Some(session) = self.peers.get_mut(name).and_then(|record| record.session.as_mut()) else { return };
        if session.addresses != addresses {
            session.addresses = addresses.to_vec();
            let told = Told { name: name.clone(), addresses: addresses.to_vec() };
            self.tell_others(name, &Peers { added: vec![told], gone: Vec::new() }, turn);
        }
    }
}
