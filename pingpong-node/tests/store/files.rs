//! Real files: who makes them, who has them, what they keep (scenario 28).

use crate::disk::{Model, at, identity, owner, raise, slot};
use futures_util::FutureExt;
use pingpong_core::exercise::{Batch, Identity, Kept, Origin, Slot, Standing, Store};
use pingpong_core::{Incarnation, NodeName};
use pingpong_node::store::counts::{FileStore, FileStoreError, Owner};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub(crate) fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counts.redb");
    (dir, path)
}

pub(crate) fn open(path: &Path) -> Result<FileStore, FileStoreError> {
    FileStore::open(path, &owner(), at(3))
}

fn names(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_missing_file_is_made_and_is_empty_until_the_first_batch() {
    let (dir, path) = place();
    FileStore::check(&path, &owner()).unwrap();
    assert!(names(&dir).is_empty());
    for opened in 3..6 {
        let mut store = FileStore::open(&path, &owner(), at(opened)).unwrap();
        assert_eq!(store.opened_before(), at(opened.max(4) - 1), "a new one is opened by whom it was made");
        assert_eq!(store.load().await, Ok(None));
        assert_eq!(store.load().await, Ok(None));
    }
    let mut store = open(&path).unwrap();
    let first = Identity { epoch: at(u64::MAX), origin: Origin::Replacement, standing: Standing::Recovering };
    let batch = Batch { identity: Some(first), ..raise([(1, 0), (2, u64::MAX)]) };
    store.commit(batch.clone()).await.unwrap();
    let mut model = Model::default();
    model.take(&batch);
    for _ in 0..3 {
        assert_eq!(store.load().await.unwrap(), model.kept());
        drop(store);
        store = open(&path).unwrap();
    }
    drop(store);
    assert_eq!(names(&dir), ["counts.redb"]);
    FileStore::check(&path, &owner()).unwrap();
}

#[tokio::test]
async fn init_makes_a_store_that_knows_itself_and_never_replaces_one() {
    let (dir, path) = place();
    FileStore::init(&path, &owner(), identity()).unwrap();
    let kept = Kept { identity: identity(), counts: Default::default() };
    assert_eq!(open(&path).unwrap().load().await, Ok(Some(kept)));
    let before = fs::read(&path).unwrap();
    let error = FileStore::init(&path, &owner(), Identity { epoch: at(9), ..identity() }).unwrap_err();
    assert!(matches!(error, FileStoreError::Exists { .. }) && error.to_string().contains("counts.redb"), "{error}");
    assert!(fs::read(&path).unwrap() == before);
    // Nor anything else of that name.
    for make in [|path: &Path| fs::write(path, "mine").unwrap(), |path: &Path| fs::create_dir(path).unwrap()] {
        let (dir, path) = place();
        make(&path);
        let error = FileStore::init(&path, &owner(), identity()).unwrap_err();
        assert!(matches!(error, FileStoreError::Exists { .. }), "{error}");
        assert_eq!(names(&dir), ["counts.redb"]);
    }
    let nowhere = dir.path().join("no").join("counts.redb");
    let error = FileStore::init(&nowhere, &owner(), identity()).unwrap_err();
    assert!(matches!(error, FileStoreError::Io { what: "made", .. }), "{error}");
    assert_eq!(names(&dir), ["counts.redb"]);
}

/// Of those that make a store at the same time, one does; nobody replaces it.
#[tokio::test]
async fn one_of_many_inits_at_once_makes_the_store() {
    for _ in 0..20 {
        let (dir, path) = place();
        let begin = std::sync::Barrier::new(4);
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..5)
                .map(|number| {
                    let (begin, path) = (&begin, &path);
                    scope.spawn(move || {
                        begin.wait();
                        FileStore::init(path, &owner(), Identity { epoch: at(number), ..identity() })
                            .map(|()| at(number))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winner: Vec<_> = made.iter().filter_map(|made| made.as_ref().ok()).collect();
        assert!(
            matches!(winner[..], [epoch] if open(&path).unwrap().load().await.unwrap().unwrap().identity.epoch == *epoch)
        );
        assert!(
            made.iter()
                .flat_map(|made| made.as_ref().err())
                .all(|error| matches!(error, FileStoreError::Exists { .. }))
        );
        assert_eq!(names(&dir), ["counts.redb"]);
    }
}

#[tokio::test]
async fn a_file_is_moved_aside_to_a_free_name_and_never_deleted() {
    let (dir, path) = place();
    assert_eq!(FileStore::set_aside(&path).unwrap(), None);
    let mut contents = Vec::new();
    for number in 1..4 {
        let mut store = open(&path).unwrap();
        store.commit(Batch { identity: Some(identity()), ..raise([(1, number)]) }).await.unwrap();
        let error = FileStore::set_aside(&path).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
        drop(store);
        contents.push(fs::read(&path).unwrap());
        let aside = FileStore::set_aside(&path).unwrap().unwrap();
        assert_eq!(aside, dir.path().join(format!("counts.redb.aside-{number}")));
        assert!(!path.exists());
    }
    for (number, content) in contents.iter().enumerate() {
        assert!(fs::read(dir.path().join(format!("counts.redb.aside-{}", number + 1))).unwrap() == *content);
    }
    assert_eq!(open(&path).unwrap().load().await, Ok(None));
    // What is no store is moved as well: it is in the way.
    fs::write(dir.path().join("other"), "x").unwrap();
    assert!(FileStore::set_aside(&dir.path().join("other")).unwrap().unwrap().exists());
}

const PATH: &str = "STORE_TEST_PATH";

/// Not a test by itself: the other process.
#[test]
fn another_process() {
    if let Some(path) = std::env::var_os(PATH) {
        let opened = open(Path::new(&path)).map(drop).map_err(|error| error.to_string());
        let checked = FileStore::check(Path::new(&path), &owner()).map_err(|error| error.to_string());
        println!("opened: {opened:?}, checked: {checked:?}");
    }
}

fn by_another_process(path: &Path) -> String {
    let mut other = Command::new(std::env::current_exe().unwrap());
    let other = other.args(["--exact", "files::another_process", "--nocapture"]).env(PATH, path);
    String::from_utf8(other.output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn a_file_has_one_user_in_this_process_and_in_others() {
    let (_dir, path) = place();
    let mut store = open(&path).unwrap();
    for again in [open(&path).map(drop), FileStore::check(&path, &owner())] {
        let error = again.unwrap_err();
        assert!(matches!(error, FileStoreError::InUse { .. }) && error.to_string().contains("counts.redb"), "{error}");
    }
    let said = by_another_process(&path);
    assert!(said.matches("counts.redb is in use by another process; stop that one").count() == 2, "{said}");
    // They were no hindrance.
    store.commit(Batch { identity: Some(identity()), ..raise([(1, 1)]) }).await.unwrap();
    drop(store);
    let said = by_another_process(&path);
    assert!(said.contains("opened: Ok(()), checked: Ok(())"), "{said}");
    open(&path).unwrap();
}

#[tokio::test]
async fn a_batch_that_nobody_waits_for_is_kept_before_the_next_one() {
    let (_dir, path) = place();
    FileStore::init(&path, &owner(), identity()).unwrap();
    let mut store = open(&path).unwrap();
    for round in 1..30 {
        let mut first = Box::pin(store.commit(raise([(1, round * 2), (2, round)])));
        assert!((&mut first).now_or_never().is_none(), "it has begun");
        drop(first);
        // A later count of the same slot: in the wrong order it would go back.
        store.commit(raise([(1, round * 2 + 1)])).await.unwrap();
        let counts = store.load().await.unwrap().unwrap().counts;
        assert_eq!((counts.get(&slot(1)), counts.get(&slot(2))), (Some(round * 2 + 1), Some(round)));
    }
    let mut last = Box::pin(store.commit(raise([(1, 1_000)])));
    assert!((&mut last).now_or_never().is_none(), "it has begun");
    drop(last);
    drop(store);
    // The lock is let go when the batch is kept, not before.
    let mut store = loop {
        match open(&path) {
            Ok(store) => break store,
            Err(FileStoreError::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(store.load().await.unwrap().unwrap().counts.get(&slot(1)), Some(1_000));
}

#[tokio::test]
async fn the_greatest_names_epochs_and_counts_are_kept_and_slots_are_forgotten() {
    let (_dir, path) = place();
    let label = "x".repeat(63);
    let long = NodeName::new(&format!("{label}.{label}.{label}.{}", "x".repeat(61))).unwrap();
    assert_eq!(long.as_str().len(), NodeName::MAX_LEN);
    let by = Owner { cluster: owner().cluster, node: long.clone() };
    let epochs = [(0, 0), (0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)];
    let slots = epochs.map(|(millis, random)| Slot { producer: long.clone(), epoch: Incarnation::new(millis, random) });
    let epoch = slots[3].epoch;
    FileStore::init(&path, &by, Identity { epoch, ..identity() }).unwrap();
    let mut store = FileStore::open(&path, &by, epoch).unwrap();
    let raised = slots.iter().cloned().zip([0, 1, u64::MAX - 1, u64::MAX]).collect();
    let batch = Batch { raised, ..Batch::default() };
    let mut model = Model { identity: Some(Identity { epoch, ..identity() }), ..Model::default() };
    model.take(&batch);
    store.commit(batch).await.unwrap();
    assert!(store.load().await.unwrap() == model.kept());
    // One that is not there is forgotten as well.
    let forgotten = vec![slots[0].clone(), slots[3].clone(), slot(5)];
    let batch = Batch { forgotten, ..Batch::default() };
    model.take(&batch);
    store.commit(batch).await.unwrap();
    drop(store);
    let mut store = FileStore::open(&path, &by, epoch).unwrap();
    assert!(store.load().await.unwrap() == model.kept());
    assert_eq!(model.slots.len(), 2);
}
