//! The rules of the session protocol that the model can switch off, one at a time, to see that each of them is needed.

/// A rule that has a counterexample when it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rule {
    /// N4: of a pair the smaller name chooses. Off: each acceptor does.
    OneChooser,
    /// N4: a connection is not refused for a dial of one's own. Off: the smaller name waits for its own dial.
    IgnoreOwnDial,
    /// N5: one offer at a time. Off: every waiting connection is offered at once.
    OneOffer,
    /// N5: further connections wait while an offer is out. Off: they are closed as surplus.
    KeepSpares,
    /// N5: a `Take` that is not above the last one taken is stale. Off: it is taken.
    Numbered,
    /// N6: the chooser is up at `Ready`. Off: at its own `Take`.
    UpAtReady,
    /// N8: lanes are read from `Up` on. Off: at once.
    LanesWait,
    /// N7: a `Hello` says whether its writer holds the session. Off: not listened to.
    HeldCounts,
    /// N7: it counts only if it was written after the writer's `Up`. Off: always.
    HeldIsFresh,
    /// N9: a `Take` over a session is that session's `Down`. Off: it ends silently.
    TakeIsDown,
    /// N10: the older incarnation is replaced at the answer. Off: at the newcomer's `Hello`.
    ReplaceAtAnswer,
    /// N10: a `Take` replaces only if my own `Hello` is younger than the older one's `Up`. Off: any does.
    TakeIsFresh,
    /// N11: an incarnation below the greatest one seen is not linked. Off: it is.
    RefuseOlder,
    /// N11: the greater one is asked whether it lives. Off: it is believed to.
    Probe,
    /// N11: it is asked before the older one is told to raise. Off: the older one raises at once.
    ProbeFirst,
    /// N12: a node takes a greater incarnation when told. Off: it only dials again.
    Raise,
    /// N12: its sessions end with the old one. Off: they go on.
    RaiseEndsSessions,
    /// N13: a node stops only for an incarnation above its own. Off: for any.
    StopCompares,
    /// N15: a goodbye counts when everything before it was handed over. Off: at once.
    GoodbyeWaits,
    /// N17: neighbours tell each other whom they are linked with. Off: they do not.
    Exchange,
    /// N17: whoever hears a digest that it has not read asks again. Off: a node asks at the beginning of a link alone.
    Compare,
    /// N17: when a link ends, or a told name is dropped, what was read counts as unread. Off: it stays read.
    ReadAgain,
}

/// Which rules hold: all of them, except in the model.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    off: u32,
}

impl Rules {
    /// Every rule holds.
    pub const ALL: Self = Self { off: 0 };

    /// The same rules without `rule`.
    #[cfg(feature = "model")]
    #[must_use]
    pub const fn without(self, rule: Rule) -> Self {
        Self { off: self.off | 1 << rule as u8 }
    }

    /// Whether `rule` holds.
    pub const fn has(self, rule: Rule) -> bool {
        self.off & (1 << rule as u8) == 0
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.off == 0 { f.write_str("all") } else { write!(f, "off: {:#b}", self.off) }
    }
}
