//! Nodes that live, die and come back, and the history of what their clients saw.

use super::Dice;
use crate::actor::{Actor, First, World};
use crate::disk::{Disk, Manner};
use pingpong_conformance::history::{History, Id, Operation, Outcome};
use pingpong_conformance::toolkit::{Cluster, node};
use pingpong_core::exercise::{Counts, ExerciseError, Standing, Trouble};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// One life of a node.
pub(super) struct Life {
    pub(super) actor: Actor,
    over: watch::Sender<bool>,
}

impl Life {
    /// Waits until the process is killed.
    pub(super) async fn ended(&self) {
        let mut over = self.over.subscribe();
        let _ = over.wait_for(|over| *over).await;
    }
}

pub(super) struct Stage<'a> {
    pub(super) world: World<'a>,
    pub(super) names: &'static [&'static str],
    lives: RefCell<BTreeMap<&'static str, Rc<Life>>>,
    /// Those that are dead, with their disks.
    graves: RefCell<BTreeMap<&'static str, Disk>>,
    pub(super) history: RefCell<History>,
    pub(super) over: Cell<bool>,
    begun: Instant,
}

impl<'a> Stage<'a> {
    pub(super) async fn new(c: &'a Cluster, names: &'static [&'static str]) -> Self {
        let stage = Self {
            world: World::new(c),
            names,
            lives: RefCell::default(),
            graves: RefCell::default(),
            history: RefCell::default(),
            over: Cell::new(false),
            begun: Instant::now(),
        };
        for name in names {
            let actor = stage.world.start(name, &Disk::default(), First::Yes).await;
            stage.lives.borrow_mut().insert(name, Rc::new(Life { actor, over: watch::Sender::new(false) }));
        }
        stage.all_linked().await;
        stage.all_vote().await;
        stage
    }

    /// The node of that name, if it lives.
    pub(super) fn life(&self, name: &str) -> Option<Rc<Life>> {
        self.lives.borrow().get(name).cloned()
    }

    fn all(&self) -> Vec<Rc<Life>> {
        self.lives.borrow().values().cloned().collect()
    }

    async fn all_linked(&self) {
        let all = self.all();
        self.world.linked(&all.iter().map(|life| &life.actor).collect::<Vec<_>>()).await;
    }

    async fn all_vote(&self) {
        for life in self.all().iter().filter(|life| life.actor.exercise.member().is_some()) {
            life.actor.votes().await;
        }
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).expect("it is not that late")
    }

    pub(super) fn begin(&self, operation: Operation) -> Id {
        self.history.borrow_mut().begin(self.now(), operation)
    }

    pub(super) fn end(&self, id: Id, outcome: Outcome) {
        self.history.borrow_mut().end(id, self.now(), outcome);
    }

    /// The process is killed. Its clients are told first, as they hold it.
    pub(super) async fn kill(&self, name: &'static str) {
        let Some(life) = self.lives.borrow_mut().remove(name) else { return };
        life.over.send_replace(true);
        while Rc::strong_count(&life) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let life = Rc::into_inner(life).expect("nobody else holds it");
        let disk = self.world.kill(life.actor).await;
        self.graves.borrow_mut().insert(name, disk);
    }

    /// Whether a disk may be lost: fewer stores than a majority of members are lost at once (P12).
    pub(super) fn may_lose(&self, name: &str) -> bool {
        let members = self.world.members.names();
        let is_whole = |other: &str| {
            let life = self.life(other);
            let disk = life.map(|life| life.actor.disk.clone()).or_else(|| self.graves.borrow().get(other).cloned());
            let kept = disk.and_then(|disk| disk.kept());
            kept.is_some_and(|kept| kept.identity.standing == Standing::Active)
        };
        let is_member = |name: &str| members.iter().any(|member| member.as_str() == name);
        !is_member(name)
            || members.iter().filter(|member| member.as_str() != name).all(|member| is_whole(member.as_str()))
    }

    /// The disk of a dead node is lost.
    pub(super) fn lose(&self, name: &'static str) {
        if let Some(disk) = self.graves.borrow().get(name) {
            disk.put(None);
            self.history.borrow_mut().store_lost(self.now(), node(name));
        }
    }

    /// A dead node starts again, on a disk that works.
    pub(super) async fn start(&self, name: &'static str) {
        let Some(disk) = self.graves.borrow_mut().remove(name) else { return };
        disk.behave(|manner| *manner = Manner::default());
        // A new life has a later wall clock, whose unit is the millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let actor = self.world.start(name, &disk, First::No).await;
        self.lives.borrow_mut().insert(name, Rc::new(Life { actor, over: watch::Sender::new(false) }));
    }

    /// Nodes whose syncs have failed must stop, and start again; no other must stop.
    pub(super) async fn restart_those_that_stopped(&self) {
        for name in self.names {
            let Some(life) = self.life(name) else { continue };
            let stopped = tokio::time::timeout(Duration::ZERO, life.actor.exercise.stopped()).await;
            drop(life);
            match stopped {
                Err(_) => {}
                Ok(Err(ExerciseError::Trouble(Trouble::StoreFailed(_)))) => {
                    self.kill(name).await;
                    self.start(name).await;
                }
                Ok(stopped) => panic!("{name} has stopped: {stopped:?}"),
            }
        }
    }

    /// All faults end, and all have the same in the end. Returns what.
    pub(super) async fn settles(&self) -> Arc<Counts> {
        let harness = self.world.cluster.harness();
        harness.heal_all().await;
        for (at, name) in self.names.iter().enumerate() {
            for other in &self.names[..at] {
                harness.delay(&(*name).into(), &(*other).into(), Duration::ZERO).await;
            }
        }
        for name in self.names {
            self.start(name).await;
        }
        self.all().iter().for_each(|life| life.actor.disk.behave(|manner| *manner = Manner::default()));
        self.restart_those_that_stopped().await;
        self.all_linked().await;
        let all = self.all();
        self.all_vote().await;
        for life in &all {
            super::clients::pings(self, life).await;
        }
        let same = async {
            loop {
                let mut counts: Vec<_> = all.iter().map(|life| life.actor.exercise.ledger().counts()).collect();
                counts.dedup();
                if let [same] = &counts[..] {
                    return Arc::clone(same);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let patience = self.world.cluster.timing().patience();
        tokio::time::timeout(patience, same).await.unwrap_or_else(|_| {
            let counts = all.iter().map(|life| life.actor.exercise.ledger().counts()).collect::<Vec<_>>();
            panic!("they never agree: {counts:#?}");
        })
    }

    /// A pause of up to so many milliseconds.
    pub(super) async fn pause(&self, dice: &mut Dice, most: u64) {
        tokio::time::sleep(Duration::from_millis(dice.roll(most))).await;
    }
}
