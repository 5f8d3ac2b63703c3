//! A disk that is really full, or really takes no writes.

use crate::disk::{Model, at, identity, owner, raise};
use pingpong_core::exercise::{CommitError, Store};
use pingpong_node::store::counts::{FileStore, FileStoreError};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;

const PATH: &str = "STORE_TEST_DISK";

/// Why something that needs root cannot be done here.
pub(crate) fn without_root() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap().split_whitespace().nth(1);
    (user != Some("0")).then(|| "it needs root".to_owned())
}

/// A test that cannot be run here says so.
pub(crate) fn skip(test: &str, reason: &str) {
    // Not by `println!`, which is kept back where a test passes.
    let _ = writeln!(std::io::stderr(), "{test} is skipped: {reason}");
}

/// Until not a byte more fits.
fn fill(disk: &Path) -> std::path::PathBuf {
    let ballast = disk.join("ballast");
    let mut file = File::create(&ballast).unwrap();
    let full = loop {
        if let Err(error) = file.write_all(&[b'.'; 512]) {
            break error.kind();
        }
    };
    assert_eq!(full, ErrorKind::StorageFull);
    ballast
}

/// Not a test by itself: what runs where the small disk is.
#[tokio::test]
async fn on_a_small_disk() {
    let Some(disk) = std::env::var_os(PATH) else { return };
    let disk = Path::new(&disk);
    let path = disk.join("counts.redb");
    FileStore::init(&path, &owner(), identity()).unwrap();
    let mut store = FileStore::open(&path, &owner(), at(2)).unwrap();
    let mut model = Model::new();
    let mut refused = 0;
    for round in 1..4 {
        let small = raise((0..10).map(|number| (number, round * 100)));
        model.take(&small);
        store.commit(small).await.unwrap();
        let ballast = fill(disk);
        let large = raise((0..round * 3_000).map(|number| (number, round * 100 + 1)));
        for _ in 0..3 {
            let error = store.commit(large.clone()).await.unwrap_err();
            let CommitError::Refused { words, .. } = &error else { panic!("{error}") };
            assert!(words.contains("No space left on device"), "{words}");
            assert!(store.load().await.unwrap() == model.kept());
            refused += 1;
            // It was closed and opened again, and nobody could come in between.
            let other = FileStore::open(&path, &owner(), at(2));
            assert!(matches!(other, Err(FileStoreError::InUse { .. })), "{other:?}");
        }
        fs::remove_file(ballast).unwrap();
        model.take(&large);
        store.commit(large).await.unwrap();
        drop(store);
        store = FileStore::open(&path, &owner(), at(2)).unwrap();
        assert!(store.load().await.unwrap() == model.kept());
    }
    println!("{refused} refused");
}

/// Not a test by itself: as after an error of the disk, when Linux takes no more writes.
#[tokio::test]
async fn on_a_disk_that_takes_no_writes() {
    let Some(disk) = std::env::var_os(PATH) else { return };
    let disk = Path::new(&disk);
    let path = disk.join("counts.redb");
    FileStore::init(&path, &owner(), identity()).unwrap();
    let before = fs::read(&path).unwrap();
    let remounted = |how: &str| Command::new("mount").args(["-o", how]).arg(disk).status().unwrap().success();
    assert!(remounted("remount,ro"));
    for _ in 0..2 {
        let error = FileStore::open(&path, &owner(), at(2)).unwrap_err();
        assert!(matches!(error, FileStoreError::Io { what: "opened", .. }), "{error}");
        let words = error.to_string();
        assert!(words.contains("counts.redb") && words.contains("Read-only file system"), "{words}");
        // What may be read can be checked.
        FileStore::check(&path, &owner()).unwrap();
        assert!(fs::read(&path).unwrap() == before);
    }
    let other = disk.join("other.redb");
    let error = FileStore::init(&other, &owner(), identity()).unwrap_err().to_string();
    assert!(error.contains("other.redb") && error.contains("Read-only file system"), "{error}");
    assert!(remounted("remount,rw"));
    FileStore::open(&path, &owner(), at(2)).unwrap();
    println!("refused, and opened");
}

/// Runs one of these where a small disk is mounted, and looks for what it says at its end. The mount is seen by that process alone, and goes
/// with it.
fn on_a_disk_of_its_own(test: &str, inner: &str, says: &str) {
    let disk = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=8m none \"$0\" && exec \"$@\"";
    let mounted = || {
        let mut mounted = Command::new("unshare");
        mounted.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(disk.path());
        mounted
    };
    match mounted().arg("true").output() {
        Err(error) => return skip(test, &format!("unshare: {error}")),
        Ok(done) if !done.status.success() => return skip(test, String::from_utf8_lossy(&done.stderr).trim()),
        Ok(_) => {}
    }
    let mut run = mounted();
    run.arg(std::env::current_exe().unwrap()).args(["--exact", inner, "--nocapture"]);
    let done = run.env(PATH, disk.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains(says), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_disk_that_is_full_refuses_and_goes_on_when_there_is_room() {
    let test = "a_disk_that_is_full_refuses_and_goes_on_when_there_is_room";
    on_a_disk_of_its_own(test, "full::on_a_small_disk", "9 refused");
}

#[test]
fn a_file_on_a_disk_that_takes_no_writes_is_refused_and_left_as_it_is() {
    let test = "a_file_on_a_disk_that_takes_no_writes_is_refused_and_left_as_it_is";
    on_a_disk_of_its_own(test, "full::on_a_disk_that_takes_no_writes", "refused, and opened");
}
