//! Who is refused, and in which words (N1, A1, A3).

use super::*;

fn refused(hello: Hello) -> String {
    let mut bench = Bench::new(4);
    let (conn, _) = bench.accept("a");
    let actions = bench.greet(conn, hello);
    match &closes(&actions)[..] {
        [(_, CloseReason::Refused(words))] => words.clone(),
        other => panic!("{other:?}"),
    }
}

fn names_all(words: &str, parts: &[&str]) {
    for part in parts {
        assert!(words.contains(part), "{part} is missing in: {words}");
    }
}

#[test]
fn another_cluster_is_refused_by_both_names() {
    let hello = Hello { cluster: ClusterName::new("red").unwrap(), ..hello_of("a", 1, 1) };
    names_all(&refused(hello), &["a", "red", "m", "blue"]);
}

#[test]
fn versions_without_a_common_minor_are_refused_either_way() {
    for (major, oldest_minor, newest_minor) in [(2, 1, 2), (1, 3, 4), (1, 0, 0)] {
        let versions = Versions { major, oldest_minor, newest_minor };
        let words = refused(Hello { versions, ..hello_of("a", 1, 1) });
        names_all(&words, &[&versions.to_string(), "1.1 to 1.2"]);
    }
}

#[test]
fn another_number_of_lanes_is_refused_by_both_numbers() {
    names_all(&refused(Hello { lanes: 23, ..hello_of("a", 1, 1) }), &["a", "23", "m", "24"]);
}

#[test]
fn a_node_that_calls_itself_by_another_name_is_refused() {
    names_all(&refused(hello_of("b", 1, 1)), &["itself b", "proves a"]);
}

#[test]
fn versions_that_overlap_are_linked() {
    let mut bench = Bench::new(4);
    let (conn, _) = bench.accept("n");
    let versions = Versions { major: 1, oldest_minor: 2, newest_minor: 9 };
    let actions = bench.greet(conn, Hello { versions, ..hello_of("n", 1, 1) });
    assert!(taken(&actions).is_some());
}

#[test]
fn a_take_that_its_writer_may_not_write_breaks_the_protocol() {
    let bad: [(&str, SessionId); 4] = [
        ("n", id_of("n", 1, 1)),
        ("a", id_of("b", 1, 1)),
        ("a", id_of("a", 2, 1)),
        ("a", SessionId { random: [0, RANDOM + 1], ..id_of("a", 1, 1) }),
    ];
    for (from, id) in bad {
        let mut bench = Bench::new(4);
        if from == "n" {
            // Another one of that name has the offer, so that this one waits.
            bench.come(from, 1);
        }
        let (conn, _) = bench.come(from, 1);
        let actions = bench.say(conn, Message::Take(id.clone()));
        assert!(matches!(closes(&actions)[..], [(_, CloseReason::Protocol(_))]), "{id:?}: {actions:?}");
    }
}

#[test]
fn a_second_hello_breaks_the_protocol() {
    let mut bench = Bench::new(4);
    let (conn, _) = bench.link("a", 1);
    let actions = bench.greet(conn, hello_of("a", 1, 2));
    assert!(matches!(downs(&actions)[..], [("a", DownReason::Protocol(_))]));
}

#[test]
fn of_two_namesakes_the_dialler_judges() {
    let stops = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Stop { .. }));
    for (other, reason) in
        [(99, CloseReason::Replaced { by: life(100), at: Some(address(0)) }), (101, CloseReason::Stale)]
    {
        let mut bench = Bench::new(4);
        let conn = ConnId(1);
        bench.on(Event::Connected { conn, to: name("m") });
        let actions = bench.greet(conn, hello_of("m", other, 1));
        assert_eq!(closes(&actions), [(conn, reason)]);
        assert_eq!(stops(&actions), other > 100);
    }
    let mut bench = Bench::new(4);
    let (conn, actions) = bench.come("m", 99);
    assert!(matches!(actions[..], [Action::Control { message: Message::Hello(_), .. }]), "{actions:?}");
    let replaced = CloseReason::Replaced { by: life(101), at: Some(address(3)) };
    let actions = bench.on(Event::Closed { conn, reason: replaced });
    assert_eq!(actions, [Action::Stop { by: life(101), at: Some(address(3)) }]);
    assert_eq!(closes(&bench.accept("a").1).len(), 1, "a stopped node takes no connection");
}
