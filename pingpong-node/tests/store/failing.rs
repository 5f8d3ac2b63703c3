//! Calls that fail while the store is in use (P6; scenarios 29 and 30).

use crate::disk::{
    Disk, Fault, Model, Op, identity, is_refused, is_unknown, large, new_content, open, raise, shown, slot, some_batch,
};
use pingpong_core::exercise::{Batch, CommitError, Store};
use pingpong_node::store::counts::FileStore;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::mpsc::channel;
use tokio::time::timeout;

/// Where a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// To the log.
    Log,
    /// To the tables.
    Tables,
    /// To the tables, and the file must grow.
    MoreTables,
}

const ALL: [(u64, To); 6] =
    [(1, To::Log), (2, To::Log), (1, To::Tables), (2, To::Tables), (3, To::Tables), (4, To::MoreTables)];

/// A store with some batches in it, and a next batch, which goes there.
async fn begun(seed: u64, to: To) -> (Disk, FileStore, Model, Batch) {
    let mut random = StdRng::seed_from_u64(seed);
    let disk = Disk::of(new_content());
    let mut store = open(&disk).unwrap();
    let mut model = Model::new();
    for _ in 0..4 {
        let batch = some_batch(&mut random, &model);
        model.take(&batch);
        store.commit(batch).await.unwrap();
    }
    // The tables have the room that they need for a small batch.
    for round in 5..30 {
        let batch = Batch { forgotten: vec![slot(9_999)], ..raise((4..40).map(|number| (number, round))) };
        model.take(&batch);
        store.commit(batch).await.unwrap();
    }
    // One that is in the log, so that the tables must take that over too.
    let logged = raise([(700, seed)]);
    model.take(&logged);
    store.commit(logged).await.unwrap();
    let next = match to {
        To::Log => raise([(3, 1_000), (4, 1_000)]),
        To::Tables => Batch { forgotten: vec![slot(3)], ..raise((4..4 + 9 * seed).map(|number| (number, 1_000))) },
        To::MoreTables => raise((0..2_000).map(|number| (number, 1_000))),
    };
    (disk, store, model, next)
}

/// The changes that a batch makes.
async fn changes(seed: u64, to: To) -> Vec<Op> {
    let (disk, mut store, _, next) = begun(seed, to).await;
    let before = disk.changes();
    store.commit(next).await.unwrap();
    let log = disk.state().log.clone();
    log[before..].to_vec()
}

#[tokio::test]
async fn a_write_that_fails_refuses_the_batch_and_the_next_one_goes_on() {
    let (mut refused, mut kept) = (0, 0);
    for (seed, to) in ALL {
        let ops = changes(seed, to).await;
        for (index, _) in ops.iter().enumerate().filter(|(_, op)| !matches!(op, Op::Sync)) {
            let all = [Fault::Nothing, Fault::Half, Fault::Most, Fault::All];
            for fault in if to == To::MoreTables { &all[index % 4..=index % 4] } else { &all[..] } {
                let what = format!("{to:?}, seed {seed}, change {index}, {fault:?}");
                let (disk, mut store, mut model, next) = begun(seed, to).await;
                let fails_at = disk.changes() + index;
                disk.state().fault = Some((fails_at, *fault));
                let result = store.commit(next.clone()).await;
                match result {
                    // The last write did all, and said that it failed.
                    Ok(()) => {
                        model.take(&next);
                        kept += 1;
                    }
                    result => {
                        assert!(is_refused(&result), "{what}: {result:?}");
                        refused += 1;
                    }
                }
                assert_eq!(disk.state().fault, None, "{what}: it was not met");
                assert!(store.load().await.unwrap() == model.kept(), "{what}: it shows another state");
                // What a crash would leave now: all that was written, or only what was synced.
                let synced = disk.state().synced.clone();
                for content in [disk.content(), synced] {
                    assert!(shown(content).await.unwrap() == model.kept(), "{what}: the file shows another state");
                }
                model.take(&next);
                store.commit(next).await.unwrap();
                assert!(store.load().await.unwrap() == model.kept(), "{what}: it does not go on");
                drop(store);
                assert!(shown(disk.content()).await.unwrap() == model.kept(), "{what}: it was not kept");
            }
        }
    }
    assert!(refused > 50 && kept > 0, "{refused} refused, {kept} kept");
}

/// Commits are done on a worker, whatever the disk does.
#[test]
fn a_disk_that_stops_holds_up_nobody_who_does_not_wait_for_it() {
    for workers in [1, 2] {
        let runtime = Builder::new_multi_thread().worker_threads(workers).enable_time().build().unwrap();
        runtime.block_on(async {
            let disk = Disk::of(new_content());
            let mut store = open(&disk).unwrap();
            for round in 1..=200 {
                store.commit(raise([(1, round)])).await.unwrap();
            }
            let (stops, stopped) = mpsc::sync_channel(1);
            let (goes_on, on) = mpsc::sync_channel(1);
            let held = thread::spawn(move || {
                let held = disk.state();
                stops.send(()).unwrap();
                let asked: Result<(), _> = on.recv_timeout(Duration::from_secs(20));
                drop(held);
                asked.is_ok()
            });
            stopped.recv().unwrap();
            let commit = tokio::spawn(async move { store.commit(raise([(1, 1_000)])).await });
            // Tasks that wake each other, on the workers.
            for _ in 0..20 {
                let (there, mut comes) = channel(1);
                let (back, mut came) = channel(1);
                tokio::spawn(async move {
                    while let Some(number) = comes.recv().await {
                        back.send(number).await.unwrap();
                    }
                });
                let others = tokio::spawn(async move {
                    for number in 0..500 {
                        there.send(number).await.unwrap();
                        assert_eq!(came.recv().await, Some(number));
                    }
                });
                timeout(Duration::from_secs(10), others).await.expect("others go on").unwrap();
            }
            assert!(!commit.is_finished(), "with {workers} workers: the disk has not stopped");
            goes_on.send(()).unwrap();
            assert!(held.join().unwrap(), "with {workers} workers: the disk went on by itself");
            commit.await.unwrap().unwrap();
        });
    }
}

/// redb writes what is more than it may hold in memory before the commit, and after it tidies up. What fails there comes too late.
#[tokio::test]
async fn a_write_that_fails_within_a_large_batch_refuses_it_unless_it_comes_too_late() {
    let begun = async || {
        let disk = Disk::of(new_content());
        let mut store = open(&disk).unwrap();
        store.commit(raise([(1, 1)])).await.unwrap();
        (disk, store)
    };
    let (disk, mut store) = begun().await;
    let before = disk.changes();
    store.commit(large(1)).await.unwrap();
    let changes = disk.changes() - before;
    let (mut refused, mut kept) = (0, 0);
    for index in (0..changes).step_by(47).chain(changes - 4..changes) {
        let (disk, mut store) = begun().await;
        let fails_at = disk.changes() + index;
        disk.state().fault = Some((fails_at, Fault::Half));
        let mut model = Model::new();
        model.take(&raise([(1, 1)]));
        match store.commit(large(1)).await {
            Ok(()) => {
                model.take(&large(1));
                kept += 1;
            }
            Err(CommitError::Refused { .. }) => refused += 1,
            // It was a sync.
            Err(_) => continue,
        }
        assert!(store.load().await.unwrap() == model.kept(), "change {index}: another state");
        assert!(shown(disk.content()).await.unwrap() == model.kept(), "change {index}: the file shows another state");
    }
    assert!(refused > 5 && kept > 0, "{refused} refused, {kept} kept");
}

#[tokio::test]
async fn a_panic_closes_the_store() {
    let (disk, mut store, model, next) = begun(1, To::Tables).await;
    disk.state().panics = true;
    let first = store.commit(next.clone()).await;
    assert!(is_unknown(&first), "{first:?}");
    disk.state().panics = false;
    assert_eq!(store.commit(next).await, first);
    assert!(store.load().await.unwrap_err().to_string().contains("panic"));
    drop(store);
    assert!(shown(disk.content()).await.unwrap() == model.kept());
}

#[tokio::test]
async fn a_full_disk_refuses_until_there_is_room_and_then_it_goes_on_without_a_gap() {
    let (disk, mut store, mut model, next) = begun(5, To::MoreTables).await;
    let limit = disk.content().len() as u64;
    // What fits goes on, until the file must grow.
    disk.state().limit = Some(limit);
    for _ in 0..3 {
        let result = store.commit(next.clone()).await;
        assert!(is_refused(&result), "{result:?}");
        let words = result.unwrap_err().to_string();
        assert!(words.contains("counts.redb") && words.contains("make room"), "{words}");
        assert!(store.load().await.unwrap() == model.kept());
        let small = raise([(1, 5_000)]);
        model.take(&small);
        store.commit(small).await.unwrap();
    }
    // Nothing at all can be written, not even a repair.
    disk.state().full = true;
    for _ in 0..3 {
        let before = disk.changes();
        let result = store.commit(raise([(2, 7_000)])).await;
        assert!(is_refused(&result), "{result:?}");
        assert_eq!(disk.changes(), before);
    }
    assert!(shown(disk.content()).await.unwrap() == model.kept());
    disk.state().full = false;
    disk.state().limit = None;
    for batch in [raise([(2, 7_001)]), next] {
        model.take(&batch);
        store.commit(batch).await.unwrap();
        assert!(store.load().await.unwrap() == model.kept());
    }
    assert_eq!(disk.state().closed, 0, "its lock was let go in between");
    drop(store);
    assert_eq!(disk.state().closed, 1);
    assert!(shown(disk.content()).await.unwrap() == model.kept());
}

#[tokio::test]
async fn a_repair_that_fails_is_left_to_the_next_batch() {
    let (disk, mut store, mut model, next) = begun(1, To::Tables).await;
    let fails_at = disk.changes();
    disk.state().fault = Some((fails_at, Fault::Nothing));
    disk.state().then = Some((fails_at + 1, Fault::Nothing));
    let result = store.commit(next.clone()).await;
    assert!(is_refused(&result), "{result:?}");
    assert_eq!(disk.changes(), fails_at + 2, "nothing was written by what was given up");
    assert!(store.load().await.is_err(), "it is closed");
    model.take(&next);
    store.commit(next).await.unwrap();
    assert!(store.load().await.unwrap() == model.kept());
    drop(store);
    assert!(shown(disk.content()).await.unwrap() == model.kept());
}

#[tokio::test]
async fn a_sync_that_fails_closes_the_store_and_the_file_tells() {
    for (seed, to) in ALL {
        let ops = changes(seed, to).await;
        let syncs: Vec<_> = (0..ops.len()).filter(|index| matches!(ops[*index], Op::Sync)).collect();
        let grows = ops.iter().any(|op| matches!(op, Op::SetLen(_)));
        assert_eq!(
            (syncs.len() > 1, grows),
            (to == To::MoreTables, to == To::MoreTables),
            "{to:?}, seed {seed}: each growth is synced by itself"
        );
        for index in syncs {
            for fault in [Fault::Nothing, Fault::All] {
                let what = format!("{to:?}, seed {seed}, change {index}");
                let (disk, mut store, model, next) = begun(seed, to).await;
                let fails_at = disk.changes() + index;
                disk.state().fault = Some((fails_at, fault));
                let first = store.commit(next.clone()).await;
                assert!(is_unknown(&first), "{what}: {first:?}");
                let after = disk.content();
                // The very same batch, and others: all is refused with the same words, and nothing is written any more.
                for batch in [next.clone(), raise([(1, 9_000)]), Batch::default()] {
                    assert_eq!(store.commit(batch).await, first, "{what}");
                }
                assert!(store.load().await.unwrap_err().to_string().contains("a fault"), "{what}");
                drop(store);
                assert!(disk.content() == after, "{what}: it was written after the sync failed");
                let shown = shown(after).await.unwrap();
                let mut with = model.clone();
                with.take(&next);
                assert!(shown == model.kept() || shown == with.kept(), "{what}: another state");
            }
        }
    }
}

/// Whatever else cannot be told.
#[tokio::test]
async fn a_sync_that_fails_closes_the_store_also_where_nothing_of_the_batch_was_written() {
    let (disk, mut store, model, next) = begun(4, To::MoreTables).await;
    let grows = changes(4, To::MoreTables).await.iter().position(|op| matches!(op, Op::Sync)).unwrap();
    let fails_at = disk.changes() + grows;
    disk.state().fault = Some((fails_at, Fault::Nothing));
    disk.state().blind = true;
    let result = store.commit(next.clone()).await;
    assert!(is_unknown(&result), "{result:?}");
    disk.state().blind = false;
    assert_eq!(store.commit(next).await, result);
    drop(store);
    assert!(shown(disk.content()).await.unwrap() == model.kept());
}

/// The sync of the repair after a failed write counts as any other.
#[tokio::test]
async fn a_sync_that_fails_while_the_file_is_opened_again_closes_the_store() {
    let (disk, mut store, model, next) = begun(1, To::Tables).await;
    let fails_at = disk.changes();
    disk.state().fault = Some((fails_at, Fault::Nothing));
    assert!(is_refused(&store.commit(next.clone()).await));
    let made = disk.state().log[fails_at + 1..].iter().position(|op| matches!(op, Op::Sync)).unwrap();

    let (disk, mut store, _, _) = begun(1, To::Tables).await;
    let fails_at = disk.changes();
    disk.state().fault = Some((fails_at, Fault::Nothing));
    // The first failure is done with when the second one is due: the log goes on from it.
    disk.state().then = Some((fails_at + 1 + made, Fault::Nothing));
    let result = store.commit(next.clone()).await;
    assert!(is_unknown(&result), "{result:?}");
    assert_eq!(store.commit(next).await, result);
    drop(store);
    assert!(shown(disk.content()).await.unwrap() == model.kept());
}

#[tokio::test]
async fn what_cannot_be_read_again_is_refused_where_it_was_not_written_and_else_unknown() {
    // Growing comes first, before anything that names the batch.
    let (disk, mut store, mut model, next) = begun(4, To::MoreTables).await;
    let set = |full, blind| {
        let mut state = disk.state();
        (state.full, state.blind) = (full, blind);
    };
    set(true, true);
    for _ in 0..2 {
        let result = store.commit(next.clone()).await;
        assert!(is_refused(&result), "{result:?}");
    }
    assert!(store.load().await.is_err());
    set(false, false);
    model.take(&next);
    store.commit(next).await.unwrap();
    assert!(store.load().await.unwrap() == model.kept());
    // This one needs no growth: what names it may be in the file.
    set(true, true);
    let result = store.commit(raise([(1, 9_000)])).await;
    assert!(is_unknown(&result), "{result:?}");
    set(false, false);
    assert_eq!(store.commit(raise([(1, 9_000)])).await, result);
    drop(store);
    assert!(shown(disk.content()).await.unwrap() == model.kept());
}

#[tokio::test]
async fn a_first_batch_says_whose_the_store_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counts.redb");
    let mut store = FileStore::open(&path, &crate::disk::owner(), crate::disk::at(1)).unwrap();
    let result = store.commit(raise([(1, 1)])).await;
    assert!(matches!(&result, Err(CommitError::Refused { words, .. }) if words.contains("first batch")), "{result:?}");
    assert_eq!(store.load().await, Ok(None));
    store.commit(Batch { identity: Some(identity()), ..raise([(1, 1)]) }).await.unwrap();
    store.commit(raise([(1, 2)])).await.unwrap();
}
