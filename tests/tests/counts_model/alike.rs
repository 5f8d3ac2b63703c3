//! Whether the symmetry is one: a state and the one that stands for it lead to the same states, and keep the same promises.

use crate::cluster::{Cluster, State};
use crate::clusters;
use crate::run::Check;
use stateright::Model;
use std::collections::{BTreeSet, HashSet};

const NAMES: [[u8; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// The same for all states that differ in names alone. It takes every name in turn, which is too slow for more than this.
fn label(cluster: &Cluster<3>, state: &State<3>) -> u64 {
    let exchanged = if cluster.has_like_producers() { &[false, true][..] } else { &[false] };
    let all = exchanged.iter().flat_map(|exchange| NAMES.map(|names| (*exchange, names)));
    let all = all.flat_map(|(exchange, names)| [[0, 1, 2], [1, 0, 2]].map(|readers| (exchange, names, readers)));
    let hashes = all.map(|(exchange, names, readers)| {
        let mut state = state.clone();
        state.rename(&names);
        state.place_readers(readers);
        if exchange {
            state.exchange_producers();
        }
        ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one(&state)
    });
    hashes.min().unwrap_or_default()
}

fn names_do_not_matter(cluster: &Cluster<3>) {
    let symmetry = cluster.symmetry().expect("members are alike");
    let next = |state: &State<3>| {
        let mut steps = Vec::new();
        cluster.actions(state, &mut steps);
        steps.into_iter().filter_map(|step| cluster.next_state(state, step)).collect::<Vec<_>>()
    };
    let labels = |states: &[State<3>]| states.iter().map(|state| label(cluster, state)).collect::<BTreeSet<_>>();
    let kept = |state: &State<3>| {
        let promises = cluster.properties().into_iter();
        promises.map(|promise| (promise.condition)(cluster, state)).collect::<Vec<_>>()
    };
    let (mut waiting, mut known) = (cluster.init_states(), HashSet::new());
    while let Some(state) = waiting.pop() {
        let (other, after) = (symmetry(&state), next(&state));
        assert_eq!(labels(&after), labels(&next(&other)), "{state:?} and {other:?} lead to different states");
        assert_eq!(kept(&state), kept(&other), "{state:?} and {other:?} keep different promises");
        waiting.extend(after.into_iter().filter(|state| known.insert(label(cluster, state))));
    }
}

#[test]
fn members_are_alike() {
    names_do_not_matter(&Cluster { reads: 1, ..clusters::amnesia_small() });
}

#[test]
fn members_that_start_are_alike() {
    names_do_not_matter(&clusters::first_start_small());
}

#[test]
fn producers_and_readers_are_alike() {
    names_do_not_matter(&clusters::quiet());
}

#[test]
fn snapshots_are_alike() {
    names_do_not_matter(&clusters::snapshot_small());
}
