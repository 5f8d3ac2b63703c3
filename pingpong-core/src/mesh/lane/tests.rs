use super::*;
use crate::mesh::fixtures::member;
use futures_util::FutureExt;

const REFUSE: WhenFull = WhenFull::Refuse;

/// A lane with room for 1,000 bytes and these sessions, each with its key as its slot.
fn lane(keys: &[u64]) -> Arc<Lane> {
    let lane = Lane::new(1_000, LargeBudget::new(1 << 20));
    keys.iter().for_each(|key| lane.join(member(&format!("n{key}"), *key)));
    lane
}

fn take_now(lane: &Lane, key: u64, done: usize) -> Option<Taken> {
    lane.take(key as usize, key, done, 64 << 10).now_or_never().flatten()
}

fn drain(lane: &Lane, key: u64) -> Vec<u8> {
    let (mut all, mut done) = (Vec::new(), 0);
    while let Some(taken) = take_now(lane, key, done) {
        all.extend_from_slice(&taken.bytes);
        done = taken.cost;
    }
    all
}

#[test]
fn every_cursor_reads_the_same_bytes_from_its_own_beginning() {
    let lane = lane(&[1]);
    lane.try_send(To::All, b"a", b"1", REFUSE).unwrap();
    lane.join(member("n2", 2));
    lane.try_send(To::All, b"b", b"2", REFUSE).unwrap();
    lane.try_send(To::Keys(&[2]), b"c", b"3", REFUSE).unwrap();
    lane.try_send(To::All, b"d", b"4", REFUSE).unwrap();
    assert_eq!(drain(&lane, 1), b"a1b2d4");
    assert_eq!(drain(&lane, 2), b"b2c3d4");
}

#[test]
fn a_full_cursor_refuses_for_all_or_is_skipped() {
    let lane = lane(&[1, 2]);
    lane.try_send(To::Keys(&[1]), &[0; 900], &[], REFUSE).unwrap();
    assert!(matches!(lane.try_send(To::All, &[0; 200], &[], REFUSE), Err(Refusal::Full)));
    let entered = lane.try_send(To::All, &[7; 200], &[], WhenFull::Skip).unwrap();
    assert!(!entered.has(1) && entered.has(2));
    assert_eq!(drain(&lane, 1), [0; 900]);
    assert_eq!(drain(&lane, 2), [7; 200]);
}

#[test]
fn the_short_way_is_for_small_frames_that_all_have_room_for() {
    let lane = lane(&[1, 2]);
    assert_eq!(
        lane.try_send_all(&[0; 8], &vec![0; BLOCK]),
        Ok(None),
        "a large one needs its share of the budget, also where nothing waits"
    );
    let everyone = lane.try_send_all(b"a", b"1").unwrap().unwrap();
    assert_eq!(everyone.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["n1", "n2"]);
    assert_eq!(lane.try_send_all(&[0; 999], &[]), Ok(None), "no room");
    assert_eq!((drain(&lane, 1), drain(&lane, 2)), (b"a1".to_vec(), b"a1".to_vec()));
    lane.close();
    assert_eq!(lane.try_send_all(b"b", b"2"), Err(Refusal::Closed));
}

#[test]
fn many_tiny_segments_are_bounded_too() {
    let lane = lane(&[1, 2]);
    let sent = (0..1_000).take_while(|_| lane.try_send(To::Keys(&[1]), b"x", &[], REFUSE).is_ok()).count();
    assert!(sent < 20, "{sent} segments of one byte in a lane of 1,000 bytes");
}

#[test]
fn a_message_above_the_bound_enters_an_empty_lane_alone() {
    let lane = lane(&[1]);
    lane.try_send(To::All, &[1; 5_000], &[], REFUSE).unwrap();
    assert!(matches!(lane.try_send(To::All, b"x", &[], REFUSE), Err(Refusal::Full)));
    assert_eq!(drain(&lane, 1).len(), 5_000);
    lane.try_send(To::All, b"x", &[], REFUSE).unwrap();
}

#[tokio::test(start_paused = true)]
async fn large_messages_share_a_budget_wherever_they_are() {
    let large = LargeBudget::new(100 << 10);
    let lane = Lane::new(4_000, large.clone());
    lane.join(member("n1", 1));
    lane.try_send(To::All, &[1; 70 << 10], &[], REFUSE).unwrap();
    let other = Lane::new(4_000, large);
    other.join(member("n1", 1));
    assert!(matches!(other.try_send(To::All, &[2; 70 << 10], &[], REFUSE), Err(Refusal::Full)));
    let skipped = other.try_send(To::All, &[2; 70 << 10], &[], WhenFull::Skip).unwrap();
    assert!(!skipped.has(1));
    let mut waiting = Box::pin(other.send(To::All, &[2; 70 << 10], &[]));
    assert!(waiting.as_mut().now_or_never().is_none());
    let taken = lane.take(1, 1, 0, usize::MAX).await.unwrap();
    assert!(waiting.as_mut().now_or_never().is_none(), "it is on its way to the network");
    drop(taken);
    assert!(waiting.await.unwrap().has(1));
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_one_who_waits_for_the_same_session() {
    let lane = lane(&[1, 2]);
    lane.try_send(To::Keys(&[1]), &[0; 200], &[], REFUSE).unwrap();
    let mut large = lane.queue(To::Keys(&[1]), &[1; 900], &[]).await.unwrap();
    assert!(large.entered().now_or_never().is_none());
    assert!(matches!(lane.try_send(To::Keys(&[1]), b"x", &[], REFUSE), Err(Refusal::Full)));
    assert!(matches!(lane.try_send(To::All, b"x", &[], REFUSE), Err(Refusal::Full)));
    assert_eq!(lane.try_send_all(b"x", &[]), Ok(None), "nor by the short way");
    let skipped = lane.try_send(To::All, b"x", &[], WhenFull::Skip).unwrap();
    assert!(!skipped.has(1) && skipped.has(2));
    assert_eq!(drain(&lane, 1).len(), 1_100);
    assert!(large.entered().await.unwrap().has(1));
    lane.try_send(To::All, b"y", &[], REFUSE).unwrap();
}

#[tokio::test(start_paused = true)]
async fn waiting_senders_enter_in_order_when_the_reader_makes_room() {
    let lane = lane(&[1]);
    lane.try_send(To::All, &[0; 900], &[], REFUSE).unwrap();
    let mut first = lane.queue(To::Keys(&[1]), &[1; 300], &[]).await.unwrap();
    let mut second = lane.queue(To::Keys(&[1]), &[2; 300], &[]).await.unwrap();
    assert!(first.entered().now_or_never().is_none());
    let taken = take_now(&lane, 1, 0).unwrap();
    assert!(first.entered().now_or_never().is_none(), "the room comes back when the batch is written");
    let next = take_now(&lane, 1, taken.cost).unwrap();
    assert!(first.entered().await.unwrap().has(1) && second.entered().await.unwrap().has(1));
    assert_eq!(next.bytes, [[1; 300], [2; 300]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_gives_up_has_sent_to_nobody_and_holds_up_nobody() {
    let lane = lane(&[1, 2]);
    lane.try_send(To::Keys(&[1]), &[0; 900], &[], REFUSE).unwrap();
    let large = lane.queue(To::Keys(&[1, 2]), &[1; 900], &[]).await.unwrap();
    let mut small = lane.queue(To::Keys(&[2]), &[2; 30], &[]).await.unwrap();
    assert!(small.entered().now_or_never().is_none(), "it would pass one that was first for the same session");
    assert!(large.withdraw().is_none());
    assert!(small.entered().await.unwrap().has(2));
    assert_eq!(drain(&lane, 2), [2; 30]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_for_others_passes_one_that_waits_for_a_slow_session() {
    let lane = lane(&[1, 2]);
    lane.try_send(To::Keys(&[1]), &[0; 900], &[], REFUSE).unwrap();
    let _slow = lane.queue(To::Keys(&[1]), &[1; 300], &[]).await.unwrap();
    let mut other = lane.queue(To::Keys(&[2]), &[2; 300], &[]).await.unwrap();
    assert!(other.entered().await.unwrap().has(2));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_leaves_is_waited_for_no_longer() {
    let lane = lane(&[1, 2]);
    lane.try_send(To::Keys(&[1]), &[0; 900], &[], REFUSE).unwrap();
    let mut ticket = lane.queue(To::Keys(&[1, 2]), &[1; 300], &[]).await.unwrap();
    lane.leave(1, 1);
    let entered = ticket.entered().await.unwrap();
    assert!(!entered.has(1) && entered.has(2));
    assert!(take_now(&lane, 1, 0).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_closed_lane_refuses_and_is_read_to_its_end() {
    let lane = lane(&[1]);
    lane.try_send(To::All, &[0; 900], &[], REFUSE).unwrap();
    let mut waiting = lane.queue(To::Keys(&[1]), &[1; 300], &[]).await.unwrap();
    lane.close();
    assert!(matches!(waiting.entered().await, Err(Refusal::Closed)));
    assert!(matches!(lane.try_send(To::All, b"x", &[], REFUSE), Err(Refusal::Closed)));
    let taken = lane.take(1, 1, 0, 64 << 10).await.unwrap();
    assert_eq!(taken.bytes.len(), 900);
    assert!(lane.take(1, 1, taken.cost, 64 << 10).await.is_none());
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Readers of these keys, each parked.
fn parked(lane: &Lane, keys: &[u64]) -> Vec<Arc<Woken>> {
    let park = |key: &u64| {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let poll = lane.poll_take(*key as usize, *key, 0, 64 << 10, &mut Context::from_waker(&waker));
        assert!(poll.is_pending());
        woken
    };
    keys.iter().map(park).collect()
}

/// How many of them have been woken since.
fn woken(readers: &[Arc<Woken>]) -> usize {
    readers.iter().filter(|w| w.0.load(std::sync::atomic::Ordering::Relaxed) > 0).count()
}

#[test]
fn the_first_byte_wakes_one_reader_and_its_seal_wakes_the_others() {
    let lane = lane(&[1, 2, 3]);
    let readers = parked(&lane, &[1, 2, 3]);
    lane.try_send(To::All, b"a", b"", REFUSE).unwrap();
    assert_eq!(woken(&readers), 1);
    lane.try_send(To::All, b"b", b"", REFUSE).unwrap();
    assert_eq!(woken(&readers), 1, "the next bytes wake nobody");
    assert_eq!(&take_now(&lane, 1, 0).unwrap().bytes[..], b"ab");
    assert_eq!(woken(&readers), 3);
}

#[test]
fn a_full_block_wakes_every_reader_although_the_first_one_may_be_busy_by_now() {
    let lane = Lane::new(1 << 20, LargeBudget::new(1 << 20));
    [1, 2, 3].iter().for_each(|key| lane.join(member(&format!("n{key}"), *key)));
    let readers = parked(&lane, &[1, 2, 3]);
    lane.try_send(To::All, &[0; 40 << 10], b"", REFUSE).unwrap();
    lane.try_send(To::All, &[0; 40 << 10], b"", REFUSE).unwrap();
    assert_eq!(woken(&readers), 3);
}

#[test]
fn a_reader_that_leaves_passes_its_wake_up_on() {
    let lane = lane(&[1, 2]);
    let readers = parked(&lane, &[1, 2]);
    lane.try_send(To::All, b"a", b"", REFUSE).unwrap();
    assert_eq!(woken(&readers), 1);
    lane.leave(1, 1);
    assert_eq!(woken(&readers), 2);
}

#[test]
fn a_reader_that_lets_waiting_senders_in_wakes_the_others() {
    let lane = Lane::new(64 << 10, LargeBudget::new(1 << 20));
    [1, 2].iter().for_each(|key| lane.join(member(&format!("n{key}"), *key)));
    for _ in 0..3 {
        lane.try_send(To::Keys(&[1]), &[0; 20 << 10], &[], REFUSE).unwrap();
    }
    let ticket = lane.queue(To::Keys(&[1, 2]), &[1; 10 << 10], &[]).now_or_never().unwrap().unwrap();
    let taken = take_now(&lane, 1, 0).unwrap();
    let readers = parked(&lane, &[2]);
    // It may wait long for its network now, with what it has.
    take_now(&lane, 1, taken.cost).unwrap();
    assert_eq!(woken(&readers), 1);
    assert!(ticket.withdraw().is_some(), "it has entered");
}

/// Every reader gets everything, whatever the interleaving: parked readers are woken for each byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_lost_between_many_senders_and_readers() {
    const SENDERS: u64 = 4;
    const EACH: u64 = 5_000;
    let lane = lane(&[1, 2, 3]);
    let readers: Vec<_> = [1_u64, 2, 3]
        .into_iter()
        .map(|key| {
            let lane = Arc::clone(&lane);
            tokio::spawn(async move {
                let (mut next, mut done) = ([0_u64; SENDERS as usize], 0);
                let mut buffer = Vec::new();
                while next.iter().sum::<u64>() < SENDERS * EACH {
                    let taken = lane.take(key as usize, key, done, 100).await.expect("the session is there");
                    done = taken.cost;
                    buffer.extend_from_slice(&taken.bytes);
                    while buffer.len() >= 16 {
                        let rest = buffer.split_off(16);
                        let number = |at: usize| u64::from_le_bytes(buffer[at..at + 8].try_into().expect("8 bytes"));
                        let (sender, count) = (number(0) as usize, number(8));
                        assert_eq!(count, next[sender], "sender {sender} at reader {key}");
                        next[sender] += 1;
                        buffer = rest;
                    }
                }
            })
        })
        .collect();
    for sender in 0..SENDERS {
        let lane = Arc::clone(&lane);
        tokio::spawn(async move {
            for count in 0..EACH {
                let (head, body) = (sender.to_le_bytes(), count.to_le_bytes());
                if lane.try_send(To::All, &head, &body, REFUSE).is_err() {
                    lane.send(To::All, &head, &body).await.expect("open");
                }
            }
        });
    }
    for reader in readers {
        tokio::time::timeout(std::time::Duration::from_secs(60), reader).await.expect("no reader hangs").unwrap();
    }
}
