//! `pingpong-node demo`: the ping exercise as a play, on throw-away nodes.
//!
//! | module | what it is |
//! | --- | --- |
//! | `play`, `truth` | the steps, and what must be seen after each |
//! | `deadline` | how long that may take |
//! | `stage`, `mem`, `quic` | nodes and faults: as a trait, within this process, and as processes |
//! | `player` | a node with its producer and its consumer |
//! | `process`, `protocol`, `child`, `log` | a node's process: as the demo holds it, what is said on its pipes, what runs in it, its last words |
//! | `relay` | the network between the processes, which can be cut |
//! | `report`, `table` | progress and JSON; the tables |

#[cfg(feature = "quic")]
mod child;
mod deadline;
mod error;
#[cfg(feature = "quic")]
mod log;
#[cfg(feature = "mem")]
mod mem;
mod play;
mod player;
#[cfg(feature = "quic")]
mod process;
#[cfg(feature = "quic")]
mod protocol;
#[cfg(feature = "quic")]
mod quic;
#[cfg(feature = "quic")]
mod relay;
mod report;
mod signals;
mod stage;
mod table;
#[cfg(test)]
mod tests;
mod truth;

#[cfg(feature = "quic")]
pub(crate) use child::NodeOptions;

use clap::{Args, ValueEnum};
use deadline::within;
use error::DemoError;
use play::{Play, Step};
use report::{Report, seconds};
use signals::Signals;
use stage::Stage;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long the nodes may take to end.
const CLOSING: Duration = Duration::from_secs(5);
/// What a shell says of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// How the demo is played.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What the nodes talk over: QUIC between processes, or memory within one.
    #[arg(long, value_enum, default_value_t)]
    transport: Kind,
    /// How many nodes.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=16))]
    nodes: u8,
    /// How many seconds a step may take until it is wrong.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=3_600))]
    patience: u16,
    /// Print the result as one JSON object, and nothing else.
    #[arg(long)]
    json: bool,
}

/// The transports of this build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Processes, QUIC with mutual TLS.
    #[cfg(feature = "quic")]
    #[default]
    Quic,
    /// One process, links in memory.
    #[cfg(feature = "mem")]
    #[cfg_attr(not(feature = "quic"), default)]
    Mem,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "quic")]
            Self::Quic => "quic",
            #[cfg(feature = "mem")]
            Self::Mem => "mem",
        }
    }
}

/// How a play ended.
enum End {
    Played(Vec<Step>),
    Interrupted,
    /// Something is left, whatever was played.
    Left(DemoError),
}

/// Plays, and cleans up. 0: every count was right; 1: one was not, or a node failed; 130: it was interrupted.
pub(crate) fn run(options: Options) -> ExitCode {
    let result = runtime().and_then(|runtime| {
        let result = runtime.block_on(perform(&options));
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Runs one node of the demo, until its standard input ends.
#[cfg(feature = "quic")]
pub(crate) fn run_node(options: NodeOptions) -> ExitCode {
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false);
    // A node whose log cannot be written, because the demo is gone for example, goes on without. It would panic otherwise.
    let log = log.log_internal_errors(false).finish();
    // Refused only if there is one already, which is as good.
    let _ = tracing::subscriber::set_global_default(log);
    let result = runtime().and_then(|runtime| {
        let result = runtime.block_on(child::run(options));
        // Its reader of standard input may hang; nothing else is left.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<Runtime, DemoError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(DemoError::system("the runtime cannot be started"))
}

/// Says an error where it disturbs no output.
fn complain(error: &DemoError) {
    // When standard error is closed, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "pingpong-node demo: {error}");
}

async fn perform(options: &Options) -> Result<ExitCode, DemoError> {
    // Before anything is started that must be ended.
    let mut signals = Signals::listen()?;
    let (nodes, patience) = (usize::from(options.nodes), Duration::from_secs(options.patience.into()));
    let mut report = Report::new(options.json);
    let (kind, began) = (options.transport.name(), Instant::now());
    report
        .say(&format!("{nodes} nodes over {kind}; tables: rows are consumers, columns producers, cells seen/expected"));
    let end = match options.transport {
        #[cfg(feature = "quic")]
        Kind::Quic => on(quic::QuicStage::new(nodes).await?, nodes, patience, &mut report, &mut signals).await,
        #[cfg(feature = "mem")]
        Kind::Mem => on(mem::MemStage::new(nodes)?, nodes, patience, &mut report, &mut signals).await,
    };
    let steps = match end {
        End::Played(steps) => steps,
        End::Interrupted => {
            report.say("\ninterrupted; everything is cleaned up");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        End::Left(error) => return Err(error),
    };
    let ok = steps.iter().all(Step::ok);
    let verdict = if ok { "every count is right" } else { "a step went wrong" };
    report.say(&format!("{verdict} ({})", seconds(began.elapsed())));
    let mut written = report.finish();
    if options.json {
        let text = report::json(ok, kind, nodes, &steps).map(|text| text + "\n");
        written = written.and(text.and_then(|text| std::io::stdout().write_all(text.as_bytes())));
    }
    written.map_err(DemoError::system("the result cannot be written"))?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Plays on a stage, and closes it however the play ends.
async fn on<S: Stage>(
    mut stage: S,
    nodes: usize,
    patience: Duration,
    report: &mut Report,
    signals: &mut Signals,
) -> End {
    let mut play = Play::new(&mut stage, report, nodes, patience);
    let interrupted = tokio::select! {
        biased;
        () = signals.received() => true,
        () = play.perform() => false,
    };
    let end = if interrupted { End::Interrupted } else { End::Played(play.into_steps()) };
    if matches!(&end, End::Played(steps) if !steps.iter().all(Step::ok)) {
        for (node, log) in stage.logs() {
            // Beside the result, not in it.
            let _ = writeln!(std::io::stderr(), "-- the last lines of {node}'s log\n{log}");
        }
    }
    match within(CLOSING, stage.close()).await {
        Some(closed) => closed.map_or_else(End::Left, |()| end),
        None => End::Left(DemoError::Left { nodes: stage.running().join(" "), within: CLOSING }),
    }
}
