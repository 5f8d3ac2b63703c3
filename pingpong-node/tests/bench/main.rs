//! `pingpong-node bench` as a user runs it: its results, its exit code, and what it leaves behind. No test asserts a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

#[cfg(all(feature = "quic", target_os = "linux"))]
mod ends;
#[allow(dead_code, unused_imports)] // the tests of the demo use all of it
#[path = "../support/program.rs"]
mod program;
mod results;

use program::PATH;
use tokio::process::Command;

/// A benchmark of few runs, patient enough for a machine that runs other tests as well.
fn bench(arguments: &str) -> Command {
    let mut command = Command::new(PATH);
    command.arg("bench").args(arguments.split_whitespace());
    if !arguments.contains("--runs") {
        command.args(["--runs", "1"]);
    }
    command
}
