//! What a run will do, drawn before it begins: who is there, who asks for what when, and what goes wrong when.
//!
//! Times are absolute, so that the rest of a plan stays as it is when a part is taken away.

use std::fmt;
use std::time::Duration;

/// A node's name.
pub(crate) type Name = &'static str;
/// Those that may vote.
pub(crate) const MEMBERS: [Name; 5] = ["a", "b", "d", "e", "f"];
/// One that never votes.
pub(crate) const OUTSIDER: Name = "w";

/// A whole run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    pub(crate) clients: Vec<ClientPlan>,
    pub(crate) steps: Vec<(Duration, Step)>,
    /// If there is one, faults end in two stages: at first the others are linked with this member alone (P16, a bridge).
    pub(crate) hub: Option<Name>,
    /// When clients ask for nothing more, whatever they had in mind.
    pub(crate) silent: Duration,
    /// When the faults end.
    pub(crate) end: Duration,
}

/// The world of a run.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) members: usize,
    pub(crate) outsider: bool,
    /// Stores in memory instead of disks.
    pub(crate) memory: bool,
    /// What each packet takes, and up to how much more.
    pub(crate) far: Duration,
    pub(crate) jitter: Duration,
    /// What a commit takes while a disk is well.
    pub(crate) commit: Duration,
    pub(crate) gossip: Duration,
    pub(crate) ask_deadline: Duration,
    /// So many slots are told at once; of more, sums are compared.
    pub(crate) few_slots: u32,
    /// Of how many slots a piece is of what a member that recovers is told.
    pub(crate) piece_slots: u32,
}

impl Setup {
    pub(crate) fn members(&self) -> &'static [Name] {
        &MEMBERS[..self.members]
    }

    pub(crate) fn names(&self) -> Vec<Name> {
        self.members().iter().copied().chain(self.outsider.then_some(OUTSIDER)).collect()
    }
}

/// Somebody who asks one node, one thing after the other.
#[derive(Clone, Debug)]
pub(crate) struct ClientPlan {
    pub(crate) node: Name,
    /// Each not before its time.
    pub(crate) asks: Vec<(Duration, Ask)>,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    PingQueued,
    PingLocal,
    PingMajority(Duration),
    /// Of its last ping with a number.
    Confirm(Duration),
    ReadLocal,
    ReadFresh(Duration),
    /// At `majority`: of one producer, of the total, or of all.
    ReadValue(Name, Duration),
    ReadTotal(Duration),
    ReadAll(Duration),
    Snapshot(Duration),
}

/// Something that happens to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Cut(Name, Name),
    CutOneWay(Name, Name),
    Heal(Name, Name),
    HealAll,
    /// All are healed, and these groups cut off from each other.
    Split(Vec<Vec<Name>>),
    /// All others are linked with this one alone.
    Star(Name),
    /// Packets between the two take this long.
    Delay(Name, Name, Duration),
    /// Packets from and to this node take this long.
    Far(Name, Duration),
    /// All packets take what they took at the beginning.
    Calm,
    Stall(Name),
    Resume(Name),
    Crash(Name, Server),
    /// The process ends at once.
    Kill(Name, Fate, InFlight),
    /// These processes end at once, and lose their stores, however many there are (CANNOT 6).
    Lose(Vec<Name>),
    /// If too few members vote and all faults end, a person accepts what was lost.
    AcceptLoss,
    /// Its disk is copied.
    Copy(Name),
    /// Its disk is what it was when it was copied, if its process is away and nobody is led to give a number twice by that (P27, CANNOT 7).
    PutBack(Name),
    /// It is started, unless it runs.
    Start(Name),
    /// Its servers stop, and the process goes on.
    StopServers(Name),
    Disk(Name, Manner),
}

/// One of a node's servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Producer,
    Consumer,
    Member,
}

/// What becomes of a disk when its node is killed. One whose loss would be too much is kept (P12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    Lost,
}

/// What becomes of a commit that is under way then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InFlight {
    Lands,
    Vanishes,
}

/// How a disk does what it is asked to. It is well again when its node starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Well,
    Slow(Duration),
    Full,
    HeldBefore,
    HeldAfter,
    /// The next sync fails, and the node must be started again.
    FailsSync {
        kept: bool,
    },
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { seed, memory, far, jitter, commit, gossip, ask_deadline, few_slots, piece_slots, .. } = &self.setup;
        let stores = if *memory { "stores in memory" } else { "disks" };
        writeln!(f, "seed {seed}: members {:?} of nodes {:?}, {stores};", self.setup.members(), self.setup.names())?;
        writeln!(
            f,
            "packets take {far:?} and up to {jitter:?} more, commits {commit:?}; gossip every {gossip:?}, questions within {ask_deadline:?}; \
             up to {few_slots} slots are told at once, and pieces are of {piece_slots}"
        )?;
        for (at, step) in &self.steps {
            writeln!(f, "  at {}: {step:?}", Seconds(*at))?;
        }
        for ClientPlan { node, asks } in &self.clients {
            write!(f, "  a client of {node}:")?;
            for (at, ask) in asks {
                write!(f, " {} {ask:?};", Seconds(*at))?;
            }
            writeln!(f)?;
        }
        writeln!(f, "  at {}: no client asks for anything more", Seconds(self.silent))?;
        write!(f, "  at {}: all is well again", Seconds(self.end))?;
        match self.hub {
            Some(hub) => write!(f, ", at first with links of {hub} alone"),
            None => Ok(()),
        }
    }
}

/// With all places, so that columns are even.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0.as_secs_f64())
    }
}
