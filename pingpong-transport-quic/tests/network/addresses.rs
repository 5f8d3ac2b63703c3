//! Addresses of both families.

use super::*;

/// Whether this machine has IPv6 at all; if not, the test says so.
fn has_ipv6() -> bool {
    std::net::UdpSocket::bind("[::1]:0")
        .inspect_err(|error| eprintln!("SKIPPED, there is no IPv6 here: {error}"))
        .is_ok()
}

fn bind_to(listen: &str, identity: Identity, advertise: Vec<Address>) -> QuicLink {
    let mut config = QuicConfig::new(listen.parse().unwrap(), identity);
    config.advertise = advertise;
    QuicLink::bind(config).unwrap()
}

#[tokio::test]
async fn links_meet_over_ipv6() {
    if !has_ipv6() {
        return;
    }
    let authority = authority();
    let [a, b] = ["a", "b"].map(|own| bind_to("[::1]:0", issue(&authority, own), Vec::new()));
    assert_eq!(b.addresses(), [address(b.local_address())]);
    let (dialled, accepted) = connect(&a, &b).await;
    assert_eq!((dialled.peer(), accepted.peer()), (&name("b"), &name("a")));
    assert_eq!((dialled.remote(), accepted.remote()), (b.addresses().remove(0), a.addresses().remove(0)));
    assert!(dialled.remote().as_str().starts_with("[::1]:"), "{}", dialled.remote());
}

#[tokio::test]
async fn a_link_on_all_addresses_meets_ipv4_under_plain_addresses() {
    if !has_ipv6() {
        return;
    }
    let authority = authority();
    let told = Address::new("all.example:4000").unwrap();
    let all = bind_to("[::]:0", issue(&authority, "all"), vec![told.clone()]);
    assert_eq!(all.addresses(), [told]);
    let four = bind(issue(&authority, "four"));
    let at_four = address(four.local_address());
    let at_all = Address::new(&format!("127.0.0.1:{}", all.local_address().port())).unwrap();

    let (dialled, accepted) = soon(async { tokio::join!(four.dial(&at_all, None), all.accept()) }).await;
    assert_eq!(dialled.unwrap().remote(), at_all);
    assert_eq!(accepted.unwrap().remote(), at_four);

    let (dialled, accepted) = connect(&all, &four).await;
    assert_eq!(dialled.remote(), at_four);
    assert_eq!(accepted.remote(), at_all);
}
