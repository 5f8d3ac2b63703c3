//! Writes one lane of one connection to the network: whole batches, one after the other.

use super::lane::Lane;
use super::roster::Member;
use super::session::{CutOnPanic, Session, Trouble};
use super::shared::StartWriter;
use crate::link::{Broken, Connection, LaneSender, Priority};
use crate::session::LaneOffset;
use crate::wire::{LaneHeader, WireError, encode_lane_header};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// The most that is given to the network in one piece: large enough to be cheap, small enough that a lane of higher priority
/// does not wait long behind it.
const PIECE: usize = 64 << 10;

/// Why a lane is written no further.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The connection ended; it says why by itself.
    #[error(transparent)]
    Ended(#[from] Broken),
    #[error(transparent)]
    Header(#[from] WireError),
    #[error("no byte was taken for {0:?}")]
    Stalled(Duration),
}

/// Starts the writers of one connection.
pub(super) struct Writers<C> {
    pub(super) connection: Arc<C>,
    /// A lane that accepts no byte for this long is cut (O3).
    pub(super) stall: Duration,
    pub(super) runtime: Handle,
    /// How long a connection may take to say that it ended, after a lane of it did.
    pub(super) grace: Duration,
}

/// Whether the connection lives on, although a lane of it ended. If it ended, it says why by itself, and better.
pub(super) async fn outlived<C: Connection>(connection: &C, grace: Duration) -> bool {
    tokio::time::timeout(grace, connection.closed()).await.is_err()
}

impl<C: Connection> StartWriter for Writers<C> {
    fn start(&self, session: &Arc<Session>, reader: &Member, lane: Arc<Lane>, header: LaneHeader, priority: Priority) {
        let Some(remote) = session.as_remote() else { return };
        remote.writer_started();
        let (connection, grace) = (Arc::clone(&self.connection), self.grace);
        // Replies are always read: a peer that does not is cut before the servers that answer it look stuck.
        let stall = if priority == Priority::Replies { self.stall / 2 } else { self.stall };
        let writing = Writing { lane, cursor: (reader.slot, reader.key), header, priority, stall };
        let session = Arc::clone(session);
        let task = async move {
            let Some(remote) = session.as_remote() else { return };
            let _cut = CutOnPanic(remote, &session.member().node);
            let lane = writing.header.lane;
            match write(&*connection, &writing, || remote.peer_working()).await {
                Ok((sender, offset)) => {
                    remote.writer_ended(sender.is_some().then_some(LaneOffset { lane, offset }));
                    // The end of a lane while the session is up is a protocol error: hold it open until the session ends.
                    std::future::pending::<()>().await;
                    drop(sender);
                }
                Err(WriteError::Stalled(_)) => remote.cut(Trouble::Overloaded),
                Err(error) => {
                    tracing::debug!(peer = %connection.peer(), lane, %error, "lane ended");
                    if outlived(&*connection, grace).await {
                        remote.cut(Trouble::Broken(format!("lane {lane} ended: {error}")));
                    }
                }
            }
        };
        remote.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn_on(task, &self.runtime);
    }
}

/// What a writer needs to know of its lane.
pub(super) struct Writing {
    pub(super) lane: Arc<Lane>,
    /// The cursor that it reads.
    pub(super) cursor: (usize, u64),
    pub(super) header: LaneHeader,
    pub(super) priority: Priority,
    pub(super) stall: Duration,
}

/// Writes a lane until it is closed and empty, or its reader has left it. Returns the lane, if it was ever used, and how many
/// bytes went into it. While `working` changes, a lane that accepts no byte is not stuck.
pub(super) async fn write<C: Connection>(
    connection: &C,
    writing: &Writing,
    working: impl Fn() -> u64,
) -> Result<(Option<C::Sender>, u64), WriteError> {
    let Writing { lane, cursor: (slot, key), header, priority, stall } = writing;
    let mut open: Option<C::Sender> = None;
    let (mut done, mut offset) = (0, 0);
    while let Some(taken) = lane.take(*slot, *key, done, PIECE).await {
        done = taken.cost;
        offset += taken.bytes.len() as u64;
        let small = taken.is_small();
        let work = async {
            // Opened with its first batch: a lane without messages costs the peer nothing.
            let sender = match &mut open {
                Some(sender) => sender,
                None => {
                    let mut sender = connection.open(*priority).await?;
                    sender.send(encode_lane_header(header)?).await?;
                    open.insert(sender)
                }
            };
            Ok::<_, WriteError>(sender.send(taken.bytes).await?)
        };
        tokio::pin!(work);
        loop {
            let seen = working();
            match tokio::time::timeout(*stall, &mut work).await {
                Ok(sent) => break sent?,
                // The lane waits for a server that is slow, and works.
                Err(_) if working() != seen => {}
                Err(_) => return Err(WriteError::Stalled(*stall)),
            }
        }
        if small {
            // Others run first, so that the next batch is larger. The first message after a pause has not waited.
            if lane.queued(*slot, *key) > done {
                // Somebody fills the lane faster than it is written. Where fewer cores are free than threads want one, one of those is
                // likely theirs; elsewhere this takes no time.
                std::thread::yield_now();
            }
            tokio::task::yield_now().await;
        }
    }
    Ok((open, offset))
}
