//! Lanes that deliver, sessions that end, and a server that takes, at one mailbox.

use super::*;
use crate::inbox::{Entry, InboxClosed, Origin, ServerOptions};
use crate::mesh::mailbox::{Delivered, Mailbox};
use crate::message::MessageType;
use crate::monitor::DownReason;
use crate::name::ServerName;
use crate::wire::Prefix;
use bytes::Bytes;
use std::collections::VecDeque;

const STALL: Duration = Duration::from_secs(3_600);

/// Room for a batch of [`cast`], not for two.
fn mailbox() -> Arc<Mailbox> {
    Mailbox::new(ServerName::new("s").unwrap(), ServerOptions::new().with_events(), 150, 8)
}

fn cast(number: u8) -> Bytes {
    let mut prefix = Prefix::cast(MessageType { id: 1, version: 0 }, None);
    [prefix.finish(1), &[number]].concat().into()
}

/// What a server saw.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Message(String, u8),
    Down(String),
}

/// Takes as a server does, until nothing comes any more or `enough` is there.
fn serve(mailbox: &Arc<Mailbox>, enough: usize) -> (Vec<Seen>, Option<InboxClosed>) {
    let (mut seen, mut entries) = (Vec::new(), VecDeque::new());
    block_on(async {
        while seen.len() < enough {
            if let Err(why) = mailbox.take(&mut entries).await {
                return (seen, Some(why));
            }
            for entry in entries.drain(..) {
                match entry {
                    Entry::Up(_) => {}
                    Entry::Down(node, _) => seen.push(Seen::Down(node.name.to_string())),
                    Entry::Messages(mut batch) => {
                        let from = batch.from().name.to_string();
                        while let Some(delivery) = batch.next() {
                            seen.push(Seen::Message(from.clone(), delivery.body[0]));
                        }
                    }
                }
            }
        }
        (seen, None)
    })
}

/// A lane of the session that hands over so many casts; how many it could.
fn deliver(mailbox: &Arc<Mailbox>, session: &Arc<Session>, casts: u8) -> thread::JoinHandle<u64> {
    let (mailbox, session) = (Arc::clone(mailbox), Arc::clone(session));
    thread::spawn(move || {
        block_on(async {
            let mut done = 0;
            for number in 0..casts {
                match mailbox.deliver(&session, cast(number), STALL).await {
                    Delivered::Done => done += 1,
                    Delivered::Gone(_) => break,
                    Delivered::Stalled(_) => panic!("it works"),
                }
            }
            done
        })
    })
}

#[test]
fn what_two_lanes_deliver_into_a_full_mailbox_is_taken_once_and_in_order() {
    explore(|| {
        let (mailbox, common) = (mailbox(), common());
        let sessions = [remote(member("a", 1), &common), remote(member("b", 2), &common)];
        let lanes = [0, 1].map(|at| deliver(&mailbox, &sessions[at], 3));
        let (seen, _) = serve(&mailbox, 6);
        for name in ["a", "b"] {
            let of: Vec<_> = seen.iter().filter(|s| matches!(s, Seen::Message(from, _) if from == name)).collect();
            assert_eq!(of, [0, 1, 2].map(|n| Seen::Message(name.to_owned(), n)).iter().collect::<Vec<_>>());
        }
        assert!(lanes.into_iter().all(|lane| lane.join().unwrap() == 3));
    });
}

#[test]
fn nothing_of_a_session_is_taken_behind_its_down() {
    explore(|| {
        let (mailbox, common) = (mailbox(), common());
        let session = remote(member("a", 1), &common);
        let lane = deliver(&mailbox, &session, 2);
        let ends = {
            let (mailbox, session) = (Arc::clone(&mailbox), Arc::clone(&session));
            thread::spawn(move || {
                // As `Shared::down` does it.
                session.end(true);
                mailbox.event(Entry::Down(session.node().clone(), DownReason::Left { flushed: true }));
            })
        };
        let server = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || serve(&mailbox, usize::MAX).0)
        };
        lane.join().unwrap();
        ends.join().unwrap();
        // Events outlast it (C4).
        mailbox.close(InboxClosed::ShuttingDown);
        let seen = server.join().unwrap();
        assert_eq!(seen.last(), Some(&Seen::Down("a".to_owned())), "{seen:?}");
        assert_eq!(seen.iter().filter(|s| matches!(s, Seen::Down(_))).count(), 1);
    });
}

#[test]
fn a_mailbox_that_closes_wakes_who_waits_for_room_and_who_waits_for_messages() {
    explore(|| {
        let (mailbox, common) = (mailbox(), common());
        let session = remote(member("a", 1), &common);
        let lanes = [deliver(&mailbox, &session, 2), deliver(&mailbox, &session, 2)];
        let server = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || serve(&mailbox, usize::MAX))
        };
        assert!(mailbox.close(InboxClosed::Stalled));
        let (seen, why) = server.join().unwrap();
        let delivered: u64 = lanes.map(|lane| lane.join().unwrap()).into_iter().sum();
        assert_eq!(why, Some(InboxClosed::Stalled));
        let dropped = common.counters.snapshot().dropped_with_server;
        assert_eq!(delivered, seen.len() as u64 + dropped, "what is not handled is counted (C5)");
    });
}
