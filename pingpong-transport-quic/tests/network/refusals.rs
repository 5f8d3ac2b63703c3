//! Who is not let in, and how that is said.

use super::raw::{PROTOCOL, client, end_of_dial, proof, server};
use super::*;
use pingpong_core::link::DialError;
use quinn::ConnectionError;

const OTHER_PROTOCOL: &[u8] = b"pingpong/2";
/// `no_application_protocol` and `certificate_required` of TLS as errors of QUIC (RFC 9001, section 4.8).
const NO_APPLICATION_PROTOCOL: u64 = 0x178;
const CERTIFICATE_REQUIRED: u64 = 0x174;

/// The error code that the peer's QUIC ended the connection with.
fn code(end: &ConnectionError) -> u64 {
    match end {
        ConnectionError::ConnectionClosed(close) => close.error_code.into(),
        other => panic!("not ended by the peer's QUIC: {other:?}"),
    }
}

async fn refusal(from: &QuicLink, to: SocketAddr, expect: Option<&NodeName>) -> String {
    match soon(from.dial(&address(to), expect)).await {
        Err(DialError::Refused { words, .. }) => words,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_member_by_hand_is_let_in() {
    // What the tests below leave out is all that keeps their clients out.
    let authority = authority();
    let b = bind(issue(&authority, "b"));
    let endpoint = quinn::Endpoint::client(ANY.parse().unwrap()).unwrap();
    let config = client(&authority, PROTOCOL, Some(proof(&authority, &["a"])));
    let connecting = endpoint.connect_with(config, b.local_address(), "b").unwrap();
    let (dialled, accepted) = soon(async { tokio::join!(connecting, b.accept()) }).await;
    assert!(dialled.is_ok());
    assert_eq!(accepted.unwrap().peer(), &name("a"));
    let other = server(PROTOCOL, proof(&authority, &["c"]));
    assert_eq!(soon(b.dial(&address(other.at), None)).await.unwrap().peer(), &name("c"));
}

#[tokio::test]
async fn a_client_of_another_protocol_is_refused() {
    let authority = authority();
    let b = bind(issue(&authority, "b"));
    let config = client(&authority, OTHER_PROTOCOL, Some(proof(&authority, &["a"])));
    let end = end_of_dial(config, b.local_address()).await;
    assert_eq!(code(&end), NO_APPLICATION_PROTOCOL, "{end:?}");
    only_a_member_is_let_in(&authority, &b).await;
}

#[tokio::test]
async fn a_server_of_another_protocol_is_refused() {
    let authority = authority();
    let a = bind(issue(&authority, "a"));
    let other = server(OTHER_PROTOCOL, proof(&authority, &["b"]));
    for expect in [None, Some(&name("b"))] {
        let words = refusal(&a, other.at, expect).await;
        assert!(words.contains("the peer speaks another protocol"), "{words}");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_not_let_in() {
    let authority = authority();
    let b = bind(issue(&authority, "b"));
    let end = end_of_dial(client(&authority, PROTOCOL, None), b.local_address()).await;
    assert_eq!(code(&end), CERTIFICATE_REQUIRED, "{end:?}");
    only_a_member_is_let_in(&authority, &b).await;
}

#[tokio::test]
async fn a_client_that_is_vouched_for_but_has_not_one_name_is_not_let_in() {
    let authority = authority();
    let b = bind(issue(&authority, "b"));
    for names in [&[][..], &["a", "c"]] {
        let end = end_of_dial(client(&authority, PROTOCOL, Some(proof(&authority, names))), b.local_address()).await;
        let by_peer = matches!(end, ConnectionError::ConnectionClosed(_) | ConnectionError::ApplicationClosed(_));
        assert!(by_peer, "{names:?}: {end:?}");
    }
    only_a_member_is_let_in(&authority, &b).await;
}

#[tokio::test]
async fn a_server_that_is_vouched_for_but_has_not_one_name_is_refused() {
    let authority = authority();
    let a = bind(issue(&authority, "a"));
    for names in [&[][..], &["b", "c"]] {
        let other = server(PROTOCOL, proof(&authority, names));
        // With the second one the certificate does hold for the name that is expected.
        for expect in [None, Some(&name("b"))] {
            refusal(&a, other.at, expect).await;
        }
    }
}
