//! Hand-made synchronisation of the endpoint, in many orders: see [`crate::sync`].

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::current::{Current, MadeWith};
use crate::ready::Ready;
use crate::socket::ClosableSocket;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use shuttle::future::block_on;
use shuttle::sync::Mutex;
use shuttle::thread;
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

const ORDERS: usize = 5_000;
const HOLD_UPS: usize = 3;

fn explore(test: impl Fn() + Send + Sync + 'static) {
    let test = Arc::new(test);
    let again = Arc::clone(&test);
    shuttle::check_random(move || again(), ORDERS);
    shuttle::check_pct(move || test(), ORDERS, HOLD_UPS);
}

fn push(ready: &Arc<Ready<u8>>, connections: &'static [u8]) -> thread::JoinHandle<usize> {
    let ready = Arc::clone(ready);
    thread::spawn(move || connections.iter().filter(|connection| ready.push(**connection)).count())
}

#[test]
fn each_connection_wakes_one_who_accepts() {
    explore(|| {
        let ready = Arc::new(Ready::new(8));
        let accepts = [(); 3].map(|()| {
            let ready = Arc::clone(&ready);
            thread::spawn(move || block_on(ready.next()).unwrap())
        });
        let pushes = [push(&ready, &[1, 2]), push(&ready, &[3])];
        let mut accepted = accepts.map(|thread| thread.join().unwrap());
        accepted.sort_unstable();
        assert_eq!(accepted, [1, 2, 3]);
        assert_eq!(pushes.map(|thread| thread.join().unwrap()), [2, 1]);
    });
}

#[test]
fn an_endpoint_that_closes_ends_all_who_accept() {
    explore(|| {
        let ready = Arc::new(Ready::new(1));
        let accepts = [(); 2].map(|()| {
            let ready = Arc::clone(&ready);
            thread::spawn(move || {
                block_on(async {
                    let mut accepted = 0;
                    while ready.next().await.is_some() {
                        accepted += 1;
                    }
                    accepted
                })
            })
        });
        let pushed = push(&ready, &[1, 2]);
        ready.close();
        let pushed = pushed.join().unwrap();
        let accepted: usize = accepts.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(accepted <= pushed);
    });
}

/// A socket that never takes anything.
#[derive(Debug)]
struct Full;

impl AsyncUdpSocket for Full {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Never)
    }
    fn try_send(&self, _transmit: &Transmit<'_>) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    fn poll_recv(&self, _: &mut Context<'_>, _: &mut [IoSliceMut<'_>], _: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 1)))
    }
}

#[derive(Debug)]
struct Never;

impl UdpPoller for Never {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[test]
fn a_socket_that_closes_wakes_who_waits_to_send_whenever_that_began() {
    explore(|| {
        let inner = Arc::new(Full);
        let socket = Arc::new(ClosableSocket::over(Arc::clone(&inner) as Arc<dyn AsyncUdpSocket>).unwrap());
        let sends = [(); 2].map(|()| {
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                let mut poller = socket.create_io_poller();
                block_on(poll_fn(|cx| poller.as_mut().poll_writable(cx))).unwrap();
            })
        });
        socket.close();
        sends.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(Arc::strong_count(&inner), 1, "nobody has the socket any more");
    });
}

/// Remembers the values that it was made with, and looked at.
struct Looks(Mutex<Vec<u8>>);

impl MadeWith<u8> for Looks {
    fn check(&self, value: &u8) {
        self.0.lock().unwrap().push(*value);
    }
}

#[test]
fn whoever_begins_while_the_identity_is_renewed_is_looked_at_with_the_last_one() {
    explore(|| {
        let current = Arc::new(Current::<u8, Looks>::new(0));
        let begins = [(); 2].map(|()| {
            let current = Arc::clone(&current);
            thread::spawn(move || {
                let value = current.get();
                let made = Arc::new(Looks(Mutex::new(vec![*value])));
                current.enter(&made, &value);
                made
            })
        });
        let renewals = [1, 2].map(|value| {
            let current = Arc::clone(&current);
            thread::spawn(move || current.replace(value))
        });
        renewals.into_iter().for_each(|thread| thread.join().unwrap());
        for made in begins.map(|thread| thread.join().unwrap()) {
            let (last, looks) = (current.get(), made.0.lock().unwrap());
            assert!(looks.contains(&last), "{last} counts now, and it was looked at with {looks:?}");
        }
    });
}
