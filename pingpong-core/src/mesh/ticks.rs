//! What the driver does when time passes: heartbeats and verdicts, questions to neighbours, late handshakes, dials.

use super::connection::Notice;
use super::driver::Driver;
use super::session::Trouble;
use crate::link::{Connection, Link};
use crate::name::NodeName;
use crate::session::{
    Action, Event, Handshake, PeersDigest, TICKS_PER_HEARTBEAT, TICKS_PER_TIMEOUT, Target, Verdict, tick_length,
    ticks_per_heartbeat,
};
use crate::wire::encode_heartbeat;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A digest of this node that did not change for so long is compared.
const SETTLED_TICKS: u64 = 2 * TICKS_PER_HEARTBEAT as u64;
// Each neighbour's digest is looked at with its heartbeat, and counts until the next one.
const _: () = assert!(ticks_per_heartbeat(usize::MAX) as u64 <= SETTLED_TICKS);

/// What the digest of this node's links was at the last tick, and who was asked last for theirs (N17).
#[derive(Default)]
pub(super) struct Compared {
    own: PeersDigest,
    /// The tick since which it is the same.
    since: u64,
    /// The tick of the last question.
    asked: u64,
    /// Whom it went to.
    last: Option<NodeName>,
    /// The tick in which a heartbeat last went to a neighbour whose digest is another.
    differed: u64,
}

/// Ticks between two looks for addresses of this node that have changed.
const ADDRESS_TICKS: u64 = 16;

impl<L: Link> Driver<L> {
    pub(super) fn tick(&mut self) {
        let length = tick_length(self.shared.timeouts.failure);
        self.next_tick = Instant::now() + length;
        self.ticks += 1;
        let now = self.now();
        let peers = self.machine.peers_digest();
        self.beat(peers, now);
        self.tell_late();
        self.compare(peers);
        self.end_late_handshakes();
        if self.ticks.is_multiple_of(ADDRESS_TICKS) {
            for action in self.machine.set_addresses(self.link.addresses()) {
                if let Action::Control { conn, message } = action {
                    self.control(conn, &message);
                }
            }
        }
    }

    fn beat(&mut self, peers: PeersDigest, now: Duration) {
        let links = self.conns.len().saturating_sub(self.redial.handshakes());
        let every = u64::from(ticks_per_heartbeat(links));
        for (id, conn) in &mut self.conns {
            let Some(carried) = &mut conn.carried else { continue };
            // At each tick a part of the links.
            if self.ticks.wrapping_add(id.0).is_multiple_of(every)
                && let Some(remote) = carried.session.as_remote()
            {
                conn.connection.send_datagram(encode_heartbeat(&remote.beat(now, peers)));
                if remote.peers(false).is_some_and(|theirs| theirs != peers) {
                    self.compared.differed = self.ticks;
                }
            }
            if carried.tick(conn.connection.packets(), now) == Verdict::Lost {
                tracing::info!(peer = %carried.session.member().node, "no sign of life for the failure timeout");
                self.pending.push_back(Event::Lost { conn: *id });
            }
        }
    }

    /// Answers those that have asked twice in the last tick.
    fn tell_late(&mut self) {
        for conn in std::mem::take(&mut self.late) {
            if let Some(after) = self.conns.get_mut(&conn).and_then(|known| known.asks.take()) {
                self.tell(conn, after);
            }
        }
    }

    /// Asks a neighbour that is linked with others than this node for their names (N17): one in a tick, in turn.
    ///
    /// While links come and go each digest is out of date at once. So both sides' must stand still, or a failure timeout must
    /// have passed since the last question.
    fn compare(&mut self, own: PeersDigest) {
        let compared = &mut self.compared;
        if compared.own != own {
            (compared.own, compared.since) = (own, self.ticks);
        }
        let settled = self.ticks - compared.since >= SETTLED_TICKS;
        let overdue = self.ticks - compared.asked >= u64::from(TICKS_PER_TIMEOUT);
        if !settled && !overdue {
            return;
        }
        // All neighbours would be looked at, and in a cluster that stands still there is nothing to be found.
        let differs = self.ticks - compared.differed < SETTLED_TICKS;
        if !differs && !self.machine.has_hearsay() {
            return;
        }
        let heard = |conn| self.conns.get(&conn)?.carried.as_ref()?.session.as_remote()?.peers(!overdue);
        let unread = self.machine.unread(heard);
        // By name: who comes back all the time is not always the next.
        let next = unread.iter().find(|(name, _)| Some(*name) > compared.last.as_ref()).or(unread.first());
        if let Some((name, conn)) = next.copied() {
            (compared.last, compared.asked) = (Some(name.clone()), self.ticks);
            self.pending.push_back(Event::Compare { conn });
        }
    }

    fn end_late_handshakes(&mut self) {
        if self.redial.handshakes() == 0 {
            return;
        }
        if self.redial.is_crowded() {
            self.crowded_at = Some(Instant::now());
        }
        let timeouts = &self.shared.timeouts;
        let now = self.shared.now();
        for (id, conn) in self.conns.iter().filter(|(_, conn)| conn.carried.is_none()) {
            // The last ones of a crowd have waited as long as it was there, and their peers may still be in it.
            let patience = match self.crowded_at.is_some_and(|at| at >= conn.since) {
                true => timeouts.failure.max(timeouts.dial),
                false => timeouts.failure,
            };
            let limit = match self.machine.handshaking(*id) {
                Some(Handshake::Open) => patience,
                Some(Handshake::Parked) => 2 * patience,
                None => continue,
            };
            if conn.since.elapsed() >= limit {
                let (peer, remote) = (conn.connection.peer(), conn.connection.remote());
                if let Some(left_out) = self.repeats.write(peer.as_str(), "handshake out of time", now) {
                    tracing::warn!(%peer, %remote, ?limit, left_out, "a handshake with a peer is out of time");
                }
                self.pending.push_back(Event::Lost { conn: *id });
            }
        }
    }

    /// A flag of some session changed: which, is cheaper to look up than to queue.
    pub(super) fn look_at_sessions(&mut self) {
        for session in self.shared.sessions() {
            let Some(remote) = session.as_remote() else { continue };
            let conn = remote.conn;
            if let Some(trouble) = remote.take_trouble() {
                let (peer, remote) = (&session.member().node, self.conns.get(&conn).map(|c| c.connection.remote()));
                let subject = format!("{} cut", peer.name);
                if let Some(left_out) = self.repeats.write(&subject, &format!("{trouble:?}"), self.shared.now()) {
                    let remote = remote.as_ref().map(tracing::field::display);
                    tracing::warn!(%peer, remote, ?trouble, left_out, "the link is cut");
                }
                self.pending.push_back(match trouble {
                    Trouble::Overloaded => Event::Overloaded { conn },
                    Trouble::Broken(words) => Event::Broken { conn, words },
                });
            }
            if remote.take_handed_over() {
                self.pending.push_back(Event::HandedOver { conn });
            }
            let draining = self.conns.get_mut(&conn).filter(|c| c.draining);
            if let (Some(known), Some(offsets)) = (draining, remote.drained()) {
                known.draining = false;
                self.pending.push_back(Event::Drained { conn, offsets });
            }
        }
    }

    pub(super) fn dial(&mut self) {
        let (now, random) = (self.now(), self.outside.random());
        let due = self.redial.due(now, random);
        for id in due.abandon {
            if let Some(handle) = self.dial_handles.remove(&id) {
                handle.abort();
            }
        }
        for name in due.forgotten {
            self.machine.expire(&name);
        }
        for attempt in due.start {
            let (link, notices) = (Arc::clone(&self.link), self.notices.clone());
            let id = attempt.id;
            let handle = self.dials.spawn(async move {
                let expect = match &attempt.target {
                    Target::Name(name) => Some(name),
                    Target::Seed(_) => None,
                };
                let result = link.dial(&attempt.address, expect).await;
                let _ = notices.send(Notice::Dialled(id, result)).await;
            });
            self.dial_handles.insert(id, handle);
        }
    }
}
