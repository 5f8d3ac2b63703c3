//! One QUIC connection, and its lanes.

use bytes::Bytes;
use pingpong_core::link::{Broken, Closed, Connection, LaneReceiver, LaneSender, Priority};
use pingpong_core::{Address, NodeName};
use quinn::{ConnectionError, VarInt};

/// An authenticated connection. Dropping it closes it, without a reason.
#[derive(Debug)]
pub struct QuicConnection {
    inner: quinn::Connection,
    peer: NodeName,
    remote: Address,
}

impl QuicConnection {
    pub(crate) fn new(inner: quinn::Connection, peer: NodeName, remote: Address) -> Self {
        Self { inner, peer, remote }
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> Broken {
        Broken(format!("{} at {}: {error}", self.peer, self.remote))
    }
}

impl Drop for QuicConnection {
    fn drop(&mut self) {
        self.inner.close(VarInt::from_u32(0), &[]);
    }
}

impl Connection for QuicConnection {
    type Sender = QuicSender;
    type Receiver = QuicReceiver;

    fn peer(&self) -> &NodeName {
        &self.peer
    }

    fn remote(&self) -> Address {
        self.remote.clone()
    }

    async fn open(&self, priority: Priority) -> Result<QuicSender, Broken> {
        let stream = self.inner.open_uni().await.map_err(|e| self.broken(&e))?;
        let order = match priority {
            Priority::Server => 0,
            Priority::Replies => 10,
            Priority::Control => 20,
        };
        stream.set_priority(order).map_err(|e| self.broken(&e))?;
        Ok(QuicSender { stream, connection: self.inner.clone() })
    }

    async fn accept(&self) -> Result<QuicReceiver, Broken> {
        let stream = self.inner.accept_uni().await.map_err(|e| self.broken(&e))?;
        Ok(QuicReceiver { stream, connection: self.inner.clone() })
    }

    fn send_datagram(&self, datagram: Bytes) {
        // Lost as any datagram may be: the detector counts what arrives.
        let _ = self.inner.send_datagram(datagram);
    }

    async fn recv_datagram(&self) -> Result<Bytes, Broken> {
        self.inner.read_datagram().await.map_err(|e| self.broken(&e))
    }

    fn packets(&self) -> u64 {
        self.inner.stats().udp_rx.datagrams
    }

    fn close(&self, reason: Bytes) {
        self.inner.close(VarInt::from_u32(0), &reason);
    }

    async fn closed(&self) -> Closed {
        match self.inner.closed().await {
            ConnectionError::ApplicationClosed(close) => Closed::ByPeer(close.reason),
            ConnectionError::LocallyClosed => Closed::Here,
            other => Closed::Lost(other.to_string()),
        }
    }
}

/// The sending end of a lane.
#[derive(Debug)]
pub struct QuicSender {
    stream: quinn::SendStream,
    connection: quinn::Connection,
}

impl LaneSender for QuicSender {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Broken> {
        self.stream.write_chunk(bytes).await.map_err(|error| {
            // No lane ends alone (L2).
            self.connection.close(VarInt::from_u32(0), &[]);
            Broken(error.to_string())
        })
    }
}

/// The receiving end of a lane.
#[derive(Debug)]
pub struct QuicReceiver {
    stream: quinn::RecvStream,
    connection: quinn::Connection,
}

impl LaneReceiver for QuicReceiver {
    async fn recv(&mut self, chunks: &mut [Bytes]) -> Result<usize, Broken> {
        match self.stream.read_chunks(chunks).await {
            Ok(count) => Ok(count.unwrap_or(0)),
            Err(error) => {
                self.connection.close(VarInt::from_u32(0), &[]);
                Err(Broken(error.to_string()))
            }
        }
    }
}
