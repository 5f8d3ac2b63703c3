//! The program `pingpong-node`.
//!
//! It is thin: the command line is read here, and each command is a module. A service uses the library instead.

#![forbid(unsafe_code)]

mod demo;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A PingPong node.
#[derive(Debug, Parser)]
#[command(name = "pingpong-node", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays the ping exercise: nodes ping, crash, are cut off and catch up, and every count is checked.
    Demo(demo::Options),
    /// One node of the demo; it takes its orders on standard input.
    #[cfg(feature = "quic")]
    #[command(hide = true)]
    DemoNode(demo::NodeOptions),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(options) => demo::run(options),
        #[cfg(feature = "quic")]
        Command::DemoNode(options) => demo::run_node(options),
    }
}
