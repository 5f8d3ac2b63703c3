//! The same of the ping exercise: what is pinged and read, at which level, on which stores.

use super::{Common, Producers, time};
use crate::bench::conduct::Case;
use crate::bench::exercise::{self, Agreed, Event, Kind, Level, Meanwhile, Pings, Plan, Shape};
use clap::Args;
use pingpong_node::exercise::MAX_MEMBERS;
use std::path::PathBuf;
use std::time::Duration;

/// Where the members keep their counts.
#[derive(Clone, Debug, Args)]
pub(crate) struct Stores {
    /// What each member keeps its counts in: a file, or its memory. Both, apart by a comma, are measured one after the other.
    #[arg(long = "store", value_enum, value_name = "file|memory,...", default_value = "file", value_delimiter = ',')]
    pub(crate) kinds: Vec<Kind>,
    /// Where the files are: in a new directory there, which is removed in the end. Its file system is what is measured.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Acks {
    /// How many nodes, all of them members, 2 to 31.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=MAX_MEMBERS as i64))]
    pub(crate) nodes: u16,
    /// When a ping is acknowledged: when it waits to be counted, when it is in its node's store, or when it is in the stores of a
    /// majority. Several, apart by commas, are measured one after the other.
    #[arg(
        long = "level",
        value_enum,
        value_name = "LEVEL,...",
        default_value = "queued,local,majority",
        value_delimiter = ','
    )]
    pub(crate) levels: Vec<Level>,
    /// How many clients ping at once, 1 to 4096. Several numbers, apart by commas, are measured one after the other.
    #[arg(long, value_name = "C,...", default_value = "1,64,256", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub(crate) clients: Vec<u16>,
    /// Whose clients they are: of the first node, or spread over all nodes.
    #[arg(long, value_enum, value_name = "one|all", default_value_t)]
    pub(crate) producers: Producers,
    /// How long pings are measured, after a tenth of it for warming up.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    pub(crate) duration: Duration,
    #[command(flatten)]
    pub(crate) stores: Stores,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Reads {
    /// How many nodes, all of them members, 2 to 31.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=MAX_MEMBERS as i64))]
    pub(crate) nodes: u16,
    /// What is read: values at a majority, or a snapshot. Both, apart by a comma, are measured one after the other.
    #[arg(
        long = "read",
        value_enum,
        value_name = "READ,...",
        default_value = "majority,snapshot",
        value_delimiter = ','
    )]
    pub(crate) agreed: Vec<Agreed>,
    /// How many readers on the first node read at once, 1 to 4096. Several numbers, apart by commas, are measured one after the other.
    #[arg(long, value_name = "R,...", default_value = "1,64", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub(crate) readers: Vec<u16>,
    /// What happens meanwhile: nothing, so that the members agree, or one client of the last node pings at level local. A snapshot
    /// that finds no instant at which a majority held the same is one of `unstable`.
    #[arg(long, value_enum, value_name = "none|pings", default_value_t)]
    pub(crate) beside: Meanwhile,
    /// How long reads are measured, after a tenth of it for warming up.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    pub(crate) duration: Duration,
    #[command(flatten)]
    pub(crate) stores: Stores,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Recovery {
    /// How many nodes, all of them members, 3 to 31.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(3..=MAX_MEMBERS as i64))]
    pub(crate) nodes: u16,
    /// What happens: the first node starts on its file, alone; or the last one is started again without its file, beside the others.
    /// Both, apart by a comma, are measured one after the other.
    #[arg(long = "event", value_enum, value_name = "EVENT,...", default_value = "start,lost", value_delimiter = ',')]
    pub(crate) events: Vec<Event>,
    /// What is in the files: nothing, producers with one epoch each, or producers with 1,000 epochs each.
    #[arg(
        long = "shape",
        value_enum,
        value_name = "SHAPE,...",
        default_value = "empty,names,epochs",
        value_delimiter = ','
    )]
    pub(crate) shapes: Vec<Shape>,
    /// How many slots are in a file that is not empty, 1000 to 250000.
    #[arg(long, value_name = "S", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=250_000))]
    pub(crate) slots: u64,
    /// Where the files are: in a new directory there, which is removed in the end.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Stores {
    /// One set of nodes for each kind of store.
    fn cases(&self, plans: impl Fn(Kind) -> Vec<Plan>) -> Vec<Case> {
        self.kinds.iter().map(|kind| Case::Exercise(plans(*kind), *kind)).collect()
    }
}

impl Acks {
    /// What is measured in each run.
    pub(crate) fn cases(&self, deadline: Duration) -> Vec<Case> {
        self.stores.cases(|kind| {
            let of = |level: &Level, clients: &u16| Pings {
                level: *level,
                clients: usize::from(*clients),
                producers: self.producers,
                store: kind.name(),
                duration: self.duration,
                deadline,
            };
            let levels = self.levels.iter();
            levels.flat_map(|level| self.clients.iter().map(move |clients| Plan::Acks(of(level, clients)))).collect()
        })
    }
}

impl Reads {
    /// What is measured in each run.
    pub(crate) fn cases(&self) -> Vec<Case> {
        self.stores.cases(|kind| {
            let of = |agreed: &Agreed, readers: &u16| exercise::Reads {
                agreed: *agreed,
                readers: usize::from(*readers),
                beside: self.beside,
                store: kind.name(),
                duration: self.duration,
            };
            let agreed = self.agreed.iter();
            agreed.flat_map(|agreed| self.readers.iter().map(move |readers| Plan::Reads(of(agreed, readers)))).collect()
        })
    }
}

impl Recovery {
    /// What is measured in each run, each on nodes and files of its own.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let of = |event: &Event, shape: &Shape| {
            let recovery = exercise::Recovery { event: *event, shape: *shape, slots: self.slots };
            Case::Exercise(vec![Plan::Recovery(recovery)], Kind::File)
        };
        self.events.iter().flat_map(|event| self.shapes.iter().map(move |shape| of(event, shape))).collect()
    }
}
