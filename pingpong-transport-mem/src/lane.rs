//! Lanes: bytes in order, one way, in a window.

use crate::connection::{Handle, gone};
use crate::network::Settings;
use crate::state::State;
use crate::traffic::Word;
use crate::wait::Topic;
use bytes::Bytes;
use pingpong_core::link::{Broken, LaneReceiver, LaneSender};
use std::task::Poll;

/// The sending end of a lane. Dropping it ends the lane: the receiver gets what was sent, and then the end.
#[derive(Debug)]
pub struct MemSender {
    handle: Handle,
    lane: u32,
}

/// The receiving end of a lane. Dropping it refuses the rest: the sender is told.
#[derive(Debug)]
pub struct MemReceiver {
    handle: Handle,
    lane: u32,
}

/// What a piece counts against its window.
fn cost(bytes: &Bytes) -> usize {
    bytes.len() + Settings::PIECE_BYTES
}

impl MemSender {
    pub(crate) fn new(handle: Handle, lane: u32) -> Self {
        Self { handle, lane }
    }

    /// Sends as much as the window has room for; ready when nothing is left.
    fn push(&self, bytes: &mut Bytes, state: &mut State) -> Poll<Result<(), Broken>> {
        let window = state.settings.lane_window;
        while !bytes.is_empty() {
            if let Some(broken) = state.end(self.handle.end).map_or_else(|| Some(gone()), |end| end.broken()) {
                return Poll::Ready(Err(broken));
            }
            let Some(lane) = state.lane(self.handle.end, self.lane) else { return Poll::Ready(Err(gone())) };
            if lane.refused {
                return Poll::Ready(Err(Broken("the peer refuses the lane".to_owned())));
            }
            let room = window.saturating_sub(lane.used).saturating_sub(Settings::PIECE_BYTES);
            if room == 0 {
                return Poll::Pending;
            }
            let piece = bytes.split_to(room.min(bytes.len()));
            lane.used += cost(&piece);
            lane.transit.push_back(Some(piece));
            state.say(self.handle.end, Word::Piece(self.lane));
        }
        Poll::Ready(Ok(()))
    }
}

impl LaneSender for MemSender {
    async fn send(&mut self, mut bytes: Bytes) -> Result<(), Broken> {
        self.handle.wait(Topic::Send(self.lane), |state| self.push(&mut bytes, state)).await
    }
}

impl Drop for MemSender {
    fn drop(&mut self) {
        let end = self.handle.end;
        self.handle.shared.with(|state| {
            let open = state.end(end).is_some_and(|end| end.closed.is_none());
            let Some(lane) = state.lane(end, self.lane) else { return };
            lane.sender_gone = true;
            if lane.receiver_gone {
                state.forget(end, self.lane);
            } else if open {
                lane.transit.push_back(None);
                state.say(end, Word::Piece(self.lane));
            }
        });
    }
}

impl MemReceiver {
    pub(crate) fn new(handle: Handle, lane: u32) -> Self {
        Self { handle, lane }
    }

    fn take(&self, chunks: &mut [Bytes], state: &mut State) -> Poll<Result<usize, Broken>> {
        let end = self.handle.end;
        if let Some(broken) = state.end(end).map_or_else(|| Some(gone()), |end| end.broken()) {
            return Poll::Ready(Err(broken));
        }
        let Some(lane) = state.lane(end.other(), self.lane) else { return Poll::Ready(Err(gone())) };
        let mut taken = 0;
        for (chunk, piece) in chunks.iter_mut().zip(std::iter::from_fn(|| lane.ready.pop_front())) {
            lane.owed += cost(&piece);
            *chunk = piece;
            taken += 1;
        }
        if taken == 0 {
            return if lane.ended { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        if !std::mem::replace(&mut lane.credit_out, true) {
            state.say(end, Word::Credit(self.lane));
        }
        Poll::Ready(Ok(taken))
    }
}

impl LaneReceiver for MemReceiver {
    /// `chunks` must not be empty.
    async fn recv(&mut self, chunks: &mut [Bytes]) -> Result<usize, Broken> {
        self.handle.wait(Topic::Recv(self.lane), |state| self.take(chunks, state)).await
    }
}

impl Drop for MemReceiver {
    fn drop(&mut self) {
        let end = self.handle.end;
        self.handle.shared.with(|state| {
            let open = state.end(end).is_some_and(|end| end.closed.is_none());
            let Some(lane) = state.lane(end.other(), self.lane) else { return };
            lane.receiver_gone = true;
            lane.ready = std::collections::VecDeque::new();
            if lane.sender_gone {
                state.forget(end.other(), self.lane);
            } else if open {
                state.say(end, Word::Refuse(self.lane));
            }
        });
    }
}

impl State {
    fn forget(&mut self, opener: crate::state::EndId, lane: u32) {
        if let Some(end) = self.end(opener) {
            end.lanes.retain(|(number, _)| *number != lane);
        }
    }
}
