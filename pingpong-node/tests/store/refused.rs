//! What is refused, and left as it is, byte for byte (scenario 32).

use crate::disk::{at, identity, name, owner, raise};
use crate::files::{open, place};
use crate::full::{skip, without_root};
use pingpong_core::exercise::{Batch, Store};
use pingpong_node::store::counts::{FileStore, FileStoreError, Owner, Tables};
use redb::backends::FileBackend;
use redb::{Database, TableDefinition};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const FACTS: TableDefinition<&str, &str> = TableDefinition::new("facts");

/// Opens it with redb itself.
fn with_redb(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let db = Database::builder().create_with_backend(Tables(FileBackend::new(file).unwrap())).unwrap();
    let txn = db.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
    db.close().unwrap();
}

fn with_fact(name: &str, text: Option<&str>) -> (TempDir, PathBuf) {
    let (dir, path) = place();
    FileStore::init(&path, &owner(), identity()).unwrap();
    with_redb(&path, |txn| {
        let mut facts = txn.open_table(FACTS).unwrap();
        match text {
            Some(text) => drop(facts.insert(name, text).unwrap()),
            None => drop(facts.remove(name).unwrap()),
        }
    });
    (dir, path)
}

/// Tries all that reads a store, and returns why it was refused; the file is as it was.
fn refused(path: &Path, by: &Owner) -> FileStoreError {
    let read = || (fs::read(path).ok(), fs::metadata(path).unwrap().modified().unwrap());
    let before = read();
    let checked = FileStore::check(path, by).unwrap_err();
    let opened = FileStore::open(path, by, at(3)).unwrap_err();
    assert_eq!(checked.to_string(), opened.to_string());
    assert!(read() == before, "it was changed: {opened}");
    let beside = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "something was left beside it");
    assert!(opened.to_string().contains("counts.redb"), "{opened}");
    opened
}

/// What a file of that format begins with. The checksum is as any other program would make it.
fn mark(format: u32, checksum: u32) -> Vec<u8> {
    [&b"PingPong counts\n"[..], &format.to_le_bytes(), &checksum.to_le_bytes()].concat()
}

/// A store of this program with another beginning.
fn beginning_with(begin: &[u8]) -> (TempDir, PathBuf) {
    let (dir, path) = place();
    FileStore::init(&path, &owner(), identity()).unwrap();
    let mut content = fs::read(&path).unwrap();
    content[..begin.len()].copy_from_slice(begin);
    fs::write(&path, content).unwrap();
    (dir, path)
}

#[test]
fn a_newer_format_is_refused_with_both_versions_and_left_as_it_is() {
    let (_dir, path) = beginning_with(&mark(1, 0xf141_d0c8));
    open(&path).unwrap();
    let (_dir, path) = beginning_with(&mark(2, 0x9363_59f1));
    let error = refused(&path, &owner());
    assert!(matches!(error, FileStoreError::Newer { format: 2, .. }), "{error}");
    assert!(error.to_string().contains("format 2") && error.to_string().contains("reads 1"), "{error}");
    // The mark is all that a newer program must keep.
    let (_dir, path) = place();
    fs::write(&path, mark(4_000_000_000, 0x9336_e6bb)).unwrap();
    let error = refused(&path, &owner());
    assert!(matches!(error, FileStoreError::Newer { format: 4_000_000_000, .. }), "{error}");
    // There never was an older one, and one that does not fit its checksum is none.
    for (mark, words) in [(mark(0, 0x2c04_7a70), "below 1"), (mark(2, 0x9363_59f0), "mark")] {
        let (_dir, path) = beginning_with(&mark);
        let error = refused(&path, &owner());
        assert!(matches!(error, FileStoreError::Damaged { .. }) && error.to_string().contains(words), "{error}");
    }
}

/// Also a file that a crash left, which redb would repair first.
#[tokio::test]
async fn what_a_crash_left_is_refused_before_it_is_repaired() {
    let (_dir, path) = place();
    let mut store = open(&path).unwrap();
    store.commit(Batch { identity: Some(identity()), ..raise([(1, 1)]) }).await.unwrap();
    let (_other, crashed) = place();
    fs::copy(&path, &crashed).unwrap();
    drop(store);
    assert!(fs::read(&path).unwrap() != fs::read(&crashed).unwrap());
    let error = refused(&crashed, &Owner { node: name("n2"), ..owner() });
    assert!(matches!(error, FileStoreError::AnotherNode { .. }), "{error}");
    let before = fs::read(&crashed).unwrap();
    FileStore::check(&crashed, &owner()).unwrap();
    assert!(fs::read(&crashed).unwrap() == before, "a check repairs nothing");
    open(&crashed).unwrap();
}

#[test]
fn the_file_of_another_node_or_cluster_is_refused_and_left_as_it_is() {
    let (_dir, path) = place();
    FileStore::init(&path, &owner(), identity()).unwrap();
    let error = refused(&path, &Owner { node: name("n2"), ..owner() });
    assert!(matches!(error, FileStoreError::AnotherNode { .. }), "{error}");
    assert!(error.to_string().contains("node n1") && error.to_string().contains("n2"), "{error}");
    let error = refused(&path, &Owner { cluster: "c2".parse().unwrap(), ..owner() });
    assert!(matches!(error, FileStoreError::AnotherCluster { .. }), "{error}");
    assert!(error.to_string().contains("cluster c1") && error.to_string().contains("c2"), "{error}");
    open(&path).unwrap();
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let texts = ["".to_owned(), "x".to_owned(), "not a database at all\n".repeat(1_000)];
    for text in texts {
        let (_dir, path) = place();
        fs::write(&path, text).unwrap();
        let error = refused(&path, &owner());
        assert!(matches!(error, FileStoreError::NotAStore { .. }), "{error}");
    }
    let (_dir, path) = place();
    fs::create_dir(&path).unwrap();
    let error = refused(&path, &owner());
    assert!(matches!(error, FileStoreError::NotAStore { .. }) && error.to_string().contains("directory"), "{error}");
    let (_dir, path) = place();
    let other: TableDefinition<u64, u64> = TableDefinition::new("other");
    let db = Database::create(&path).unwrap();
    let txn = db.begin_write().unwrap();
    drop(txn.open_table(other).unwrap());
    txn.commit().unwrap();
    db.close().unwrap();
    let error = refused(&path, &owner());
    assert!(matches!(error, FileStoreError::NotAStore { .. }), "{error}");
}

#[tokio::test]
async fn facts_that_make_no_sense_are_damage() {
    let wrong = [
        ("cluster", None),
        ("cluster", Some("Not A Name")),
        ("node", None),
        ("node", Some("")),
        ("opened-by", None),
        ("batches", Some("-1")),
        ("batches", None),
        ("epoch", Some("now")),
        ("origin", None),
        ("origin", Some("elsewhere")),
        ("standing", Some("")),
    ];
    for (fact, text) in wrong {
        let (_dir, path) = with_fact(fact, text);
        let error = refused(&path, &owner());
        assert!(matches!(error, FileStoreError::Damaged { .. }) && error.to_string().contains(fact), "{error}");
    }
    let (_dir, path) = place();
    FileStore::init(&path, &owner(), identity()).unwrap();
    with_redb(&path, |txn| assert!(txn.delete_table(FACTS).unwrap()));
    let error = refused(&path, &owner());
    assert!(matches!(error, FileStoreError::Damaged { .. }) && error.to_string().contains("facts"), "{error}");
    // It has counted, and does not know as whom.
    let (_dir, path) = with_fact("batches", Some("1"));
    with_redb(&path, |txn| drop(txn.open_table(FACTS).unwrap().remove("epoch").unwrap()));
    let error = refused(&path, &owner());
    assert!(matches!(error, FileStoreError::Damaged { .. }) && error.to_string().contains("epoch"), "{error}");
    // The facts are read on opening, the counts when they are loaded.
    let (_dir, path) = place();
    FileStore::init(&path, &owner(), identity()).unwrap();
    with_redb(&path, |txn| {
        let slots: TableDefinition<(&str, u64, u64), u64> = TableDefinition::new("slots");
        txn.open_table(slots).unwrap().insert(("Not A Name", 1, 1), 1).unwrap();
    });
    assert!(matches!(FileStore::check(&path, &owner()), Err(FileStoreError::Damaged { .. })));
    let error = open(&path).unwrap().load().await.unwrap_err().to_string();
    assert!(error.contains("Not A Name") && error.contains("counts.redb"), "{error}");
}

#[test]
fn a_file_that_may_not_be_read_or_written_is_refused_and_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, path) = place();
    FileStore::init(&path, &owner(), identity()).unwrap();
    if without_root().is_none() {
        return skip("a_file_that_may_not_be_read_or_written_is_refused_and_left_as_it_is", "root may do all");
    }
    for mode in [0o000, 0o444] {
        let before = fs::read(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, FileStoreError::Io { what: "opened", .. }), "{error}");
        // What may be read can be checked.
        assert_eq!(FileStore::check(&path, &owner()).is_ok(), mode != 0);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(fs::read(&path).unwrap() == before);
    }
    open(&path).unwrap();
}
