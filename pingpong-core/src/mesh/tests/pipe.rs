//! The simplest link there is: channels in one process, which lose nothing; a dial may be blocked. For tests of the mesh alone.

use crate::link::{Broken, Closed, Connection, DialError, Endpoint, LaneReceiver, LaneSender, Link, Priority};
use crate::{Address, NodeName};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

type Lane = mpsc::Receiver<Bytes>;

#[derive(Clone, Default)]
pub(super) struct Pipes(Arc<Network>);

/// Where a task of a link panics, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    Accept,
    Open,
    Recv,
    Datagram,
}

#[derive(Default)]
struct Network {
    defect: Mutex<Option<Defect>>,
    /// Everybody's door, by name.
    doors: Mutex<BTreeMap<NodeName, mpsc::Sender<Pipe>>>,
    /// Who cannot dial whom.
    blocked: Mutex<BTreeSet<(NodeName, NodeName)>>,
    most_lanes: AtomicU64,
    datagrams: AtomicU64,
    /// Addresses of each node at which nobody is.
    more_addresses: AtomicU64,
}

pub(super) struct PipeLink {
    name: NodeName,
    pipes: Pipes,
    accepting: tokio::sync::Mutex<mpsc::Receiver<Pipe>>,
}

pub(super) struct Pipe {
    peer: NodeName,
    lanes_out: mpsc::Sender<Lane>,
    lanes_in: tokio::sync::Mutex<mpsc::Receiver<Lane>>,
    datagrams_out: mpsc::Sender<Bytes>,
    datagrams_in: tokio::sync::Mutex<mpsc::Receiver<Bytes>>,
    packets: AtomicU64,
    opened: AtomicU64,
    network: Arc<Network>,
    ended: Arc<watch::Sender<Option<(NodeName, Bytes)>>>,
}

pub(super) struct Out(mpsc::Sender<Bytes>);
pub(super) struct In(Lane, Arc<Network>);

impl Network {
    fn panic_once(&self, at: Defect) {
        if self.defect.lock().unwrap().take_if(|defect| *defect == at).is_some() {
            panic!("a defect of the transport: {at:?}");
        }
    }
}

impl Pipes {
    /// The next who does that panics.
    pub(super) fn have(&self, defect: Defect) {
        *self.0.defect.lock().unwrap() = Some(defect);
    }

    /// Each end of a connection may open so many lanes; 0: any number.
    pub(super) fn refuse_lanes_beyond(&self, lanes: u64) {
        self.0.most_lanes.store(lanes, Ordering::Relaxed);
    }

    /// All nodes have so many addresses besides, each as long as one can be, at which nobody is.
    pub(super) fn add_addresses(&self, count: u64) {
        self.0.more_addresses.store(count, Ordering::Relaxed);
    }

    /// The first cannot dial the second.
    pub(super) fn block_dials(&self, from: &NodeName, to: &NodeName) {
        self.0.blocked.lock().unwrap().insert((from.clone(), to.clone()));
    }

    /// How many datagrams were sent so far, by all.
    pub(super) fn datagrams(&self) -> u64 {
        self.0.datagrams.load(Ordering::Relaxed)
    }

    pub(super) fn is_bound(&self, name: &NodeName) -> bool {
        self.0.doors.lock().unwrap().contains_key(name)
    }

    pub(super) fn bind(&self, name: &NodeName) -> PipeLink {
        let (door, accepting) = mpsc::channel(16);
        self.0.doors.lock().unwrap().insert(name.clone(), door);
        PipeLink { name: name.clone(), pipes: self.clone(), accepting: accepting.into() }
    }
}

fn pair(a: &NodeName, b: &NodeName, network: &Arc<Network>) -> (Pipe, Pipe) {
    let ended = Arc::new(watch::Sender::new(None));
    let ((lanes_a, to_a), (lanes_b, to_b)) = (mpsc::channel(64), mpsc::channel(64));
    let ((beats_a, for_a), (beats_b, for_b)) = (mpsc::channel(64), mpsc::channel(64));
    let pipe = |peer: &NodeName, lanes_out, lanes_in, datagrams_out, datagrams_in| Pipe {
        peer: peer.clone(),
        lanes_out,
        lanes_in: tokio::sync::Mutex::new(lanes_in),
        datagrams_out,
        datagrams_in: tokio::sync::Mutex::new(datagrams_in),
        packets: AtomicU64::new(0),
        opened: AtomicU64::new(0),
        network: Arc::clone(network),
        ended: Arc::clone(&ended),
    };
    (pipe(b, lanes_b, to_a, beats_b, for_a), pipe(a, lanes_a, to_b, beats_a, for_b))
}

impl Link for PipeLink {
    type Connection = Pipe;

    fn addresses(&self) -> Vec<Address> {
        let more = self.pipes.0.more_addresses.load(Ordering::Relaxed);
        let nobody = (0..more).map(|n| Address::new(&format!("{}{n}", "-".repeat(Address::MAX_LEN - 1))).unwrap());
        std::iter::once(Address::new(self.name.as_str()).unwrap()).chain(nobody).collect()
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint { name: self.name.clone(), lanes: 1_002, connection_bytes: 1 << 20, other_bytes: 1 << 20 }
    }

    async fn dial(&self, address: &Address, _: Option<&NodeName>) -> Result<Pipe, DialError> {
        let unreachable = || DialError::Unreachable { address: address.clone(), words: "nobody".to_owned() };
        let name = NodeName::new(address.as_str()).map_err(|_| unreachable())?;
        let network = &self.pipes.0;
        if network.blocked.lock().unwrap().contains(&(self.name.clone(), name.clone())) {
            return Err(unreachable());
        }
        let door = network.doors.lock().unwrap().get(&name).cloned().ok_or_else(unreachable)?;
        let (mine, theirs) = pair(&self.name, &name, network);
        door.send(theirs).await.map_err(|_| unreachable())?;
        Ok(mine)
    }

    async fn accept(&self) -> Option<Pipe> {
        let pipe = self.accepting.lock().await.recv().await;
        self.pipes.0.panic_once(Defect::Accept);
        pipe
    }

    async fn close(&self, _: Duration) {
        self.pipes.0.doors.lock().unwrap().remove(&self.name);
    }
}

fn broken() -> Broken {
    Broken("the pipe has ended".to_owned())
}

impl Pipe {
    async fn while_open<T>(&self, work: impl Future<Output = Option<T>>) -> Result<T, Broken> {
        let mut ended = self.ended.subscribe();
        tokio::select! {
            biased;
            _ = ended.wait_for(Option::is_some) => Err(broken()),
            done = work => done.ok_or_else(broken),
        }
    }
}

impl Connection for Pipe {
    type Sender = Out;
    type Receiver = In;

    fn peer(&self) -> &NodeName {
        &self.peer
    }

    fn remote(&self) -> Address {
        Address::new(self.peer.as_str()).unwrap()
    }

    async fn open(&self, _: Priority) -> Result<Out, Broken> {
        let most = self.network.most_lanes.load(Ordering::Relaxed);
        if most > 0 && self.opened.fetch_add(1, Ordering::Relaxed) >= most {
            return Err(Broken("the peer allows no further lane".to_owned()));
        }
        self.network.panic_once(Defect::Open);
        let (out, lane) = mpsc::channel(4);
        self.lanes_out.send(lane).await.map_err(|_| broken())?;
        Ok(Out(out))
    }

    async fn accept(&self) -> Result<In, Broken> {
        self.while_open(async {
            self.lanes_in.lock().await.recv().await.map(|lane| In(lane, Arc::clone(&self.network)))
        })
        .await
    }

    fn send_datagram(&self, datagram: Bytes) {
        self.network.datagrams.fetch_add(1, Ordering::Relaxed);
        let _ = self.datagrams_out.try_send(datagram);
    }

    async fn recv_datagram(&self) -> Result<Bytes, Broken> {
        let datagram = self.while_open(async { self.datagrams_in.lock().await.recv().await }).await?;
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.network.panic_once(Defect::Datagram);
        Ok(datagram)
    }

    fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    fn close(&self, reason: Bytes) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert((self.peer.clone(), reason));
            first
        });
    }

    async fn closed(&self) -> Closed {
        let mut ended = self.ended.subscribe();
        let closed = ended.wait_for(Option::is_some).await.unwrap().clone();
        match closed {
            Some((peer, _)) if peer == self.peer => Closed::Here,
            Some((_, reason)) => Closed::ByPeer(reason),
            None => Closed::Lost("never".to_owned()),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.close(Bytes::new());
    }
}

impl LaneSender for Out {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Broken> {
        self.0.send(bytes).await.map_err(|_| broken())
    }
}

impl LaneReceiver for In {
    async fn recv(&mut self, chunks: &mut [Bytes]) -> Result<usize, Broken> {
        match self.0.recv().await {
            Some(bytes) => {
                self.1.panic_once(Defect::Recv);
                chunks[0] = bytes;
                Ok(1)
            }
            None => Ok(0),
        }
    }
}
