//! What the model does not cover: refusals, bounds, commands, addresses, and garbage. Node `m` is under test; `a` to `l`
//! choose when they meet it, `n` to `z` are chosen by it.

mod bounds;
mod ends;
mod exchange;
mod random;
mod refusals;

use super::*;
use crate::address::Address;
use crate::name::ClusterName;
use crate::node::Incarnation;
use crate::session::{Hello, LaneOffset, Peers, PeersDigest, SessionId, Told, Versions};

const RANDOM: u64 = 7;
const OUTSIDE: Outside = Outside { wall_millis: 5, random: RANDOM };

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn life(millis: u64) -> Incarnation {
    Incarnation::new(millis, 0)
}

fn address(number: usize) -> Address {
    Address::new(&format!("h:{number}")).unwrap()
}

fn identity(text: &str) -> Identity {
    Identity {
        name: name(text),
        cluster: ClusterName::new("blue").unwrap(),
        incarnation: life(100),
        versions: Versions { major: 1, oldest_minor: 1, newest_minor: 2 },
        failure_timeout_millis: 2_000,
        lanes: 24,
        addresses: vec![address(0)],
    }
}

/// What `from` says: of that life, written at that moment.
fn hello_of(from: &str, millis: u64, moment: u64) -> Hello {
    let identity = identity(from);
    Hello {
        cluster: identity.cluster,
        versions: identity.versions,
        name: identity.name,
        incarnation: life(millis),
        moment,
        held: None,
        random: RANDOM,
        failure_timeout_millis: 3_000,
        lanes: 24,
        addresses: vec![address(from.len())],
    }
}

/// What a neighbour tells of a name.
fn told_of(text: &str) -> Told {
    Told { name: name(text), incarnation: life(9), addresses: vec![address(9)] }
}

/// The machine under test, and what it did last.
struct Bench {
    machine: Machine,
    conns: u64,
}

impl Bench {
    fn new(max_peers: usize) -> Self {
        Self { machine: Machine::new(identity("m"), Limits { max_peers }), conns: 0 }
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        self.machine.on(event, OUTSIDE)
    }

    fn say(&mut self, conn: ConnId, message: Message) -> Vec<Action> {
        self.on(Event::Message { conn, message })
    }

    fn accept(&mut self, from: &str) -> (ConnId, Vec<Action>) {
        self.conns += 1;
        let conn = ConnId(self.conns);
        let actions = self.on(Event::Accepted { conn, from: name(from) });
        (conn, actions)
    }

    fn greet(&mut self, conn: ConnId, hello: Hello) -> Vec<Action> {
        self.say(conn, Message::Hello(Box::new(hello)))
    }

    /// `from` dials and says hello.
    fn come(&mut self, from: &str, millis: u64) -> (ConnId, Vec<Action>) {
        let (conn, _) = self.accept(from);
        let actions = self.greet(conn, hello_of(from, millis, 1));
        (conn, actions)
    }

    /// `from` dials, and the link comes up.
    fn link(&mut self, from: &str, millis: u64) -> (ConnId, Vec<Action>) {
        let (conn, actions) = self.come(from, millis);
        let actions = match taken(&actions) {
            Some(id) => self.say(conn, Message::Ready(id, 1)),
            None => self.say(conn, Message::Take(id_of(from, millis, conn.0))),
        };
        assert!(actions.iter().any(|action| matches!(action, Action::Up { .. })), "{actions:?}");
        (conn, actions)
    }

    /// The neighbour is asked, and answers that it is linked with these.
    fn tell(&mut self, conn: ConnId, names: &[&str]) -> Vec<Action> {
        self.on(Event::Compare { conn });
        let told = names.iter().map(|text| told_of(text)).collect();
        self.say(conn, Message::Peers(Peers { digest: PeersDigest::NONE, told, more: false }))
    }

    fn wants(&self) -> Vec<&str> {
        self.machine.wants().map(NodeName::as_str).collect()
    }

    fn linked(&self) -> Vec<String> {
        self.machine.linked().map(|node| node.name.to_string()).collect()
    }
}

/// The id of an offer by `chooser`.
fn id_of(chooser: &str, millis: u64, number: u64) -> SessionId {
    SessionId { chooser: name(chooser), incarnation: life(millis), number, random: [0, RANDOM] }
}

/// The offer among the actions.
fn taken(actions: &[Action]) -> Option<SessionId> {
    actions.iter().find_map(|action| match action {
        Action::Control { message: Message::Take(id), .. } => Some(id.clone()),
        _ => None,
    })
}

/// What was closed, and why.
fn closes(actions: &[Action]) -> Vec<(ConnId, CloseReason)> {
    let close = |action: &Action| match action {
        Action::Close { conn, reason } => Some((*conn, reason.clone())),
        _ => None,
    };
    actions.iter().filter_map(close).collect()
}

/// Who went down, and why.
fn downs(actions: &[Action]) -> Vec<(&str, DownReason)> {
    let mut downs = Vec::new();
    for action in actions {
        if let Action::Down { node, reason, .. } = action {
            downs.push((node.name.as_str(), reason.clone()));
        }
    }
    downs
}
