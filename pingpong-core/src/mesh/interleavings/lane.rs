//! Senders, readers, and sessions that come and go, at one lane.

use super::*;
use crate::mesh::lane::{Lane, Refusal, To};
use crate::mesh::large::LargeBudget;
use crate::transport::WhenFull;
use futures_util::FutureExt;

/// Room for two frames of [`FRAME`] bytes, so that senders wait.
const BOUND: usize = 300;
const FRAME: usize = 60;

fn lane(keys: &[u64]) -> Arc<Lane> {
    let lane = Lane::new(BOUND, LargeBudget::new(1 << 20));
    keys.iter().for_each(|key| lane.join(member(&format!("n{key}"), *key)));
    lane
}

/// A frame that says who sent it, and as its how many-th.
fn frame(sender: u8, number: u8) -> Vec<u8> {
    let mut frame = vec![sender; FRAME];
    frame[1] = number;
    frame
}

/// Reads until the lane is closed or the session has left.
fn read(lane: &Arc<Lane>, key: u64) -> thread::JoinHandle<Vec<(u8, u8)>> {
    let lane = Arc::clone(lane);
    thread::spawn(move || {
        block_on(async move {
            let (mut all, mut done) = (Vec::new(), 0);
            while let Some(taken) = lane.take(key as usize, key, done, 64 << 10).await {
                all.extend_from_slice(&taken.bytes);
                done = taken.cost;
            }
            all.chunks(FRAME).map(|frame| (frame[0], frame[1])).collect()
        })
    })
}

fn send(lane: &Arc<Lane>, sender: u8, frames: u8) -> thread::JoinHandle<()> {
    let lane = Arc::clone(lane);
    thread::spawn(move || {
        block_on(async move {
            for number in 0..frames {
                let frame = frame(sender, number);
                // As a cast does: the short way first.
                if lane.try_send_all(&frame, &[]).unwrap().is_none() {
                    lane.send(To::All, &frame, &[]).await.unwrap();
                }
            }
        });
    })
}

fn of(read: &[(u8, u8)], sender: u8) -> Vec<u8> {
    read.iter().filter(|(from, _)| *from == sender).map(|(_, number)| *number).collect()
}

#[test]
fn what_waiting_senders_send_reaches_every_reader_once_and_in_order() {
    explore(|| {
        let lane = lane(&[1, 2]);
        let readers = [read(&lane, 1), read(&lane, 2)];
        let senders = [send(&lane, 7, 3), send(&lane, 8, 3)];
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        lane.close();
        let [first, second] = readers.map(|reader| reader.join().unwrap());
        assert_eq!((of(&first, 7), of(&first, 8)), (vec![0, 1, 2], vec![0, 1, 2]));
        assert_eq!(first, second, "all see one order");
    });
}

#[test]
fn who_has_no_room_is_named_and_gets_nothing() {
    explore(|| {
        let lane = lane(&[1, 2]);
        let readers = [read(&lane, 1), read(&lane, 2)];
        let sender = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                let entered = |number| lane.try_send(To::All, &frame(7, number), &[], WhenFull::Skip).unwrap();
                (0..6).map(|number| (number, entered(number))).collect::<Vec<_>>()
            })
        };
        let entered = sender.join().unwrap();
        lane.close();
        for (key, reader) in (1..).zip(readers) {
            let expected: Vec<u8> = entered.iter().filter(|(_, e)| e.has(key)).map(|(number, _)| *number).collect();
            assert_eq!(of(&reader.join().unwrap(), 7), expected);
        }
    });
}

#[test]
fn a_session_that_leaves_unread_holds_nobody_up() {
    explore(|| {
        let lane = lane(&[1, 2]);
        let reader = read(&lane, 1);
        let senders = [send(&lane, 7, 3), send(&lane, 8, 2)];
        lane.leave(2, 2);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        lane.close();
        let read = reader.join().unwrap();
        assert_eq!((of(&read, 7), of(&read, 8)), (vec![0, 1, 2], vec![0, 1]));
    });
}

#[test]
fn a_reader_that_leaves_while_it_was_woken_for_others_wakes_them() {
    explore(|| {
        let lane = lane(&[1, 2]);
        let (first, second) = (read(&lane, 1), read(&lane, 2));
        let sender = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || lane.try_send(To::All, &frame(7, 0), &[], WhenFull::Refuse).unwrap())
        };
        lane.leave(1, 1);
        first.join().unwrap();
        sender.join().unwrap();
        // Not closed before the frame is read: the close would wake the reader too.
        let waited = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                while lane.queued(2, 2) > 0 {
                    thread::yield_now();
                }
                lane.close();
            })
        };
        assert_eq!(of(&second.join().unwrap(), 7), [0]);
        waited.join().unwrap();
    });
}

#[test]
fn who_joins_reads_what_is_sent_from_then_on() {
    explore(|| {
        let lane = lane(&[1]);
        let first = read(&lane, 1);
        let sender = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                block_on(async move {
                    let mut entered = Vec::new();
                    for number in 0..4 {
                        entered.push(lane.send(To::All, &frame(7, number), &[]).await.unwrap());
                    }
                    entered
                })
            })
        };
        lane.join(member("n2", 2));
        let second = read(&lane, 2);
        let entered = sender.join().unwrap();
        lane.close();
        assert_eq!(of(&first.join().unwrap(), 7), [0, 1, 2, 3]);
        let expected: Vec<u8> = (0..).zip(&entered).filter(|(_, e)| e.has(2)).map(|(number, _)| number).collect();
        assert_eq!(of(&second.join().unwrap(), 7), expected);
    });
}

#[test]
fn a_sender_that_gives_up_knows_whether_its_frame_entered_and_frees_those_behind() {
    explore(|| {
        let lane = lane(&[1]);
        lane.try_send(To::All, &[1; FRAME], &[], WhenFull::Refuse).unwrap();
        lane.try_send(To::All, &[1; FRAME], &[], WhenFull::Refuse).unwrap();
        let gives_up = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                block_on(async move {
                    let mut large = [9; 4 * FRAME];
                    large[1] = 0;
                    let mut ticket = lane.queue(To::All, &large, &[]).await.unwrap();
                    match ticket.entered().now_or_never() {
                        Some(entered) => entered.is_ok(),
                        None => ticket.withdraw().is_some(),
                    }
                })
            })
        };
        let behind = send(&lane, 7, 1);
        let reader = read(&lane, 1);
        let entered = gives_up.join().unwrap();
        behind.join().unwrap();
        lane.close();
        let read = reader.join().unwrap();
        assert_eq!(!of(&read, 9).is_empty(), entered);
        assert_eq!(of(&read, 7), [0]);
    });
}

#[test]
fn one_that_gives_up_lets_those_behind_in_though_nobody_reads() {
    explore(|| {
        let lane = lane(&[1]);
        lane.try_send(To::All, &[1; FRAME], &[], WhenFull::Refuse).unwrap();
        let gives_up = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                block_on(async move {
                    let mut ticket = lane.queue(To::All, &[9; 4 * FRAME], &[]).await.unwrap();
                    assert!(ticket.entered().now_or_never().is_none(), "it does not fit");
                });
            })
        };
        send(&lane, 7, 1).join().unwrap();
        gives_up.join().unwrap();
    });
}

#[test]
fn a_close_refuses_who_waits_though_nobody_reads() {
    explore(|| {
        let lane = lane(&[1]);
        lane.try_send(To::All, &[1; 4 * FRAME], &[], WhenFull::Refuse).unwrap();
        let senders = [7, 8].map(|sender| {
            let lane = Arc::clone(&lane);
            thread::spawn(move || block_on(async move { lane.send(To::All, &frame(sender, 0), &[]).await.is_ok() }))
        });
        lane.close();
        assert_eq!(senders.map(|sender| sender.join().unwrap()), [false, false]);
    });
}

#[test]
fn a_close_refuses_who_waits_and_loses_nothing_that_entered() {
    explore(|| {
        let lane = lane(&[1]);
        let sender = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                block_on(async move {
                    for number in 0..5 {
                        if let Err(refusal) = lane.send(To::All, &frame(7, number), &[]).await {
                            return (number, Some(refusal));
                        }
                    }
                    (5, None)
                })
            })
        };
        let reader = read(&lane, 1);
        lane.close();
        let (entered, refusal) = sender.join().unwrap();
        assert!(refusal.is_none_or(|refusal| refusal == Refusal::Closed));
        assert_eq!(of(&reader.join().unwrap(), 7), (0..entered).collect::<Vec<_>>());
    });
}
