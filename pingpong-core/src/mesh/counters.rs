//! What was counted instead of delivered.

use crate::inbox::Dropped;
use crate::transport::Counters;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug, Default)]
pub(super) struct CounterCells {
    pub(super) no_such_server: AtomicU64,
    pub(super) dropped_with_server: AtomicU64,
    pub(super) not_decodable: AtomicU64,
    pub(super) not_allowed: AtomicU64,
    pub(super) dropped_with_session: AtomicU64,
    pub(super) stalled_servers: AtomicU64,
    pub(super) late_replies: AtomicU64,
    pub(super) replies_without_room: AtomicU64,
}

impl CounterCells {
    pub(super) fn dropped(&self, why: Dropped, messages: u64) {
        let cell = match why {
            Dropped::WithServer => &self.dropped_with_server,
            Dropped::WithSession => &self.dropped_with_session,
            Dropped::NotDecodable => &self.not_decodable,
        };
        cell.fetch_add(messages, Relaxed);
    }

    pub(super) fn snapshot(&self) -> Counters {
        Counters {
            no_such_server: self.no_such_server.load(Relaxed),
            dropped_with_server: self.dropped_with_server.load(Relaxed),
            not_decodable: self.not_decodable.load(Relaxed),
            not_allowed: self.not_allowed.load(Relaxed),
            dropped_with_session: self.dropped_with_session.load(Relaxed),
            stalled_servers: self.stalled_servers.load(Relaxed),
            late_replies: self.late_replies.load(Relaxed),
            replies_without_room: self.replies_without_room.load(Relaxed),
        }
    }
}
