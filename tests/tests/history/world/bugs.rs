//! Ways in which a cluster can break its promises.

/// A way in which the counts are not kept as promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A ping is acknowledged at majority, and a quorum does not have it.
    AckBeforeQuorum,
    /// A number is answered before it is synced, and given again (P2).
    AckBeforeSync,
    /// A lost store goes on in the old slot, from what others have of it (P4).
    SameSlot,
    /// A ping is counted twice.
    CountedTwice,
    /// A majority read asks one store.
    OneStore,
    /// A majority total adds up what was read before the read began.
    OldTotal,
    /// The values of a snapshot are read one after the other (P22).
    TornSnapshot,
    /// An exact value comes of some store (P18).
    NotTheOwner,
    /// A store takes what another has of third ones, instead of the greater of both (P1).
    NoMerge,
    /// A node misses a producer in the end (P16).
    NoCatchUp,
    /// What a quorum holds is lost with one store (P12).
    LostQuorum,
}

impl Bug {
    pub(crate) const ALL: [Self; 11] = [
        Self::AckBeforeQuorum,
        Self::AckBeforeSync,
        Self::SameSlot,
        Self::CountedTwice,
        Self::OneStore,
        Self::OldTotal,
        Self::TornSnapshot,
        Self::NotTheOwner,
        Self::NoMerge,
        Self::NoCatchUp,
        Self::LostQuorum,
    ];
}
