//! What is fuzzed: everything that reads bytes of a peer, a file or a user. A target panics when what it reads breaks an invariant.
//!
//! The fuzzer runs these (`README.md`), and so do the ordinary tests, on the inputs that it has found.

mod handshake;

use bytes::Bytes;
use pingpong_core::wire::{
    Content, ControlDecoder, Frame, Splitter, decode_close, decode_heartbeat, encode_close, encode_control,
    encode_heartbeat,
};
use pingpong_node::settings::Settings;
use pingpong_transport_quic::{CertificateInfo, Identity};
use std::path::Path;

pub use handshake::handshake;

/// The largest message that the decoder is told to take.
const MAX_MESSAGE: usize = 1 << 20;

/// Bytes from the network, in pieces as a network cuts them: the first byte says what they are, the second how they are cut.
pub fn decoder(data: &[u8]) {
    let [what, cut, rest @ ..] = data else { return };
    let pieces = || rest.chunks(usize::from(*cut).max(1));
    match what % 6 {
        0 => frames(pieces(), Content::Messages, rest.len()),
        1 => frames(pieces(), Content::Named, rest.len()),
        2 => frames(pieces(), Content::Replies, rest.len()),
        3 => control(pieces()),
        4 => {
            if let Ok(beat) = decode_heartbeat(rest) {
                assert_eq!(decode_heartbeat(&encode_heartbeat(&beat)).ok(), Some(beat), "it is written as it was read");
            }
        }
        _ => {
            let reason = decode_close(rest);
            assert!(encode_close(&reason).len() <= 512, "a reason that is passed on fits");
        }
    }
}

fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>, content: Content, most: usize) {
    let mut splitter = Splitter::new(MAX_MESSAGE, content);
    for piece in pieces {
        splitter.push(piece);
        loop {
            match splitter.batch() {
                Ok(Some(batch)) => whole(&batch),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(splitter.pending() <= most, "it keeps what came, and no more");
        if let Some(large) = splitter.large_frame() {
            assert!(large.length <= MAX_MESSAGE + 4_096, "before anything is reserved for it: {}", large.length);
        }
    }
}

/// A batch is frames from its beginning to its end, and reading them never leaves it.
fn whole(batch: &Bytes) {
    let mut offset = 0;
    while let Some((frame, end)) = Frame::at(batch, offset) {
        assert!(end > offset && end <= batch.len());
        let _ = (frame.kind(), frame.body().len(), frame.name(), frame.call(), frame.status(), frame.answered_call());
        offset = end;
    }
    assert_eq!(offset, batch.len(), "a batch holds whole frames");
}

fn control<'a>(pieces: impl Iterator<Item = &'a [u8]>) {
    let mut decoder = ControlDecoder::new();
    let mut begun = false;
    for piece in pieces {
        decoder.push(piece);
        if !begun {
            match decoder.lane_header() {
                Ok(Some(_)) => begun = true,
                Ok(None) => continue,
                Err(_) => return,
            }
        }
        loop {
            match decoder.message() {
                Ok(Some(message)) => {
                    // What was read can be written: a node passes on parts of it. Only its size may be in the way.
                    let _ = encode_control(&message);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// A configuration file.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Settings::from_toml(Path::new("node.toml"), text) {
        Ok(settings) => {
            if let Ok(mesh) = settings.mesh() {
                let endpoint = pingpong_core::link::Endpoint {
                    name: settings.name,
                    lanes: mesh.limits.lanes_per_connection(),
                    connection_bytes: 1 << 20,
                    other_bytes: 1 << 20,
                };
                let _ = mesh.check(&endpoint);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Certificates, keys and revocation lists: the first byte says where the first part ends.
pub fn certificate(data: &[u8]) {
    let [at, rest @ ..] = data else { return };
    let (first, second) = rest.split_at(rest.len() * usize::from(*at) / 256);
    for part in [first, second, rest] {
        if let Ok(infos) = CertificateInfo::from_pem(part) {
            assert!(!infos.is_empty() && infos.iter().all(|info| info.fingerprint.len() == 64));
        }
    }
    if let Ok(identity) = Identity::from_pem(first, first, second) {
        let _ = identity.with_revocations(second);
    }
}
