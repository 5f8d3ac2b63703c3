//! Reads one lane of one session: cuts its bytes into whole frames, and hands them over in batches.
//!
//! Backpressure runs backwards through here: a full mailbox stops this task, the lane's window runs dry, and the sender's
//! lane fills, for this server alone (C6).

use super::session::{Remote, Session};
use super::shared::Shared;
use crate::link::{Broken, LaneReceiver};
use crate::wire::{ControlDecoder, Frame, FrameKind, LaneRole, Splitter, WireError};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Chunks that are taken from the network at once.
const CHUNKS: usize = 16;

/// Why a lane is read no further.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The connection ended; it says why by itself.
    #[error(transparent)]
    Ended(#[from] Broken),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("a lane ended while its session is up")]
    LaneEnded,
    #[error("the first lane is not the control lane")]
    NoControl,
    #[error("a second control lane was opened")]
    SecondControl,
    #[error("a large message made no progress for the stall timeout")]
    Stalled,
}

/// Reads the lane until the session ends.
pub(super) async fn read<R: LaneReceiver>(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    mut receiver: R,
) -> Result<(), ReadError> {
    let Some(remote) = session.as_remote() else { return Ok(()) };
    let mut chunks: [Bytes; CHUNKS] = Default::default();
    let mut beginning = ControlDecoder::new();
    let header = loop {
        let count = receiver.recv(&mut chunks).await?;
        if count == 0 {
            return Err(ReadError::LaneEnded);
        }
        take(&mut chunks, count).for_each(|chunk| beginning.push(&chunk));
        if let Some(header) = beginning.lane_header()? {
            break header;
        }
    };
    if header.role == LaneRole::Control {
        return Err(ReadError::SecondControl);
    }
    let mut splitter = Splitter::new(shared.limits.max_message);
    splitter.push(&beginning.into_rest());
    let mut large: Option<OwnedSemaphorePermit> = None;
    loop {
        while let Some(frames) = splitter.batch()? {
            let length = frames.len();
            hand_over(shared, session, remote, &header.role, frames, large.take()).await;
            remote.handed_over(header.lane, length);
        }
        if large.is_none()
            && let Some(length) = splitter.large_frame()
        {
            large = budget(shared, length).await;
            splitter.reserve(length);
        }
        let count = if large.is_some() {
            let received = tokio::time::timeout(shared.timeouts.stall, receiver.recv(&mut chunks)).await;
            received.map_err(|_| ReadError::Stalled)??
        } else {
            receiver.recv(&mut chunks).await?
        };
        if count == 0 {
            return Err(ReadError::LaneEnded);
        }
        take(&mut chunks, count).for_each(|chunk| splitter.push(&chunk));
    }
}

fn take(chunks: &mut [Bytes; CHUNKS], count: usize) -> impl Iterator<Item = Bytes> {
    chunks.iter_mut().take(count).map(std::mem::take)
}

/// Waits for a share of the budget for large messages, before anything is allocated for one (O1).
async fn budget(shared: &Shared, length: usize) -> Option<OwnedSemaphorePermit> {
    // A frame is a little longer than its message, whose limit the budget holds at least once.
    let share = u32::try_from(length.min(shared.limits.large_bytes)).unwrap_or(u32::MAX);
    Arc::clone(&shared.large).acquire_many_owned(share).await.ok()
}

async fn hand_over(
    shared: &Shared,
    session: &Arc<Session>,
    remote: &Remote,
    role: &LaneRole,
    frames: Bytes,
    large: Option<OwnedSemaphorePermit>,
) {
    if *role != LaneRole::Replies {
        return shared.deliver_role(session, role, frames, large).await;
    }
    let mut offset = 0;
    while let Some((frame, end)) = Frame::at(&frames, offset) {
        offset = end;
        match frame.frame_kind() {
            FrameKind::Reply => session.replied(&frame),
            FrameKind::Cancel => session.give_up(frame.answered_call()),
            FrameKind::Cast | FrameKind::Call => {
                tracing::debug!(peer = %session.member().node, conn = ?remote.conn, "a cast on the lane of replies");
            }
        }
    }
}
