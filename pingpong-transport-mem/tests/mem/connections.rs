//! Datagrams, closes, signs of life, and what is left behind (L4, L6).

use crate::support::*;
use bytes::Bytes;
use pingpong_core::link::{Closed, Connection, Priority};
use pingpong_transport_mem::{MemNetwork, Settings};
use std::time::Duration;
use tokio::runtime::Handle;

#[tokio::test(start_paused = true)]
async fn the_first_close_counts_and_overtakes_bytes() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    let (mut sender, mut receiver) = pair.lane().await;
    send(&mut sender, "unread").await.unwrap();
    pair.at_a.close(word("first"));
    pair.at_a.close(word("second"));
    assert_eq!(soon(pair.at_a.closed()).await, Closed::Here);
    assert_eq!(soon(pair.at_b.closed()).await, Closed::ByPeer(word("first")));
    assert!(piece(&mut receiver).await.is_err());
    assert!(send(&mut sender, "x").await.is_err());
    assert!(pair.at_a.open(Priority::Server).await.is_err());
    assert!(soon(pair.at_b.accept()).await.is_err());
    assert!(soon(pair.at_b.recv_datagram()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_close_wakes_everybody() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    let (_sender, mut receiver) = pair.lane().await;
    let network = pair.network.clone();
    let at_b = std::sync::Arc::new(pair.at_b);
    let (one, two, three) = (at_b.clone(), at_b.clone(), at_b.clone());
    let waiting = [
        tokio::spawn(async move { one.accept().await.is_err() }),
        tokio::spawn(async move { two.recv_datagram().await.is_err() }),
        tokio::spawn(async move { three.closed().await == Closed::ByPeer(Bytes::new()) }),
        tokio::spawn(async move { piece(&mut receiver).await.is_err() }),
    ];
    tokio::task::yield_now().await;
    drop(pair.at_a);
    for task in waiting {
        assert!(soon(task).await.unwrap());
    }
    drop(network);
}

#[tokio::test(start_paused = true)]
async fn old_datagrams_make_room() {
    let network = MemNetwork::with_settings(1, Settings { datagrams: 2, ..Settings::default() });
    let pair = Pair::new(network).await;
    for text in ["1", "2", "3"] {
        pair.at_a.send_datagram(word(text));
    }
    pair.at_a.send_datagram(Bytes::from(vec![0; 101]));
    assert_eq!(soon(pair.at_b.recv_datagram()).await.unwrap(), word("2"));
    assert_eq!(soon(pair.at_b.recv_datagram()).await.unwrap(), word("3"));
    hangs(pair.at_b.recv_datagram()).await;
}

#[tokio::test(start_paused = true)]
async fn packets_are_signs_of_life_of_both_sides() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    let (a, b) = (pair.at_a.packets(), pair.at_b.packets());
    pair.at_a.send_datagram(word("x"));
    assert_eq!((pair.at_a.packets(), pair.at_b.packets()), (a + 1, b + 1));
    pair.network.cut_one_way(&at("b"), &at("a"));
    pair.at_a.send_datagram(word("x"));
    pair.at_a.send_datagram(word("x"));
    assert_eq!((pair.at_a.packets(), pair.at_b.packets()), (a + 1, b + 3));
    // However much was not acknowledged, it is one acknowledgement.
    pair.network.heal(&at("a"), &at("b"));
    assert_eq!(pair.at_a.packets(), a + 2);
}

#[tokio::test(start_paused = true)]
async fn the_network_leaves_no_task_behind() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let pair = Pair::new(MemNetwork::new(1)).await;
    let _lane = pair.lane().await;
    assert_eq!(tasks(), before, "a network without delays needs no task");
    pair.network.delay(&at("a"), &at("b"), Duration::from_secs(1), Duration::ZERO);
    pair.at_a.send_datagram(word("x"));
    assert_eq!(tasks(), before + 1);
    soon(pair.at_b.recv_datagram()).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(tasks(), before, "nothing is on its way any more");
    pair.at_a.send_datagram(word("x"));
    tokio::task::yield_now().await;
    assert_eq!(tasks(), before + 1);
    drop((pair, _lane));
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!(tasks(), before, "the network is gone, with a packet on its way");
}
