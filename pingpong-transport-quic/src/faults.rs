//! Faults between the UDP sockets of one process, for tests (F1): no privileges, no relay.
//!
//! [`FaultNetwork::bind`] gives a real socket for [`QuicLink::bind_with`](crate::QuicLink::bind_with). Every datagram is judged when it
//! leaves and again when it arrives. What is held or delayed reaches the other socket in memory, so that the kernel's buffers
//! cannot lose a burst of it; what passes takes the kernel's way.

mod initial;
mod port;
mod socket;

pub use socket::FaultSocket;

use crate::BindError;
use crate::socket::{self as real, ClosableSocket};
use initial::Header;
use port::{Datagram, Packet, Port};
use quinn::AsyncUdpSocket;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;
use tokio::time::Instant;

/// How many datagrams a stall holds each way; the oldest is lost for one more.
const HELD: usize = 4_096;
/// How many datagrams are under way on one delayed path; one more is lost.
const UNDER_WAY: usize = 16_384;
/// Bytes that the kernel's buffers are asked to hold.
const BUFFER: usize = 4 << 20;

/// The faults of a network of UDP sockets. Clones are the same network.
///
/// Sockets are known by the address they are bound to. A cut works on whatever a socket of this network sends or receives; a
/// delay works when both sockets are of this network.
#[derive(Clone, Debug, Default)]
pub struct FaultNetwork {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Paths with a fault; any other is clear.
    faulty: BTreeMap<(SocketAddr, SocketAddr), Path>,
    stalled: BTreeSet<SocketAddr>,
    crashed: BTreeSet<SocketAddr>,
    ports: BTreeMap<SocketAddr, Port>,
    /// What a stall holds, by path.
    held: BTreeMap<(SocketAddr, SocketAddr), VecDeque<Packet>>,
    /// The connection ids that the start of each path chose, to tell an answer to a dial from a dial.
    chosen: BTreeMap<(SocketAddr, SocketAddr), VecDeque<Vec<u8>>>,
    bound: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Path {
    cut: bool,
    dials_blocked: bool,
    delay: Duration,
}

/// What becomes of a datagram that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    Delay(Duration),
    Hold,
    Lose,
}

/// The one form of an address that sockets are known by.
fn known(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl FaultNetwork {
    /// A network without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a real UDP socket whose datagrams suffer the faults of this network. Port 0 takes a free port. A crash of this
    /// address is over.
    ///
    /// # Errors
    /// For an unspecified address (`0.0.0.0`, `::`), since faults are known by address; otherwise what the system says.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time, as tokio's own sockets do.
    pub fn bind(&self, addr: SocketAddr) -> Result<Arc<FaultSocket>, BindError> {
        if addr.ip().is_unspecified() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "faults need a specific address");
            return Err(BindError::Socket { address: addr, error });
        }
        self.bind_alone(addr)
    }

    /// The same for the only socket of a network, which may be bound to an unspecified address (`0.0.0.0`, `::`): cuts work that name
    /// the bound address as it is, and that of somebody elsewhere.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Panics
    /// As [`bind`](Self::bind).
    pub fn bind_alone(&self, addr: SocketAddr) -> Result<Arc<FaultSocket>, BindError> {
        let unbound = |error| BindError::Socket { address: addr, error };
        let inner = Arc::new(ClosableSocket::new(real::bind(addr, BUFFER)?).map_err(unbound)?);
        let local = inner.local_addr().map_err(unbound)?;
        let host = known(local);
        // What is replaced is dropped outside the lock: a waker may own a socket.
        let (socket, _old) = self.with(|state| {
            state.bound += 1;
            let id = state.bound;
            let socket = Arc::new(FaultSocket::new(self.clone(), id, local, inner));
            let port = Port {
                id,
                socket: Arc::downgrade(&socket),
                inbox: VecDeque::new(),
                behind: VecDeque::new(),
                under_way: BTreeMap::new(),
                reader: None,
            };
            state.crashed.remove(&host);
            (socket, state.ports.insert(host, port))
        });
        Ok(socket)
    }

    /// Cuts the path one way: datagrams vanish, also those that are under way.
    pub fn cut_one_way(&self, from: SocketAddr, to: SocketAddr) {
        self.change([(from, to)], |path| path.cut = true);
    }

    /// Cuts both ways.
    pub fn cut(&self, a: SocketAddr, b: SocketAddr) {
        self.change([(a, b), (b, a)], |path| path.cut = true);
    }

    /// Heals a cut one way.
    pub fn heal_one_way(&self, from: SocketAddr, to: SocketAddr) {
        self.change([(from, to)], |path| path.cut = false);
    }

    /// Heals a cut both ways.
    pub fn heal(&self, a: SocketAddr, b: SocketAddr) {
        self.change([(a, b), (b, a)], |path| path.cut = false);
    }

    /// Heals all cuts and partitions. Delays, blocked dials, stalls and crashes stay.
    pub fn heal_all(&self) {
        self.with(|state| {
            state.faulty.retain(|_, path| {
                path.cut = false;
                *path != Path::default()
            });
        });
    }

    /// Cuts every path between hosts of different groups. Earlier cuts stay, and so do the paths of a host that is in no group.
    pub fn partition(&self, groups: &[Vec<SocketAddr>]) {
        let mut apart = Vec::new();
        for (i, group) in groups.iter().enumerate() {
            for other in groups.iter().skip(i + 1) {
                let pairs = group.iter().flat_map(|a| other.iter().map(move |b| (*a, *b)));
                apart.extend(pairs.flat_map(|(a, b)| [(a, b), (b, a)]));
            }
        }
        self.change(apart, |path| path.cut = true);
    }

    /// Every datagram that leaves on the path from now on takes this much longer. Zero ends it; what is under way keeps its time.
    pub fn delay(&self, from: SocketAddr, to: SocketAddr, delay: Duration) {
        self.change([(from, to)], |path| path.delay = delay);
    }

    /// Holds everything to and from a host: a process that is stopped. At most 4,096 datagrams each way between two hosts; of
    /// more the oldest are lost.
    pub fn stall(&self, host: SocketAddr) {
        self.with(|state| state.stalled.insert(known(host)));
    }

    /// Ends a stall: what it held goes on, in order, and meets the faults of the time.
    pub fn resume(&self, host: SocketAddr) {
        let wake = self.with(|state| {
            state.stalled.remove(&known(host));
            let mut wake = state.release();
            wake.extend(state.ports.get_mut(&known(host)).and_then(|port| port.reader.take()));
            wake
        });
        wake.into_iter().for_each(Waker::wake);
    }

    /// Swallows new dials one way, and nothing else: a node behind a firewall. A dial is an Initial packet of QUIC whose
    /// destination the other side has not chosen, so that answers to dials of the other side pass.
    pub fn block_dials(&self, from: SocketAddr, to: SocketAddr) {
        self.change([(from, to)], |path| path.dials_blocked = true);
    }

    /// Lets new dials through again.
    pub fn allow_dials(&self, from: SocketAddr, to: SocketAddr) {
        self.change([(from, to)], |path| path.dials_blocked = false);
    }

    /// The host loses its power: nothing reaches it or leaves it any more, what was under way or held is lost, and its socket is
    /// closed, so that the address is free. Whoever still has the socket sends into nothing. Ends with the next bind.
    pub fn crash(&self, host: SocketAddr) {
        let host = known(host);
        let port = self.with(|state| {
            state.crashed.insert(host);
            state.held.retain(|(from, to), _| *from != host && *to != host);
            state.chosen.retain(|(from, to), _| *from != host && *to != host);
            for port in state.ports.values_mut() {
                port.under_way.remove(&host);
                port.inbox.retain(|packet| known(packet.from) != host);
                port.behind.retain(|packet| known(packet.from) != host);
            }
            state.ports.remove(&host)
        });
        if let Some(socket) = port.and_then(|port| port.socket.upgrade()) {
            socket.inner().close();
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, paths: impl IntoIterator<Item = (SocketAddr, SocketAddr)>, change: impl Fn(&mut Path)) {
        self.with(|state| {
            for (from, to) in paths {
                let key = (known(from), known(to));
                let path = state.faulty.entry(key).or_default();
                change(path);
                if *path == Path::default() {
                    state.faulty.remove(&key);
                }
            }
        });
    }
}

impl State {
    /// Whether a cut or a block takes the datagram.
    fn loses(&self, from: SocketAddr, to: SocketAddr, data: &[u8]) -> bool {
        if self.crashed.contains(&from) || self.crashed.contains(&to) {
            return true;
        }
        self.faulty.get(&(from, to)).is_some_and(|path| path.cut || path.dials_blocked && self.is_dial(from, to, data))
    }

    /// An Initial packet to a connection that the other side knows nothing of.
    fn is_dial(&self, from: SocketAddr, to: SocketAddr, data: &[u8]) -> bool {
        let answers = |header: Header<'_>| {
            self.chosen.get(&(to, from)).is_some_and(|ids| ids.iter().any(|id| id.as_slice() == header.destination))
        };
        initial::is_initial(data) && !Header::of(data).is_some_and(answers)
    }

    /// Remembers the connection id that the sender chose, if the datagram starts a connection or answers one.
    fn note(&mut self, from: SocketAddr, to: SocketAddr, data: &[u8]) {
        /// Handshakes at one time on one path, twice over.
        const REMEMBERED: usize = 256;
        let Some(header) = Header::of(data) else { return };
        let ids = self.chosen.entry((from, to)).or_default();
        if ids.iter().all(|id| id.as_slice() != header.source) {
            if ids.len() >= REMEMBERED {
                ids.pop_front();
            }
            ids.push_back(header.source.to_vec());
        }
    }

    fn fate(&self, from: SocketAddr, to: SocketAddr, data: &[u8]) -> Fate {
        let crashed = self.crashed.contains(&from) || self.crashed.contains(&to);
        if !crashed && (self.stalled.contains(&from) || self.stalled.contains(&to)) {
            return Fate::Hold;
        }
        if self.loses(from, to, data) {
            return Fate::Lose;
        }
        match self.faulty.get(&(from, to)) {
            Some(path) if !path.delay.is_zero() && self.ports.contains_key(&to) => Fate::Delay(path.delay),
            _ => Fate::Pass,
        }
    }

    /// A datagram leaves. Says whether it goes on by the kernel's way, and whom to wake otherwise.
    fn depart(&mut self, packet: &Datagram<'_>) -> Result<(), Option<Waker>> {
        let (from, to) = (known(packet.from), known(packet.to));
        let fate = self.fate(from, to, packet.data);
        if fate != Fate::Lose {
            self.note(from, to, packet.data);
        }
        match fate {
            Fate::Pass => match self.ports.get_mut(&to) {
                Some(port) if !port.behind.is_empty() => {
                    port.put_behind(packet.kept());
                    Err(port.reader.take())
                }
                _ => Ok(()),
            },
            Fate::Lose => Err(None),
            Fate::Hold => {
                let held = self.held.entry((from, to)).or_default();
                if held.len() >= HELD {
                    held.pop_front();
                }
                held.push_back(packet.kept());
                Err(None)
            }
            Fate::Delay(delay) => Err(self.send_later(to, packet.kept(), delay)),
        }
    }

    fn send_later(&mut self, to: SocketAddr, packet: Packet, delay: Duration) -> Option<Waker> {
        let port = self.ports.get_mut(&to)?;
        let line = port.under_way.entry(known(packet.from)).or_default();
        if line.len() >= UNDER_WAY {
            return None;
        }
        let due = Instant::now() + delay;
        // A delay that shrinks does not make later ones overtake.
        let due = line.back().map_or(due, |(last, _)| due.max(*last));
        line.push_back((due, packet));
        port.reader.take()
    }

    /// Sends on what no stall holds any more.
    fn release(&mut self) -> Vec<Waker> {
        let stalled = &self.stalled;
        let paths = self.held.keys().copied();
        let free: Vec<_> = paths.filter(|(from, to)| !stalled.contains(from) && !stalled.contains(to)).collect();
        let mut wake = Vec::new();
        for (from, to) in free {
            for packet in self.held.remove(&(from, to)).unwrap_or_default() {
                match self.fate(from, to, &packet.data) {
                    Fate::Delay(delay) => wake.extend(self.send_later(to, packet, delay)),
                    Fate::Pass => {
                        let Some(port) = self.ports.get_mut(&to) else { continue };
                        port.put_behind(packet);
                        wake.extend(port.reader.take());
                    }
                    Fate::Hold | Fate::Lose => {}
                }
            }
        }
        wake
    }
}
