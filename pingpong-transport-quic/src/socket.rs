//! The UDP socket of an endpoint: bound with large buffers, and closed when the endpoint is.

use crate::config::BindError;
use crate::sync::{Mutex, PoisonError, RwLock};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

/// Binds a socket, and asks for large buffers: with the system's default ones a burst of packets is lost.
pub(crate) fn bind(address: SocketAddr, buffer: usize) -> Result<UdpSocket, BindError> {
    let socket = open(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        _ => BindError::Socket { address, error },
    })?;
    // Less is no reason not to start: what was granted is logged.
    let _ = socket.set_recv_buffer_size(buffer);
    let _ = socket.set_send_buffer_size(buffer);
    // Linux counts its own bookkeeping too, and says twice what it was asked for (socket(7), SO_RCVBUF).
    let factor = if cfg!(target_os = "linux") { 2 } else { 1 };
    let granted = |size: io::Result<usize>| size.unwrap_or_default() / factor;
    let (receive, send) = (granted(socket.recv_buffer_size()), granted(socket.send_buffer_size()));
    if receive < buffer || send < buffer {
        tracing::warn!(%address, receive, send, asked = buffer, "the system grants smaller socket buffers than asked for; raise net.core.rmem_max and net.core.wmem_max");
    } else {
        tracing::info!(%address, receive, send, asked = buffer, "socket buffers");
    }
    Ok(socket.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // Then IPv4 peers can be dialled from it too.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

type SharedPoller = Mutex<Polled>;

/// A poller of the socket, and who waits for it.
#[derive(Debug)]
struct Polled {
    inner: Option<Pin<Box<dyn UdpPoller>>>,
    waiting: Option<Waker>,
}

/// A socket that is closed by a word, under the tasks of the endpoint that still have it: its port is free once
/// [`close`](Self::close) returns. Closed, it takes whatever is sent, and receives nothing.
#[derive(Debug)]
pub(crate) struct ClosableSocket {
    local: SocketAddr,
    may_fragment: bool,
    receive_segments: usize,
    /// Whoever uses it holds the lock.
    inner: RwLock<Option<Arc<dyn AsyncUdpSocket>>>,
    /// They own the inner socket too.
    pollers: Mutex<Vec<Weak<SharedPoller>>>,
}

impl ClosableSocket {
    /// Takes a bound socket. Must be called within a tokio runtime.
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        Self::over(TokioRuntime.wrap_udp_socket(socket)?)
    }

    pub(crate) fn over(inner: Arc<dyn AsyncUdpSocket>) -> io::Result<Self> {
        Ok(Self {
            local: inner.local_addr()?,
            may_fragment: inner.may_fragment(),
            receive_segments: inner.max_receive_segments(),
            inner: RwLock::new(Some(inner)),
            pollers: Mutex::default(),
        })
    }

    pub(crate) fn close(&self) {
        let inner = self.inner.write().unwrap_or_else(PoisonError::into_inner).take();
        let pollers = std::mem::take(&mut *self.pollers.lock().unwrap_or_else(PoisonError::into_inner));
        for poller in pollers.iter().filter_map(Weak::upgrade) {
            let mut poller = poller.lock().unwrap_or_else(PoisonError::into_inner);
            let (_closed, waiting) = (poller.inner.take(), poller.waiting.take());
            drop(poller);
            // Whoever waits for it to take more shall see that it takes everything now.
            waiting.into_iter().for_each(Waker::wake);
        }
        drop(inner);
    }

    #[cfg(feature = "faults")]
    pub(crate) fn is_closed(&self) -> bool {
        self.with(true, |_| false)
    }

    fn with<T>(&self, closed: T, work: impl FnOnce(&Arc<dyn AsyncUdpSocket>) -> T) -> T {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(closed, work)
    }
}

impl AsyncUdpSocket for ClosableSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        let mut pollers = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = self.with(None, |inner| Some(Arc::clone(inner).create_io_poller()));
        let poller = Arc::new(Mutex::new(Polled { inner, waiting: None }));
        pollers.retain(|poller| poller.strong_count() > 0);
        pollers.push(Arc::downgrade(&poller));
        Box::pin(ClosablePoller(poller))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.with(Ok(()), |inner| inner.try_send(transmit))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.with(Poll::Pending, |inner| inner.poll_recv(cx, bufs, meta))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn max_transmit_segments(&self) -> usize {
        self.with(1, |inner| inner.max_transmit_segments())
    }

    fn max_receive_segments(&self) -> usize {
        self.receive_segments
    }

    fn may_fragment(&self) -> bool {
        self.may_fragment
    }
}

/// Waits until the socket takes more. Closed, it always does.
#[derive(Debug)]
struct ClosablePoller(Arc<SharedPoller>);

impl UdpPoller for ClosablePoller {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut poller = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(inner) = &mut poller.inner else { return Poll::Ready(Ok(())) };
        let polled = inner.as_mut().poll_writable(cx);
        poller.waiting = polled.is_pending().then(|| cx.waker().clone());
        polled
    }
}
