//! What neighbours tell each other (N17).

use super::*;

/// What is told on a connection: names with the number of their addresses, and names that are gone.
type Tell<'a> = (ConnId, Vec<(&'a str, usize)>, Vec<&'a str>);

fn tells(actions: &[Action]) -> Vec<Tell<'_>> {
    let mut tells = Vec::new();
    for action in actions {
        if let Action::Tell { conn, peers } = action {
            let added = peers.added.iter().map(|told| (told.name.as_str(), told.addresses.len())).collect();
            tells.push((*conn, added, peers.gone.iter().map(NodeName::as_str).collect()));
        }
    }
    tells
}

#[test]
fn a_link_and_its_end_are_told_to_the_others() {
    let mut bench = Bench::new(4);
    let (first, actions) = bench.link("a", 9);
    assert!(tells(&actions).is_empty());
    let (second, actions) = bench.link("n", 9);
    assert_eq!(tells(&actions), [(first, vec![("n", 1)], vec![]), (second, vec![("a", 1)], vec![])]);
    let actions = bench.on(Event::Lost { conn: second });
    assert_eq!(tells(&actions), [(first, vec![], vec!["n"])]);
    // A restart is an end and a link in one: only the link is told.
    bench.link("n", 9);
    let (second, actions) = bench.link("n", 10);
    assert_eq!(tells(&actions), [(first, vec![("n", 1)], vec![]), (second, vec![("a", 1)], vec![])]);
    assert!(tells(&bench.on(Event::Leave)).is_empty(), "one that leaves has no news");
}

#[test]
fn a_link_that_the_peer_lost_is_told_as_gone_until_it_is_back() {
    let mut bench = Bench::new(4);
    let (first, _) = bench.link("a", 9);
    bench.link("n", 9);
    let (conn, _) = bench.accept("n");
    // A Hello that was written after the peer's Up, and does not hold the session (N7).
    let actions = bench.greet(conn, hello_of("n", 9, 2));
    assert_eq!(downs(&actions), [("n", DownReason::PeerLostUs)]);
    assert_eq!(tells(&actions), [(first, vec![], vec!["n"])]);
}

#[test]
fn told_names_are_dialled_as_long_as_somebody_tells_them() {
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    let (second, _) = bench.link("b", 9);
    let actions = bench.tell(first, &["x", "y", "m"], &[]);
    let Action::Told { by, peers } = &actions[0] else { panic!("{actions:?}") };
    assert_eq!((by.as_str(), peers.added.len()), ("a", 2), "a node is not told of itself");
    assert_eq!(actions.len(), 1, "what others told is not passed on");
    bench.tell(second, &["x"], &[]);
    assert_eq!(bench.wants(), ["x", "y"]);
    bench.tell(first, &[], &["x", "y"]);
    assert_eq!(bench.wants(), ["x"]);
    bench.on(Event::Closed { conn: second, reason: CloseReason::Leaving });
    assert!(bench.wants().is_empty());
    assert_eq!(bench.machine.peers.sizes(), (1, 1));
}

#[test]
fn only_neighbours_are_listened_to() {
    let mut bench = Bench::new(9);
    let (conn, _) = bench.come("a", 9);
    assert!(bench.tell(conn, &["x"], &[]).is_empty());
    assert!(bench.wants().is_empty());
}

#[test]
fn eight_addresses_of_a_name_are_kept_and_told() {
    let many = || (0..20).map(address).collect::<Vec<_>>();
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    let (second, _) = bench.accept("n");
    let offer = taken(&bench.greet(second, Hello { addresses: many(), ..hello_of("n", 9, 1) })).unwrap();
    let actions = bench.say(second, Message::Ready(offer, 1));
    assert_eq!(tells(&actions)[0], (first, vec![("n", MAX_ADDRESSES)], vec![]));
    assert_eq!(bench.machine.session(&name("n")).unwrap().addresses.len(), MAX_ADDRESSES);
    let peers = Peers { added: vec![Told { name: name("x"), addresses: many() }], gone: vec![] };
    let actions = bench.say(first, Message::Peers(peers));
    let Action::Told { peers, .. } = &actions[0] else { panic!("{actions:?}") };
    assert_eq!(peers.added[0].addresses.len(), MAX_ADDRESSES);
}

#[test]
fn a_node_that_moves_tells_it_and_its_neighbours_pass_it_on() {
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    let (second, _) = bench.link("b", 9);
    assert!(bench.machine.set_addresses(vec![address(0)]).is_empty(), "nothing has changed");
    let actions = bench.machine.set_addresses(vec![address(4), address(5)]);
    assert_eq!(tells(&actions), [(first, vec![("m", 2)], vec![]), (second, vec![("m", 2)], vec![])]);
    let actions = bench.tell(first, &["a"], &[]);
    assert_eq!(tells(&actions), [(second, vec![("a", 1)], vec![])]);
    assert_eq!(bench.machine.session(&name("a")).unwrap().addresses, [address(9)]);
    assert!(tells(&bench.tell(first, &["a"], &[])).is_empty(), "nothing has changed");
}

#[test]
fn a_move_during_a_handshake_is_told_after_it() {
    let mut bench = Bench::new(9);
    let (conn, actions) = bench.come("n", 9);
    assert!(bench.machine.set_addresses(vec![]).is_empty(), "nobody is linked");
    let actions = bench.say(conn, Message::Ready(taken(&actions).unwrap(), 1));
    assert_eq!(tells(&actions), [(conn, vec![("m", 0)], vec![])]);
    let (second, actions) = bench.link("o", 9);
    assert_eq!(tells(&actions), [(conn, vec![("o", 1)], vec![]), (second, vec![("n", 1)], vec![])]);
}
