//! Everything but frames: what a lane begins with, control messages, close reasons.
//!
//! Control messages and lane headers are `length` (4 bytes, little-endian) and a postcard body.

use super::WireError;
use crate::name::{ClusterName, ServerName};
use crate::session::{CloseReason, Heartbeat, Message, Versions};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Greatest control message in bytes.
pub const MAX_CONTROL: usize = 64 << 10;
/// Greatest close reason in bytes, so that it fits into the last packet of a connection.
pub const MAX_CLOSE: usize = 512;
const MAX_LANE_HEADER: usize = 128;
const MAX_CLOSE_WORDS: usize = 256;

/// What a lane carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LaneRole {
    /// Control messages. The first lane of each side.
    Control,
    /// Replies and cancels.
    Replies,
    /// Casts and calls for one server.
    Server(ServerName),
    /// Casts and calls for the names beyond those that have a lane of their own; each frame carries its name (C6).
    Shared,
}

/// The first bytes of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneHeader {
    /// Its number on this connection, as goodbyes cite it.
    pub lane: u16,
    /// What it carries.
    pub role: LaneRole,
}

fn encode<T: Serialize>(item: &'static str, value: &T, most: usize) -> Result<Bytes, WireError> {
    let body = postcard::to_stdvec(value).map_err(|e| WireError::Malformed { item, words: e.to_string() })?;
    if body.len() > most {
        return Err(WireError::Length { item, length: body.len() as u64, least: 1, most: most as u64 });
    }
    let mut bytes = BytesMut::with_capacity(4 + body.len());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes.freeze())
}

fn decode<'a, T: Deserialize<'a>>(item: &'static str, body: &'a [u8]) -> Result<T, WireError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(WireError::Malformed { item, words: format!("{} bytes are left over", rest.len()) }),
        Err(error) => Err(WireError::Malformed { item, words: error.to_string() }),
    }
}

/// A control message as bytes.
///
/// # Errors
/// [`WireError::Length`] when it is over [`MAX_CONTROL`].
pub fn encode_control(message: &Message) -> Result<Bytes, WireError> {
    encode("control message", message, MAX_CONTROL)
}

/// A lane header as bytes.
///
/// # Errors
/// [`WireError`] cannot occur for a header of valid parts; the type says what the codec says.
pub fn encode_lane_header(header: &LaneHeader) -> Result<Bytes, WireError> {
    encode("lane header", header, MAX_LANE_HEADER)
}

/// A close reason as bytes, its words cut to what a packet carries.
pub fn encode_close(reason: &CloseReason) -> Bytes {
    let cut = |words: &str| words.chars().take(MAX_CLOSE_WORDS / 4).collect::<String>();
    let short = match reason {
        CloseReason::Refused(words) if words.len() > MAX_CLOSE_WORDS => CloseReason::Refused(cut(words)),
        CloseReason::Protocol(words) if words.len() > MAX_CLOSE_WORDS => CloseReason::Protocol(cut(words)),
        other => other.clone(),
    };
    postcard::to_stdvec(&short).map(Bytes::from).unwrap_or_default()
}

/// A close reason from bytes. Other bytes are not an error: the connection is closed either way. None at all is what a
/// backend says for a connection that was dropped.
pub fn decode_close(bytes: &[u8]) -> CloseReason {
    if bytes.is_empty() {
        return CloseReason::Lost;
    }
    let bytes = bytes.get(..MAX_CLOSE).unwrap_or(bytes);
    decode("close reason", bytes).unwrap_or_else(|error| CloseReason::Protocol(error.to_string()))
}

/// A heartbeat as a datagram.
pub fn encode_heartbeat(beat: &Heartbeat) -> Bytes {
    postcard::to_stdvec(beat).map(Bytes::from).unwrap_or_default()
}

/// A heartbeat from a datagram.
///
/// # Errors
/// [`WireError`] when it is malformed.
pub fn decode_heartbeat(bytes: &[u8]) -> Result<Heartbeat, WireError> {
    decode("heartbeat", bytes)
}

/// Collects the bytes of a lane's beginning, or of the control lane, into whole items.
#[derive(Debug, Default)]
pub struct ControlDecoder {
    buffer: BytesMut,
}

impl ControlDecoder {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes in.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The lane header, once it is whole.
    ///
    /// # Errors
    /// [`WireError`] when it is too long or malformed.
    pub fn lane_header(&mut self) -> Result<Option<LaneHeader>, WireError> {
        self.item("lane header", MAX_LANE_HEADER)
    }

    /// The next control message, once it is whole.
    ///
    /// # Errors
    /// [`WireError`] when it is too long or malformed.
    pub fn message(&mut self) -> Result<Option<Message>, WireError> {
        self.body("control message", MAX_CONTROL)?.map(|body| decode_message(&body)).transpose()
    }

    /// What follows the items that were taken.
    pub fn into_rest(self) -> BytesMut {
        self.buffer
    }

    fn item<T: for<'a> Deserialize<'a>>(&mut self, item: &'static str, most: usize) -> Result<Option<T>, WireError> {
        self.body(item, most)?.map(|body| decode(item, &body)).transpose()
    }

    fn body(&mut self, item: &'static str, most: usize) -> Result<Option<BytesMut>, WireError> {
        let Some(length) = self.buffer.first_chunk::<4>().map(|b| u32::from_le_bytes(*b) as usize) else {
            return Ok(None);
        };
        if length == 0 || length > most {
            return Err(WireError::Length { item, length: length as u64, least: 1, most: most as u64 });
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        let mut item = self.buffer.split_to(4 + length);
        Ok(Some(item.split_off(4)))
    }
}

/// The part of a `Hello` that is the same in every version, for ever: so that other versions are refused by their number (A3).
#[derive(Deserialize)]
struct HelloStart {
    variant: u32,
    _cluster: ClusterName,
    versions: Versions,
}

fn decode_message(body: &[u8]) -> Result<Message, WireError> {
    const ITEM: &str = "control message";
    match postcard::take_from_bytes(body) {
        // A newer minor may say more in its Hello than this one knows.
        Ok((message, [])) | Ok((message @ Message::Hello(_), _)) => Ok(message),
        Ok((_, rest)) => Err(WireError::Malformed { item: ITEM, words: format!("{} bytes are left over", rest.len()) }),
        Err(error) => match postcard::take_from_bytes::<HelloStart>(body) {
            Ok((HelloStart { variant: 0, versions: theirs, .. }, _)) if theirs.common(Versions::CURRENT).is_none() => {
                Err(WireError::Versions { theirs, ours: Versions::CURRENT })
            }
            _ => Err(WireError::Malformed { item: ITEM, words: error.to_string() }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Incarnation;
    use crate::session::{Heartbeat, Hello, LaneOffset, Peers, PeersDigest, Told};
    use crate::{Address, NodeName};
    use proptest::prelude::*;

    #[test]
    fn control_messages_are_read_as_they_were_written_byte_by_byte() {
        let (name, addresses) = (NodeName::new("b").unwrap(), vec![Address::new("127.0.0.1:1").unwrap()]);
        let told = Told { name, incarnation: Incarnation::new(1, 2), addresses };
        let messages = [
            Message::Probe(300),
            Message::Goodbye(vec![LaneOffset { lane: 2, offset: 1 << 40 }]),
            Message::AskPeers(Some(NodeName::new("a").unwrap())),
            Message::Peers(Peers { digest: PeersDigest::NONE, told: vec![told], more: true }),
        ];
        let mut decoder = ControlDecoder::new();
        let mut seen = Vec::new();
        for message in &messages {
            for byte in encode_control(message).unwrap() {
                decoder.push(&[byte]);
                seen.extend(decoder.message().unwrap());
            }
        }
        assert_eq!(seen, messages);
        assert!(decoder.into_rest().is_empty());
    }

    #[test]
    fn a_lane_header_is_read_and_what_follows_is_kept() {
        let header = LaneHeader { lane: 7, role: LaneRole::Server(ServerName::new("consumer").unwrap()) };
        let mut decoder = ControlDecoder::new();
        decoder.push(&encode_lane_header(&header).unwrap());
        decoder.push(b"frames");
        assert_eq!(decoder.lane_header(), Ok(Some(header)));
        assert_eq!(&decoder.into_rest()[..], b"frames");
    }

    #[test]
    fn a_hello_of_another_major_is_refused_by_both_numbers_whatever_its_shape() {
        let theirs = Versions { major: 2, oldest_minor: 0, newest_minor: 3 };
        let body = postcard::to_stdvec(&(0_u32, "cluster", theirs, "another shape")).unwrap();
        let mut decoder = ControlDecoder::new();
        decoder.push(&(body.len() as u32).to_le_bytes());
        decoder.push(&body);
        let words = decoder.message().unwrap_err().to_string();
        assert!(words.contains("2.0 to 2.3") && words.contains("1.0 to 1.0"), "{words}");
    }

    #[test]
    fn lengths_are_checked_before_the_body_comes() {
        for length in [0, MAX_CONTROL as u32 + 1, u32::MAX] {
            let mut decoder = ControlDecoder::new();
            decoder.push(&length.to_le_bytes());
            assert!(matches!(decoder.message(), Err(WireError::Length { .. })), "{length}");
        }
    }

    #[test]
    fn close_reasons_fit_into_a_packet_and_survive_it() {
        let reason = CloseReason::Replaced { by: Incarnation::new(1, 2), at: None };
        assert_eq!(decode_close(&encode_close(&reason)), reason);
        let long = encode_close(&CloseReason::Refused("ü".repeat(10_000)));
        assert!(long.len() <= MAX_CLOSE, "{}", long.len());
        assert!(matches!(decode_close(&long), CloseReason::Refused(_)));
        assert!(matches!(decode_close(b"\xff\xff"), CloseReason::Protocol(_)));
        assert_eq!(decode_close(b""), CloseReason::Lost);
    }

    /// What is decoded, whatever it is said to be; all that is known of it afterwards is that it is within its limits.
    fn decode_as_everything(bytes: &[u8]) {
        let mut decoder = ControlDecoder::new();
        decoder.push(&(bytes.len() as u32).to_le_bytes());
        decoder.push(bytes);
        if let Ok(Some(Message::Peers(peers))) = decoder.message() {
            assert!(peers.told.len() <= bytes.len());
        }
        for read in [ControlDecoder::message_drop, ControlDecoder::header_drop] {
            let mut decoder = ControlDecoder::new();
            decoder.push(bytes);
            read(&mut decoder);
        }
        let _ = (decode_close(bytes), decode_heartbeat(bytes));
    }

    impl ControlDecoder {
        fn message_drop(&mut self) {
            drop(self.message());
        }

        fn header_drop(&mut self) {
            drop(self.lane_header());
        }
    }

    /// Everything that is read before a peer is known, and after, as it is written.
    fn valid() -> Vec<Vec<u8>> {
        let (name, address) = (NodeName::new("node-b").unwrap(), Address::new("127.0.0.1:1").unwrap());
        let incarnation = Incarnation::new(1_700_000_000_000, 7);
        let hello = Hello {
            cluster: crate::ClusterName::new("shop").unwrap(),
            versions: Versions::CURRENT,
            name: name.clone(),
            incarnation,
            moment: 1 << 40,
            held: None,
            random: u64::MAX,
            failure_timeout_millis: 2_000,
            lanes: 24,
            addresses: vec![address.clone(), address.clone()],
        };
        let told = Told { name: name.clone(), incarnation, addresses: vec![address.clone()] };
        let messages = [
            Message::Hello(Box::new(hello)),
            Message::Probe(300),
            Message::Goodbye(vec![LaneOffset { lane: 2, offset: 1 << 40 }; 3]),
            Message::AskPeers(Some(name)),
            Message::Moved(vec![address]),
            Message::Peers(Peers { digest: PeersDigest::NONE, told: vec![told; 2], more: false }),
        ];
        let mut all: Vec<_> = messages.iter().map(|m| encode_control(m).unwrap()[4..].to_vec()).collect();
        let role = LaneRole::Server(ServerName::new("consumer").unwrap());
        all.push(encode_lane_header(&LaneHeader { lane: 7, role }).unwrap().to_vec());
        let beat =
            Heartbeat { session_number: 3, seq: 9, sent_us: 1 << 33, working: 1, echo: None, peers: PeersDigest::NONE };
        all.push(encode_heartbeat(&beat).to_vec());
        all.push(encode_close(&CloseReason::Refused("another cluster".to_owned())).to_vec());
        all.push(encode_close(&CloseReason::Replaced { by: incarnation, at: None }).to_vec());
        all
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            decode_as_everything(&bytes);
        }

        /// Bytes at random are refused by their first byte; these get further.
        #[test]
        fn nothing_that_is_almost_right_panics(
            which in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
            tail in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            let all = valid();
            let mut bytes = which.get(&all).clone();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1).max(1));
            bytes.extend(tail);
            decode_as_everything(&bytes);
        }
    }
}
