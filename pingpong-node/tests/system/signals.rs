//! Nodes that are told to end, and nodes that are stopped for a while.

use crate::lab::Lab;
use crate::node::{LONG, linked, session, within};
use pingpong_node::control::{AckLevel, Answer, Client, ClientError, Request};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// So many connections ping, and so many pings are answered, before the node is told to end.
const PINGERS: usize = 8;
const PINGS: u64 = 2_000;

/// Pings without end, one after the other, until the node does not take them any more. Those that were answered are counted.
async fn ping_until_it_leaves(socket: PathBuf, answered: watch::Sender<u64>) {
    let request = Request::Ping { count: 1, rate: None, ack: AckLevel::Local, deadline_ms: None };
    while let Ok(client) = Client::ask(&socket, &request).await {
        match within(LONG, "a ping", client.only()).await {
            Ok(Answer::Pinged { done: true, .. }) => answered.send_modify(|answered| *answered += 1),
            Err(ClientError::Failed(_) | ClientError::Ended { .. }) => return,
            other => panic!("{other:?}"),
        }
    }
}

/// S2: what it had accepted is handed over, and it ends with 0. Pings that it answers while it leaves are in its own store alone.
#[tokio::test]
async fn a_pinging_node_that_is_told_to_end_hands_over_all_that_it_had_counted() {
    let lab = Lab::new();
    let one = lab.plan("n1");
    let two = lab.plan("n2").seeded_by(one.listen);
    let (one, two) = (one.start().await, two.start().await);
    let [_, mut seen] = linked(&[&one, &two]).await.try_into().ok().unwrap();
    let (answered, mut many) = watch::channel(0);
    let mut pinging = JoinSet::new();
    for _ in 0..PINGERS {
        pinging.spawn(ping_until_it_leaves(one.socket().to_owned(), answered.clone()));
    }
    within(LONG, "many pings", many.wait_for(|answered| *answered >= PINGS)).await.unwrap();
    let counted = *many.borrow();
    one.signal("TERM").await;
    pinging.join_all().await;
    let (code, log) = one.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("asked to stop") && !log.contains("not every peer had everything"), "{log}");
    assert_eq!(seen.down("n1").await.1, "left, everything was handed over");
    let has = two.counts().await["n2"]["n1"];
    assert!(has >= u128::from(counted), "{has} of {counted}");
}

#[tokio::test]
async fn a_node_that_is_told_to_end_while_others_ping_leaves_and_catches_up_when_it_is_back() {
    let lab = Lab::new();
    let one = lab.plan("n1");
    let plan = lab.plan("n2").seeded_by(one.listen);
    let (one, two) = (one.start().await, plan.start().await);
    let [mut seen, _] = linked(&[&one, &two]).await.try_into().ok().unwrap();
    let ping = Request::Ping { count: 3_000, rate: Some(1_000.0), ack: AckLevel::Local, deadline_ms: None };
    let mut pinging = Client::ask(one.socket(), &ping).await.unwrap();
    // It says so once a second.
    let begun = within(LONG, "it pings", pinging.next()).await.unwrap();
    assert!(matches!(begun, Some(Answer::Pinged { done: false, .. })), "{begun:?}");
    two.signal("TERM").await;
    let (code, log) = two.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(seen.down("n2").await.1, "left, everything was handed over");
    let back = plan.start().await;
    seen.up("n2").await;
    while !matches!(within(LONG, "all pings", pinging.next()).await, Ok(Some(Answer::Pinged { done: true, .. }))) {}
    back.all_count(&["n1", "n2"], &[("n1", 3_000), ("n2", 0)]).await;
}

/// M6, M9: the one that was stopped notices its own pause, gives the other a fresh interval, and learns that it was lost.
#[tokio::test]
async fn a_node_that_is_stopped_for_five_seconds_is_lost_and_comes_back_by_itself() {
    let lab = Lab::new();
    let one = lab.plan("n1");
    let two = lab.plan("n2").seeded_by(one.listen);
    let (one, two) = (one.start().await, two.start().await);
    let [mut at_one, mut at_two] = linked(&[&one, &two]).await.try_into().ok().unwrap();
    let before = session(&one, &two).await;
    let resumed = async {
        two.signal("STOP").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        two.signal("CONT").await;
    };
    let lost = async {
        assert_eq!(at_one.down("n2").await.1, "lost");
        one.ping(4).await;
    };
    tokio::join!(resumed, lost);
    let (_, reason) = at_two.down("n1").await;
    assert_eq!(reason, "the peer lost us");
    let (up, _) = (at_one.up("n2").await, at_two.up("n1").await);
    assert_eq!(up.incarnation, two.status().await.incarnation, "it is the same life");
    assert_ne!(session(&one, &two).await, before);
    two.all_count(&["n1", "n2"], &[("n1", 4), ("n2", 0)]).await;
}

/// M6: a host that was suspended wakes with all its links, since each node notices its own pause, and waits for those that wake later.
#[tokio::test]
async fn nodes_that_are_stopped_together_lose_no_link() {
    let lab = Lab::new();
    let one = lab.plan("n1").with("timeouts-failure", "4s");
    let two = lab.plan("n2").with("timeouts-failure", "4s").seeded_by(one.listen);
    let (one, two) = (one.start().await, two.start().await);
    let [mut at_one, mut at_two] = linked(&[&one, &two]).await.try_into().ok().unwrap();
    let before = session(&one, &two).await;
    // First n2, so that a tick or two of n1 (each a quarter of a second) find nothing new; n1 wakes first, and hears nothing yet.
    for (signal, node, hold) in [("STOP", &two, 600), ("STOP", &one, 5_000), ("CONT", &one, 1_000), ("CONT", &two, 0)] {
        node.signal(signal).await;
        tokio::time::sleep(Duration::from_millis(hold)).await;
    }
    two.ping(2).await;
    one.all_count(&["n1", "n2"], &[("n1", 0), ("n2", 2)]).await;
    let held = Duration::from_secs(1);
    tokio::join!(at_one.is_quiet(held), at_two.is_quiet(held));
    assert_eq!(session(&one, &two).await, before);
}

/// F2: a pause of less than half the failure timeout costs nothing.
#[tokio::test]
async fn a_node_that_is_stopped_for_less_than_half_the_failure_timeout_loses_nothing() {
    let lab = Lab::new();
    // A longer one than by default, since this machine may be slow to say that it goes on.
    let one = lab.plan("n1").with("timeouts-failure", "8s");
    let two = lab.plan("n2").with("timeouts-failure", "8s").seeded_by(one.listen);
    let (one, two) = (one.start().await, two.start().await);
    linked(&[&one, &two]).await;
    let before = session(&one, &two).await;
    two.signal("STOP").await;
    one.ping(9).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    two.signal("CONT").await;
    one.all_count(&["n1", "n2"], &[("n1", 9), ("n2", 0)]).await;
    assert_eq!(session(&one, &two).await, before);
}
