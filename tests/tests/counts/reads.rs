//! What reads of each level say while counts rise, and while somebody is away.

use crate::actor::{Actor, First, World, XYZ, all_know};
use crate::disk::{Disk, Fault};
use futures_util::future::{join, join3};
use pingpong_conformance::Place;
use pingpong_conformance::toolkit::{Cluster, node};
use pingpong_core::exercise::{Counts, FreshRead, FreshValue, ReadError};
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// A snapshot with the times of its read.
struct Taken {
    begun: Instant,
    ended: Instant,
    counts: Counts,
}

pub(crate) async fn scenario_25_snapshots_are_ordered_and_unstable_while_pings_never_pause(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    for (one, other, millis) in [("x", "y", 4), ("y", "z", 7), ("x", "z", 9)] {
        c.harness().delay(&Place::from(one), &Place::from(other), Duration::from_millis(millis)).await;
    }
    let done = Cell::new(0);
    let pings = async |actor: &Actor, pause: u64| {
        while done.get() < 2 {
            for _ in 0..3 {
                actor.pings(1).await;
            }
            c.hold(Duration::from_millis(pause)).await;
        }
    };
    let reads = async |actor: &Actor| {
        let mut taken = Vec::new();
        for _ in 0..12 {
            let begun = Instant::now();
            match actor.soon("a snapshot", actor.exercise.snapshot(actor.patience)).await {
                Ok(read) => taken.push(Taken { begun, ended: Instant::now(), counts: read.counts().clone() }),
                Err(error) => panic!("{}: {error}", actor.node.name()),
            }
        }
        done.set(done.get() + 1);
        taken
    };
    let (_, (of_y, of_z)) = join(join(pings(&x, 60), pings(&y, 85)), join(reads(&y), reads(&z))).await;
    let taken: Vec<Taken> = of_y.into_iter().chain(of_z).collect();
    for one in &taken {
        for other in &taken {
            let (a, b) = (&one.counts, &other.counts);
            assert!(a.covers(b) || b.covers(a), "no order: {a:?} and {b:?}");
            assert!(one.ended >= other.begun || b.covers(a), "{b:?} came after {a:?}");
        }
    }
    let first = taken.iter().map(|taken| taken.counts.total()).min();
    let last = taken.iter().map(|taken| taken.counts.total()).max();
    assert!(first < last, "pings went on meanwhile");
    unstable(c, [&x, &y, &z]).await;
}

/// With pings all the time and members that are far apart, no two ever hold the same.
async fn unstable(c: &Cluster, [x, y, z]: [&Actor; 3]) {
    for (one, other, millis) in [("x", "y", 100), ("y", "z", 130), ("x", "z", 170)] {
        c.harness().delay(&Place::from(one), &Place::from(other), Duration::from_millis(millis)).await;
    }
    let done = Cell::new(false);
    let pings = async {
        while !done.get() {
            x.pings(1).await;
            // On a paused clock time passes by waiting alone.
            c.hold(Duration::from_millis(1)).await;
        }
    };
    let reads = async {
        let before = x.exercise.local().total;
        let deadline = Duration::from_millis(1_500);
        let (of_y, of_z) = join(y.exercise.snapshot(deadline), z.exercise.snapshot(deadline)).await;
        assert_eq!((of_y.err(), of_z.err()), (Some(ReadError::Unstable), Some(ReadError::Unstable)));
        let total = y.reads().await.expect("single values and totals are answered").total();
        assert!(total > before, "{total} of {before}");
        done.set(true);
    };
    let began = Instant::now();
    join(pings, reads).await;
    assert!(began.elapsed() < y.patience);
    for (one, other) in [("x", "y"), ("y", "z"), ("x", "z")] {
        c.harness().delay(&Place::from(one), &Place::from(other), Duration::ZERO).await;
    }
    let paused = x.soon("a snapshot", y.exercise.snapshot(y.patience)).await.expect("pings have paused");
    assert_eq!(paused.total(), x.exercise.local().total);
}

async fn fresh(actor: &Actor, deadline: Duration) -> FreshRead {
    actor.soon("a read", actor.exercise.fresh(deadline)).await.expect("the request has an encoded form")
}

pub(crate) async fn scenario_26_fresh_says_who_is_missing_and_what_is_exact(c: &Cluster) {
    use FreshValue::{AtLeast, Exact};
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    for (actor, pings) in [(&x, 1), (&y, 2), (&z, 3)] {
        actor.pings(pings).await;
    }
    all_know(&[&x, &y, &z], &[("x", 1), ("y", 2), ("z", 3)]).await;
    let whole = fresh(&x, x.patience).await;
    assert_eq!(whole.values, [("x", 1), ("y", 2), ("z", 3)].map(|(name, pings)| (node(name), Exact(pings))).into());
    assert!(whole.is_complete() && whole.total == 6 && whole.missing.is_empty());
    assert_eq!(whole.answered, ["x", "y", "z"].map(node).into());
    // What a node pings is exact at once, also where nobody has told it yet.
    let (y_pings, x_reads) = (y.pings(1).await.count, fresh(&x, x.patience).await);
    assert_eq!(x_reads.values[&node("y")], Exact(u128::from(y_pings)));
    // Before anybody notices the cut, the deadline ends the read; afterwards it ends at once.
    let groups = [vec![Place::from("z")], vec![Place::from("x"), Place::from("y")]];
    c.harness().partition(&groups).await;
    let (short, long) = (c.t() / 5, Duration::from_secs(3_600));
    for deadline in [short, long] {
        let begun = Instant::now();
        let (of_x, of_y, of_z) = join3(fresh(&x, deadline), fresh(&y, deadline), fresh(&z, deadline)).await;
        for read in [of_x, of_y] {
            let expected = [("x", Exact(1)), ("y", Exact(3)), ("z", AtLeast(3))];
            assert_eq!(read.values, expected.map(|(name, value)| (node(name), value)).into());
            assert_eq!((read.missing.clone(), read.total), ([node("z")].into(), 7));
            assert_eq!(read.answered, [node("x"), node("y")].into());
            assert!(!read.is_complete());
        }
        assert_eq!(of_z.missing, [node("x"), node("y")].into());
        assert_eq!(of_z.values[&node("x")], AtLeast(1));
        assert!(matches!(of_z.values[&node("z")], Exact(3 | 7)), "{of_z:?}");
        assert!(begun.elapsed() <= c.timing().within(short), "{:?}", begun.elapsed());
        if deadline == short {
            z.node.events().until_linked_only(&[]).await;
            z.pings(4).await;
            x.node.events().until_linked_only(&[node("y")]).await;
            y.node.events().until_linked_only(&[node("x")]).await;
        }
    }
    world.heal(&[&x, &y, &z]).await;
    let whole = fresh(&x, x.patience).await;
    assert!(whole.is_complete() && whole.total == 11, "{whole:?}");
}

/// CANNOT 4. The owner has the ping, and no member has: each level is right, and the one that is asked later shows less.
pub(crate) async fn fresh_shows_a_ping_that_a_later_majority_read_does_not(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    let w = world.start("w", &Disk::default(), First::Yes).await;
    w.node.events().until_linked(&XYZ.map(node)).await;
    all_know(&[&w, &x, &y, &z], &[("w", 0), ("x", 0), ("y", 0), ("z", 0)]).await;
    for member in [&x, &y, &z] {
        member.disk.fail(Some(Fault::HeldBefore));
    }
    w.pings(1).await;
    assert_eq!(fresh(&x, x.patience).await.values[&node("w")], FreshValue::Exact(1));
    for reader in [&w, &x] {
        assert_eq!(reader.reads().await.unwrap().value(&node("w")), 0, "no member has stored it");
    }
    for member in [&x, &y, &z] {
        member.disk.fail(None);
    }
    all_know(&[&w, &x, &y, &z], &[("w", 1), ("x", 0), ("y", 0), ("z", 0)]).await;
    assert_eq!(x.reads().await.unwrap().value(&node("w")), 1);
}
