//! What is lost, and what is not: the rows of the table of losses that the scenarios leave out.

use crate::actor::{Actor, First, World, XYZ, all_know, epochs, values};
use crate::disk::{Disk, Fault};
use crate::files::Files;
use pingpong_conformance::toolkit::{Cluster, node};
use pingpong_core::exercise::{ExerciseError, MemoryStore, PingError, ReadError, Trouble, Unconfirmed};
use std::time::Duration;

/// The members on their files, linked all with all.
async fn on_files(world: &World<'_>, files: &Files, first: First) -> [Actor; 3] {
    let mut actors = Vec::new();
    for name in XYZ {
        actors.push(files.start(world, name, first).await);
    }
    let actors: [Actor; 3] = actors.try_into().unwrap_or_else(|_| unreachable!("one of each"));
    world.linked(&actors.each_ref()).await;
    actors
}

/// A node that keeps nothing over its end.
async fn forgetful(world: &World<'_>, name: &str, first: First) -> Actor {
    let node = world.boot(name).await;
    let exercise = world.play(&node, MemoryStore, first, world.members.clone()).await;
    world.actor(node, exercise, &Disk::default())
}

/// The members in memory, linked all with all.
async fn in_memory(world: &World<'_>, first: First) -> [Actor; 3] {
    let mut actors = Vec::new();
    for name in XYZ {
        actors.push(forgetful(world, name, first).await);
    }
    let actors: [Actor; 3] = actors.try_into().unwrap_or_else(|_| unreachable!("one of each"));
    world.linked(&actors.each_ref()).await;
    actors
}

/// None of them answers for a majority: too few vote.
async fn refuse(actors: &[&Actor]) {
    for actor in actors {
        let refused = actor.reads().await;
        assert!(matches!(refused, Err(ReadError::Recovering { need: 2, .. })), "{}: {refused:?}", actor.node.name());
    }
}

/// What the larger side acknowledged at `majority`, and the smaller one at `local`, is there after a stop of all of them.
pub(crate) async fn all_stop_and_keep_their_files_and_nothing_is_lost(c: &Cluster) {
    let (world, files) = (World::new(c), Files::new());
    let [x, y, z] = on_files(&world, &files, First::Yes).await;
    for actor in [&x, &y, &z] {
        actor.votes().await;
    }
    world.cut_off(&z, &[&x, &y]).await;
    z.pings(3).await;
    x.pings_for_good(2).await;
    all_know(&[&x, &y], &[("x", 2), ("y", 0), ("z", 0)]).await;
    for actor in [x, y, z] {
        world.kill(actor).await;
    }
    c.harness().heal_all().await;
    let [x, y, z] = on_files(&world, &files, First::No).await;
    all_know(&[&x, &y, &z], &[("x", 2), ("y", 0), ("z", 3)]).await;
    for actor in [&x, &y, &z] {
        assert!(!actor.exercise.local().recovering, "it has lost nothing");
        assert_eq!(actor.reads().await.unwrap().values(), values(&[("x", 2), ("y", 0), ("z", 3)]), "they vote at once");
        assert_eq!((epochs(actor, "x"), epochs(actor, "z")), (vec![2], vec![3]), "in the slots that they had");
    }
    assert_eq!(z.pings_for_good(1).await.count, 4);
}

/// CANNOT 6. Three of three have forgotten what they said: none helps another, however long they wait.
pub(crate) async fn all_stop_in_memory_and_refuse_until_a_person_accepts_the_loss(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = in_memory(&world, First::Yes).await;
    for actor in [&x, &y, &z] {
        actor.votes().await;
    }
    x.pings_for_good(3).await;
    all_know(&[&x, &y, &z], &[("x", 3), ("y", 0), ("z", 0)]).await;
    for actor in [x, y, z] {
        world.kill(actor).await;
    }
    let [x, y, z] = in_memory(&world, First::No).await;
    assert_eq!(z.pings(1).await.count, 1, "at `local` they go on, in new slots");
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 1)]).await;
    // Time for them to talk each other into it.
    c.hold(c.t() * 2).await;
    refuse(&[&x, &y, &z]).await;
    assert!([&x, &y, &z].iter().all(|actor| actor.exercise.local().recovering));
    let unconfirmed = y.soon("a ping", y.exercise.ping_majority(1, Duration::from_millis(300))).await;
    let Err(PingError::Unconfirmed(Unconfirmed { pinged, have: 0, need: 2 })) = unconfirmed else {
        panic!("nobody may hold it: {unconfirmed:?}");
    };
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 1), ("z", 1)]).await;
    // One that votes is no majority, and not enough for another one to recover from.
    assert_eq!(x.soon("the loss", x.exercise.accept_loss()).await.unwrap(), [node("y"), node("z")]);
    c.hold(c.t() * 2).await;
    refuse(&[&x, &y, &z]).await;
    assert_eq!(y.soon("the loss", y.exercise.accept_loss()).await.unwrap(), [node("x"), node("z")]);
    z.votes().await;
    y.soon("a confirmation", y.exercise.confirm(&pinged, y.patience)).await.expect("they vote");
    for actor in [&x, &y, &z] {
        assert_eq!(actor.reads_soon().await.values(), values(&[("x", 0), ("y", 1), ("z", 1)]), "the three are gone");
    }
}

/// Two of three disks are lost at once, while the third member is cut off and has not seen the last pings.
pub(crate) async fn a_quorum_of_lost_disks_takes_what_only_they_had(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    y.pings_for_good(3).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 3), ("z", 0)]).await;
    world.cut_off(&x, &[&y, &z]).await;
    assert_eq!(y.pings_for_good(4).await.count, 7);
    for lost in [y, z] {
        world.kill(lost).await;
    }
    let y = world.start("y", &Disk::default(), First::No).await;
    let z = world.start("z", &Disk::default(), First::No).await;
    world.heal(&[&x, &y, &z]).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 3), ("z", 0)]).await;
    // The survivor has votes and counts, and must not answer: it cannot know that it has all.
    refuse(&[&x, &y, &z]).await;
    assert_eq!(z.soon("the loss", z.exercise.accept_loss()).await.unwrap(), [node("x"), node("y")]);
    y.votes().await;
    for actor in [&x, &y, &z] {
        assert_eq!(actor.reads_soon().await.values(), values(&[("x", 0), ("y", 3), ("z", 0)]), "four are gone");
        assert_eq!(epochs(actor, "y"), [3, 0]);
    }
    assert_eq!(y.pings_for_good(1).await.count, 1, "in the new slot");
}

/// All are killed together. What the others had heard, and not stored, went with the producer's disk; what one of them had stored did not.
pub(crate) async fn a_lost_disk_takes_what_nobody_else_has_stored(c: &Cluster) {
    let world = World::new(c);
    let [mut x, mut y, mut z] = world.first_start().await;
    z.pings_for_good(2).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 2)]).await;
    let mut kept = 2;
    for x_stores_it in [false, true] {
        let held = if x_stores_it { vec![&y] } else { vec![&x, &y] };
        let mut heard = Vec::new();
        for other in held {
            other.disk.fail(Some(Fault::HeldBefore));
            let mut commits = other.disk.commits();
            commits.mark_unchanged();
            heard.push((other, commits));
        }
        z.pings(2).await;
        for (other, mut commits) in heard {
            other.soon("the commit", commits.changed()).await.expect("the disk is there");
        }
        if x_stores_it {
            kept += 2;
            x.knows(&[("x", 0), ("y", 0), ("z", kept)]).await;
        }
        world.kill(z).await;
        let (of_x, of_y) = (world.kill(x).await, world.kill(y).await);
        of_x.fail(None);
        of_y.fail(None);
        z = world.start("z", &Disk::default(), First::No).await;
        x = world.start("x", &of_x, First::No).await;
        y = world.start("y", &of_y, First::No).await;
        world.linked(&[&x, &y, &z]).await;
        all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", kept)]).await;
        z.votes().await;
        assert_eq!(z.reads().await.unwrap().value(&node("z")), kept, "what a majority acknowledged is there each time");
    }
    assert_eq!(epochs(&x, "z"), [2, 2, 0]);
}

/// Alone on its side: what it pinged there is nowhere else.
pub(crate) async fn a_disk_lost_during_a_partition_takes_what_its_side_alone_had(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    z.pings_for_good(2).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 2)]).await;
    world.cut_off(&z, &[&x, &y]).await;
    assert_eq!(z.pings(3).await.count, 5);
    world.kill(z).await;
    let z = world.start("z", &Disk::default(), First::No).await;
    z.pings(1).await;
    z.knows(&[("z", 1)]).await;
    world.heal(&[&x, &y, &z]).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 3)]).await;
    for actor in [&x, &y, &z] {
        assert_eq!(epochs(actor, "z"), [2, 1], "three are gone, and no number of theirs was given again");
    }
}

/// Twice: it comes back within the partition, and only after it.
pub(crate) async fn a_producer_killed_during_a_partition_has_lost_nothing_on_its_file(c: &Cluster) {
    let (world, files) = (World::new(c), Files::new());
    let x = world.start("x", &Disk::default(), First::Yes).await;
    let y = world.start("y", &Disk::default(), First::Yes).await;
    let z = files.start(&world, "z", First::Yes).await;
    world.linked(&[&x, &y, &z]).await;
    z.votes().await;
    z.pings_for_good(2).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 2)]).await;
    world.cut_off(&z, &[&x, &y]).await;
    z.pings(3).await;
    world.kill(z).await;
    let z = files.start(&world, "z", First::No).await;
    assert_eq!(epochs(&z, "z"), [5]);
    assert_eq!(z.pings(1).await.count, 6, "it goes on where it was");
    all_know(&[&x, &y], &[("x", 0), ("y", 0), ("z", 2)]).await;
    world.kill(z).await;
    c.harness().heal_all().await;
    let z = files.start(&world, "z", First::No).await;
    world.linked(&[&x, &y, &z]).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 6)]).await;
    for actor in [&x, &y, &z] {
        assert_eq!(epochs(actor, "z"), [6]);
        assert_eq!(actor.reads().await.unwrap().value(&node("z")), 6);
    }
}

/// With `x` on its side, and then alone: what `x` has seen outlives it, and what it acknowledged with `x` is in every later answer.
pub(crate) async fn a_producer_killed_in_memory_during_a_partition_has_lost_what_its_side_has_not_seen(c: &Cluster) {
    let world = World::new(c);
    let x = world.start("x", &Disk::default(), First::Yes).await;
    let y = world.start("y", &Disk::default(), First::Yes).await;
    let z = forgetful(&world, "z", First::Yes).await;
    world.linked(&[&x, &y, &z]).await;
    for actor in [&x, &y, &z] {
        actor.votes().await;
    }
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 0)]).await;
    world.split(&[&[&y], &[&x, &z]]).await;
    z.pings_for_good(2).await;
    z.pings(1).await;
    x.knows(&[("x", 0), ("y", 0), ("z", 3)]).await;
    c.harness().cut(&"x".into(), &"z".into()).await;
    z.node.events().until_linked_only(&[]).await;
    assert_eq!(z.pings(4).await.count, 7);
    world.kill(z).await;
    c.harness().heal(&"x".into(), &"z".into()).await;
    let z = forgetful(&world, "z", First::No).await;
    world.linked(&[&x, &z]).await;
    all_know(&[&x, &z], &[("x", 0), ("y", 0), ("z", 3)]).await;
    // `y` may have helped to acknowledge what `z` has forgotten, and is not here.
    refuse(&[&x, &z]).await;
    world.heal(&[&x, &y, &z]).await;
    z.votes().await;
    for actor in [&x, &y, &z] {
        assert_eq!(actor.reads().await.unwrap().value(&node("z")), 3);
    }
    assert_eq!(epochs(&z, "z"), [3, 0]);
}

/// The power is gone, and the disk has what it really wrote: all that it said since then was a lie.
async fn loses_power(world: &World<'_>, actor: Actor, written: &Disk) {
    let disk = world.kill(actor).await;
    disk.put(written.kept());
}

/// What is on a disk now, whatever it says later.
fn written(disk: &Disk) -> Disk {
    let written = Disk::default();
    written.put(disk.kept());
    written
}

/// CANNOT 7. What nobody else has is lost whole. What others have, and cannot say, costs the numbers that are given twice: as many as were given
/// again, or as were forgotten, whichever is less.
pub(crate) async fn a_disk_that_lied_loses_what_nobody_has_and_numbers_that_it_gives_twice(c: &Cluster) {
    let world = World::new(c);
    let [x, y, mut z] = world.first_start().await;
    let disk = z.disk.clone();
    z.pings(2).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 2)]).await;
    // Three that nobody has seen.
    let lied = written(&disk);
    world.cut_off(&z, &[&x, &y]).await;
    assert_eq!(z.pings(3).await.count, 5);
    loses_power(&world, z, &lied).await;
    z = world.start("z", &disk, First::No).await;
    world.heal(&[&x, &y, &z]).await;
    assert_eq!(z.pings(1).await.count, 3, "nobody can know better");
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 3)]).await;
    // Four that all have seen, and one again: that one is lost, and noticed.
    let lied = written(&disk);
    z.pings(4).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 7)]).await;
    world.cut_off(&z, &[&x, &y]).await;
    loses_power(&world, z, &lied).await;
    z = world.start("z", &disk, First::No).await;
    assert_eq!(z.pings(1).await.count, 4);
    c.harness().heal_all().await;
    let stopped = z.soon("its end", z.exercise.stopped()).await;
    let is_noticed = matches!(stopped, Err(ExerciseError::Trouble(Trouble::StoreIsOlder { count: 4, seen: 7, .. })));
    assert!(is_noticed, "it goes on: {stopped:?}");
    world.kill(z).await;
    z = world.start("z", &disk, First::No).await;
    world.linked(&[&x, &y, &z]).await;
    z.votes().await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 7)]).await;
    // Two that all have seen, and three again: two are lost, and nobody notices.
    let lied = written(&disk);
    assert_eq!(z.pings(2).await.count, 2, "in the new slot");
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 9)]).await;
    world.cut_off(&z, &[&x, &y]).await;
    loses_power(&world, z, &lied).await;
    z = world.start("z", &disk, First::No).await;
    assert_eq!(z.pings(3).await.count, 3);
    world.heal(&[&x, &y, &z]).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 10)]).await;
    assert_eq!(z.pings(1).await.count, 4, "it goes on");
}

/// CANNOT 7. The disk of a member lied about what it said to hold. Back on it the member votes, and a majority answers less than was
/// acknowledged; where the disk is not trusted, and set aside, the member waits for one that knows.
pub(crate) async fn a_member_whose_disk_lied_votes_without_what_it_held_unless_the_disk_is_set_aside(c: &Cluster) {
    let world = World::new(c);
    let [x, y, mut z] = world.first_start().await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 0)]).await;
    let (disk, lied) = (z.disk.clone(), written(&z.disk));
    world.cut_off(&x, &[&y, &z]).await;
    y.pings_for_good(3).await;
    let of_y = world.kill(y).await;
    loses_power(&world, z, &lied).await;
    c.harness().heal_all().await;
    z = world.start("z", &disk, First::No).await;
    world.linked(&[&x, &z]).await;
    for actor in [&x, &z] {
        assert_eq!(actor.reads().await.unwrap().value(&node("y")), 0, "three were acknowledged, and nobody here knows");
    }
    world.kill(z).await;
    z = world.start("z", &Disk::default(), First::No).await;
    world.linked(&[&x, &z]).await;
    refuse(&[&x, &z]).await;
    // The other disk that held them did not lie.
    let y = world.start("y", &of_y, First::No).await;
    world.linked(&[&x, &y, &z]).await;
    z.votes().await;
    for actor in [&x, &y, &z] {
        assert_eq!(actor.reads().await.unwrap().value(&node("y")), 3);
    }
}

/// P17. Both have lost what they showed, and nobody who has it is linked. The member says so until it has recovered; `w` takes no part in that,
/// and only whom it has heard of tells how little it may know.
pub(crate) async fn a_member_says_that_it_has_lost_its_store_and_who_does_not_vote_cannot(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    let w = world.start("w", &Disk::default(), First::Yes).await;
    w.node.events().until_linked(&XYZ.map(node)).await;
    x.pings_for_good(3).await;
    all_know(&[&w, &x, &y, &z], &[("w", 0), ("x", 3), ("y", 0), ("z", 0)]).await;
    world.kill(w).await;
    world.kill(z).await;
    let places = [vec!["w".into()], vec!["z".into()], vec![x.node.place().clone(), y.node.place().clone()]];
    c.harness().partition(&places).await;
    let w = world.start("w", &Disk::default(), First::No).await;
    let z = world.start("z", &Disk::default(), First::No).await;
    let (of_w, of_z) = (w.exercise.local(), z.exercise.local());
    assert_eq!((of_w.values, of_z.values), (values(&[("w", 0)]), values(&[("z", 0)])), "less than before");
    assert_eq!((of_w.recovering, of_z.recovering), (false, true));
    assert!(of_w.contact.is_empty(), "in this life it has heard of nobody: {:?}", of_w.contact);
    c.harness().heal_all().await;
    all_know(&[&w, &z], &[("w", 0), ("x", 3), ("y", 0), ("z", 0)]).await;
    z.votes().await;
    // What x pinged may have come by z before.
    w.node.events().until_linked(&[node("x")]).await;
    let (of_w, of_z) = (w.exercise.local(), z.exercise.local());
    assert!(!of_z.recovering && of_w.contact.contains_key(&node("x")), "{of_z:?}, {of_w:?}");
}
