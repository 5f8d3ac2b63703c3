//! What the tests share. The clock is paused: a `tokio::time::timeout` costs nothing and proves that something hangs.

use bytes::Bytes;
use pingpong_core::link::{Broken, Connection, LaneReceiver, LaneSender, Link, Priority};
use pingpong_core::{Address, NodeName};
use pingpong_transport_mem::{MemConnection, MemLink, MemNetwork, MemReceiver, MemSender};
use std::future::Future;
use std::time::Duration;

pub(crate) const WAIT: Duration = Duration::from_secs(10);

pub(crate) fn at(address: &str) -> Address {
    Address::new(address).unwrap()
}

pub(crate) fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

/// A link whose address is its name.
pub(crate) fn bind(network: &MemNetwork, host: &str) -> MemLink {
    network.bind(name(host), at(host)).unwrap()
}

/// Must be ready before long.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT, future).await.expect("it hangs")
}

/// Must not be ready, however long one waits.
pub(crate) async fn hangs<T>(future: impl Future<Output = T>) {
    assert!(tokio::time::timeout(WAIT, future).await.is_err(), "it should hang");
}

/// Two linked hosts, a and b.
pub(crate) struct Pair {
    pub(crate) network: MemNetwork,
    pub(crate) a: MemLink,
    pub(crate) b: MemLink,
    pub(crate) at_a: MemConnection,
    pub(crate) at_b: MemConnection,
}

impl Pair {
    pub(crate) async fn new(network: MemNetwork) -> Self {
        let (a, b) = (bind(&network, "a"), bind(&network, "b"));
        let (at_a, at_b) = connect(&a, &b).await;
        Self { network, a, b, at_a, at_b }
    }

    /// A lane from a to b, told by its first bytes.
    pub(crate) async fn lane(&self) -> (MemSender, MemReceiver) {
        let mut sender = self.at_a.open(Priority::Server).await.unwrap();
        soon(send(&mut sender, "hello")).await.unwrap();
        let mut receiver = soon(self.at_b.accept()).await.unwrap();
        assert_eq!(text(&mut receiver).await, "hello");
        (sender, receiver)
    }
}

pub(crate) async fn connect(from: &MemLink, to: &MemLink) -> (MemConnection, MemConnection) {
    let dialled = soon(from.dial(&to.addresses()[0], None)).await.unwrap();
    (dialled, soon(to.accept()).await.unwrap())
}

pub(crate) async fn send(lane: &mut MemSender, text: &str) -> Result<(), Broken> {
    lane.send(Bytes::copy_from_slice(text.as_bytes())).await
}

/// One piece.
pub(crate) async fn piece(lane: &mut MemReceiver) -> Result<Option<Bytes>, Broken> {
    let mut chunks = [Bytes::new()];
    let count = soon(lane.recv(&mut chunks)).await?;
    let [chunk] = chunks;
    Ok((count > 0).then_some(chunk))
}

pub(crate) async fn text(lane: &mut MemReceiver) -> String {
    String::from_utf8(piece(lane).await.unwrap().expect("the lane has ended").to_vec()).unwrap()
}

/// Nothing is there to be read now.
pub(crate) async fn is_empty(lane: &mut MemReceiver) {
    hangs(lane.recv(&mut [Bytes::new()])).await;
}

pub(crate) fn word(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}
