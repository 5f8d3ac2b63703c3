//! What happens to the nodes of a run, step by step, until all is healed.

use crate::disk::Fault;
use crate::plan::{Manner, Name, Server, Step};
use crate::world::World;
use pingpong_conformance::Place;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl World {
    /// From now on a disk does it like this.
    pub(crate) fn behave(&self, name: Name, manner: Manner) {
        let commit = self.setup.commit;
        let (latency, fault) = match manner {
            Manner::Well => (commit, None),
            Manner::Slow(latency) => (latency, None),
            Manner::Full => (commit, Some(Fault::Full)),
            Manner::HeldBefore => (commit, Some(Fault::HeldBefore)),
            Manner::HeldAfter => (commit, Some(Fault::HeldAfter)),
            Manner::FailsSync { kept } => (commit, Some(Fault::Sync { kept })),
        };
        self.host(name).disk.behave(|manner| (manner.latency, manner.fault) = (latency, fault));
    }

    async fn crash_server(&self, name: Name, server: Server) {
        let Some(life) = self.life(name) else { return };
        let handle = match server {
            Server::Producer => Some(life.exercise.producer()),
            Server::Consumer => Some(life.exercise.consumer()),
            Server::Member => life.exercise.member(),
        };
        if let Some(handle) = handle {
            life.crashes.fetch_add(1, Ordering::Relaxed);
            handle.crash().await;
        }
    }

    /// All links of this node are well, all others cut.
    pub(crate) async fn star(&self, hub: Name) {
        let names = self.names();
        for (at, one) in names.iter().enumerate() {
            for other in &names[at + 1..] {
                let (a, b) = (Place::from(*one), Place::from(*other));
                if *one == hub || *other == hub {
                    self.harness().heal(&a, &b).await;
                } else {
                    self.harness().cut(&a, &b).await;
                }
            }
        }
    }

    /// How long packets between two nodes take.
    async fn far(&self, one: Name, other: Name, far: Duration) {
        self.harness().delay(&one.into(), &other.into(), far).await;
    }

    pub(crate) async fn calm(&self) {
        let names = self.names();
        for (at, one) in names.iter().enumerate() {
            for other in &names[at + 1..] {
                self.far(one, other, self.setup.far).await;
            }
        }
    }

    pub(crate) async fn step(&mut self, step: &Step) {
        self.record.note(format!("{step:?}"));
        let harness = self.harness();
        match step {
            Step::Cut(a, b) => harness.cut(&(*a).into(), &(*b).into()).await,
            Step::CutOneWay(a, b) => harness.cut_one_way(&(*a).into(), &(*b).into()).await,
            Step::Heal(a, b) => harness.heal(&(*a).into(), &(*b).into()).await,
            Step::HealAll => harness.heal_all().await,
            Step::Split(groups) => {
                let places = |group: &Vec<Name>| group.iter().copied().map(Place::from).collect();
                harness.heal_all().await;
                harness.partition(&groups.iter().map(places).collect::<Vec<Vec<Place>>>()).await;
            }
            Step::Star(hub) => self.star(hub).await,
            Step::Delay(a, b, far) => self.far(a, b, *far).await,
            Step::Far(name, far) => {
                for other in self.names().into_iter().filter(|other| other != name) {
                    self.far(name, other, *far).await;
                }
            }
            Step::Calm => self.calm().await,
            Step::Stall(name) => harness.stall(&(*name).into()).await,
            Step::Resume(name) => harness.resume(&(*name).into()).await,
            Step::Crash(name, server) => self.crash_server(name, *server).await,
            Step::Kill(name, fate, in_flight) => self.kill(name, *fate, *in_flight).await,
            Step::Lose(names) => self.lose(names).await,
            Step::AcceptLoss => self.accept_loss().await,
            Step::Copy(name) => self.copy(name),
            Step::PutBack(name) => self.put_back(name),
            Step::Start(name) => self.start(name).await,
            Step::StopServers(name) => self.stop_servers(name).await,
            Step::Disk(name, manner) => self.behave(name, *manner),
        }
    }

    /// All faults end, but for the cuts around the hub if there is one.
    pub(crate) async fn heal(&mut self, hub: Option<Name>) {
        // Nobody votes else, however well all is.
        self.accept_loss().await;
        match hub {
            Some(hub) => self.star(hub).await,
            None => self.harness().heal_all().await,
        }
        self.calm().await;
        for name in self.names() {
            self.harness().resume(&name.into()).await;
            self.behave(name, Manner::Well);
        }
        // Whoever has an older copy comes last: others must be there to tell.
        let mut names = self.names();
        names.sort_by_key(|name| self.host(name).copies.is_older());
        for name in names {
            self.start(name).await;
        }
    }
}
