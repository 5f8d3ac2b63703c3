//! Any events in any order: no panic, alternation (M3), the list agrees (M1), all bounds hold (N20), and no incarnation is used
//! before it is stored (N12).

use super::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::collections::{BTreeMap, BTreeSet};

const LIMITS: Limits = Limits { max_peers: 2 };

fn some_name() -> impl Strategy<Value = NodeName> {
    prop_oneof![4 => Just("a"), 4 => Just("n"), 1 => Just("b"), 1 => Just("o"), 1 => Just("m")].prop_map(name)
}

fn some_conn() -> impl Strategy<Value = ConnId> {
    (0_u64..8).prop_map(ConnId)
}

/// Lives around that of `m`, and the end of time.
fn some_life() -> impl Strategy<Value = Incarnation> {
    prop_oneof![
        3 => (99_u64..102).prop_map(life),
        1 => Just(Incarnation::new(u64::MAX, u64::MAX)),
        2 => Just(Incarnation::new(101, RANDOM)),
    ]
}

fn some_id() -> impl Strategy<Value = SessionId> {
    (some_name(), some_life(), 0_u64..5).prop_map(|(chooser, incarnation, number)| SessionId {
        chooser,
        incarnation,
        number,
        random: [RANDOM; 2],
    })
}

fn some_hello(named: impl Strategy<Value = NodeName>) -> impl Strategy<Value = Message> {
    (named, some_life(), 0_u64..4, proptest::option::of(some_id())).prop_map(|(name, incarnation, moment, held)| {
        Message::Hello(Box::new(Hello { incarnation, held, ..hello_of(name.as_str(), 0, moment) }))
    })
}

fn some_digest() -> impl Strategy<Value = PeersDigest> {
    some_life().prop_map(|incarnation| PeersDigest::of(&Node { name: name("z"), incarnation }, &[]))
}

fn some_peers() -> impl Strategy<Value = Peers> {
    let names = proptest::collection::vec(some_name(), 0..4);
    (some_digest(), names, any::<bool>()).prop_map(|(digest, names, more)| {
        let told = |name| Told { name, incarnation: life(9), addresses: (0..12).map(address).collect() };
        Peers { digest, told: names.into_iter().map(told).collect(), more }
    })
}

fn some_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        4 => some_hello(some_name()),
        4 => some_id().prop_map(Message::Take),
        1 => (some_id(), 0_u64..4).prop_map(|(id, moment)| Message::Ready(id, moment)),
        1 => (0_u64..4).prop_map(Message::Probe),
        1 => (0_u64..4).prop_map(Message::ProbeAck),
        1 => Just(Message::Goodbye(vec![LaneOffset { lane: 1, offset: 2 }])),
        2 => some_peers().prop_map(Message::Peers),
        1 => proptest::option::of(some_name()).prop_map(Message::AskPeers),
        1 => (0_usize..12).prop_map(|count| Message::Moved((0..count).map(address).collect())),
    ]
}

fn some_close() -> impl Strategy<Value = CloseReason> {
    prop_oneof![
        1 => Just(CloseReason::Surplus),
        1 => Just(CloseReason::Lost),
        4 => some_life().prop_map(CloseReason::Raise),
        1 => Just(CloseReason::Replaced { by: life(99), at: None }),
        1 => Just(CloseReason::Leaving),
        1 => Just(CloseReason::Forgotten),
        1 => Just(CloseReason::Protocol("words".to_owned())),
    ]
}

/// What happens next: an event, or the answer that the peer of a connection owes.
#[derive(Clone, Debug)]
enum Next {
    Event(Event),
    /// The peer says hello under its own name.
    Greet(ConnId, Incarnation, u64),
    /// It answers the last `Take`, or takes itself.
    Answer(ConnId, u64),
}

fn some_next() -> impl Strategy<Value = Next> {
    let closed = (some_conn(), some_close()).prop_map(|(conn, reason)| Event::Closed { conn, reason });
    let rare = prop_oneof![
        some_conn().prop_map(|conn| Event::HandedOver { conn }),
        some_conn().prop_map(|conn| Event::Drained { conn, offsets: vec![] }),
        some_conn().prop_map(|conn| Event::Overloaded { conn }),
        some_conn().prop_map(|conn| Event::Broken { conn, words: "words".to_owned() }),
        some_conn().prop_map(|conn| Event::Compare { conn }),
        some_name().prop_map(Event::Disconnect),
        some_name().prop_map(Event::Forget),
    ];
    let last = prop_oneof![Just(Event::Leave), Just(Event::LeaveDeadline)];
    let event = prop_oneof![
        40 => (some_conn(), some_name()).prop_map(|(conn, to)| Event::Connected { conn, to }),
        60 => (some_conn(), some_name()).prop_map(|(conn, from)| Event::Accepted { conn, from }),
        60 => (some_conn(), some_message()).prop_map(|(conn, message)| Event::Message { conn, message }),
        20 => some_conn().prop_map(|conn| Event::Lost { conn }),
        15 => closed,
        15 => rare,
        1 => last,
    ];
    prop_oneof![
        4 => event.prop_map(Next::Event),
        3 => (some_conn(), some_life(), 0_u64..9).prop_map(|(conn, life, moment)| Next::Greet(conn, life, moment)),
        3 => (some_conn(), 0_u64..9).prop_map(|(conn, number)| Next::Answer(conn, number)),
    ]
}

/// What the shell knows.
struct Shell {
    /// The incarnation that was stored last; the first one was before the machine began.
    stored: Incarnation,
    raises: usize,
    open: BTreeMap<ConnId, NodeName>,
    lives: BTreeMap<ConnId, Incarnation>,
    offers: BTreeMap<ConnId, SessionId>,
    up: BTreeMap<NodeName, (Node, SessionId, ConnId)>,
    ups: usize,
}

impl Default for Shell {
    fn default() -> Self {
        Self {
            stored: identity("m").incarnation,
            raises: 0,
            open: BTreeMap::new(),
            lives: BTreeMap::new(),
            offers: BTreeMap::new(),
            up: BTreeMap::new(),
            ups: 0,
        }
    }
}

impl Shell {
    /// What a message, or a close, says of this node's own life.
    fn speaks_of(message: &Message) -> Option<Incarnation> {
        match message {
            Message::Hello(hello) => Some(hello.incarnation),
            Message::Take(id) => Some(id.incarnation),
            _ => None,
        }
    }

    fn event(&mut self, next: Next) -> Option<Event> {
        let event = match next {
            Next::Event(event) => event,
            Next::Greet(conn, incarnation, moment) => {
                self.lives.insert(conn, incarnation);
                let hello = Hello { incarnation, ..hello_of(self.open.get(&conn)?.as_str(), 0, moment) };
                Event::Message { conn, message: Message::Hello(Box::new(hello)) }
            }
            Next::Answer(conn, number) => {
                let chooser = self.open.get(&conn)?.clone();
                let message = match self.offers.get(&conn) {
                    Some(id) => Message::Ready(id.clone(), number),
                    None => {
                        let incarnation = *self.lives.get(&conn)?;
                        Message::Take(SessionId { chooser, incarnation, number, random: [0, RANDOM] })
                    }
                };
                Event::Message { conn, message }
            }
        };
        match &event {
            // The shell never uses a number twice, nor speaks of a connection after its end.
            Event::Connected { conn, to: name } | Event::Accepted { conn, from: name } => {
                self.open.entry(*conn).or_insert_with(|| name.clone());
            }
            Event::Closed { conn, .. } => drop(self.open.remove(conn)),
            _ => {}
        }
        Some(event)
    }

    fn act(&mut self, machine: &Machine, action: Action) {
        match action {
            Action::Control { conn, message } => {
                assert!(self.open.contains_key(&conn), "{message:?} on {conn:?}, which is closed");
                let life = Self::speaks_of(&message).unwrap_or(self.stored);
                assert_eq!(life, self.stored, "{message:?} is of a life that was not stored, or is over (N12)");
                if let Message::Take(id) = message {
                    self.offers.insert(conn, id);
                }
            }
            Action::Tell { conn, after } => {
                assert!(self.up.values().any(|(_, _, up)| *up == conn));
                let page = machine.peers(conn, after.as_ref(), 100);
                assert!(page.told.iter().all(|told| told.addresses.len() <= MAX_ADDRESSES));
                assert!(page.told.is_sorted_by(|one, next| one.name < next.name));
            }
            Action::Close { conn, .. } => {
                assert!(self.open.remove(&conn).is_some(), "{conn:?} is closed twice");
                self.offers.remove(&conn);
                self.lives.remove(&conn);
            }
            Action::Up { node, session, conn } => {
                assert!(self.open.contains_key(&conn));
                self.ups += 1;
                assert!(self.up.insert(node.name.clone(), (node, session, conn)).is_none(), "two Ups (M3)");
            }
            Action::Down { node, session, .. } => {
                let (up, id, conn) = self.up.remove(&node.name).expect("a Down of what was not up (M3)");
                assert_eq!((up, id), (node, session));
                assert!(!self.open.contains_key(&conn), "the connection goes first (N8)");
            }
            Action::Told { by: name, .. } | Action::Moved { name, .. } => assert!(self.up.contains_key(&name)),
            Action::Store(incarnation) => {
                assert!(incarnation > self.stored, "a life is raised, never lowered");
                (self.stored, self.raises) = (incarnation, self.raises + 1);
            }
            _ => {}
        }
    }

    fn check(&self, machine: &Machine) {
        assert_eq!(machine.node().incarnation, self.stored, "what is used is what was stored (N12)");
        assert!(machine.linked().eq(self.up.values().map(|(node, _, _)| node.clone())), "the list is what is up (M1)");
        assert!(machine.conns.iter().map(|(id, _)| id).eq(self.open.keys().copied()));
        let (records, retired) = machine.peers.sizes();
        assert!(machine.shunned.len() <= LIMITS.max_peers * Limits::SEEN_FACTOR && machine.read.len() <= 64);
        assert!(records <= LIMITS.max_peers && retired <= LIMITS.max_peers * Limits::SEEN_FACTOR);
        let count = |wanted: &dyn Fn(&Conn) -> bool| machine.conns.iter().filter(|(_, conn)| wanted(conn)).count();
        assert!(count(&|conn| !conn.dialled && conn.phase != Phase::Up) <= LIMITS.max_peers + Limits::SPARE_HANDSHAKES);
        for name in machine.conns.iter().map(|(_, conn)| &conn.peer).collect::<BTreeSet<_>>() {
            let of = |phase: fn(Phase) -> bool| count(&|conn| conn.peer == *name && phase(conn.phase));
            assert!(of(|phase| phase == Phase::Waiting) <= Limits::WAITING);
            assert!(of(|phase| matches!(phase, Phase::Parked(_))) <= 1);
            assert!(of(|phase| phase == Phase::Offered) <= 1);
            assert!(of(|phase| phase == Phase::Up) == usize::from(self.up.contains_key(name)));
        }
    }
}

/// Returns how many sessions began, and how often this node's life was raised.
fn run(nexts: Vec<Next>) -> (usize, usize) {
    let mut machine = Machine::new(identity("m"), LIMITS);
    let mut shell = Shell::default();
    machine.want(name("o"));
    for next in nexts {
        let Some(event) = shell.event(next) else { continue };
        for action in machine.on(event, OUTSIDE) {
            shell.act(&machine, action);
        }
        shell.check(&machine);
    }
    (shell.ups, shell.raises)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_the_machine(nexts in proptest::collection::vec(some_next(), 0..120)) {
        run(nexts);
    }
}

/// The generator is worth something: sessions do come up in it, and lives are raised.
#[test]
fn random_events_bring_links_up_and_raise_lives() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let some = proptest::collection::vec(some_next(), 100..120);
    let (mut ups, mut raises) = (0, 0);
    for _ in 0..50 {
        let (up, raised) = run(some.new_tree(&mut runner).unwrap().current());
        (ups, raises) = (ups + up, raises + raised);
    }
    assert!(ups > 50 && raises > 3, "{ups} sessions and {raises} raises in 50 runs");
}
