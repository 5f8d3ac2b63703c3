//! Frames of the lanes: casts, calls, replies, cancels.
//!
//! ```text
//! 0        4      5         6        8
//! | length | kind | version | id     | prefix ... | body ...
//! ```
//! `length` is that of the whole frame, little-endian, 4 bytes. `kind` says what the prefix holds; its top bit says that a
//! server name stands before the rest of the prefix (lanes that several names share, C6).

use super::WireError;
use crate::inbox::CallTag;
use crate::message::MessageType;
use crate::name::ServerName;
use bytes::{Bytes, BytesMut};

/// Bytes before the prefix.
pub const HEADER: usize = 8;
/// The longest prefix: a name with its length, and that of a call.
pub const MAX_PREFIX: usize = 1 + ServerName::MAX_LEN + 24;
const NAMED: u8 = 0x80;

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

/// Header and prefix of a frame that is to be sent, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    bytes: [u8; HEADER + MAX_PREFIX],
    len: usize,
}

impl Prefix {
    fn new(kind: FrameKind, message: MessageType, name: Option<&ServerName>) -> Self {
        let mut prefix = Self { bytes: [0; HEADER + MAX_PREFIX], len: HEADER };
        prefix.bytes[4] = kind as u8 | if name.is_some() { NAMED } else { 0 };
        prefix.bytes[5] = message.version;
        prefix.bytes[6..8].copy_from_slice(&message.id.to_le_bytes());
        if let Some(name) = name {
            let text = name.as_str().as_bytes();
            prefix.push(&[text.len() as u8]);
            prefix.push(text);
        }
        prefix
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
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
    pub const fn frame_len(&self, body: usize) -> usize {
        self.len + body
    }

    /// Header and prefix for a body of that length, to be followed by the body itself.
    ///
    /// The caller has checked the body against `max_message`, whose greatest value keeps the sum within 32 bits.
    pub fn finish(&mut self, body: usize) -> &[u8] {
        let length = (self.len + body) as u32;
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        &self.bytes[..self.len]
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

fn length_at(bytes: &[u8]) -> Option<u64> {
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

    fn parse(frame: &'a [u8]) -> Option<Self> {
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

/// Cuts the bytes of a lane into batches of whole frames.
///
/// It copies what arrives into a block of its own, once: chunks of the network may pin far larger buffers, and the bounds of
/// the mailboxes would lie. A frame larger than a block gets a buffer of its own size, after its length was checked.
#[derive(Debug)]
pub struct Splitter {
    buffer: BytesMut,
    max_frame: usize,
    content: Content,
}

/// A large frame of which the beginning is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LargeFrame {
    /// Bytes of the whole frame.
    pub length: usize,
    /// For whom it is, on a lane that several names share.
    pub name: Option<ServerName>,
}

/// Which frames belong on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Casts and calls for the server of the lane.
    Messages,
    /// Casts and calls, each with the name of its server.
    Named,
    /// Replies and cancels.
    Replies,
}

impl Content {
    fn takes(self, frame: &Frame<'_>) -> bool {
        match frame.kind {
            FrameKind::Cast | FrameKind::Call if frame.name.is_some() => self == Self::Named,
            FrameKind::Cast | FrameKind::Call => self == Self::Messages,
            FrameKind::Reply | FrameKind::Cancel => self == Self::Replies && frame.name.is_none(),
        }
    }
}

/// Bytes that one block of a splitter holds; frames above it are large.
const BLOCK: usize = 64 << 10;

impl Splitter {
    /// Refuses frames whose body is over `max_message` bytes, and those that do not belong on the lane.
    pub fn new(max_message: usize, content: Content) -> Self {
        Self { buffer: BytesMut::new(), max_frame: max_message.saturating_add(HEADER + MAX_PREFIX), content }
    }

    /// Takes bytes in; [`batch`](Self::batch) gives them out again in whole frames.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.buffer.capacity() - self.buffer.len() < chunk.len() {
            self.buffer.reserve(chunk.len().max(BLOCK));
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// All whole frames that are here; `None` if there are none.
    ///
    /// # Errors
    /// [`WireError`] when a frame's length is outside the limits, or it is malformed. Nothing was allocated for it.
    pub fn batch(&mut self) -> Result<Option<Bytes>, WireError> {
        let mut whole = 0;
        while let Some(length) = length_at(&self.buffer[whole..]) {
            if !(HEADER as u64..=self.max_frame as u64).contains(&length) {
                let (least, most) = (HEADER as u64, self.max_frame as u64);
                return Err(WireError::Length { item: "frame", length, least, most });
            }
            let Some(frame) = self.buffer.get(whole..whole + length as usize) else { break };
            if !Frame::parse(frame).is_some_and(|frame| self.content.takes(&frame)) {
                let words = format!("kind {} with {length} bytes", frame[4]);
                return Err(WireError::Malformed { item: "frame", words });
            }
            whole += length as usize;
        }
        if whole == 0 {
            return Ok(None);
        }
        let batch = self.buffer.split_to(whole).freeze();
        if whole > BLOCK {
            // What is left must not keep the large buffer alive, nor use it again for small frames.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        Ok(Some(batch))
    }

    /// The frame that has begun and is not whole, when it is a large one: what the caller must have budget for.
    pub fn large_frame(&self) -> Option<LargeFrame> {
        let length = length_at(&self.buffer)? as usize;
        let begun = length > BLOCK && length <= self.max_frame && self.buffer.len() >= HEADER + MAX_PREFIX;
        begun.then(|| LargeFrame { length, name: self.name() })
    }

    fn name(&self) -> Option<ServerName> {
        let header = self.buffer.get(..HEADER + MAX_PREFIX)?;
        let length = usize::from(*header.get(HEADER).filter(|_| header[4] & NAMED != 0)?);
        let text = header.get(HEADER + 1..HEADER + 1 + length)?;
        ServerName::new(std::str::from_utf8(text).ok()?).ok()
    }

    /// Makes room for a large frame of that length in one piece, once there is budget for it.
    pub fn reserve(&mut self, length: usize) {
        // The chunk that brings its end may bring a part of the next frame.
        self.buffer.reserve((length.min(self.max_frame) + BLOCK).saturating_sub(self.buffer.len()));
    }

    /// Bytes that wait for the rest of their frame.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIND: MessageType = MessageType { id: 0x0102, version: 3 };

    fn written(mut prefix: Prefix, body: &[u8]) -> Vec<u8> {
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

    #[test]
    fn a_length_over_the_limit_is_refused_before_its_bytes_come() {
        let mut splitter = Splitter::new(1_000, Content::Messages);
        splitter.push(&u32::MAX.to_le_bytes());
        assert!(matches!(splitter.batch(), Err(WireError::Length { length: 4_294_967_295, .. })));
        let mut splitter = Splitter::new(1_000, Content::Messages);
        splitter.push(&[7, 0, 0, 0]);
        assert!(matches!(splitter.batch(), Err(WireError::Length { length: 7, .. })));
    }

    #[test]
    fn frames_that_do_not_belong_on_the_lane_are_refused() {
        let name = ServerName::new("s").unwrap();
        let frames = [
            (Content::Messages, written(Prefix::cast(KIND, None), b"")),
            (Content::Named, written(Prefix::cast(KIND, Some(&name)), b"")),
            (Content::Replies, written(Prefix::cancel(1), b"")),
        ];
        for lane in [Content::Messages, Content::Named, Content::Replies] {
            for (content, frame) in &frames {
                let mut splitter = Splitter::new(1_000, lane);
                splitter.push(frame);
                assert_eq!(splitter.batch().is_ok(), lane == *content, "{content:?} on a lane of {lane:?}");
            }
        }
    }

    #[test]
    fn a_large_frame_takes_no_more_than_its_length_and_a_block_and_is_let_go() {
        let name = ServerName::new("s").unwrap();
        let frame = written(Prefix::cast(KIND, Some(&name)), &vec![0; 4 << 20]);
        let mut splitter = Splitter::new(8 << 20, Content::Named);
        splitter.push(&frame[..1_000]);
        let large = splitter.large_frame().unwrap();
        assert_eq!(large, LargeFrame { length: frame.len(), name: Some(name) });
        splitter.reserve(large.length);
        splitter.push(&frame[1_000..frame.len() - 10]);
        // The last bytes come in one chunk with the next frame, as they do in a stream.
        splitter.push(&[&frame[frame.len() - 10..], &frame[..100]].concat());
        let capacity = splitter.buffer.capacity();
        assert!(capacity <= frame.len() + BLOCK, "{capacity} bytes for a frame of {}", frame.len());
        let batch = splitter.batch().unwrap().unwrap();
        assert!(batch.is_unique(), "the beginning of the next frame keeps 4 MiB alive");
        assert_eq!(splitter.pending(), 100);
    }

    #[test]
    fn an_unknown_kind_and_a_short_prefix_are_refused() {
        for bytes in [[8, 0, 0, 0, 9, 0, 0, 0], [8, 0, 0, 0, 2, 0, 0, 0], [8, 0, 0, 0, 0x81, 0, 0, 0]] {
            let mut splitter = Splitter::new(1_000, Content::Messages);
            splitter.push(&bytes);
            assert!(matches!(splitter.batch(), Err(WireError::Malformed { .. })), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_frames_are_the_same(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
            cut in 1_usize..64,
        ) {
            let stream: Vec<u8> = bodies.iter().flat_map(|b| written(Prefix::cast(KIND, None), b)).collect();
            let mut splitter = Splitter::new(1_000, Content::Messages);
            let mut seen = Vec::new();
            for chunk in stream.chunks(cut) {
                splitter.push(chunk);
                if let Some(batch) = splitter.batch().unwrap() {
                    let mut offset = 0;
                    while let Some((frame, end)) = Frame::at(&batch, offset) {
                        seen.push(frame.body().to_vec());
                        offset = end;
                    }
                    prop_assert_eq!(offset, batch.len());
                }
            }
            prop_assert_eq!(seen, bodies);
            prop_assert_eq!(splitter.pending(), 0);
        }

        #[test]
        fn no_bytes_panic_or_pass_the_limit(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            cut in 1_usize..64,
            content in prop::sample::select(&[Content::Messages, Content::Named, Content::Replies][..]),
        ) {
            let mut splitter = Splitter::new(100, content);
            for chunk in bytes.chunks(cut) {
                splitter.push(chunk);
                match splitter.batch() {
                    Ok(Some(batch)) => {
                        let mut offset = 0;
                        while let Some((frame, end)) = Frame::at(&batch, offset) {
                            let _ = (frame.call(), frame.status(), frame.name(), frame.answered_call());
                            offset = end;
                        }
                        prop_assert_eq!(offset, batch.len());
                    }
                    Ok(None) => prop_assert!(splitter.pending() <= 100 + HEADER + MAX_PREFIX),
                    Err(_) => break,
                }
            }
        }
    }
}
