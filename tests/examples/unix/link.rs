//! The seam [`Link`] over Unix sockets: between the processes of one user on one machine (Linux). An address is the path of a socket.
//!
//! A connection is a socket of packets, its *line*: a byte that says what it is, and a body. It carries the greeting (H), heartbeats (D), the
//! close (C), and new lanes (L). A lane is a pair of stream sockets, one end of which the line hands over (`SCM_RIGHTS`). So the kernel does
//! what the seam asks for: order (L2), flow control of each lane on its own (L3), and bounds (L4). A process that ends, however it ends,
//! closes its line: the proof that it is gone.

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use pingpong_core::link::{Broken, Closed, Connection, DialError, Endpoint, LaneReceiver, LaneSender, Link, Priority};
use pingpong_core::{Address, NodeName};
use std::io::{self, ErrorKind, IoSlice};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{os::fd::AsFd, sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio::{net::UnixStream, task::JoinSet};
use tokio_seqpacket::ancillary::{AncillaryMessageWriter, OwnedAncillaryMessage};
use tokio_seqpacket::{UCred, UnixSeqpacket, UnixSeqpacketListener};

/// The longest packet: above a close reason of 512 bytes.
const PACKET: usize = 1_024;
/// What a lane may hold; the kernel doubles it. And what is read of it at once.
pub(crate) const LANE_BUFFER: usize = 64 << 10;
const PIECE: usize = 16 << 10;
/// Connections that wait for their greeting, and heartbeats that were not taken.
const WAITING: usize = 64;

pub(crate) struct UnixLink {
    own: Arc<Own>,
    coming: Mutex<(UnixSeqpacketListener, JoinSet<io::Result<UnixConnection>>)>,
}

struct Own {
    name: NodeName,
    path: Address,
    lanes: usize,
    closed: watch::Sender<bool>,
}

impl UnixLink {
    /// Listens at `path`, in place of a process that is gone.
    pub(crate) async fn bind(name: NodeName, path: Address, lanes: usize) -> io::Result<Self> {
        let found = UnixSeqpacket::connect(path.as_str()).await;
        if found.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            std::fs::remove_file(path.as_str())?;
        }
        let in_use =
            |error| io::Error::other(format!("cannot listen at {path} ({error}); end who does, or take another"));
        let listener = UnixSeqpacketListener::bind_with_backlog(path.as_str(), WAITING as i32).map_err(in_use)?;
        let own = Arc::new(Own { name, path, lanes, closed: watch::Sender::new(false) });
        Ok(Self { own, coming: Mutex::new((listener, JoinSet::new())) })
    }
}

impl Drop for UnixLink {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.own.path.as_str()); // or gone already
    }
}

impl Own {
    /// L1: each side says its name. A process of the same user is believed: it could read a key file of the other, too.
    async fn meet(self: Arc<Self>, socket: UnixSeqpacket) -> io::Result<UnixConnection> {
        let refused = |words: &str| io::Error::new(ErrorKind::PermissionDenied, words);
        if socket.peer_cred()?.uid() != UCred::from_current_process().uid() {
            return Err(refused("the peer runs as another user; run all nodes as one"));
        }
        let line = Arc::new(Line { socket, closed: watch::Sender::new(None), packets: AtomicU64::new(0) });
        line.socket.send(format!("H{} {}", self.name, self.path).as_bytes()).await?;
        let mut packet = [0; PACKET];
        let length = timeout(Duration::from_secs(5), line.socket.recv(&mut packet)).await??.bytes_read();
        let hello = packet[..length].strip_prefix(b"H").and_then(|hello| std::str::from_utf8(hello).ok());
        let hello = hello.and_then(|hello| hello.split_once(' ')).map(|(n, at)| (NodeName::new(n), Address::new(at)));
        let Some((Ok(peer), Ok(remote))) = hello else { return Err(refused("the peer speaks another protocol")) };
        let ((to_lanes, lanes), (to_datagrams, datagrams)) = (mpsc::channel(self.lanes), mpsc::channel(WAITING));
        let mut reader = JoinSet::new();
        reader.spawn(read(Arc::clone(&line), self, to_lanes, to_datagrams));
        Ok(UnixConnection { peer, remote, line, lanes: lanes.into(), datagrams: datagrams.into(), _reader: reader })
    }
}

impl Link for UnixLink {
    type Connection = UnixConnection;

    /// The lanes of both sides, and the line; the kernel gives a packet a page at most.
    fn endpoint(&self) -> Endpoint {
        let (name, lanes, line) = (self.own.name.clone(), self.own.lanes, (3 * WAITING * 4_096) as u64);
        let of_lanes = (2 * lanes * (2 * LANE_BUFFER + PIECE)) as u64;
        Endpoint { name, lanes, connection_bytes: of_lanes + line, other_bytes: 2 * WAITING as u64 * line }
    }

    fn addresses(&self) -> Vec<Address> {
        vec![self.own.path.clone()]
    }

    async fn dial(&self, address: &Address, expect: Option<&NodeName>) -> Result<UnixConnection, DialError> {
        let met = async { Arc::clone(&self.own).meet(UnixSeqpacket::connect(address.as_str()).await?).await };
        let connection = met.await.map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => DialError::refused(address, error),
            _ => DialError::unreachable(address, error),
        })?;
        DialError::check_name(address, expect, &connection.peer)?;
        Ok(connection)
    }

    async fn accept(&self) -> Option<UnixConnection> {
        let (mut coming, mut closed) = (self.coming.lock().await, self.own.closed.subscribe());
        let (listener, greetings) = &mut *coming;
        loop {
            tokio::select! {
                () = async { drop(closed.wait_for(|closed| *closed).await) } => return None,
                Some(Ok(met)) = greetings.join_next() => match met {
                    Ok(connection) => return Some(connection),
                    Err(error) => tracing::debug!(%error, "a peer was refused"),
                },
                came = listener.accept(), if greetings.len() < WAITING => match came {
                    Ok(socket) => drop(greetings.spawn(Arc::clone(&self.own).meet(socket))),
                    Err(_) => sleep(Duration::from_millis(100)).await, // no descriptor is left; there may be one later
                },
            }
        }
    }

    async fn close(&self, _: Duration) {
        self.own.closed.send_replace(true);
    }
}

struct Line {
    socket: UnixSeqpacket,
    closed: watch::Sender<Option<Closed>>,
    packets: AtomicU64,
}

impl Line {
    /// Sends a packet whole, or not at all when there is no room; never waits.
    fn say(&self, what: u8, body: &[u8]) {
        let _ = self.socket.send_vectored(&[IoSlice::new(&[what]), IoSlice::new(body)]).now_or_never();
    }

    fn end(&self, how: Closed) {
        self.closed.send_if_modified(|closed| closed.is_none() && closed.replace(how).is_none());
        let _ = self.socket.shutdown(std::net::Shutdown::Both); // or the peer was faster
    }

    async fn or_broken<T>(&self, work: impl Future<Output = io::Result<T>>) -> Result<T, Broken> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(Option::is_some) => Err(Broken("it is closed".to_owned())),
            done = work => done.map_err(|error| Broken(error.to_string())),
        }
    }

    async fn next<T>(&self, queue: &Mutex<mpsc::Receiver<T>>) -> Result<T, Broken> {
        self.or_broken(async { queue.lock().await.recv().await.ok_or(ErrorKind::NotConnected.into()) }).await
    }
}

/// Reads the line to its end, or that of the endpoint.
async fn read(line: Arc<Line>, own: Arc<Own>, lanes: mpsc::Sender<UnixStream>, datagrams: mpsc::Sender<Bytes>) {
    let (mut packet, mut opened, mut closed) = ([0; PACKET], 0, own.closed.subscribe());
    let how = loop {
        let mut space = [0; 64];
        let came = tokio::select! {
            _ = closed.wait_for(|closed| *closed) => break Closed::Here,
            came = line.socket.recv_with_ancillary(&mut packet, &mut space) => came,
        };
        let (length, lane) = match came {
            Ok((came, with)) => (came.bytes_read(), with.into_messages().find_map(lane_in)),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => continue, // said once; the last words follow
            Err(error) => break Closed::Lost(error.to_string()),
        };
        line.packets.fetch_add(1, Relaxed);
        match (packet[0], lane, packet.get(1..length).map(Bytes::copy_from_slice)) {
            (_, _, None) => break Closed::Lost("the peer's process has ended".to_owned()),
            (b'D', None, Some(body)) => drop(datagrams.try_send(body)),
            (b'C', None, Some(reason)) => break Closed::ByPeer(reason),
            // Never full: there is room for all that it may open.
            (b'L', Some(lane), _) if opened < own.lanes => drop(lanes.try_send(lane)),
            _ => break Closed::Lost("the peer breaks the protocol, or no descriptor is left".to_owned()),
        }
        opened += usize::from(packet[0] == b'L');
    };
    line.end(how);
}

fn lane_in(message: OwnedAncillaryMessage<'_>) -> Option<UnixStream> {
    let OwnedAncillaryMessage::FileDescriptors(mut handed_over) = message else { return None };
    UnixStream::from_std(handed_over.next()?.into()).ok()
}

pub(crate) struct UnixConnection {
    peer: NodeName,
    remote: Address,
    line: Arc<Line>,
    lanes: Mutex<mpsc::Receiver<UnixStream>>,
    datagrams: Mutex<mpsc::Receiver<Bytes>>,
    _reader: JoinSet<()>,
}

impl Drop for UnixConnection {
    fn drop(&mut self) {
        self.line.end(Closed::Here);
    }
}

impl Connection for UnixConnection {
    type Sender = UnixLane;
    type Receiver = UnixLane;

    fn peer(&self) -> &NodeName {
        &self.peer
    }

    fn remote(&self) -> Address {
        self.remote.clone()
    }

    async fn open(&self, _: Priority) -> Result<UnixLane, Broken> {
        let opened = async {
            let (ours, theirs) = UnixStream::pair()?;
            socket2::SockRef::from(&ours).set_send_buffer_size(LANE_BUFFER)?;
            let mut space = [0; 64];
            let mut with = AncillaryMessageWriter::new(&mut space);
            with.add_fds([theirs.as_fd()]).map_err(|_| ErrorKind::OutOfMemory)?;
            self.line.socket.send_vectored_with_ancillary(&[IoSlice::new(b"L")], &mut with).await?;
            Ok(ours)
        };
        Ok(UnixLane(Arc::clone(&self.line), self.line.or_broken(opened).await?, BytesMut::new()))
    }

    async fn accept(&self) -> Result<UnixLane, Broken> {
        Ok(UnixLane(Arc::clone(&self.line), self.line.next(&self.lanes).await?, BytesMut::new()))
    }

    fn send_datagram(&self, datagram: Bytes) {
        self.line.say(b'D', &datagram);
    }

    async fn recv_datagram(&self) -> Result<Bytes, Broken> {
        self.line.next(&self.datagrams).await
    }

    fn packets(&self) -> u64 {
        self.line.packets.load(Relaxed)
    }

    fn close(&self, reason: Bytes) {
        self.line.say(b'C', &reason);
        self.line.end(Closed::Here);
    }

    async fn closed(&self) -> Closed {
        let how = self.line.closed.subscribe().wait_for(Option::is_some).await.ok().and_then(|how| how.clone());
        how.unwrap_or(Closed::Here)
    }
}

/// Either end of a lane. That it ended alone is for the Mesh to judge: it waits for the line's word first.
pub(crate) struct UnixLane(Arc<Line>, UnixStream, BytesMut);

impl LaneSender for UnixLane {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Broken> {
        self.0.or_broken(self.1.write_all(&bytes)).await
    }
}

impl LaneReceiver for UnixLane {
    async fn recv(&mut self, chunks: &mut [Bytes]) -> Result<usize, Broken> {
        self.2.reserve(PIECE);
        match self.0.or_broken(self.1.read_buf(&mut self.2)).await? {
            0 => return Err(Broken("it has ended".to_owned())),
            _ => self.0.packets.fetch_add(1, Relaxed),
        };
        chunks[0] = self.2.split().freeze();
        Ok(1)
    }
}
