//! What a store costs: syncs, bytes, seconds, memory.

use crate::disk::{Disk, at, identity, new_content, open, owner, raise};
use pingpong_core::exercise::Store;
use pingpong_node::store::counts::{FileStore, TABLES};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_commit_is_one_sync() {
    let disk = Disk::of(new_content());
    let mut store = open(&disk).unwrap();
    store.commit(raise((0..1_000).map(|number| (number, 1)))).await.unwrap();
    for round in 2..300_u64 {
        let before = disk.state().syncs;
        let few = 0..[1, 10, 100][usize::try_from(round % 3).unwrap()];
        let length = disk.content().len();
        store.commit(raise(few.map(|number| (number * 7, round)))).await.unwrap();
        let grown = disk.content().len() > length;
        assert_eq!(disk.state().syncs - before, 1 + usize::from(grown), "round {round}");
        assert!(!grown || round < 10, "it has all the room it needs");
    }
}

/// As much as the slots take, whatever they have been through.
#[tokio::test]
async fn a_file_does_not_grow_with_the_number_of_pings() {
    let disk = Disk::of(new_content());
    disk.state().forgetful = true;
    let mut store = open(&disk).unwrap();
    let mut longest = 0;
    for round in 1..=100_000_u64 {
        store.commit(raise((0..10).map(|number| (number, round)))).await.unwrap();
        longest = longest.max(disk.state().content.len());
    }
    drop(store);
    let length = disk.state().content.len();
    println!("{longest} bytes at most, {length} when it was closed");
    assert!(longest as u64 <= TABLES + 256 * 1024, "{longest} bytes");
}

/// Nor with the number of crashes, or of batches that were refused.
#[tokio::test]
async fn a_file_does_not_grow_with_the_number_of_failures() {
    let mut disk = Disk::of(new_content());
    let mut longest = 0;
    for round in 1..=500_u64 {
        let mut store = open(&disk).unwrap();
        store.commit(raise((0..10).map(|number| (number, round)))).await.unwrap();
        disk.state().full = true;
        assert!(store.commit(raise((0..10).map(|number| (number, round + 1)))).await.is_err());
        disk.state().full = false;
        store.commit(raise((0..10).map(|number| (number, round + 1)))).await.unwrap();
        longest = longest.max(disk.content().len());
        // What a crash leaves: the store is not closed.
        disk = Disk::of(disk.content());
    }
    assert!(longest as u64 <= TABLES + 256 * 1024, "{longest} bytes");
}

/// The peak of this process so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

const PATH: &str = "STORE_TEST_LARGE";

/// Not a test by itself: a process that does nothing else.
#[tokio::test]
async fn opening_a_large_store() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let before = peak();
    let begin = Instant::now();
    let mut store = FileStore::open(path.as_ref(), &owner(), at(5)).unwrap();
    let (opened, opened_peak) = (begin.elapsed(), peak());
    assert!(opened_peak < before + 16 * 1024, "{before} KiB before, {opened_peak} KiB after");
    let kept = store.load().await.unwrap().unwrap();
    let loaded = begin.elapsed();
    assert_eq!(kept.counts.len(), 100_000);
    println!(
        "opened in {opened:?}, with load {loaded:?}; peak {before} KiB before, {opened_peak} KiB opened, {} KiB loaded",
        peak()
    );
    let begin = Instant::now();
    let mut commits = 0;
    while begin.elapsed() < Duration::from_secs(1) {
        commits += 1;
        store.commit(raise((0..10).map(|number| (number * 1_000, commits + 10)))).await.unwrap();
    }
    println!("{} commits a second of 10 slots, {} KiB at last", commits, peak());
}

#[tokio::test]
async fn a_store_of_100_000_slots_is_opened_quickly_by_a_small_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counts.redb");
    FileStore::init(&path, &owner(), identity()).unwrap();
    let mut store = FileStore::open(&path, &owner(), at(2)).unwrap();
    store.commit(raise((0..100_000).map(|number| (number, 1)))).await.unwrap();
    let crashed = dir.path().join("crashed.redb");
    std::fs::copy(&path, &crashed).unwrap();
    drop(store);
    for path in [path, crashed] {
        let mut other = std::process::Command::new(std::env::current_exe().unwrap());
        let other = other.args(["--exact", "size::opening_a_large_store", "--nocapture"]).env(PATH, &path);
        let done = other.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{said}");
        println!("{} bytes: {said}", std::fs::metadata(&path).unwrap().len());
    }
}
