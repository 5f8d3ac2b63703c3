//! Clusters for development, on each transport of the build.

use pingpong_node::dev::{Cluster, DevError, Kind};
use pingpong_node::{DownReason, NodeChange, NodeName, Transport};
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

fn names(node: &dyn Transport) -> Vec<String> {
    node.list().iter().map(|node| node.name.to_string()).collect()
}

async fn next_change(events: &mut pingpong_node::NodeEvents) -> (String, NodeChange) {
    let event = timeout(PATIENCE, events.next()).await.expect("an event comes").expect("the node runs");
    (event.node.name.to_string(), event.change)
}

#[tokio::test]
async fn nodes_come_leave_and_come_again() {
    for kind in Kind::ALL {
        let mut cluster = Cluster::start_on(*kind, ["a", "b", "c"]).await.unwrap();
        assert_eq!(cluster.kind(), *kind);
        for (name, others) in [("a", ["b", "c"]), ("b", ["a", "c"]), ("c", ["a", "b"])] {
            assert_eq!(names(&**cluster.node(name).unwrap()), others, "{kind}: each is linked with each");
        }
        let mut events = cluster.node("a").unwrap().monitor();
        let ups = [next_change(&mut events).await, next_change(&mut events).await];
        assert!(ups.iter().all(|(_, change)| *change == NodeChange::Up), "{kind}: {ups:?}");
        let first = cluster.node("b").unwrap().node();
        assert!(cluster.stop("b").await.unwrap().flushed, "{kind}");
        let left = NodeChange::Down(DownReason::Left { flushed: true });
        assert_eq!(next_change(&mut events).await, ("b".to_owned(), left), "{kind}: it left");
        let second = cluster.add("b").await.unwrap().node();
        assert!(second > first, "{kind}: a new life of the name");
        assert_eq!(next_change(&mut events).await, ("b".to_owned(), NodeChange::Up), "{kind}");
        cluster.shutdown().await;
        while timeout(PATIENCE, events.next()).await.expect("the monitor ends with its node").is_some() {}
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named() {
    for kind in Kind::ALL {
        let mut cluster = Cluster::start_on(*kind, ["a"]).await.unwrap();
        let Err(absent) = cluster.node("b").map(|_| ()) else { panic!("there is no b") };
        assert_eq!(absent.to_string(), "no node named b runs in this cluster; these do: a");
        assert!(matches!(cluster.stop("b").await, Err(DevError::NoSuchNode { .. })));
        let taken = cluster.add("a").await.map(|_| ()).unwrap_err();
        assert!(matches!(&taken, DevError::Running(name) if *name == NodeName::new("a").unwrap()), "{taken}");
        assert!(matches!(cluster.add("A B").await.map(|_| ()), Err(DevError::Name(_))));
        let narrow = |config: &mut pingpong_node::MeshConfig| config.limits.max_peers = 0;
        let refused = Cluster::start_with(*kind, ["a"], narrow).await.map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("max_peers"), "{refused}");
    }
    let unknown = "pigeon".parse::<Kind>().unwrap_err().to_string();
    assert!(Kind::ALL.iter().all(|kind| unknown.contains(&kind.to_string())), "{unknown}");
}

#[cfg(feature = "mem")]
#[tokio::test(start_paused = true)]
async fn the_network_in_memory_can_be_cut_and_says_who_is_missing() {
    let cluster = Cluster::start_on(Kind::Mem, ["a", "b"]).await.unwrap();
    let network = cluster.network().expect("it is in memory");
    network.cut(cluster.address("a").unwrap(), cluster.address("b").unwrap());
    let mut events = cluster.node("a").unwrap().monitor();
    assert_eq!(next_change(&mut events).await, ("b".to_owned(), NodeChange::Up));
    assert_eq!(next_change(&mut events).await, ("b".to_owned(), NodeChange::Down(DownReason::Lost)));
    let missing = cluster.linked().await.unwrap_err();
    assert!(missing.to_string().starts_with("a is not linked with b;"), "{missing}");
    network.heal_all();
    cluster.linked().await.unwrap();
}
