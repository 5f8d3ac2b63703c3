//! What the seam asks of a link itself, and no case of the suite can tell from what the Mesh adds.

use crate::link::{LANE_BUFFER, UnixConnection, UnixLink};
use bytes::Bytes;
use pingpong_core::link::{Closed, Connection, DialError, LaneReceiver, LaneSender, Link, Priority};
use pingpong_core::{Address, NodeName};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
/// Far more than a lane may hold.
const PIECES: usize = 1_000;
const PIECE: Bytes = Bytes::from_static(&[7; 16 << 10]);

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

async fn bind(dir: &TempDir, text: &str) -> (UnixLink, Address) {
    let at = Address::new(dir.path().join(text).to_str().unwrap()).unwrap();
    (UnixLink::bind(name(text), at.clone(), 4).await.unwrap(), at)
}

async fn linked(dir: &TempDir) -> (UnixLink, UnixLink, UnixConnection, UnixConnection) {
    let ((a, _), (b, at_b)) = (bind(dir, "a").await, bind(dir, "b").await);
    let expected = name("b");
    let (dialled, accepted) = tokio::join!(a.dial(&at_b, Some(&expected)), b.accept());
    (a, b, dialled.unwrap(), accepted.unwrap())
}

#[tokio::test]
async fn a_dial_finds_whom_it_expects_or_says_who_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (_a, b, dialled, accepted) = linked(&dir).await;
    assert_eq!((dialled.peer(), accepted.peer()), (&name("b"), &name("a")));
    let at_b = b.addresses().remove(0);
    let (c, at_c) = bind(&dir, "c").await;
    let expected = name("somebody-else");
    let (dialled, _accepted) = tokio::join!(c.dial(&at_b, Some(&expected)), b.accept());
    let another = DialError::AnotherName { address: at_b.clone(), expected, answered: name("b") };
    assert_eq!(dialled.map(|_| ()), Err(another));
    drop(b);
    assert!(matches!(c.dial(&at_b, None).await, Err(DialError::Unreachable { .. })), "nobody is there any more");
    drop(c);
    assert!(!std::path::Path::new(at_c.as_str()).exists(), "and no file is left");
}

#[tokio::test]
async fn a_lane_that_nobody_reads_is_bounded_and_holds_up_itself_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (_a, _b, at_a, at_b) = linked(&dir).await;
    let (mut full, mut other) =
        (at_a.open(Priority::Server).await.unwrap(), at_a.open(Priority::Server).await.unwrap());
    let (_unread, mut read) = (at_b.accept().await.unwrap(), at_b.accept().await.unwrap());
    let fill = async {
        for sent in 0..PIECES {
            if timeout(Duration::from_millis(200), full.send(PIECE)).await.is_err() {
                return sent;
            }
        }
        PIECES
    };
    let sent = fill.await;
    assert!(sent * PIECE.len() <= 2 * LANE_BUFFER, "{sent} pieces");
    other.send(Bytes::from_static(b"second")).await.unwrap();
    let mut chunks = [Bytes::new()];
    assert_eq!(timeout(PATIENCE, read.recv(&mut chunks)).await.unwrap(), Ok(1));
    assert_eq!(chunks[0], "second", "lanes come in the order in which they were opened");
    at_a.send_datagram(Bytes::from_static(b"beat"));
    assert_eq!(timeout(PATIENCE, at_b.recv_datagram()).await.unwrap().unwrap(), "beat");
    at_a.close(Bytes::from_static(b"why"));
    assert_eq!(timeout(PATIENCE, at_b.closed()).await.unwrap(), Closed::ByPeer(Bytes::from_static(b"why")));
    assert!(other.send(Bytes::from_static(b"late")).await.is_err(), "it has taken effect here at once");
}
