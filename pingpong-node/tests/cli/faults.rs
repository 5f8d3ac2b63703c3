//! `partition` and `heal`, which only a build with the feature `faults` has.

use crate::cluster::Cluster;
#[cfg(feature = "faults")]
use crate::{cluster::soon, operate::Lines};

#[cfg(feature = "faults")]
#[tokio::test]
async fn a_link_is_cut_silently_and_comes_back_after_the_heal() {
    let cluster = Cluster::new(&["n1", "n2"]).await;
    let (mut one, _two) = cluster.pair().await;
    one.says("this build can cut off nodes by command").await;
    let mut watches = [Lines::watch(&cluster, "n1").await, Lines::watch(&cluster, "n2").await];
    for watch in &mut watches {
        assert_eq!(watch.next().await["event"]["up"], true);
    }
    for _ in 0..2 {
        let cut = cluster.asked("n1", &["partition", "n2"]).await.ok();
        assert!(cut.errors().contains("warning: nothing comes from n2"), "{cut:?}");
        for watch in &mut watches {
            assert_eq!(watch.next().await["event"]["reason"], "lost");
        }
        cluster.asked("n1", &["partition", "n2"]).await.fails(1, "there is no link with n2 that could be cut");
        cluster.asked("n1", &["heal", "n2"]).await.ok();
        for watch in &mut watches {
            assert_eq!(soon("it comes back", watch.next()).await["event"]["up"], true);
        }
    }
    cluster.asked("n1", &["heal", "n2"]).await.fails(1, "n2 is not cut off");
    one.says("a node is cut off by command").await;
}

#[cfg(not(feature = "faults"))]
#[tokio::test]
async fn a_default_build_cannot_be_told_to_cut_links() {
    let cluster = Cluster::new(&["n1"]).await;
    cluster.configure("n1", "", "");
    let _one = cluster.start("n1").await;
    for command in ["partition", "heal"] {
        cluster.asked("n1", &[command, "n2"]).await.fails(2, "unrecognized subcommand");
        let path = cluster.path().join("n1.sock");
        let answer = crate::operate::ask(&path, &format!("{{\"{command}\":{{\"node\":\"n2\"}}}}\n")).await;
        assert_eq!(answer["failed"]["kind"], "request", "{answer}");
    }
}
