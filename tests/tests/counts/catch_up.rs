//! Consumers that were away, or not there yet, have every count in the end.

use crate::actor::{Actor, First, World, all_know, epochs};
use crate::disk::Disk;
use futures_util::future::{join, join_all};
use pingpong_conformance::Place;
use pingpong_conformance::toolkit::{Cluster, TestNode, node};
use pingpong_core::exercise::{AskProducer, CONSUMER, Counts, PRODUCER, PingRefused, ProducerSays, Slot, Told};
use pingpong_core::message::Never;
use pingpong_core::server::{Context, ReplyTo, Server, SpawnOptions, spawn};
use pingpong_core::{Node, Targets};
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Longer than any test: what happens only then does not happen.
const DAY: Duration = Duration::from_secs(86_400);

pub(crate) async fn scenario_01_three_nodes_ping_a_hundred_times_each(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    for _ in 0..100 {
        for actor in [&x, &y, &z] {
            actor.pings(1).await;
        }
    }
    all_know(&[&x, &y, &z], &[("x", 100), ("y", 100), ("z", 100)]).await;
    assert_eq!(x.exercise.local().total, 300);
    let asked = x.exercise.ask_consumers(x.patience).await.expect("the request has an encoded form");
    let totals: Vec<u128> = asked.replies.iter().map(|answer| Counts::total(&answer.reply)).collect();
    assert_eq!((totals, asked.failed), (vec![300; 3], vec![]), "each consumer has seen each ping once");
}

/// Nobody passes on what it hears: what is lost in the mailbox of a crashed consumer comes back by its own question, or not at all.
pub(crate) async fn scenario_02_a_consumer_crashes_again_and_again_while_pings_go_on(c: &Cluster) {
    let mut world = World::new(c);
    world.settings.gossip_interval = DAY;
    let [x, y, z] = world.first_start().await;
    for far in ["x", "y"] {
        c.harness().delay(&Place::from(far), &Place::from("z"), Duration::from_millis(3)).await;
    }
    let done = Cell::new(false);
    let pings = async {
        for _ in 0..60 {
            for actor in [&x, &y] {
                actor.pings(1).await;
                c.hold(Duration::from_millis(1)).await;
            }
        }
        done.set(true);
    };
    let crashes = async {
        while !done.get() {
            z.exercise.consumer().crash().await;
            c.hold(Duration::from_millis(5)).await;
        }
    };
    let watches = async {
        let mut changes = z.exercise.ledger().changes();
        let mut before = z.exercise.local();
        while before.total < 120 {
            z.soon("the next count", changes.changed()).await.expect("the ledger is there");
            let now = z.exercise.local();
            for (producer, value) in &before.values {
                assert!(now.values[producer] >= *value, "{producer} went back from {value}: {now:?}");
            }
            before = now;
        }
    };
    join(join(pings, crashes), watches).await;
    assert!(z.exercise.consumer().restarts() > 10, "it crashed {} times", z.exercise.consumer().restarts());
    all_know(&[&x, &y, &z], &[("x", 60), ("y", 60), ("z", 0)]).await;
    for far in ["x", "y"] {
        c.harness().delay(&Place::from(far), &Place::from("z"), Duration::ZERO).await;
    }
    // Crash after crash, so that no life handles anything: the ping is lost in a mailbox, and only the last life can find it.
    for round in 1..=20_u32 {
        let crashes = join_all((0..30).map(|_| z.exercise.consumer().crash()));
        join(x.pings(1), crashes).await;
        z.knows(&[("x", 60 + u128::from(round)), ("y", 60), ("z", 0)]).await;
    }
}

/// First the consumer alone crashes, then its whole process, and its store is gone with it.
pub(crate) async fn scenario_03_a_cut_node_whose_store_is_lost_has_everything_after_the_heal(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    z.pings(5).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 5)]).await;
    world.cut_off(&z, &[&x, &y]).await;
    x.pings(10).await;
    y.pings(4).await;
    z.exercise.consumer().crash().await;
    z.knows(&[("x", 0), ("y", 0), ("z", 5)]).await;
    world.kill(z).await;
    let z = world.start("z", &Disk::default(), First::No).await;
    z.pings(2).await;
    z.knows(&[("z", 2)]).await;
    world.heal(&[&x, &y, &z]).await;
    all_know(&[&x, &y, &z], &[("x", 10), ("y", 4), ("z", 7)]).await;
    for actor in [&x, &y, &z] {
        assert_eq!(epochs(actor, "z"), [5, 2], "a lost store is a new slot (P4)");
    }
}

pub(crate) async fn scenario_04_the_counts_of_a_producer_that_is_gone_come_from_other_consumers(c: &Cluster) {
    let world = World::new(c);
    let [x, y, z] = world.first_start().await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 0)]).await;
    world.cut_off(&z, &[&x, &y]).await;
    x.pings(9).await;
    y.knows(&[("x", 9), ("y", 0), ("z", 0)]).await;
    world.kill(x).await;
    world.kill(z).await;
    let z = world.start("z", &Disk::default(), First::No).await;
    z.knows(&[("z", 0)]).await;
    world.heal(&[&y, &z]).await;
    all_know(&[&y, &z], &[("x", 9), ("y", 0), ("z", 0)]).await;
}

pub(crate) async fn scenario_05_counts_cross_a_bridge(c: &Cluster) {
    let world = World::new(c);
    c.harness().cut(&Place::from("x"), &Place::from("z")).await;
    let x = world.start("x", &Disk::default(), First::Yes).await;
    let y = world.start("y", &Disk::default(), First::Yes).await;
    let z = world.start("z", &Disk::default(), First::Yes).await;
    y.node.events().until_linked(&[node("x"), node("z")]).await;
    for _ in 0..20 {
        x.pings(1).await;
    }
    z.pings(3).await;
    all_know(&[&x, &y, &z], &[("x", 20), ("y", 0), ("z", 3)]).await;
    for end in [&x, &z] {
        end.node.events().until_linked_only(&[node("y")]).await;
    }
}

/// A producer as the tests want it: asked for its slots, it casts a ping at once, and answers with the state before when it is told to.
struct Script {
    slot: Slot,
    answer: Arc<Notify>,
    waiting: Arc<Mutex<Option<ReplyTo<AskProducer>>>>,
}

impl Server for Script {
    type Cast = Never;
    type Call = AskProducer;
    type Info = ();

    async fn cast(&mut self, _: &Node, message: Never, _: &mut Context<Self>) {
        match message {}
    }

    async fn call(&mut self, _: &Node, _: AskProducer, _: &mut Context<Self>) -> ProducerSays {
        ProducerSays::Refused(PingRefused::NotLocal)
    }

    async fn call_later(&mut self, from: &Node, _: AskProducer, reply: ReplyTo<AskProducer>, cx: &mut Context<Self>) {
        let ping = Told::Pinged(Counts::from_iter([(self.slot.clone(), 8)]));
        cx.try_abcast(&Targets::node(from.name.clone()), &CONSUMER, &ping).expect("it is sent");
        *self.waiting.lock().unwrap() = Some(reply);
        self.answer.notify_one();
    }
}

/// `x` casts its eighth ping when it is asked, and says seven. Then a real producer, with the ping at any time around the start.
pub(crate) async fn scenario_11_a_ping_between_registration_and_reply_is_counted(c: &Cluster) {
    let mut world = World::new(c);
    world.settings.gossip_interval = DAY;
    // The answer comes late, and is waited for.
    world.settings.ask_deadline = c.timing().patience();
    let [x, _y, z] = world.booted().await;
    let slot = Slot { producer: node("x"), epoch: x.transport().node().incarnation };
    let (asked, waiting) = (Arc::new(Notify::new()), Arc::default());
    let script = {
        let (slot, answer, waiting) = (slot.clone(), Arc::clone(&asked), Arc::clone(&waiting));
        move || Script { slot: slot.clone(), answer: Arc::clone(&answer), waiting: Arc::clone(&waiting) }
    };
    let producer = spawn(x.transport(), PRODUCER.clone(), script, SpawnOptions::default()).expect("the name is free");
    let actor = world.act(&z, &Disk::default(), First::Yes).await;
    actor.soon("the question", asked.notified()).await;
    actor.knows(&[("x", 8), ("z", 0)]).await;
    let reply = waiting.lock().unwrap().take().expect("it was asked");
    reply.send(ProducerSays::Slots { counts: Counts::from_iter([(slot, 7)]), exact: true }).await;
    let answered = async {
        while actor.exercise.ledger().ignored().stale == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    actor.soon("the answer", answered).await;
    actor.knows(&[("x", 8), ("z", 0)]).await;
    producer.stop().await.expect("it ran");
    actor.exercise.stop().await.expect("it ran");
    drop(actor);
    pings_around_the_start(c, &world, &x, &z).await;
}

/// Each start of `z` is on an empty disk, and nothing but its question can bring what was before.
async fn pings_around_the_start(c: &Cluster, world: &World<'_>, x: &TestNode, z: &TestNode) {
    c.harness().delay(x.place(), z.place(), Duration::from_millis(5)).await;
    let x = world.act(x, &Disk::default(), First::Yes).await;
    for round in 1..=16_u64 {
        x.pings(1).await;
        let z = world.act(z, &Disk::default(), First::Yes).await;
        c.hold(Duration::from_millis(round)).await;
        x.pings(1).await;
        z.knows(&[("x", u128::from(round) * 2), ("z", 0)]).await;
        z.exercise.stop().await.expect("it ran");
    }
}

pub(crate) async fn scenario_12_a_catch_up_that_ran_into_its_deadline_is_repeated(c: &Cluster) {
    let mut world = World::new(c);
    world.settings.gossip_interval = DAY;
    world.settings.ask_deadline = Duration::from_millis(100);
    let [x, y, z] = world.booted().await;
    let [x, y] = [world.act(&x, &Disk::default(), First::Yes).await, world.act(&y, &Disk::default(), First::Yes).await];
    x.pings(7).await;
    y.knows(&[("x", 7), ("y", 0)]).await;
    let mut events = z.events();
    for far in [&x, &y] {
        c.harness().delay(far.node.place(), z.place(), Duration::from_millis(200)).await;
    }
    // What was sent when they came up has arrived, or gone the slow way to a consumer that is not there.
    c.hold(Duration::from_millis(400)).await;
    let z = world.act(&z, &Disk::default(), First::Yes).await;
    c.hold(Duration::from_millis(1_000)).await;
    assert_eq!(z.exercise.local().total, 0, "nobody could answer in time");
    for far in [&x, &y] {
        c.harness().delay(far.node.place(), z.node.place(), Duration::ZERO).await;
    }
    z.knows(&[("x", 7), ("y", 0), ("z", 0)]).await;
    events.drain().await;
    assert_eq!(events.downs(), 0, "the links were up all the time");
}

pub(crate) async fn scenario_13_a_producer_that_starts_late_is_counted_without_a_ping(c: &Cluster) {
    let mut world = World::new(c);
    world.settings.gossip_interval = DAY;
    let z = world.start("z", &Disk::default(), First::Yes).await;
    z.pings(5).await;
    // The servers of the node end before there is anybody who hears of it.
    let Actor { node: z, exercise, disk, .. } = z;
    exercise.stop().await.expect("it ran");
    drop(exercise);
    let x = world.start("x", &Disk::default(), First::Yes).await;
    let y = world.start("y", &Disk::default(), First::Yes).await;
    for node in [&x.node, &y.node] {
        node.events().until_linked(&[z.name().clone()]).await;
    }
    z.events().until_linked(&[x.node.name().clone(), y.node.name().clone()]).await;
    all_know(&[&x, &y], &[("x", 0), ("y", 0)]).await;
    let z = world.act(&z, &disk, First::Yes).await;
    all_know(&[&x, &y, &z], &[("x", 0), ("y", 0), ("z", 5)]).await;
}
