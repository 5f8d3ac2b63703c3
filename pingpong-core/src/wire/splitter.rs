//! From the bytes of a lane to batches of whole frames.

use super::WireError;
use super::frame::{Frame, FrameKind, HEADER, MAX_PREFIX, NAMED, length_at};
use crate::name::ServerName;
use bytes::{Bytes, BytesMut};

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
        match frame.frame_kind() {
            FrameKind::Cast | FrameKind::Call if frame.name().is_some() => self == Self::Named,
            FrameKind::Cast | FrameKind::Call => self == Self::Messages,
            FrameKind::Reply | FrameKind::Cancel => self == Self::Replies && frame.name().is_none(),
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
    use super::super::frame::tests::{KIND, written};
    use super::*;
    use crate::wire::Prefix;
    use proptest::prelude::*;

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
