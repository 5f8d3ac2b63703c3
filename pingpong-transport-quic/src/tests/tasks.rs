//! What has ended keeps no task; and where QUIC keeps it, it counts.

use super::*;
use futures_util::FutureExt;
use pingpong_core::link::Connection;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

/// QUIC keeps a connection that has ended for a few seconds (RFC 9000, section 10.2).
const KEPT: Duration = Duration::from_secs(20);

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Nothing tells of a task's end, so that it is looked at again and again.
async fn until_at_most(expected: usize) {
    let deadline = Instant::now() + KEPT;
    while tasks() > expected {
        assert!(Instant::now() < deadline, "{} tasks, and {expected} at first", tasks());
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn dials_that_are_given_up_keep_no_task() {
    let authority = authority();
    let a = bind(issue(&authority, "a"));
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = Address::new(&silent.local_addr().unwrap().to_string()).unwrap();
    let before = tasks();
    for _ in 0..10 {
        assert!(timeout(Duration::from_millis(300), a.dial(&to, None)).await.is_err());
    }
    until_at_most(before).await;
}

#[tokio::test]
async fn connections_that_are_closed_keep_no_task() {
    let authority = authority();
    let (a, b) = (bind(issue(&authority, "a")), bind(issue(&authority, "b.example")));
    let to = address(&b);
    let before = tasks();
    for _ in 0..10 {
        let (dialled, accepted) = soon(async { tokio::join!(a.dial(&to, None), b.accept()) }).await;
        let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
        dialled.close(bytes::Bytes::new());
        drop((dialled, accepted));
    }
    until_at_most(before).await;
}

#[tokio::test]
async fn dials_that_are_given_up_while_the_peer_answers_keep_no_task() {
    let authority = authority();
    let (a, b) = (bind(issue(&authority, "a")), bind(issue(&authority, "b.example")));
    let to = address(&b);
    let before = tasks();
    for micros in 0..40 {
        let _ = timeout(Duration::from_micros(100 * micros), a.dial(&to, None)).await;
        while timeout(Duration::from_millis(5), b.accept()).await.is_ok() {}
    }
    // Of those that were given up before their first packet was sent, the peer keeps a few.
    until_at_most(before + b.census.count()).await;
}

/// Its first packet ends the connection, as after a cut that its dial did not outlive: QUIC keeps that until it is idle.
#[tokio::test]
async fn what_the_first_packet_ends_counts_as_long_as_quic_keeps_it() {
    let authority = authority();
    let (a, b) = (bind(issue(&authority, "a")), bind(issue(&authority, "b.example")));
    let to = address(&b);
    for _ in 0..8 {
        // Polled once: the packet is made when its task runs, and says the end.
        assert!(a.dial(&to, None).now_or_never().is_none());
    }
    let all = async {
        while b.census.count() < 8 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(all).await;
    // Longer than any other connection is kept that has ended.
    sleep(Duration::from_secs(4)).await;
    assert_eq!((b.census.count(), b.dialler.endpoint.open_connections()), (8, 8));
}
