//! Frames of the lanes: casts, calls, replies, cancels.
//!
//! ```text
//! 0        4      5         6        8
//! | length | kind | version | id     | prefix ... | body ...
//! ```
//! `length` is that of the whole frame, little-endian, 4 bytes. `kind` says what the prefix holds; its top bit says that a
//! server name stands before the rest of the prefix (lanes that several names share, C6).

use crate::inbox::CallTag;
use crate::message::MessageType;
use crate::name::ServerName;
use smallvec::SmallVec;

/// Bytes before the prefix.
pub const HEADER: usize = 8;
/// The longest prefix: a name with its length, and that of a call.
pub const MAX_PREFIX: usize = 1 + ServerName::MAX_LEN + 24;
pub(super) const NAMED: u8 = 0x80;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// A one-way message. No prefix.
    Cast = 1,
    /// A request. Prefix: id, deadline and time left in microseconds, 8 bytes each.
    Call = 2,
    /// An answer. Prefix: id, 8 bytes; status, 1 byte; 7 bytes of zero.
    Reply = 3,
    /// The caller has given up. Prefix: id, 8 bytes.
    Cancel = 4,
}

impl FrameKind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte & !NAMED {
            1 => Some(Self::Cast),
            2 => Some(Self::Call),
            3 => Some(Self::Reply),
            4 => Some(Self::Cancel),
            _ => None,
        }
    }

    const fn prefix(self) -> usize {
        match self {
            Self::Cast => 0,
            Self::Call => 24,
            Self::Reply => 16,
            Self::Cancel => 8,
        }
    }
}

/// How a call ended, as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ReplyStatus {
    /// Answered; the body is the answer.
    Answer = 0,
    /// No such server.
    NoSuchServer = 1,
    /// The server stopped or crashed.
    ServerStopped = 2,
    /// The server does not serve the caller.
    NotAllowed = 3,
    /// The request does not decode.
    NotDecodable = 4,
    /// The answer is too large; the body holds its size and the limit, 8 bytes each.
    TooLarge = 5,
}

impl ReplyStatus {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Answer),
            1 => Some(Self::NoSuchServer),
            2 => Some(Self::ServerStopped),
            3 => Some(Self::NotAllowed),
            4 => Some(Self::NotDecodable),
            5 => Some(Self::TooLarge),
            _ => None,
        }
    }
}

/// Header and prefix of a frame that is to be sent; on the stack, unless a name makes it too long.
#[derive(Clone, Debug)]
pub struct Prefix {
    /// The header but for the length: it is written at once, since it is read at once.
    header: u64,
    bytes: SmallVec<[u8; HEADER + FrameKind::Call.prefix()]>,
}

impl Prefix {
    fn new(kind: FrameKind, message: MessageType, name: Option<&ServerName>) -> Self {
        let named = if name.is_some() { NAMED } else { 0 };
        let header =
            u64::from(kind as u8 | named) << 32 | u64::from(message.version) << 40 | u64::from(message.id) << 48;
        // Its length is known when its body is.
        let mut prefix = Self { header, bytes: SmallVec::from_slice(&[0; HEADER]) };
        if let Some(name) = name {
            let text = name.as_str().as_bytes();
            prefix.push(&[text.len() as u8]);
            prefix.push(text);
        }
        prefix
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Of a cast; `name` only on a lane that several names share.
    pub fn cast(message: MessageType, name: Option<&ServerName>) -> Self {
        Self::new(FrameKind::Cast, message, name)
    }

    /// Of a call; `name` only on a lane that several names share.
    pub fn call(message: MessageType, tag: CallTag, name: Option<&ServerName>) -> Self {
        let mut prefix = Self::new(FrameKind::Call, message, name);
        for number in [tag.id, tag.deadline_us, tag.timeout_us] {
            prefix.push(&number.to_le_bytes());
        }
        prefix
    }

    /// Of a reply.
    pub fn reply(message: MessageType, call: u64, status: ReplyStatus) -> Self {
        let mut prefix = Self::new(FrameKind::Reply, message, None);
        prefix.push(&call.to_le_bytes());
        prefix.push(&[status as u8, 0, 0, 0, 0, 0, 0, 0]);
        prefix
    }

    /// Of a cancel.
    pub fn cancel(call: u64) -> Self {
        let mut prefix = Self::new(FrameKind::Cancel, MessageType { id: 0, version: 0 }, None);
        prefix.push(&call.to_le_bytes());
        prefix
    }

    /// Bytes of the whole frame with a body of that length.
    pub fn frame_len(&self, body: usize) -> usize {
        self.bytes.len() + body
    }

    /// Header and prefix for a body of that length, to be followed by the body itself.
    ///
    /// The caller has checked the body against `max_message`, whose greatest value keeps the sum within 32 bits.
    pub fn finish(&mut self, body: usize) -> &[u8] {
        let length = self.frame_len(body) as u32;
        self.bytes[..HEADER].copy_from_slice(&(self.header | u64::from(length)).to_le_bytes());
        &self.bytes
    }
}

/// A whole frame, lent.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    kind: FrameKind,
    message: MessageType,
    name: Option<&'a [u8]>,
    prefix: &'a [u8],
    body: &'a [u8],
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    if let Some(from) = bytes.get(at..at + 8) {
        number.copy_from_slice(from);
    }
    u64::from_le_bytes(number)
}

pub(super) fn length_at(bytes: &[u8]) -> Option<u64> {
    let length: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    Some(u64::from(u32::from_le_bytes(length)))
}

impl<'a> Frame<'a> {
    /// The frame at `offset`, and where the next one begins. `None` at the end, or where the bytes are no frame.
    pub fn at(frames: &'a [u8], offset: usize) -> Option<(Self, usize)> {
        let rest = frames.get(offset..)?;
        let length = length_at(rest)? as usize;
        let frame = Self::parse(rest.get(..length)?)?;
        Some((frame, offset + length))
    }

    pub(super) fn parse(frame: &'a [u8]) -> Option<Self> {
        let (header, mut rest) = frame.split_at_checked(HEADER)?;
        let kind = FrameKind::from_byte(header[4])?;
        let message = MessageType { version: header[5], id: u16::from_le_bytes([header[6], header[7]]) };
        let mut name = None;
        if header[4] & NAMED != 0 {
            let (length, after) = rest.split_first()?;
            let (text, after) = after.split_at_checked(usize::from(*length))?;
            name = Some(text);
            rest = after;
        }
        let (prefix, body) = rest.split_at_checked(kind.prefix())?;
        Some(Self { kind, message, name, prefix, body })
    }

    /// What the frame is.
    pub const fn frame_kind(&self) -> FrameKind {
        self.kind
    }

    /// Type and version of the message.
    pub const fn kind(&self) -> MessageType {
        self.message
    }

    /// The encoded message.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The server's name, on a lane that several names share.
    pub fn name(&self) -> Option<&'a [u8]> {
        self.name
    }

    /// The call that this frame is, if it is one.
    pub fn call(&self) -> Option<CallTag> {
        (self.kind == FrameKind::Call).then(|| CallTag {
            id: u64_at(self.prefix, 0),
            deadline_us: u64_at(self.prefix, 8),
            timeout_us: u64_at(self.prefix, 16),
        })
    }

    /// The call that a reply or a cancel is about.
    pub fn answered_call(&self) -> u64 {
        u64_at(self.prefix, 0)
    }

    /// How the call ended, if this is a reply of a known status.
    pub fn status(&self) -> Option<ReplyStatus> {
        if self.kind != FrameKind::Reply {
            return None;
        }
        ReplyStatus::from_byte(*self.prefix.get(8)?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::wire) const KIND: MessageType = MessageType { id: 0x0102, version: 3 };

    pub(in crate::wire) fn written(mut prefix: Prefix, body: &[u8]) -> Vec<u8> {
        let mut bytes = prefix.finish(body.len()).to_vec();
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn frames_are_read_as_they_were_written() {
        let name = ServerName::new("consumer").unwrap();
        let tag = CallTag { id: 7, deadline_us: 8, timeout_us: 9 };
        let call = written(Prefix::call(KIND, tag, Some(&name)), b"body");
        let (frame, end) = Frame::at(&call, 0).unwrap();
        assert_eq!((frame.call(), frame.kind(), frame.body(), end), (Some(tag), KIND, &b"body"[..], call.len()));
        assert_eq!(frame.name(), Some(&b"consumer"[..]));
        let reply = written(Prefix::reply(KIND, 7, ReplyStatus::NotAllowed), b"");
        let (frame, _) = Frame::at(&reply, 0).unwrap();
        assert_eq!((frame.answered_call(), frame.status()), (7, Some(ReplyStatus::NotAllowed)));
        assert_eq!(written(Prefix::cast(KIND, None), b"xy"), [10, 0, 0, 0, 1, 3, 2, 1, b'x', b'y']);
    }
}
