//! Caches that are told what to forget: each node caches what it reads of a database, and whoever writes there tells all caches.
//!
//! `cargo run -p pingpong-node --example cache_invalidation -- mem` (or `quic`)
//!
//! An invalidation is a cast: a writer waits for nobody's cache. A link that is up loses none (C3), so a cache is used **while it
//! hears every other node of the fleet**; else each read goes to the database:
//! - At `Down` what the peer had sent may be lost, and what it writes from now on is not told here: the cache is emptied.
//! - `Up` is not enough to use it again, since the peer sees its own `Up` at another moment, and tells nobody here until then. So a cache
//!   asks each peer that comes up, and hears it once `All` has come: whatever the peer writes after that is told.
//! - A server that crashes loses its mailbox without a `Down` (C5): the cache closes with it, and the next life asks everybody.
//!
//! So an old value is read for as long as an invalidation travels or, when it is lost, for two failure timeouts at most (F3). While a node
//! is away all others read from the database: take one that is gone for good out of the fleet.
#![allow(clippy::print_stdout, reason = "it is a program")]

use pingpong_node::message::Never;
use pingpong_node::server::{CastError, spawn};
use pingpong_node::{
    Context, DownReason, Node, NodeName, Server, ServerHandle, ServerName, SpawnOptions, Targets, Transport,
    TransportExt, dev, message,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Stands for the database that all nodes share.
type Database = Mutex<BTreeMap<String, String>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Serialize, Deserialize)]
enum Told {
    Forget(String),
    /// From here on you are told all that I write.
    All,
    /// Say `All` to me.
    Ask,
}
message!(Told, id = 1, version = 0);

/// The cache of one node, shared by its readers and the server that is told what to forget.
struct Cache {
    server: ServerName,
    others: BTreeSet<NodeName>,
    state: Mutex<State>,
    used: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<String, String>,
    heard: BTreeSet<NodeName>,
    /// Rises with all that is forgotten: what was read of the database before that must not be kept after it.
    forgotten: u64,
}

impl Cache {
    fn new(own: &NodeName, fleet: &[NodeName]) -> Result<Arc<Self>, Box<dyn std::error::Error>> {
        let others = fleet.iter().filter(|name| *name != own).cloned().collect();
        let (server, used) = (ServerName::new("cache")?, watch::Sender::new(false));
        Ok(Arc::new(Self { server, others, state: Mutex::default(), used }))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        state.forgotten += 1;
        change(&mut state);
        self.used.send_replace(self.others.is_subset(&state.heard));
    }

    fn forget(&self, key: &str) {
        self.change(|state| drop(state.entries.remove(key)));
    }

    fn read(&self, database: &Database, key: &str) -> Option<String> {
        let (entry, at) = self.look(key);
        entry.or_else(|| {
            let value = lock(database).get(key).cloned()?; // this may take its time
            self.keep(key, &value, at);
            Some(value)
        })
    }

    /// What is there, if the cache is used; and at which count what is read now may be kept.
    fn look(&self, key: &str) -> (Option<String>, Option<u64>) {
        let state = lock(&self.state);
        if *self.used.borrow() { (state.entries.get(key).cloned(), Some(state.forgotten)) } else { (None, None) }
    }

    fn keep(&self, key: &str, value: &str, at: Option<u64>) {
        let mut state = lock(&self.state);
        if at == Some(state.forgotten) {
            state.entries.insert(key.to_owned(), value.to_owned());
        }
    }

    /// Not cancel safe: dropped between its two halves it has written, and told nobody. Spawn it where that may happen.
    async fn write(&self, node: &dyn Transport, database: &Database, key: &str, value: &str) -> Result<(), CastError> {
        lock(database).insert(key.to_owned(), value.to_owned());
        self.forget(key); // whoever waits for this reads here what he has written
        // Whoever is refused is not linked, so its cache is not used, or soon will not be. `ShuttingDown`: the same for all others.
        // `TooLarge`: nobody was told, so refuse such keys beforehand.
        node.cast(&self.server, &Told::Forget(key.to_owned())).await.map(|_| ())
    }
}

struct Listener(Arc<Cache>);

impl Listener {
    fn spawn(cache: &Arc<Cache>, node: &Arc<dyn Transport>) -> Result<ServerHandle, Box<dyn std::error::Error>> {
        let (server, cache) = (cache.server.clone(), Arc::clone(cache));
        Ok(spawn(Arc::clone(node), server, move || Self(Arc::clone(&cache)), SpawnOptions::default())?)
    }

    fn tell(&self, peer: NodeName, what: Told, cx: &mut Context<Self>) {
        let sent = cx.try_abcast(&Targets::node(peer.clone()), &self.0.server, &what);
        // A handler does not wait for room: it tries again while the peer is linked. Without a free timer a cache stays unused.
        let is_full = sent.is_ok_and(|sent| sent.accepted.is_empty());
        if is_full && cx.list().iter().any(|node| node.name == peer) {
            let _ = cx.after(std::time::Duration::from_millis(100), (peer, what));
        }
    }
}

impl Server for Listener {
    type Cast = Told;
    type Call = Never;
    type Info = (NodeName, Told);
    const EVENTS: bool = true;

    async fn cast(&mut self, from: &Node, message: Told, cx: &mut Context<Self>) {
        match message {
            Told::Forget(key) => self.0.forget(&key),
            Told::Ask => {
                self.tell(from.name.clone(), Told::All, cx);
                // It may have had no server yet when it was asked at its `Up`.
                if !lock(&self.0.state).heard.contains(&from.name) {
                    self.tell(from.name.clone(), Told::Ask, cx);
                }
            }
            Told::All => self.0.change(|state| {
                state.heard.insert(from.name.clone());
            }),
        }
    }

    async fn call(&mut self, _: &Node, request: Never, _: &mut Context<Self>) -> Never {
        request
    }

    async fn info(&mut self, (peer, what): (NodeName, Told), cx: &mut Context<Self>) {
        self.tell(peer, what, cx);
    }

    async fn node_up(&mut self, node: &Node, cx: &mut Context<Self>) {
        self.tell(node.name.clone(), Told::Ask, cx);
    }

    async fn node_down(&mut self, node: &Node, _: &DownReason, _: &mut Context<Self>) {
        self.0.change(|state| {
            state.entries.clear();
            state.heard.remove(&node.name);
        });
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.change(|state| (state.entries, state.heard) = Default::default());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kind = std::env::args().nth(1).map_or(Ok(dev::Kind::default()), |kind| kind.parse())?;
    let (cluster, database) = (dev::Cluster::start_on(kind, ["a", "b"]).await?, Database::default());
    let (a, b) = (cluster.node("a")?, cluster.node("b")?);
    let fleet = [a.node().name, b.node().name];
    let (at_a, at_b) = (Cache::new(&fleet[0], &fleet)?, Cache::new(&fleet[1], &fleet)?);
    let _servers = [Listener::spawn(&at_a, a)?, Listener::spawn(&at_b, b)?];
    let mut used = at_b.used.subscribe();
    used.wait_for(|used| *used).await?;
    for price in ["10", "12"] {
        used.mark_unchanged();
        at_a.write(&**a, &database, "price", price).await?;
        used.changed().await?; // b was told something
        println!("b reads {:?}, and has it in its cache", at_b.read(&database, "price"));
    }
    cluster.shutdown().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/cache_invalidation.rs"]
mod tests;
