//! Members whose stores are lost, and which recover although much goes on meanwhile (P23).

use crate::lab::{Lab, Plan};
use crate::node::{BACK, Node, linked, within};
use crate::relay::Relay;
use pingpong_node::control::{AckLevel, Answer, Client, Request};
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

async fn recovers(node: &Node) -> bool {
    node.status().await.store.is_none_or(|store| store.recovering)
}

async fn votes(node: &Node) {
    let votes = async {
        while recovers(node).await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    within(BACK, "it votes", votes).await;
}

/// Each time it asks the others they may know more of its pings than it had when it thought of asking.
#[tokio::test]
async fn a_member_that_lost_its_store_recovers_while_it_is_pinged_all_the_time() {
    let lab = Lab::new();
    let plans: Vec<Plan> = ["n1", "n2", "n3"].map(|name| lab.plan(name)).into();
    let relay = Relay::among(&plans.iter().map(|plan| plan.listen).collect::<Vec<_>>()).await;
    let voter = |(plan, place): (Plan, &SocketAddr)| {
        let seeds = relay.places.iter().filter(|seed| *seed != place).map(ToString::to_string);
        let plan = plan.with_data().with("members", "n1,n2,n3").with("advertise", place);
        plan.with("seeds", seeds.collect::<Vec<_>>().join(","))
    };
    let plans: Vec<Plan> = plans.into_iter().zip(&relay.places).map(voter).collect();
    let mut nodes = Vec::new();
    for plan in &plans {
        plan.init().await;
        nodes.push(plan.start().await);
    }
    linked(&[&nodes[0], &nodes[1], &nodes[2]]).await;
    for node in &nodes {
        votes(node).await;
    }
    nodes.remove(2).killed().await;
    fs::remove_dir_all(plans[2].data()).unwrap();
    // One other alone cannot help it, and it asks that one ever more seldom.
    relay.open(1, 2, false);
    relay.open(2, 1, false);
    let third = plans[2].start().await;
    third.says(" ready").await;
    let ping = Request::Ping { count: 1_000_000, rate: Some(200.0), ack: AckLevel::Local, deadline_ms: None };
    let mut pinging = Client::ask(&plans[2].socket, &ping).await.unwrap();
    let (says, mut pinged) = watch::channel(0);
    let reader = tokio::spawn(async move {
        while let Ok(Some(Answer::Pinged { pings, done: false, .. })) = pinging.next().await {
            let _ = says.send(pings);
        }
    });
    sleep(Duration::from_secs(4)).await;
    assert!(recovers(&third).await, "one other is no majority");
    relay.open(1, 2, true);
    relay.open(2, 1, true);
    votes(&third).await;
    let before = *pinged.borrow();
    within(BACK, "pings go on", pinged.wait_for(|pings| *pings > before)).await.unwrap();
    reader.abort();
}
