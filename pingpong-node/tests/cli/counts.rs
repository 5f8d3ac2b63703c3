//! Stores of counts: made once, set aside, lost; and a person who accepts the loss.

use crate::cluster::{Cluster, Running};
use serde_json::{Value, json};

#[tokio::test]
async fn a_store_is_made_once_and_where_there_is_a_directory_for_it() {
    let cluster = Cluster::new(&["n1"]).await;
    cluster.configure("n1", "", "");
    let nowhere = cluster.run(&["init", "-c", "n1.toml"]).await;
    nowhere.fails(78, "none is configured: set data, or start the node with --init");
    cluster.configure("n1", "data = \"data\"", "");
    let made = cluster.run(&["init", "-c", "n1.toml"]).await.ok();
    assert_eq!(made.output(), "data/counts.redb is made: n1 may start\n");
    let before = std::fs::read(cluster.path().join("data/counts.redb")).unwrap();
    let again = cluster.run(&["init", "-c", "n1.toml"]).await;
    again.fails(
        78,
        "data/counts.redb exists already, and init makes a new store only; start the node on it, or move it",
    );
    assert_eq!(std::fs::read(cluster.path().join("data/counts.redb")).unwrap(), before);
    let run = cluster.run(&["run", "-c", "n1.toml", "--init"]).await;
    run.fails(78, "make its empty store with `pingpong-node init`, once, and start it without --init");
    let _one = cluster.start("n1").await;
    let store = cluster.ask("n1", &["status"]).await["store"].clone();
    assert_eq!((&store["first"], &store["slots"]), (&true.into(), &1.into()), "{store}");
}

#[tokio::test]
async fn a_store_is_set_aside_only_where_there_is_one_to_be_set_aside() {
    let cluster = Cluster::new(&["n1"]).await;
    cluster.configure("n1", "", "");
    let nothing = cluster.run(&["run", "-c", "n1.toml", "--forget-store"]).await;
    nothing.fails(
        78,
        "no data directory is configured, and each start begins with nothing; set data, or start it without",
    );
    cluster.run(&["run", "-c", "n1.toml", "--forget-store", "--init"]).await.fails(2, "cannot be used with");
    cluster.configure("n1", "data = \"data\"", "");
    cluster.run(&["init", "-c", "n1.toml"]).await.ok();
    let one = cluster.start("n1").await;
    cluster.ask("n1", &["ping", "5"]).await;
    let epoch = cluster.ask("n1", &["status"]).await["store"]["epoch"].clone();
    one.signal("-TERM").await;
    one.ended().await;
    let mut one = cluster.spawn(&["run", "-c", "n1.toml", "--forget-store"]);
    one.says("the counts are set aside: the node begins with none").await;
    one.says("ready").await;
    let store = cluster.ask("n1", &["status"]).await["store"].clone();
    assert!(store["epoch"].as_str() > epoch.as_str() && store["first"] == false, "{store} after {epoch}");
    assert_eq!(cluster.ask("n1", &["counts", "--read", "local"]).await["total"], 0);
    let files = std::fs::read_dir(cluster.path().join("data")).unwrap();
    let counts = files.filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().starts_with("counts.redb"));
    assert_eq!(counts.count(), 2, "the old one is kept");
}

/// It starts on an empty directory.
async fn lost(cluster: &Cluster, name: &str, running: Running) -> Running {
    running.signal("-KILL").await;
    running.ended().await;
    std::fs::remove_dir_all(cluster.path().join(format!("{name}.data"))).unwrap();
    let mut running = cluster.spawn(&["run", "-c", &format!("{name}.toml")]);
    running.says(" started ").await;
    running
}

#[tokio::test]
async fn a_majority_of_lost_stores_waits_for_a_person_who_accepts_the_loss() {
    let cluster = Cluster::new(&["n1", "n2", "n3"]).await;
    let [_one, two, three] = cluster.members("").await;
    cluster.asked("n1", &["ping", "4", "--ack", "majority"]).await.ok();
    let two = lost(&cluster, "n2", two).await;
    // The others give back what it has lost.
    let back = |status: &Value| status["links"] == 2 && status["store"]["recovering"] == false;
    cluster.until("n2", "status", back).await;
    assert_eq!(cluster.ask("n2", &["counts", "--read", "local"]).await["total"], 4);
    // Two at once: none of them can.
    for node in [&two, &three] {
        node.signal("-STOP").await;
    }
    let _both = [lost(&cluster, "n2", two).await, lost(&cluster, "n3", three).await];
    for name in ["n2", "n3"] {
        cluster.until(name, "status", |status| status["links"] == 2 && status["store"]["recovering"] == true).await;
    }
    let status = cluster.asked("n2", &["status"]).await.ok().output();
    assert!(status.contains("a member that recovers, and does not vote"), "{status}");
    let read = cluster.asked("n1", &["counts", "--read", "majority", "--deadline", "1h"]).await;
    read.fails(1, "1 of the 2 members that a majority needs vote; recovering: n2, n3; wait, or see `recover --help`");
    let local = cluster.ask("n2", &["counts", "--read", "local"]).await;
    assert_eq!(local["recovering"], true, "it may show less than before: {local}");
    let text = cluster.asked("n2", &["counts", "--read", "local"]).await.ok().output();
    assert!(text.contains("this node has lost its store, and has not recovered yet"), "{text}");

    cluster.asked("n2", &["recover"]).await.fails(2, "--accept-loss");
    let accepted = cluster.ask("n2", &["recover", "--accept-loss"]).await;
    assert_eq!(accepted, json!({ "accepted": ["n1", "n3"] }));
    // The rest recover from it, and everybody is asked again.
    cluster.until("n3", "status", |status| status["store"]["recovering"] == false).await;
    assert_eq!(cluster.ask("n3", &["counts", "--read", "majority"]).await["total"], 4);
    let text = cluster.asked("n2", &["recover", "--accept-loss"]).await.ok().output();
    assert_eq!(text, "it votes, with what it has and took over from n1, n3\n");
}

#[tokio::test]
async fn who_is_no_member_accepts_no_loss() {
    let cluster = Cluster::new(&["n1"]).await;
    cluster.configure("n1", "", "");
    let _one = cluster.start("n1").await;
    let refused = cluster.asked("n1", &["recover", "--accept-loss"]).await;
    refused.fails(1, "this node is no member, and never votes; say it to one that is");
}
