//! Order, windows, and lanes that do not wait for each other (L2 - L4).

use crate::support::*;
use bytes::Bytes;
use pingpong_core::link::{Connection, LaneReceiver, LaneSender, Link, Priority};
use pingpong_transport_mem::{MemNetwork, Settings};

const PIECE: usize = Settings::PIECE_BYTES;

fn small(lane_window: usize) -> MemNetwork {
    MemNetwork::with_settings(1, Settings { lane_window, ..Settings::default() })
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_in_order_and_then_the_end() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    let (mut sender, mut receiver) = pair.lane().await;
    for i in 0..100 {
        send(&mut sender, &format!("{i} ")).await.unwrap();
    }
    drop(sender);
    let mut got = String::new();
    let mut chunks = vec![Bytes::new(); 7];
    loop {
        let count = soon(receiver.recv(&mut chunks)).await.unwrap();
        if count == 0 {
            break;
        }
        chunks[..count].iter().for_each(|chunk| got += std::str::from_utf8(chunk).unwrap());
    }
    let sent: String = (0..100).map(|i| format!("{i} ")).collect();
    assert_eq!(got, sent);
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_waits_until_the_receiver_reads() {
    let pair = Pair::new(small(1_000)).await;
    let (mut sender, mut receiver) = pair.lane().await;
    soon(sender.send(Bytes::from(vec![1; 1_000 - PIECE]))).await.unwrap();
    hangs(sender.send(word("x"))).await;
    assert_eq!(piece(&mut receiver).await.unwrap().unwrap().len(), 1_000 - PIECE);
    soon(sender.send(word("y"))).await.unwrap();
    assert_eq!(text(&mut receiver).await, "y");
}

#[tokio::test(start_paused = true)]
async fn small_pieces_are_bounded_too() {
    let pair = Pair::new(small(10 * PIECE)).await;
    let (mut sender, _receiver) = pair.lane().await;
    let mut sent = 0;
    while tokio::time::timeout(WAIT, sender.send(word("x"))).await.is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 9);
}

#[tokio::test(start_paused = true)]
async fn a_frame_above_the_window_flows_in_pieces() {
    let pair = Pair::new(small(1_000)).await;
    let (mut sender, mut receiver) = pair.lane().await;
    let frame: Vec<u8> = (0..100_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let sent = frame.clone();
    let writer = tokio::spawn(async move { sender.send(Bytes::from(sent)).await.map(|()| sender) });
    let mut got = Vec::new();
    while got.len() < frame.len() {
        got.extend_from_slice(&piece(&mut receiver).await.unwrap().unwrap());
    }
    assert_eq!(got, frame);
    soon(writer).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unread_lane_holds_up_itself_alone() {
    let pair = Pair::new(small(1_000)).await;
    let (mut stuck, _unread) = pair.lane().await;
    let (mut free, mut read) = pair.lane().await;
    hangs(stuck.send(Bytes::from(vec![0; 5_000]))).await;
    // Nor does a lane that nobody has accepted.
    let mut unaccepted = pair.at_a.open(Priority::Server).await.unwrap();
    hangs(unaccepted.send(Bytes::from(vec![0; 5_000]))).await;
    send(&mut free, "still here").await.unwrap();
    assert_eq!(text(&mut read).await, "still here");
    pair.at_a.send_datagram(word("beat"));
    assert_eq!(soon(pair.at_b.recv_datagram()).await.unwrap(), word("beat"));
    pair.at_a.close(word("bye"));
    soon(pair.at_b.closed()).await;
}

#[tokio::test(start_paused = true)]
async fn lanes_are_bounded_and_come_back() {
    let network = MemNetwork::with_settings(1, Settings { lanes: 2, ..Settings::default() });
    let pair = Pair::new(network).await;
    let (first, its_end) = pair.lane().await;
    let (_second, _its_end) = pair.lane().await;
    let refusal = pair.at_a.open(Priority::Control).await.unwrap_err();
    assert_eq!(refusal.0, "2 lanes are open, the limit is 2");
    drop((first, its_end));
    pair.lane().await;
}

#[tokio::test(start_paused = true)]
async fn lanes_are_accepted_in_the_order_of_opening() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    let mut first = pair.at_a.open(Priority::Server).await.unwrap();
    hangs(pair.at_b.accept()).await;
    let mut second = pair.at_a.open(Priority::Server).await.unwrap();
    send(&mut second, "second").await.unwrap();
    let mut one = soon(pair.at_b.accept()).await.unwrap();
    let mut two = soon(pair.at_b.accept()).await.unwrap();
    assert_eq!(text(&mut two).await, "second");
    send(&mut first, "first").await.unwrap();
    assert_eq!(text(&mut one).await, "first");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_leaves_refuses_the_lane() {
    let pair = Pair::new(small(1_000)).await;
    let (mut sender, receiver) = pair.lane().await;
    let waiting = tokio::spawn(async move { sender.send(Bytes::from(vec![0; 5_000])).await });
    tokio::task::yield_now().await;
    drop(receiver);
    assert_eq!(soon(waiting).await.unwrap().unwrap_err().0, "the peer refuses the lane");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_loses_nothing() {
    let pair = Pair::new(MemNetwork::new(1)).await;
    let (mut sender, mut receiver) = pair.lane().await;
    for _ in 0..3 {
        is_empty(&mut receiver).await;
        hangs(pair.at_b.accept()).await;
        hangs(pair.at_b.recv_datagram()).await;
        hangs(pair.b.accept()).await;
    }
    send(&mut sender, "x").await.unwrap();
    assert_eq!(text(&mut receiver).await, "x");
    pair.lane().await;
    connect(&pair.a, &pair.b).await;
}

#[tokio::test(start_paused = true)]
async fn the_bound_covers_the_windows_of_both_ways() {
    let bytes = |lanes: usize| {
        let network = MemNetwork::with_settings(1, Settings { lane_window: 1_000, lanes, ..Settings::default() });
        let endpoint = bind(&network, "a").endpoint();
        assert_eq!((endpoint.name.as_str(), endpoint.lanes), ("a", lanes));
        endpoint.connection_bytes
    };
    let bound = bytes(27) - bytes(26);
    assert!((2_000..4_000).contains(&bound), "{bound}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_lost_between_threads() {
    let pair = Pair::new(small(4_000)).await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (mut sender, mut receiver) = pair.lane().await;
        tasks.push(tokio::spawn(async move {
            for i in 0..20_000_u32 {
                sender.send(Bytes::copy_from_slice(&i.to_le_bytes())).await.unwrap();
            }
        }));
        tasks.push(tokio::spawn(async move {
            let mut got = Vec::new();
            while let Some(bytes) = piece(&mut receiver).await.unwrap() {
                got.extend_from_slice(&bytes);
            }
            let sent: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
            assert!(got == sent, "out of order, or not all");
        }));
    }
    for task in tasks {
        soon(task).await.unwrap();
    }
}
