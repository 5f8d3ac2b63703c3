//! The inputs that the fuzzer found worth keeping, as ordinary tests; `tests/fuzz/README.md` says how to look for more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzzer uses it as a library")]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

fn run(target: fn(&[u8]), name: &str) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        inputs += 1;
        assert!(catch_unwind(AssertUnwindSafe(|| target(&input))).is_ok(), "{}", path.display());
    }
    assert!(inputs >= 50, "{inputs} inputs of {name}");
}

#[test]
fn decoder() {
    run(targets::decoder, "decoder");
}

#[test]
fn handshake() {
    run(targets::handshake, "handshake");
}

#[test]
fn configuration() {
    run(targets::configuration, "configuration");
}

#[test]
fn certificate() {
    run(targets::certificate, "certificate");
}
