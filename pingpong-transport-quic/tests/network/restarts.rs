//! A node that comes back at its old address is noticed by those who still hold connections to its earlier run.

use super::*;
use pingpong_core::link::Closed;

/// So long that no timeout can take part in these tests.
const FAILURE: Duration = Duration::from_secs(600);

/// Waits for the end of a connection while it sends.
async fn end_while_sending(connection: &QuicConnection) -> Closed {
    let mut beat = tokio::time::interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            end = connection.closed() => return end,
            _ = beat.tick() => connection.send_datagram(Bytes::from_static(b"beat")),
        }
    }
}

#[derive(Clone, Copy)]
enum Restarted {
    Dialler,
    Acceptor,
}

/// A connection of `a` whose other end crashed without a word, and the address of that.
struct Orphan {
    network: FaultNetwork,
    a: QuicLink,
    ours: QuicConnection,
    at: SocketAddr,
    /// Who crashed sends nothing any more, and must not end in order.
    _crashed: (QuicLink, QuicConnection, Lanes),
}

async fn orphan(authority: &Authority, identity: &Identity, restarted: Restarted) -> Orphan {
    let network = FaultNetwork::new();
    let a = bind_at(&network, ANY.parse().unwrap(), config(issue(authority, "a"), FAILURE));
    let b = bind_at(&network, ANY.parse().unwrap(), config(identity.clone(), FAILURE));
    let (ours, theirs) = match restarted {
        Restarted::Acceptor => connect(&a, &b).await,
        Restarted::Dialler => {
            let (theirs, ours) = connect(&b, &a).await;
            (ours, theirs)
        }
    };
    let lanes = settle(&ours, &theirs).await;
    let at = b.local_address();
    network.crash(at);
    Orphan { network, a, ours, at, _crashed: (b, theirs, lanes) }
}

async fn restart_is_noticed(restarted: Restarted) {
    let authority = authority();
    let identity = issue(&authority, "b");
    let orphan = orphan(&authority, &identity, restarted).await;
    let again = bind_at(&orphan.network, orphan.at, config(identity, FAILURE));
    match soon(end_while_sending(&orphan.ours)).await {
        Closed::Lost(words) => assert!(words.contains("restarted"), "{words}"),
        other => panic!("{other:?}"),
    }
    let (_dialled, accepted) = connect(&orphan.a, &again).await;
    assert_eq!(accepted.peer(), &name("a"));
}

#[tokio::test]
async fn a_restart_of_the_accepting_side_is_noticed_with_the_next_packet() {
    restart_is_noticed(Restarted::Acceptor).await;
}

#[tokio::test]
async fn a_restart_of_the_dialling_side_is_noticed_with_the_next_packet() {
    restart_is_noticed(Restarted::Dialler).await;
}

#[tokio::test]
async fn a_node_with_another_key_cannot_end_the_connections_of_who_had_the_address_before() {
    let authority = authority();
    for restarted in [Restarted::Acceptor, Restarted::Dialler] {
        let orphan = orphan(&authority, &issue(&authority, "b"), restarted).await;
        let other = bind_at(&orphan.network, orphan.at, config(issue(&authority, "b"), FAILURE));
        let end = tokio::time::timeout(SECOND / 2, end_while_sending(&orphan.ours)).await;
        assert!(end.is_err(), "{end:?}");
        // It was there, and could have answered.
        connect(&orphan.a, &other).await;
    }
}
