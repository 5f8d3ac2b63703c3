//! The worlds: small enough to be exhausted, and each with the faults that its check is about.

use crate::run::full;
use crate::watch::witness::*;
use crate::world::{Budget, World};
use pingpong_core::NodeName;
use pingpong_core::session::{Rule, Rules};

fn names(letters: &[&str]) -> Vec<NodeName> {
    letters.iter().map(|letter| NodeName::new(letter).expect("a name")).collect()
}

fn seeds(lists: &[&[&str]]) -> Vec<Vec<NodeName>> {
    lists.iter().map(|list| names(list)).collect()
}

/// Two nodes that want each other, and no fault. `a` chooses.
pub(crate) fn two() -> World {
    World {
        names: names(&["a", "b"]),
        generations: vec![2, 2],
        seeds: seeds(&[&["b"], &["a"]]),
        reach: |_, _| true,
        dials: 3,
        budget: Budget::default(),
        breakable: |_| true,
        clock_back: false,
        own_detector: true,
        // Two have nobody to tell each other of.
        rules: Rules::ALL.without(Rule::Exchange),
        witnesses: 0,
        met: Default::default(),
    }
}

/// Dials of both at once, and late ones.
pub(crate) fn simultaneous() -> World {
    let budget = Budget { late: 2, sends: 1, ..Budget::default() };
    World { dials: 4, budget, witnesses: SURPLUS | DELIVERED, ..two() }
}

/// Verdicts anywhere: cuts, one-sided ends, stalled peers.
pub(crate) fn verdicts() -> World {
    let budget = Budget { verdicts: 2, sends: 1, ..Budget::default() };
    World { dials: 4, budget, witnesses: PEER_LOST_US | GAP | SURPLUS | DELIVERED, ..two() }
}

/// A verdict and a late dial.
pub(crate) fn late() -> World {
    let budget = Budget { verdicts: 1, late: 1, sends: 1, ..Budget::default() };
    World { dials: 4, budget, witnesses: PEER_LOST_US | GAP | SURPLUS | LATE_TAKE, ..two() }
}

/// A crash, a verdict and a late dial.
pub(crate) fn all_at_once() -> World {
    let budget = Budget { crashes: 1, verdicts: 1, late: 1, ..Budget::default() };
    let dials = if full() { 4 } else { 3 };
    World { dials, budget, clock_back: true, witnesses: REPLACED | RAISED | UNANSWERED | SURPLUS, ..two() }
}

/// Either restarts, with the clock forward or back.
pub(crate) fn restart() -> World {
    let budget = Budget { crashes: 1, sends: 1, ..Budget::default() };
    World { budget, clock_back: true, witnesses: REPLACED | RAISED | UNANSWERED | GAP, ..two() }
}

/// The same with a verdict.
pub(crate) fn restart_verdict() -> World {
    let budget = Budget { crashes: 1, verdicts: 1, ..Budget::default() };
    World { budget, clock_back: true, witnesses: REPLACED | RAISED, ..two() }
}

/// Only the taker can dial.
pub(crate) fn one_way() -> World {
    let budget = Budget { verdicts: 1, ..Budget::default() };
    World { budget, reach: |from, _| from == 1, witnesses: PEER_LOST_US, ..two() }
}

/// Only the chooser can dial.
pub(crate) fn other_way() -> World {
    World { reach: |from, _| from == 0, ..one_way() }
}

/// One-sided ends that no detector notices.
pub(crate) fn undetected() -> World {
    let budget = Budget { verdicts: 2, ..Budget::default() };
    World { budget, own_detector: false, witnesses: PEER_LOST_US, ..two() }
}

/// Goodbyes, disconnects and a verdict.
pub(crate) fn leave() -> World {
    let budget = Budget { leaves: 1, verdicts: 1, sends: 1, ..Budget::default() };
    World { budget, witnesses: FLUSHED | UNFLUSHED | DELIVERED, ..two() }
}

/// Both leave at once.
pub(crate) fn leave_both() -> World {
    let budget = Budget { leaves: 2, sends: 1, ..Budget::default() };
    World { dials: 2, budget, witnesses: FLUSHED | UNFLUSHED | DELIVERED, ..two() }
}

/// A forget, a verdict and a late dial.
pub(crate) fn forget() -> World {
    let budget = Budget { forgets: 1, verdicts: 1, late: 1, ..Budget::default() };
    let dials = if full() { 4 } else { 3 };
    World { dials, budget, witnesses: FORGOTTEN, ..two() }
}

/// S3: two of one name, and a peer that chooses.
pub(crate) fn twice() -> World {
    World {
        names: names(&["a", "b", "b"]),
        generations: vec![2, 2, 3],
        seeds: seeds(&[&["b"], &["a"], &["a"]]),
        budget: Budget { verdicts: 1, ..Budget::default() },
        witnesses: RAISED | STOPPED | REPLACED,
        ..two()
    }
}

/// S3: the two choose.
pub(crate) fn twice_low() -> World {
    World { names: names(&["b", "a", "a"]), seeds: seeds(&[&["a"], &["b"], &["b"]]), ..twice() }
}

/// S3: a late dial between the two.
pub(crate) fn twice_meet() -> World {
    World { budget: Budget { late: 1, ..Budget::default() }, witnesses: STOPPED, ..twice() }
}

/// S3: the older one dials again while it is parked, and a verdict.
pub(crate) fn twice_parked() -> World {
    let budget = Budget { late: 1, verdicts: 1, ..Budget::default() };
    World { budget, witnesses: PARKED_AGAIN | STOPPED | RAISED, ..twice() }
}

/// S3 with two peers.
pub(crate) fn twice_two() -> World {
    World {
        names: names(&["a", "b", "c", "c"]),
        generations: vec![2, 2, 2, 3],
        seeds: seeds(&[&["c"], &["c"], &["a", "b"], &["a", "b"]]),
        reach: |from, _| from >= 2,
        dials: 4,
        witnesses: STOPPED,
        ..two()
    }
}

/// The same with a verdict.
pub(crate) fn twice_raise() -> World {
    let budget = Budget { verdicts: 1, ..Budget::default() };
    World { budget, dials: 3, witnesses: STOPPED | RAISED, ..twice_two() }
}

/// S3: one of the two crashes and comes back, perhaps with its clock set back.
pub(crate) fn twice_crash() -> World {
    World {
        budget: Budget { crashes: 1, ..Budget::default() },
        clock_back: true,
        breakable: |node| node > 0,
        witnesses: STOPPED | RAISED | UNANSWERED,
        ..twice()
    }
}

/// A late handshake of an instance that is dead by now, while another one lives. The taker's name restarts.
pub(crate) fn ghost() -> World {
    World {
        budget: Budget { crashes: 1, late: 1, ..Budget::default() },
        breakable: |node| node == 1,
        clock_back: true,
        witnesses: RAISED,
        ..two()
    }
}

/// The same, and the chooser's name restarts.
pub(crate) fn ghost_low() -> World {
    World { breakable: |node| node == 0, ..ghost() }
}

/// Three names, one seed.
pub(crate) fn exchange() -> World {
    World {
        names: names(&["a", "b", "c"]),
        generations: vec![2, 2, 2],
        seeds: seeds(&[&["b"], &[], &["b"]]),
        rules: Rules::ALL,
        witnesses: TOLD,
        ..two()
    }
}

/// Of the two that have the same seed only `a` can dial the other: also when it comes first, and has to be told later.
pub(crate) fn told_late() -> World {
    World { reach: |from, to| (from, to) != (2, 0), ..exchange() }
}

/// Two of three cannot dial each other.
pub(crate) fn bridge() -> World {
    bridged(exchange())
}

/// The same, and any of them restarts.
pub(crate) fn bridge_restart() -> World {
    bridged(exchange_restart())
}

fn bridged(world: World) -> World {
    World { reach: |from, to| from + to != 2, ..world }
}

/// Three names, one seed, and any of them restarts, with the clock forward or back. With a verdict too these are 11 million
/// states, which take two minutes.
pub(crate) fn exchange_restart() -> World {
    let budget = Budget { crashes: 1, verdicts: u8::from(full()), ..Budget::default() };
    World { budget, clock_back: true, witnesses: TOLD | REPLACED | RAISED, ..exchange() }
}

/// A world with one verdict more.
pub(crate) fn and_a_verdict(mut world: World) -> World {
    world.budget.verdicts += 1;
    world
}

/// Many faults at once, for random walks: two nodes.
pub(crate) fn walk_two() -> World {
    let budget = Budget { late: 3, verdicts: 4, crashes: 2, sends: 6, leaves: 0, forgets: 0 };
    World { dials: 12, budget, clock_back: true, ..two() }
}

/// Two nodes and two of one name.
pub(crate) fn walk_twice() -> World {
    World {
        names: names(&["a", "b", "c", "c"]),
        generations: vec![2, 2, 2, 3],
        seeds: seeds(&[&["b", "c"], &["c"], &["a", "b"], &["a", "b"]]),
        ..walk_two()
    }
}

/// Three nodes, one seed.
pub(crate) fn walk_three() -> World {
    World {
        names: names(&["a", "b", "c"]),
        generations: vec![2, 2, 2],
        seeds: seeds(&[&["b"], &[], &["b"]]),
        rules: Rules::ALL,
        dials: 16,
        ..walk_two()
    }
}
