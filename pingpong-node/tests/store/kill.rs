//! Processes that are killed, also while they make the file.

use crate::disk::{at, identity, owner, raise, slot};
use pingpong_core::exercise::{Batch, Store};
use pingpong_node::store::counts::FileStore;
use rand::{RngExt, SeedableRng};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const PATH: &str = "STORE_TEST_KILLED";

/// Not a test by itself: the process that is killed. It says each count when it is kept.
#[tokio::test]
async fn counts_until_it_is_killed() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let mut store = FileStore::open(Path::new(&path), &owner(), at(2)).unwrap();
    let kept = store.load().await.unwrap();
    let mut count = kept.as_ref().map_or(0, |kept| kept.counts.get(&slot(0)).unwrap());
    let mut identity = kept.is_none().then(identity);
    loop {
        count += 1;
        // Two slots, so that a half of a batch would show, and some more that come and go.
        let raised = raise([(0, count), (1, count), (2 + count % 50, count)]);
        store.commit(Batch { identity: identity.take(), ..raised }).await.unwrap();
        println!("kept {count}");
    }
}

#[tokio::test]
async fn a_process_that_is_killed_has_kept_what_it_said_and_at_most_one_batch_more() {
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let dir = tempfile::tempdir().unwrap();
    let (mut counted, mut empty) = (0, 0);
    for round in 0..40 {
        // Each file has some lives.
        let path = dir.path().join(format!("{}.redb", round / 4));
        let mut other = Command::new(std::env::current_exe().unwrap());
        other.args(["--exact", "kill::counts_until_it_is_killed", "--nocapture"]).env(PATH, &path);
        let mut other = other.stdout(Stdio::piped()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
        other.kill().unwrap();
        let said = String::from_utf8(other.wait_with_output().unwrap().stdout).unwrap();
        // The last line may be half a line.
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        let said =
            whole.lines().rev().find_map(|line| line.strip_prefix("kept ")).map(|count| count.parse::<u64>().unwrap());
        let mut store = FileStore::open(&path, &owner(), at(3)).unwrap();
        let Some(kept) = store.load().await.unwrap() else {
            assert_eq!(said, None, "round {round}");
            empty += 1;
            continue;
        };
        let count = kept.counts.get(&slot(0)).unwrap();
        assert_eq!(kept.counts.get(&slot(1)), Some(count), "round {round}: a half of a batch");
        assert_eq!(kept.identity, identity());
        let said = said.unwrap_or(0);
        assert!(count >= said && (said == 0 || count <= said + 1), "round {round}: {said} were said, {count} are kept");
        counted += count;
    }
    assert!(counted > 0, "{empty} of 40 lives were too short");
    assert!(std::fs::read_dir(dir.path()).unwrap().count() >= 10);
}
