//! What a harness can do, and why not.

#[cfg(doc)]
use crate::harness::{Harness, StartOptions};
use std::collections::BTreeMap;

/// Something that a case needs, and that a harness may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// [`Harness::cut`], [`Harness::partition`], [`Harness::heal`] and [`Harness::heal_all`].
    Cut,
    /// [`Harness::cut_one_way`] and [`Harness::heal_all`].
    CutOneWay,
    /// [`Harness::delay`].
    Delay,
    /// [`Harness::stall`].
    Stall,
    /// [`Harness::block_dials`].
    BlockDials,
    /// [`Harness::crash`].
    Crash,
    /// [`StartOptions::clock`].
    SetClock,
    /// [`StartOptions::store`].
    Stores,
    /// Two processes under one name at two places.
    Twin,
    /// [`StartOptions::limits`].
    Limits,
    /// [`StartOptions::forget_after`].
    ForgetAfter,
    /// [`StartOptions::cluster`].
    Clusters,
    /// [`StartOptions::identity`].
    Identities,
    /// [`Harness::greet`] and [`Harness::answer`].
    Greet,
    /// [`Harness::misbehave`].
    Misbehave,
    /// [`Harness::suspend`].
    Suspend,
    /// [`Harness::freeze`] and [`Harness::thaw`]. Whoever builds on [`Link`](pingpong_core::link::Link) has it with
    /// [`FaultyLink`](crate::faulty::FaultyLink).
    FreezeLanes,
    /// [`Harness::break_lane`]. As above.
    BreakLanes,
    /// The tasks of the runtime are those of the case and its nodes, so that they can be counted.
    CountTasks,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Cut,
        Self::CutOneWay,
        Self::Delay,
        Self::Stall,
        Self::BlockDials,
        Self::Crash,
        Self::SetClock,
        Self::Stores,
        Self::Twin,
        Self::Limits,
        Self::ForgetAfter,
        Self::Clusters,
        Self::Identities,
        Self::Greet,
        Self::Misbehave,
        Self::Suspend,
        Self::FreezeLanes,
        Self::BreakLanes,
        Self::CountTasks,
    ];
}

/// What a harness can do. What it cannot, it says with a reason, which every case that is skipped for it prints.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    missing: BTreeMap<Capability, &'static str>,
}

impl Capabilities {
    /// All of them.
    pub fn all() -> Self {
        Self::default()
    }

    /// All but this one, for this reason.
    #[must_use]
    pub fn without(mut self, capability: Capability, reason: &'static str) -> Self {
        self.missing.insert(capability, reason);
        self
    }

    /// Why the harness lacks it, if it does.
    pub fn missing(&self, capability: Capability) -> Option<&'static str> {
        self.missing.get(&capability).copied()
    }
}
