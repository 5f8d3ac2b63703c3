//! What neighbours ask each other, and answer (N17).

use super::*;

/// Who was asked for which names: those after one, or all.
fn asks(actions: &[Action]) -> Vec<(ConnId, Option<&str>)> {
    let ask = |action: &Action| match action {
        Action::Control { conn, message: Message::AskPeers(after) } => Some((*conn, after.clone())),
        _ => None,
    };
    let names = ["a", "b", "n", "x", "y"];
    let known = |after: NodeName| *names.iter().find(|name| **name == after.as_str()).unwrap();
    actions.iter().filter_map(ask).map(|(conn, after)| (conn, after.map(known))).collect()
}

/// What a neighbour told: names added with the number of their addresses, and names that are gone.
type News<'a> = (&'a str, Vec<(&'a str, usize)>, Vec<&'a str>);

fn told(actions: &[Action]) -> Vec<News<'_>> {
    let mut all = Vec::new();
    for action in actions {
        if let Action::Told { by, news } = action {
            let added = news.added.iter().map(|told| (told.name.as_str(), told.addresses.len())).collect();
            all.push((by.as_str(), added, news.gone.iter().map(NodeName::as_str).collect()));
        }
    }
    all
}

/// The digest of some node's links: which, does not matter, as long as others have another one.
fn digest(number: usize) -> PeersDigest {
    PeersDigest::of(&Node { name: name("z"), incarnation: life(1) }, &[address(number)])
}

fn page_of(digest: PeersDigest, names: &[&str], more: bool) -> Message {
    Message::Peers(Peers { digest, told: names.iter().map(|text| told_of(text)).collect(), more })
}

fn page(number: usize, names: &[&str], more: bool) -> Message {
    page_of(digest(number), names, more)
}

impl Bench {
    /// The neighbour's heartbeats have this digest: is it asked?
    fn hears_of(&self, conn: ConnId, digest: PeersDigest) -> bool {
        let unread = self.machine.unread(|heard| (heard == conn).then_some(digest));
        assert!(unread.is_empty() || unread.iter().map(|(_, conn)| *conn).eq([conn]));
        !unread.is_empty()
    }

    fn hears(&self, conn: ConnId, number: usize) -> bool {
        self.hears_of(conn, digest(number))
    }

    /// That of a neighbour, `of`, that is linked with this node and with these.
    fn digest_of(&self, of: &str, names: &[&str]) -> PeersDigest {
        let own = PeersDigest::of(&self.machine.node(), &self.machine.identity.addresses);
        let sum = own.and(self.machine.session(&name(of)).unwrap().digest);
        names.iter().fold(sum, |sum, text| sum.and(told_of(text).digest()))
    }

    /// The neighbour's digest is new, so it is asked, and answers.
    fn reads(&mut self, conn: ConnId, number: usize, names: &[&str]) -> Vec<Action> {
        assert!(self.hears(conn, number));
        assert_eq!(asks(&self.on(Event::Compare { conn })), [(conn, None)]);
        self.say(conn, page(number, names, false))
    }
}

#[test]
fn whoever_has_no_other_link_asks_at_once_and_so_does_who_dialled_an_address_alone() {
    let mut bench = Bench::new(4);
    let (first, actions) = bench.link("a", 9);
    assert_eq!(asks(&actions), [(first, None)], "the first link");
    let (_, actions) = bench.link("n", 9);
    assert!(asks(&actions).is_empty(), "it dialled this node, so it asks");
    let dialled = ConnId(77);
    bench.on(Event::Connected { conn: dialled, to: name("b") });
    bench.greet(dialled, hello_of("b", 9, 1));
    let actions = bench.say(dialled, Message::Take(id_of("b", 9, 1)));
    assert_eq!(asks(&actions), [(dialled, None)], "nobody has told its name");
    // What it tells is dialled; that link is no news.
    bench.say(dialled, page(1, &["y"], false));
    let told = ConnId(78);
    bench.on(Event::Connected { conn: told, to: name("y") });
    let actions = bench.greet(told, hello_of("y", 9, 1));
    let actions = bench.say(told, Message::Ready(taken(&actions).unwrap(), 1));
    assert!(asks(&actions).is_empty());
}

#[test]
fn a_digest_is_read_once_whoever_has_it() {
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    let (second, _) = bench.link("n", 9);
    let all = bench.digest_of("a", &["x", "y"]);
    assert_eq!(told(&bench.say(first, page_of(all, &["x", "y"], false))), [("a", vec![("x", 1), ("y", 1)], vec![])]);
    assert!(!bench.hears_of(first, all), "it was asked at once");
    assert!(!bench.hears_of(second, all), "the same nodes");
    assert!(bench.hears(second, 2));
    bench.reads(second, 2, &["y"]);
    assert!(!bench.hears(second, 2));
    assert_eq!(bench.wants(), ["x", "y"]);
    let own = bench.machine.peers_digest();
    assert!(bench.hears_of(first, own), "linked with whom this one is: does it still tell x?");
    bench.on(Event::Compare { conn: first });
    assert_eq!(told(&bench.say(first, page_of(own, &[], false))), [("a", vec![], vec!["x", "y"])]);
    assert_eq!(bench.wants(), ["y"]);
}

#[test]
fn a_digest_that_is_not_that_of_what_was_told_says_nothing_of_others() {
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    let (second, _) = bench.link("n", 9);
    let theirs = bench.digest_of("n", &["a", "x"]);
    // It keeps `x` to itself.
    bench.say(first, page_of(theirs, &["n"], false));
    assert!(!bench.hears_of(first, theirs), "what it says of itself it may");
    assert!(bench.hears_of(second, theirs));
}

#[test]
fn a_name_for_which_there_was_no_room_is_read_when_there_is() {
    let mut bench = Bench::new(3);
    let (first, _) = bench.link("a", 9);
    let (second, _) = bench.link("b", 9);
    bench.machine.want(name("c"));
    let all = bench.digest_of("a", &["b", "x"]);
    bench.say(first, page_of(all, &["b", "x"], false));
    assert_eq!(bench.wants(), ["c"]);
    assert!(!bench.hears_of(first, all));
    bench.on(Event::Forget(name("c")));
    assert_eq!(
        told(&{
            assert!(bench.hears_of(first, all));
            bench.on(Event::Compare { conn: first });
            bench.say(first, page_of(all, &["b", "x"], false))
        }),
        [("a", vec![("x", 1)], vec![])]
    );
    // One that is here in person takes its place, and the address book hears of it.
    bench.accept("n");
    let actions = bench.come("n", 9).1;
    assert_eq!(told(&actions), [("a", vec![], vec!["x"])]);
    assert!(bench.machine.session(&name("b")).is_some_and(|session| session.conn == second));
}

#[test]
fn told_names_are_wanted_as_long_as_somebody_tells_them() {
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    let (second, _) = bench.link("b", 9);
    let actions = bench.say(first, page(1, &["m", "x", "y"], false));
    assert_eq!(told(&actions), [("a", vec![("x", 1), ("y", 1)], vec![])], "a node is not told of itself");
    assert_eq!(actions.len(), 1, "what others told is not passed on");
    bench.reads(second, 2, &["x"]);
    assert_eq!(bench.wants(), ["x", "y"]);
    assert_eq!(told(&bench.reads(first, 3, &[])), [("a", vec![], vec!["x", "y"])]);
    assert_eq!(bench.wants(), ["x"]);
    bench.on(Event::Closed { conn: second, reason: CloseReason::Leaving });
    assert!(bench.wants().is_empty());
    assert_eq!(bench.machine.peers.sizes(), (1, 1));
}

#[test]
fn what_was_read_is_read_again_when_a_link_has_ended() {
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    let (second, _) = bench.link("b", 9);
    let all = bench.digest_of("a", &["x"]);
    bench.say(first, page_of(all, &["x"], false));
    assert!(!bench.hears_of(second, all));
    bench.on(Event::Lost { conn: first });
    assert_eq!(bench.wants(), ["a"], "nobody tells x");
    assert!(bench.hears_of(second, all));
    bench.on(Event::Compare { conn: second });
    assert_eq!(told(&bench.say(second, page_of(all, &["x"], false))), [("b", vec![("x", 1)], vec![])]);
    assert_eq!(bench.wants(), ["a", "x"]);
}

#[test]
fn many_names_are_asked_for_in_parts() {
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    assert_eq!(asks(&bench.say(first, page(1, &["b", "n"], true))), [(first, Some("n"))]);
    assert!(!bench.hears(first, 2), "it is still being read");
    assert!(asks(&bench.on(Event::Compare { conn: first })).is_empty());
    assert!(asks(&bench.say(first, page(1, &["x"], false))).is_empty());
    assert_eq!(bench.wants(), ["b", "n", "x"]);
    // Each part speaks of its own names alone.
    bench.on(Event::Compare { conn: first });
    assert_eq!(told(&bench.say(first, page(2, &["n"], true))), [("a", vec![("n", 1)], vec!["b"])]);
    assert_eq!(told(&bench.say(first, page(2, &["y"], false))), [("a", vec![("y", 1)], vec!["x"])]);
    assert!(bench.hears(first, 2), "names were dropped meanwhile: others may tell them");
    bench.reads(first, 2, &["n", "y"]);
    assert!(!bench.hears(first, 2));
}

#[test]
fn links_that_change_while_they_are_read_are_read_again() {
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    bench.say(first, page(1, &["b"], true));
    bench.say(first, page(2, &["x"], false));
    assert!(bench.hears(first, 2) && bench.hears(first, 1));
}

#[test]
fn an_answer_that_makes_no_progress_is_the_last_one() {
    for (names, more) in [(vec![], true), (vec!["x", "b"], true)] {
        let mut bench = Bench::new(9);
        let (first, _) = bench.link("a", 9);
        bench.say(first, page(1, &["n"], true));
        assert!(asks(&bench.say(first, page(1, &names, more))).is_empty(), "{names:?}");
        assert!(told(&bench.say(first, page(1, &["y"], false))).is_empty(), "nobody asked");
    }
    let mut bench = Bench::new(2);
    let (first, _) = bench.link("a", 9);
    assert!(asks(&bench.say(first, page(1, &["b", "n"], true))).is_empty(), "more than there is room for");
}

#[test]
fn only_neighbours_are_listened_to_and_answered() {
    let mut bench = Bench::new(9);
    let (conn, _) = bench.come("a", 9);
    for message in [page(1, &["x"], false), Message::AskPeers(None), Message::Moved(vec![])] {
        assert!(bench.say(conn, message).is_empty());
    }
    assert!(bench.on(Event::Compare { conn }).is_empty());
    assert!(bench.wants().is_empty());
}

#[test]
fn an_answer_names_all_others_in_parts_of_about_so_many_bytes() {
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    bench.link("n", 9);
    bench.link("b", 9);
    assert_eq!(bench.say(first, Message::AskPeers(None)), [Action::Tell { conn: first, after: None }]);
    let names = |page: &Peers| page.told.iter().map(|told| told.name.to_string()).collect::<Vec<_>>();
    let all = bench.machine.peers(first, None, 1_000);
    assert_eq!((names(&all), all.more), (vec!["b".to_owned(), "n".to_owned()], false));
    assert_eq!(all.digest, bench.machine.peers_digest());
    let part = bench.machine.peers(first, None, 1);
    assert_eq!((names(&part), part.more), (vec!["b".to_owned()], true), "one at least");
    let rest = bench.machine.peers(first, Some(&name("b")), 1);
    assert_eq!((names(&rest), rest.more), (vec!["n".to_owned()], false));
    bench.on(Event::Leave);
    assert!(bench.say(first, Message::AskPeers(None)).is_empty(), "one that leaves has no news");
}

#[test]
fn nodes_that_are_all_linked_with_each_other_have_the_same_digest() {
    let digest_of = |own: &str, others: [(&str, u64); 2]| {
        let mut machine = Machine::new(Identity { incarnation: life(9), ..identity(own) }, Limits { max_peers: 9 });
        machine.identity.addresses = vec![address(own.len())];
        let mut bench = Bench { machine, conns: 0 };
        for (other, millis) in others {
            let (conn, actions) = bench.come(other, millis);
            match taken(&actions) {
                Some(id) => bench.say(conn, Message::Ready(id, 1)),
                None => bench.say(conn, Message::Take(id_of(other, millis, conn.0))),
            };
        }
        bench.machine.peers_digest()
    };
    let all = digest_of("a", [("b", 9), ("c", 9)]);
    assert_eq!(all, digest_of("b", [("c", 9), ("a", 9)]));
    assert_eq!(all, digest_of("c", [("a", 9), ("b", 9)]));
    assert_ne!(all, digest_of("a", [("b", 9), ("c", 10)]), "a restart");
    assert_ne!(all, digest_of("a", [("b", 9), ("d", 9)]));
}

#[test]
fn eight_addresses_of_a_name_are_kept_and_told() {
    let many = || (0..20).map(address).collect::<Vec<_>>();
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    let (second, _) = bench.accept("n");
    let offer = taken(&bench.greet(second, Hello { addresses: many(), ..hello_of("n", 9, 1) })).unwrap();
    bench.say(second, Message::Ready(offer, 1));
    assert_eq!(bench.machine.peers(first, None, 1_000).told[0].addresses.len(), MAX_ADDRESSES);
    let x = Told { addresses: many(), ..told_of("x") };
    let actions = bench.say(first, Message::Peers(Peers { digest: digest(1), told: vec![x], more: false }));
    assert_eq!(told(&actions), [("a", vec![("x", MAX_ADDRESSES)], vec![])]);
    bench.say(first, Message::Moved(many()));
    assert_eq!(bench.machine.session(&name("a")).unwrap().addresses.len(), MAX_ADDRESSES);
}

/// Who is told that this node has moved.
fn moves(actions: &[Action]) -> Vec<(ConnId, usize)> {
    let moved = |action: &Action| match action {
        Action::Control { conn, message: Message::Moved(addresses) } => Some((*conn, addresses.len())),
        _ => None,
    };
    actions.iter().filter_map(moved).collect()
}

#[test]
fn a_node_that_moves_tells_its_neighbours_and_has_another_digest() {
    let mut bench = Bench::new(9);
    let (first, _) = bench.link("a", 9);
    let (second, _) = bench.link("b", 9);
    assert!(bench.machine.set_addresses(vec![address(0)]).is_empty(), "nothing has changed");
    let before = bench.machine.peers_digest();
    let actions = bench.machine.set_addresses(vec![address(4), address(5)]);
    assert_eq!(moves(&actions), [(first, 2), (second, 2)]);
    let own = bench.machine.peers_digest();
    assert_ne!(before, own);
    let actions = bench.say(first, Message::Moved(vec![address(9)]));
    assert_eq!(actions, [Action::Moved { name: name("a"), addresses: vec![address(9)] }]);
    assert_eq!(bench.machine.session(&name("a")).unwrap().addresses, [address(9)]);
    assert_ne!(own, bench.machine.peers_digest());
    assert!(bench.say(first, Message::Moved(vec![address(9)])).is_empty(), "nothing has changed");
}

#[test]
fn a_move_during_a_handshake_is_told_after_it() {
    let mut bench = Bench::new(9);
    let (conn, actions) = bench.come("n", 9);
    assert!(bench.machine.set_addresses(vec![]).is_empty(), "nobody is linked");
    let actions = bench.say(conn, Message::Ready(taken(&actions).unwrap(), 1));
    assert_eq!(moves(&actions), [(conn, 0)]);
    let (_, actions) = bench.link("o", 9);
    assert!(moves(&actions).is_empty());
}

#[test]
fn hearsay_does_not_bring_back_who_was_forgotten() {
    for there in [false, true] {
        let mut bench = Bench::new(9);
        let (first, _) = bench.link("a", 9);
        let (second, _) = bench.link("n", 9);
        bench.on(match there {
            true => Event::Closed { conn: second, reason: CloseReason::Forgotten },
            false => Event::Forget(name("n")),
        });
        assert!(told(&bench.say(first, page(1, &["n"], false))).is_empty());
        assert!(bench.wants().is_empty());
        // It comes by itself, and is known again.
        let (third, _) = bench.link("n", 9);
        bench.on(Event::Closed { conn: third, reason: CloseReason::Leaving });
        assert_eq!(told(&bench.reads(first, 2, &["n"])), [("a", vec![("n", 1)], vec![])]);
        // A greater life was not forgotten.
        bench.link("n", 9);
        bench.on(Event::Forget(name("n")));
        assert!(told(&bench.reads(first, 3, &["n"])).is_empty());
        bench.on(Event::Compare { conn: first });
        let risen = Told { incarnation: life(10), ..told_of("n") };
        let page = Message::Peers(Peers { digest: digest(4), told: vec![risen], more: false });
        assert_eq!(told(&bench.say(first, page)), [("a", vec![("n", 1)], vec![])]);
    }
}
