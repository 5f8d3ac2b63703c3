//! What was done, as its clients saw it: operations with begin, end and outcome, and what happened to the nodes meanwhile.
//!
//! Nothing here judges; a record that contradicts itself is kept, and [`check`](super::check) names it.

use pingpong_core::NodeName;
use pingpong_core::exercise::Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Level at which a ping asks to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ack {
    /// Numbered in memory.
    Queued,
    /// Synced on its own node.
    Local,
    /// Stored by a quorum.
    Majority,
}

/// Level of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What the node itself has (P17).
    Local,
    /// What everybody who can be reached has (P18).
    Fresh,
    /// A linearizable value or total (P19 to P21).
    Majority,
    /// All values at one instant (P22).
    Snapshot,
}

/// What a read asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The value of one producer.
    Producer(NodeName),
    /// The total alone.
    Total,
    /// Every producer's value. A name that the answer does not have is answered with 0.
    All,
}

/// Something that a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// One ping: one unit, never more (P21).
    Ping {
        /// Who pings.
        producer: NodeName,
        /// When it is to be answered.
        ack: Ack,
    },
    /// Waits until this ping is acknowledged at majority (P11). One that was not is refused, or unknown: it is the same.
    Confirm {
        /// The slot of the ping.
        slot: Slot,
        /// Its number.
        count: u64,
    },
    /// A read.
    Read {
        /// The node that was asked.
        node: NodeName,
        /// How.
        level: Level,
        /// For what.
        what: What,
    },
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A ping is acknowledged at [`Ack::Local`] or [`Ack::Majority`], as it asked.
    Acknowledged {
        /// Its slot.
        slot: Slot,
        /// Its number.
        count: u64,
    },
    /// A ping is acknowledged at [`Ack::Queued`]: it has no number yet, and may never have one.
    Queued,
    /// A ping is synced under this number, but not acknowledged at the level that it asked for (P11).
    Unconfirmed {
        /// Its slot.
        slot: Slot,
        /// Its number.
        count: u64,
    },
    /// A confirm is acknowledged: this ping, and all before it in its slot, are (P10).
    Confirmed,
    /// A read is answered.
    Answered(Answer),
    /// Certainly nothing was counted, or read.
    Refused,
    /// It may have had its effect, or have it yet: no answer, a crash, an expired deadline.
    Unknown,
}

/// What a read showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The values.
    pub values: BTreeMap<NodeName, u128>,
    /// The total, if the answer has one. Beside all values it must be their sum.
    pub total: Option<u128>,
    /// Of [`Level::Fresh`]: whose values are exact; the others are at least so much.
    pub exact: BTreeSet<NodeName>,
    /// Of [`Level::Fresh`]: all values are exact, and so is the total.
    pub complete: bool,
}

impl Answer {
    /// All values.
    pub fn all(values: impl IntoIterator<Item = (NodeName, u128)>) -> Self {
        Self { values: values.into_iter().collect(), ..Self::default() }
    }

    /// The value of one producer.
    pub fn one(producer: NodeName, value: u128) -> Self {
        Self::all([(producer, value)])
    }

    /// The total alone.
    pub fn total(total: u128) -> Self {
        Self { total: Some(total), ..Self::default() }
    }

    /// These values are exact.
    #[must_use]
    pub fn exact(mut self, producers: impl IntoIterator<Item = NodeName>) -> Self {
        self.exact.extend(producers);
        self
    }

    /// Everything in it is exact.
    #[must_use]
    pub fn complete(mut self) -> Self {
        self.exact.extend(self.values.keys().cloned());
        self.complete = true;
        self
    }
}

/// Which operation of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(super) usize);

/// One operation with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which it is.
    pub id: Id,
    /// What was asked for.
    pub operation: Operation,
    /// When.
    pub begin: u64,
    /// When and how it ended. `None` is pending for ever.
    pub end: Option<(u64, Outcome)>,
    pub(super) begun: usize,
    pub(super) ended: usize,
}

/// Whole counts of every node.
pub type Readings = BTreeMap<NodeName, BTreeMap<Slot, u64>>;

/// Something that happened to the cluster.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    StoreLost(NodeName),
    RolledBack(NodeName, BTreeMap<Slot, u64>),
    Accepting,
    Accepted(BTreeMap<Slot, u64>),
    Settled(Readings),
}

/// A recorded history of many clients.
///
/// Times are of one clock. What happened at the same time happened in the order of the calls, so that a paused clock loses
/// nothing: call [`begin`](Self::begin) before the request leaves, and [`end`](Self::end) after the answer is there. Whoever
/// merges records of several places, where equal times say nothing, has all begins of a time before all ends of it. Threads
/// share it in a mutex.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(super) entries: Vec<Entry>,
    pub(super) facts: Vec<(u64, usize, Fact)>,
    pub(super) misuse: Option<(Option<Id>, &'static str)>,
    calls: usize,
}

impl History {
    /// Nothing has happened.
    pub fn new() -> Self {
        Self::default()
    }

    fn call(&mut self) -> usize {
        self.calls += 1;
        self.calls
    }

    /// An operation begins. Until it ends, it is pending.
    pub fn begin(&mut self, at: u64, operation: Operation) -> Id {
        let id = Id(self.entries.len());
        let begun = self.call();
        self.entries.push(Entry { id, operation, begin: at, end: None, begun, ended: 0 });
        id
    }

    /// It ends.
    pub fn end(&mut self, id: Id, at: u64, outcome: Outcome) {
        let ended = self.call();
        match self.entries.get_mut(id.0) {
            Some(entry) if entry.end.is_none() && entry.begin <= at => {
                (entry.end, entry.ended) = (Some((at, outcome)), ended);
            }
            Some(entry) => {
                let why = if entry.end.is_some() { "it ended twice" } else { "it ended before it began" };
                self.misuse.get_or_insert((Some(id), why));
            }
            None => {
                self.misuse.get_or_insert((None, "an operation of another history ended"));
            }
        }
    }

    /// A node lost its store, and had been stopped before: from here on it has an empty one, of a new epoch.
    ///
    /// With stores in memory that is each end of the process. Also to be said when a name gets another store for any other
    /// reason, but for an earlier copy of its own.
    pub fn store_lost(&mut self, at: u64, node: NodeName) {
        let call = self.call();
        self.facts.push((at, call, Fact::StoreLost(node)));
    }

    /// A node, which had been stopped before, has an earlier copy of its store from here on, with these counts (P27).
    ///
    /// What the copy has must stay. What came after it is excused as with a lost store: pings of that node that were not acknowledged by a
    /// majority, and no others. Only to be said if somebody whom the node asks has seen more of its slot than the copy has, or nobody ever
    /// has (CANNOT 7), and, of a member, if no majority needs its word for what came after the copy (P12).
    pub fn store_rolled_back(&mut self, at: u64, node: NodeName, kept: BTreeMap<Slot, u64>) {
        let call = self.call();
        self.facts.push((at, call, Fact::RolledBack(node, kept)));
    }

    /// Too many members have lost their stores for any to vote, and a person begins to accept that (CANNOT 6). What was acknowledged so far need
    /// not be there any more, and answers may go back; until [`loss_accepted`](Self::loss_accepted), which must follow.
    pub fn accepting_loss(&mut self, at: u64) {
        let call = self.call();
        self.facts.push((at, call, Fact::Accepting));
    }

    /// Members vote again, with all of these counts: those of all stores that are left. From here on all promises hold anew, for them and for
    /// what is acknowledged later.
    pub fn loss_accepted(&mut self, at: u64, kept: BTreeMap<Slot, u64>) {
        let call = self.call();
        self.facts.push((at, call, Fact::Accepted(kept)));
    }

    /// All faults are over, all is quiet, and this is what every node has. They must agree (P16). Can be said repeatedly.
    ///
    /// Quiet means that no ping is on its way which will be answered yet.
    pub fn settled(&mut self, at: u64, readings: Readings) {
        let call = self.call();
        self.facts.push((at, call, Fact::Settled(readings)));
    }

    /// All operations in the order of their begin calls.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping { producer, ack } => write!(f, "ping of {producer} at {ack:?}"),
            Self::Confirm { slot, count } => write!(f, "confirm of {slot} number {count}"),
            Self::Read { node, level, what: What::Producer(name) } => write!(f, "{level:?} read on {node} of {name}"),
            Self::Read { node, level, what: What::Total } => write!(f, "{level:?} read on {node} of the total"),
            Self::Read { node, level, what: What::All } => write!(f, "{level:?} read on {node} of all"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acknowledged { slot, count } => write!(f, "acknowledged as {slot} number {count}"),
            Self::Queued => f.write_str("queued"),
            Self::Unconfirmed { slot, count } => write!(f, "unconfirmed as {slot} number {count}"),
            Self::Confirmed => f.write_str("confirmed"),
            Self::Answered(answer) => write!(f, "answered {answer}"),
            Self::Refused => f.write_str("refused"),
            Self::Unknown => f.write_str("outcome unknown"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (producer, value) in &self.values {
            let exact = if self.exact.contains(producer) { " exactly" } else { "" };
            parts.push(format!("{producer}: {value}{exact}"));
        }
        if let Some(total) = self.total {
            parts.push(format!("total: {total}{}", if self.complete { " exactly" } else { "" }));
        }
        write!(f, "{{{}}}", parts.join(", "))
    }
}

/// As `#3 ping of a at Majority, 10..25: acknowledged as a@1-0000000000000000 number 1`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {}..", self.id, self.operation, self.begin)?;
        match &self.end {
            Some((at, outcome)) => write!(f, "{at}: {outcome}"),
            None => f.write_str(" and never ended"),
        }
    }
}
