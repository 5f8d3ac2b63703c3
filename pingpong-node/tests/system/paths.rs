//! Paths that take small packets alone.

use crate::lab::{Lab, Plan};
use crate::lan::Lan;
use crate::node::{LONG, linked, session, within};
use pingpong_node::control::{AckLevel, Answer, Client, Request};
use std::time::Duration;
use tokio::task::JoinSet;

/// So many connections ping at once, so many times a second each: what a cut of a second holds back is sent in full packets.
const PINGERS: usize = 24;
const RATE: u32 = 200;
const PINGS: u64 = 400;

async fn pings(lab: &Lab, lan: &Lan, put: impl Fn(Plan, usize) -> Plan) {
    // A failure timeout of 8 s, since the test holds back what is sent for a while.
    let one = put(lab.plan("n1"), 0).with("timeouts-failure", "8s");
    let two = put(lab.plan("n2"), 1).with("timeouts-failure", "8s").seeded_by(one.listen);
    let (one, two) = (one.start().await, two.start().await);
    linked(&[&one, &two]).await;
    let before = session(&one, &two).await;
    let mut pinging = JoinSet::new();
    for node in [&one, &two] {
        for _ in 0..PINGERS {
            let socket = node.socket().to_owned();
            let request =
                Request::Ping { count: PINGS, rate: Some(f64::from(RATE)), ack: AckLevel::Local, deadline_ms: None };
            pinging.spawn(async move {
                let mut client = Client::ask(&socket, &request).await.unwrap();
                while !matches!(client.next().await.unwrap(), Some(Answer::Pinged { done: true, .. })) {}
            });
        }
    }
    lan.open(0, 1, false, false).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    lan.open(0, 1, true, true).await;
    within(LONG, "all pings", async { while pinging.join_next().await.transpose().unwrap().is_some() {} }).await;
    let all = u128::from(PINGS) * u128::try_from(PINGERS).unwrap();
    two.all_count(&["n1", "n2"], &[("n1", all), ("n2", all)]).await;
    assert_eq!(session(&one, &two).await, before, "the link stays");
    one.killed().await;
    two.killed().await;
}

/// The narrow path begins behind the first machine's own, and nobody tells it so.
#[tokio::test]
async fn a_path_of_1280_bytes_carries_a_link() {
    let Some(lan) = Lan::new("a_path_of_1280_bytes_carries_a_link", &[1_500, 1_280]).await else { return };
    lan.say_nothing_of_large_packets().await;
    let lab = Lab::new();
    pings(&lab, &lan, |plan, machine| lan.put(plan, machine)).await;
    pings(&lab, &lan, |plan, machine| lan.put_six(plan, machine)).await;
}
