//! The rules of the protocol that a check can switch off.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// P2: a producer casts what is synced.
    SyncBeforeCast,
    /// P10: a member votes for what is synced.
    SyncBeforeVoice,
    /// P4: a lost store of a producer opens a new slot. Off: it goes on from the count of a quorum.
    NewSlot,
    /// P27: a producer that learns that its store is older opens a new slot. Off: it goes on in the old one.
    StoreIsOlder,
    /// P19: what a read answers is at a quorum.
    WriteBack,
    /// P22: a snapshot is what a quorum holds identically. Off: the vector of one read.
    Identical,
    /// P21: an operation adds one.
    UnitPings,
    /// P23: a member that has lost its store does not vote before it has recovered.
    Recovers,
    /// P23: it recovers from a quorum of others. Off: from one less.
    QuorumOfOthers,
    /// P24: a vote carries the epochs that its member knows, and votes that contradict each other do not count together.
    Voices,
    /// P23: a member that is told of a later epoch of its name begins again with one above it.
    EpochAbove,
    /// P25: a member on a store that `init` made asks, before it votes, whether its name is known.
    InitAsks,
    /// P25: it asks a quorum of others. Off: one less.
    InitAsksQuorum,

    // Of catch-up.
    /// P13: a consumer registers, then asks.
    RegisterFirst,
    /// P13: it asks the consumers too.
    AskConsumers,
    /// P14: what ran into the deadline is asked again.
    AskAgain,
    /// P15: a producer casts its counts on every `Up`.
    CastOnUp,
    /// P15, M2: on the first ones of its monitor too.
    CastOnFirstUps,
    /// P15: a consumer sends its counts to a peer's on `Up`.
    NewsOnUp,
    /// P15: and whenever they changed.
    NewsOnChange,
}

/// Which rules are on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    off: u32,
}

impl Rules {
    pub(crate) const ALL: Self = Self { off: 0 };

    pub(crate) fn has(self, rule: Rule) -> bool {
        self.off & 1 << rule as u32 == 0
    }

    pub(crate) fn without(self, rule: Rule) -> Self {
        Self { off: self.off | 1 << rule as u32 }
    }
}
