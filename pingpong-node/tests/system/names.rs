//! Two lives of one name: clocks that were set back, data that is lost, a name that runs twice.

use crate::lab::Lab;
use crate::node::{LONG, linked, within};
use pingpong_node::Incarnation;
use std::fs;
use std::time::{Duration, SystemTime};

/// A day ahead.
fn tomorrow() -> Incarnation {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(86_400);
    Incarnation::new(u64::try_from(now.as_millis()).unwrap(), 7)
}

/// What a data directory looks like after the clock was set back by a day: the last life began tomorrow. No clock is touched:
/// a process cannot have one of its own without preloaded libraries.
fn lived_tomorrow(lab: &Lab, name: &str) -> Incarnation {
    let (data, last) = (lab.path("data"), tomorrow());
    fs::create_dir(&data).unwrap();
    let kept = format!("format = 1\nnode = \"{name}\"\nincarnation = \"{last}\"\n");
    fs::write(data.join("incarnation.toml"), kept).unwrap();
    last
}

fn read(incarnation: &str) -> Incarnation {
    incarnation.parse().unwrap()
}

#[tokio::test]
async fn after_the_clock_was_set_back_the_store_keeps_a_restart_greater_than_the_last_life() {
    let lab = Lab::new();
    let last = lived_tomorrow(&lab, "n2");
    let one = lab.plan("n1");
    let plan = lab.plan("n2").seeded_by(one.listen).with("data", lab.path("data").display());
    let (one, mut two) = (one.start().await, plan.start().await);
    let [mut seen, _] = linked(&[&one, &two]).await.try_into().ok().unwrap();
    let mut before = read(&one.link("n2").await.incarnation);
    assert!(before > last, "{before} after {last}");
    for signal in ["TERM", "KILL"] {
        two.signal(signal).await;
        two.ended().await;
        assert_eq!(read(&seen.down("n2").await.0.incarnation), before);
        two = plan.start().await;
        let now = read(&seen.up("n2").await.incarnation);
        assert!(now > before, "{now} after {before}");
        assert!(!two.said().contains("a peer had seen a greater incarnation"), "{}", two.said());
        before = now;
    }
}

#[tokio::test]
async fn after_the_clock_was_set_back_and_the_disk_lost_the_peers_keep_a_restart_greater() {
    let lab = Lab::new();
    let last = lived_tomorrow(&lab, "n2");
    let one = lab.plan("n1");
    let plan = lab.plan("n2").seeded_by(one.listen).with("data", lab.path("data").display());
    let (one, two) = (one.start().await, plan.start().await);
    let [mut seen, _] = linked(&[&one, &two]).await.try_into().ok().unwrap();
    two.killed().await;
    assert!(read(&seen.down("n2").await.0.incarnation) > last);
    fs::remove_dir_all(lab.path("data")).unwrap();
    let two = plan.start().await;
    let up = read(&seen.up("n2").await.incarnation);
    assert!(up > last, "{up} after {last}");
    two.says("a peer had seen a greater incarnation of this name: took one above it").await;
    linked(&[&one, &two]).await;
    let now = two.status().await.incarnation;
    assert_eq!(read(&now), up);
    let kept = fs::read_to_string(lab.path("data").join("incarnation.toml")).unwrap();
    assert!(kept.contains(&now), "it is stored: {kept}");
}

/// S3: the greater incarnation goes on, and the other one says where it is, with a code that no service manager restarts on.
#[tokio::test]
async fn of_a_name_that_runs_twice_the_older_process_ends_with_78() {
    let lab = Lab::new();
    let one = lab.plan("n1");
    let plan = lab.plan("n2").seeded_by(one.listen);
    let mut twin = lab.plan("n2").seeded_by(one.listen);
    twin.socket = lab.path("twin.sock");
    let (one, older) = (one.start().await, plan.start().await);
    let [mut seen, _] = linked(&[&one, &older]).await.try_into().ok().unwrap();
    let old = older.status().await.incarnation;
    let newer = twin.start().await;
    let (code, log) = older.ended().await;
    assert_eq!(code, Some(78), "{log}");
    let winner = newer.status().await.incarnation;
    let last = log.lines().last().unwrap();
    assert!(last.contains(&winner) && last.contains(&twin.listen.to_string()), "it says who, and where: {last}");
    assert_eq!(seen.down("n2").await.0.incarnation, old);
    assert_eq!(seen.up("n2").await.incarnation, winner);
    within(LONG, "the winner is linked", linked(&[&one, &newer])).await;
    assert_eq!(one.link("n2").await.address, twin.listen.to_string());
    assert!(!plan.socket.exists(), "nothing is left behind");
    // Started again by a person who did not read it, the loser is the newer one: it takes the name, and never do both end.
    let again = plan.start().await;
    let (code, log) = newer.ended().await;
    assert_eq!(code, Some(78), "{log}");
    linked(&[&one, &again]).await;
}

/// S1: nothing is half started, and who has the port is not disturbed.
#[tokio::test]
async fn a_port_that_is_taken_is_refused_and_its_owner_goes_on() {
    let lab = Lab::new();
    let one = lab.plan("n1");
    let two = lab.plan("n2").seeded_by(one.listen);
    let mut third = lab.plan("n3").with("data", lab.path("data").display());
    third.listen = two.listen;
    let (one, two) = (one.start().await, two.start().await);
    linked(&[&one, &two]).await;
    let session = one.link("n2").await.session;
    let (code, log) = third.spawn().ended().await;
    assert_eq!(code, Some(78), "{log}");
    let words =
        format!("{} is in use (UDP); stop the process that listens there, or listen at another port", third.listen);
    assert!(log.contains(&words), "{log}");
    assert!(!third.socket.exists(), "no socket is left behind");
    one.ping(2).await;
    one.all_count(&["n1", "n2"], &[("n1", 2), ("n2", 0)]).await;
    assert_eq!((one.link("n2").await.session, two.links().await.len()), (session, 1));
    // The data directory is free again.
    let free =
        lab.plan("n3").with("data", lab.path("data").display()).seeded_by(one.status().await.listen.parse().unwrap());
    let free = free.start().await;
    linked(&[&one, &free]).await;
}
