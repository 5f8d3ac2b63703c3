//! `pingpong-node demo`: the ping exercise as a play, on throw-away nodes.
//!
//! | module | what it is |
//! | --- | --- |
//! | `direct` | a play from the first to the last; what may end it before |
//! | `play`, `truth`, `error` | the steps, and what must be seen after each |
//! | `stage`, `mem`, `quic` | nodes and faults: as a trait, within this process, and as processes |
//! | `player`, `shelf` | a node with its servers, and where its counts outlive its process |
//! | `protocol`, `child` | a node's process: what is said on its pipes, what runs in it |
//! | `outcome`, `report`, `table`, `output` | what came of it, and how that is told |
//!
//! How processes are held, cut off from each other and ended is in [`cluster`](crate::cluster).

#[cfg(feature = "quic")]
mod child;
mod direct;
mod error;
#[cfg(feature = "mem")]
mod mem;
mod outcome;
mod output;
mod play;
mod player;
#[cfg(feature = "quic")]
mod protocol;
#[cfg(feature = "quic")]
mod quic;
mod report;
mod shelf;
mod stage;
mod table;
#[cfg(test)]
mod tests;
mod truth;

use crate::cluster::{ClusterError, Interrupts, Kind, Signals, complain, complaint, within};
#[cfg(feature = "quic")]
use crate::cluster::{NodeOptions, run_node as run_child};
use clap::Args;
use direct::direct;
use outcome::Outcome;
use output::Output;
use report::Report;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long the last words of an interrupted demo may take: its reader may have stopped reading.
const FAREWELL: Duration = Duration::from_millis(500);

/// How the demo is played.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0      every count was right
  1      a count was wrong, or the demo could not be played, cleaned up or told to its end
  2      the command line was wrong
  128+n  interrupted by signal n (SIGHUP 129, SIGINT 130, SIGQUIT 131, SIGTERM 143); a second signal does not wait for
         the nodes to end

The nodes keep their counts in a directory of their own among the temporary files, which is removed when the demo ends, unless it is killed; its
nodes end even then. It goes on when the reader of its output
has gone: the exit code still tells how it went. NO_COLOR and TERM=dumb make the output plain.")]
pub(crate) struct Options {
    /// What the nodes talk over: QUIC between processes, or memory within one.
    #[arg(long, value_enum, default_value_t)]
    transport: Kind,
    /// How many nodes, 2 to 16.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=16))]
    nodes: u8,
    /// How many seconds a step may take until it is wrong, 1 to 3600.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=3_600))]
    patience: u16,
    /// Print the result as one JSON object, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Plays, cleans up, and tells what came of it. The exit code is as `--help` says.
pub(crate) fn run(options: Options) -> ExitCode {
    let code = match runtime() {
        Ok(runtime) => {
            let code = runtime.block_on(perform(&options));
            // A write that its reader does not take may hang; nothing else is left.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            complain("demo", &error);
            let outcome = Outcome::failed(error);
            if let (true, Ok(text)) = (options.json, outcome.json(options.transport.name(), options.nodes.into())) {
                // The error has been told already.
                let _ = writeln!(std::io::stdout(), "{text}");
            }
            outcome.code()
        }
    };
    ExitCode::from(code)
}

/// Runs one node of the demo, until its standard input ends.
#[cfg(feature = "quic")]
pub(crate) fn run_node(options: NodeOptions) -> ExitCode {
    run_child::<player::Player>(options, runtime())
}

fn runtime() -> Result<Runtime, ClusterError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(ClusterError::system("the runtime cannot be started"))
}

async fn perform(options: &Options) -> u8 {
    let (nodes, patience) = (usize::from(options.nodes), Duration::from_secs(options.patience.into()));
    let (kind, began) = (options.transport.name(), Instant::now());
    let mut report = Report::new(options.json, nodes);
    // Before anything is started that must be ended.
    let (outcome, mut signals) = match Signals::listen() {
        Err(error) => (Outcome::failed(error), Signals::default()),
        Ok(mut signals) => {
            let columns = "tables: rows are consumers, columns producers, cells seen/expected";
            report.say(&format!("{nodes} nodes over {kind}; {columns}")).await;
            let outcome = match options.transport {
                #[cfg(feature = "quic")]
                Kind::Quic => direct(quic::QuicStage::new(nodes), nodes, patience, &mut report, &mut signals).await,
                #[cfg(feature = "mem")]
                Kind::Mem => {
                    let set = std::future::ready(mem::MemStage::new(nodes));
                    direct(set, nodes, patience, &mut report, &mut signals).await
                }
            };
            (outcome, signals)
        }
    };
    let mut telling = Box::pin(async {
        let written = report.finish(&outcome, kind, nodes, began.elapsed()).await;
        let lost = written.map_err(ClusterError::system("the result cannot be written")).err();
        explain(&outcome, lost.as_ref()).await;
        if lost.is_some() { outcome.code().max(1) } else { outcome.code() }
    });
    let interrupted = async {
        match outcome.signal {
            Some(signal) => signal,
            None => signals.next().await,
        }
    };
    let signal = tokio::select! {
        biased;
        code = &mut telling => return code,
        signal = interrupted => signal,
    };
    within(FAREWELL, telling).await.unwrap_or(signal.exit_code())
}

/// Says beside the result why it is as it is.
async fn explain(outcome: &Outcome, lost: Option<&ClusterError>) {
    let errors = Output::to(tokio::io::stderr());
    for (node, words) in &outcome.logs {
        errors.say(format!("-- the last lines of {node}'s log\n{words}\n")).await;
    }
    for error in outcome.error.iter().chain(&outcome.left).chain(lost) {
        errors.say(complaint("demo", error)).await;
    }
    // When standard error cannot be written, there is nobody to tell.
    let _ = errors.finish().await;
}
