//! What neighbours tell each other about their links (N17). What others told is never passed on.
//!
//! A node that hears all that all its neighbours know hears each name from each of them. So nobody tells what was not asked for:
//! heartbeats carry a digest of the sender's links, and a node asks a neighbour whose digest it does not know for the names.
//! Of equal digests one is read. In a cluster in which all are linked with all, all digests are equal, and nothing is asked.
//!
//! The shell says when digests are compared, and paces it; the machine knows what was read.

#[cfg(doc)]
use super::Event;
use super::peer::Reading;
use super::rules::Rule;
use super::{Action, ConnId, Machine, Stage, Turn};
use crate::address::Address;
use crate::name::NodeName;
use crate::node::Incarnation;
use crate::session::{MAX_ADDRESSES, Message, Peers, PeersDigest, Told};
use std::collections::BTreeSet;
use std::ops::Bound;

/// Digests that are remembered as read. One more makes the oldest be read again when it is met.
const READ_DIGESTS: usize = 64;

/// What a neighbour told, compared with what it told before: for the address book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct News {
    /// Names that it is linked with.
    pub added: Vec<Told>,
    /// Names that it told before, and no longer does.
    pub gone: Vec<NodeName>,
}

impl Machine {
    /// This node can be dialled at other addresses from now on: its neighbours are told.
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
        let moved = |conn| Action::Control { conn, message: Message::Moved(self.identity.addresses.clone()) };
        self.session_conns(None).into_iter().map(|(_, conn)| moved(conn)).collect()
    }

    /// The digest of this node's links, for its heartbeats.
    pub fn peers_digest(&self) -> PeersDigest {
        let own = PeersDigest::of(&self.node(), &self.identity.addresses);
        own.and(self.linked)
    }

    /// Sessions whose peer may know of nodes that this node does not, by the digests that `heard` has of them, sorted by name.
    ///
    /// One of them is to be told to the machine as [`Event::Compare`]; the others may be linked with the same nodes.
    pub fn unread(&self, heard: impl Fn(ConnId) -> Option<PeersDigest>) -> Vec<(&NodeName, ConnId)> {
        if self.is_silent() || !self.rules.has(Rule::Compare) {
            return Vec::new();
        }
        let own = self.peers_digest();
        let unlinked = self.peers.iter().filter(|(_, peer)| peer.session.is_none());
        let tellers: BTreeSet<&NodeName> = unlinked.flat_map(|(_, peer)| &peer.told_by).collect();
        let unread = self.sessions().filter(|(name, session)| {
            let Reading::Idle(read) = session.reading else { return false };
            // What a peer told must be confirmed when its links have changed, even if it has no news.
            let news = |theirs| theirs != own && !self.read.contains(&theirs) || tellers.contains(name);
            heard(session.conn).is_some_and(|theirs| read != Some(theirs) && news(theirs))
        });
        unread.map(|(name, session)| (name, session.conn)).collect()
    }

    /// Whether neighbours tell names that are not linked: without any, and without a digest that differs, nothing is unread. Asked again it
    /// knows, if there was none.
    pub fn has_hearsay(&mut self) -> bool {
        self.peers.has_hearsay()
    }

    /// A node that leaves has no news for anybody.
    fn is_silent(&self) -> bool {
        self.stage != Stage::Running || !self.rules.has(Rule::Exchange)
    }

    /// A link began. Whoever is new here, or came by an address of its own configuration, asks at once.
    pub(super) fn greet_neighbour(&mut self, conn: ConnId, unheard_of: bool, turn: &mut Turn) {
        if self.is_silent() {
            return;
        }
        if self.conns.get(conn).is_some_and(|known| known.my_moment <= self.moved) {
            turn.control(conn, Message::Moved(self.identity.addresses.clone()));
        }
        let dialled = self.conns.get(conn).is_some_and(|known| known.dialled);
        if dialled && unheard_of || self.sessions().nth(1).is_none() {
            self.ask(conn, turn);
        }
    }

    /// What was read does not hold any more: a name that was told may have been dropped since.
    pub(super) fn unread_all(&mut self) {
        // All sessions are looked at, once for each that ends: of many that end at a time, only the first has anything to find.
        if self.rules.has(Rule::ReadAgain) && self.reading {
            self.reading = false;
            self.read.clear();
            for session in self.peers.values_mut().filter_map(|peer| peer.session.as_mut()) {
                match &mut session.reading {
                    Reading::Idle(read) => *read = None,
                    Reading::Asked { stale, .. } => {
                        *stale = true;
                        self.reading = true;
                    }
                }
            }
        }
    }

    /// A neighbour that is not linked tells nothing.
    pub(super) fn tells_no_more(&mut self, neighbour: &NodeName) {
        self.peers.untell(neighbour, |_| true);
    }

    /// The neighbour's digest is one that has not been read.
    pub(super) fn compare(&mut self, conn: ConnId, turn: &mut Turn) {
        if !self.is_silent() {
            self.ask(conn, turn);
        }
    }

    fn ask(&mut self, conn: ConnId, turn: &mut Turn) {
        let left = self.limits.max_peers;
        let Some(session) = self.session_of(conn) else { return };
        if matches!(session.reading, Reading::Idle(_)) {
            session.reading = Reading::Asked { after: None, first: None, told: PeersDigest::NONE, left, stale: false };
            self.reading = true;
            turn.control(conn, Message::AskPeers(None));
        }
    }

    /// A neighbour asks. The shell answers with [`Machine::peers`], at its pace.
    pub(super) fn asked(&self, conn: ConnId, after: Option<NodeName>, turn: &mut Turn) {
        if !self.is_silent() && self.is_session(conn) {
            turn.act(Action::Tell { conn, after });
        }
    }

    /// The answer to a neighbour that asks for the names after that one, of about so many bytes. At least one name is told.
    pub fn peers(&self, conn: ConnId, after: Option<&NodeName>, bytes: usize) -> Peers {
        let beyond = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let asker = self.conns.get(conn).map(|known| &known.peer);
        let mut page = Peers { digest: self.peers_digest(), told: Vec::new(), more: false };
        let mut room = bytes;
        for (name, peer) in self.peers.range(beyond).filter(|(name, _)| Some(*name) != asker) {
            let Some(session) = &peer.session else { continue };
            let size = 32 + name.as_str().len() + session.addresses.iter().map(|a| 4 + a.as_str().len()).sum::<usize>();
            if room < size && !page.told.is_empty() {
                page.more = true;
                break;
            }
            room = room.saturating_sub(size);
            let (name, incarnation) = (name.clone(), session.incarnation);
            page.told.push(Told { name, incarnation, addresses: session.addresses.clone() });
        }
        page
    }

    /// A neighbour answers. Names are wanted as long as one neighbour tells them, and as there is room for them (N20).
    pub(super) fn told(&mut self, conn: ConnId, page: Peers, turn: &mut Turn) {
        if self.is_silent() {
            return;
        }
        let Some(by) = self.conns.get(conn).map(|known| known.peer.clone()) else { return };
        let Some(session) = self.session_of(conn) else { return };
        let teller = session.digest;
        let Reading::Asked { after, first, told, left, stale } = session.reading.clone() else { return };
        session.reading = Reading::default();
        let first = first.unwrap_or(page.digest);
        let told = page.told.iter().fold(told, |sum, told| sum.and(told.digest()));
        let (listed, last) = (page.told.len(), page.told.last().map(|told| told.name.clone()));
        // A part that does not go on in the order of names is the last one, and so is one too many.
        let more = page.more && last > after && listed < left;
        if more {
            session.reading =
                Reading::Asked { after: last.clone(), first: Some(first), told, left: left - listed, stale };
        }
        let in_range = |name: &NodeName| Some(name) > after.as_ref() && (!more || Some(name) <= last.as_ref());
        let news = self.news(&by, page.told, in_range);
        if !news.added.is_empty() || !news.gone.is_empty() {
            turn.act(Action::Told { by, news });
        }
        if more {
            turn.control(conn, Message::AskPeers(last));
        } else if first == page.digest && !stale {
            // Else links have changed while their names were read in parts: some may be missing.
            self.has_read(conn, first, told.and(teller));
        }
    }

    /// Everything of that digest was read. What others with the same digest say is known then; but only if it is the digest of what
    /// was told, of the teller and of this node: else it is the teller's word about itself, and no more.
    fn has_read(&mut self, conn: ConnId, digest: PeersDigest, told: PeersDigest) {
        if let Some(session) = self.session_of(conn) {
            session.reading = Reading::Idle(Some(digest));
        }
        let own = PeersDigest::of(&self.node(), &self.identity.addresses);
        if digest == told.and(own) && !self.read.contains(&digest) {
            if self.read.len() == READ_DIGESTS {
                self.read.pop_front();
            }
            self.read.push_back(digest);
        }
    }

    /// Keeps what a neighbour tells of names in a range, in place of what it told of them before.
    fn news(&mut self, by: &NodeName, told: Vec<Told>, in_range: impl Fn(&NodeName) -> bool) -> News {
        let listed: BTreeSet<NodeName> = told.iter().map(|told| told.name.clone()).collect();
        let gone = self.peers.untell(by, |name| in_range(name) && !listed.contains(name));
        let mut news = News { added: Vec::new(), gone };
        for mut told in told {
            let known = told.name == self.identity.name || self.session(&told.name).is_some();
            let shunned = |(name, life): &(NodeName, Incarnation)| *name == told.name && told.incarnation <= *life;
            if known || self.shunned.iter().any(shunned) {
                continue;
            }
            if self.peers.tell(&told.name, by, self.limits) {
                told.addresses.truncate(MAX_ADDRESSES);
                news.added.push(told);
            }
        }
        news
    }

    /// A neighbour has new addresses, by its own word.
    pub(super) fn moved(&mut self, conn: ConnId, mut addresses: Vec<Address>, turn: &mut Turn) {
        if self.is_silent() {
            return;
        }
        addresses.truncate(MAX_ADDRESSES);
        let Some(name) = self.conns.get(conn).map(|known| known.peer.clone()) else { return };
        let Some(session) = self.session_of(conn) else { return };
        if session.addresses != addresses {
            let before = session.digest;
            session.move_to(&name, addresses.clone());
            let after = session.digest;
            self.linked = self.linked.without(before).and(after);
            turn.act(Action::Moved { name, addresses });
        }
    }
}
