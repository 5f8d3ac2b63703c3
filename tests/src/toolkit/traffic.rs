//! Numbered casts from one node to a server on others.

use super::cluster::TestNode;
use super::{Probe, Record, body, message, numbers};
use pingpong_core::transport::SendError;
use pingpong_core::{Sent, ServerName, Targets, WhenFull};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Sends casts with rising numbers, from 0.
pub struct Traffic {
    node: TestNode,
    targets: Targets,
    server: ServerName,
    next: u64,
    size: usize,
}

impl Traffic {
    /// From `node` to `server` on `targets`.
    pub fn new(node: &TestNode, targets: Targets, server: &ServerName) -> Self {
        Self { node: node.clone(), targets, server: server.clone(), next: 0, size: 8 }
    }

    /// With bodies of that many bytes.
    #[must_use]
    pub fn with_size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// From that number on.
    #[must_use]
    pub fn starting_at(mut self, number: u64) -> Self {
        self.next = number;
        self
    }

    /// The number of the next cast.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Sends one cast, waiting for room.
    pub async fn cast(&mut self) -> Sent {
        let body = body(self.next, self.size);
        let sending = self.node.abcast(&self.targets, &self.server, message(&body));
        let patience = self.node.timing().patience();
        let sent = match timeout(patience, sending).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(error)) => panic!("cast {} of {}: {error}", self.next, self.node.place()),
            Err(_) => panic!("cast {} of {} found no room within {patience:?}", self.next, self.node.place()),
        };
        self.next += 1;
        sent
    }

    /// Sends that many casts, waiting for room.
    pub async fn casts(&mut self, count: u64) {
        for _ in 0..count {
            self.cast().await;
        }
    }

    /// Sends one cast if there is room.
    ///
    /// # Errors
    /// As the transport says; the number is not used up then.
    pub fn try_cast(&mut self) -> Result<Sent, SendError> {
        let body = body(self.next, self.size);
        let sent = self.node.try_abcast(&self.targets, &self.server, message(&body), WhenFull::Refuse)?;
        self.next += 1;
        Ok(sent)
    }

    /// Sends casts until one of them has been delivered to `probe`, a server of its only target. Then both nodes are in one
    /// session, and what was before it has been told to everybody who asks.
    pub async fn until_through(&mut self, probe: &Probe) {
        let (first, from) = (self.next, self.node.name().clone());
        let timing = self.node.timing();
        let deadline = Instant::now() + timing.patience();
        let through = |seen: &[Record]| numbers(seen, &from).last().is_some_and(|last| *last >= first);
        loop {
            self.cast().await;
            if probe.saw_within(timing.failure / 20, through).await {
                return;
            }
            assert!(Instant::now() < deadline, "no cast of {} from {first} on was delivered", self.node.place());
        }
    }

    /// Sends until there is no room for `settle`, and returns the number of casts that found room.
    ///
    /// # Panics
    /// When more than `most` found room: the queue is not bounded.
    pub async fn fill(&mut self, settle: Duration, most: u64) -> u64 {
        let first = self.next;
        loop {
            let body = body(self.next, self.size);
            let sending = self.node.abcast(&self.targets, &self.server, message(&body));
            match timeout(settle, sending).await {
                Ok(Ok(_)) => self.next += 1,
                Ok(Err(error)) => panic!("cast {} of {}: {error}", self.next, self.node.place()),
                Err(_) => return self.next - first,
            }
            assert!(
                self.next - first <= most,
                "{most} casts of {} bytes found room, and there is still more",
                self.size
            );
        }
    }

    /// Sends a cast every `spacing` for that much time.
    pub async fn flow(&mut self, time: Duration, spacing: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.cast().await;
            tokio::time::sleep(spacing).await;
        }
    }
}
