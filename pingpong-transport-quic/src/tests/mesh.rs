//! The Mesh on this backend.

use super::*;
use pingpong_core::inbox::{Entry, ServerOptions};
use pingpong_core::mesh::Mesh;
use pingpong_core::message::{Encoded, MessageType};
use pingpong_core::{DownReason, MeshConfig, NodeChange, ServerName, Targets, Transport};
use std::collections::VecDeque;
use tokio::task::JoinHandle;

fn encoded(body: &[u8]) -> Encoded<'_> {
    Encoded { kind: MessageType { id: 1, version: 0 }, body }
}

async fn start(authority: &Authority, own: &str, seeds: Vec<Address>) -> (Mesh<QuicLink>, Address) {
    let link = bind(issue(authority, own));
    let at = address(&link);
    let mut config = MeshConfig::new(ClusterName::new("test").unwrap(), name(own));
    config.seeds = seeds;
    (Mesh::start(link, config).await.unwrap(), at)
}

async fn linked(from: &Mesh<QuicLink>, peers: usize) {
    let mut events = from.monitor();
    soon(async {
        while from.list().len() < peers {
            events.next().await.expect("the node runs");
        }
    })
    .await;
}

/// Answers calls with their own body, until it has had that many casts.
fn serve(node: &Mesh<QuicLink>, server: &ServerName, casts: u32) -> JoinHandle<Vec<Vec<u8>>> {
    let mut inbox = node.register(server, ServerOptions::new()).unwrap();
    tokio::spawn(async move {
        let (mut entries, mut received) = (VecDeque::new(), Vec::new());
        while received.len() < casts as usize && inbox.take(&mut entries).await.is_ok() {
            for entry in entries.drain(..) {
                let Entry::Messages(mut batch) = entry else { continue };
                while let Some(delivery) = batch.next() {
                    let body = delivery.body.to_vec();
                    match delivery.caller {
                        Some(caller) => caller.reply(Ok(encoded(&body))).await,
                        None => received.push(body),
                    }
                }
            }
        }
        received
    })
}

#[tokio::test]
async fn nodes_find_each_other_with_one_seed_and_see_each_other_go() {
    let authority = authority();
    let server = ServerName::new("echo").unwrap();
    let (a, at) = start(&authority, "a", Vec::new()).await;
    let (b, _) = start(&authority, "b", vec![at.clone()]).await;
    let (c, _) = start(&authority, "c", vec![at]).await;
    for node in [&a, &b, &c] {
        linked(node, 2).await;
    }
    let served = serve(&b, &server, 1_000);
    let to_b = Targets::node(name("b"));
    let replies = soon(a.multi_call(&to_b, &server, encoded(b"hello"), 10 * SECOND)).await;
    assert_eq!(&replies.replies[0].reply.body[..], b"hello");
    for number in 0..1_000_u32 {
        let sent = soon(a.abcast(&to_b, &server, encoded(&number.to_le_bytes()))).await.unwrap();
        assert_eq!(sent.accepted.len(), 1);
    }
    let expected: Vec<_> = (0..1_000_u32).map(|number| number.to_le_bytes().to_vec()).collect();
    assert_eq!(soon(served).await.unwrap(), expected);

    let mut events = a.monitor();
    for _ in 0..2 {
        assert!(soon(events.next()).await.unwrap().is_up());
    }
    let gone = b.node();
    drop(b);
    let event = soon(events.next()).await.unwrap();
    assert_eq!(event.node, gone);
    assert!(matches!(event.change, NodeChange::Down(_)), "{event:?}");

    assert!(soon(c.shutdown(5 * SECOND)).await.flushed);
    let event = soon(events.next()).await.unwrap();
    assert_eq!(event.change, NodeChange::Down(DownReason::Left { flushed: true }));
}
