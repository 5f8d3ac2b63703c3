//! Lanes, datagrams and closes.

use super::*;
use bytes::Bytes;
use pingpong_core::link::{Closed, Connection, LaneReceiver, LaneSender, Priority};

async fn read(lane: &mut impl LaneReceiver, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunks = vec![Bytes::new(); 8];
    while bytes.len() < length {
        let count = soon(lane.recv(&mut chunks)).await.unwrap();
        assert_ne!(count, 0, "the lane has ended after {} bytes", bytes.len());
        chunks[..count].iter().for_each(|chunk| bytes.extend_from_slice(chunk));
    }
    bytes
}

#[tokio::test]
async fn bytes_arrive_in_order_both_ways() {
    let pair = pair().await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8 ^ (number >> 8) as u8).collect();
    for (from, to) in [(&pair.dialled, &pair.accepted), (&pair.accepted, &pair.dialled)] {
        let send = async {
            let mut lane = from.open(Priority::Server).await.unwrap();
            for chunk in body.chunks(70_000) {
                soon(lane.send(Bytes::copy_from_slice(chunk))).await.unwrap();
            }
            lane
        };
        let receive = async { read(&mut soon(to.accept()).await.unwrap(), body.len()).await };
        let (_lane, received) = tokio::join!(send, receive);
        assert!(received == body);
    }
    assert!(pair.dialled.packets() > 0 && pair.accepted.packets() > 0);
}

#[tokio::test]
async fn lanes_that_are_not_read_hold_up_their_own_sender_alone() {
    let pair = pair().await;
    let mut control = pair.dialled.open(Priority::Control).await.unwrap();
    soon(control.send(Bytes::from_static(b"x"))).await.unwrap();
    let mut control_end = soon(pair.accepted.accept()).await.unwrap();
    assert_eq!(read(&mut control_end, 1).await, b"x");
    // Every other lane holds a window's worth that nobody reads.
    let fill = async {
        let mut full = Vec::new();
        for _ in 0..26 {
            let mut lane = pair.dialled.open(Priority::Server).await.unwrap();
            lane.send(Bytes::from(vec![1; 1 << 20])).await.unwrap();
            full.push(lane);
        }
        full
    };
    let take = async {
        let mut unread = Vec::new();
        for _ in 0..26 {
            unread.push(pair.accepted.accept().await.unwrap());
        }
        unread
    };
    let (mut full, _unread) = soon(async { tokio::join!(fill, take) }).await;
    let waiting = tokio::time::timeout(SECOND / 10, full[0].send(Bytes::from(vec![1; 3 << 20]))).await;
    assert!(waiting.is_err(), "a full lane makes its sender wait");
    soon(control.send(Bytes::from_static(b"control"))).await.unwrap();
    assert_eq!(read(&mut control_end, 7).await, b"control");
    pair.dialled.send_datagram(Bytes::from_static(b"beat"));
    assert_eq!(soon(pair.accepted.recv_datagram()).await.unwrap(), "beat");
}

/// How many lanes the peer takes before one waits.
async fn lanes_taken(connection: &QuicConnection) -> usize {
    let mut lanes = Vec::new();
    while let Ok(lane) = tokio::time::timeout(SECOND / 5, connection.open(Priority::Server)).await {
        lanes.push(lane.unwrap());
    }
    lanes.len()
}

#[tokio::test]
async fn lanes_are_taken_once_they_are_asked_for_and_no_more_than_agreed() {
    let pair = pair().await;
    let mut control = pair.dialled.open(Priority::Control).await.unwrap();
    control.send(Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(lanes_taken(&pair.dialled).await, 0, "one lane is enough to shake hands");
    let control = soon(pair.accepted.accept()).await.unwrap();
    assert_eq!(lanes_taken(&pair.dialled).await, 0, "nobody has asked for others");
    let more = pair.accepted.accept();
    tokio::select! {
        taken = lanes_taken(&pair.dialled) => assert_eq!(taken, 26),
        lane = more => drop(lane.map(|_| panic!("nothing was sent on any"))),
    }
    drop(control);
}

#[tokio::test]
async fn a_reason_arrives_and_only_the_first_close_counts() {
    let pair = pair().await;
    pair.dialled.close(Bytes::from_static(b"enough"));
    pair.dialled.close(Bytes::from_static(b"again"));
    assert_eq!(soon(pair.accepted.closed()).await, Closed::ByPeer(Bytes::from_static(b"enough")));
    assert_eq!(soon(pair.dialled.closed()).await, Closed::Here);
    assert!(soon(pair.accepted.accept()).await.is_err());
    assert!(soon(pair.accepted.recv_datagram()).await.is_err());
}

#[tokio::test]
async fn what_is_dropped_closes() {
    let Pair { a, b, dialled, accepted } = pair().await;
    drop(dialled);
    assert_eq!(soon(accepted.closed()).await, Closed::ByPeer(Bytes::new()));
    soon(a.close(SECOND)).await;
    assert!(matches!(soon(a.dial(&address(&b), None)).await, Err(pingpong_core::link::DialError::EndpointClosed)));
    assert!(soon(a.accept()).await.is_none());
}

#[tokio::test]
async fn a_closed_endpoint_has_freed_its_port() {
    let authority = authority();
    let Pair { a, dialled, .. } = pair().await;
    let at = a.local_address();
    a.close(Duration::ZERO).await;
    let again = QuicLink::bind(QuicConfig::new(at, issue(&authority, "a")));
    again.expect("the port is free, though the connection was not idle yet");
    assert_eq!(soon(dialled.closed()).await, Closed::Here);
}

#[tokio::test]
async fn a_process_that_is_gone_is_noticed_by_its_port() {
    let authority = authority();
    let mut quick = config(issue(&authority, "a"));
    quick.failure_timeout = SECOND / 10;
    let (a, b) = (QuicLink::bind(quick).unwrap(), bind(issue(&authority, "b")));
    let to = address(&b);
    let (dialled, accepted) = soon(async { tokio::join!(a.dial(&to, None), b.accept()) }).await;
    let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    let dies = async {
        // It is heard for as long as it takes to learn that its port is open to strangers; then nothing is said any more, as if
        // the process had been killed.
        let mut beats = tokio::time::interval(SECOND / 100);
        for _ in 0..600 {
            beats.tick().await;
            accepted.send_datagram(Bytes::from_static(b"beat"));
        }
        b.socket.close();
    };
    let (closed, ()) = soon(async { tokio::join!(dialled.closed(), dies) }).await;
    match closed {
        Closed::Lost(words) => assert!(words.contains("nobody listens at 127.0.0.1:"), "{words}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn packets_grow_as_large_as_the_path_takes() {
    let pair = pair().await;
    let mut lane = pair.dialled.open(Priority::Server).await.unwrap();
    let mtu = || pair.dialled.inner.stats().path.current_mtu;
    let send = async {
        while mtu() < 6_000 {
            lane.send(Bytes::from(vec![0; 64 << 10])).await.unwrap();
        }
    };
    let read = async {
        let mut lane = pair.accepted.accept().await.unwrap();
        let mut chunks = vec![Bytes::new(); 8];
        while lane.recv(&mut chunks).await.is_ok() {}
    };
    soon(async {
        tokio::select! {
            () = send => {}
            () = read => panic!("the lane ended"),
        }
    })
    .await;
    assert!(mtu() <= 6_500);
}

#[tokio::test]
async fn a_lane_that_one_side_gives_up_ends_the_connection() {
    let pair = pair().await;
    let mut lane = pair.dialled.open(Priority::Server).await.unwrap();
    lane.send(Bytes::from_static(b"x")).await.unwrap();
    drop(soon(pair.accepted.accept()).await.unwrap());
    soon(async {
        while lane.send(Bytes::from_static(b"x")).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(soon(pair.accepted.closed()).await, Closed::ByPeer(Bytes::new()));
}

#[tokio::test]
async fn what_a_connection_may_hold_is_counted() {
    let link = bind(issue(&authority(), "a"));
    let endpoint = link.endpoint();
    let (lane, fixed) = (5 << 19, 3 * (64 << 10));
    assert_eq!((endpoint.name.as_str(), endpoint.lanes), ("a", 27));
    assert_eq!(endpoint.connection_bytes, 27 * lane + (1 << 20) + fixed);
    // 4 x 128 + 64 connections of others that hold the control lane, 128 + 8 handshakes, what is left of the others, and the
    // socket's buffers.
    assert_eq!(endpoint.other_bytes, 576 * (lane + fixed) + 136 * (128 << 10) + 440 * (48 << 10) + (8 << 20));
}
