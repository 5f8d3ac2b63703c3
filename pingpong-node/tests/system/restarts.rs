//! Nodes that crash, and come back: at once, later, and as the last of all.

use crate::lab::Lab;
use crate::node::{NOTICED, linked, session, within};
use std::time::Instant;

#[tokio::test]
async fn a_node_that_is_killed_is_noticed_and_its_pings_are_kept() {
    let lab = Lab::new();
    let one = lab.plan("n1");
    let (one, two) = (one.start().await, lab.plan("n2").seeded_by(one.listen));
    let first = two.start().await;
    let [mut seen, _] = linked(&[&one, &first]).await.try_into().ok().unwrap();
    let (old, age) = (one.link("n2").await, Instant::now());
    first.ping(7).await;
    one.all_count(&["n1", "n2"], &[("n1", 0), ("n2", 7)]).await;
    let age = age.elapsed().as_millis() + u128::from(old.age_ms);
    let killed = Instant::now();
    first.killed().await;
    let (down, reason) = seen.down("n2").await;
    println!("a link of {age} ms: kill -9 is noticed after {:?}", killed.elapsed());
    assert_eq!((reason.as_str(), &down.incarnation), ("lost", &old.incarnation));
    assert_eq!(one.links().await, []);
    one.ping(3).await;
    one.all_count(&["n1"], &[("n1", 3), ("n2", 7)]).await;

    let second = two.start().await;
    let up = seen.up("n2").await;
    assert!(up.incarnation > old.incarnation, "{up:?}");
    linked(&[&one, &second]).await;
    second.ping(1).await;
    second.all_count(&["n1", "n2"], &[("n1", 3), ("n2", 8)]).await;
}

/// M3: also where nobody has noticed that it was gone.
#[tokio::test]
async fn a_restart_at_once_is_seen_as_down_of_the_old_life_and_up_of_the_new_one() {
    let lab = Lab::new();
    let one = lab.plan("n1");
    let two = lab.plan("n2").seeded_by(one.listen);
    let (one, mut running) = (one.start().await, two.start().await);
    let [mut seen, _] = linked(&[&one, &running]).await.try_into().ok().unwrap();
    for _ in 0..3 {
        let old = one.link("n2").await;
        let killed = Instant::now();
        running.killed().await;
        running = two.start().await;
        let (down, reason) = seen.down("n2").await;
        assert_eq!(down.incarnation, old.incarnation);
        assert!(["lost", "replaced by a newer incarnation"].contains(&reason.as_str()), "{reason}");
        let up = seen.up("n2").await;
        println!("a restart at once is over after {:?}: {reason}", killed.elapsed());
        assert!(up.incarnation > old.incarnation && up.incarnation == running.status().await.incarnation, "{up:?}");
        linked(&[&one, &running]).await;
        assert_ne!(session(&one, &running).await, old.session);
    }
}

/// Nobody who runs knows the other: they meet through the seed alone.
#[tokio::test]
async fn a_seed_that_is_started_last_brings_the_others_together() {
    let lab = Lab::new();
    let seed = lab.plan("n1");
    let two = lab.plan("n2").seeded_by(seed.listen).with("min-links", 2);
    let three = lab.plan("n3").seeded_by(seed.listen).with("min-links", 2);
    let before = [seed.start().await, two.start().await, three.start().await];
    linked(&[&before[0], &before[1], &before[2]]).await;
    for node in before {
        node.killed().await;
    }
    let (two, three) = (two.start().await, three.start().await);
    for lonely in [&two, &three] {
        let status = lonely.status().await;
        assert_eq!((status.links, status.ready), (0, false), "{status:?}");
    }
    let seed = seed.start().await;
    linked(&[&seed, &two, &three]).await;
    for node in [&two, &three] {
        within(NOTICED, "it is ready", node.says(" ready")).await;
    }
    two.ping(5).await;
    three.all_count(&["n1", "n2", "n3"], &[("n1", 0), ("n2", 5), ("n3", 0)]).await;
}
