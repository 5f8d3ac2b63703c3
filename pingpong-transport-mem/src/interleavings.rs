//! Both ends of a connection, and the faults between them, in many orders: see [`crate::sync`].

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::network::Settings;
use crate::{MemConnection, MemLink, MemNetwork};
use bytes::Bytes;
use pingpong_core::link::{Closed, Connection, LaneReceiver, LaneSender, Link, Priority};
use pingpong_core::{Address, NodeName};
use shuttle::future::block_on;
use shuttle::thread;
use std::sync::Arc;
use std::time::Duration;

const ORDERS: usize = 1_000;
const HOLD_UPS: usize = 3;

fn explore(test: impl Fn() + Send + Sync + 'static) {
    let test = Arc::new(test);
    let again = Arc::clone(&test);
    shuttle::check_random(move || again(), ORDERS);
    shuttle::check_pct(move || test(), ORDERS, HOLD_UPS);
}

fn host(name: &str) -> Address {
    Address::new(name).unwrap()
}

/// Two hosts, with lanes that have room for two pieces of one byte.
fn network() -> (MemNetwork, MemLink, MemLink) {
    let lane_window = 2 * (Settings::PIECE_BYTES + 1);
    let network = MemNetwork::with_settings(1, Settings { lane_window, ..Settings::default() });
    let [a, b] = ["a", "b"].map(|name| network.bind(NodeName::new(name).unwrap(), host(name)).unwrap());
    (network, a, b)
}

fn connect(a: &MemLink, b: &MemLink) -> (MemConnection, MemConnection) {
    block_on(async { (a.dial(&host("b"), None).await.unwrap(), b.accept().await.unwrap()) })
}

/// Sends 0, 1, ... up to 4, and ends the lane; the number of those that were taken.
fn send(connection: &Arc<MemConnection>) -> thread::JoinHandle<u8> {
    let connection = Arc::clone(connection);
    thread::spawn(move || {
        block_on(async {
            let Ok(mut lane) = connection.open(Priority::Server).await else { return 0 };
            for number in 0..5 {
                if lane.send(Bytes::copy_from_slice(&[number])).await.is_err() {
                    return number;
                }
            }
            5
        })
    })
}

/// Everything that arrives on the next lane.
fn receive(connection: &Arc<MemConnection>) -> thread::JoinHandle<Vec<u8>> {
    let connection = Arc::clone(connection);
    thread::spawn(move || {
        block_on(async {
            let (mut all, mut chunks) = (Vec::new(), [const { Bytes::new() }; 4]);
            let Ok(mut lane) = connection.accept().await else { return all };
            while let Ok(count @ 1..) = lane.recv(&mut chunks).await {
                all.extend(chunks[..count].iter().flatten());
            }
            all
        })
    })
}

#[test]
fn a_sender_that_waits_for_room_gets_it_and_the_receiver_gets_everything() {
    explore(|| {
        let (network, a, b) = network();
        let (to, from) = connect(&a, &b);
        let (to, from) = (Arc::new(to), Arc::new(from));
        let (sender, receiver) = (send(&to), receive(&from));
        // Held, and let go.
        network.cut(&host("a"), &host("b"));
        network.heal(&host("a"), &host("b"));
        assert_eq!((sender.join().unwrap(), receiver.join().unwrap()), (5, vec![0, 1, 2, 3, 4]));
    });
}

#[test]
fn a_close_wakes_everybody_who_waits_at_either_end() {
    explore(|| {
        let (_network, a, b) = network();
        let (to, from) = connect(&a, &b);
        let (to, from) = (Arc::new(to), Arc::new(from));
        let (sender, receiver) = (send(&to), receive(&from));
        let closed = {
            let to = Arc::clone(&to);
            thread::spawn(move || block_on(to.closed()))
        };
        from.close(Bytes::from_static(b"why"));
        assert!(matches!(closed.join().unwrap(), Closed::ByPeer(reason) if reason[..] == *b"why"));
        let (sent, received) = (sender.join().unwrap(), receiver.join().unwrap());
        assert!(received.len() <= usize::from(sent) + 1 && received.iter().copied().eq(0..received.len() as u8));
    });
}

#[test]
fn a_link_that_is_closed_wakes_who_accepts() {
    explore(|| {
        let (_network, a, b) = network();
        let b = Arc::new(b);
        let accepts = [(); 2].map(|()| {
            let b = Arc::clone(&b);
            thread::spawn(move || block_on(b.accept()).is_some())
        });
        let _dialled = block_on(a.dial(&host("b"), None)).unwrap();
        block_on(b.close(Duration::ZERO));
        let accepted = accepts.into_iter().map(|thread| thread.join().unwrap()).filter(|a| *a).count();
        assert!(accepted <= 1, "one connection is accepted once");
    });
}
