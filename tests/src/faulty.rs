//! Faults of single lanes, for whoever builds on [`Link`]: a wrapper around any link.
//!
//! A network has no such faults, so no network can be asked for them. They show what becomes of a peer whose lanes take no
//! byte while its heartbeats pass (O3), and of a lane that fails although its connection lives (C3).

use bytes::Bytes;
use pingpong_core::link::{Broken, Closed, Connection, DialError, Endpoint, LaneReceiver, Link, Path, Priority};
use pingpong_core::{Address, NodeName};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Switches of the lanes that lead to one endpoint. A clone is the same switches; they outlive the endpoint.
#[derive(Clone, Debug, Default)]
pub struct LaneFaults {
    frozen: watch::Sender<bool>,
    breaks: Arc<AtomicBool>,
}

impl LaneFaults {
    /// Without a fault.
    pub fn new() -> Self {
        Self::default()
    }

    /// No lane but the control lane brings a byte any more; what the link itself holds for a lane fills up.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// The lanes bring what has come meanwhile, and go on.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    /// The next lane but the control lane that brings bytes fails, once.
    pub fn break_lane(&self) {
        self.breaks.store(true, Ordering::SeqCst);
    }

    /// An endpoint whose lanes obey these switches.
    pub fn around<L: Link>(&self, link: L) -> FaultyLink<L> {
        FaultyLink { inner: link, faults: self.clone() }
    }
}

/// Another link with [`LaneFaults`].
#[derive(Debug)]
pub struct FaultyLink<L> {
    inner: L,
    faults: LaneFaults,
}

/// A connection of another link, with its [`LaneFaults`].
#[derive(Debug)]
pub struct FaultyConnection<C> {
    inner: C,
    faults: LaneFaults,
    /// The first lane that a peer opens is its control lane.
    begun: AtomicBool,
}

/// The receiving end of a lane, with its [`LaneFaults`]; none for the control lane.
#[derive(Debug)]
pub struct FaultyReceiver<R> {
    inner: R,
    faults: Option<LaneFaults>,
}

impl<L: Link> FaultyLink<L> {
    fn wrap(&self, inner: L::Connection) -> FaultyConnection<L::Connection> {
        FaultyConnection { inner, faults: self.faults.clone(), begun: AtomicBool::new(false) }
    }
}

impl<L: Link> Link for FaultyLink<L> {
    type Connection = FaultyConnection<L::Connection>;

    fn endpoint(&self) -> Endpoint {
        self.inner.endpoint()
    }

    fn addresses(&self) -> Vec<Address> {
        self.inner.addresses()
    }

    async fn dial(&self, address: &Address, expect: Option<&NodeName>) -> Result<Self::Connection, DialError> {
        Ok(self.wrap(self.inner.dial(address, expect).await?))
    }

    async fn accept(&self) -> Option<Self::Connection> {
        Some(self.wrap(self.inner.accept().await?))
    }

    async fn close(&self, deadline: Duration) {
        self.inner.close(deadline).await;
    }
}

impl<C: Connection> Connection for FaultyConnection<C> {
    type Sender = C::Sender;
    type Receiver = FaultyReceiver<C::Receiver>;

    fn peer(&self) -> &NodeName {
        self.inner.peer()
    }

    fn remote(&self) -> Address {
        self.inner.remote()
    }

    async fn open(&self, priority: Priority) -> Result<Self::Sender, Broken> {
        self.inner.open(priority).await
    }

    async fn accept(&self) -> Result<Self::Receiver, Broken> {
        let inner = self.inner.accept().await?;
        let control = !self.begun.swap(true, Ordering::SeqCst);
        Ok(FaultyReceiver { inner, faults: (!control).then(|| self.faults.clone()) })
    }

    fn send_datagram(&self, datagram: Bytes) {
        self.inner.send_datagram(datagram);
    }

    async fn recv_datagram(&self) -> Result<Bytes, Broken> {
        self.inner.recv_datagram().await
    }

    fn packets(&self) -> u64 {
        self.inner.packets()
    }

    fn path(&self) -> Path {
        self.inner.path()
    }

    fn close(&self, reason: Bytes) {
        self.inner.close(reason);
    }

    async fn closed(&self) -> Closed {
        self.inner.closed().await
    }
}

impl<R: LaneReceiver> LaneReceiver for FaultyReceiver<R> {
    async fn recv(&mut self, chunks: &mut [Bytes]) -> Result<usize, Broken> {
        let Some(faults) = &self.faults else { return self.inner.recv(chunks).await };
        let mut frozen = faults.frozen.subscribe();
        let received = loop {
            // The sender lives in the faults that this holds.
            let _ = frozen.wait_for(|frozen| !frozen).await;
            tokio::select! {
                biased;
                // What comes from now on must not pass, also if it was waited for before.
                _ = frozen.wait_for(|frozen| *frozen) => {}
                received = self.inner.recv(chunks) => break received?,
            }
        };
        if received > 0 && faults.breaks.swap(false, Ordering::SeqCst) {
            return Err(Broken("the lane fails, as it was told to".to_owned()));
        }
        Ok(received)
    }
}
