//! What becomes of a node whose store of incarnations fails ("Words").

use super::*;
use crate::config::{IncarnationStore, OutsideWorld};
use crate::transport::StopReason;
use std::sync::Mutex;

/// A wall clock that stands still, in milliseconds.
struct At(u64);

impl OutsideWorld for At {
    fn wall_millis(&self) -> u64 {
        self.0
    }

    fn random(&self) -> u64 {
        7
    }
}

/// What a store does with the next incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Keep,
    Fail,
    Hang,
}

/// A store that does this with one incarnation after the other, and remembers what it was asked to keep.
struct Scripted {
    loads: Result<Option<Incarnation>, String>,
    script: Mutex<VecDeque<Does>>,
    asked: Mutex<Vec<Incarnation>>,
    /// Looked at whenever an incarnation is stored: no peer may know of it yet.
    peer: Option<Arc<Mesh<PipeLink>>>,
}

const WORDS: &str = "the disk is full; make room";

impl Scripted {
    fn new(script: &[Does]) -> Self {
        let (script, asked) = (Mutex::new(script.iter().copied().collect()), Mutex::default());
        Self { loads: Ok(None), script, asked, peer: None }
    }
}

#[async_trait]
impl IncarnationStore for Scripted {
    async fn load(&self) -> Result<Option<Incarnation>, String> {
        self.loads.clone()
    }

    async fn store(&self, incarnation: Incarnation) -> Result<(), String> {
        self.asked.lock().unwrap().push(incarnation);
        let knows = |peer: &Arc<Mesh<PipeLink>>| peer.list().iter().any(|node| node.incarnation == incarnation);
        assert!(!self.peer.as_ref().is_some_and(knows), "{incarnation} is used before it is stored");
        let does = self.script.lock().unwrap().pop_front().expect("it is asked no more often");
        match does {
            Does::Keep => Ok(()),
            Does::Fail => Err(WORDS.to_owned()),
            Does::Hang => std::future::pending().await,
        }
    }
}

fn config(own: &str, millis: u64, store: &Arc<Scripted>) -> MeshConfig {
    let mut config = MeshConfig::new(ClusterName::new("test").unwrap(), name(own));
    config.outside = Arc::new(At(millis));
    config.incarnations = Arc::clone(store) as Arc<dyn IncarnationStore>;
    config
}

#[tokio::test(start_paused = true)]
async fn a_node_does_not_start_on_a_store_that_fails() {
    let unreadable = Scripted { loads: Err(WORDS.to_owned()), ..Scripted::new(&[]) };
    for store in [unreadable, Scripted::new(&[Does::Fail])] {
        let pipes = Pipes::default();
        let error = Mesh::start(pipes.bind(&name("a")), config("a", 1, &Arc::new(store))).await.unwrap_err();
        assert!(matches!(error, StartError::Store(_)), "{error}");
        assert!(error.to_string().contains(WORDS), "the store's own words: {error}");
        assert!(!pipes.is_bound(&name("a")), "nothing is half started (S1)");
    }
}

/// `b` begins above what it takes next, on a clock that was set back in between; `a` has seen the greater one.
async fn raised(pipes: &Pipes, last: Does) -> (Arc<Mesh<PipeLink>>, Incarnation, Mesh<PipeLink>, Arc<Scripted>) {
    let a = Arc::new(start(pipes, "a", &[]).await);
    let seeds = vec![Address::new("a").unwrap()];
    let mut first = config("b", 2_000, &Arc::new(Scripted::new(&[Does::Keep])));
    first.seeds.clone_from(&seeds);
    let b = Mesh::start(pipes.bind(&name("b")), first).await.unwrap();
    linked(&[&a, &b]).await;
    let seen = b.node().incarnation;
    b.shutdown(SECOND).await;
    let store = Arc::new(Scripted { peer: Some(Arc::clone(&a)), ..Scripted::new(&[Does::Keep, last]) });
    let mut second = config("b", 1_000, &store);
    second.seeds = seeds;
    let b = Mesh::start(pipes.bind(&name("b")), second).await.unwrap();
    assert!(b.node().incarnation < seen, "the clock was set back");
    (a, seen, b, store)
}

#[tokio::test(start_paused = true)]
async fn a_raised_incarnation_is_stored_before_anybody_sees_it() {
    let pipes = Pipes::default();
    let (a, seen, b, store) = raised(&pipes, Does::Keep).await;
    linked(&[&a, &b]).await;
    let asked = store.asked.lock().unwrap().clone();
    assert_eq!(asked.last(), Some(&b.node().incarnation), "the one that is used is the one that was stored");
    assert!(b.node().incarnation > seen, "and it is above what a had seen");
    assert_eq!(a.list(), [b.node()]);
}

#[tokio::test(start_paused = true)]
async fn a_node_stops_when_a_raised_incarnation_cannot_be_stored() {
    for (last, says) in [(Does::Fail, WORDS), (Does::Hang, "it has not answered")] {
        let pipes = Pipes::default();
        let (a, seen, b, store) = raised(&pipes, last).await;
        let low = b.node();
        let (mut at_a, mut at_b) = (a.monitor(), b.monitor());
        let why = tokio::time::timeout(60 * SECOND, b.stopped()).await.expect("it stops");
        let StopReason::Store { incarnation, words } = &why else { panic!("{last:?}: {why}") };
        assert!(words.contains(says), "the store's own words, or that there were none: {words}");
        assert_eq!(store.asked.lock().unwrap().last(), Some(incarnation), "it names what was to be stored");
        assert!(*incarnation > seen, "which is above what a had seen");
        assert_eq!(b.node(), low, "and was never this node's");
        assert_eq!(at_b.next().await, None, "monitors end");
        assert!(!pipes.is_bound(&name("b")), "and nothing is left");
        let told = tokio::time::timeout(10 * SECOND, at_a.next()).await;
        assert!(told.is_err(), "an incarnation that was not stored is seen by nobody: {told:?}");
    }
}
