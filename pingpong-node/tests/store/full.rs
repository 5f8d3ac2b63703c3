//! A disk that is really full.

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

#[test]
fn a_disk_that_is_full_refuses_and_goes_on_when_there_is_room() {
    let test = "a_disk_that_is_full_refuses_and_goes_on_when_there_is_room";
    let disk = tempfile::tempdir().unwrap();
    // The mount is seen by that process alone, and goes with it.
    let script = "mount -t tmpfs -o size=8m none \"$0\" && exec \"$@\"";
    let mut inner = Command::new("unshare");
    inner.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(disk.path());
    let probe = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(disk.path())
        .arg("true")
        .output();
    match probe {
        Err(error) => return skip(test, &format!("unshare: {error}")),
        Ok(done) if !done.status.success() => return skip(test, String::from_utf8_lossy(&done.stderr).trim()),
        Ok(_) => {}
    }
    inner.arg(std::env::current_exe().unwrap()).args(["--exact", "full::on_a_small_disk", "--nocapture"]);
    let done = inner.env(PATH, disk.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("9 refused"), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
}
