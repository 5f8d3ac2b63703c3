//! What catching up costs: bytes for what differs, and calls for each link, however many there are.

use crate::cluster::{LONG, at, name, soon};
use async_trait::async_trait;
use pingpong_core::config::OutsideWorld;
use pingpong_core::exercise::{
    Batch, CommitError, Counts, Exercise, Identity, Kept, Ledger, LedgerOptions, LoadError, Members, Origin, Settings,
    Slot, Standing, Store,
};
use pingpong_core::inbox::{Allow, Inbox, ServerOptions};
use pingpong_core::mesh::Mesh;
use pingpong_core::message::Encoded;
use pingpong_core::transport::{Counters, RegisterError, Replies, SendError, Sent, Shutdown, StopReason};
use pingpong_core::{
    Address, ClusterName, Incarnation, MeshConfig, Node, NodeEvents, NodeName, ServerName, Targets, Transport, WhenFull,
};
use pingpong_transport_mem::{MemLink, MemNetwork};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What a packet takes, so that all that is sent meanwhile is under way at the same time.
const FAR: Duration = Duration::from_millis(5);

/// What all nodes have sent to others.
#[derive(Debug, Default)]
struct Traffic {
    /// Messages that expect no answer, each once for each node that it went to.
    casts: AtomicU64,
    /// Questions, and their answers.
    calls: AtomicU64,
    /// Of all of these.
    bytes: AtomicU64,
    /// Of the largest of them.
    largest: AtomicU64,
    under_way: Mutex<UnderWay>,
}

/// What was sent no longer ago than a packet takes: as much as all queues and the network hold.
#[derive(Debug, Default)]
struct UnderWay {
    sent: VecDeque<(Instant, u64)>,
    bytes: u64,
    most: u64,
}

impl UnderWay {
    fn sent(&mut self, bytes: u64) {
        let now = Instant::now();
        self.sent.push_back((now, bytes));
        self.bytes += bytes;
        while let Some((_, arrived)) = self.sent.front().filter(|(at, _)| *at + FAR < now) {
            self.bytes -= arrived;
            self.sent.pop_front();
        }
        self.most = self.most.max(self.bytes);
    }
}

impl Traffic {
    fn reset(&self) {
        for counter in [&self.casts, &self.calls, &self.bytes, &self.largest] {
            counter.store(0, Ordering::Relaxed);
        }
        self.under_way.lock().unwrap().most = 0;
    }

    fn sent(&self, messages: usize, bytes: usize) {
        let all = (messages * bytes) as u64;
        self.bytes.fetch_add(all, Ordering::Relaxed);
        self.largest.fetch_max(bytes as u64, Ordering::Relaxed);
        self.under_way.lock().unwrap().sent(all);
    }

    /// Calls, casts, bytes, and the most of them that were under way at a time.
    fn read(&self) -> [u64; 4] {
        let [calls, casts, bytes] = [&self.calls, &self.casts, &self.bytes].map(|c| c.load(Ordering::Relaxed));
        [calls, casts, bytes, self.under_way.lock().unwrap().most]
    }
}

/// A transport whose messages to other nodes are counted.
struct Counted {
    inner: Arc<Mesh<MemLink>>,
    traffic: Arc<Traffic>,
}

impl Counted {
    fn cast(&self, sent: &Sent, message: Encoded<'_>) {
        let own = self.inner.node().name;
        let others = sent.accepted.iter().filter(|node| node.name != own).count();
        self.traffic.casts.fetch_add(others as u64, Ordering::Relaxed);
        self.traffic.sent(others, message.body.len());
    }
}

#[async_trait]
impl Transport for Counted {
    fn node(&self) -> Node {
        self.inner.node()
    }

    fn list(&self) -> Vec<Node> {
        self.inner.list()
    }

    fn monitor(&self) -> NodeEvents {
        self.inner.monitor()
    }

    fn try_abcast(
        &self,
        targets: &Targets,
        server: &ServerName,
        message: Encoded<'_>,
        when_full: WhenFull,
    ) -> Result<Sent, SendError> {
        let sent = self.inner.try_abcast(targets, server, message, when_full)?;
        self.cast(&sent, message);
        Ok(sent)
    }

    async fn abcast(&self, targets: &Targets, server: &ServerName, message: Encoded<'_>) -> Result<Sent, SendError> {
        let sent = self.inner.abcast(targets, server, message).await?;
        self.cast(&sent, message);
        Ok(sent)
    }

    async fn multi_call(
        &self,
        targets: &Targets,
        server: &ServerName,
        request: Encoded<'_>,
        deadline: Duration,
    ) -> Replies {
        let own = self.inner.node().name;
        let asked = match targets {
            Targets::All => self.inner.list().into_iter().map(|node| node.name).collect(),
            Targets::Nodes(names) => names.clone(),
        };
        let asked = asked.iter().filter(|name| **name != own).count();
        self.traffic.calls.fetch_add(asked as u64, Ordering::Relaxed);
        self.traffic.sent(asked, request.body.len());
        let replies = self.inner.multi_call(targets, server, request, deadline).await;
        for reply in replies.replies.iter().filter(|reply| reply.node.name != own) {
            self.traffic.sent(1, reply.reply.body.len());
        }
        replies
    }

    fn register(&self, server: &ServerName, options: ServerOptions) -> Result<Box<dyn Inbox>, RegisterError> {
        self.inner.register(server, options)
    }

    async fn disconnect(&self, name: &NodeName) -> bool {
        self.inner.disconnect(name).await
    }

    async fn forget(&self, name: &NodeName) -> bool {
        self.inner.forget(name).await
    }

    async fn shutdown(&self, deadline: Duration) -> Shutdown {
        self.inner.shutdown(deadline).await
    }

    async fn stopped(&self) -> StopReason {
        self.inner.stopped().await
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }
}

/// A store that has something from the beginning.
struct Full(Option<Kept>);

#[async_trait]
impl Store for Full {
    async fn load(&mut self) -> Result<Option<Kept>, LoadError> {
        Ok(self.0.take())
    }

    async fn commit(&mut self, _: Batch) -> Result<(), CommitError> {
        Ok(())
    }
}

/// A wall clock that rises with each look, and random bits that do not repeat.
#[derive(Default)]
struct Outside(AtomicU64);

impl OutsideWorld for Outside {
    fn wall_millis(&self) -> u64 {
        1_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn random(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

struct World {
    network: MemNetwork,
    outside: Arc<Outside>,
    traffic: Arc<Traffic>,
    settings: Settings,
    nodes: Vec<(Arc<Mesh<MemLink>>, Exercise)>,
}

impl World {
    fn new() -> Self {
        let network = MemNetwork::new(7);
        let settings = Settings::default();
        Self { network, outside: Arc::default(), traffic: Arc::default(), settings, nodes: Vec::new() }
    }

    async fn start(&mut self, node: &str, seeds: Vec<Address>, counts: Counts) {
        let identity = Identity { epoch: Incarnation::new(1, 0), origin: Origin::Init, standing: Standing::Observer };
        self.start_on(node, seeds, Some(Kept { identity, counts }), None).await;
    }

    /// A member, which has this in its store already.
    async fn start_member(&mut self, node: &str, counts: Option<Counts>) {
        let all = ["a", "b", "c"];
        let members = Members::new(ClusterName::new("test").unwrap(), all.map(name)).unwrap();
        let identity = Identity { epoch: Incarnation::new(1, 0), origin: Origin::Init, standing: Standing::Active };
        let kept = counts.map(|counts| Kept { identity, counts });
        let seeds = all.iter().filter(|other| **other != node).map(|other| at(other)).collect();
        self.start_on(node, seeds, kept, Some(members)).await;
    }

    async fn start_on(&mut self, node: &str, seeds: Vec<Address>, kept: Option<Kept>, members: Option<Members>) {
        let link = self.network.bind(name(node), at(node)).unwrap();
        let mut config = MeshConfig::new(ClusterName::new("test").unwrap(), name(node));
        config.seeds = seeds;
        config.limits.max_peers = 256;
        config.limits.max_memory = 1 << 50;
        config.outside = Arc::clone(&self.outside) as Arc<dyn OutsideWorld>;
        let mesh = Arc::new(Mesh::start(link, config).await.unwrap());
        let options = LedgerOptions { members, ..LedgerOptions::default() };
        let ledger = Ledger::open(Full(kept), &mesh.node(), options).await.unwrap();
        let transport = Counted { inner: Arc::clone(&mesh), traffic: Arc::clone(&self.traffic) };
        let exercise = Exercise::start(Arc::new(transport), ledger, self.settings.clone()).unwrap();
        self.nodes.push((mesh, exercise));
    }

    /// Waits until all have the same.
    async fn settles(&self, total: u128) {
        let wait = async {
            for (_, exercise) in &self.nodes {
                let mut changes = exercise.ledger().changes();
                while exercise.ledger().counts().total() != total {
                    changes.changed().await.expect("the ledger is open");
                }
            }
        };
        soon("the same counts everywhere", wait).await;
        // What was learned is passed on, to those who have it already.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    /// All packets take [`FAR`].
    fn delay(&self, all: &[Address]) {
        for from in all {
            all.iter().filter(|to| *to != from).for_each(|to| self.network.delay(from, to, FAR, Duration::ZERO));
        }
    }

    async fn links(&self, each: usize) {
        for (mesh, _) in &self.nodes {
            let mut events = mesh.monitor();
            let linked = async {
                while mesh.list().len() != each {
                    events.next().await.expect("the node runs");
                }
            };
            tokio::time::timeout(LONG, linked).await.expect("all are linked");
        }
    }
}

fn slot(producer: u64, epoch: u64) -> Slot {
    Slot { producer: name(&format!("p{producer}x")), epoch: Incarnation::new(epoch, 0) }
}

#[tokio::test(start_paused = true)]
async fn two_stores_of_100_000_slots_that_differ_in_10_exchange_what_differs() {
    let mine = many_slots();
    let mut theirs = mine.clone();
    for number in (0..100_000).step_by(10_000) {
        theirs.raise(&slot(number / 100, number % 100 + 1), number + 1);
    }
    let total = theirs.total();
    let mut world = World::new();
    world.start("a", vec![at("b")], mine).await;
    world.start("b", vec![at("a")], theirs).await;
    world.links(1).await;
    world.settles(total).await;
    let [calls, casts, bytes, _] = world.traffic.read();
    println!("{casts} casts, {calls} calls, {bytes} bytes");
    assert!(calls <= 20 && bytes <= 64 << 10, "{calls} calls, {bytes} bytes: all slots would be some 1 MB");

    world.traffic.reset();
    let read = world.nodes[0].1.fresh(LONG).await.unwrap();
    assert_eq!(read.total, total);
    let [_, _, bytes, _] = world.traffic.read();
    assert!(bytes <= 16 << 10, "{bytes} bytes: the other one has the same");
}

fn many_slots() -> Counts {
    (0..100_000).map(|number| (slot(number / 100, number % 100 + 1), number)).collect()
}

/// The third member is away, and one of the others has a ping that the other has not heard of, as their consumers hear nothing: it is told that,
/// and not all that there is.
#[tokio::test(start_paused = true)]
async fn a_majority_read_of_100_000_slots_costs_what_members_differ_in() {
    let mut world = World::new();
    world.settings.allow_consumer = Allow::only([]);
    for node in ["a", "c"] {
        world.start_member(node, Some(many_slots())).await;
    }
    world.links(1).await;
    let [(_, pings), (_, reads)] = &world.nodes[..] else { panic!("two") };
    pings.ping(1).await.unwrap();
    world.traffic.reset();
    let read = reads.majority(LONG).await.unwrap();
    assert_eq!(read.total(), many_slots().total() + 1);
    let [calls, casts, bytes, _] = world.traffic.read();
    println!("{casts} casts, {calls} calls, {bytes} bytes");
    assert!(bytes > 5 << 10, "{bytes} bytes: sums of parts were told, as the consumer has heard of nothing");
    assert!(calls <= 8 && bytes <= 64 << 10, "{calls} calls, {bytes} bytes: all slots would be some 1 MB");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_has_lost_100_000_slots_recovers_in_small_pieces() {
    let mut world = World::new();
    // Else its consumer may have been told all of it already.
    world.settings.allow_consumer = Allow::only([]);
    for node in ["a", "b"] {
        world.start_member(node, Some(many_slots())).await;
    }
    world.links(1).await;
    world.traffic.reset();
    world.start_member("c", None).await;
    let (_, lost) = &world.nodes[2];
    soon("it votes", lost.ledger().until_active()).await;
    assert!(lost.ledger().counts().covers(&many_slots()));
    let largest = world.traffic.largest.load(Ordering::Relaxed);
    let [calls, casts, bytes, _] = world.traffic.read();
    println!("{casts} casts, {calls} calls, {bytes} bytes, {largest} at most in one");
    assert!(
        largest <= 128 << 10,
        "{largest} bytes in one message: on a slow link that is late, whenever it is asked for"
    );
    assert!(bytes <= 3 << 19, "{bytes} bytes: what one has told the other is not asked for");
}

/// What a heal of two halves costs, in which each node has pinged once meanwhile.
struct Cost {
    /// For each link that comes up.
    calls: f64,
    casts: f64,
    /// For each link, and each slot that the one end has and the other has not: in all, and the most that are under way at a time.
    bytes: f64,
    most: f64,
}

/// All have had so many slots before.
async fn heal(nodes: usize, before: u64) -> Cost {
    let names: Vec<String> = (0..nodes).map(|node| format!("n{node}x")).collect();
    let addresses: Vec<Address> = names.iter().map(|node| at(node)).collect();
    let (one, other) = addresses.split_at(nodes / 2);
    let common: Counts = (0..before).map(|number| (slot(number, 1), 1)).collect();
    let mut world = World::new();
    world.delay(&addresses);
    world.network.partition(&[one, other]);
    for node in &names {
        world.start(node, vec![one[0].clone(), other[0].clone()], common.clone()).await;
    }
    world.links(nodes / 2 - 1).await;
    for (_, exercise) in &world.nodes {
        exercise.ping(1).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.traffic.reset();
    world.network.heal_all();
    world.links(nodes - 1).await;
    world.settles(u128::from(before) + nodes as u128).await;
    let (links, differ) = ((nodes / 2 * (nodes / 2)) as f64, nodes as f64);
    let [calls, casts, bytes, most] = world.traffic.read().map(|count| count as f64 / links);
    println!(
        "{nodes} nodes, {links} links come up: {calls:.1} calls, {casts:.1} casts, {bytes:.1} bytes, {most:.1} under way for each"
    );
    Cost { calls, casts, bytes: bytes / differ, most: most / differ }
}

/// However many links come up at once, each costs the same.
async fn heals_cost_the_same_for_each_link(before: u64) {
    let few = heal(24, before).await;
    let many = heal(100, before).await;
    for (what, few, many) in [
        ("calls", few.calls, many.calls),
        ("casts", few.casts, many.casts),
        ("bytes of a slot", few.bytes, many.bytes),
        ("bytes of a slot under way", few.most, many.most),
    ] {
        assert!(many <= 1.25 * few + 0.5, "{what}: {few} for each link of a few, {many} of many");
    }
    assert!(many.calls <= 16.0 && many.casts <= 32.0 && many.most > 0.0, "{} calls, {} casts", many.calls, many.casts);
}

/// What all have is told at once.
#[tokio::test(start_paused = true)]
async fn a_heal_of_a_hundred_nodes_costs_the_same_for_each_link() {
    heals_cost_the_same_for_each_link(0).await;
}

/// They compare what they have by sums.
#[tokio::test(start_paused = true)]
async fn a_heal_of_a_hundred_nodes_with_many_slots_costs_the_same_for_each_link() {
    heals_cost_the_same_for_each_link(1_000).await;
}
