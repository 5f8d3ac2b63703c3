//! Who is let in, and what is said to those who are not.

use super::*;
use crate::IdentityError;
use pingpong_core::link::{Closed, Connection, DialError, Priority};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::time::SystemTime;

/// The words of a dial that is refused.
async fn refusal(from: &QuicLink, to: &QuicLink, expect: Option<&NodeName>) -> String {
    match soon(from.dial(&address(to), expect)).await {
        Err(DialError::Refused { address: named, words }) => {
            assert_eq!(named, address(to));
            words
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// What the server says to a client that it refuses: it shows only after the client's side is complete (TLS 1.3).
pub(super) async fn refused_by_peer(from: &QuicLink, to: &QuicLink) -> String {
    match soon(from.dial(&address(to), None)).await {
        Ok(connection) => match soon(connection.closed()).await {
            Closed::Refused(words) => words,
            other => panic!("{other:?}"),
        },
        Err(DialError::Refused { words, .. }) => words,
        Err(error) => panic!("{error}"),
    }
}

pub(super) fn past() -> Validity {
    let at = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
    Validity { from: at(365), until: at(730) }
}

#[tokio::test]
async fn both_sides_learn_the_name_of_the_other() {
    let pair = pair().await;
    assert_eq!((pair.dialled.peer(), pair.accepted.peer()), (&name("b.example"), &name("a")));
    assert_eq!(pair.dialled.remote(), address(&pair.b));
    assert_eq!(pair.accepted.remote(), address(&pair.a));
    let by_name = soon(pair.a.dial(&address(&pair.b), Some(&name("b.example")))).await.unwrap();
    assert_eq!(by_name.peer(), &name("b.example"));
}

#[tokio::test]
async fn another_member_than_the_one_that_was_dialled_is_named() {
    let authority = authority();
    let (a, b) = (bind(issue(&authority, "a")), bind(issue(&authority, "b")));
    let error = soon(a.dial(&address(&b), Some(&name("c")))).await.unwrap_err();
    let expected = DialError::AnotherName { address: address(&b), expected: name("c"), answered: name("b") };
    assert_eq!(error, expected);
    // Who is no member is no answer of this cluster, whatever it calls itself.
    let stranger = bind(issue(&super::authority(), "b"));
    assert!(refusal(&a, &stranger, Some(&name("c"))).await.contains("b answered"));
}

#[tokio::test]
async fn another_authority_is_refused_on_both_sides() {
    let (ours, theirs) = (authority(), authority());
    let (a, b) = (bind(issue(&ours, "a")), bind(issue(&theirs, "b")));
    let words = refusal(&a, &b, None).await;
    assert!(words.contains("this side refuses the peer") && words.contains("not signed by"), "{words}");
    assert!(words.contains("b answered") && words.contains("127.0.0.1:"), "it is said who and where: {words}");
    assert!(refusal(&a, &b, Some(&name("b"))).await.contains("not signed by"));

    // It believes theirs, and proves itself with ours.
    let own = issue(&ours, "a");
    let mixed = Identity::unchecked(issue(&theirs, "x").authority, own.chain, own.key).unwrap();
    let words = refused_by_peer(&QuicLink::bind_unchecked(config(mixed)).unwrap(), &b).await;
    assert!(words.contains("the peer refuses this side") && words.contains("not signed by"), "{words}");
    // Who comes after them is the first that is let in.
    let (member, to) = (bind(issue(&theirs, "member")), address(&b));
    let (_dialled, accepted) = soon(async { tokio::join!(member.dial(&to, None), b.accept()) }).await;
    assert_eq!(accepted.unwrap().peer(), &name("member"));
}

#[tokio::test]
async fn an_expired_certificate_is_refused_with_its_date() {
    let authority = authority();
    let (valid, expired) = (issue(&authority, "a"), authority.issue(&name("b"), past()).unwrap());
    let (a, b) = (bind(valid), QuicLink::bind_unchecked(config(expired)).unwrap());
    let words = refusal(&a, &b, None).await;
    assert!(words.contains("expired") && words.contains("1972-01-01 00:00:00 UTC"), "{words}");
    let words = refused_by_peer(&b, &a).await;
    assert!(words.contains("has expired") && words.contains("1972-01-01 00:00:00 UTC"), "{words}");
}

#[tokio::test]
async fn an_identity_is_renewed_while_the_endpoint_runs() {
    let (old, new) = (authority(), authority());
    let (a, b) = (bind(issue(&old, "a")), bind(issue(&old, "b")));
    let to = address(&b);
    let (before, accepted) = soon(async { tokio::join!(a.dial(&to, None), b.accept()) }).await;
    let (before, _accepted) = (before.unwrap(), accepted.unwrap());

    a.renewal().renew(&issue(&new, "a")).unwrap();
    assert!(refusal(&a, &b, None).await.contains("not signed by"), "the new authority counts");
    b.renewal().renew(&issue(&new, "b")).unwrap();
    let b_name = name("b");
    let (after, accepted) = soon(async { tokio::join!(a.dial(&to, Some(&b_name)), b.accept()) }).await;
    assert_eq!((after.unwrap().peer(), accepted.unwrap().peer()), (&name("b"), &name("a")));
    // It was made under an authority that is trusted no more.
    assert!(matches!(soon(before.closed()).await, Closed::Lost(_) | Closed::Refused(_)));
}

#[tokio::test]
async fn whoever_is_revoked_is_put_out_at_once_and_not_let_in_again() {
    let authority = authority();
    let (own, stolen, other) = (issue(&authority, "a"), issue(&authority, "b"), issue(&authority, "c"));
    let (a, b, c) = (bind(own.clone()), bind(stolen.clone()), bind(other));
    let to = address(&a);
    let (dialled, accepted) = soon(async { tokio::join!(b.dial(&to, None), a.accept()) }).await;
    let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    let (other, at_a) = soon(async { tokio::join!(c.dial(&to, None), a.accept()) }).await;
    let (other, _at_a) = (other.unwrap(), at_a.unwrap());

    let list = authority.revoke(&[stolen.chain_pem().as_bytes()], 1).unwrap();
    let error = stolen.with_revocations(list.as_bytes()).unwrap_err();
    assert_eq!(error, IdentityError::Revoked(name("b")), "it is told so itself, if it has the list");
    a.renewal().renew(&own.with_revocations(list.as_bytes()).unwrap()).unwrap();
    match soon(accepted.closed()).await {
        Closed::Lost(words) => {
            assert!(words.contains("b is not let in any more") && words.contains("Revoked"), "{words}");
        }
        other => panic!("{other:?}"),
    }
    match soon(dialled.closed()).await {
        Closed::Refused(words) => assert!(words.contains("b is not let in any more"), "{words}"),
        other => panic!("{other:?}"),
    }
    let words = refused_by_peer(&b, &a).await;
    assert!(words.contains("this node's certificate has been revoked"), "{words}");
    assert!(refusal(&a, &b, None).await.contains("Revoked"), "nor is it dialled");
    other.open(Priority::Server).await.expect("the others stay");
    let again = bind(issue(&authority, "b"));
    soon(again.dial(&to, None)).await.expect("a new certificate of the same name");
}

#[tokio::test]
async fn whose_authority_is_trusted_no_more_is_put_out_and_an_overlap_leaves_no_gap() {
    let (old, new) = (authority(), authority());
    let mut both = issue(&new, "a");
    both.authority.extend(issue(&old, "x").authority);
    let (a, b) = (bind(issue(&old, "a")), bind(issue(&old, "b")));
    let to = address(&a);
    let (dialled, accepted) = soon(async { tokio::join!(b.dial(&to, None), a.accept()) }).await;
    let (_dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    a.renewal().renew(&both).unwrap();
    soon(accepted.open(Priority::Server)).await.expect("both are trusted");
    a.renewal().renew(&issue(&new, "a")).unwrap();
    assert!(matches!(soon(accepted.closed()).await, Closed::Lost(words) if words.contains("not let in any more")));
}

/// Both authorities are of one cluster, so that all that tells their lists apart is what each is called.
#[test]
fn a_list_of_one_authority_does_not_bind_the_certificates_of_another() {
    let (old, new) = (authority(), authority());
    let revoked = issue(&old, "x");
    let lists = [old.revoke(&[revoked.chain_pem().as_bytes()], 1).unwrap(), new.revoke(&[], 1).unwrap()];
    for order in [[0, 1], [1, 0]] {
        let text = order.map(|at: usize| lists[at].as_str()).concat();
        for (own, other) in [(&old, &new), (&new, &old)] {
            let mut both = issue(own, "a");
            both.authority.extend(issue(other, "x").authority);
            both.with_revocations(text.as_bytes()).unwrap();
        }
        let error = revoked.clone().with_revocations(text.as_bytes()).unwrap_err();
        assert!(matches!(error, IdentityError::Revoked(_)), "{error}");
    }
    issue(&new, "a").with_revocations(lists[0].as_bytes()).expect("what is left of an authority that has gone");
}

#[tokio::test]
async fn only_a_valid_identity_of_the_same_node_takes_the_place_of_another() {
    let authority = authority();
    let (a, b) = (bind(issue(&authority, "a")), bind(issue(&authority, "b")));
    let error = a.renewal().renew(&issue(&authority, "x")).unwrap_err().to_string();
    assert!(error.contains("is that of x, and this node is a"), "{error}");
    let error = a.renewal().renew(&authority.issue(&name("a"), past()).unwrap()).unwrap_err().to_string();
    assert!(error.contains("expired on 1972-01-01"), "{error}");
    soon(a.dial(&address(&b), None)).await.expect("it goes on with the one that it had");
}

/// An authority of one's own, and what it signs.
fn signed(names: &[&str], uses: &[ExtendedKeyUsagePurpose]) -> Result<Identity, IdentityError> {
    let key = || KeyPair::generate().unwrap();
    let (own, authority) = (key(), key());
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&authority).unwrap().der().clone();
    let issuer = Issuer::new(params, authority);
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.extended_key_usages = uses.to_vec();
    let own_certificate = params.signed_by(&own, &issuer).unwrap().der().clone();
    Identity::from_der(vec![root], vec![own_certificate], PrivatePkcs8KeyDer::from(own.serialize_der()).into())
}

#[test]
fn a_certificate_must_do_for_both_roles() {
    let (client, server) = (ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth);
    signed(&["a"], &[client.clone(), server.clone()]).unwrap();
    signed(&["a"], &[]).unwrap();
    for alone in [client, server] {
        let error = signed(&["a"], &[alone]).unwrap_err();
        assert_eq!(error, IdentityError::Usage(name("a")), "{error}");
    }
    assert!(signed(&["a", "b"], &[]).unwrap_err().to_string().contains("has 2 DNS names"));
}

#[tokio::test]
async fn an_expired_identity_is_not_bound() {
    let expired = authority().issue(&name("b"), past()).unwrap();
    let error = QuicLink::bind(config(expired)).unwrap_err().to_string();
    assert!(error.contains("expired on 1972-01-01 00:00:00 UTC; renew it"), "{error}");
}

#[test]
fn an_identity_goes_through_pem() {
    let authority = authority();
    let identity = issue(&authority, "n1.example");
    let pem = (identity.authority_pem(), identity.chain_pem(), identity.key_pem());
    let read = Identity::from_pem(pem.0.as_bytes(), pem.1.as_bytes(), pem.2.as_bytes()).unwrap();
    assert_eq!(read.name(), &name("n1.example"));
    assert!(!format!("{read:?}").contains("PRIVATE"));
    let again = Authority::from_pem(&authority.certificate_pem(), &authority.key_pem()).unwrap();
    let other = issue(&again, "n2");
    Identity::from_pem(pem.0.as_bytes(), other.chain_pem().as_bytes(), other.key_pem().as_bytes()).unwrap();
}

#[test]
fn an_identity_that_cannot_be_used_names_the_part() {
    let (ours, theirs) = (authority(), authority());
    let (a, b, x) = (issue(&ours, "a"), issue(&ours, "b"), issue(&theirs, "a"));
    let read = |authority: &Identity, chain: &Identity, key: &Identity| {
        Identity::from_der(authority.authority.clone(), chain.chain.clone(), key.key.clone_key()).unwrap_err()
    };
    assert!(matches!(read(&a, &a, &b), IdentityError::Key(_)));
    assert!(matches!(read(&x, &a, &a), IdentityError::Authority(_)));
    let expired = ours.issue(&name("a"), past()).unwrap();
    let error = read(&a, &expired, &expired).to_string();
    assert_eq!(error, "the certificate of a expired on 1972-01-01 00:00:00 UTC; renew it");
    let now = SystemTime::now();
    let early = ours.issue(&name("a"), Validity { from: now + YEAR, until: now + 2 * YEAR }).unwrap();
    assert!(matches!(read(&a, &early, &early), IdentityError::NotYetValid { .. }));
    let (authority, chain, key) = (a.authority_pem(), a.chain_pem(), a.key_pem());
    let read = |authority: &str, chain: &str, key: &str| {
        Identity::from_pem(authority.as_bytes(), chain.as_bytes(), key.as_bytes()).unwrap_err().to_string()
    };
    assert!(read("", &chain, &key).contains("authority's certificate is missing"));
    assert!(read(&authority, "x", &key).contains("node's certificate is missing"));
    assert!(read(&authority, &chain, &chain).contains("private key is missing"));
    assert!(read(&authority, "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n", &key).contains("as PEM"));
    // The authority's own certificate names no node.
    assert!(read(&authority, &authority, &key).contains("has 0 DNS names"));
}
