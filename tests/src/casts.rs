//! One-way messages: who gets them, and in which order (C1, C2, C7).

use crate::toolkit::{Cluster, KIND, MOST, Traffic, body, is_pending, message, node, server, to};
use futures_util::future::maybe_done;
use pingpong_core::message::{Message, Request};
use pingpong_core::server::TransportExt as _;
use pingpong_core::transport::{NotSent, Refused};
use pingpong_core::{Node, Targets, WhenFull};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) async fn abcast_reaches_the_local_and_every_linked_node(c: &Cluster) {
    let nodes = c.linked(["b", "a", "d"]).await;
    let probes: Vec<_> = nodes.iter().map(|node| node.probe("s")).collect();
    let sent = nodes[0].abcast(&Targets::All, &server("s"), message(&body(1, 8))).await.expect("it is sent");
    let all: Vec<Node> = [1, 0, 2].map(|at: usize| nodes[at].node()).into();
    assert_eq!(sent.accepted[..], all[..], "accepted by all, sorted by name");
    assert_eq!(sent.refused, [], "refused by none");
    for probe in &probes {
        assert_eq!(probe.until_number(nodes[0].name(), 1).await, [1], "each gets it once");
    }
}

pub(crate) async fn abcast_to_named_nodes_reaches_them_only(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let (at_a, at_b, at_d) = (a.probe("s"), b.probe("s"), d.probe("s"));
    let sent = a.abcast(&to(&["d", "d"]), &server("s"), message(&body(1, 8))).await.expect("it is sent");
    assert_eq!(sent.accepted[..], [d.node()], "a name that appears twice counts once");
    a.abcast(&Targets::All, &server("s"), message(&body(2, 8))).await.expect("it is sent");
    assert_eq!(at_d.until_number(a.name(), 2).await, [1, 2], "d was named");
    assert_eq!(at_b.until_number(a.name(), 2).await, [2], "b was not named");
    assert_eq!(at_a.until_number(a.name(), 2).await, [2], "nor was a itself");
}

pub(crate) async fn a_target_that_is_not_linked_is_refused_alone(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let refused = [Refused { name: node("x"), reason: NotSent::NotLinked }];
    let waited = a.abcast(&to(&["x", "b"]), &server("s"), message(&body(1, 8))).await.expect("it is sent");
    assert_eq!((&waited.accepted[..], &waited.refused[..]), (&[b.node()][..], &refused[..]), "abcast names both");
    for (number, when_full) in [(2, WhenFull::Refuse), (3, WhenFull::Skip)] {
        let body = body(number, 8);
        let sent = a.try_abcast(&to(&["x", "b"]), &server("s"), message(&body), when_full).expect("it is sent");
        assert_eq!((&sent.accepted[..], &sent.refused[..]), (&[b.node()][..], &refused[..]), "{when_full:?} does too");
    }
    assert_eq!(probe.until_number(a.name(), 3).await, [1, 2, 3], "b gets what x does not");
}

pub(crate) async fn abcast_to_nobody_is_sent_to_nobody(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let sent = a.abcast(&Targets::Nodes(Vec::new()), &server("s"), message(&body(1, 8))).await.expect("it is sent");
    assert_eq!((sent.accepted.len(), sent.refused.len()), (0, 0), "no target, no outcome");
    a.abcast(&Targets::All, &server("s"), message(&body(2, 8))).await.expect("it is sent");
    assert_eq!(probe.until_number(a.name(), 2).await, [2], "b got the second only");
}

pub(crate) async fn a_lone_node_casts_to_itself(c: &Cluster) {
    let a = c.start("a", &[]).await;
    let probe = a.probe("s");
    let sent = a.abcast(&Targets::All, &server("s"), message(&body(1, 8))).await.expect("it is sent");
    assert_eq!(sent.accepted[..], [a.node()], "the local node is a target");
    let records = probe.until("the cast", |records| !records.is_empty()).await;
    assert_eq!(records[0].node(), Some(&a.node()), "and is its own sender");
}

pub(crate) async fn abcast_does_not_wait_for_handlers(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    probe.pause();
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s"));
    traffic.casts(20).await;
    assert_eq!(probe.numbers(a.name()), [], "nothing was handled, and yet all were sent");
    probe.resume();
    probe.until_number(a.name(), 19).await;
}

pub(crate) async fn an_abcast_that_is_given_up_goes_to_all_or_to_nobody(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let (at_b, at_d) = (b.probe("s"), d.probe("s"));
    at_b.pause();
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s")).with_size(16 << 10);
    let filled = traffic.fill(c.t() / 4, MOST).await;
    let given_up = body(1_000_000, 8);
    let (targets, name) = (to(&["b", "d"]), server("s"));
    let waiting = a.abcast(&targets, &name, message(&given_up));
    let waited = tokio::time::timeout(c.t() / 8, waiting).await;
    at_b.resume();
    at_b.until_number(a.name(), filled - 1).await;
    let last = a.abcast(&targets, &name, message(&body(2_000_000, 8))).await.expect("it is sent");
    assert_eq!(last.accepted.len(), 2, "there is room again");
    let got_b = at_b.until_number(a.name(), 2_000_000).await.contains(&1_000_000);
    let got_d = at_d.until_number(a.name(), 2_000_000).await.contains(&1_000_000);
    assert_eq!(got_b, got_d, "sent to all or to nobody");
    assert_eq!(got_b, waited.is_ok(), "given up before it was ready: to nobody");
}

pub(crate) async fn casts_arrive_in_the_order_sent(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let name = server("s");
    for number in 0..600 {
        let targets = if number % 3 == 0 { Targets::All } else { to(&["b"]) };
        let body = body(number, 8 + (number as usize * 37) % 3_000);
        let tried = number % 2 == 0 && a.try_abcast(&targets, &name, message(&body), WhenFull::Refuse).is_ok();
        if !tried {
            a.abcast(&targets, &name, message(&body)).await.expect("it is sent");
        }
    }
    let expected: Vec<u64> = (0..600).collect();
    assert_eq!(probe.until_number(a.name(), 599).await, expected, "one order, whatever way they were sent");
}

pub(crate) async fn each_sender_keeps_its_order(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let mut tasks = Vec::new();
    for sender in 0..8_u64 {
        let a = a.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0..100 {
                let body = body(sender * 1_000 + number, 8);
                a.abcast(&to(&["b"]), &server("s"), message(&body)).await.expect("it is sent");
                tokio::task::yield_now().await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("the sender ends");
    }
    let records = probe.until("800 casts", |records| records.len() >= 800).await;
    let numbers = crate::toolkit::numbers(&records, a.name());
    for sender in 0..8_u64 {
        let own: Vec<u64> = numbers.iter().copied().filter(|number| number / 1_000 == sender).collect();
        let expected: Vec<u64> = (sender * 1_000..sender * 1_000 + 100).collect();
        assert_eq!(own, expected, "the casts of task {sender}, in its order");
    }
}

/// A call is sent at the first poll of its future, as long as there is room.
pub(crate) async fn casts_and_calls_are_delivered_in_the_order_sent(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let (targets, name) = (to(&["b"]), server("s"));
    let mut calls = Vec::new();
    for number in 0..90_u64 {
        let bytes = body(number, 8);
        if number % 3 == 2 {
            let node = a.clone();
            let call = async move { node.call(to(&["b"]), "s", number, node.timing().patience()).await };
            let mut call = Box::pin(maybe_done(call));
            // Sent by that, whether the answer is quick or takes a while.
            is_pending(&mut call).await;
            calls.push(call);
        } else {
            a.abcast(&targets, &name, message(&bytes)).await.expect("it is sent");
        }
    }
    for mut call in calls {
        call.as_mut().await;
        let answered = call.as_mut().take_output().is_some_and(|replies| replies.replies.len() == 1);
        assert!(answered, "each call is answered");
    }
    let expected: Vec<u64> = (0..90).collect();
    assert_eq!(probe.until_number(a.name(), 89).await, expected, "one order for casts and calls");
}

pub(crate) async fn bodies_types_and_versions_arrive_as_sent(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    let sizes = [8, 9, 1_000, 65_527, 65_528, 65_536, 200_000, 8];
    for (number, size) in (0..).zip(sizes) {
        let bytes = body(number, size);
        a.abcast(&Targets::All, &server("s"), message(&bytes)).await.expect("it is sent");
    }
    let records = probe.until("all sizes", |records| records.len() == sizes.len()).await;
    for (record, size) in records.iter().zip(sizes) {
        let message = record.message().expect("only casts were sent");
        assert!(message.intact && message.kind == KIND, "the same bytes, of the same type and version: {message:?}");
        assert_eq!(message.size, size, "and as many");
    }
}

pub(crate) async fn an_empty_body_is_a_message(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    a.abcast(&to(&["b"]), &server("s"), message(&[])).await.expect("it is sent");
    let records = probe.until("the cast", |records| !records.is_empty()).await;
    assert_eq!(records[0].message().map(|message| message.size), Some(0), "nothing was added to it");
}

/// How often each value was encoded. Other cases may run in this process, each with values of its own.
static ENCODINGS: Mutex<BTreeMap<u64, u32>> = Mutex::new(BTreeMap::new());

#[derive(Deserialize)]
struct Counted(u64);

impl Counted {
    fn fresh() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }

    fn encodings(&self) -> u32 {
        ENCODINGS.lock().unwrap().get(&self.0).copied().unwrap_or_default()
    }
}

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        *ENCODINGS.lock().unwrap().entry(self.0).or_default() += 1;
        // Long enough to be allocated, and its size does not depend on the number.
        serializer.serialize_bytes(&[self.0.to_le_bytes(); 128].concat())
    }
}

impl Message for Counted {
    const ID: u16 = 9;
    const VERSION: u8 = 1;
}

impl Request for Counted {
    type Reply = Counted;
}

pub(crate) async fn one_encoding_serves_all_targets(c: &Cluster) {
    let nodes = c.linked(["a", "b", "d"]).await;
    let probes: Vec<_> = nodes.iter().map(|node| node.probe("s")).collect();
    let (cast, call) = (Counted::fresh(), Counted::fresh());
    let sent = nodes[0].cast(&server("s"), &cast).await.expect("it is sent");
    assert_eq!(sent.accepted.len(), 3, "three targets: {sent:?}");
    for probe in &probes {
        let records = probe.until("the cast", |records| !records.is_empty()).await;
        let message = records[0].message().expect("it is a cast");
        assert_eq!((message.kind, message.size), (Counted::KIND, 2 + 1_024), "the same type and bytes everywhere");
    }
    assert_eq!(cast.encodings(), 1, "a cast to three nodes was encoded once");
    let asking = nodes[0].transport();
    let answers = asking.call(&Targets::All, &server("s"), &call, c.timing().patience()).await;
    let answers = answers.expect("bytes encode");
    assert_eq!(answers.replies.len() + answers.failed.len(), 3, "three targets");
    for probe in &probes {
        probe.until("the call", |records| records.len() == 2).await;
    }
    assert_eq!(call.encodings(), 1, "and so was a call");
}

pub(crate) async fn a_cast_that_waits_for_room_is_not_encoded_again(c: &Cluster) {
    let [a, b, _d] = c.linked(["a", "b", "d"]).await;
    let probe = b.probe("s");
    probe.pause();
    // What is smaller than the others may still find room, until there is none for that either.
    for (targets, size) in [(to(&["b"]), 16 << 10), (Targets::All, 8)] {
        Traffic::new(&a, targets, &server("s")).with_size(size).fill(c.t() / 4, MOST).await;
    }
    let cast = Counted::fresh();
    let sender = a.transport();
    let name = server("s");
    let mut waiting = Box::pin(sender.cast(&name, &cast));
    assert!(is_pending(&mut waiting).await, "there is no room at b");
    probe.resume();
    let sent = tokio::time::timeout(c.timing().patience(), waiting).await.expect("there is room again");
    assert_eq!(sent.expect("it is sent").accepted.len(), 3, "all three have it");
    assert_eq!(cast.encodings(), 1, "encoded once, although it had to wait");
}
