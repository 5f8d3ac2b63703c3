//! What a cache must never serve, on each transport of the build.

use super::*;
use pingpong_node::dev::{Cluster, Kind};
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

struct Site {
    cluster: Cluster,
    fleet: Vec<NodeName>,
    database: Database,
    caches: BTreeMap<&'static str, Arc<Cache>>,
    servers: BTreeMap<&'static str, ServerHandle>,
}

impl Site {
    async fn new(kind: Kind, names: [&'static str; 3]) -> Self {
        let cluster = Cluster::start_on(kind, names).await.unwrap();
        let fleet = names.map(|name| NodeName::new(name).unwrap()).to_vec();
        let (caches, servers) = (BTreeMap::new(), BTreeMap::new());
        let mut site = Self { cluster, fleet, database: Database::default(), caches, servers };
        for name in names {
            site.open(name);
        }
        for name in names {
            site.until(name, |cache| *cache.used.borrow()).await;
        }
        site
    }

    fn open(&mut self, name: &'static str) {
        let node = self.cluster.node(name).unwrap();
        let cache = Cache::new(&node.node().name, &self.fleet).unwrap();
        self.servers.insert(name, Listener::spawn(&cache, node).unwrap());
        self.caches.insert(name, cache);
    }

    async fn until(&self, name: &str, what: impl Fn(&Cache) -> bool) {
        let cache = &self.caches[name];
        let mut changes = cache.used.subscribe();
        let wait = async {
            while !what(cache) {
                changes.changed().await.unwrap();
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("the cache of {name} did not come to it"));
    }

    async fn write(&self, name: &str, value: &str) {
        let node = self.cluster.node(name).unwrap();
        self.caches[name].write(&**node, &self.database, "key", value).await.unwrap();
        assert_eq!(self.read(name), value, "who has written reads it");
    }

    fn read(&self, name: &str) -> String {
        self.caches[name].read(&self.database, "key").unwrap()
    }

    fn is_cached(&self, name: &str) -> bool {
        lock(&self.caches[name].state).entries.contains_key("key")
    }

    /// Until a reader of that node finds this value in its cache.
    async fn until_cached(&self, name: &str, value: &str) {
        let found = |cache: &Cache| cache.read(&self.database, "key").as_deref() == Some(value);
        self.until(name, |cache| found(cache) && cache.look("key").0.is_some()).await;
    }
}

#[tokio::test]
async fn every_cache_forgets_what_one_node_writes() {
    for kind in Kind::ALL {
        let site = Site::new(*kind, ["a", "b", "c"]).await;
        for (writer, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
            site.write(writer, value).await;
            for name in ["a", "b", "c"] {
                site.until_cached(name, value).await;
            }
        }
    }
}

#[tokio::test]
async fn a_cache_that_does_not_hear_everybody_keeps_nothing() {
    for kind in Kind::ALL {
        let mut site = Site::new(*kind, ["a", "b", "c"]).await;
        site.write("a", "1").await;
        site.until_cached("b", "1").await;
        site.cluster.stop("c").await.unwrap();
        site.until("b", |cache| !*cache.used.borrow()).await;
        assert!(!site.is_cached("b"), "{kind}: what c had written may be lost");
        site.write("a", "2").await;
        assert_eq!((site.read("b").as_str(), site.is_cached("b")), ("2", false), "{kind}: it reads, and keeps nothing");
        site.cluster.add("c").await.unwrap();
        site.open("c");
        site.until_cached("b", "2").await;
    }
}

#[tokio::test]
async fn a_reset_link_and_a_crashed_listener_empty_the_cache_for_a_while() {
    for kind in Kind::ALL {
        let site = Site::new(*kind, ["a", "b", "c"]).await;
        site.write("a", "1").await;
        site.until_cached("b", "1").await;
        let (a, mut used) = (site.cluster.node("a").unwrap(), site.caches["b"].used.subscribe());
        assert!(a.disconnect(&site.fleet[1]).await, "{kind}: there was a link");
        timeout(PATIENCE, used.wait_for(|used| !used)).await.unwrap().unwrap();
        assert!(!site.is_cached("b"), "{kind}: what was on its way may be lost");
        site.until_cached("b", "1").await;
        site.servers["b"].crash().await;
        assert!(!site.is_cached("b"), "{kind}: what was in its mailbox is lost");
        site.until_cached("b", "1").await;
        site.write("c", "2").await;
        site.until_cached("b", "2").await;
    }
}

#[tokio::test]
async fn what_was_read_before_it_was_forgotten_is_not_kept() {
    let cache = Cache::new(&NodeName::new("a").unwrap(), &[]).unwrap();
    cache.change(|_| {});
    let (entry, at) = cache.look("key");
    assert!(entry.is_none() && at.is_some(), "nobody else is in its fleet: it is used");
    cache.forget("key");
    cache.keep("key", "read before", at);
    assert_eq!(cache.look("key").0, None);
    cache.keep("key", "read after", cache.look("key").1);
    assert_eq!(cache.look("key").0.as_deref(), Some("read after"));
}
