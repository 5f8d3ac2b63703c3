//! The pieces of the data path, one by one: `cargo bench -p pingpong-core`. What they come to together is `pingpong-node bench`.
//!
//! | group | what is measured |
//! | --- | --- |
//! | `encode` | a ping of 16 bytes, to bytes |
//! | `split` | a block of 64 KiB as it comes from the network, to a batch of whole frames |
//! | `batch` | all messages of such a batch, decoded |
//! | `cast` | from the sender's call to the handler, on one node: lane, mailbox and server |
//! | `detector` | what a heartbeat costs the session's failure detector |

#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a benchmark that fails may end

use async_trait::async_trait;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pingpong_core::inbox::{Batch, CallTag, Dropped, Origin, Room};
use pingpong_core::message::{Encoded, Message, Request};
use pingpong_core::session::{Detector, Verdict, tick_length};
use pingpong_core::transport::CallFailure;
use pingpong_core::wire::{Content, Prefix, Splitter};
use pingpong_core::{
    Address, ClusterName, Context, Incarnation, Mesh, MeshConfig, Node, NodeName, Server, ServerName, SpawnOptions,
    Targets, Transport, TransportExt, server,
};
use pingpong_transport_mem::MemNetwork;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

const BLOCK: usize = 64 << 10;

/// 16 bytes, whatever the numbers are.
#[derive(Serialize, Deserialize)]
struct Ping {
    producer: [u8; 8],
    number: [u8; 8],
}

impl Ping {
    fn new(number: u64) -> Self {
        Self { producer: [7; 8], number: number.to_le_bytes() }
    }
}

impl Message for Ping {
    const ID: u16 = 1;
    const VERSION: u8 = 0;
}

#[derive(Serialize, Deserialize)]
struct Ask;

impl Message for Ask {
    const ID: u16 = 2;
    const VERSION: u8 = 0;
}

impl Request for Ask {
    type Reply = Last;
}

#[derive(Serialize, Deserialize)]
struct Last(u64);

impl Message for Last {
    const ID: u16 = 3;
    const VERSION: u8 = 0;
}

/// Frames of pings, as many as a block holds.
fn block() -> (Vec<u8>, u64) {
    let body = Ping::new(1).encode().unwrap();
    let mut prefix = Prefix::cast(Ping::KIND, None);
    let frame = [prefix.finish(body.len()), &body].concat();
    let frames = BLOCK / frame.len();
    (frame.repeat(frames), frames as u64)
}

/// A session that nothing is answered to.
struct Nobody(Node);

#[async_trait]
impl Origin for Nobody {
    fn node(&self) -> &Node {
        &self.0
    }

    fn is_over(&self) -> bool {
        false
    }

    fn awaits(&self, _: CallTag, _: tokio::time::Instant) -> bool {
        true
    }

    async fn reply(&self, _: CallTag, _: Result<Encoded<'_>, CallFailure>) {}

    fn reply_now(&self, _: CallTag, _: CallFailure) {}

    fn count(&self, _: Dropped, _: u64) {}
}

/// Keeps the last number, and counts nothing.
struct Counter(u64);

impl Server for Counter {
    type Cast = Ping;
    type Call = Ask;
    type Info = ();

    async fn cast(&mut self, _: &Node, ping: Ping, _: &mut Context<Self>) {
        self.0 = u64::from_le_bytes(ping.number);
    }

    async fn call(&mut self, _: &Node, Ask: Ask, _: &mut Context<Self>) -> Last {
        Last(self.0)
    }
}

fn name() -> NodeName {
    NodeName::new("a").unwrap()
}

fn encode(c: &mut Criterion) {
    c.benchmark_group("encode").throughput(Throughput::Elements(1)).bench_function("ping of 16 bytes", |b| {
        b.iter(|| black_box(Ping::new(black_box(7))).encode());
    });
}

fn split(c: &mut Criterion) {
    let (block, frames) = block();
    c.benchmark_group("split").throughput(Throughput::Elements(frames)).bench_function("64 KiB of pings", |b| {
        let mut splitter = Splitter::new(BLOCK, Content::Messages);
        b.iter(|| {
            splitter.push(&block);
            splitter.batch()
        });
    });
}

fn batch(c: &mut Criterion) {
    let (block, frames) = block();
    let frozen = Bytes::from(block);
    let (room, progress) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicU64::new(0)));
    let origin: Arc<dyn Origin> = Arc::new(Nobody(Node { name: name(), incarnation: Incarnation::new(1, 1) }));
    c.benchmark_group("batch").throughput(Throughput::Elements(frames)).bench_function("64 KiB of pings", |b| {
        b.iter(|| {
            let permit = Arc::clone(&room).try_acquire_owned().unwrap();
            let room = Room::new(permit, Arc::clone(&progress));
            let mut batch = Batch::new(Arc::clone(&origin), frozen.clone(), Some(room));
            while let Some(delivery) = batch.next() {
                black_box(Ping::decode(delivery.kind, delivery.body).unwrap());
            }
        });
    });
}

fn cast(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    c.benchmark_group("cast").throughput(Throughput::Elements(1)).bench_function("to the own node", |b| {
        b.iter_custom(|pings| {
            let work = runtime.spawn(async move {
                let link = MemNetwork::new(1).bind(name(), Address::new("a:1").unwrap()).unwrap();
                let config = MeshConfig::new(ClusterName::new("bench").unwrap(), name());
                let transport: Arc<dyn Transport> = Arc::new(Mesh::start(link, config).await.unwrap());
                let counter = ServerName::new("counter").unwrap();
                let options = SpawnOptions::default();
                let server = server::spawn(Arc::clone(&transport), counter.clone(), || Counter(0), options).unwrap();
                let began = Instant::now();
                for number in 1..=pings {
                    transport.cast(&counter, &Ping::new(number)).await.unwrap();
                }
                let answer = transport.call(&Targets::All, &counter, &Ask, Duration::from_secs(60)).await.unwrap();
                assert_eq!(answer.replies[0].reply.0, pings, "the last one has come");
                let took = began.elapsed();
                server.stop().await.unwrap();
                transport.shutdown(Duration::from_secs(1)).await;
                took
            });
            runtime.block_on(work).unwrap()
        });
    });
}

fn detector(c: &mut Criterion) {
    let timeout = Duration::from_secs(2);
    c.benchmark_group("detector").throughput(Throughput::Elements(1)).bench_function("a heartbeat and a tick", |b| {
        let (mut now, tick) = (Duration::ZERO, tick_length(timeout));
        let mut detector = Detector::new(timeout, now);
        b.iter(|| {
            now += tick;
            detector.heard(now);
            assert!(matches!(detector.tick(now), Verdict::Alive));
        });
    });
}

criterion_group!(pieces, encode, split, batch, cast, detector);
criterion_main!(pieces);
