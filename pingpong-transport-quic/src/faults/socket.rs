//! A real socket whose datagrams suffer the faults of its network.

use super::port::{Datagram, Packet, Port};
use super::{FaultNetwork, known};
use crate::socket::ClosableSocket;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep};

/// How often one call reads the kernel's buffer before others have their turn.
const ROUNDS: usize = 64;

/// A real UDP socket in a [`FaultNetwork`].
#[derive(Debug)]
pub struct FaultSocket {
    network: FaultNetwork,
    id: u64,
    local: SocketAddr,
    /// Closed by a crash.
    inner: Arc<ClosableSocket>,
    /// Until the next delayed datagram is due.
    timer: Mutex<Pin<Box<Sleep>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the socket does next.
enum Step {
    Deliver(usize),
    Read(Option<Instant>),
    Gone,
}

impl FaultSocket {
    pub(super) fn new(network: FaultNetwork, id: u64, local: SocketAddr, inner: Arc<ClosableSocket>) -> Self {
        let timer = Mutex::new(Box::pin(tokio::time::sleep_until(Instant::now())));
        Self { network, id, local, inner, timer }
    }

    /// The real socket.
    pub(crate) fn inner(&self) -> &Arc<ClosableSocket> {
        &self.inner
    }

    /// Delivers from the inbox if there is something.
    fn step(&self, cx: &Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Step {
        let host = known(self.local);
        let reader = cx.waker().clone();
        // The old reader is dropped outside the lock: a waker may own a socket.
        let (step, _old) = self.network.with(|state| {
            let stalled = state.stalled.contains(&host);
            let port = state.ports.get_mut(&host).filter(|port| port.id == self.id);
            let Some(port) = port else { return (Step::Gone, Some(reader)) };
            let old = port.reader.replace(reader);
            let next = port.arrive(Instant::now());
            let mut delivered = 0;
            while !stalled && delivered < bufs.len().min(meta.len()) {
                let Some(packet) = state.ports.get_mut(&host).and_then(|port| port.inbox.pop_front()) else { break };
                if state.loses(known(packet.from), host, &packet.data) {
                    continue;
                }
                let Some(buf) = bufs[delivered].get_mut(..packet.data.len()) else { continue };
                buf.copy_from_slice(&packet.data);
                meta[delivered] = self.meta(&packet);
                delivered += 1;
            }
            (if delivered > 0 { Step::Deliver(delivered) } else { Step::Read(next) }, old)
        });
        step
    }

    fn meta(&self, packet: &Packet) -> RecvMeta {
        let ip = match (self.local, packet.from.ip()) {
            (SocketAddr::V6(_), IpAddr::V4(ip)) => ip.to_ipv6_mapped().into(),
            (_, ip) => ip,
        };
        let mut addr = packet.from;
        addr.set_ip(ip);
        let mut meta = RecvMeta::default();
        (meta.addr, meta.len, meta.stride) = (addr, packet.data.len(), packet.data.len());
        (meta.ecn, meta.dst_ip) = (packet.ecn, Some(self.local.ip()));
        meta
    }

    fn drained(&self) -> bool {
        let host = known(self.local);
        self.network
            .with(|state| state.ports.get_mut(&host).filter(|port| port.id == self.id).is_some_and(Port::drained))
    }

    /// Judges `read` messages of the kernel; says how many of them are delivered, at the front.
    fn judge(&self, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta], read: usize) -> usize {
        let host = known(self.local);
        self.network.with(|state| {
            let several = meta[..read].iter().any(|meta| meta.stride < meta.len);
            let stalled = state.stalled.contains(&host);
            let faulty = several && !(state.faulty.is_empty() && state.crashed.is_empty());
            let Some(port) = state.ports.get_mut(&host).filter(|port| port.id == self.id) else { return 0 };
            // Behind what has arrived before, and one by one.
            if stalled || faulty || !port.inbox.is_empty() {
                for (buf, meta) in bufs.iter().zip(&*meta).take(read) {
                    for data in buf[..meta.len].chunks(meta.stride.max(1)) {
                        port.put(Packet { from: meta.addr, ecn: meta.ecn, data: data.into() });
                    }
                }
                return 0;
            }
            let mut kept = 0;
            for i in 0..read {
                if !state.loses(known(meta[i].addr), host, &bufs[i][..meta[i].len]) {
                    bufs.swap(kept, i);
                    meta.swap(kept, i);
                    kept += 1;
                }
            }
            kept
        })
    }
}

impl AsyncUdpSocket for FaultSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.inner.is_closed() {
            return Ok(());
        }
        let packet =
            Datagram { from: self.local, to: transmit.destination, ecn: transmit.ecn, data: transmit.contents };
        match self.network.with(|state| state.depart(&packet)) {
            Ok(()) => self.inner.try_send(transmit),
            Err(wake) => {
                if let Some(reader) = wake {
                    reader.wake();
                }
                Ok(())
            }
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        for _ in 0..ROUNDS {
            match self.step(cx, bufs, meta) {
                Step::Gone => return Poll::Pending,
                Step::Deliver(count) => return Poll::Ready(Ok(count)),
                Step::Read(None) => {}
                Step::Read(Some(due)) => {
                    let mut timer = lock(&self.timer);
                    timer.as_mut().reset(due);
                    if timer.as_mut().poll(cx).is_ready() {
                        continue;
                    }
                }
            }
            let Poll::Ready(read) = self.inner.poll_recv(cx, bufs, meta) else {
                if self.drained() {
                    continue;
                }
                return Poll::Pending;
            };
            let read = read?;
            let kept = self.judge(bufs, meta, read);
            if kept > 0 {
                return Poll::Ready(Ok(kept));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// One at a time: each is judged by itself.
    fn max_transmit_segments(&self) -> usize {
        1
    }

    /// As many as the kernel joins, whatever this end would like: shorter buffers would lose the rest.
    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

impl Drop for FaultSocket {
    fn drop(&mut self) {
        let host = known(self.local);
        // Dropped outside the lock, with its waker.
        let _port = self.network.with(|state| {
            let mine = state.ports.get(&host).is_some_and(|port| port.id == self.id);
            if mine { state.ports.remove(&host) } else { None }
        });
    }
}
