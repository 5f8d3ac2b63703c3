//! How sessions end: commands, goodbyes, closes, raises (N8, N12, N14, N15).

use super::*;

type End<'a> = (Vec<(ConnId, CloseReason)>, Vec<(&'a str, DownReason)>);

fn end(actions: &[Action]) -> End<'_> {
    let close = actions.iter().position(|action| matches!(action, Action::Close { .. }));
    let down = actions.iter().position(|action| matches!(action, Action::Down { .. }));
    assert!(close < down, "the connection goes first: {actions:?}");
    (closes(actions), downs(actions))
}

#[test]
fn forget_ends_all_and_dials_no_more() {
    let mut bench = Bench::new(4);
    let (conn, _) = bench.link("a", 9);
    let (waiting, _) = bench.come("a", 9);
    let actions = bench.on(Event::Forget(name("a")));
    let reasons = vec![(conn, CloseReason::Forgotten), (waiting, CloseReason::Forgotten)];
    assert_eq!(end(&actions), (reasons, vec![("a", DownReason::Forgotten)]));
    assert!(bench.wants().is_empty());
    // What was seen of the name stays, and a node that dials is known again.
    assert!(matches!(closes(&bench.come("a", 8).1)[..], [(_, CloseReason::Raise(_))]));
    bench.link("a", 9);
    assert_eq!(bench.linked(), ["a"]);
}

#[test]
fn a_node_that_was_forgotten_dials_no_more() {
    let mut bench = Bench::new(4);
    let (conn, _) = bench.link("a", 9);
    let actions = bench.on(Event::Closed { conn, reason: CloseReason::Forgotten });
    assert_eq!(downs(&actions), [("a", DownReason::Forgotten)]);
    assert!(bench.wants().is_empty());
    bench.machine.want(name("b"));
    let conn = ConnId(77);
    bench.on(Event::Connected { conn, to: name("b") });
    bench.on(Event::Closed { conn, reason: CloseReason::Forgotten });
    assert!(bench.wants().is_empty());
}

#[test]
fn disconnect_resets_the_link() {
    let mut bench = Bench::new(4);
    assert!(bench.on(Event::Disconnect(name("a"))).is_empty());
    let (conn, _) = bench.link("a", 9);
    let actions = bench.on(Event::Disconnect(name("a")));
    assert_eq!(end(&actions), (vec![(conn, CloseReason::Disconnected)], vec![("a", DownReason::Disconnected)]));
    assert_eq!(bench.wants(), ["a"]);
}

#[test]
fn every_end_has_its_reason() {
    let words = || "so and so".to_owned();
    let table = [
        (CloseReason::Lost, DownReason::PeerLostUs),
        (CloseReason::Stale, DownReason::PeerLostUs),
        (CloseReason::Full, DownReason::PeerLostUs),
        (CloseReason::Done, DownReason::PeerLostUs),
        (CloseReason::Raise(life(1)), DownReason::PeerLostUs),
        (CloseReason::Renewed, DownReason::Replaced),
        (CloseReason::Leaving, DownReason::Left { flushed: false }),
        (CloseReason::Disconnected, DownReason::Disconnected),
        (CloseReason::Overloaded, DownReason::Overloaded),
        (CloseReason::Protocol(words()), DownReason::Protocol(words())),
    ];
    for (reason, expected) in table {
        let mut bench = Bench::new(4);
        let (conn, _) = bench.link("a", 9);
        let actions = bench.on(Event::Closed { conn, reason: reason.clone() });
        assert_eq!(downs(&actions), [("a", expected)], "{reason:?}");
        assert!(closes(&actions).is_empty(), "it is closed already");
    }
    let mine = |conn| {
        [
            (Event::Lost { conn }, CloseReason::Lost, DownReason::Lost),
            (Event::Overloaded { conn }, CloseReason::Overloaded, DownReason::Overloaded),
            (Event::Broken { conn, words: words() }, CloseReason::Protocol(words()), DownReason::Protocol(words())),
        ]
    };
    for (event, close, down) in mine(ConnId(1)) {
        let mut bench = Bench::new(4);
        let (conn, _) = bench.link("a", 9);
        assert_eq!(end(&bench.on(event)), (vec![(conn, close)], vec![("a", down)]));
    }
}

#[test]
fn a_goodbye_waits_for_everything_before_it() {
    let mut bench = Bench::new(4);
    let (conn, _) = bench.link("a", 9);
    let offsets = vec![LaneOffset { lane: 1, offset: 5 }];
    assert!(bench.on(Event::HandedOver { conn }).is_empty(), "nobody said goodbye");
    let actions = bench.say(conn, Message::Goodbye(offsets.clone()));
    assert_eq!(actions, [Action::AwaitHandover { conn, offsets: offsets.clone() }]);
    assert!(bench.say(conn, Message::Goodbye(offsets)).is_empty());
    let mut cut = bench.machine.clone();
    let left = |flushed| vec![("a", DownReason::Left { flushed })];
    assert_eq!(end(&bench.on(Event::HandedOver { conn })), (vec![(conn, CloseReason::Done)], left(true)));
    assert_eq!(end(&cut.on(Event::Lost { conn }, OUTSIDE)), (vec![(conn, CloseReason::Lost)], left(false)));
    assert!(bench.wants().is_empty() && cut.wants().next().is_none());
}

#[test]
fn leaving_drains_says_goodbye_and_quits() {
    let mut bench = Bench::new(4);
    let (first, _) = bench.link("a", 9);
    let (second, _) = bench.link("n", 9);
    let (waiting, _) = bench.come("b", 9);
    assert!(bench.on(Event::Drained { conn: first, offsets: vec![] }).is_empty(), "it does not leave yet");
    let actions = bench.on(Event::Leave);
    let drain = |conn| Action::Drain { conn };
    let close = Action::Close { conn: waiting, reason: CloseReason::Leaving };
    assert_eq!(actions, [close, drain(first), drain(second)]);
    assert!(bench.on(Event::Leave).is_empty() && bench.machine.is_leaving() && bench.wants().is_empty());
    assert_eq!(closes(&bench.accept("c").1).len(), 1);
    let actions = bench.on(Event::Drained { conn: first, offsets: vec![] });
    assert_eq!(actions, [Action::Control { conn: first, message: Message::Goodbye(vec![]) }]);
    let actions = bench.on(Event::Closed { conn: first, reason: CloseReason::Done });
    assert_eq!(downs(&actions), [("a", DownReason::LocalShutdown)]);
    let actions = bench.on(Event::LeaveDeadline);
    assert_eq!(end(&actions), (vec![(second, CloseReason::Leaving)], vec![("n", DownReason::LocalShutdown)]));
    assert_eq!(actions.last(), Some(&Action::Quit));
    assert!(bench.on(Event::LeaveDeadline).is_empty(), "it quits once");
}

#[test]
fn a_node_without_links_leaves_at_once() {
    assert_eq!(Bench::new(4).on(Event::Leave), [Action::Quit]);
    assert_eq!(Bench::new(4).on(Event::LeaveDeadline), [Action::Quit]);
}

#[test]
fn raising_stores_first_and_begins_anew() {
    let mut bench = Bench::new(4);
    let (linked, _) = bench.link("a", 9);
    let (waiting, _) = bench.come("b", 9);
    let conn = ConnId(50);
    bench.on(Event::Connected { conn, to: name("c") });
    let actions = bench.on(Event::Closed { conn, reason: CloseReason::Raise(life(200)) });
    let raised = Incarnation::new(201, RANDOM);
    assert_eq!(actions.first(), Some(&Action::Store(raised)));
    let reasons = vec![(linked, CloseReason::Renewed), (waiting, CloseReason::Stale)];
    assert_eq!(end(&actions), (reasons, vec![("a", DownReason::Renewed)]));
    assert_eq!(bench.machine.node().incarnation, raised);
    assert_eq!(bench.wants(), ["a"]);
    let conn = ConnId(51);
    bench.on(Event::Connected { conn, to: name("c") });
    let actions = bench.on(Event::Closed { conn, reason: CloseReason::Raise(life(200)) });
    assert!(actions.is_empty(), "it is above that already");
}

#[test]
fn a_raised_life_is_stored_before_it_is_spoken_of() {
    let mut bench = Bench::new(4);
    let speaks = |action: &Action| match action {
        Action::Control { message: Message::Hello(hello), .. } => Some(hello.incarnation),
        Action::Control { message: Message::Take(id), .. } => Some(id.incarnation),
        _ => None,
    };
    let raised = Incarnation::new(201, RANDOM);
    let dial = |bench: &mut Bench, conn| bench.on(Event::Connected { conn, to: name("n") });
    let mut all = dial(&mut bench, ConnId(50));
    all.extend(bench.on(Event::Closed { conn: ConnId(50), reason: CloseReason::Raise(life(200)) }));
    all.extend(dial(&mut bench, ConnId(51)));
    all.extend(bench.greet(ConnId(51), hello_of("n", 9, 1)));
    let stored = all.iter().position(|action| *action == Action::Store(raised)).expect("it is stored");
    let lives: Vec<Incarnation> = all.iter().filter_map(speaks).collect();
    assert_eq!(lives, [life(100), raised, raised], "a Hello of the old life, then Hello and Take of the new one");
    let first = all.iter().position(|action| speaks(action) == Some(raised)).expect("it is spoken of");
    assert!(stored < first, "in this order: {all:?}");
}

#[test]
fn nobody_raises_above_the_end_of_time() {
    let mut bench = Bench::new(4);
    let conn = ConnId(1);
    bench.on(Event::Connected { conn, to: name("a") });
    let last = Incarnation::new(u64::MAX, u64::MAX);
    assert!(bench.on(Event::Closed { conn, reason: CloseReason::Raise(last) }).is_empty());
    assert_eq!(bench.machine.node().incarnation, life(100));
}

#[test]
fn a_restart_is_seen_as_a_down_and_an_up() {
    for from in ["a", "n"] {
        let mut bench = Bench::new(4);
        let (old, _) = bench.link(from, 9);
        let (new, actions) = bench.link(from, 10);
        let close = Action::Close { conn: old, reason: CloseReason::Replaced { by: life(10), at: Some(address(1)) } };
        let order = |wanted: &Action| actions.iter().position(|action| action == wanted);
        let up = actions.iter().position(|action| matches!(action, Action::Up { conn, .. } if *conn == new));
        let down = actions.iter().position(|action| matches!(action, Action::Down { .. }));
        assert!(order(&close) < down && down < up && up < order(&Action::OpenLanes { conn: new }), "{actions:?}");
        assert_eq!(downs(&actions), [(from, DownReason::Replaced)]);
    }
}
