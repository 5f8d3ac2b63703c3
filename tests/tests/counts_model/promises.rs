//! What is promised of clusters, checked in every state; and what a complete run must have come across.

use crate::catchup::{Catchup, Faults, Network};
use crate::cluster::{Budget, Cluster, Reader, Standing, State};
use crate::counts::{Counts, Slot};
use stateright::Property;

pub(crate) const LINEARIZABLE: &str = "pings and reads are linearizable (P20, P21)";
pub(crate) const NEVER_BACK: &str = "answers never go back (P20)";
pub(crate) const AT_EVERY_QUORUM: &str = "every quorum holds what was acknowledged (P12)";
pub(crate) const HEALED: &str = "after a heal nothing acknowledged or answered is lost (P12)";
pub(crate) const AGREED: &str = "the monitor agrees with stateright's tester";

/// Of catch-up.
pub(crate) const AGREEMENT: &str = "when nothing is left to do, all is quiet and every linked group agrees (P16)";
pub(crate) const NEVER_MORE: &str = "no consumer counts more than was sent (P1)";

pub(crate) fn of_clusters<const N: usize>(cluster: &Cluster<N>) -> Vec<Property<Cluster<N>>> {
    let mut properties = vec![
        Property::always(LINEARIZABLE, |_, state: &State<N>| state.history.monitor.is_linearizable()),
        Property::always(NEVER_BACK, |_, state: &State<N>| !state.went_back),
        Property::always(AT_EVERY_QUORUM, |_, state: &State<N>| state.is_at_every_quorum()),
        Property::always(HEALED, |cluster: &Cluster<N>, state: &State<N>| cluster.heals(state)),
        Property::always(AGREED, |_, state: &State<N>| state.history.is_agreed()),
        Property::sometimes(
            "all pings were acknowledged, all reads answered",
            |cluster: &Cluster<N>, state: &State<N>| {
                let pings = 0..cluster.pings.len();
                let owed = pings.map(|at| cluster.pings[at] * cluster.weight(at as u8));
                owed.eq(state.owed) && state.readers[..cluster.reads].iter().all(|reader| *reader == Reader::Done)
            },
        ),
    ];
    if cluster.budget != Budget::default() {
        properties.push(Property::sometimes(
            "all faults are past, all members vote, nobody waits",
            |cluster: &Cluster<N>, state: &State<N>| {
                let pinged = state.producers.iter().all(|producer| producer.left == 0 && producer.ping.is_none());
                let answered = state.readers[..cluster.reads].iter().all(|reader| *reader == Reader::Done);
                let voting = state.members.iter().all(|member| member.votes());
                state.left == Budget::default() && voting && pinged && answered && state.owed != [0; 2]
            },
        ));
    }
    properties
}

pub(crate) fn of_catchup() -> Vec<Property<Catchup>> {
    vec![
        Property::always(AGREEMENT, |catchup: &Catchup, network: &Network| {
            let mut moves = Vec::new();
            catchup.progress(network, &mut moves);
            !moves.is_empty() || network.is_quiet() && network.agrees()
        }),
        Property::always(NEVER_MORE, |_, network: &Network| {
            network.consumers.iter().all(|consumer| consumer.count <= network.count)
        }),
        Property::sometimes("all faults are past, and all have all pings", |_, network: &Network| {
            let all = network.consumers.iter().all(|consumer| consumer.count == network.count);
            network.left == Faults::default() && network.is_quiet() && network.agrees() && all && network.count > 0
        }),
    ]
}

impl<const N: usize> State<N> {
    fn is_at_every_quorum(&self) -> bool {
        let quorum = Cluster::<N>::QUORUM;
        let is_at_all = |slot: Slot| {
            let acknowledged = self.acknowledged.of(slot);
            self.active().filter(|(_, member)| member.published.of(slot) < acknowledged).count() < quorum
        };
        let numbers = self.acknowledged.values();
        Slot::all().all(is_at_all) && numbers.iter().zip(self.owed).all(|(numbered, owed)| *numbered >= owed)
    }
}

impl<const N: usize> Cluster<N> {
    /// Everything comes up again, links heal, and catch-up runs to its end: what every consumer holds then.
    fn heals(&self, state: &State<N>) -> bool {
        let recovering = |standing: &Standing<N>| matches!(standing, Standing::Recovering(_));
        let away = state.members.iter().filter(|member| recovering(&member.standing)).count();
        if away > N - Self::QUORUM {
            // CANNOT 6.
            return usize::from(self.budget.member_losses + self.budget.inits) >= Self::QUORUM;
        }
        let held = state.members.iter().map(|member| member.store.counts);
        let numbered = state.producers.iter().map(|producer| producer.wanted().with(producer.slot, producer.synced));
        let all = held.chain(numbered).fold(Default::default(), |all: Counts, counts| all.merge(counts));
        let owed = all.values().iter().zip(state.owed).all(|(value, owed)| *value >= owed);
        owed && all.holds(state.acknowledged) && all.holds(state.answered) && state.cast.holds(all)
    }
}
