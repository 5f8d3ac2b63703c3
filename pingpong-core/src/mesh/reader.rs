//! Reads one lane of one session: cuts its bytes into whole frames, and hands them over in batches.
//!
//! Backpressure runs backwards through here: a full mailbox stops this task, the lane's window runs dry, and the sender's
//! lane fills, for this server alone (C6).

use super::large::{PeerBudget, Share};
use super::mailbox::LOOKS;
use super::session::Session;
use super::shared::Shared;
use crate::link::{Broken, LaneReceiver};
use crate::wire::{Content, ControlDecoder, Frame, FrameKind, LaneRole, LargeFrame, Splitter, WireError};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// Chunks that are taken from the network at once.
const CHUNKS: usize = 16;
/// Bytes a second at which a large message must come at least.
const SLOWEST: u64 = 64 << 10;

/// What a peer may hold of the budgets for large messages: those to servers, and answers.
#[derive(Clone, Debug)]
pub(super) struct Budgets {
    messages: PeerBudget,
    replies: PeerBudget,
    /// Bytes of large messages that have come from the peer, on all of its lanes.
    came: Arc<AtomicU64>,
}

impl Budgets {
    pub(super) fn new(shared: &Shared) -> Self {
        let of = |all| PeerBudget::new(all, shared.limits.max_message);
        Self { messages: of(&shared.large_in), replies: of(&shared.large_replies), came: Arc::default() }
    }
}

/// Why a lane is read no further.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The connection ended; it says why by itself.
    #[error(transparent)]
    Ended(#[from] Broken),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("{0} lanes were opened, more than both sides are configured for")]
    TooManyLanes(usize),
    #[error("lane {0} was opened twice")]
    LaneTwice(u16),
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
    budgets: &Budgets,
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
    let content = match header.role {
        LaneRole::Control => return Err(ReadError::SecondControl),
        LaneRole::Replies => Content::Replies,
        LaneRole::Server(_) => Content::Messages,
        LaneRole::Shared => Content::Named,
    };
    if !remote.begin_lane(header.lane) {
        return Err(ReadError::LaneTwice(header.lane));
    }
    let mut splitter = Splitter::new(shared.limits.max_message, content);
    splitter.push(&beginning.into_rest());
    let mut large: Option<(Share, Deadline)> = None;
    loop {
        while let Some(frames) = splitter.batch()? {
            let length = frames.len();
            // The share goes with the bytes, into the mailbox and to whoever keeps a part of them.
            let frames = match large.take() {
                Some((share, _)) => share.keep(frames),
                None => frames,
            };
            hand_over(shared, session, &header.role, frames).await;
            remote.handed_over(header.lane, length);
        }
        if large.is_none()
            && let Some(frame) = splitter.large_frame()
        {
            // Before anything is allocated for it (O1).
            let share = share_for(shared, session, budgets, &header.role, &frame).await;
            large = Some((share, Deadline::new(budgets, shared.timeouts.stall)));
            splitter.reserve(frame.length);
        }
        let count = match &large {
            Some((_, deadline)) => deadline.wait(receiver.recv(&mut chunks)).await.ok_or(ReadError::Stalled)??,
            None => receiver.recv(&mut chunks).await?,
        };
        if count == 0 {
            return Err(ReadError::LaneEnded);
        }
        let mut length = 0;
        take(&mut chunks, count).for_each(|chunk| {
            length += chunk.len();
            splitter.push(&chunk);
        });
        if large.is_some() {
            budgets.came.fetch_add(length as u64, Relaxed);
        }
    }
}

/// By when the rest of a large message must be here. It must not drip, since it holds budget; but all lanes of a peer share one path,
/// so whatever comes of its large messages earns time for all of them: as much as those need that may be under way at once.
struct Deadline {
    came: Arc<AtomicU64>,
    before: u64,
    /// Bytes that may earn.
    most: u64,
    /// Without what was earned.
    at: Instant,
}

impl Deadline {
    fn new(budgets: &Budgets, stall: Duration) -> Self {
        let came = Arc::clone(&budgets.came);
        let most = (budgets.messages.most() + budgets.replies.most()) as u64;
        Self { before: came.load(Relaxed), came, most, at: Instant::now() + stall }
    }

    fn now(&self) -> Instant {
        let came = self.came.load(Relaxed).saturating_sub(self.before).min(self.most);
        self.at + Duration::from_millis(came / (SLOWEST / 1_000))
    }

    /// `None`: it is over.
    async fn wait<T>(&self, received: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(received);
        loop {
            let until = self.now();
            match tokio::time::timeout_at(until, &mut received).await {
                Ok(received) => return Some(received),
                // Others have earned more meanwhile.
                Err(_) if self.now() > until => {}
                Err(_) => return None,
            }
        }
    }
}

fn take(chunks: &mut [Bytes; CHUNKS], count: usize) -> impl Iterator<Item = Bytes> {
    chunks.iter_mut().take(count).map(std::mem::take)
}

/// Waits for a share of the budget.
async fn share_for(
    shared: &Shared,
    session: &Arc<Session>,
    budgets: &Budgets,
    role: &LaneRole,
    frame: &LargeFrame,
) -> Share {
    let (name, budget) = match role {
        LaneRole::Replies => (None, &budgets.replies),
        LaneRole::Server(name) => (Some(name), &budgets.messages),
        LaneRole::Shared | LaneRole::Control => (frame.name.as_ref(), &budgets.messages),
    };
    let turn = match name {
        Some(name) => shared.turn_at(session, name).await,
        None => None,
    };
    let share = budget.share(frame.length);
    tokio::pin!(share);
    let share = loop {
        match tokio::time::timeout(shared.timeouts.stall / LOOKS, &mut share).await {
            Ok(share) => break share,
            // This node makes the lane wait: its sender must not take it for stuck (O3).
            Err(_) => session.server_works(),
        }
    };
    share.with_turn(turn)
}

async fn hand_over(shared: &Shared, session: &Arc<Session>, role: &LaneRole, frames: Bytes) {
    if *role != LaneRole::Replies {
        return shared.deliver_role(session, role, frames).await;
    }
    let mut offset = 0;
    while let Some((frame, end)) = Frame::at(&frames, offset) {
        offset = end;
        match frame.frame_kind() {
            FrameKind::Reply => session.replied(&frame, &frames),
            _ => session.give_up(frame.answered_call()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_on_one_lane_earns_time_for_all_of_the_peer_and_not_without_end() {
        let (came, second) = (Arc::new(AtomicU64::new(0)), Duration::from_secs(1));
        let slowest = |seconds: u64| seconds * 1_000 * (SLOWEST / 1_000);
        let began = Instant::now();
        let deadline = Deadline { came: Arc::clone(&came), before: 0, most: slowest(150), at: began + 30 * second };
        let other = async {
            for _ in 0..2 {
                tokio::time::sleep(20 * second).await;
                came.fetch_add(slowest(100), Relaxed);
            }
        };
        let (ended, ()) = tokio::join!(deadline.wait(std::future::pending::<()>()), other);
        assert_eq!((ended, began.elapsed()), (None, 180 * second));
    }
}
