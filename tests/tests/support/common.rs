//! What every harness of this crate's own tests needs: clocks, stores, and a stranger that greets.

#![allow(dead_code)] // not every test file uses all of it

use async_trait::async_trait;
use bytes::Bytes;
use pingpong_conformance::{Clock, Greeted};
use pingpong_core::config::{IncarnationStore, Limits, OutsideWorld};
use pingpong_core::link::{Closed, Connection, LaneSender, Priority};
use pingpong_core::session::{Hello, Message, Versions};
use pingpong_core::wire::{LaneHeader, LaneRole, decode_close, encode_control, encode_lane_header};
use pingpong_core::{ClusterName, Incarnation, NodeName};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The cluster of all nodes that are not told another one.
pub(crate) const CLUSTER: &str = "conformance";
/// The wall clock when a case begins, in milliseconds since 1970.
pub(crate) const BEGIN: u64 = 1_800_000_000_000;

/// Says `Hello` as a stranger of that cluster and these versions, and returns what the node says.
pub(crate) async fn greet(
    connection: &impl Connection,
    name: NodeName,
    cluster: &ClusterName,
    versions: Versions,
) -> Greeted {
    let hello = Hello {
        cluster: cluster.clone(),
        versions,
        name,
        incarnation: Incarnation::new(BEGIN, 1),
        moment: 1,
        held: None,
        random: 1,
        failure_timeout_millis: 2_000,
        lanes: Limits::default().lanes as _,
        addresses: Vec::new(),
    };
    let mut control = connection.open(Priority::Control).await.unwrap();
    let header = encode_lane_header(&LaneHeader { lane: 0, role: LaneRole::Control }).unwrap();
    control.send(header).await.unwrap();
    control.send(encode_control(&Message::Hello(Box::new(hello))).unwrap()).await.unwrap();
    // A node that goes on talking opens its control lane; one that refuses closes.
    let answered = tokio::select! {
        biased;
        closed = connection.closed() => Greeted::Refused(why(closed)),
        lane = connection.accept() => match lane {
            Ok(_) => after(connection).await,
            Err(_) => Greeted::Refused(why(connection.closed().await)),
        },
    };
    connection.close(Bytes::new());
    answered
}

/// A node may open its lane before it reads the greeting.
async fn after(connection: &impl Connection) -> Greeted {
    match tokio::time::timeout(Duration::from_millis(500), connection.closed()).await {
        Ok(closed) => Greeted::Refused(why(closed)),
        Err(_) => Greeted::Answered,
    }
}

fn why(closed: Closed) -> String {
    match closed {
        Closed::ByPeer(reason) => decode_close(&reason).to_string(),
        other => format!("{other:?}"),
    }
}

/// A wall clock that follows the paused one, and counted instead of random bits.
pub(crate) struct Outside {
    clock: Clock,
    bits: AtomicU64,
    begin: Instant,
}

impl Outside {
    pub(crate) fn new(clock: Clock, bits: AtomicU64, begin: Instant) -> Self {
        Self { clock, bits, begin }
    }
}

impl OutsideWorld for Outside {
    fn wall_millis(&self) -> u64 {
        let right = BEGIN + self.begin.elapsed().as_millis() as u64;
        match self.clock {
            Clock::Right => right,
            Clock::Behind(by) => right - by.as_millis() as u64,
            Clock::Ahead(by) => right + by.as_millis() as u64,
        }
    }

    fn random(&self) -> u64 {
        // Every bit of the counter moves many of the result.
        let n = self.bits.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (n ^ (n >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }
}

/// A store in memory.
#[derive(Default)]
pub(crate) struct Stored(Mutex<Option<Incarnation>>);

#[async_trait]
impl IncarnationStore for Stored {
    async fn load(&self) -> Result<Option<Incarnation>, String> {
        Ok(*self.0.lock().unwrap())
    }

    async fn store(&self, incarnation: Incarnation) -> Result<(), String> {
        *self.0.lock().unwrap() = Some(incarnation);
        Ok(())
    }
}
