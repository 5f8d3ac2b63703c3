//! The voting members of a cluster, two producers, readers: what a check explores, and what a state of it is.
//!
//! The network is weaker than the contract of transports: a message, once sent, arrives at any later time, in any order,
//! repeatedly, or never. So "this count of this slot arrives at that member" is one step for every count that was ever sent,
//! and write-backs, catch-up and news bring nothing that this does not. A vote has left a member as soon as it could have.

use crate::counts::{Counts, Known, PRODUCERS, Slot, Voice, Voices};
use crate::history::History;
use crate::monitor::{Question, READERS};
use crate::rules::{Rule, Rules};

/// Of every member. The one below is left for a clock that was set back.
const FIRST_EPOCH: u8 = 2;

/// What a check explores: `N` members, what is asked of them, and how many faults of each kind may happen.
#[derive(Clone, Debug)]
pub(crate) struct Cluster<const N: usize> {
    pub(crate) pings: [u8; PRODUCERS],
    pub(crate) reads: usize,
    pub(crate) questions: &'static [Question],
    pub(crate) level: Level,
    /// The members' first start is part of it. Else it is done, and all know the first epoch of all.
    pub(crate) first_start: bool,
    /// The new epoch of a lost store may be below one that the name has had: the clock was set back too.
    pub(crate) clock_back: bool,
    pub(crate) budget: Budget,
    pub(crate) rules: Rules,
    pub(crate) effort: Effort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Written back, unless that is left out and the answers were the same (P19).
    Majority { unless_same: bool },
    /// What a quorum holds identically (P22).
    Snapshot,
}

/// How a check goes about it: how soon it is done, how well it reads, and who judges.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effort {
    /// An operation returns as soon as it can: its return changes nothing but what later ones must see, so the earliest one
    /// allows the fewest explanations. (For the same reason a read begins with its first answer.)
    pub(crate) returns_at_once: bool,
    /// Readers keep what was acknowledged or answered before they began. Else nothing can be seen to go back.
    pub(crate) floors: bool,
    /// Stateright's tester judges too.
    pub(crate) compared: bool,
}

/// How much may still go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) producer_crashes: u8,
    pub(crate) member_crashes: u8,
    /// Stores of members that are lost.
    pub(crate) member_losses: u8,
    /// The same, and an operator says `init` once more (P25).
    pub(crate) inits: u8,
    /// Stores of the first producer that are lost.
    pub(crate) producer_losses: u8,
    /// Stores of the first producer that are replaced by an older copy (P27).
    pub(crate) rollbacks: u8,
}

/// What outlives a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Store {
    pub(crate) counts: Counts,
}

impl Store {
    pub(crate) fn commit(&mut self, counts: Counts) {
        self.counts = counts;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Member<const N: usize> {
    pub(crate) store: Store,
    pub(crate) published: Counts,
    pub(crate) epoch: u8,
    /// Synced before the announcement that told it is answered.
    pub(crate) known: Known,
    pub(crate) standing: Standing<N>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Standing<const N: usize> {
    Active,
    /// On an empty store although it has voted before: it does not vote.
    Recovering(Recovery<N>),
    /// On a store that `init` made: it asks whether its name is new.
    Fresh(Recovery<N>),
}

/// What a member was told since it announced itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Recovery<const N: usize> {
    pub(crate) counts: Counts,
    pub(crate) known: Known,
    pub(crate) voices: [Option<Voice>; N],
}

impl<const N: usize> Recovery<N> {
    pub(crate) fn new(known: Known) -> Self {
        Self { counts: Counts::default(), known, voices: [None; N] }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Producer {
    pub(crate) slot: Slot,
    /// The number of its last ping.
    pub(crate) count: u8,
    pub(crate) synced: u8,
    /// Pings to come.
    pub(crate) left: u8,
    /// A ping waits for votes: those that were given before a member changed.
    pub(crate) ping: Option<Voices>,
}

impl Producer {
    /// What a quorum has to hold.
    pub(crate) fn wanted(&self) -> Counts {
        Counts::only(self.slot, self.count)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Reader<const N: usize> {
    Collects {
        question: Question,
        /// What was acknowledged or answered before it began.
        floor: Counts,
        counts: Counts,
        replies: [Reply; N],
    },
    WritesBack {
        question: Question,
        floor: Counts,
        counts: Counts,
        /// Votes that were given before a member changed.
        votes: Voices,
    },
    Done,
    /// The last in order: readers begin one after the other.
    Idle,
}

/// What a reader has from a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Reply {
    None,
    Merged,
    /// Kept, where replies are compared.
    Kept(Counts, Voice),
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub(crate) struct State<const N: usize> {
    pub(crate) members: [Member<N>; N],
    pub(crate) producers: [Producer; PRODUCERS],
    pub(crate) readers: [Reader<N>; READERS],
    /// The highest count of each slot that was ever cast.
    pub(crate) cast: Counts,
    pub(crate) acknowledged: Counts,
    /// What the acknowledged pings of each producer add up to.
    pub(crate) owed: [u8; PRODUCERS],
    pub(crate) answered: Counts,
    /// An answer was below an earlier one.
    pub(crate) went_back: bool,
    pub(crate) left: Budget,
    pub(crate) history: History,
}

/// One step. Members, producers and readers are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Ping(usize),
    /// A quorum stores it (P10).
    Acknowledged(usize),
    SyncProducer(usize),
    CrashProducer(usize),
    LoseProducer,
    /// Where the slot goes on: the count of these members, as bits.
    LoseProducerAndAsk(u16),
    /// The first producer's store is an older copy, and that member has more.
    RollBack {
        to: u8,
        more_at: usize,
    },
    /// A count arrives and is stored.
    Hold {
        member: usize,
        slot: Slot,
        count: u8,
    },
    SyncMember(usize),
    CrashMember(usize),
    LoseMember(usize),
    /// The same, with the clock set back.
    LoseMemberAndClock(usize),
    InitMember(usize),
    Recover {
        member: usize,
        asked: usize,
    },
    Recovered(usize),
    Read {
        reader: usize,
        question: Question,
        member: usize,
    },
    ReadMore {
        reader: usize,
        member: usize,
        last: bool,
    },
    Answered(usize),
}

impl<const N: usize> Member<N> {
    pub(crate) fn votes(&self) -> bool {
        self.standing == Standing::Active
    }

    pub(crate) fn voice(&self, member: usize) -> Voice {
        Voice { member: member as u8, epoch: self.epoch, known: self.known }
    }
}

impl<const N: usize> State<N> {
    /// The members that vote, each with its number.
    pub(crate) fn active(&self) -> impl Iterator<Item = (usize, &Member<N>)> {
        self.members.iter().enumerate().filter(|(_, member)| member.votes())
    }
}

impl<const N: usize> Cluster<N> {
    pub(crate) const QUORUM: usize = N / 2 + 1;

    pub(crate) fn first(&self) -> State<N> {
        let member = |member| {
            let own = Known::only(member, FIRST_EPOCH);
            let known = if self.first_start {
                own
            } else {
                (0..N).fold(Known::default(), |known, member| known.with(member, FIRST_EPOCH))
            };
            let asks = self.first_start && self.rules.has(Rule::InitAsks);
            let standing = if asks { Standing::Fresh(Recovery::new(own)) } else { Standing::Active };
            Member { store: Store::default(), published: Counts::default(), epoch: FIRST_EPOCH, known, standing }
        };
        let producer = |producer: usize| {
            let slot = Slot { producer: producer as u8, epoch: 0 };
            Producer { slot, count: 0, synced: 0, left: self.pings[producer], ping: None }
        };
        let weights = if self.rules.has(Rule::UnitPings) { [1, 1] } else { [2, 1] };
        State {
            members: std::array::from_fn(member),
            producers: std::array::from_fn(producer),
            readers: std::array::from_fn(|_| Reader::Idle),
            cast: Counts::default(),
            acknowledged: Counts::default(),
            owed: [0; PRODUCERS],
            answered: Counts::default(),
            went_back: false,
            left: self.budget,
            history: History::new(weights, self.effort.compared),
        }
    }

    /// What one ping of that producer adds.
    pub(crate) fn weight(&self, producer: u8) -> u8 {
        if producer == 0 && !self.rules.has(Rule::UnitPings) { 2 } else { 1 }
    }

    /// Whether nothing tells the producers apart.
    pub(crate) fn has_like_producers(&self) -> bool {
        let unlike_questions = self.questions.iter().any(|question| matches!(question, Question::Value(_)));
        let unlike_faults = self.budget.producer_losses + self.budget.rollbacks > 0;
        self.pings[0] == self.pings[1] && !unlike_questions && !unlike_faults && self.rules.has(Rule::UnitPings)
    }
}
