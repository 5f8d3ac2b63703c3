//! What catch-up is checked in.

use crate::catchup::{Catchup, Faults};
use crate::rules::{Rule, Rules};
use crate::run::full;

impl Catchup {
    pub(crate) fn without(self, rule: Rule) -> Self {
        Self { rules: self.rules.without(rule), ..self }
    }
}

/// A cut that heals, and a consumer that crashes and loses its store. While the producer comes back and all heals, news on `Up`
/// are enough.
pub(crate) fn whole() -> Catchup {
    Catchup {
        pings: 1,
        faults: Faults { cuts: 1, consumer_crashes: 1, ..Faults::default() },
        all_heal: true,
        stores_last: false,
        producer_may_die: false,
        rules: Rules::ALL.without(Rule::NewsOnChange),
    }
}

/// Consumers tell each other nothing: enough while all links heal and the producer lives.
pub(crate) fn only_producers(catchup: Catchup) -> Catchup {
    catchup.without(Rule::AskConsumers).without(Rule::NewsOnUp).without(Rule::NewsOnChange)
}

pub(crate) fn two_pings() -> Catchup {
    Catchup { pings: 2, ..whole() }
}

/// A consumer crashes, and no link is cut.
pub(crate) fn consumer_crash() -> Catchup {
    Catchup { faults: Faults { cuts: 0, ..whole().faults }, ..whole() }
}

/// A cut, and no crash.
pub(crate) fn one_cut() -> Catchup {
    Catchup { faults: Faults { consumer_crashes: 0, ..whole().faults }, ..whole() }
}

/// The producer crashes and comes back; with the large bounds a consumer crashes too.
pub(crate) fn producer_crash() -> Catchup {
    let faults = Faults { consumer_crashes: u8::from(full()), producer_crashes: 1, ..whole().faults };
    Catchup { faults, ..whole() }
}

/// A question runs into its deadline.
pub(crate) fn deadline() -> Catchup {
    Catchup { faults: Faults { deadlines: 1, ..whole().faults }, ..whole() }
}

/// The producer may stay away.
pub(crate) fn producer_dies() -> Catchup {
    let faults = Faults { producer_crashes: 1, ..one_cut().faults };
    Catchup { faults, producer_may_die: true, rules: Rules::ALL, ..whole() }
}

/// A consumer loses its store while links stay up, and the producer may stay away: nobody has news for it.
pub(crate) fn both_crash() -> Catchup {
    Catchup { faults: Faults { cuts: 0, consumer_crashes: 1, ..producer_dies().faults }, ..producer_dies() }
}

/// A consumer keeps its store over a crash. With the large bounds it may be the only one that has the count of a producer that
/// stays away.
pub(crate) fn stores_last() -> Catchup {
    let faults = Faults { cuts: 0, consumer_crashes: 1, ..producer_dies().faults };
    let catchup = if full() { Catchup { faults, ..producer_dies() } } else { whole() };
    Catchup { stores_last: true, ..catchup }
}

/// One cut, which may stay.
pub(crate) fn one_cut_bridge() -> Catchup {
    Catchup { all_heal: false, rules: Rules::ALL, ..one_cut() }
}

/// Two cuts that may stay.
pub(crate) fn bridge() -> Catchup {
    Catchup { faults: Faults { cuts: 2, ..one_cut().faults }, ..one_cut_bridge() }
}
