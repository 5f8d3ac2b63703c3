//! A connection and its lanes: each lane is one stream in one direction.

use crate::bell::Bells;
use crate::census::Counted;
use crate::link::address_of;
use crate::peer::Peer;
use crate::probe::{Doors, Known};
use crate::renewal::Renewal;
use crate::tls::Tls;
use crate::words::{self, Failure};
use crate::{certificate, probe};
use bytes::Bytes;
use pingpong_core::link::{Broken, Closed, Connection, LaneReceiver, LaneSender, Path, Priority};
use pingpong_core::{Address, NodeName};
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Mutex;

const NO_ERROR: VarInt = VarInt::from_u32(0);
const GREATEST_REASON: usize = 512;

/// A connection to a peer that has proved its name. Dropping it closes it, without a reason.
#[derive(Debug)]
pub struct QuicConnection {
    pub(crate) inner: quinn::Connection,
    peer: Arc<Peer>,
    /// Where it was at first.
    remote: Address,
    own: Own,
    /// Held by the one who looks whether the peer's port is still open.
    looking: Mutex<Known>,
    /// Whether the control lane has been taken.
    controlled: AtomicBool,
    /// If the peer began it.
    _counted: Option<Counted>,
}

/// What a connection knows of its own side.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// Until when the certificate holds, in seconds since 1970 (UTC).
    pub(crate) expires: i64,
    pub(crate) failure_timeout: Duration,
    /// Lanes that the peer may open once they are asked for.
    pub(crate) lanes: VarInt,
    /// What is known of hosts that refuse strangers.
    pub(crate) doors: Doors,
    pub(crate) bells: Bells,
    pub(crate) identity: Renewal,
}

impl QuicConnection {
    /// Takes over a connection whose handshake is complete, and was made with `used`: reads the peer's name out of the certificate
    /// that was verified.
    pub(crate) fn new(
        inner: quinn::Connection,
        own: Own,
        used: &Arc<Tls>,
        counted: Option<Counted>,
    ) -> Result<Self, String> {
        let remote = address_of(inner.remote_address()).map_err(|error| error.to_string())?;
        let known = Known::nothing(inner.remote_address());
        let (name, chain) = peer_of(&inner).map_err(|words| {
            let words = format!("the certificate names no node: {words}");
            inner.close(words::REFUSED, words.as_bytes());
            words
        })?;
        let peer = Arc::new(Peer { connection: inner.clone(), name, chain, ended: OnceLock::new() });
        own.identity.began(&peer, used);
        Ok(Self {
            inner,
            peer,
            remote,
            own,
            looking: Mutex::new(known),
            controlled: AtomicBool::new(false),
            _counted: counted,
        })
    }

    /// Waits until the peer's system has proved that nobody listens there any more.
    async fn refused(&self) {
        let mut known = self.looking.lock().await;
        let Own { failure_timeout, doors, bells, .. } = &self.own;
        probe::refused((doors, bells), &mut known, self, *failure_timeout).await;
    }
}

fn peer_of(connection: &quinn::Connection) -> Result<(NodeName, Vec<CertificateDer<'static>>), String> {
    let identity = connection.peer_identity().ok_or("there is none")?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().map_err(|_| "it is of an unknown kind")?;
    Ok((certificate::node_name(chain.first().ok_or("there is none")?)?, *chain))
}

fn broken(error: &ConnectionError, expires: i64) -> Broken {
    Broken(words::failure(error, expires).words)
}

/// No lane ends alone (L2): the connection goes with it.
fn lane_ended(peer: &Peer, words: String) -> Broken {
    let words = peer.ended.get_or_init(|| words).clone();
    peer.connection.close(NO_ERROR, b"");
    Broken(words)
}

impl Connection for QuicConnection {
    type Sender = QuicSender;
    type Receiver = QuicReceiver;

    fn peer(&self) -> &NodeName {
        &self.peer.name
    }

    fn remote(&self) -> Address {
        // It may have moved.
        address_of(self.inner.remote_address()).unwrap_or_else(|_| self.remote.clone())
    }

    async fn open(&self, priority: Priority) -> Result<QuicSender, Broken> {
        let stream = self.inner.open_uni().await.map_err(|error| broken(&error, self.own.expires))?;
        let priority = match priority {
            Priority::Control => 20,
            Priority::Replies => 10,
            Priority::Server => 0,
        };
        // It fails only for a stream that has ended.
        let _ = stream.set_priority(priority);
        Ok(QuicSender { stream, peer: Arc::clone(&self.peer), expires: self.own.expires })
    }

    /// The peer may open one lane at first, and the others once this is asked for a second one: whoever only shakes hands fills
    /// one window.
    async fn accept(&self) -> Result<QuicReceiver, Broken> {
        if self.controlled.load(Ordering::Relaxed) {
            self.inner.set_max_concurrent_uni_streams(self.own.lanes);
        }
        let stream = self.inner.accept_uni().await.map_err(|error| broken(&error, self.own.expires))?;
        self.controlled.store(true, Ordering::Relaxed);
        Ok(QuicReceiver { stream, peer: Arc::clone(&self.peer), expires: self.own.expires })
    }

    fn send_datagram(&self, datagram: Bytes) {
        // Best effort: whether the connection has ended, others say.
        let _ = self.inner.send_datagram(datagram);
    }

    async fn recv_datagram(&self) -> Result<Bytes, Broken> {
        self.inner.read_datagram().await.map_err(|error| broken(&error, self.own.expires))
    }

    /// Frames, since a packet is counted there only once it is known to be the peer's, and no copy. Every kind counts that a
    /// packet may consist of alone.
    fn packets(&self) -> u64 {
        let frames = self.inner.stats().frame_rx;
        let lanes =
            frames.stream + frames.max_data + frames.max_stream_data + frames.data_blocked + frames.stream_data_blocked;
        let ids = frames.new_connection_id + frames.retire_connection_id + frames.path_challenge + frames.path_response;
        frames.acks + frames.datagram + frames.ping + frames.crypto + lanes + ids
    }

    fn path(&self) -> Path {
        let path = self.inner.stats().path;
        Path::new(path.sent_packets, path.lost_packets)
    }

    fn close(&self, reason: Bytes) {
        self.inner.close(NO_ERROR, reason.get(..GREATEST_REASON).unwrap_or(&reason));
    }

    async fn closed(&self) -> Closed {
        let ended = tokio::select! {
            biased;
            error = self.inner.closed() => error,
            () = self.refused() => {
                let words = || format!("nobody listens at {} any more (ICMP port unreachable)", self.remote());
                self.peer.ended.get_or_init(words);
                self.inner.close(NO_ERROR, b"");
                self.inner.closed().await
            }
        };
        match ended {
            ConnectionError::ApplicationClosed(close) if close.error_code == words::REFUSED => {
                Closed::Refused(words::said(&close.reason))
            }
            ConnectionError::ApplicationClosed(close) => Closed::ByPeer(close.reason),
            ConnectionError::LocallyClosed => match self.peer.ended.get() {
                Some(words) => Closed::Lost(words.clone()),
                None => Closed::Here,
            },
            error => match words::failure(&error, self.own.expires) {
                Failure { refused: true, words } => Closed::Refused(words),
                Failure { words, .. } => Closed::Lost(words),
            },
        }
    }
}

impl probe::Heard for QuicConnection {
    fn address(&self) -> SocketAddr {
        self.inner.remote_address()
    }

    fn packets(&self) -> u64 {
        Connection::packets(self)
    }

    fn round_trip(&self) -> Duration {
        self.inner.rtt()
    }

    /// A datagram that is no heartbeat says nothing, and is acknowledged: the second one at once.
    fn ask(&self) {
        for _ in 0..2 {
            self.send_datagram(Bytes::from_static(&[0]));
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
    peer: Arc<Peer>,
    expires: i64,
}

impl LaneSender for QuicSender {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Broken> {
        self.stream.write_chunk(bytes).await.map_err(|error| match error {
            WriteError::ConnectionLost(error) => broken(&error, self.expires),
            WriteError::Stopped(_) => lane_ended(&self.peer, "the peer gave up a lane that it receives".to_owned()),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => {
                lane_ended(&self.peer, "the lane has ended here".to_owned())
            }
        })
    }
}

/// The receiving end of a lane.
#[derive(Debug)]
pub struct QuicReceiver {
    stream: RecvStream,
    peer: Arc<Peer>,
    expires: i64,
}

impl LaneReceiver for QuicReceiver {
    async fn recv(&mut self, chunks: &mut [Bytes]) -> Result<usize, Broken> {
        match self.stream.read_chunks(chunks).await {
            Ok(read) => Ok(read.unwrap_or(0)),
            Err(ReadError::ConnectionLost(error)) => Err(broken(&error, self.expires)),
            Err(ReadError::Reset(_)) => Err(lane_ended(&self.peer, "the peer gave up a lane that it sends".to_owned())),
            Err(error) => Err(lane_ended(&self.peer, format!("the lane cannot be read: {error}"))),
        }
    }
}
