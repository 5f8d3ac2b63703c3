//! Cuts of the network between two nodes: both ways, one way, and short ones (F2, F3, M7, M9). Packets vanish by a relay, or, where
//! namespaces can be made, by the system's own filter.

use crate::lab::{Lab, Plan};
use crate::lan::Lan;
use crate::node::{Node, Watch, linked, session};
use crate::relay::Relay;
use pingpong_node::control::{AckLevel, Answer, Client, Request};
use std::time::Duration;

/// Two nodes with a relay between them.
async fn relayed(lab: &Lab) -> (Plan, Plan, Relay) {
    let (one, two) = (lab.plan("n1"), lab.plan("n2"));
    let relay = Relay::among(&[one.listen, two.listen]).await;
    let one = one.with("advertise", relay.places[0]);
    let two = two.with("advertise", relay.places[1]).seeded_by(relay.places[0]);
    (one, two, relay)
}

fn open(relay: &Relay, there: bool, back: bool) {
    relay.open(0, 1, there);
    relay.open(1, 0, back);
}

/// Two nodes on machines of their own.
fn apart(lab: &Lab, lan: &Lan) -> (Plan, Plan) {
    let one = lan.put(lab.plan("n1"), 0);
    let two = lan.put(lab.plan("n2"), 1).seeded_by(one.listen);
    (one, two)
}

async fn start(one: &Plan, two: &Plan) -> (Node, Node, Watch, Watch) {
    let (one, two) = (one.start().await, two.start().await);
    let [at_one, at_two] = linked(&[&one, &two]).await.try_into().ok().unwrap();
    (one, two, at_one, at_two)
}

/// `open` says which ways are open: from the first node to the second one, and back.
async fn long_cuts_end_the_link_on_both_sides(one: &Plan, two: &Plan, open: impl AsyncFn(bool, bool)) {
    let (one, two, mut at_one, mut at_two) = start(one, two).await;
    let cuts = [
        ((false, false), "lost", "lost"),
        // The deaf side notices; the other one hears of it.
        ((false, true), "the peer lost us", "lost"),
        ((true, false), "lost", "the peer lost us"),
    ];
    for ((there, back), of_one, of_two) in cuts {
        let before = session(&one, &two).await;
        open(there, back).await;
        let ((_, reason_of_one), (_, reason_of_two)) = tokio::join!(at_one.down("n2"), at_two.down("n1"));
        assert_eq!((reason_of_one.as_str(), reason_of_two.as_str()), (of_one, of_two));
        // Whoever dials all the while, half a network makes no link.
        let held = Duration::from_secs(2);
        tokio::join!(at_one.is_quiet(held), at_two.is_quiet(held));
        one.ping(1).await;
        open(true, true).await;
        tokio::join!(at_one.up("n2"), at_two.up("n1"));
        assert_ne!(session(&one, &two).await, before);
    }
    two.all_count(&["n1", "n2"], &[("n1", 3), ("n2", 0)]).await;
}

/// With a failure timeout of 8 s, since a busy machine may be late to heal a cut.
async fn short_cuts_lose_nothing(one: Plan, two: Plan, open: impl AsyncFn(bool, bool)) {
    let [one, two] = [one, two].map(|plan| plan.with("timeouts-failure", "8s"));
    let (one, two, ..) = start(&one, &two).await;
    let before = session(&one, &two).await;
    let mut pinging = Client::ask(
        one.socket(),
        &Request::Ping { count: 4_000, rate: Some(1_000.0), ack: AckLevel::Local, deadline_ms: None },
    )
    .await
    .unwrap();
    for (there, back) in [(false, false), (false, true)] {
        open(there, back).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        open(true, true).await;
        assert!(matches!(pinging.next().await.unwrap(), Some(Answer::Pinged { .. })));
    }
    two.all_count(&["n1", "n2"], &[("n1", 4_000), ("n2", 0)]).await;
    assert_eq!(session(&one, &two).await, before);
}

#[tokio::test]
async fn a_long_cut_by_a_relay_ends_the_link_on_both_sides_until_the_heal() {
    let lab = Lab::new();
    let (one, two, relay) = relayed(&lab).await;
    long_cuts_end_the_link_on_both_sides(&one, &two, async |there, back| open(&relay, there, back)).await;
}

#[tokio::test]
async fn a_short_cut_by_a_relay_loses_nothing() {
    let lab = Lab::new();
    let (one, two, relay) = relayed(&lab).await;
    short_cuts_lose_nothing(one, two, async |there, back| open(&relay, there, back)).await;
}

#[tokio::test]
async fn a_long_cut_between_machines_ends_the_link_on_both_sides_until_the_heal() {
    let Some(lan) =
        Lan::new("a_long_cut_between_machines_ends_the_link_on_both_sides_until_the_heal", &[1_500, 1_500]).await
    else {
        return;
    };
    let lab = Lab::new();
    let (one, two) = apart(&lab, &lan);
    long_cuts_end_the_link_on_both_sides(&one, &two, async |there, back| lan.open(0, 1, there, back).await).await;
}

#[tokio::test]
async fn a_short_cut_between_machines_loses_nothing() {
    let Some(lan) = Lan::new("a_short_cut_between_machines_loses_nothing", &[1_500, 1_500]).await else { return };
    let lab = Lab::new();
    let (one, two) = apart(&lab, &lan);
    short_cuts_lose_nothing(one, two, async |there, back| lan.open(0, 1, there, back).await).await;
}
