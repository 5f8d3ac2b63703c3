//! A node that plays: with a disk that outlives it, and members that vote.

use crate::disk::Disk;
use pingpong_conformance::toolkit::{Cluster, TestNode, node};
use pingpong_core::exercise::{
    Exercise, Ledger, LedgerOptions, MajorityRead, Members, Pinged, ReadError, Settings, Store,
};
use pingpong_core::{ClusterName, NodeName};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The names of most scenarios; all of them vote.
pub(crate) const XYZ: [&str; 3] = ["x", "y", "z"];

/// Who votes, and the world that they are in.
pub(crate) struct World<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) members: Members,
    pub(crate) settings: Settings,
}

impl<'a> World<'a> {
    /// `x`, `y` and `z` vote.
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        let mut settings = Settings::default();
        settings.restart.max_restarts = 1_000;
        settings.ping_deadline = cluster.timing().patience();
        Self { cluster, members: members("prod", &XYZ), settings }
    }

    /// Starts a node. On an empty disk it is the first of its name, or has lost its disk.
    pub(crate) async fn start(&self, name: &str, disk: &Disk, first: First) -> Actor {
        self.start_with(name, disk, first, self.members.clone()).await
    }

    pub(crate) async fn start_with(&self, name: &str, disk: &Disk, first: First, members: Members) -> Actor {
        let node = self.boot(name).await;
        let exercise = self.play(&node, disk.store(), first, members).await;
        self.actor(node, exercise, disk)
    }

    /// Starts a node without servers.
    pub(crate) async fn boot(&self, name: &str) -> TestNode {
        let others: Vec<&str> = XYZ.into_iter().filter(|other| *other != name).collect();
        self.cluster.start(name, &others).await
    }

    /// Nodes without servers, linked all with all.
    pub(crate) async fn booted(&self) -> [TestNode; 3] {
        self.cluster.linked(XYZ).await
    }

    /// The servers of a node start, on this disk.
    pub(crate) async fn act(&self, node: &TestNode, disk: &Disk, first: First) -> Actor {
        let exercise = self.play(node, disk.store(), first, self.members.clone()).await;
        self.actor(node.clone(), exercise, disk)
    }

    pub(crate) async fn play(&self, node: &TestNode, store: impl Store, first: First, members: Members) -> Exercise {
        let options = LedgerOptions { members: Some(members), init: first == First::Yes, ..LedgerOptions::default() };
        let ledger = Ledger::open(store, &node.transport().node(), options).await.expect("the disk works");
        Exercise::start(node.transport(), ledger, self.settings.clone()).expect("the names are free")
    }

    pub(crate) fn actor(&self, node: TestNode, exercise: Exercise, disk: &Disk) -> Actor {
        Actor { node, exercise, disk: disk.clone(), patience: self.cluster.timing().patience() }
    }

    /// The members on new disks, linked all with all; they vote.
    pub(crate) async fn first_start(&self) -> [Actor; 3] {
        let mut actors = Vec::new();
        for name in XYZ {
            actors.push(self.start(name, &Disk::default(), First::Yes).await);
        }
        let actors: [Actor; 3] = actors.try_into().unwrap_or_else(|_| unreachable!("one of each"));
        self.linked(&actors.each_ref()).await;
        for actor in &actors {
            actor.votes().await;
        }
        actors
    }

    /// Waits until all of them are linked.
    pub(crate) async fn linked(&self, actors: &[&Actor]) {
        for actor in actors {
            let others =
                actors.iter().map(|other| other.node.name().clone()).filter(|other| other != actor.node.name());
            actor.node.events().until_linked(&others.collect::<Vec<_>>()).await;
        }
    }

    /// Cuts one off from all others, and waits until everybody has noticed.
    pub(crate) async fn cut_off(&self, one: &Actor, others: &[&Actor]) {
        self.split(&[&[one], others]).await;
    }

    pub(crate) async fn heal(&self, actors: &[&Actor]) {
        self.cluster.harness().heal_all().await;
        self.linked(actors).await;
    }

    /// Cuts the cluster into these groups, and waits until everybody has noticed.
    pub(crate) async fn split(&self, groups: &[&[&Actor]]) {
        let places = |group: &&[&Actor]| group.iter().map(|actor| actor.node.place().clone()).collect();
        self.cluster.harness().partition(&groups.iter().map(places).collect::<Vec<_>>()).await;
        for group in groups {
            for actor in *group {
                let rest = group.iter().map(|rest| rest.node.name().clone()).filter(|name| name != actor.node.name());
                actor.node.events().until_linked_only(&rest.collect::<Vec<_>>()).await;
            }
        }
    }

    /// The process of a node is killed. Its disk stays.
    pub(crate) async fn kill(&self, actor: Actor) -> Disk {
        let Actor { node, exercise, disk, patience } = actor;
        let ledger = Arc::downgrade(exercise.ledger());
        drop(exercise);
        self.cluster.crash(node).await;
        // A process that is gone touches its disk no more.
        let gone = async {
            while ledger.strong_count() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(patience, gone).await.expect("nothing keeps the ledger of a node that is gone");
        disk
    }
}

/// Whether a node that starts on an empty disk is the first one of its name (`init`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    Yes,
    No,
}

pub(crate) fn members(cluster: &str, names: &[&str]) -> Members {
    Members::new(ClusterName::new(cluster).unwrap(), names.iter().map(|name| node(name))).unwrap()
}

/// A node with its exercise.
pub(crate) struct Actor {
    pub(crate) node: TestNode,
    pub(crate) exercise: Exercise,
    pub(crate) disk: Disk,
    pub(crate) patience: Duration,
}

impl Actor {
    pub(crate) async fn pings(&self, pings: u64) -> Pinged {
        self.soon("a ping", self.exercise.ping(pings)).await.expect("it is counted")
    }

    pub(crate) async fn pings_for_good(&self, pings: u64) -> Pinged {
        let pinged = self.soon("a ping", self.exercise.ping_majority(pings, self.patience)).await;
        pinged.expect("a majority has it")
    }

    pub(crate) async fn reads(&self) -> Result<MajorityRead, ReadError> {
        self.soon("a read", self.exercise.majority(self.patience)).await
    }

    /// What a majority says; waits for members that recover.
    pub(crate) async fn reads_soon(&self) -> MajorityRead {
        let read = async {
            loop {
                match self.exercise.majority(self.patience).await {
                    Ok(read) => return read,
                    Err(ReadError::Recovering { .. } | ReadError::Unavailable { .. }) => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    Err(error) => panic!("{}: {error}", self.node.name()),
                }
            }
        };
        self.soon("a read", read).await
    }

    /// Waits until this node knows exactly these counts.
    pub(crate) async fn knows(&self, counts: &[(&str, u128)]) {
        let expected = values(counts);
        let right = timeout(self.patience, self.exercise.local_until(|read| read.values == expected)).await;
        if right.is_err() {
            panic!("{} should know {expected:?}, it knows {:?}", self.node.name(), self.exercise.local().values);
        }
    }

    /// Waits until this node votes.
    pub(crate) async fn votes(&self) {
        let votes = async {
            tokio::select! {
                () = self.exercise.ledger().until_active() => {}
                stopped = self.exercise.stopped() => panic!("{} has stopped: {stopped:?}", self.node.name()),
            }
        };
        self.soon("its recovery", votes).await;
    }

    /// Must be ready before long.
    pub(crate) async fn soon<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let name = self.node.name();
        timeout(self.patience * 2, future).await.unwrap_or_else(|_| panic!("{name}: it hangs: {what}"))
    }
}

/// Waits until all of them know exactly these counts.
pub(crate) async fn all_know(actors: &[&Actor], counts: &[(&str, u128)]) {
    for actor in actors {
        actor.knows(counts).await;
    }
}

/// The counts of one producer on this node, epoch by epoch.
pub(crate) fn epochs(actor: &Actor, producer: &str) -> Vec<u64> {
    actor.exercise.ledger().counts().epochs(&node(producer)).map(|(_, count)| count).collect()
}

pub(crate) fn values(counts: &[(&str, u128)]) -> BTreeMap<NodeName, u128> {
    counts.iter().map(|(name, count)| (node(name), *count)).collect()
}
