//! The mesh on the simplest of links. What it promises under faults, the conformance suite tests.

mod exchange;
mod pipe;
mod stores;
mod trouble;

use super::*;
use crate::inbox::Entry;
use crate::message::MessageType;
use crate::monitor::NodeChange;
use crate::transport::CallFailure;
use crate::{Address, ClusterName, DownReason};
use pipe::{PipeLink, Pipes};

const KIND: MessageType = MessageType { id: 1, version: 0 };
const SECOND: Duration = Duration::from_secs(1);

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn server(text: &str) -> ServerName {
    ServerName::new(text).unwrap()
}

fn encoded(body: &[u8]) -> Encoded<'_> {
    Encoded { kind: KIND, body }
}

async fn start(pipes: &Pipes, own: &str, seeds: &[&str]) -> Mesh<PipeLink> {
    let mut config = MeshConfig::new(ClusterName::new("test").unwrap(), name(own));
    config.seeds = seeds.iter().map(|s| Address::new(s).unwrap()).collect();
    Mesh::start(pipes.bind(&config.name), config).await.unwrap()
}

/// Waits until all see each other.
async fn linked(nodes: &[&Mesh<PipeLink>]) {
    for node in nodes {
        let mut events = node.monitor();
        let wait = async {
            while node.list().len() < nodes.len() - 1 {
                events.next().await.expect("the node runs");
            }
        };
        tokio::time::timeout(20 * SECOND, wait).await.expect("links come up");
    }
}

/// A server that answers calls with its own body, and keeps what is cast to it.
fn echo(node: &Mesh<PipeLink>, own: &str) -> tokio::sync::mpsc::Receiver<(Node, Vec<u8>)> {
    let mut inbox = node.register(&server(own), ServerOptions::new()).unwrap();
    let (casts, receiver) = tokio::sync::mpsc::channel(1_000);
    tokio::spawn(async move {
        let mut entries = VecDeque::new();
        while inbox.take(&mut entries).await.is_ok() {
            for entry in entries.drain(..) {
                let Entry::Messages(mut batch) = entry else { continue };
                let from = batch.from().clone();
                while let Some(delivery) = batch.next() {
                    let body = delivery.body.to_vec();
                    match delivery.caller {
                        Some(caller) => caller.reply(Ok(encoded(&body))).await,
                        None => drop(casts.send((from.clone(), body)).await),
                    }
                }
            }
        }
    });
    receiver
}

#[tokio::test(start_paused = true)]
async fn one_seed_makes_a_full_mesh_and_casts_arrive_in_order_everywhere() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    let c = start(&pipes, "c", &["a"]).await;
    let mut received = [echo(&a, "s"), echo(&b, "s"), echo(&c, "s")];
    linked(&[&a, &b, &c]).await;
    for n in 0..1_000_u32 {
        let sent = b.abcast(&Targets::All, &server("s"), encoded(&n.to_le_bytes())).await.unwrap();
        assert_eq!(sent.accepted.len(), 3);
    }
    for casts in &mut received {
        for n in 0..1_000_u32 {
            let (from, body) = casts.recv().await.unwrap();
            assert_eq!((from, body), (b.node(), n.to_le_bytes().to_vec()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_has_one_outcome_for_each_target() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    let _casts = [echo(&a, "s")];
    linked(&[&a, &b]).await;
    let targets = Targets::Nodes(vec![name("a"), name("b"), name("nobody")]);
    let replies = b.multi_call(&targets, &server("s"), encoded(b"hello"), SECOND).await;
    assert_eq!(replies.replies.len(), 1);
    assert_eq!((&replies.replies[0].node, &replies.replies[0].reply.body[..]), (&a.node(), &b"hello"[..]));
    let failed: Vec<_> = replies.failed.iter().map(|f| (f.name.as_str(), f.reason.clone())).collect();
    assert_eq!(failed, [("b", CallFailure::NoSuchServer), ("nobody", CallFailure::NotLinked)]);
    assert_eq!(b.counters().no_such_server, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_costs_the_deadline_and_no_more() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    let _silent = a.register(&server("s"), ServerOptions::new()).unwrap();
    linked(&[&a, &b]).await;
    let began = Instant::now();
    let replies = b.multi_call(&Targets::node(name("a")), &server("s"), encoded(b"x"), SECOND).await;
    assert!(began.elapsed() < SECOND + Duration::from_millis(10), "{:?}", began.elapsed());
    assert_eq!(replies.failed[0].reason, CallFailure::DeadlinePassed { sent: true });
}

#[tokio::test(start_paused = true)]
async fn a_graceful_shutdown_hands_everything_over_and_is_seen_as_left() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    let mut casts = echo(&a, "s");
    linked(&[&a, &b]).await;
    let mut events = a.monitor();
    assert!(events.next().await.unwrap().is_up());
    for n in 0..100_u32 {
        b.abcast(&Targets::node(name("a")), &server("s"), encoded(&n.to_le_bytes())).await.unwrap();
    }
    let end = b.shutdown(5 * SECOND).await;
    assert!(end.flushed);
    assert_eq!(events.next().await.unwrap().change, NodeChange::Down(DownReason::Left { flushed: true }));
    for n in 0..100_u32 {
        assert_eq!(casts.recv().await.unwrap().1, n.to_le_bytes());
    }
    assert!(matches!(b.abcast(&Targets::All, &server("s"), encoded(b"x")).await, Err(SendError::ShuttingDown)));
    assert_eq!(b.stopped().await, StopReason::Shutdown);
    assert!(a.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_link_comes_back_in_a_new_session() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    linked(&[&a, &b]).await;
    let mut events = a.monitor();
    assert!(events.next().await.unwrap().is_up());
    assert!(b.disconnect(&name("a")).await);
    assert_eq!(events.next().await.unwrap().change, NodeChange::Down(DownReason::Disconnected));
    assert!(events.next().await.unwrap().is_up());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_behind() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    linked(&[&a, &b]).await;
    a.abcast(&Targets::All, &server("s"), encoded(b"x")).await.unwrap();
    a.shutdown(SECOND).await;
    b.shutdown(SECOND).await;
    // The drivers themselves end right after they said so.
    tokio::task::yield_now().await;
    assert_eq!(metrics.num_alive_tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_of_another_name_or_with_too_few_lanes_is_not_started_on() {
    let pipes = Pipes::default();
    let config = MeshConfig::new(ClusterName::new("test").unwrap(), name("a"));
    let error = Mesh::start(pipes.bind(&name("b")), config.clone()).await.unwrap_err().to_string();
    let expected =
        "the node is configured as a, its identity is that of b; correct the name, or give it an identity of that name";
    assert_eq!(error, expected);
    let mut many = config;
    many.limits.lanes = 1_000;
    many.limits.max_memory = u64::MAX;
    let error = Mesh::start(pipes.bind(&name("a")), many).await.unwrap_err();
    assert!(matches!(error, StartError::Lanes { needed: 1_003, lanes: 1_002 }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_operator_sees_each_link_as_both_sides_know_it() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    linked(&[&a, &b]).await;
    // Heartbeats have measured the way by then.
    tokio::time::sleep(SECOND).await;
    let (at_a, at_b) = (a.links().await, b.links().await);
    assert_eq!((at_a.len(), at_b.len()), (1, 1));
    assert_eq!((&at_a[0].node, &at_b[0].node), (&b.node(), &a.node()));
    assert_eq!(at_a[0].session, at_b[0].session);
    assert!(at_a[0].round_trip.is_some() && at_a[0].age >= SECOND && at_a[0].queued_bytes == 0, "{at_a:?}");
    assert_eq!(at_a[0].remote.as_str(), "b");
    // A server that takes nothing: what is sent to it waits here.
    let _stuck = a.register(&server("s"), ServerOptions::new()).unwrap();
    let large = vec![0; 60_000];
    while b.try_abcast(&Targets::node(name("a")), &server("s"), encoded(&large), WhenFull::Refuse).is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(b.links().await[0].queued_bytes > 60_000);
    b.shutdown(Duration::ZERO).await;
    assert!(b.links().await.is_empty());
}
