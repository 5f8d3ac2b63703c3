//! What can be asked of the bench. This is also what `--help` says.

use super::node::PING_BYTES;
use super::protocol::Beside;
use crate::cluster::Kind;
use clap::{Args, Subcommand, ValueEnum};
#[cfg(feature = "daemon")]
use std::path::Path;
use std::time::Duration;

#[cfg(feature = "daemon")]
mod exercise;

#[cfg(feature = "daemon")]
use exercise::{Acks, Reads, Recovery};

/// What `bench --help` says at its end. Paragraphs are one line each, which the terminal's width breaks.
const COMPARABLE: &str = "\
Figures are those of nodes as `run` starts them: the limits and timeouts of a configuration that sets none, and a thread for \
links. Over QUIC each node is a process, with a certificate of its own; in memory all nodes share this process. Nodes are \
linked before anything is measured, but for `mesh`.

Comparable are figures of one sitting, from release builds, with the same options, on a machine that does nothing else. Those \
over QUIC and in memory are not: `cpu_s` is the sum over all processes and `rss_bytes` that of the largest one, which is one \
node, or all of them. Before you compare two builds, compare each with itself: min and max show how far runs are apart.

  pings_per_s       pings that every node had, in order and once, from the first send on until
                    the last node had the last one; of all producers together
  calls_per_s       calls that all nodes have answered
  p50_us, p99_us    how long a call takes until the last answer, of all callers together
  casts_per_s       what one producer casts meanwhile (--beside); backlog_bytes: the most that
                    waited in its queues for one peer
  down_ms, up_ms    from the fault, or the start of a process, or the heal, until monitors say
                    so; the median, and down_max_ms: the last one; up_ms: the last one, both sides
  full_mesh_s       from the start of the first process until all are linked with all others
  p50_to_least      p50_us of one client to the least that a ping can take: at level local a sync,
                    at level majority two syncs and a call, as measured in the same run
  pings_to_syncs    pings_per_s to the syncs that one writer gets in a second
  p50_to_calls, reads_to_calls
                    of reads, to calls of all nodes by as many callers
  ready_ms, vote_ms from the start of the process until it has read its file and answers, or votes;
                    peak_rss_bytes: the most memory of that process; file_bytes: its file
  cpu_s, rss_bytes  CPU time while it is measured; the most memory since the process began

Exit codes:
  0      every run was ok: nothing lost, late or twice, no call failed, no link down by itself
  1      a run was not, or could not be carried out, or cleaned up; the result says why
  2      the command line was wrong
  128+n  interrupted by signal n; a second signal does not wait for the nodes to end

The bench writes no files but the stores of `acks`, `reads` and `recovery`, in a directory that it removes at its end; killed by \
signal 9 it leaves that. Its nodes end when it does, even when it is killed.";

/// What is measured.
#[derive(Debug, Subcommand)]
#[command(after_help = COMPARABLE)]
pub(crate) enum Bench {
    /// How many pings a second reach the servers of all nodes.
    ///
    /// A producer casts pings to the counters of all nodes, its own included, one after the other. Each counter checks that the
    /// numbers come in order, without a gap and not twice.
    #[command(after_help = COMPARABLE)]
    Abcast(Abcast),
    /// How long a call of all nodes takes, and how many are done in a second.
    ///
    /// Callers on one node call the counters of all nodes, its own included, each again and again.
    #[command(after_help = COMPARABLE)]
    Calls(Calls),
    /// How soon nodes see that another one is gone, and that it is back.
    ///
    /// Four faults, of the last node each: `kill` (SIGKILL; started again once all have seen it), `restart` (SIGKILL and started
    /// again at once), `stop` (it leaves), and `cut` (a relay between the processes drops all packets to and from it, then heals).
    #[command(after_help = COMPARABLE)]
    Failover(Failover),
    /// How soon all nodes are linked with all others, and what they cost when they idle.
    #[command(after_help = COMPARABLE)]
    Mesh(Mesh),
    /// How long pings take until they are acknowledged, and how many are in a second.
    ///
    /// Clients of the ping exercise ping, each again and again, and wait for what its level promises. All nodes are members. In the
    /// same run it is measured how long a sync takes on that file system, and a call. In the end every member must have all pings
    /// that were acknowledged, and no more.
    #[cfg(feature = "daemon")]
    #[command(after_help = COMPARABLE)]
    Acks(Acks),
    /// How long it takes to read what a majority agrees on, beside calls of all nodes.
    #[cfg(feature = "daemon")]
    #[command(after_help = COMPARABLE)]
    Reads(Reads),
    /// How soon a node is ready that has many slots in its file, and how soon a member votes that has lost its file.
    #[cfg(feature = "daemon")]
    #[command(after_help = COMPARABLE)]
    Recovery(Recovery),
}

/// How nodes are started, and how often it is measured.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// What the nodes talk over: QUIC between processes, or memory within one.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) transport: Kind,
    /// How often it is measured, 1 to 1000 times, each time with new nodes.
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) runs: u16,
    /// Print each run as one JSON object, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    /// Whether a process has a thread of its own for links, as `run` has. In memory there is none.
    #[arg(long, value_enum, value_name = "on|off", default_value_t)]
    pub(crate) io_thread: IoThreads,
    /// Whom nodes dial when they start: the first node, by which they find the others, or all others.
    #[arg(long, value_enum, value_name = "one|all", default_value_t)]
    pub(crate) seeds: Seeds,
    /// How many seconds a run may take, beside what is measured for a given time, until it has failed: 1 to 65535.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) patience: u16,
}

/// Whether a node's links run on a thread of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum IoThreads {
    #[default]
    On,
    Off,
}

/// Whom a node dials when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Seeds {
    /// The first node.
    #[default]
    One,
    /// All others.
    All,
}

impl Seeds {
    /// The numbers of a node's seeds.
    pub(crate) fn of(self, node: usize, nodes: usize) -> impl Iterator<Item = usize> {
        let seeds = match self {
            Self::One => 0..1,
            Self::All => 0..nodes,
        };
        seeds.filter(move |seed| *seed != node)
    }
}

/// Who casts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Producers {
    /// The first node.
    #[default]
    One,
    /// Every node, at the same time.
    All,
}

impl Producers {
    /// As in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::All => "all",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Abcast {
    /// How many nodes, 2 to 1000.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    pub(crate) nodes: u16,
    /// How many pings each producer casts; without it as many as take two seconds, which is tried out first.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// How long a ping is; its encoding adds a few bytes to more than 16.
    #[arg(long, value_name = "BYTES", default_value_t = PING_BYTES as u32, value_parser = clap::value_parser!(u32).range(PING_BYTES as i64..=60 << 20))]
    pub(crate) payload: u32,
    /// Who casts: the first node, or every node at the same time.
    #[arg(long, value_enum, value_name = "one|all", default_value_t)]
    pub(crate) producers: Producers,
    /// How long a relay between the processes delays each packet, and up to a millisecond more; without it there is none. For up to 16 nodes
    /// over QUIC.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) delay: Option<Duration>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Calls {
    /// How many nodes, 2 to 1000.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    pub(crate) nodes: u16,
    /// How many callers call at once, 1 to 4096. Several numbers, apart by commas, are measured one after the other.
    #[arg(long, value_name = "C,...", default_value = "1,64", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub(crate) callers: Vec<u16>,
    /// What one producer on the callers' node casts meanwhile, as fast as there is room: nothing, pings to the servers that are
    /// called, or pings to other servers.
    #[arg(long, value_enum, value_name = "none|same|other", default_value_t)]
    pub(crate) beside: Beside,
    /// How long calls are measured, after a tenth of it for warming up.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    pub(crate) duration: Duration,
    /// How long a relay between the processes delays each packet, and up to a millisecond more; without it there is none. For up to 16 nodes
    /// over QUIC.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) delay: Option<Duration>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Failover {
    /// How many nodes, 2 to 16; each pair has sockets of its own in the relay.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=16))]
    pub(crate) nodes: u16,
    /// How long links are left alone before each fault. A link that is younger than about 4 s cannot prove by itself that a
    /// process has gone: then the failure timeout has to pass.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) rest: Duration,
    /// How long the last node is cut off.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) cut: Duration,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Mesh {
    /// How many nodes, 2 to 1000.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    pub(crate) nodes: u16,
    /// How long idle nodes are watched.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) idle: Duration,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// A time of a day at most: a deadline that nobody lives to see is none.
fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; for example 2s, or 500ms"))?;
    let day = Duration::from_secs(86_400);
    if time > day { Err("it is more than a day".to_owned()) } else { Ok(time) }
}

impl Bench {
    pub(crate) fn common(&self) -> &Common {
        match self {
            Self::Abcast(options) => &options.common,
            Self::Calls(options) => &options.common,
            Self::Failover(options) => &options.common,
            Self::Mesh(options) => &options.common,
            #[cfg(feature = "daemon")]
            Self::Acks(options) => &options.common,
            #[cfg(feature = "daemon")]
            Self::Reads(options) => &options.common,
            #[cfg(feature = "daemon")]
            Self::Recovery(options) => &options.common,
        }
    }

    /// Its name, as in results.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Abcast(_) => "abcast",
            Self::Calls(_) => "calls",
            Self::Failover(_) => "failover",
            Self::Mesh(_) => "mesh",
            #[cfg(feature = "daemon")]
            Self::Acks(_) => "acks",
            #[cfg(feature = "daemon")]
            Self::Reads(_) => "reads",
            #[cfg(feature = "daemon")]
            Self::Recovery(_) => "recovery",
        }
    }

    pub(crate) fn nodes(&self) -> usize {
        usize::from(match self {
            Self::Abcast(options) => options.nodes,
            Self::Calls(options) => options.nodes,
            Self::Failover(options) => options.nodes,
            Self::Mesh(options) => options.nodes,
            #[cfg(feature = "daemon")]
            Self::Acks(options) => options.nodes,
            #[cfg(feature = "daemon")]
            Self::Reads(options) => options.nodes,
            #[cfg(feature = "daemon")]
            Self::Recovery(options) => options.nodes,
        })
    }

    /// How long each packet is delayed.
    pub(crate) fn delay(&self) -> Option<Duration> {
        match self {
            Self::Abcast(options) => options.delay,
            Self::Calls(options) => options.delay,
            _ => None,
        }
    }

    /// Where directories for stores are made.
    #[cfg(feature = "daemon")]
    pub(crate) fn dir(&self) -> Option<&Path> {
        match self {
            Self::Acks(options) => Some(&options.stores.dir),
            Self::Reads(options) => Some(&options.stores.dir),
            Self::Recovery(options) => Some(&options.dir),
            _ => None,
        }
    }

    /// Bytes of a ping.
    pub(crate) fn payload(&self) -> usize {
        match self {
            Self::Abcast(options) => options.payload as usize,
            _ => PING_BYTES,
        }
    }
}
