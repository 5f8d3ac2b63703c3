//! Producers that crash, lose their stores, get older ones, or have counted all that there is.

use crate::actor::{Actor, First, World, all_know, epochs, values};
use crate::disk::{Disk, Fault};
use crate::files::{Files, Gate, Side};
use futures_util::future::{FutureExt, join};
use futures_util::stream::{FuturesUnordered, StreamExt};
use pingpong_conformance::toolkit::{Cluster, node};
use pingpong_core::Incarnation;
use pingpong_core::exercise::{ExerciseError, FreshValue, PingError, PingRefused, Pinged, Trouble};
use std::fs;
use std::time::Duration;

/// The commit is on the disk and has not returned when the producer crashes, and another time the whole process.
pub(crate) async fn scenario_06_a_producer_that_crashes_between_sync_and_cast_is_counted(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 0)]).await;
    z.disk.fail(Some(Fault::HeldAfter));
    let crash = async {
        until_kept(&z, 4).await;
        assert_eq!(z.exercise.local().total, 0, "nothing is shown before the sync has returned");
        z.exercise.producer().crash().await;
    };
    let (pinged, ()) = join(z.exercise.ping(4), crash).await;
    assert!(matches!(&pinged, Err(PingError::Unanswered(why)) if why.was_sent()), "{pinged:?}");
    z.disk.fail(None);
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 4)]).await;
    z.disk.fail(Some(Fault::HeldAfter));
    let crash = async {
        until_kept(&z, 9).await;
        z.exercise.producer().crash().await;
    };
    join(z.exercise.ping(5), crash).await.0.expect_err("it has crashed");
    let disk = world.kill(z).await;
    all_know(&[&x, &y], &[("x", 0), ("y", 0), ("z", 4)]).await;
    disk.fail(None);
    let z = world.start("z", &disk, First::No).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 9)]).await;
    assert_eq!(z.pings(1).await.count, 10);
}

/// Waits until this count of the node's own is on its disk. A disk tells nobody, so it is looked at.
async fn until_kept(actor: &Actor, count: u64) {
    let slot = actor.exercise.ledger().slot();
    let kept = async {
        while actor.disk.kept().and_then(|kept| kept.counts.get(&slot)) != Some(count) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    actor.soon("the disk", kept).await;
}

pub(crate) async fn scenario_07_a_number_that_is_lost_with_a_queued_ping_was_never_shown(c: &Cluster) {
    let (world, files, gate) = (World::new(c), Files::new(), Gate::default());
    let x = world.start("x", &Disk::default(), First::Yes).await;
    let y = world.start("y", &Disk::default(), First::Yes).await;
    let z = files.start_slowly(&world, "z", First::Yes, &gate).await;
    world.linked(&[&x, &y, &z]).await;
    assert_eq!(z.pings(2).await.count, 2);
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 2)]).await;
    let held = gate.hold_after(0, Side::Before);
    for _ in 0..5 {
        z.soon("a queued ping", z.exercise.ping_queued(1)).await.expect("it waits");
    }
    z.soon("the commit", gate.until_begun(held)).await;
    // Time for everybody to hear what nobody may hear.
    c.hold(world.settings.gossip_interval * 3).await;
    for actor in [&x, &y, &z] {
        assert_eq!(actor.exercise.local().values, values(&[("x", 0), ("y", 0), ("z", 2)]), "it is not synced");
    }
    world.kill(z).await;
    let z = files.start(&world, "z", First::No).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 2)]).await;
    assert_eq!(z.pings(1).await.count, 3, "the number is given for the first time");
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 3)]).await;
}

/// Where the commit is when the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    BeforeTheFileHasIt,
    WhileItIsWritten,
    WhenTheFileHasIt,
}

/// Alone, so that nobody's news are in the commits.
pub(crate) async fn scenario_08_a_kill_during_a_group_commit_counts_all_or_none_of_it(c: &Cluster) {
    let (world, files) = (World::new(c), Files::new());
    let mut before = 0;
    let rounds = [Killed::BeforeTheFileHasIt, Killed::WhileItIsWritten, Killed::WhenTheFileHasIt];
    for killed in rounds.into_iter().cycle().take(9) {
        let gate = Gate::default();
        let z = files.start_slowly(&world, "z", First::Yes, &gate).await;
        assert_eq!(epochs(&z, "z"), [before]);
        let (answered, offered) = pings_until(&z, &gate, killed).await;
        if killed == Killed::WhileItIsWritten {
            gate.open();
        }
        world.kill(z).await;
        let z = files.start(&world, "z", First::No).await;
        let counted = epochs(&z, "z")[0];
        assert_eq!(answered, [before + 1], "the first one was committed alone");
        assert!(offered > before + 1 && offered <= before + 50, "{offered} is no group of the other 49");
        match killed {
            Killed::BeforeTheFileHasIt => assert_eq!(counted, before + 1),
            Killed::WhileItIsWritten => assert!([before + 1, offered].contains(&counted), "all of it or nothing"),
            Killed::WhenTheFileHasIt => assert_eq!(counted, offered),
        }
        before = counted;
        world.kill(z).await;
    }
    let z = files.start(&world, "z", First::No).await;
    let x = world.start("x", &Disk::default(), First::Yes).await;
    let y = world.start("y", &Disk::default(), First::Yes).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", u128::from(before))]).await;
    assert_eq!(z.pings(1).await.count, before + 1);
}

/// Fifty pings at once. The first one is committed, and answered; the others are a group that is held. Returns the numbers that were answered,
/// and the last one of the group.
async fn pings_until(z: &Actor, gate: &Gate, killed: Killed) -> (Vec<u64>, u64) {
    let side = if killed == Killed::WhenTheFileHasIt { Side::After } else { Side::Before };
    let held = gate.hold_after(1, side);
    let mut pings: FuturesUnordered<_> = (0..50).map(|_| z.exercise.ping(1)).collect();
    let first = async { pings.next().await.expect("there are fifty").expect("it is counted").count };
    let group = async {
        let offered = gate.until_begun(held).await;
        if killed == Killed::WhenTheFileHasIt {
            gate.until_done(held).await;
        }
        offered
    };
    let (first, offered) = z.soon("the group commit", join(first, group)).await;
    let mut answered = vec![first];
    while let Some(Some(pinged)) = pings.next().now_or_never() {
        answered.push(pinged.expect("it is counted").count);
    }
    (answered, offered)
}

/// `x` alone has seen what `z` pinged before its disk was lost, and is cut off when it begins anew.
pub(crate) async fn scenario_09_old_pings_from_the_far_side_and_new_ones_add_up(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 0)]).await;
    world.split(&[&[&y], &[&x, &z]]).await;
    z.pings(5).await;
    x.knows(&[("x", 0), ("y", 0), ("z", 5)]).await;
    world.kill(z).await;
    // A cut stays until it is healed: x is alone now, and y with z.
    c.harness().cut(&"x".into(), &"z".into()).await;
    c.harness().heal(&"y".into(), &"z".into()).await;
    let z = world.start("z", &Disk::default(), First::No).await;
    world.linked(&[&y, &z]).await;
    z.pings(2).await;
    all_know(&[&y, &z], &[("x", 0), ("y", 0), ("z", 2)]).await;
    x.knows(&[("x", 0), ("y", 0), ("z", 5)]).await;
    world.heal(&[&x, &y, &z]).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 7)]).await;
    for actor in [&x, &y, &z] {
        assert_eq!(epochs(actor, "z"), [5, 2]);
    }
}

pub(crate) async fn scenario_10_two_epochs_of_one_name_are_summed_at_every_level(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    z.pings_for_good(5).await;
    x.pings_for_good(1).await;
    world.kill(z).await;
    let z = world.start("z", &Disk::default(), First::No).await;
    world.linked(&[&x, &y, &z]).await;
    z.votes().await;
    z.pings_for_good(2).await;
    all_know(&[&x, &y, &z], &[("x", 1), ("y", 0), ("z", 7)]).await;
    let sums = values(&[("x", 1), ("y", 0), ("z", 7)]);
    for actor in [&x, &y, &z] {
        assert_eq!(epochs(actor, "z"), [5, 2]);
        assert_eq!(actor.exercise.local().total, 8);
        let fresh = actor.soon("a read", actor.exercise.fresh(actor.patience)).await.expect("it is encoded");
        assert_eq!(fresh.values[&node("z")], FreshValue::AtLeast(7), "an epoch may be missing");
        assert_eq!((fresh.values[&node("x")], fresh.total), (FreshValue::Exact(1), 8));
        assert_eq!(actor.reads().await.unwrap().values(), sums);
        let snapshot = actor.soon("a snapshot", actor.exercise.snapshot(actor.patience)).await.unwrap();
        assert_eq!((snapshot.values(), snapshot.total()), (sums.clone(), 8));
    }
}

pub(crate) async fn scenario_27_a_restored_file_begins_a_new_epoch_when_others_have_seen_more(c: &Cluster) {
    let (world, files) = (World::new(c), Files::new());
    let x = world.start("x", &Disk::default(), First::Yes).await;
    let y = world.start("y", &Disk::default(), First::Yes).await;
    let z = files.start(&world, "z", First::Yes).await;
    world.linked(&[&x, &y, &z]).await;
    z.pings(3).await;
    world.kill(z).await;
    let old = fs::read(files.path("z")).unwrap();
    let z = files.start(&world, "z", First::No).await;
    z.pings(2).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 5)]).await;
    world.kill(z).await;
    fs::write(files.path("z"), &old).unwrap();
    let z = files.start(&world, "z", First::No).await;
    let begun = z.node.transport().node().incarnation;
    until_epoch_is(&z, begun).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 5)]).await;
    assert_eq!(z.pings(2).await, Pinged { slot: z.exercise.ledger().slot(), count: 2 });
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 7)]).await;
    z.votes().await;
    assert_eq!(z.reads_soon().await.value(&node("z")), 7);
    // Seen only when it has given numbers that others know already: it stops, and begins anew at its next start.
    world.kill(z).await;
    fs::write(files.path("z"), &old).unwrap();
    let places = [vec![x.node.place().clone(), y.node.place().clone()], vec!["z".into()]];
    c.harness().partition(&places).await;
    let z = files.start(&world, "z", First::No).await;
    assert_eq!(z.pings(1).await.count, 4, "nobody can know better");
    c.harness().heal_all().await;
    let stopped = z.soon("its end", z.exercise.stopped()).await;
    let Err(ExerciseError::Trouble(Trouble::StoreIsOlder { slot, count: 4, seen: 5 })) = stopped else {
        panic!("it goes on: {stopped:?}");
    };
    assert_eq!(slot, z.exercise.ledger().slot());
    world.kill(z).await;
    let z = files.start(&world, "z", First::No).await;
    until_epoch_is(&z, z.node.transport().node().incarnation).await;
    z.pings(1).await;
    // One number was given twice, and is one ping (CANNOT 7).
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 8)]).await;
    assert_eq!(epochs(&x, "z"), [5, 2, 1]);
}

async fn until_epoch_is(actor: &Actor, epoch: Incarnation) {
    let begun = async {
        let mut changes = actor.exercise.ledger().changes();
        while actor.exercise.ledger().identity().epoch != epoch {
            changes.changed().await.expect("the ledger is there");
        }
    };
    actor.soon("the new epoch", begun).await;
}

pub(crate) async fn scenario_34_the_last_number_is_given_and_none_after_it(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    let most = u128::from(u64::MAX);
    for actor in [&x, &y] {
        assert_eq!(actor.pings(u64::MAX - 1).await.count, u64::MAX - 1);
    }
    all_know(&[&x, &y, &z], &[("x", most - 1), ("y", most - 1), ("z", 0)]).await;
    for actor in [&x, &y] {
        assert_eq!(actor.pings_for_good(1).await.count, u64::MAX);
        let used_up = || Err(PingError::Refused(PingRefused::CountExhausted { count: u64::MAX, wanted: 1 }));
        assert_eq!(actor.soon("a ping", actor.exercise.ping(1)).await, used_up());
        assert_eq!(actor.soon("a ping", actor.exercise.ping_majority(1, actor.patience)).await, used_up());
        assert_eq!(actor.soon("a ping", actor.exercise.ping_queued(1)).await, used_up().map(|_: Pinged| ()));
    }
    assert_eq!(z.pings(1).await.count, 1, "the others go on");
    all_know(&[&x, &y, &z], &[("x", most), ("y", most), ("z", 1)]).await;
    for actor in [&x, &y, &z] {
        assert_eq!(actor.exercise.local().total, 2 * most + 1, "a total does not wrap");
        assert_eq!(actor.reads().await.unwrap().total(), 2 * most + 1);
    }
}
