//! When a server counts as stuck (O3).

use super::*;
use crate::mesh::fixtures::{common, member, node, remote};
use crate::name::NodeName;
use crate::session::PeersDigest;
use tokio::time::timeout;

const STALL: Duration = Duration::from_secs(30);

fn session() -> Arc<Session> {
    remote(member("a", 1), &common())
}

fn mailbox() -> Arc<Mailbox> {
    Mailbox::new(ServerName::new("s").unwrap(), ServerOptions::new(), 100, 8)
}

/// Somebody's large message is slow, and the server has nothing to do: it is not the one that is stuck.
#[tokio::test(start_paused = true)]
async fn an_idle_server_is_not_stuck_however_long_its_turn_is_held() {
    let (mailbox, session) = (mailbox(), session());
    let held = mailbox.turn(&session, STALL).await.unwrap();
    let mut waits = Box::pin(mailbox.turn(&session, STALL));
    assert!(timeout(5 * STALL, &mut waits).await.is_err(), "it waits on");
    drop(held);
    assert!(waits.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_a_message_and_takes_nothing_is_stuck_after_the_stall_timeout() {
    let (mailbox, session) = (mailbox(), session());
    let full = Bytes::from_static(&[0; 100]);
    assert!(matches!(mailbox.deliver(&session, full.clone(), STALL).await, Delivered::Done));
    let began = Instant::now();
    assert!(matches!(mailbox.deliver(&session, full, STALL).await, Delivered::Stalled(_)));
    assert_eq!(began.elapsed(), STALL);
}

/// O3 (a): the peer was not told, its writer saw no progress while it wrote a batch, and cut the link.
#[tokio::test(start_paused = true)]
async fn a_server_that_makes_room_between_two_looks_is_known_to_work() {
    let (mailbox, session) = (mailbox(), session());
    let working = || session.as_remote().unwrap().beat(Duration::ZERO, PeersDigest::NONE).working;
    let full = Bytes::from_static(&[0; 100]);
    assert!(matches!(mailbox.deliver(&session, full.clone(), STALL).await, Delivered::Done));
    assert_eq!(working(), 0, "nobody waited for it");
    let mut waits = Box::pin(mailbox.deliver(&session, full, STALL));
    assert!(timeout(STALL / LOOKS / 2, &mut waits).await.is_err());
    let mut entries = VecDeque::new();
    mailbox.take(&mut entries).await.unwrap();
    drop(entries);
    assert!(matches!(waits.await, Delivered::Done));
    assert_eq!(working(), 1);
}

/// SIGSTOP, a debugger, a machine that was suspended.
#[tokio::test(start_paused = true)]
async fn a_process_that_was_stopped_gives_its_servers_time_to_go_on() {
    let (mailbox, session) = (mailbox(), session());
    let full = Bytes::from_static(&[0; 100]);
    assert!(matches!(mailbox.deliver(&session, full.clone(), STALL).await, Delivered::Done));
    let mut waits = Box::pin(mailbox.deliver(&session, full, STALL));
    assert!(timeout(Duration::from_millis(1), &mut waits).await.is_err());
    tokio::time::advance(10 * STALL).await;
    assert!(timeout(STALL / 2, &mut waits).await.is_err(), "it has not had its time yet");
    let mut entries = VecDeque::new();
    mailbox.take(&mut entries).await.unwrap();
    drop(entries);
    assert!(matches!(waits.await, Delivered::Done));
}

/// A1: it is refused, and holds nobody up until then.
#[tokio::test(start_paused = true)]
async fn who_is_not_served_waits_for_no_turn() {
    let shared = Shared::new(node("m"), crate::config::Limits::default(), crate::config::Timeouts::default());
    let (name, session) = (ServerName::new("s").unwrap(), session());
    let _inbox = shared.register(&name, ServerOptions::new().allow_only([NodeName::new("b").unwrap()])).unwrap();
    let _held = shared.mailbox(&name).unwrap().turn(&session, STALL).await.unwrap();
    let turn = timeout(STALL, shared.turn_at(&session, &name)).await;
    assert!(turn.expect("it does not wait").is_none());
    shared.end_servers();
}
