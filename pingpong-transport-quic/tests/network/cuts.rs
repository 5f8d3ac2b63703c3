//! A cut ends nothing, and loses nothing (L5, F2).

use super::*;
use tokio::time::{sleep, timeout};

/// Both sides send heartbeats, as those of a Mesh do.
async fn beat(one: &QuicConnection, other: &QuicConnection) {
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    loop {
        beat.tick().await;
        one.send_datagram(Bytes::from_static(b"beat"));
        other.send_datagram(Bytes::from_static(b"beat"));
    }
}

#[tokio::test]
async fn a_cut_loses_nothing_even_if_the_peer_has_a_much_shorter_failure_timeout() {
    let (network, authority) = (FaultNetwork::new(), authority());
    // QUIC takes the shorter one of what two sides allow: less than three of the longer one must not come of it.
    let (long, short) = (SECOND, SECOND / 10);
    let [a, b] = [("a", long), ("b", short)]
        .map(|(own, failure)| bind_at(&network, ANY.parse().unwrap(), config(issue(&authority, own), failure)));
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
        () = sleep(5 * short) => {}
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
