//! A connection and its lanes: each lane is one stream in one direction.

use crate::link::address_of;
use crate::{certificate, words};
use bytes::Bytes;
use pingpong_core::link::{Broken, Closed, Connection, LaneReceiver, LaneSender, Priority};
use pingpong_core::{Address, NodeName};
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use rustls::pki_types::CertificateDer;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

const NO_ERROR: VarInt = VarInt::from_u32(0);
const GREATEST_REASON: usize = 512;

/// A connection to a peer that has proved its name. Dropping it closes it, without a reason.
#[derive(Debug)]
pub struct QuicConnection {
    inner: quinn::Connection,
    peer: NodeName,
    remote: Address,
}

impl QuicConnection {
    /// Takes over a connection whose handshake is complete: reads the peer's name out of the certificate that was verified.
    pub(crate) fn new(inner: quinn::Connection) -> Result<Self, String> {
        let remote = address_of(inner.remote_address()).map_err(|error| error.to_string())?;
        match peer_name(&inner) {
            Ok(peer) => Ok(Self { inner, peer, remote }),
            Err(words) => {
                let words = format!("the certificate names no node: {words}");
                inner.close(NO_ERROR, words.as_bytes());
                Err(words)
            }
        }
    }
}

fn peer_name(connection: &quinn::Connection) -> Result<NodeName, String> {
    let identity = connection.peer_identity().ok_or("there is none")?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().map_err(|_| "it is of an unknown kind")?;
    certificate::node_name(chain.first().ok_or("there is none")?)
}

fn broken(error: &ConnectionError) -> Broken {
    Broken(words::failure(error).words)
}

/// No lane ends alone (L2): the connection goes with it.
fn lane_ended(connection: &quinn::Connection, words: &str) -> Broken {
    connection.close(NO_ERROR, b"");
    Broken(words.to_owned())
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

    /// Never waits: what the peer allows is known since the handshake, and grows only when lanes end.
    async fn open(&self, priority: Priority) -> Result<QuicSender, Broken> {
        let mut opening = pin!(self.inner.open_uni());
        let stream = poll_fn(|cx| {
            Poll::Ready(match opening.as_mut().poll(cx) {
                Poll::Ready(opened) => opened.map_err(|error| broken(&error)),
                Poll::Pending => Err(Broken("the peer allows no further lane".to_owned())),
            })
        });
        let stream = stream.await?;
        let priority = match priority {
            Priority::Control => 20,
            Priority::Replies => 10,
            Priority::Server => 0,
        };
        // It fails only for a stream that has ended.
        let _ = stream.set_priority(priority);
        Ok(QuicSender { stream, connection: self.inner.clone() })
    }

    async fn accept(&self) -> Result<QuicReceiver, Broken> {
        let stream = self.inner.accept_uni().await.map_err(|error| broken(&error))?;
        Ok(QuicReceiver { stream, connection: self.inner.clone() })
    }

    fn send_datagram(&self, datagram: Bytes) {
        // Best effort: whether the connection has ended, others say.
        let _ = self.inner.send_datagram(datagram);
    }

    async fn recv_datagram(&self) -> Result<Bytes, Broken> {
        self.inner.read_datagram().await.map_err(|error| broken(&error))
    }

    fn packets(&self) -> u64 {
        self.inner.stats().udp_rx.datagrams
    }

    fn close(&self, reason: Bytes) {
        self.inner.close(NO_ERROR, reason.get(..GREATEST_REASON).unwrap_or(&reason));
    }

    async fn closed(&self) -> Closed {
        match self.inner.closed().await {
            ConnectionError::ApplicationClosed(close) => Closed::ByPeer(close.reason),
            ConnectionError::LocallyClosed => Closed::Here,
            error => Closed::Lost(words::failure(&error).words),
        }
    }
}

impl Drop for QuicConnection {
    fn drop(&mut self) {
        self.inner.close(NO_ERROR, b"");
    }
}

/// The sending end of a lane.
#[derive(Debug)]
pub struct QuicSender {
    stream: SendStream,
    connection: quinn::Connection,
}

impl LaneSender for QuicSender {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Broken> {
        self.stream.write_chunk(bytes).await.map_err(|error| match error {
            WriteError::ConnectionLost(error) => broken(&error),
            WriteError::Stopped(_) => lane_ended(&self.connection, "the peer gave up a lane that it receives"),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => {
                lane_ended(&self.connection, "the lane has ended here")
            }
        })
    }
}

/// The receiving end of a lane.
#[derive(Debug)]
pub struct QuicReceiver {
    stream: RecvStream,
    connection: quinn::Connection,
}

impl LaneReceiver for QuicReceiver {
    async fn recv(&mut self, chunks: &mut [Bytes]) -> Result<usize, Broken> {
        match self.stream.read_chunks(chunks).await {
            Ok(read) => Ok(read.unwrap_or(0)),
            Err(ReadError::ConnectionLost(error)) => Err(broken(&error)),
            Err(ReadError::Reset(_)) => Err(lane_ended(&self.connection, "the peer gave up a lane that it sends")),
            Err(error) => Err(lane_ended(&self.connection, &format!("the lane cannot be read: {error}"))),
        }
    }
}
