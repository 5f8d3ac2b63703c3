//! The command line: what can be asked of `pingpong-node`, and what it answers with.
//!
//! | part | what it is |
//! | --- | --- |
//! | here | the commands, and exit codes |
//! | `certs` | an authority and its certificates |
//! | `given` | settings as flags and environment variables |
//! | `run` | a node: `run`, `config` |
//! | `counts` | the file of a node's counts: `init` |
//! | `operate`, `answers` | a running node is asked: `status`, `nodes`, `ping`, ...; how what it answers is shown |
//! | `output` | tables for people, JSON for programs |

#[cfg(all(feature = "daemon", unix))]
mod answers;
#[cfg(all(feature = "daemon", unix))]
mod certs;
#[cfg(all(feature = "daemon", unix))]
mod counts;
#[cfg(all(feature = "daemon", unix))]
mod given;
#[cfg(all(feature = "daemon", unix))]
mod operate;
#[cfg(all(feature = "daemon", unix))]
mod output;
#[cfg(all(feature = "daemon", unix))]
mod run;

use crate::bench::{self, Bench};
#[cfg(feature = "quic")]
use crate::cluster::NodeOptions;
use crate::demo;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// What `--help` says of exit codes.
const EXIT_CODES: &str = "\
Exit codes:
  0      it was done
  1      it was not: a node refused, a call failed, a count is wrong;
         the result says what, or the last line on standard error
  2      the command line is wrong
  3      it may have been done: pings that no majority has confirmed, or whose
         answer was lost; do not ping again, see `confirm` and `counts`
  69     the node that was to be asked does not answer at its control socket
  78     a person must do something first: the configuration (a flag that
         sets a key included) or an identity cannot be used, the port is
         taken, or a newer process runs under the node's name; let your
         service manager not start it again, as systemd by
         RestartPreventExitStatus=78
  128+n  ended by signal n";

/// Cluster primitives of Erlang/OTP, over QUIC with mutual TLS.
///
/// A first look: `pingpong-node demo`. A cluster of your own: `certs init`, `certs issue`, `config example`, `run`.
#[derive(Debug, Parser)]
#[command(name = "pingpong-node", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
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
    DemoNode(NodeOptions),
    /// Measures casts, calls, failures and starts, on nodes that it starts itself, and checks that all casts arrived in order and each
    /// call was answered.
    #[command(subcommand)]
    Bench(Bench),
    /// One node of the bench; it takes its orders on standard input.
    #[cfg(feature = "quic")]
    #[command(hide = true)]
    BenchNode(NodeOptions),
    /// Makes and checks certificates: a cluster's authority, and an identity for each node.
    #[cfg(all(feature = "daemon", unix))]
    #[command(subcommand)]
    Certs(certs::Certs),
    /// Runs a node, with the ping exercise on it, until it is asked to stop.
    #[cfg(all(feature = "daemon", unix))]
    Run(run::Options),
    /// Makes the empty store of a node that was never started before, in its data directory: once for each member, before the cluster's
    /// first start.
    ///
    /// A node that finds no store where `init` has not made one takes it for lost: it begins a new one, and if it is a member, it does not
    /// vote before it has recovered from the others. Never say it of a node that was there before: unless another member knows better,
    /// it would vote without what it had said.
    #[cfg(all(feature = "daemon", unix))]
    Init(InitOptions),
    /// Shows, or checks, a configuration file.
    #[cfg(all(feature = "daemon", unix))]
    #[command(subcommand)]
    Config(run::Config),
    #[cfg(all(feature = "daemon", unix))]
    #[command(flatten)]
    Operate(operate::Operate),
    /// Prints a script that completes commands and flags in your shell.
    ///
    /// For bash: `pingpong-node completions bash > /etc/bash_completion.d/pingpong-node`.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Which node's store is made.
#[cfg(all(feature = "daemon", unix))]
#[derive(Debug, clap::Args)]
struct InitOptions {
    #[command(flatten)]
    given: given::Given,
}

/// Reads the command line, and does what it says.
pub(crate) fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(options) => demo::run(options),
        #[cfg(feature = "quic")]
        Command::DemoNode(options) => demo::run_node(options),
        Command::Bench(bench) => bench::run(bench),
        #[cfg(feature = "quic")]
        Command::BenchNode(options) => bench::run_node(options),
        #[cfg(all(feature = "daemon", unix))]
        Command::Certs(certs) => certs::run(certs),
        #[cfg(all(feature = "daemon", unix))]
        Command::Run(options) => run::run(options),
        #[cfg(all(feature = "daemon", unix))]
        Command::Init(options) => counts::init(&options.given),
        #[cfg(all(feature = "daemon", unix))]
        Command::Config(config) => run::config(config),
        #[cfg(all(feature = "daemon", unix))]
        Command::Operate(operate) => operate::run(operate),
        Command::Completions { shell } => {
            // Not straight to a reader, who may have gone.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pingpong-node", &mut script);
            let mut out = std::io::stdout();
            match out.write_all(&script).and_then(|()| out.flush()) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    // When standard error is closed as well, there is nobody to tell.
                    let _ = writeln!(anstream::stderr(), "pingpong-node: the completions cannot be written: {error}");
                    ExitCode::FAILURE
                }
                _ => ExitCode::SUCCESS,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
