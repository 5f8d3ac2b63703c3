//! Files of counts that are locked, full, broken, torn or of another program.

use crate::actor::{First, World, all_know, epochs, values};
use crate::disk::Fault;
use crate::files::Files;
use pingpong_conformance::toolkit::{Cluster, node};
use pingpong_core::exercise::{CommitError, ExerciseError, PingError, PingRefused, Store, Trouble, Unconfirmed};
use pingpong_core::{Incarnation, Node};
use pingpong_node::store::counts::FileStoreError;
use std::fs;
use std::time::Duration;

pub(crate) async fn scenario_28_a_second_process_on_one_file_does_not_start(c: &Cluster) {
    let (world, files) = (World::new(c), Files::new());
    let x = files.start(&world, "x", First::Yes).await;
    x.pings(3).await;
    let twin = Node { name: node("x"), incarnation: Incarnation::new(u64::MAX, 0) };
    let refused = files.open(&twin).expect_err("the file is in use");
    assert!(matches!(refused, FileStoreError::InUse { .. }), "{refused:?}");
    let words = refused.to_string();
    let path = files.path("x").display().to_string();
    assert!(words.contains(&path) && words.contains("stop that one"), "it names file and remedy: {words}");
    assert_eq!(x.pings(1).await.count, 4, "the first one is not disturbed");
    let y = files.start(&world, "y", First::Yes).await;
    world.linked(&[&x, &y]).await;
    all_know(&[&x, &y], &[("x", 4), ("y", 0)]).await;
    // The lock goes with the process.
    world.kill(x).await;
    let x = files.start(&world, "x", First::No).await;
    all_know(&[&x, &y], &[("x", 4), ("y", 0)]).await;
    assert_eq!(epochs(&x, "x"), [4]);
}

pub(crate) async fn scenario_29_a_full_disk_acknowledges_nothing_and_goes_on_without_a_gap(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    x.pings_for_good(2).await;
    all_know(&[&x, &y, &z], &[("x", 2), ("y", 0), ("z", 0)]).await;
    // The producer's own disk: nothing is numbered.
    x.disk.fail(Some(Fault::Full));
    for _ in 0..3 {
        let refused = x.soon("a ping", x.exercise.ping(1)).await;
        let Err(PingError::Refused(PingRefused::StoreFull(words))) = refused else { panic!("{refused:?}") };
        assert!(words.contains("a disk of the tests"), "it names the disk: {words}");
        let refused = x.soon("a ping", x.exercise.ping_majority(1, x.patience)).await;
        assert!(matches!(refused, Err(PingError::Refused(PingRefused::StoreFull(_)))), "{refused:?}");
    }
    assert_eq!(y.pings_for_good(1).await.count, 1, "two others are a majority");
    all_know(&[&y, &z], &[("x", 2), ("y", 1), ("z", 0)]).await;
    assert_eq!(x.exercise.local().values, values(&[("x", 2), ("y", 0), ("z", 0)]), "nothing is shown that is not kept");
    x.disk.fail(None);
    assert_eq!(x.pings_for_good(1).await.count, 3, "without a gap");
    all_know(&[&x, &y, &z], &[("x", 3), ("y", 1), ("z", 0)]).await;
    // The disks of the others: they do not say that they have it.
    for full in [&y, &z] {
        full.disk.fail(Some(Fault::Full));
    }
    let unconfirmed = x.soon("a ping", x.exercise.ping_majority(1, Duration::from_millis(300))).await;
    let Err(PingError::Unconfirmed(Unconfirmed { pinged, have: 1, need: 2 })) = unconfirmed else {
        panic!("{unconfirmed:?}");
    };
    assert_eq!(pinged.count, 4);
    for full in [&y, &z] {
        assert_eq!(full.exercise.local().values, values(&[("x", 3), ("y", 1), ("z", 0)]));
        full.disk.fail(None);
    }
    x.soon("a confirmation", x.exercise.confirm(&pinged, x.patience)).await.expect("there is room again");
    assert_eq!(x.pings_for_good(1).await.count, 5);
    all_know(&[&x, &y, &z], &[("x", 5), ("y", 1), ("z", 0)]).await;
}

pub(crate) async fn scenario_30_a_failed_sync_stops_the_node_and_the_disk_says_what_was_kept(c: &Cluster) {
    let world = World::new(c);
    let [x, y, mut z] = world.first_start().await;
    let mut count = z.pings(2).await.count;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", u128::from(count))]).await;
    for kept in [false, true] {
        z.disk.fail(Some(Fault::Sync { kept }));
        let closed = z.soon("a ping", z.exercise.ping(1)).await;
        assert!(matches!(&closed, Err(PingError::Refused(PingRefused::StoreClosed(_)))), "{closed:?}");
        let stopped = z.soon("its end", z.exercise.stopped()).await;
        let is_unknown =
            matches!(&stopped, Err(ExerciseError::Trouble(Trouble::StoreFailed(CommitError::Unknown { .. }))));
        assert!(is_unknown, "the node must stop: {stopped:?}");
        // The disk works again, and is not asked: what it has is read at the next start.
        z.disk.fail(None);
        let again = z.soon("a ping", z.exercise.ping(1)).await;
        assert!(matches!(&again, Err(PingError::Refused(PingRefused::StoreClosed(_)))), "{again:?}");
        for actor in [&x, &y, &z] {
            assert_eq!(actor.exercise.local().values[&node("z")], u128::from(count), "nobody shows it");
        }
        let disk = world.kill(z).await;
        z = world.start("z", &disk, First::No).await;
        count += u64::from(kept);
        assert_eq!(epochs(&z, "z"), [count], "what the disk has, and no more");
        all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", u128::from(count))]).await;
        count += 1;
        assert_eq!(z.pings(1).await.count, count);
        all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", u128::from(count))]).await;
    }
}

/// A start on a torn file, which has the commit before (0), or the last one (1), or is refused (2).
async fn start_on(content: &[u8], at: usize) -> usize {
    let (files, x) = (Files::new(), Node { name: node("x"), incarnation: Incarnation::new(u64::MAX, 0) });
    fs::write(files.path("x"), content).unwrap();
    let mut store = match files.open(&x) {
        Ok(store) => store,
        Err(FileStoreError::Damaged { .. } | FileStoreError::NotAStore { .. }) => return 2,
        Err(error) => panic!("cut at {at}: {error}"),
    };
    let kept = store.load().await.expect("what is accepted can be read").expect("the store was there");
    match kept.counts.epochs(&x.name).map(|(_, count)| count).collect::<Vec<_>>()[..] {
        [3] => 0,
        [7] => 1,
        ref other => panic!("cut at {at}: {other:?} was never committed"),
    }
}

pub(crate) async fn scenario_31_a_file_cut_within_its_last_commit_shows_it_whole_or_not_at_all(c: &Cluster) {
    let (world, files) = (World::new(c), Files::new());
    let x = files.start(&world, "x", First::Yes).await;
    // Nobody is linked: there are no commits but those of the pings.
    x.pings(3).await;
    let before = fs::read(files.path("x")).unwrap();
    x.pings(4).await;
    let after = fs::read(files.path("x")).unwrap();
    world.kill(x).await;
    assert_eq!(before.len(), after.len(), "it has room for another commit");
    let changed: Vec<usize> = (0..after.len()).filter(|at| before[*at] != after[*at]).collect();
    assert!(changed.len() > 10, "{} bytes were written", changed.len());
    // The header, which says what holds, is cut at every byte of it; all else at some bytes of each page, other ones on each transport.
    let (header, pages): (Vec<usize>, Vec<usize>) = changed.iter().partition(|at| **at < 4_096);
    let some = pages.into_iter().skip(if c.timing().exact { 0 } else { 155 }).step_by(311);
    let mut shown = [0; 3];
    for at in header.into_iter().chain(some).chain([after.len()]) {
        // Bytes up to there are written and the rest is not, or the other way round: a system writes pages in any order.
        for [first, last] in [[&after, &before], [&before, &after]] {
            shown[start_on(&[&first[..at], &last[at..]].concat(), at).await] += 1;
        }
    }
    let [old, new, _] = shown;
    assert!(old > 0 && new > 0, "{shown:?}");
    // Or the file ends there.
    for at in (0..after.len()).step_by(after.len() / 16) {
        shown[start_on(&after[..at], at).await] += 1;
    }
    // A node starts on either, and goes on where it is.
    for (content, count) in [(&before, 3), (&after, 7)] {
        fs::write(files.path("x"), content).unwrap();
        let x = files.start(&world, "x", First::No).await;
        assert_eq!(epochs(&x, "x"), [count]);
        assert_eq!(x.pings(1).await.count, count + 1);
        world.kill(x).await;
    }
}

/// A file that a newer program wrote. Its mark is all that it promises to keep: words, the version, and a checksum of both.
fn newer() -> Vec<u8> {
    let mark = [&b"PingPong counts\n"[..], &2_u32.to_le_bytes(), &0x9363_59f1_u32.to_le_bytes()].concat();
    let all_else = (0..100_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
    mark.into_iter().chain(all_else).collect()
}

pub(crate) async fn scenario_32_a_file_of_a_newer_format_is_refused_and_left_as_it_is(c: &Cluster) {
    let (world, files) = (World::new(c), Files::new());
    let x = files.start(&world, "x", First::Yes).await;
    x.pings(3).await;
    world.kill(x).await;
    let right = fs::read(files.path("x")).unwrap();
    let newer = newer();
    fs::write(files.path("x"), &newer).unwrap();
    let node = world.boot("x").await;
    for _ in 0..2 {
        let refused = files.open(&node.transport().node()).expect_err("it is of a newer format");
        assert!(matches!(refused, FileStoreError::Newer { format: 2, .. }), "{refused:?}");
        let (words, path) = (refused.to_string(), files.path("x").display().to_string());
        for part in [path.as_str(), "format 2", "reads 1"] {
            assert!(words.contains(part), "it names file, found and supported version: {words}");
        }
        assert!(fs::read(files.path("x")).unwrap() == newer, "it was changed");
    }
    c.crash(node).await;
    // With the file that was there before it goes on.
    fs::write(files.path("x"), right).unwrap();
    let x = files.start(&world, "x", First::No).await;
    assert_eq!(x.pings(1).await.count, 4);
}
