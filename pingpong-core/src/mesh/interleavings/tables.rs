//! Senders, servers and the driver at the tables of a node.

use super::*;
use crate::config::{Limits, Timeouts};
use crate::inbox::{Entry, ServerOptions};
use crate::link::Priority;
use crate::mesh::lane::{Lane, Refusal, To};
use crate::mesh::roster::Member;
use crate::mesh::shared::{Shared, StartWriter};
use crate::message::{Encoded, MessageType};
use crate::monitor::DownReason;
use crate::name::ServerName;
use crate::transport::{Targets, WhenFull};
use crate::wire::LaneHeader;
use std::collections::VecDeque;

/// A connection whose lanes nobody reads.
struct NoWriter;

impl StartWriter for NoWriter {
    fn start(&self, _: &Arc<Session>, _reader: &Member, _: Arc<Lane>, _: LaneHeader, _: Priority) {}
}

fn shared() -> Arc<Shared> {
    Shared::new(node("m"), Limits::default(), Timeouts::default())
}

fn up(shared: &Arc<Shared>, name: &str) -> Arc<Session> {
    let session = remote(shared.member_for(node(name)), &shared.common);
    shared.up(Arc::clone(&session), Arc::new(NoWriter));
    session
}

#[test]
fn a_lane_that_is_made_while_nodes_come_and_go_has_those_that_are_linked() {
    explore(|| {
        let shared = shared();
        let server = ServerName::new("s").unwrap();
        let senders = [(); 2].map(|()| {
            let (shared, server) = (Arc::clone(&shared), server.clone());
            thread::spawn(move || shared.route(&server).lane)
        });
        up(&shared, "a");
        up(&shared, "b");
        shared.down(&NodeName::new("a").unwrap(), &DownReason::Lost);
        let [first, second] = senders.map(|sender| sender.join().unwrap());
        assert!(Arc::ptr_eq(&first, &second), "one lane for one server (C2)");
        let names: Vec<String> = first.roster().members().iter().map(|m| m.node.name.to_string()).collect();
        assert_eq!(names, ["b", "m"]);
        shared.end_servers();
    });
}

#[test]
fn casts_enter_while_another_lane_is_made_and_a_node_comes_and_goes() {
    explore(|| {
        let shared = shared();
        let [known, new] = ["known", "new"].map(|name| ServerName::new(name).unwrap());
        let lane = shared.route(&known).lane;
        let senders = [known, new].map(|server| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let message = Encoded { kind: MessageType { id: 1, version: 0 }, body: b"x" };
                let sent = shared.try_abcast(&Targets::All, &server, message, WhenFull::Refuse).unwrap();
                sent.accepted.iter().map(|node| node.name.to_string()).collect::<Vec<_>>()
            })
        });
        up(&shared, "a");
        shared.down(&NodeName::new("a").unwrap(), &DownReason::Lost);
        for sender in senders {
            let accepted = sender.join().unwrap();
            assert!(accepted == ["m"] || accepted == ["a", "m"], "who was linked when it entered (C1): {accepted:?}");
        }
        assert_eq!(lane.roster().members().len(), 1);
        shared.end_servers();
    });
}

#[test]
fn a_lane_that_is_made_while_the_node_leaves_takes_nothing_afterwards() {
    explore(|| {
        let shared = shared();
        let route = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.route(&ServerName::new("s").unwrap()).lane)
        };
        shared.leave();
        let lane = route.join().unwrap();
        let refused = lane.try_send(To::All, b"x", b"y", WhenFull::Refuse).unwrap_err();
        assert_eq!(refused, Refusal::Closed, "nothing more is accepted (S2)");
        shared.end_servers();
    });
}

#[test]
fn a_server_that_is_told_of_a_node_finds_it_in_the_list_and_can_send_to_it() {
    explore(|| {
        let shared = shared();
        let name = ServerName::new("s").unwrap();
        let served = {
            let (shared, name) = (Arc::clone(&shared), name.clone());
            thread::spawn(move || {
                let mut inbox = shared.register(&name, ServerOptions::new().with_events()).unwrap();
                block_on(async {
                    let mut entries = VecDeque::new();
                    while entries.is_empty() {
                        inbox.take(&mut entries).await.unwrap();
                    }
                    assert!(matches!(&entries[0], Entry::Up(node) if node.name.as_str() == "a"));
                    assert_eq!(shared.view.list().len(), 1, "it is listed (M4)");
                    let entered = shared.route(&name).lane.try_send(To::All, b"x", b"y", WhenFull::Refuse).unwrap();
                    assert!(entered.has(1), "it can be sent to (M4)");
                    let (one, again) = (entries.len(), shared.register(&name, ServerOptions::new()).is_err());
                    (one, again)
                })
            })
        };
        let sender = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || drop(shared.route(&name)))
        };
        up(&shared, "a");
        assert_eq!(served.join().unwrap(), (1, true), "told once (M2), and registered (A1)");
        sender.join().unwrap();
        shared.end_servers();
    });
}
