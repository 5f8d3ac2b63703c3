//! How much is kept at most (N20).

use super::*;

fn full(actions: &[Action]) -> bool {
    matches!(closes(actions)[..], [(_, CloseReason::Full)])
}

#[test]
fn accepted_handshakes_are_bounded_in_all() {
    let mut bench = Bench::new(2);
    for number in 0..2 + Limits::SPARE_HANDSHAKES {
        assert!(bench.accept(&format!("n{number}")).1.is_empty());
    }
    assert!(full(&bench.accept("o").1));
    // A connection that ends makes room.
    bench.on(Event::Lost { conn: ConnId(1) });
    assert!(bench.accept("o").1.is_empty());
}

#[test]
fn silent_connections_of_one_name_are_bounded() {
    let mut bench = Bench::new(9);
    for _ in 0..Limits::OPEN {
        assert!(bench.accept("a").1.is_empty());
    }
    // There is room for others: the peer is not told to hold back.
    assert!(matches!(closes(&bench.accept("a").1)[..], [(_, CloseReason::Surplus)]));
    for number in Limits::OPEN..9 + Limits::SPARE_HANDSHAKES {
        assert!(bench.accept(&format!("n{number}")).1.is_empty());
    }
    assert!(full(&bench.accept("a").1), "now it is");
}

#[test]
fn unanswered_dials_of_one_name_are_bounded() {
    let mut bench = Bench::new(2);
    let dial = |number: u64| Event::Connected { conn: ConnId(number), to: name("a") };
    for number in 0..Limits::DIALS as u64 {
        assert!(closes(&bench.on(dial(number))).is_empty());
    }
    assert!(full(&bench.on(dial(99))));
}

#[test]
fn the_chooser_keeps_four_waiting_and_closes_the_oldest() {
    let mut bench = Bench::new(4);
    let (_, offered) = bench.come("n", 1);
    assert!(taken(&offered).is_some());
    let (oldest, _) = bench.come("n", 1);
    for _ in 1..Limits::WAITING {
        assert!(closes(&bench.come("n", 1).1).is_empty());
    }
    assert_eq!(closes(&bench.come("n", 1).1), [(oldest, CloseReason::Surplus)]);
    // The offer is lost: the oldest of those that wait is next.
    let actions = bench.on(Event::Lost { conn: ConnId(1) });
    assert!(matches!(actions[..], [_, Action::Control { conn: ConnId(3), message: Message::Take(_) }]), "{actions:?}");
}

#[test]
fn the_taker_keeps_four_waiting_and_closes_the_newest() {
    let mut bench = Bench::new(4);
    for _ in 0..Limits::WAITING {
        assert!(closes(&bench.come("a", 1).1).is_empty());
    }
    let (conn, actions) = bench.come("a", 1);
    assert_eq!(closes(&actions), [(conn, CloseReason::Surplus)]);
}

#[test]
fn one_older_incarnation_of_a_name_is_parked() {
    let mut bench = Bench::new(4);
    let (linked, _) = bench.link("a", 9);
    let probes = |actions: &[Action]| {
        actions.iter().any(|action| matches!(action, Action::Control { message: Message::Probe(_), .. }))
    };
    let (first, actions) = bench.come("a", 8);
    assert!(probes(&actions));
    assert_eq!(bench.machine.handshaking(first), Some(Handshake::Parked));
    // The same life again: its probe is under way already.
    let (second, actions) = bench.come("a", 8);
    assert_eq!(closes(&actions), [(first, CloseReason::Stale)]);
    assert!(!probes(&actions));
    assert!(bench.say(second, Message::ProbeAck(9)).is_empty(), "it cannot answer for the one that is linked");
    // Another life is asked for anew, and the first answer is not for it.
    let (third, actions) = bench.come("a", 7);
    assert_eq!(closes(&actions), [(second, CloseReason::Stale)]);
    assert!(probes(&actions));
    assert!(bench.say(linked, Message::ProbeAck(1)).is_empty());
    let replaced = CloseReason::Replaced { by: life(9), at: Some(address(1)) };
    assert_eq!(closes(&bench.say(linked, Message::ProbeAck(2))), [(third, replaced)]);
    // No answer: the older one may rise above it.
    let (fourth, _) = bench.come("a", 7);
    let actions = bench.on(Event::Lost { conn: linked });
    assert_eq!(closes(&actions)[1], (fourth, CloseReason::Raise(life(9))));
}

#[test]
fn names_beyond_the_limit_are_full() {
    let mut bench = Bench::new(2);
    bench.link("a", 1);
    assert!(bench.machine.want(name("b")));
    assert!(!bench.machine.want(name("c")));
    assert!(!bench.machine.want(name("m")), "nobody wants itself");
    assert!(full(&bench.come("c", 1).1));
    assert_eq!(bench.link("b", 1).1.len(), 3, "Ready, Up, and its lanes");
    assert_eq!(bench.machine.peers.sizes(), (2, 0));
}

#[test]
fn hearsay_makes_room_for_a_node_that_is_here() {
    let mut bench = Bench::new(3);
    let (conn, _) = bench.link("a", 1);
    bench.tell(conn, &["x", "y", "z"]);
    assert_eq!(bench.wants(), ["x", "y"], "no room for z");
    bench.link("b", 1);
    assert_eq!(bench.wants(), ["y"]);
    bench.link("c", 1);
    assert!(full(&bench.come("d", 1).1));
    // One that was linked once, and is known by hearsay now, makes room too, and what was seen of it stays.
    let left = bench.machine.session(&name("c")).unwrap().conn;
    bench.on(Event::Closed { conn: left, reason: CloseReason::Leaving });
    bench.tell(conn, &["c"]);
    assert_eq!(bench.wants(), ["c"]);
    bench.link("d", 1);
    assert_eq!(bench.machine.peers.sizes(), (3, 1));
}

#[test]
fn the_greatest_incarnations_are_remembered_the_last_ones_longest() {
    let mut bench = Bench::new(1);
    let left = |bench: &mut Bench, from: &str| {
        let (conn, _) = bench.link(from, 9);
        bench.on(Event::Closed { conn, reason: CloseReason::Leaving });
    };
    for number in 0..6 {
        left(&mut bench, &format!("a{number}"));
    }
    assert_eq!(bench.machine.peers.sizes(), (0, 4));
    // The first two are forgotten, the others are not.
    let (conn, actions) = bench.come("a2", 8);
    assert_eq!(closes(&actions), [(conn, CloseReason::Raise(life(9)))]);
    assert!(closes(&bench.come("a1", 8).1).is_empty());
    assert!(bench.machine.expire(&name("a2")));
    assert_eq!(bench.machine.peers.sizes(), (1, 3));
}
