//! What a majority acknowledges and answers, and what becomes of it when stores are lost.

use crate::actor::{First, World, XYZ, members, values};
use crate::disk::{Disk, Fault};
use pingpong_conformance::Place;
use pingpong_conformance::toolkit::{Cluster, node};
use pingpong_core::exercise::{PingError, ReadError, Standing, Unconfirmed};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) async fn scenario_14_a_minority_refuses_to_ping_and_counts_nothing(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    z.pings_for_good(2).await;
    for actor in [&x, &y, &z] {
        actor.knows(&[("x", 0), ("y", 0), ("z", 2)]).await;
    }
    world.cut_off(&z, &[&x, &y]).await;
    let refused = z.exercise.ping_majority(1, z.patience).await;
    assert_eq!(refused, Err(PingError::Unavailable { have: 1, need: 2 }));
    world.heal(&[&x, &y, &z]).await;
    assert_eq!(z.pings_for_good(1).await.count, 3, "the refused one was not numbered");
    for actor in [&x, &y, &z] {
        actor.knows(&[("x", 0), ("y", 0), ("z", 3)]).await;
    }
}

pub(crate) async fn scenario_15_a_ping_whose_quorum_is_lost_is_unconfirmed_and_confirmed_later(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    z.pings_for_good(1).await;
    // Both others are linked, and neither can store anything.
    for other in [&x, &y] {
        other.disk.fail(Some(Fault::HeldBefore));
    }
    let short = Duration::from_millis(300);
    let unconfirmed = z.soon("a ping", z.exercise.ping_majority(1, short)).await;
    let Err(PingError::Unconfirmed(Unconfirmed { pinged, have: 1, need: 2 })) = unconfirmed else {
        panic!("it was numbered, and a quorum has not got it: {unconfirmed:?}");
    };
    assert_eq!(pinged.count, 2);
    let again = z.soon("a confirmation", z.exercise.confirm(&pinged, short)).await;
    assert!(again.is_err(), "{again:?}");
    for other in [&x, &y] {
        other.disk.fail(None);
    }
    z.soon("a confirmation", z.exercise.confirm(&pinged, z.patience)).await.expect("the members store again");
    z.soon("a confirmation", z.exercise.confirm(&pinged, z.patience)).await.expect("as often as you like");
    assert_eq!(x.reads().await.unwrap().values(), values(&[("x", 0), ("y", 0), ("z", 2)]), "counted once");
}

pub(crate) async fn scenario_16_what_a_majority_acknowledged_any_two_of_three_have(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    for (round, out) in [&x, &y, &z].into_iter().enumerate() {
        y.pings_for_good(1).await;
        let others: Vec<_> = [&x, &y, &z].into_iter().filter(|actor| actor.node.name() != out.node.name()).collect();
        world.cut_off(out, &others).await;
        for actor in &others {
            let read = actor.reads().await.unwrap();
            assert_eq!(read.value(&node("y")), round as u128 + 1);
            let theirs = others.iter().map(|actor| actor.node.name().clone()).collect();
            assert_eq!((read.holders(), read.missing()), (&theirs, &[out.node.name().clone()].into()));
        }
        world.heal(&[&x, &y, &z]).await;
    }
}

pub(crate) async fn scenario_17_a_minority_refuses_to_read_at_once(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    x.pings_for_good(1).await;
    world.cut_off(&z, &[&x, &y]).await;
    let missing = XYZ[..2].iter().map(|name| node(name)).collect();
    let before = Instant::now();
    let long = Duration::from_secs(3_600);
    assert_eq!(z.exercise.majority(long).await, Err(ReadError::Unavailable { have: 1, need: 2, missing }));
    assert!(matches!(z.exercise.snapshot(long).await, Err(ReadError::Unavailable { .. })));
    assert!(before.elapsed() <= c.timing().at_once(), "without waiting: {:?}", before.elapsed());
    assert_eq!(x.reads().await.unwrap().total(), 1, "the other side answers");
}

/// The ping is on one disk alone; whoever reads it writes it back first.
pub(crate) async fn scenario_18_what_a_read_has_shown_no_later_read_lacks(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    for other in [&y, &z] {
        other.disk.fail(Some(Fault::HeldBefore));
    }
    x.pings(1).await;
    // While no other disk takes it, nobody is shown it.
    let held = x.exercise.majority(Duration::from_millis(300)).await;
    assert!(matches!(held, Err(ReadError::DeadlinePassed { .. })), "{held:?}");
    for other in [&y, &z] {
        other.disk.fail(None);
    }
    // Reads of all, at once and one after the other, in any order: none shows less than one that has ended before it began.
    let mut shown = 0;
    for reader in [&x, &y, &z, &y, &x, &z] {
        let total = reader.reads().await.unwrap().total();
        assert!(total >= shown, "{} shows {total}, and {shown} was shown before", reader.node.name());
        shown = total;
    }
    assert_eq!(shown, 1, "x has it, and answered first or second");
}

pub(crate) async fn scenario_19_a_lost_disk_and_one_other_member_are_no_majority(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    x.pings_for_good(3).await;
    world.kill(z).await;
    world.kill(y).await;
    let y = world.start("y", &Disk::default(), First::No).await;
    world.linked(&[&x, &y]).await;
    y.knows(&[("x", 3), ("y", 0), ("z", 0)]).await;
    for actor in [&x, &y] {
        let refused = actor.reads().await;
        let recovering = [node("y")].into();
        assert_eq!(refused, Err(ReadError::Recovering { active: 1, need: 2, recovering }), "{}", actor.node.name());
    }
    assert!(y.exercise.local().recovering);
    // With a second one that votes it recovers.
    let z = world.start("z", &Disk::default(), First::No).await;
    world.linked(&[&x, &y, &z]).await;
    assert!(matches!(x.reads().await, Err(ReadError::Recovering { .. })), "two of three have lost their disks");
}

/// P24. `w` pings and votes not. `z` alone has the ping, loses its disk, and recovers from two that have not; then `x` stores it. What `z` said
/// before must not count beside what `x` says: only `x` has the ping then.
pub(crate) async fn scenario_20_a_voice_from_before_a_loss_does_not_count(c: &Cluster) {
    let mut world = World::new(c);
    // Nobody passes on what it hears: the members are asked, and nothing else.
    world.settings.gossip_interval = Duration::from_secs(86_400);
    let [x, y, z] = world.first_start().await;
    for far in ["x", "y"] {
        c.harness().cut(&Place::from("w"), &Place::from(far)).await;
    }
    let w = world.start("w", &Disk::default(), First::Yes).await;
    w.node.events().until_linked(&[node("z")]).await;
    let unconfirmed = w.exercise.ping_majority(1, Duration::from_millis(1)).await;
    assert_eq!(unconfirmed, Err(PingError::Unavailable { have: 1, need: 2 }));
    let pinged = w.pings(1).await;
    z.knows(&[("w", 1), ("x", 0), ("y", 0), ("z", 0)]).await;
    let mut confirmed = Box::pin(w.exercise.confirm(&pinged, w.patience));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut confirmed).await.is_err(), "z alone has said so");
    world.kill(z).await;
    x.node.events().until_linked_only(&[node("y")]).await;
    w.node.events().until_linked_only(&[]).await;
    c.harness().cut(&Place::from("w"), &Place::from("z")).await;
    let z = world.start("z", &Disk::default(), First::No).await;
    z.votes().await;
    z.knows(&[("x", 0), ("y", 0), ("z", 0)]).await;
    c.harness().heal(&Place::from("w"), &Place::from("x")).await;
    x.knows(&[("w", 1), ("x", 0), ("y", 0), ("z", 0)]).await;
    assert!(tokio::time::timeout(Duration::from_millis(1_500), &mut confirmed).await.is_err(), "x alone has it");
    c.harness().heal(&Place::from("w"), &Place::from("z")).await;
    w.soon("the confirmation", confirmed).await.expect("z is asked again");
    let others = ["y", "z", "w"].map(Place::from).to_vec();
    c.harness().partition(&[vec![Place::from("x")], others]).await;
    y.node.events().until_linked_only(&[node("z")]).await;
    assert_eq!(y.reads().await.unwrap().value(&node("w")), 1, "those that remain have it");
}

pub(crate) async fn scenario_21_two_of_three_without_memory_wait_for_a_person(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    x.pings_for_good(3).await;
    for actor in [&x, &y, &z] {
        actor.knows(&[("x", 3), ("y", 0), ("z", 0)]).await;
    }
    for lost in [y, z] {
        world.kill(lost).await;
    }
    let y = world.start("y", &Disk::default(), First::No).await;
    let z = world.start("z", &Disk::default(), First::No).await;
    world.linked(&[&x, &y, &z]).await;
    y.pings(1).await;
    for actor in [&x, &y, &z] {
        actor.knows(&[("x", 3), ("y", 1), ("z", 0)]).await;
        assert!(matches!(actor.reads().await, Err(ReadError::Recovering { active: 1, need: 2, .. })));
    }
    let from = y.soon("the loss", y.exercise.accept_loss()).await.unwrap();
    assert_eq!(from, [node("x"), node("z")], "from these it took over what they have");
    for actor in [&x, &y, &z] {
        assert_eq!(actor.reads_soon().await.values(), values(&[("x", 3), ("y", 1), ("z", 0)]));
    }
    z.votes().await;
}

pub(crate) async fn scenario_22_a_second_first_start_recovers_instead(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    x.pings_for_good(3).await;
    world.kill(z).await;
    let z = world.start("z", &Disk::default(), First::Yes).await;
    world.linked(&[&x, &y, &z]).await;
    let replaced = async {
        let mut changes = z.exercise.ledger().changes();
        while z.exercise.ledger().identity().origin == pingpong_core::exercise::Origin::Init {
            let _ = tokio::time::timeout(Duration::from_millis(20), changes.changed()).await;
        }
    };
    z.soon("the others' word", replaced).await;
    z.votes().await;
    assert_eq!(z.exercise.ledger().identity().standing, Standing::Active);
    assert_eq!(z.reads().await.unwrap().total(), 3);
}

pub(crate) async fn scenario_23_other_members_are_refused_on_both_sides(c: &Cluster) {
    let world = World::new(c);
    let two = members("prod", &["x", "y"]);
    let x = world.start("x", &Disk::default(), First::Yes).await;
    let y = world.start_with("y", &Disk::default(), First::Yes, two.clone()).await;
    world.linked(&[&x, &y]).await;
    let (of_x, of_y) = (x.reads().await, y.reads().await);
    let Err(ReadError::ConfigMismatch { member, members, .. }) = of_x else { panic!("{of_x:?}") };
    assert_eq!((member, members), (node("y"), two.names().to_vec()));
    let Err(ReadError::ConfigMismatch { member, members, .. }) = of_y else { panic!("{of_y:?}") };
    assert_eq!((member, members), (node("x"), world.members.names().to_vec()));
}
