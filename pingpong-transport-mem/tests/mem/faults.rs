//! Cuts, stalls, delays and crashes (F1 - F3).

use crate::support::*;
use bytes::Bytes;
use pingpong_core::link::{Closed, Connection, LaneSender, Link};
use pingpong_transport_mem::{MemNetwork, Settings};
use std::time::Duration;
use tokio::time::Instant;

fn is_reset(closed: &Closed) -> bool {
    matches!(closed, Closed::Lost(words) if words.starts_with("reset"))
}

#[tokio::test(start_paused = true)]
async fn a_cut_loses_datagrams_and_holds_bytes() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    let (mut sender, mut receiver) = pair.lane().await;
    pair.network.cut(&at("a"), &at("b"));
    let packets = pair.at_b.packets();
    for text in ["1", "2", "3"] {
        send(&mut sender, text).await.unwrap();
    }
    pair.at_a.send_datagram(word("lost"));
    is_empty(&mut receiver).await;
    hangs(pair.at_b.recv_datagram()).await;
    hangs(pair.at_a.closed()).await;
    assert_eq!(pair.at_b.packets(), packets);
    pair.network.heal(&at("a"), &at("b"));
    send(&mut sender, "4").await.unwrap();
    for text in ["1", "2", "3", "4"] {
        assert_eq!(crate::support::text(&mut receiver).await, text);
    }
    hangs(pair.at_b.recv_datagram()).await;
}

#[tokio::test(start_paused = true)]
async fn credit_does_not_come_through_a_cut() {
    let network = MemNetwork::with_settings(1, Settings { lane_window: 1_000, ..Settings::default() });
    let pair = Pair::new(network).await;
    let (mut sender, mut receiver) = pair.lane().await;
    soon(sender.send(Bytes::from(vec![0; 744]))).await.unwrap();
    pair.network.cut_one_way(&at("b"), &at("a"));
    assert_eq!(piece(&mut receiver).await.unwrap().unwrap().len(), 744);
    let mut waiting = Box::pin(sender.send(word("x")));
    hangs(&mut waiting).await;
    pair.network.heal_all();
    soon(waiting).await.unwrap();
    assert_eq!(text(&mut receiver).await, "x");
}

#[tokio::test(start_paused = true)]
async fn a_one_way_cut_leaves_the_other_way_open() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    pair.network.cut_one_way(&at("a"), &at("b"));
    pair.at_a.send_datagram(word("lost"));
    pair.at_b.send_datagram(word("heard"));
    assert_eq!(soon(pair.at_a.recv_datagram()).await.unwrap(), word("heard"));
    hangs(pair.at_b.recv_datagram()).await;
    // The deaf side gives up, and the other learns of it at once.
    pair.at_b.close(word("deaf"));
    assert_eq!(soon(pair.at_a.closed()).await, Closed::ByPeer(word("deaf")));
}

#[tokio::test(start_paused = true)]
async fn a_close_in_a_cut_is_lost_and_the_next_packet_is_reset() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    let (mut sender, mut receiver) = pair.lane().await;
    pair.network.cut(&at("a"), &at("b"));
    send(&mut sender, "given up").await.unwrap();
    pair.at_a.close(word("lost"));
    pair.network.heal(&at("a"), &at("b"));
    is_empty(&mut receiver).await;
    hangs(pair.at_b.closed()).await;
    pair.at_b.send_datagram(word("anybody?"));
    let closed = soon(pair.at_b.closed()).await;
    assert!(is_reset(&closed), "{closed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reset_needs_both_ways() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    pair.network.cut(&at("a"), &at("b"));
    pair.at_a.close(Bytes::new());
    pair.network.heal_one_way(&at("b"), &at("a"));
    pair.at_b.send_datagram(word("anybody?"));
    hangs(pair.at_b.closed()).await;
    pair.network.heal(&at("a"), &at("b"));
    pair.at_b.send_datagram(word("anybody?"));
    assert!(is_reset(&soon(pair.at_b.closed()).await));
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_silence_until_the_address_is_bound_again() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    let (mut sender, _receiver) = pair.lane().await;
    pair.network.crash(&at("b"));
    assert_eq!(soon(pair.at_b.closed()).await, Closed::Lost("this host crashed".to_owned()));
    assert!(soon(pair.b.accept()).await.is_none());
    pair.at_a.send_datagram(word("anybody?"));
    send(&mut sender, "anybody?").await.unwrap();
    hangs(pair.at_a.closed()).await;
    let again = bind(&pair.network, "b");
    hangs(pair.at_a.closed()).await;
    let (fresh, _its_peer) = connect(&pair.a, &again).await;
    pair.at_a.send_datagram(word("anybody?"));
    assert!(is_reset(&soon(pair.at_a.closed()).await));
    hangs(fresh.closed()).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_takes_along_what_was_held() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    let (mut sender, mut receiver) = pair.lane().await;
    pair.network.stall(&at("a"));
    send(&mut sender, "never").await.unwrap();
    pair.at_a.close(word("never"));
    pair.network.crash(&at("a"));
    pair.network.resume(&at("a"));
    is_empty(&mut receiver).await;
    hangs(pair.at_b.closed()).await;
    let _again = bind(&pair.network, "a");
    pair.at_b.send_datagram(word("anybody?"));
    assert!(is_reset(&soon(pair.at_b.closed()).await));
}

#[tokio::test(start_paused = true)]
async fn a_stall_holds_everything_and_loses_nothing() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    let (mut sender, mut receiver) = pair.lane().await;
    pair.network.stall(&at("b"));
    send(&mut sender, "held").await.unwrap();
    pair.at_a.send_datagram(word("to"));
    pair.at_b.send_datagram(word("from"));
    let to = at("b");
    let mut dial = Box::pin(pair.a.dial(&to, None));
    hangs(&mut dial).await;
    is_empty(&mut receiver).await;
    hangs(pair.at_a.recv_datagram()).await;
    pair.network.resume(&at("b"));
    assert_eq!(text(&mut receiver).await, "held");
    assert_eq!(soon(pair.at_b.recv_datagram()).await.unwrap(), word("to"));
    assert_eq!(soon(pair.at_a.recv_datagram()).await.unwrap(), word("from"));
    soon(dial).await.unwrap();
    pair.network.stall(&at("b"));
    pair.at_a.close(word("held"));
    hangs(pair.at_b.closed()).await;
    pair.network.resume(&at("b"));
    assert_eq!(soon(pair.at_b.closed()).await, Closed::ByPeer(word("held")));
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_bounded() {
    let network = MemNetwork::with_settings(1, Settings { datagrams: 2, ..Settings::default() });
    let pair = Pair::new(network).await;
    pair.network.stall(&at("b"));
    for text in ["1", "2", "3"] {
        pair.at_a.send_datagram(word(text));
    }
    pair.network.resume(&at("b"));
    assert_eq!(soon(pair.at_b.recv_datagram()).await.unwrap(), word("1"));
    assert_eq!(soon(pair.at_b.recv_datagram()).await.unwrap(), word("2"));
    hangs(pair.at_b.recv_datagram()).await;
}

#[tokio::test(start_paused = true)]
async fn a_jittered_delay_keeps_the_order_of_a_lane_through_cuts() {
    let pair = Pair::new(MemNetwork::new(7)).await;
    let (mut sender, mut receiver) = pair.lane().await;
    let (least, jitter) = (Duration::from_millis(100), Duration::from_millis(50));
    pair.network.delay(&at("a"), &at("b"), least, jitter);
    let start = Instant::now();
    for i in 0..50 {
        send(&mut sender, &format!("{i}")).await.unwrap();
        match i {
            10 => pair.network.cut(&at("a"), &at("b")),
            20 => tokio::time::advance(Duration::from_millis(120)).await,
            30 => pair.network.heal(&at("a"), &at("b")),
            40 => pair.network.delay(&at("a"), &at("b"), Duration::ZERO, Duration::ZERO),
            _ => {}
        }
    }
    for i in 0..50 {
        assert_eq!(text(&mut receiver).await, format!("{i}"));
    }
    assert!(start.elapsed() >= least && start.elapsed() <= Duration::from_millis(120) + least + jitter * 2);
}

#[tokio::test(start_paused = true)]
async fn a_delay_delays_what_it_says() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    pair.network.delay(&at("a"), &at("b"), Duration::from_millis(250), Duration::ZERO);
    let start = Instant::now();
    pair.at_a.send_datagram(word("x"));
    soon(pair.at_b.recv_datagram()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(250));
    pair.at_a.close(word("bye"));
    assert_eq!(soon(pair.at_a.closed()).await, Closed::Here);
    assert_eq!(start.elapsed(), Duration::from_millis(250));
    assert_eq!(soon(pair.at_b.closed()).await, Closed::ByPeer(word("bye")));
    assert_eq!(start.elapsed(), Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn a_cut_meets_what_is_on_its_way() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    pair.network.delay(&at("a"), &at("b"), Duration::from_millis(250), Duration::ZERO);
    pair.at_a.send_datagram(word("x"));
    pair.network.cut(&at("a"), &at("b"));
    hangs(pair.at_b.recv_datagram()).await;
    pair.network.heal(&at("a"), &at("b"));
    hangs(pair.at_b.recv_datagram()).await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_cuts_between_groups_alone() {
    let network = MemNetwork::new(1);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|host| bind(&network, host));
    network.partition(&[&[at("a"), at("b")], &[at("c")]]);
    connect(&a, &b).await;
    connect(&d, &a).await;
    connect(&d, &c).await;
    hangs(a.dial(&at("c"), None)).await;
    hangs(c.dial(&at("b"), None)).await;
    network.heal_all();
    connect(&a, &c).await;
}
