//! Addresses that are dialled, and dials of others.

use super::*;
use crate::BindError;
use pingpong_core::link::{Connection, DialError};
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_port_that_is_in_use_is_named() {
    let authority = authority();
    let a = bind(issue(&authority, "a"));
    let error = QuicLink::bind(QuicConfig::new(a.local_address(), issue(&authority, "b"))).unwrap_err();
    assert!(matches!(error, BindError::InUse { address } if address == a.local_address()), "{error}");
    let mut wrong = config(issue(&authority, "b"));
    wrong.max_udp_payload = 9_000;
    let error = QuicLink::bind(wrong).unwrap_err().to_string();
    assert_eq!(error, "max_udp_payload is 9000, allowed are 1200 to 6500");
}

#[tokio::test]
async fn addresses_that_cannot_be_dialled_say_why() {
    let a = bind(issue(&authority(), "a"));
    for wrong in ["localhost", "h:0", "h:70000", "::1:4000", "[x]:1", ":4000"] {
        let error = soon(a.dial(&Address::new(wrong).unwrap(), None)).await.unwrap_err();
        assert!(matches!(error, DialError::Address { .. }), "{wrong}: {error}");
    }
    // A socket for IPv4 reaches no IPv6 address.
    let error = soon(a.dial(&Address::new("[::1]:4000").unwrap(), None)).await.unwrap_err();
    assert!(matches!(error, DialError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn names_are_resolved() {
    let authority = authority();
    let (a, b) = (bind(issue(&authority, "a")), bind(issue(&authority, "b")));
    let by_name = Address::new(&format!("localhost:{}", b.local_address().port())).unwrap();
    assert_eq!(soon(a.dial(&by_name, None)).await.unwrap().peer(), &name("b"));
}

#[tokio::test]
async fn all_that_an_address_stands_for_is_tried() {
    let authority = authority();
    let mut hasty = config(issue(&authority, "a"));
    hasty.failure_timeout = SECOND / 10;
    let (a, b) = (QuicLink::bind(hasty).unwrap(), bind(issue(&authority, "b")));
    // The first one takes packets and never answers.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let found = [silent.local_addr().unwrap(), b.local_address()];
    let dialled = soon(a.dialler.first(&address(&b), &found, None)).await.unwrap();
    assert_eq!(dialled.peer(), &name("b"));

    let stranger = bind(issue(&super::authority(), "b"));
    let found = [stranger.local_address(), silent.local_addr().unwrap()];
    let to = address(&b);
    let refused = tokio::time::timeout(SECOND / 2, a.dialler.first(&to, &found, None)).await;
    assert!(refused.is_err(), "the last one is given all the time there is");
    let found = [stranger.local_address(), "[::1]:4000".parse().unwrap()];
    let error = soon(a.dialler.first(&to, &found, None)).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { .. }), "a refusal says more than no answer: {error}");
}

#[tokio::test]
async fn garbage_does_no_harm() {
    let authority = authority();
    let (a, b) = (bind(issue(&authority, "a")), bind(issue(&authority, "b")));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for length in [0, 1, 20, 21, 1_200, 1_500] {
        for first in [0_u8, 0x40, 0x80, 0xc0, 0xff] {
            let mut bytes: Vec<u8> = (0..length).map(|index| (index * 31 + 7) as u8).collect();
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            socket.send_to(&bytes, b.local_address()).await.unwrap();
        }
    }
    assert_eq!(soon(a.dial(&address(&b), None)).await.unwrap().peer(), &name("b"));
    assert_eq!(soon(b.accept()).await.unwrap().peer(), &name("a"));
}

#[tokio::test]
async fn twenty_dial_at_once() {
    let authority = authority();
    let (a, b) = (Arc::new(bind(issue(&authority, "a"))), bind(issue(&authority, "b")));
    let mut dials = JoinSet::new();
    for _ in 0..20 {
        let (a, to) = (Arc::clone(&a), address(&b));
        dials.spawn(async move { a.dial(&to, Some(&name("b"))).await });
    }
    let mut accepted = Vec::new();
    for _ in 0..20 {
        accepted.push(soon(b.accept()).await.unwrap());
    }
    let dialled = soon(dials.join_all()).await;
    assert!(dialled.iter().all(Result::is_ok));
}

#[tokio::test]
async fn nobody_beyond_the_bound_is_let_in_before_others_are_taken() {
    let authority = authority();
    let mut small = config(issue(&authority, "b"));
    small.max_peers = 1;
    let (a, b) = (Arc::new(bind(issue(&authority, "a"))), QuicLink::bind(small).unwrap());
    let mut kept = Vec::new();
    for _ in 0..9 {
        kept.push(soon(a.dial(&address(&b), None)).await.unwrap());
    }
    let beyond = async {
        loop {
            match a.dial(&address(&b), None).await {
                Ok(connection) => kept.push(connection),
                Err(error) => break error,
            }
        }
    };
    let error = soon(beyond).await;
    assert!(matches!(&error, DialError::Unreachable { words, .. } if words.contains("no further")), "{error}");
    soon(b.accept()).await.unwrap();
    soon(a.dial(&address(&b), None)).await.unwrap();
}

#[tokio::test]
async fn connections_of_any_kind_are_bounded() {
    let authority = authority();
    let mut small = config(issue(&authority, "b"));
    small.max_peers = 1;
    let (a, b) = (bind(issue(&authority, "a")), QuicLink::bind(small).unwrap());
    let (mut kept, to) = (Vec::new(), address(&b));
    // 4 x max_peers + 64, each taken over at once, so that no handshake's place is missing.
    for _ in 0..68 {
        let (dialled, accepted) = soon(async { tokio::join!(a.dial(&to, None), b.accept()) }).await;
        kept.push((dialled.unwrap(), accepted.unwrap()));
    }
    let error = soon(a.dial(&to, None)).await.unwrap_err();
    assert!(matches!(&error, DialError::Unreachable { words, .. } if words.contains("no further")), "{error}");
    drop(kept);
    soon(async { while a.dial(&to, None).await.is_err() {} }).await;
}
