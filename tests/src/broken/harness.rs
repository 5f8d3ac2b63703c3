//! A harness whose nodes, or whose faults, are broken in one way.

use super::Fault;
use super::transport::Broken;
use crate::capability::Capabilities;
use crate::harness::{Greeted, Harness, Misbehaviour, Place, StartError, StartOptions, Timing};
use async_trait::async_trait;
use pingpong_core::config::Limits;
use pingpong_core::session::Versions;
use pingpong_core::transport::Shutdown;
use pingpong_core::{ClusterName, NodeName, Transport};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Gives out the transports of another harness with a [`Fault`] in each.
pub struct Breaking<H> {
    inner: H,
    fault: Fault,
    cut: Arc<AtomicBool>,
    nodes: Mutex<BTreeMap<Place, Arc<dyn Transport>>>,
    seeds: Mutex<BTreeMap<Place, Vec<Place>>>,
    /// Who lived at a place first.
    first: Mutex<BTreeMap<Place, NodeName>>,
    stopped: Mutex<BTreeSet<Place>>,
}

impl<H: Harness> Breaking<H> {
    /// Puts the fault into every node of `inner`.
    pub fn new(inner: H, fault: Fault) -> Self {
        let cut = Arc::new(AtomicBool::new(false));
        let (nodes, seeds) = (Mutex::default(), Mutex::default());
        Self { inner, fault, cut, nodes, seeds, first: Mutex::default(), stopped: Mutex::default() }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn at(&self, place: &Place) -> Option<Arc<dyn Transport>> {
        self.nodes.lock().unwrap().get(place).cloned()
    }

    fn change(&self, options: &mut StartOptions) {
        match self.fault {
            Fault::AcceptsBadBounds => options.limits = None,
            Fault::LargeWithoutBound => with_limits(options, |limits| limits.large_bytes = 256 << 20),
            Fault::RepliesWithoutBound => with_limits(options, |limits| limits.reply_bytes = 256 << 20),
            Fault::ForgetsNobody => options.forget_after = None,
            Fault::ForgetsSoon => options.forget_after = Some(self.timing().failure),
            Fault::IgnoresCluster => options.cluster = None,
            Fault::IgnoresIdentity => options.identity = None,
            Fault::DialsNobody => options.seeds.clear(),
            Fault::DropsDeadSeeds => {
                let nodes = self.nodes.lock().unwrap();
                options.seeds.retain(|seed| nodes.contains_key(seed));
            }
            _ => {}
        }
    }

    async fn block_told(&self, options: &StartOptions) {
        let known = self.seeds.lock().unwrap().clone();
        let (place, seeds) = (&options.place, &options.seeds);
        for (other, theirs) in known.iter().filter(|(other, _)| *other != place) {
            if !seeds.contains(other) {
                self.inner.block_dials(place, other).await;
            }
            if !theirs.contains(place) {
                self.inner.block_dials(other, place).await;
            }
        }
        self.seeds.lock().unwrap().insert(place.clone(), seeds.clone());
    }

    /// A place leads to the name that lived there first, and to no other.
    async fn block_successor(&self, options: &StartOptions) {
        let (name, place) = (&options.name, &options.place);
        let successor = {
            let mut first = self.first.lock().unwrap();
            first.entry(place.clone()).or_insert_with(|| name.clone()) != name
        };
        let places: Vec<Place> = self.nodes.lock().unwrap().keys().cloned().collect();
        for other in places.iter().filter(|other| successor && *other != place) {
            self.inner.block_dials(other, place).await;
        }
    }

    /// The words of a refusal without what follows the item.
    fn shortened(&self, error: StartError) -> StartError {
        let item = error.0.split([',', ';']).next().unwrap_or_default().to_owned();
        if self.is(Fault::ErrorsWithoutRemedy) { StartError(item) } else { error }
    }

    /// The words of a refusal that does not say what this node speaks.
    fn without_own_version(&self, greeted: Greeted) -> Greeted {
        match greeted {
            Greeted::Refused(words) if self.is(Fault::RefusalNamesOneVersion) => {
                Greeted::Refused(words.replace(&Versions::CURRENT.to_string(), "another"))
            }
            other => other,
        }
    }

    async fn loud(&self, one: &Place, other: &Place) {
        if let (Some(one), Some(other)) = (self.at(one), self.at(other)) {
            one.disconnect(&other.node().name).await;
        }
    }
}

/// Versions that no node speaks, whatever it was asked for.
const UNKNOWN: Versions = Versions { major: u16::MAX, oldest_minor: 0, newest_minor: 0 };

fn with_limits(options: &mut StartOptions, change: impl FnOnce(&mut Limits)) {
    change(options.limits.get_or_insert_default());
}

#[async_trait]
impl<H: Harness> Harness for Breaking<H> {
    fn runtime(&self) -> Runtime {
        self.inner.runtime()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn timing(&self) -> Timing {
        self.inner.timing()
    }

    async fn start(&self, mut options: StartOptions) -> Result<Arc<dyn Transport>, StartError> {
        self.change(&mut options);
        if self.is(Fault::DialsOnlySeeds) {
            self.block_told(&options).await;
        }
        if self.is(Fault::SeedsAreNames) {
            self.block_successor(&options).await;
        }
        let place = options.place.clone();
        if self.is(Fault::KeepsThePlace) && self.stopped.lock().unwrap().contains(&place) {
            return Err(StartError(format!("{place} is taken")));
        }
        let started = match self.inner.start(options).await {
            Err(_) if self.is(Fault::AcceptsATakenPlace) && self.at(&place).is_some() => {
                return Ok(self.at(&place).expect("it was asked"));
            }
            other => other.map_err(|error| self.shortened(error))?,
        };
        let timing = self.inner.timing();
        let broken: Arc<dyn Transport> = Arc::new(Broken::new(started, self.fault, timing, Arc::clone(&self.cut)));
        self.nodes.lock().unwrap().insert(place, Arc::clone(&broken));
        Ok(broken)
    }

    async fn stop(&self, place: &Place, deadline: Duration) -> Shutdown {
        let node = self.nodes.lock().unwrap().remove(place);
        let said = match node {
            Some(node) => Some(node.shutdown(deadline).await),
            None => None,
        };
        self.stopped.lock().unwrap().insert(place.clone());
        let inner = self.inner.stop(place, deadline).await;
        said.unwrap_or(inner)
    }

    async fn crash(&self, place: &Place) {
        self.nodes.lock().unwrap().remove(place);
        if self.is(Fault::CrashSaysGoodbye) {
            self.inner.stop(place, self.inner.timing().failure).await;
        } else {
            self.inner.crash(place).await;
        }
    }

    async fn cut(&self, one: &Place, other: &Place) {
        self.cut.store(true, Ordering::Relaxed);
        match self.fault {
            Fault::CutDoesNothing => {}
            Fault::CutIsLoud => self.loud(one, other).await,
            Fault::CutsAll => {
                let places: Vec<Place> = self.nodes.lock().unwrap().keys().cloned().collect();
                // The other one may be down, and is meant all the same.
                self.inner.cut(one, other).await;
                for place in places.iter().filter(|place| *place != one && *place != other) {
                    self.inner.cut(one, place).await;
                }
            }
            _ => self.inner.cut(one, other).await,
        }
    }

    async fn cut_one_way(&self, from: &Place, to: &Place) {
        self.cut.store(true, Ordering::Relaxed);
        match self.fault {
            Fault::CutDoesNothing => {}
            Fault::CutOneWayCutsBoth => self.inner.cut(from, to).await,
            _ => self.inner.cut_one_way(from, to).await,
        }
    }

    async fn partition(&self, groups: &[Vec<Place>]) {
        if !self.is(Fault::CutDoesNothing) {
            self.inner.partition(groups).await;
        }
    }

    async fn heal(&self, one: &Place, other: &Place) {
        self.cut.store(false, Ordering::Relaxed);
        if !self.is(Fault::HealDoesNothing) {
            self.inner.heal(one, other).await;
        }
    }

    async fn heal_all(&self) {
        self.cut.store(false, Ordering::Relaxed);
        if !self.is(Fault::HealDoesNothing) {
            self.inner.heal_all().await;
        }
    }

    async fn delay(&self, one: &Place, other: &Place, each_way: Duration) {
        match self.fault {
            Fault::DelayDoesNothing => {}
            Fault::DelayCuts => self.inner.cut(one, other).await,
            _ => self.inner.delay(one, other, each_way).await,
        }
    }

    async fn stall(&self, place: &Place) {
        self.inner.stall(place).await;
    }

    async fn resume(&self, place: &Place) {
        if !self.is(Fault::ResumeDoesNothing) {
            self.inner.resume(place).await;
        }
    }

    async fn suspend(&self, time: Duration) {
        if !self.is(Fault::SuspendDoesNothing) {
            self.inner.suspend(time).await;
        }
        if self.is(Fault::OwnPauseIsSilence) {
            let places: Vec<Place> = self.nodes.lock().unwrap().keys().cloned().collect();
            for (one, other) in places.iter().zip(places.iter().skip(1)) {
                self.loud(one, other).await;
            }
        }
    }

    async fn freeze(&self, place: &Place) {
        match self.fault {
            Fault::FreezeDoesNothing => {}
            Fault::FreezeStallsTheNode => self.inner.stall(place).await,
            _ => self.inner.freeze(place).await,
        }
    }

    async fn thaw(&self, place: &Place) {
        match self.fault {
            Fault::ThawDoesNothing => {}
            Fault::FreezeStallsTheNode => self.inner.resume(place).await,
            _ => self.inner.thaw(place).await,
        }
    }

    async fn break_lane(&self, place: &Place) {
        if !self.is(Fault::BreakLaneDoesNothing) {
            self.inner.break_lane(place).await;
        }
    }

    async fn block_dials(&self, from: &Place, to: &Place) {
        self.inner.block_dials(from, to).await;
        if self.is(Fault::NeedsBothToDial) {
            self.inner.block_dials(to, from).await;
        }
    }

    async fn greet(&self, to: &Place, cluster: &ClusterName, versions: Versions) -> Greeted {
        match self.fault {
            Fault::AcceptsAnyVersion => self.inner.greet(to, cluster, Versions::CURRENT).await,
            Fault::RefusesEveryVersion => self.inner.greet(to, cluster, UNKNOWN).await,
            _ => self.without_own_version(self.inner.greet(to, cluster, versions).await),
        }
    }

    async fn answer(&self, at: &Place, cluster: &ClusterName, versions: Versions) -> Greeted {
        match self.fault {
            Fault::AcceptsAnyVersion => self.inner.answer(at, cluster, Versions::CURRENT).await,
            Fault::RefusesEveryVersion => self.inner.answer(at, cluster, UNKNOWN).await,
            _ => self.without_own_version(self.inner.answer(at, cluster, versions).await),
        }
    }

    async fn misbehave(&self, to: &Place, how: Misbehaviour) -> Greeted {
        // Whoever believes without an answer, or without a proof, takes the peer for linked: as if it had kept to the protocol so far.
        let believed = match (self.fault, how) {
            (Fault::UpWithoutAnAnswer, Misbehaviour::NoAnswer) | (Fault::BelievesNames, Misbehaviour::AnotherName) => {
                Misbehaviour::EndedLane
            }
            _ => how,
        };
        let said = self.inner.misbehave(to, believed).await;
        if self.is(Fault::BlamesNobody) { Greeted::Refused("closed".to_owned()) } else { said }
    }
}
