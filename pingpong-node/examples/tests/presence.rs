//! Who must be seen, and who must not, on each transport of the build.

use super::*;
use pingpong_node::dev::{Cluster, Kind};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

struct Site {
    cluster: Cluster,
    presences: BTreeMap<&'static str, (Arc<Presence>, ServerHandle)>,
}

impl Site {
    async fn new<const N: usize>(kind: Kind, names: [&'static str; N]) -> Self {
        Self::on(Cluster::start_on(kind, names).await.unwrap(), names)
    }

    fn on<const N: usize>(cluster: Cluster, names: [&'static str; N]) -> Self {
        let mut site = Self { cluster, presences: BTreeMap::new() };
        names.into_iter().for_each(|name| site.open(name));
        site
    }

    fn open(&mut self, name: &'static str) {
        self.presences.insert(name, Presence::start(self.cluster.node(name).unwrap()).unwrap());
    }

    fn connect(&self, name: &str, user: &str) -> Connected {
        self.presences[name].0.connect(user)
    }

    /// Until each node sees exactly this: who is online where.
    async fn until<const N: usize>(&self, expected: [(&str, &[&str]); N]) {
        let expected: BTreeMap<_, Users> = expected
            .into_iter()
            .map(|(name, users)| (NodeName::new(name).unwrap(), users.iter().map(|user| (*user).to_owned()).collect()))
            .collect();
        for (name, (presence, _)) in &self.presences {
            let mut everywhere = presence.everywhere.subscribe();
            let seen = timeout(PATIENCE, everywhere.wait_for(|seen| *seen == expected)).await;
            assert!(seen.is_ok(), "{name} sees {:?}, not {expected:?}", presence.everywhere.borrow());
        }
    }
}

#[tokio::test]
async fn every_node_sees_who_comes_and_who_goes() {
    for kind in Kind::ALL {
        let mut site = Site::new(*kind, ["a", "b"]).await;
        let (ann, _again, bob) = (site.connect("a", "ann"), site.connect("a", "ann"), site.connect("b", "bob"));
        site.until([("a", &["ann"]), ("b", &["bob"])]).await;
        let _elsewhere = site.connect("b", "ann");
        site.until([("a", &["ann"]), ("b", &["ann", "bob"])]).await;
        assert_eq!(site.presences["b"].0.find("ann").len(), 2);
        // Of two connections one is left.
        drop((ann, bob));
        site.until([("a", &["ann"]), ("b", &["ann"])]).await;
        site.cluster.add("late").await.unwrap();
        site.open("late");
        site.until([("a", &["ann"]), ("b", &["ann"]), ("late", &[])]).await;
    }
}

#[tokio::test]
async fn whose_node_went_is_offline_until_it_is_back() {
    for kind in Kind::ALL {
        let mut site = Site::new(*kind, ["a", "b", "c"]).await;
        let (_ann, _bob) = (site.connect("a", "ann"), site.connect("b", "bob"));
        site.until([("a", &["ann"]), ("b", &["bob"]), ("c", &[])]).await;
        site.presences.remove("b");
        site.cluster.stop("b").await.unwrap();
        site.until([("a", &["ann"]), ("c", &[])]).await;
        site.cluster.add("b").await.unwrap();
        site.open("b");
        site.until([("a", &["ann"]), ("b", &[]), ("c", &[])]).await;
        // A link that is reset: each tells the other everything again.
        site.cluster.node("a").unwrap().disconnect(&NodeName::new("b").unwrap()).await;
        let _eve = site.connect("b", "eve");
        site.until([("a", &["ann"]), ("b", &["eve"]), ("c", &[])]).await;
    }
}

#[tokio::test]
async fn a_server_that_crashed_tells_and_is_told_everything_again() {
    for kind in Kind::ALL {
        let site = Site::new(*kind, ["a", "b"]).await;
        let (ann, _bob) = (site.connect("a", "ann"), site.connect("b", "bob"));
        site.until([("a", &["ann"]), ("b", &["bob"])]).await;
        drop(ann);
        let _eve = site.connect("a", "eve");
        site.presences["a"].1.crash().await;
        site.until([("a", &["eve"]), ("b", &["bob"])]).await;
        site.presences["b"].1.crash().await;
        site.until([("a", &["eve"]), ("b", &["bob"])]).await;
    }
}

/// The link is stalled for less than the failure timeout, and takes more changes than its queues do.
#[cfg(feature = "mem")]
#[tokio::test(start_paused = true)]
async fn a_peer_whose_queue_was_full_is_told_everything_once_more() {
    let small = |config: &mut pingpong_node::MeshConfig| config.limits.queue_bytes = 4 << 10;
    let cluster = Cluster::start_with(Kind::Mem, ["a", "b"], small).await.unwrap();
    let site = Site::on(cluster, ["a", "b"]);
    let _bob = site.connect("b", "bob");
    site.until([("a", &[]), ("b", &["bob"])]).await;
    let mut events = site.cluster.node("a").unwrap().monitor();
    assert!(events.next().await.unwrap().is_up());
    let (network, at) = (site.cluster.network().unwrap(), |name| site.cluster.address(name).unwrap());
    network.cut(at("a"), at("b"));
    let mut seen = site.presences["a"].0.everywhere.subscribe();
    for user in 0..300 {
        let user = format!("{user}-{}", "x".repeat(8_000));
        let connected = site.connect("a", &user);
        timeout(PATIENCE, seen.wait_for(|seen| seen.values().any(|users| users.contains(&user))))
            .await
            .unwrap()
            .unwrap();
        drop(connected);
    }
    let _ann = site.connect("a", "ann");
    network.heal(at("a"), at("b"));
    site.until([("a", &["ann"]), ("b", &["bob"])]).await;
    site.cluster.shutdown().await;
    let next = events.next().await.unwrap();
    assert!(
        matches!(next.change, pingpong_node::NodeChange::Down(DownReason::Left { .. } | DownReason::LocalShutdown)),
        "{next}: the link stayed up"
    );
}
