//! What nobody should say: each row of the abuse table is refused, counted, and the node goes on.

use crate::actor::{Actor, First, World};
use crate::disk::Disk;
use crate::files::Files;
use pingpong_conformance::toolkit::{Cluster, TestNode, node};
use pingpong_core::exercise::{
    Ask, AskMember, AskProducer, CONSUMER, Counts, Ignored, MEMBER, MemberSays, PRODUCER, PingRefused, ProducerSays,
    Slot, Told, When,
};
use pingpong_core::message::Request;
use pingpong_core::server::TransportExt;
use pingpong_core::{ClusterName, Incarnation, ServerName, Targets};
use pingpong_node::store::counts::{FileStore, FileStoreError, Owner};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

/// `x` and `y` play. `z` is a member, and `w` is none; both say what the test wants.
struct Stage<'a> {
    world: World<'a>,
    x: Actor,
    y: Actor,
    z: TestNode,
    w: TestNode,
}

impl<'a> Stage<'a> {
    async fn new(c: &'a Cluster) -> Self {
        let mut world = World::new(c);
        // What `x` hears is a matter of `x` alone.
        world.settings.gossip_interval = Duration::from_secs(86_400);
        let x = world.start("x", &Disk::default(), First::Yes).await;
        let y = world.start("y", &Disk::default(), First::Yes).await;
        let (z, w) = (world.boot("z").await, world.boot("w").await);
        let names = |nodes: &[&TestNode]| nodes.iter().map(|node| node.name().clone()).collect::<Vec<_>>();
        x.node.events().until_linked(&names(&[&y.node, &z, &w])).await;
        for said in [&z, &w] {
            said.events().until_linked(&names(&[&x.node, &y.node])).await;
        }
        // Members that start for the first time vote once all of them have been there.
        let was = world.act(&z, &Disk::default(), First::Yes).await;
        for actor in [&x, &y, &was] {
            actor.votes().await;
        }
        was.exercise.stop().await.expect("it ran");
        drop(was);
        x.pings_for_good(3).await;
        x.knows(&[("x", 3), ("y", 0), ("z", 0)]).await;
        Self { world, x, y, z, w }
    }

    fn slot(of: &TestNode) -> Slot {
        Slot { producer: of.name().clone(), epoch: of.transport().node().incarnation }
    }

    /// Says it to the consumer of `x`.
    async fn say(&self, who: &TestNode, told: &Told) {
        let x = Targets::node(node("x"));
        let sent = self.x.soon("a cast", who.transport().cast_to(&x, &CONSUMER, told)).await.expect("it is sent");
        assert_eq!(sent.accepted.len(), 1);
    }

    async fn asks<R: Request>(&self, who: &TestNode, server: &ServerName, request: &R) -> R::Reply {
        let (transport, x) = (who.transport(), Targets::node(node("x")));
        let answer = transport.call(&x, server, request, self.x.patience);
        let answer = self.x.soon("a call", answer).await.expect("it is encoded");
        answer.into_one().unwrap_or_else(|reason| panic!("no answer: {reason}")).reply
    }

    async fn knows(&self, slot: &Slot, count: u64) {
        let ledger = self.x.exercise.ledger();
        let known = self.x.exercise.local_until(|_| ledger.counts().get(slot) == Some(count));
        self.x.soon("the count", known).await;
    }

    /// What comes of it is this in the metric, and nothing else: no count changes, and the node answers.
    async fn ignores(&self, who: &TestNode, told: &Told, change: impl FnOnce(&mut Ignored)) {
        let (before, mut expected) = (self.counts(), self.x.exercise.ledger().ignored());
        change(&mut expected);
        self.say(who, told).await;
        let rose = async {
            while self.x.exercise.ledger().ignored() != expected {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(self.x.patience, rose).await.is_err() {
            panic!("{told:?} of {}: {:?}, and not {expected:?}", who.name(), self.x.exercise.ledger().ignored());
        }
        self.is_well(&before).await;
    }

    fn counts(&self) -> Arc<Counts> {
        self.x.exercise.ledger().counts()
    }

    /// All answer, and the counts are these.
    async fn is_well(&self, counts: &Counts) {
        let asked = self.y.exercise.ask_consumers(self.y.patience);
        let asked = self.y.soon("the consumers", asked).await.expect("it is encoded");
        let of_x = asked.replies.iter().find(|answer| answer.node.name == node("x")).expect("its consumer answers");
        assert_eq!(of_x.reply, *counts);
        assert_eq!(*self.counts(), *counts);
        assert_eq!(self.x.reads().await.expect("its member answers").value(&node("x")), counts.value(&node("x")));
        let stopped = tokio::time::timeout(Duration::ZERO, self.x.exercise.stopped()).await;
        assert!(stopped.is_err(), "the node goes on: {stopped:?}");
    }
}

fn pinged(slot: &Slot, count: u64) -> Told {
    Told::Pinged(Counts::from_iter([(slot.clone(), count)]))
}

fn news(slot: &Slot, count: u64) -> Told {
    Told::News(Counts::from_iter([(slot.clone(), count)]))
}

fn at(slot: &Slot, epoch: u64) -> Slot {
    Slot { epoch: Incarnation::new(epoch, 0), ..slot.clone() }
}

pub(crate) async fn scenario_33_abuse_is_counted_and_changes_nothing(c: &Cluster) {
    let stage = Stage::new(c).await;
    let (x, y) = (Stage::slot(&stage.x.node), Stage::slot(&stage.y.node));
    let (z, w) = (Stage::slot(&stage.z), Stage::slot(&stage.w));
    let future = Slot { epoch: Incarnation::new(w.epoch.millis() + 1, 0), ..w.clone() };
    stage.say(&stage.w, &pinged(&w, 5)).await;
    stage.knows(&w, 5).await;

    // A count goes back: by relay, and directly from its producer.
    stage.ignores(&stage.z, &news(&w, 4), |ignored| ignored.stale += 1).await;
    let back = |ignored: &mut Ignored| (ignored.stale, ignored.backwards) = (ignored.stale + 1, ignored.backwards + 1);
    stage.ignores(&stage.w, &pinged(&w, 4), back).await;

    // 0 opens a slot, and the greatest number is one.
    stage.say(&stage.w, &pinged(&at(&w, 1), 0)).await;
    stage.knows(&at(&w, 1), 0).await;
    stage.say(&stage.w, &pinged(&at(&w, 1), u64::MAX)).await;
    stage.knows(&at(&w, 1), u64::MAX).await;
    assert_eq!(stage.x.exercise.local().values[&node("w")], u128::from(u64::MAX) + 5, "its own value alone");

    // An epoch that its producer has not reached: directly, and by relay of who is no member.
    stage.ignores(&stage.w, &pinged(&future, 1), |ignored| ignored.future_epoch += 1).await;
    stage.ignores(&stage.w, &news(&future, 1), |ignored| ignored.future_epoch += 1).await;
    let of_z = Slot { producer: node("z"), ..future.clone() };
    stage.ignores(&stage.w, &news(&of_z, 1), |ignored| ignored.foreign_slot += 1).await;
    stage.say(&stage.z, &news(&future, 1)).await;
    stage.knows(&future, 1).await;

    // A slot of another name: nobody pings for another, and only members relay.
    for told in [pinged(&y, 9), news(&y, 9), pinged(&x, 9), news(&x, 9), pinged(&at(&x, 1), 9), news(&at(&x, 1), 9)] {
        stage.ignores(&stage.w, &told, |ignored| ignored.foreign_slot += 1).await;
    }
    stage.ignores(&stage.z, &pinged(&w, 9), |ignored| ignored.foreign_slot += 1).await;
    too_many(&stage, &w).await;
    voting(&stage, &y, &z).await;
    assert_eq!(stage.x.pings_for_good(1).await.count, 4);
    files(&stage).await;
}

/// A thousand epochs of one name, and no more.
async fn too_many(stage: &Stage<'_>, w: &Slot) {
    let known = stage.counts().epochs(&w.producer).count() as u64;
    let epochs = |from: u64, to: u64| Told::Pinged((from..to).map(|epoch| (at(w, epoch), 1)).collect());
    stage.say(&stage.w, &epochs(100, 100 + 1_000 - known)).await;
    stage.knows(&at(w, 100 + 1_000 - known - 1), 1).await;
    assert_eq!(stage.counts().epochs(&w.producer).count(), 1_000);
    stage.ignores(&stage.w, &epochs(5_000, 5_010), |ignored| ignored.too_many_slots += 10).await;
}

/// Questions that only a member, or only the own node, may ask.
async fn voting(stage: &Stage<'_>, y: &Slot, z: &Slot) {
    let (before, mut expected) = (stage.counts(), stage.x.exercise.ledger().ignored());
    expected.foreign_slot += 2;
    for slot in [y, z] {
        let ask = Ask::Hold(Counts::from_iter([(slot.clone(), 9)]));
        let ask = AskMember { members: stage.world.members.fingerprint(), ask };
        let says = stage.asks(&stage.w, &MEMBER, &ask).await;
        assert!(matches!(says, MemberSays::Refused(_)), "{says:?}");
    }
    let says = stage.asks(&stage.w, &PRODUCER, &AskProducer::Ping(1, When::Stored)).await;
    assert_eq!(says, ProducerSays::Refused(PingRefused::NotLocal));
    assert_eq!(stage.x.exercise.ledger().ignored(), expected);
    stage.is_well(&before).await;
}

/// The file of another node, or another cluster, is refused and stays as it is (P5).
async fn files(stage: &Stage<'_>) {
    let files = Files::new();
    let transport = stage.w.transport();
    drop(files.open(&transport.node()).expect("it is made"));
    let before = fs::read(files.path("w")).unwrap();
    let open = |owner: &Owner| FileStore::open(&files.path("w"), owner, transport.node().incarnation);
    let other = open(&Files::owner("x")).expect_err("it is that of w");
    assert!(matches!(other, FileStoreError::AnotherNode { .. }), "{other:?}");
    let other = open(&Owner { cluster: ClusterName::new("test").unwrap(), ..Files::owner("w") });
    assert!(matches!(other, Err(FileStoreError::AnotherCluster { .. })), "{other:?}");
    assert!(fs::read(files.path("w")).unwrap() == before, "it was changed");
}
