//! Answers: what a server says becomes a frame to the caller, and a frame from there the outcome of a call here.

use super::{Session, Trouble};
use crate::inbox::CallTag;
use crate::mesh::calls::{Outcome, SMALL_REPLY};
use crate::mesh::lane::{Refusal, To};
use crate::message::{Encoded, MessageType};
use crate::transport::{CallFailure, RawReply, WhenFull};
use crate::wire::{Frame, Prefix, ReplyStatus};
use bytes::Bytes;

const NO_MESSAGE: MessageType = MessageType { id: 0, version: 0 };

impl Session {
    /// A server's answer; waits for room in the queue of a link. Cancel safe: then nothing was sent.
    pub(super) async fn answer(&self, call: CallTag, reply: Result<Encoded<'_>, CallFailure>) {
        let limit = self.common.max_message;
        let (status, kind, own) = match &reply {
            Ok(answer) if answer.body.len() <= limit => (ReplyStatus::Answer, answer.kind, None),
            Ok(answer) => {
                let failure = CallFailure::ReplyTooLarge { size: answer.body.len() as u64, limit: limit as u64 };
                let (status, body) = status_of(&failure);
                (status, NO_MESSAGE, Some(body))
            }
            Err(failure) => {
                let (status, body) = status_of(failure);
                (status, NO_MESSAGE, Some(body))
            }
        };
        let body = match (&own, &reply) {
            (Some(own), _) => own.as_slice(),
            (None, Ok(answer)) => answer.body,
            (None, Err(_)) => &[],
        };
        let mut prefix = Prefix::reply(kind, call.id, status);
        let head = prefix.finish(body.len());
        let Some(remote) = &self.remote else {
            return self.reply_here(call, head, body);
        };
        if let Err(Refusal::Full) = remote.replies.try_send(To::All, head, body, WhenFull::Refuse) {
            let _ = remote.replies.send(To::All, head, body).await;
        }
    }

    /// The failure of a call that no server will answer. Never waits.
    pub(super) fn answer_now(&self, call: CallTag, failure: &CallFailure) {
        let (status, body) = status_of(failure);
        let mut prefix = Prefix::reply(NO_MESSAGE, call.id, status);
        let head = prefix.finish(body.len());
        let Some(remote) = &self.remote else {
            return self.answer_here(&[head, &body].concat().into());
        };
        if let Err(Refusal::Full) = remote.replies.send_over(head, &body) {
            // An answer that is lost on a link that stays up would be silent loss.
            remote.cut(Trouble::Overloaded);
        }
    }

    /// It never waits: what it would wait for are calls, and those may wait for others that this server answers.
    fn reply_here(&self, call: CallTag, head: &[u8], body: &[u8]) {
        if body.len() <= SMALL_REPLY {
            return self.answer_here(&[head, body].concat().into());
        }
        match self.common.local_replies.try_share(head.len() + body.len()) {
            Some(share) => self.answer_here(&share.keep([head, body].concat())),
            None => self.common.calls.no_room(call.id, self.member.key, body.len(), self.common.local_replies.total()),
        }
    }

    /// The answer to a call of the local node: what a link would bring.
    fn answer_here(&self, batch: &Bytes) {
        if let Some((frame, _)) = Frame::at(batch, 0) {
            self.replied(&frame, batch);
        }
    }

    /// The peer's word about one of our calls, a frame of this batch.
    pub(in crate::mesh) fn replied(&self, frame: &Frame<'_>, batch: &Bytes) {
        // A small answer must not keep its whole batch alive; a large one holds its share of the budget by it.
        let small = frame.body().len() <= SMALL_REPLY;
        let body = if small { Bytes::copy_from_slice(frame.body()) } else { batch.slice_ref(frame.body()) };
        let failure = match frame.status() {
            Some(ReplyStatus::Answer) => {
                let reply = RawReply { kind: frame.kind(), body };
                return self.common.calls.complete(frame.answered_call(), self.member.key, Outcome::Reply(reply));
            }
            Some(ReplyStatus::NoSuchServer) => CallFailure::NoSuchServer,
            Some(ReplyStatus::ServerStopped) => CallFailure::ServerStopped,
            Some(ReplyStatus::NotAllowed) => CallFailure::NotAllowed,
            Some(ReplyStatus::TooLarge) => {
                let number = |at: usize| {
                    let bytes = body.get(at..at + 8).and_then(|b| b.try_into().ok());
                    bytes.map_or(0, u64::from_le_bytes)
                };
                CallFailure::ReplyTooLarge { size: number(0), limit: number(8) }
            }
            Some(ReplyStatus::NotDecodable) | None => CallFailure::NotDecodable,
        };
        self.common.calls.complete(frame.answered_call(), self.member.key, Outcome::Failed(failure));
    }
}

fn status_of(failure: &CallFailure) -> (ReplyStatus, Vec<u8>) {
    match failure {
        CallFailure::NoSuchServer => (ReplyStatus::NoSuchServer, Vec::new()),
        CallFailure::NotAllowed => (ReplyStatus::NotAllowed, Vec::new()),
        CallFailure::NotDecodable => (ReplyStatus::NotDecodable, Vec::new()),
        CallFailure::ReplyTooLarge { size, limit } => {
            (ReplyStatus::TooLarge, [size.to_le_bytes(), limit.to_le_bytes()].concat())
        }
        _ => (ReplyStatus::ServerStopped, Vec::new()),
    }
}
