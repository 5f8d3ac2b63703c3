//! What is wrong with a history, with the operations that show it, so that a person can follow it.

use super::record::Entry;
use pingpong_core::NodeName;
use pingpong_core::exercise::Slot;
use std::collections::BTreeMap;
use std::fmt;

/// Whose number it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// The value of one producer.
    Producer(NodeName),
    /// The total.
    Total,
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Producer(name) => write!(f, "the value of {name}"),
            Self::Total => f.write_str("the total"),
        }
    }
}

/// A rule is broken. The entries say what was done, when, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The record contradicts itself; nothing is said of what it records.
    #[error("the record is wrong: {why}{}", of(entry.as_deref()))]
    Malformed {
        /// Where.
        entry: Option<Box<Entry>>,
        /// What.
        why: &'static str,
    },
    /// One number was given to two pings (P2, P4).
    #[error("one number was given to two pings (P2, P4):\n  {first}\n  {second}")]
    NumberTwice {
        /// One.
        first: Box<Entry>,
        /// The other.
        second: Box<Entry>,
    },
    /// A ping got a number below one that was known before it began (P2).
    #[error("numbers go back (P2): {second}\n  it began after {first}")]
    NumberBack {
        /// Answered with the greater number.
        first: Box<Entry>,
        /// Begun after that.
        second: Box<Entry>,
    },
    /// A number is so great that pings were counted which nobody made.
    #[error(
        "{operation}\n  the numbers of {producer} known then need {need} more pings than were answered, and {begun} had begun"
    )]
    NumberInvented {
        /// It named the number.
        operation: Box<Entry>,
        /// Whose.
        producer: NodeName,
        /// How many numbers belong to no answered ping.
        need: u64,
        /// How many pings have begun and were not answered with a number.
        begun: u64,
    },
    /// A producer counts in two epochs, and its store was not lost (P4).
    #[error("{operation}\n  its producer's store was not lost, and has counted in {other} (P4)")]
    SecondEpoch {
        /// It counts in one.
        operation: Box<Entry>,
        /// The other.
        other: Slot,
    },
    /// A read showed pings that had not begun by its end.
    #[error("{of} is more than the {begun} pings begun before its end: {read}")]
    Invented {
        /// It.
        read: Box<Entry>,
        /// Of whom.
        of: Of,
        /// How many had begun.
        begun: u128,
    },
    /// Values and total of one answer do not belong together.
    #[error("the total {total} is not the sum of the values: {read}")]
    TotalIsNotSum {
        /// It.
        read: Box<Entry>,
        /// Its total.
        total: u128,
    },
    /// A linearizable read lacks acknowledged pings (P18, P20, P21).
    #[error(
        "{of} lacks acknowledged pings (P18, P20, P21): {read}\n  before it began, {least} pings were acknowledged{}",
        last(ping.as_deref())
    )]
    Missed {
        /// It.
        read: Box<Entry>,
        /// Of whom.
        of: Of,
        /// How many pings were acknowledged when it began.
        least: u128,
        /// What acknowledged the last of them.
        ping: Option<Box<Entry>>,
    },
    /// A later answer is less than an earlier one (P18, P20, P21).
    #[error("{of} went back (P18, P20, P21): {read}\n  it began after {earlier}")]
    WentBack {
        /// It.
        read: Box<Entry>,
        /// Of whom.
        of: Of,
        /// The earlier one.
        earlier: Box<Entry>,
    },
    /// A read lacks pings that began after an earlier answer and were acknowledged (P18, P20, P21).
    #[error(
        "{of} is stale (P18, P20, P21): {read}\n  it began after {earlier}\n  and then {pings} more began and were acknowledged{}",
        last(ping.as_deref())
    )]
    MissedSince {
        /// It.
        read: Box<Entry>,
        /// Of whom.
        of: Of,
        /// The earlier answer.
        earlier: Box<Entry>,
        /// How many pings lie between the two.
        pings: usize,
        /// What acknowledged the last of them.
        ping: Option<Box<Entry>>,
    },
    /// A read shows pings that could not have taken effect by its end, by their numbers.
    #[error("{of} was at most {most} when this ended, by the numbers of the pings and what else was answered: {read}")]
    TooGreat {
        /// It.
        read: Box<Entry>,
        /// Of whom.
        of: Of,
        /// The most that there can have been.
        most: u128,
    },
    /// No order of the pings explains the total together with the values of single producers (P21).
    #[error("the total does not fit the values that were answered (P21): {read}\n  {limit}{}", each(values, earlier.as_deref()))]
    NotJoint {
        /// The read of the total.
        read: Box<Entry>,
        /// What the total can have been.
        limit: Limit,
        /// The least, or the most, of each producer then.
        values: BTreeMap<NodeName, u128>,
        /// An earlier total that matters.
        earlier: Option<Box<Entry>>,
    },
    /// Of two snapshots each has a ping that the other has not (P22).
    #[error("two snapshots have no order (P22):\n  {one}\n  {other}")]
    SnapshotsUnordered {
        /// One.
        one: Box<Entry>,
        /// The other.
        other: Box<Entry>,
    },
    /// There was no instant at which the values were those of the snapshot (P22).
    #[error("there was no such instant (P22): {read}\n  of {producer} {why}{}", because(cause.as_deref()))]
    SnapshotTorn {
        /// It.
        read: Box<Entry>,
        /// Whose value does not fit the others.
        producer: NodeName,
        /// How.
        why: Torn,
        /// What had ended by then, if it is a ping or a confirm.
        cause: Option<Box<Entry>>,
    },
    /// Local reads of one node fell while its store lived (P17).
    #[error("{of} fell on one node, whose store was not lost (P17): {read}\n  it began after {earlier}")]
    LocalFell {
        /// It.
        read: Box<Entry>,
        /// Of whom.
        of: Of,
        /// The earlier one.
        earlier: Box<Entry>,
    },
    /// A local read lacks pings that were answered on this node (P17).
    #[error("a local read lacks pings of its own node (P17): {read}\n  before it began, {least} were answered")]
    LocalMissed {
        /// It.
        read: Box<Entry>,
        /// How many pings were answered.
        least: u128,
    },
    /// Nodes do not agree although all faults are over (P16).
    #[error("at {at} {one} has {of_one} of {slot}, and {other} has {of_other} (P16)")]
    Disagree {
        /// When.
        at: u64,
        /// The slot.
        slot: Slot,
        /// A node.
        one: NodeName,
        /// What it has.
        of_one: u64,
        /// Another node.
        other: NodeName,
        /// What it has.
        of_other: u64,
    },
    /// An acknowledged, or answered, ping is lost (P12, section 7).
    #[error("at {at} all nodes have {found} of this slot, so it is lost (P12): {operation}")]
    LostPing {
        /// When.
        at: u64,
        /// What acknowledged it.
        operation: Box<Entry>,
        /// What is left.
        found: u64,
    },
    /// What a read showed is lost (P12, section 7).
    #[error("at {at} {of} is {found} on all nodes, less than was answered: {read}")]
    LostAnswer {
        /// When.
        at: u64,
        /// It.
        read: Box<Entry>,
        /// Of whom.
        of: Of,
        /// What is left.
        found: u128,
    },
    /// A node has less of a slot than when all was quiet before, and has not lost its store.
    #[error("at {at} {node} has {after} of {slot}, and had {before} at {earlier}")]
    SettledFell {
        /// When.
        at: u64,
        /// When it had more.
        earlier: u64,
        /// Who.
        node: NodeName,
        /// Of what.
        slot: Slot,
        /// What it had.
        before: u64,
        /// What it has.
        after: u64,
    },
    /// All nodes count pings that nobody made.
    #[error("at {at} {producer} has counts of {need} pings that were not answered, and {begun} had begun: {slots:?}")]
    SettledInvented {
        /// When.
        at: u64,
        /// Whose.
        producer: NodeName,
        /// How many numbers belong to no answered ping.
        need: u128,
        /// How many pings have begun and were not answered with a number.
        begun: u128,
        /// Its counts.
        slots: BTreeMap<Slot, u64>,
    },
    /// A producer has counted in two epochs, and its store was not lost (P4).
    #[error("at {at} there are {one} and {other}, whose producer's store was not lost (P4)")]
    SettledSecondEpoch {
        /// When.
        at: u64,
        /// One.
        one: Slot,
        /// The other.
        other: Slot,
    },
}

/// What a total can have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// When the read began.
    AtLeast(u128),
    /// When it ended.
    AtMost(u128),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "when it began, it was at least {least}"),
            Self::AtMost(most) => write!(f, "when it ended, it was at most {most}"),
        }
    }
}

/// What is wrong with a value in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Torn {
    /// There were more before it began, by what the other snapshots show.
    AtLeast(u128),
    /// There were fewer when something had to take effect that it does not show.
    AtMost(u128),
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "there were at least {least} before it began"),
            Self::AtMost(most) => write!(f, "there were at most {most} before what it does not show"),
        }
    }
}

fn of(entry: Option<&Entry>) -> String {
    entry.map(|entry| format!(": {entry}")).unwrap_or_default()
}

fn last(entry: Option<&Entry>) -> String {
    entry.map(|entry| format!(", the last by {entry}")).unwrap_or_default()
}

fn after(entry: Option<&Entry>) -> String {
    entry.map(|entry| format!(", after {entry}")).unwrap_or_default()
}

fn because(entry: Option<&Entry>) -> String {
    entry.map(|entry| format!(", because of {entry}")).unwrap_or_default()
}

fn each(values: &BTreeMap<NodeName, u128>, earlier: Option<&Entry>) -> String {
    let values = if values.is_empty() { String::new() } else { format!(", with {values:?}") };
    values + &after(earlier)
}
