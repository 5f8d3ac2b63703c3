//! What the network's one lock guards: hosts, processes, connections and packets on their way.

use crate::faults::Paths;
use crate::network::Settings;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::timer::{self, Due, Timer};
use crate::traffic::Packet;
use crate::wait::{Lobby, Marks, Seat, Topic, Waiting, Woken};
use bytes::Bytes;
use pingpong_core::link::{Broken, Closed, DialError};
use pingpong_core::{Address, NodeName};
use rand::rngs::StdRng;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A host: an address, whoever is bound there.
pub(crate) type HostId = u32;
/// One life of an endpoint.
pub(crate) type ProcessId = u64;

/// Which side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Dialler,
    Acceptor,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndId {
    pub(crate) connection: u64,
    pub(crate) side: Side,
}

impl EndId {
    pub(crate) fn other(self) -> Self {
        Self { connection: self.connection, side: self.side.other() }
    }
}

/// The lock, and what wakes the timer's task.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) timer: Arc<Notify>,
}

impl Shared {
    pub(crate) fn new(state: State) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(state), timer: Arc::default() })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something under the lock, and wakes whom it concerns after it.
    pub(crate) fn with<T>(self: &Arc<Self>, work: impl FnOnce(&mut State) -> T) -> T {
        let (done, woken, due) = {
            let mut state = self.lock();
            let done = work(&mut state);
            let next = state.flying.first_key_value().map(|(&(at, _), _)| at);
            (done, mem::take(&mut state.woken), state.time.needs(next))
        };
        woken.into_iter().for_each(Waker::wake);
        match due {
            Due::Nothing => {}
            Due::Start(handle) => timer::start(&handle, self),
            Due::Wake => self.timer.notify_one(),
        }
        done
    }

    /// Delivers the delayed packets that are due; says when the next one is.
    pub(crate) fn arrive(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        self.with(|state| {
            let next = state.arrive(now);
            state.time.sleeps(next);
            next
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.timer.notify_one();
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) random: StdRng,
    /// Every address that was ever named, by number.
    pub(crate) hosts: BTreeMap<Address, HostId>,
    /// The process that an address leads to.
    pub(crate) bound: BTreeMap<HostId, ProcessId>,
    pub(crate) processes: BTreeMap<ProcessId, Process>,
    /// By number, in no order: nothing goes through all of them, as the same calls are to give the same events.
    pub(crate) connections: FxHashMap<u64, Box<Ends>>,
    pub(crate) dials: BTreeMap<u64, Dial>,
    pub(crate) paths: Paths,
    /// Packets that wait for a fault to end, in the order in which they were held.
    pub(crate) held: BTreeMap<u64, Packet>,
    /// Packets that are delayed, by arrival.
    pub(crate) flying: BTreeMap<(Instant, u64), Packet>,
    pub(crate) lobby: Lobby,
    /// To be woken when the lock is free again.
    pub(crate) woken: Woken,
    pub(crate) time: Timer,
    pub(crate) last_id: u64,
}

/// One life of an endpoint; it is here until its link is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: NodeName,
    pub(crate) address: Address,
    pub(crate) host: HostId,
    pub(crate) closed: bool,
    /// Connections with an end here.
    pub(crate) connections: BTreeSet<u64>,
    /// Those that nobody has accepted yet.
    pub(crate) backlog: VecDeque<u64>,
}

/// A dial that somebody waits for.
#[derive(Debug)]
pub(crate) struct Dial {
    pub(crate) process: ProcessId,
    pub(crate) address: Address,
    pub(crate) expect: Option<NodeName>,
    pub(crate) outcome: Option<Result<EndId, DialError>>,
}

/// Both ends of a connection, the dialler's first.
#[derive(Debug)]
pub(crate) struct Ends(pub(crate) [End; 2]);

impl Ends {
    pub(crate) fn at(&mut self, side: Side) -> &mut End {
        let [dialler, acceptor] = &mut self.0;
        match side {
            Side::Dialler => dialler,
            Side::Acceptor => acceptor,
        }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) process: ProcessId,
    pub(crate) host: HostId,
    pub(crate) name: NodeName,
    pub(crate) address: Address,
    /// Connections and lanes that somebody holds here. Without any at both ends the connection is forgotten.
    pub(crate) handles: usize,
    pub(crate) closed: Option<Closed>,
    pub(crate) marks: Arc<Marks>,
    /// Who waits here.
    pub(crate) waiting: Waiting<Topic>,
    /// What arrived here.
    pub(crate) datagrams: VecDeque<Bytes>,
    /// What is on its way from here, so that it stays bounded: at most one packet of each of the first three kinds.
    pub(crate) ack_out: bool,
    pub(crate) close_out: bool,
    pub(crate) reset_out: bool,
    pub(crate) datagrams_out: usize,
    /// Lanes that this end opened, by number. Most ends have one or two.
    pub(crate) lanes: Vec<(u32, Lane)>,
    pub(crate) opened: u32,
    /// How many lanes of the peer are known here, and how many of them were accepted.
    pub(crate) known: u32,
    pub(crate) accepted: u32,
}

impl End {
    pub(crate) fn new(process: ProcessId, host: HostId, name: NodeName, address: Address) -> Self {
        Self {
            process,
            host,
            name,
            address,
            handles: 0,
            closed: None,
            marks: Arc::default(),
            waiting: Waiting::default(),
            datagrams: VecDeque::new(),
            ack_out: false,
            close_out: false,
            reset_out: false,
            datagrams_out: 0,
            lanes: Vec::new(),
            opened: 0,
            known: 0,
            accepted: 0,
        }
    }

    /// Opens the next lane.
    pub(crate) fn open(&mut self) -> u32 {
        let number = self.opened;
        self.opened += 1;
        if self.lanes.is_empty() {
            self.lanes.reserve_exact(1);
        }
        self.lanes.push((number, Lane::default()));
        number
    }

    pub(crate) fn lane(&mut self, number: u32) -> Option<&mut Lane> {
        let place = self.lanes.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&mut self.lanes[place].1)
    }

    /// Why nothing can be done here any more.
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.closed.as_ref().map(|closed| {
            Broken(match closed {
                Closed::Here => "it was closed here".to_owned(),
                Closed::ByPeer(_) => "the peer closed it".to_owned(),
                Closed::Refused(words) | Closed::Lost(words) => words.clone(),
            })
        })
    }
}

/// A lane, at the end that opened it.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Pieces on their way, in order; `None` is the end of the lane. Packets only say that the next one arrives, so
    /// whatever happens to packets, pieces stay in order.
    pub(crate) transit: VecDeque<Option<Bytes>>,
    /// Pieces that wait for the receiver.
    pub(crate) ready: VecDeque<Bytes>,
    /// The end of the lane has arrived.
    pub(crate) ended: bool,
    /// What counts against the window, as the sender knows it.
    pub(crate) used: usize,
    /// What the receiver took and the sender does not know of.
    pub(crate) owed: usize,
    pub(crate) credit_out: bool,
    /// The receiver gave the lane up, and the sender knows.
    pub(crate) refused: bool,
    pub(crate) sender_gone: bool,
    pub(crate) receiver_gone: bool,
}

impl State {
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The number of an address.
    pub(crate) fn host(&mut self, address: &Address) -> HostId {
        if let Some(&host) = self.hosts.get(address) {
            return host;
        }
        let host = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        self.hosts.insert(address.clone(), host);
        host
    }

    pub(crate) fn end(&mut self, id: EndId) -> Option<&mut End> {
        self.connections.get_mut(&id.connection).map(|ends| ends.at(id.side))
    }

    /// A lane that `opener` opened.
    pub(crate) fn lane(&mut self, opener: EndId, lane: u32) -> Option<&mut Lane> {
        self.end(opener)?.lane(lane)
    }

    pub(crate) fn wake_end(&mut self, end: EndId, topic: Topic) {
        self.wake(Seat::End(end, topic));
    }

    /// All ends of a process.
    pub(crate) fn ends_of(&self, process: ProcessId) -> Vec<EndId> {
        let connections = self.processes.get(&process).into_iter().flat_map(|process| &process.connections);
        let ends =
            connections.filter_map(|&connection| Some((connection, self.connections.get(&connection)?.as_ref())));
        let of_it = |(connection, ends): (u64, &Ends)| {
            let sides = [Side::Dialler, Side::Acceptor].into_iter().zip(ends.0.each_ref().map(|end| end.process));
            let sides = sides.filter(|(_, of)| *of == process).map(|(side, _)| EndId { connection, side });
            sides.collect::<SmallVec<[EndId; 2]>>()
        };
        ends.flat_map(of_it).collect()
    }

    /// Ends one end of a connection; what it had received is gone.
    pub(crate) fn finish(&mut self, id: EndId, closed: Closed) {
        let Some(ends) = self.connections.get_mut(&id.connection) else { return };
        let end = ends.at(id.side);
        if end.closed.is_some() {
            return;
        }
        end.closed = Some(closed);
        end.datagrams = VecDeque::new();
        for (_, lane) in &mut ends.at(id.side.other()).lanes {
            lane.ready = VecDeque::new();
        }
        self.wake_all(id);
    }

    /// A connection is known from here on.
    pub(crate) fn keep(&mut self, connection: u64, ends: Ends) {
        for end in &ends.0 {
            if let Some(process) = self.processes.get_mut(&end.process) {
                process.connections.insert(connection);
            }
        }
        self.connections.insert(connection, Box::new(ends));
    }

    /// One handle of an end is gone.
    pub(crate) fn let_go(&mut self, id: EndId) {
        let Some(ends) = self.connections.get_mut(&id.connection) else { return };
        let end = ends.at(id.side);
        end.handles = end.handles.saturating_sub(1);
        if ends.0.iter().all(|end| end.handles == 0) {
            for process in ends.0.each_ref().map(|end| end.process) {
                if let Some(process) = self.processes.get_mut(&process) {
                    process.connections.remove(&id.connection);
                }
            }
            self.connections.remove(&id.connection);
            self.lose_held(|packet| packet.end().is_some_and(|end| end.connection == id.connection));
        }
    }

    /// A process no longer listens: its address is free, its dials end. Its connections are the caller's business.
    pub(crate) fn unbind(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.closed = true;
        process.backlog = VecDeque::new();
        let host = process.host;
        if self.bound.get(&host) == Some(&id) {
            self.bound.remove(&host);
        }
        self.wake(Seat::Accept(id));
        let pending = |dial: &Dial| dial.process == id && dial.outcome.is_none();
        let dials: Vec<u64> = self.dials.iter().filter(|(_, dial)| pending(dial)).map(|(&dial, _)| dial).collect();
        for dial in dials {
            self.dial_outcome(dial, Err(DialError::EndpointClosed));
        }
    }
}
