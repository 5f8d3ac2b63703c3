//! Silence is the Mesh's to judge (L5).

use super::*;
use pingpong_core::link::Closed;
use tokio::time::{Instant, sleep, timeout};

/// Both sides send heartbeats, as those of a Mesh do.
async fn beat(one: &QuicConnection, other: &QuicConnection) {
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    loop {
        beat.tick().await;
        one.send_datagram(Bytes::from_static(b"beat"));
        other.send_datagram(Bytes::from_static(b"beat"));
    }
}

fn pair(failure_timeout: Duration) -> (FaultNetwork, QuicLink, QuicLink) {
    let (network, authority) = (FaultNetwork::new(), authority());
    let link = |own| bind_at(&network, ANY.parse().unwrap(), config(issue(&authority, own), failure_timeout));
    let (a, b) = (link("a"), link("b"));
    (network, a, b)
}

#[tokio::test]
async fn a_cut_that_is_longer_than_the_failure_timeout_loses_nothing() {
    let failure = Duration::from_millis(500);
    let (network, a, b) = pair(failure);
    let (dialled, accepted) = connect(&a, &b).await;
    let mut lane = dialled.open(Priority::Server).await.unwrap();
    soon(lane.send(Bytes::from_static(b"before"))).await.unwrap();
    let mut received = soon(accepted.accept()).await.unwrap();
    assert_eq!(read(&mut received, 6).await, b"before");

    network.cut(a.local_address(), b.local_address());
    let body: Vec<u8> = (0..100_000_u32).map(|number| number as u8 ^ (number >> 8) as u8).collect();
    for chunk in body.chunks(7_000) {
        soon(lane.send(Bytes::copy_from_slice(chunk))).await.unwrap();
    }
    let mut chunks = [Bytes::new()];
    tokio::select! {
        () = beat(&dialled, &accepted) => {}
        early = received.recv(&mut chunks) => panic!("through the cut: {early:?}"),
        // What is tested is the length of the cut itself.
        () = sleep(failure + failure / 4) => {}
    }
    network.heal(a.local_address(), b.local_address());
    tokio::select! {
        () = beat(&dialled, &accepted) => {}
        got = read(&mut received, body.len()) => assert!(got == body),
    }
    for connection in [&dialled, &accepted] {
        let end = timeout(Duration::ZERO, connection.closed()).await;
        assert!(end.is_err(), "{end:?}");
    }
}

#[tokio::test]
async fn silence_ends_a_connection_after_three_failure_timeouts_and_not_before() {
    let failure = Duration::from_millis(300);
    let (network, a, b) = pair(failure);
    let (dialled, accepted) = connect(&a, &b).await;
    // Before the last packet of either side.
    let start = Instant::now();
    let _lanes = settle(&dialled, &accepted).await;
    network.cut(a.local_address(), b.local_address());
    let ends = async { tokio::join!(dialled.closed(), accepted.closed()) };
    let (one, other) = tokio::select! {
        () = beat(&dialled, &accepted) => unreachable!(),
        ends = soon(ends) => ends,
    };
    assert!(start.elapsed() >= 3 * failure, "after {:?}", start.elapsed());
    for end in [one, other] {
        assert!(matches!(&end, Closed::Lost(words) if words.contains("nothing came")), "{end:?}");
    }
}
