//! Many targets at once: busy ones are spared, dead ones are dialled seldom, and nobody pays for another.

use super::*;

/// A node that was told of `others` names, by one neighbour.
fn told_many(own: &str, others: usize) -> Redial {
    let mut redial = Redial::new(name(own), vec![], no_jitter());
    redial.up(&name("neighbour"), &[at("neighbour:1")], START);
    for number in 0..others {
        redial.told(&name("neighbour"), &told(&one_of(number), &[&format!("{}:1", one_of(number))]), START);
    }
    redial
}

fn one_of(number: usize) -> String {
    format!("n{number:03}")
}

/// A node that lost so many peers at zero, each at an address of its own, and nobody answers any more.
fn lost_many(peers: usize) -> Redial {
    let mut redial = redial(&[]);
    for number in 0..peers {
        let peer = name(&one_of(number));
        redial.up(&peer, &[at(&format!("{peer}:1"))], START);
        redial.down(&peer, true, START);
    }
    redial
}

#[test]
fn in_a_crowd_each_target_has_one_attempt_at_a_time() {
    let mut few = told_many("a", 3);
    assert_eq!(run(&mut few, S).len(), 3 * 4, "at 0, 300, 600 and 900 ms");
    let mut many = told_many("a", 40);
    assert_eq!(run(&mut many, S).len(), 40, "one each, and no second one while these are under way");
    // The first attempts end with their life; then each has its next one.
    assert_eq!(run(&mut many, 5 * S).len(), 40);
}

#[test]
fn in_a_crowd_a_handshake_is_waited_for() {
    let mut redial = told_many("a", 40);
    let started = run(&mut redial, S);
    for (_, attempt) in &started {
        let Target::Name(name) = &attempt.target else { panic!("no seeds here") };
        redial.answered(attempt.id, Outcome::Connected(name.clone()), S);
        redial.handshake_began(name, S);
    }
    assert!(run(&mut redial, 2 * S).is_empty(), "forty handshakes are under way");
    redial.handshake_ended(&name("n000"));
    redial.closed(&name("n000"), &CloseReason::Stale, 2 * S);
    assert_eq!(dialled(&run(&mut redial, 2 * S + 300 * MS)), ["n000:1"], "its handshake has ended");
    for number in 1..10 {
        redial.handshake_ended(&name(&one_of(number)));
        redial.up(&name(&one_of(number)), &[], 2 * S + 300 * MS);
    }
    let rest = run(&mut redial, 2 * S + 300 * MS).len();
    assert!(rest >= 30, "thirty are no crowd: {rest} are dialled again");
}

/// A look costs time for each target, and each of many links that begin takes several calls: looks for each made a start of three hundred
/// nodes take longer than their handshakes have.
#[test]
fn links_that_begin_one_after_the_other_take_few_looks() {
    let mut redial = told_many("a", 300);
    let started = run(&mut redial, START);
    let mut looks = 0;
    let mut look = |redial: &mut Redial| {
        if redial.next_due().is_some_and(|due| due <= MS) {
            looks += 1;
            assert_eq!(redial.due(MS, 0), Due::default());
        }
    };
    for (_, attempt) in &started {
        let Target::Name(name) = &attempt.target else { panic!("no seeds here") };
        redial.answered(attempt.id, Outcome::Connected(name.clone()), MS);
        redial.handshake_began(name, MS);
        look(&mut redial);
        redial.up(name, &[], MS);
        redial.handshake_ended(name);
        look(&mut redial);
    }
    assert!(looks <= 3, "{looks} looks for {} links", started.len());
}

#[test]
fn in_a_crowd_a_name_that_dials_us_is_not_dialled() {
    let mut redial = told_many("z", 40);
    for number in 0..40 {
        redial.handshake_began(&name(&one_of(number)), START);
    }
    assert!(run(&mut redial, S).is_empty());
    for number in 0..40 {
        redial.handshake_ended(&name(&one_of(number)));
    }
    assert_eq!(run(&mut redial, S).len(), 40, "all of them came to nothing");
}

/// Seeds that were reached, and whose names are linked, leave nothing behind that could be taken for a crowd.
#[test]
fn linked_seeds_are_no_crowd() {
    let seeds: Vec<_> = (0..40).map(|number| at(&format!("s{number}"))).collect();
    let mut redial = Redial::new(name("me"), seeds, no_jitter());
    for (number, (_, attempt)) in run(&mut redial, START).into_iter().enumerate() {
        let peer = name(&one_of(number));
        redial.answered(attempt.id, Outcome::Connected(peer.clone()), START);
        redial.handshake_began(&peer, START);
        redial.handshake_ended(&peer);
        redial.up(&peer, &[], START);
    }
    assert!(!redial.is_crowded());
    redial.down(&name("n007"), true, MS);
    let started = run(&mut redial, S);
    assert_eq!((started.len(), gaps(&started)), (4, vec![300 * MS; 3]), "and it is dialled as it would be alone");
}

#[test]
fn the_dead_are_no_crowd() {
    let mut redial = lost_many(60);
    run_failing(&mut redial, 4 * S);
    run(&mut redial, 20 * S);
    assert!(redial.under_way.len() > 60, "sixty are dialled in vain: {}", redial.under_way.len());
    assert!(!redial.is_crowded(), "handshakes have their ordinary time");
    redial.up(&name("alive"), &[at("alive:1")], 20 * S);
    redial.down(&name("alive"), true, 20 * S);
    let started = run(&mut redial, 21 * S);
    let of_it: Vec<_> = started.into_iter().filter(|(_, a)| a.address == at("alive:1")).collect();
    assert_eq!(gaps(&of_it), [300 * MS; 3], "whoever has just been seen is dialled as if there were no others");
}

#[test]
fn the_more_are_dead_the_more_seldom_each_is_dialled() {
    for (peers, gap) in [(2, 300 * MS), (15, 300 * MS), (60, 1_200 * MS), (120, 2_400 * MS)] {
        let mut redial = lost_many(peers);
        let started = run_failing(&mut redial, 30 * S);
        let of_one = started.iter().filter(|(time, a)| *time > 6 * S && a.address == at("n001:1")).cloned();
        let gaps = gaps(&of_one.collect::<Vec<_>>());
        assert!(gaps.iter().all(|seen| *seen >= gap && *seen < gap + 301 * MS), "{peers}: {gaps:?}");
    }
}
