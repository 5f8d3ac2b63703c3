//! Binding, dialling, and what may stand in the way (L1, S1, S3).

use crate::support::*;
use pingpong_core::link::{Connection, DialError, Link};
use pingpong_transport_mem::{BindError, MemNetwork, Settings};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_taken_address_is_refused_in_words() {
    let network = MemNetwork::new(1);
    let first = bind(&network, "a");
    let error = network.bind(name("other"), at("a")).unwrap_err();
    assert_eq!(error, BindError::AddressTaken { address: at("a"), by: name("a") });
    assert_eq!(error.to_string(), "the address a is taken by a; choose another one, or close or crash that one first");
    first.close(Duration::ZERO).await;
    bind(&network, "a");
}

#[tokio::test(start_paused = true)]
async fn an_old_link_does_not_take_the_address_from_a_new_one() {
    let network = MemNetwork::new(1);
    let old = bind(&network, "a");
    network.crash(&at("a"));
    let new = bind(&network, "a");
    assert_eq!(old.dial(&at("a"), None).await.unwrap_err(), DialError::EndpointClosed);
    assert!(soon(old.accept()).await.is_none());
    drop(old);
    let b = bind(&network, "b");
    connect(&b, &new).await;
}

#[tokio::test(start_paused = true)]
async fn both_ends_know_each_other() {
    let network = MemNetwork::new(1);
    let (a, b) = (bind(&network, "a"), network.bind(name("twin"), at("b")).unwrap());
    let _same_name = network.bind(name("twin"), at("c")).unwrap();
    let (at_a, at_b) = connect(&a, &b).await;
    assert_eq!((at_a.peer(), at_a.remote()), (&name("twin"), at("b")));
    assert_eq!((at_b.peer(), at_b.remote()), (&name("a"), at("a")));
}

#[tokio::test(start_paused = true)]
async fn another_name_than_expected_is_named() {
    let network = MemNetwork::new(1);
    let (a, b) = (bind(&network, "a"), bind(&network, "b"));
    let error = soon(a.dial(&at("b"), Some(&name("c")))).await.unwrap_err();
    assert!(matches!(&error, DialError::AnotherName { .. }), "{error}");
    assert_eq!(error.to_string(), "c was dialled at b, and b answered");
    hangs(b.accept()).await;
    soon(a.dial(&at("b"), Some(&name("b")))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_said_at_once() {
    let network = MemNetwork::new(1);
    let a = bind(&network, "a");
    let error = soon(a.dial(&at("b"), None)).await.unwrap_err();
    assert!(matches!(error, DialError::Unreachable { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_backlog_is_bounded() {
    let network = MemNetwork::with_settings(1, Settings { backlog: 1, ..Settings::default() });
    let (a, b) = (bind(&network, "a"), bind(&network, "b"));
    let _first = soon(a.dial(&at("b"), None)).await.unwrap();
    let error = soon(a.dial(&at("b"), None)).await.unwrap_err();
    assert!(error.to_string().contains("1 connections wait"), "{error}");
    soon(b.accept()).await.unwrap();
    soon(a.dial(&at("b"), None)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dial_through_a_cut_hangs_and_completes_after_the_heal() {
    for deaf in [("a", "b"), ("b", "a")] {
        let network = MemNetwork::new(1);
        let (a, b) = (bind(&network, "a"), bind(&network, "b"));
        network.cut_one_way(&at(deaf.0), &at(deaf.1));
        let to = at("b");
        let mut hanging = Box::pin(a.dial(&to, None));
        hangs(&mut hanging).await;
        // Given up in the cut: nothing is left of it.
        hangs(a.dial(&at("b"), None)).await;
        hangs(b.accept()).await;
        network.heal_one_way(&at(deaf.0), &at(deaf.1));
        connect(&a, &b).await;
        soon(hanging).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn blocked_dials_leave_the_rest_alone() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    pair.network.block_dials(&at("a"), &at("b"));
    let to = at("b");
    let mut hanging = Box::pin(pair.a.dial(&to, None));
    hangs(&mut hanging).await;
    pair.lane().await;
    connect(&pair.b, &pair.a).await;
    pair.network.allow_dials(&at("a"), &at("b"));
    soon(hanging).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_is_dropped_late_closes_what_it_got() {
    let network = MemNetwork::new(1);
    let (a, b) = (bind(&network, "a"), bind(&network, "b"));
    network.delay(&at("a"), &at("b"), Duration::from_secs(1), Duration::ZERO);
    let dialled = soon(a.dial(&at("b"), None)).await.unwrap();
    drop(dialled);
    hangs(b.accept()).await;
    network.delay(&at("a"), &at("b"), Duration::ZERO, Duration::ZERO);
    connect(&a, &b).await;
}

#[tokio::test(start_paused = true)]
async fn closing_an_endpoint_ends_everything_of_it() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    pair.b.close(Duration::ZERO).await;
    soon(pair.at_a.closed()).await;
    soon(pair.at_b.closed()).await;
    assert!(soon(pair.b.accept()).await.is_none());
    assert_eq!(pair.b.dial(&at("a"), None).await.unwrap_err(), DialError::EndpointClosed);
    assert!(matches!(soon(pair.a.dial(&at("b"), None)).await, Err(DialError::Unreachable { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_host_can_dial_itself() {
    let network = MemNetwork::new(1);
    let a = bind(&network, "a");
    connect(&a, &a).await;
}
