//! `pingpong-node bench`: what nodes can do, measured on nodes that are started for the occasion, and whether all came right.
//!
//! A benchmark sees what a service sees: typed casts, calls and servers, monitors, the configuration of a node. Nodes measure
//! what only they can see, and check what they get; this program starts them, orders, and reckons. It judges nothing: what a
//! figure should be is not its affair, but a run in which anything was lost is not ok.
//!
//! | module | what it is |
//! | --- | --- |
//! | `options` | what can be asked, and what `--help` says |
//! | `conduct` | one set of nodes, from its start to its end |
//! | `abcast`, `calls`, `failover`, `mesh` | what is ordered, and what the figures come to |
//! | `exercise` | the same for pings that are acknowledged, reads, and what outlives a crash |
//! | `nodes`, `mem`, `quic` | nodes: as a trait, within this process, and as processes |
//! | `node`, `protocol`, `child` | a node of the bench: what it does, what it is told, its process |
//! | `record`, `statistics`, `report` | figures under their names, medians, and how they are told |

mod abcast;
mod calls;
#[cfg(feature = "quic")]
mod child;
mod clock;
mod conduct;
#[cfg(feature = "daemon")]
mod exercise;
mod failover;
#[cfg(feature = "mem")]
mod mem;
mod mesh;
mod node;
mod nodes;
mod options;
mod protocol;
#[cfg(feature = "quic")]
mod quic;
mod record;
mod report;
mod statistics;
#[cfg(test)]
mod tests;

pub(crate) use options::Bench;

use crate::cluster::{ClusterError, Kind, Signal, Signals, complain};
#[cfg(feature = "quic")]
use crate::cluster::{NodeOptions, run_node as run_child};
use conduct::{Case, Conducted, conduct};
use failover::Fault;
use nodes::Layout;
use options::IoThreads;
use record::{Measured, Record};
use report::Report;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;

/// As many nodes may talk through a relay.
const RELAYED: usize = 16;
/// The exit code for a command line that cannot be carried out, as that of one that cannot be read.
const WRONG_COMMAND: u8 = 2;

/// Measures, cleans up, and tells what came of it. The exit code is as `--help` says.
pub(crate) fn run(bench: Bench) -> ExitCode {
    if let Some(words) = bench.cannot() {
        complain("bench", &words);
        return ExitCode::from(WRONG_COMMAND);
    }
    let code = match runtime() {
        Ok(runtime) => {
            let code = runtime.block_on(perform(&bench));
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            complain("bench", &error);
            1
        }
    };
    ExitCode::from(code)
}

/// Runs one node of the bench, until its standard input ends.
#[cfg(feature = "quic")]
pub(crate) fn run_node(options: NodeOptions) -> ExitCode {
    run_child::<child::BenchProcess>(options, runtime())
}

/// As that of `run`.
fn runtime() -> Result<Runtime, ClusterError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(ClusterError::system("the runtime cannot be started"))
}

async fn perform(bench: &Bench) -> u8 {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            complain("bench", &error);
            return 1;
        }
    };
    let mut cases = bench.cases();
    let runs = u64::from(bench.common().runs);
    let mut report = Report::new(bench.common().json, runs * cases.iter().map(Case::measurements).sum::<u64>());
    let ended = measure(bench, &mut cases, &mut report, &mut signals).await;
    let ok = report.ok();
    let written = report.finish().map_err(ClusterError::system("the result cannot be written"));
    if let Err(error) = &written {
        complain("bench", error);
    }
    match ended {
        Ended::By(signal) => {
            complain("bench", &format!("interrupted by {signal}"));
            signal.exit_code()
        }
        Ended::Measured => u8::from(!ok || written.is_err()),
        Ended::Failed => 1,
    }
}

/// How all of it ended.
enum Ended {
    Measured,
    /// A run could not be carried out; further ones were not tried.
    Failed,
    By(Signal),
}

async fn measure(bench: &Bench, cases: &mut [Case], report: &mut Report, signals: &mut Signals) -> Ended {
    for case in cases.iter_mut() {
        if let Case::Calibrate(plan) = case {
            report.progress("trying out how many pings take two seconds".to_owned());
            let plan = *plan;
            let conducted = with_nodes(bench, case, signals).await;
            let count = conducted.count;
            if let Some(ended) = tell(bench, case, 1, conducted, report) {
                return ended;
            }
            *case = Case::Abcast(plan, count);
        }
    }
    for run in 1..=bench.common().runs {
        for case in cases.iter() {
            let next = Measured { case: case.words(0), ..Measured::default() };
            report.progress(format!("run {run}, {}", bench.record(run, next, None).title()));
            let conducted = with_nodes(bench, case, signals).await;
            if let Some(ended) = tell(bench, case, run, conducted, report) {
                return ended;
            }
        }
    }
    Ended::Measured
}

/// Tells what came of a case. Says how it ended, if that is the end of everything.
fn tell(bench: &Bench, case: &Case, run: u16, conducted: Conducted, report: &mut Report) -> Option<Ended> {
    let Conducted { measured, error, signal, logs, .. } = conducted;
    let record = |measured, error| bench.record(run, measured, error);
    let done = measured.len();
    measured.into_iter().for_each(|measured| report.run(record(measured, None)));
    for (node, words) in &logs {
        complain("bench", &format!("the last lines of {node}'s log\n{words}"));
    }
    if let Some(signal) = signal {
        error.iter().for_each(|error| complain("bench", error));
        return Some(Ended::By(signal));
    }
    let error = error?;
    complain("bench", &error);
    report.run(record(Measured { case: case.words(done), ..Measured::default() }, Some(error)));
    Some(Ended::Failed)
}

async fn with_nodes(bench: &Bench, case: &Case, signals: &mut Signals) -> Conducted {
    let (common, nodes) = (bench.common(), bench.nodes());
    let patience = Duration::from_secs(common.patience.into());
    let layout = Layout {
        nodes,
        seeds: common.seeds,
        payload: bench.payload(),
        #[cfg(feature = "daemon")]
        stores: match bench.stores(case) {
            Ok(stores) => stores,
            Err(error) => return Conducted { error: Some(error.to_string()), ..Conducted::default() },
        },
    };
    match common.transport {
        #[cfg(feature = "quic")]
        Kind::Quic => {
            let cuts =
                matches!(case, Case::Faults(faults, _) if faults.iter().any(|fault| matches!(fault, Fault::Cut(_))));
            let relay = bench.delay().or(cuts.then_some(Duration::ZERO));
            let set_up = quic::QuicNodes::new(layout, relay, common.io_thread);
            conduct(set_up, case, patience, signals).await
        }
        #[cfg(feature = "mem")]
        Kind::Mem => {
            let set_up = std::future::ready(mem::MemNodes::new(layout));
            conduct(set_up, case, patience, signals).await
        }
    }
}

impl Bench {
    /// What is measured in each run; nodes are set up anew for each.
    fn cases(&self) -> Vec<Case> {
        let deadline = Duration::from_secs(self.common().patience.into());
        match self {
            Self::Abcast(options) => {
                let plan = abcast::Plan { producers: options.producers, payload: self.payload(), deadline };
                vec![options.count.map_or(Case::Calibrate(plan), |count| Case::Abcast(plan, count))]
            }
            Self::Calls(options) => {
                let plan = |callers: &u16| {
                    let callers = usize::from(*callers);
                    calls::Plan { callers, beside: options.beside, duration: options.duration, deadline }
                };
                options.callers.iter().map(|callers| Case::Calls(plan(callers))).collect()
            }
            // A relay is in the way of everything but cuts: it would hide from the others that a process has gone.
            Self::Failover(options) => vec![
                Case::Faults(vec![Fault::Kill, Fault::Restart, Fault::Stop], options.rest),
                Case::Faults(vec![Fault::Cut(options.cut)], options.rest),
            ],
            Self::Mesh(options) => vec![Case::Mesh(options.idle)],
            #[cfg(feature = "daemon")]
            Self::Acks(options) => options.cases(deadline),
            #[cfg(feature = "daemon")]
            Self::Reads(options) => options.cases(),
            #[cfg(feature = "daemon")]
            Self::Recovery(options) => options.cases(),
        }
    }

    /// New stores for the nodes of a case, if they keep counts.
    #[cfg(feature = "daemon")]
    fn stores(&self, case: &Case) -> Result<Option<exercise::Stores>, ClusterError> {
        match (case, self.dir()) {
            (Case::Exercise(_, kind), Some(dir)) => exercise::Stores::new(*kind, dir).map(Some),
            _ => Ok(None),
        }
    }

    /// Why it cannot be measured as it was asked for.
    fn cannot(&self) -> Option<String> {
        self.delay()?;
        if self.common().transport.name() != "quic" {
            return Some("--delay is the relay's, which is between processes: it needs --transport quic".to_owned());
        }
        let nodes = self.nodes();
        let words = "the relay of --delay has sockets for each pair of nodes, so there may be";
        (nodes > RELAYED).then(|| format!("{words} {RELAYED} of them, and --nodes is {nodes}"))
    }

    fn record(&self, run: u16, measured: Measured, error: Option<String>) -> Record {
        let common = self.common();
        let mut settings = vec![
            ("seeds", if common.seeds == options::Seeds::One { "one" } else { "all" }.into()),
            ("io_thread", (common.transport.name() == "quic" && common.io_thread == IoThreads::On).into()),
        ];
        if let Some(delay) = self.delay() {
            settings.push(("delay_us", u64::try_from(delay.as_micros()).unwrap_or(u64::MAX).into()));
        }
        Record {
            what: self.what(),
            transport: common.transport.name(),
            nodes: self.nodes(),
            settings,
            run,
            measured,
            error,
        }
    }
}
