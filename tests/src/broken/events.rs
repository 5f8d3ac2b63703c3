//! Monitors and lists that go wrong.

use super::Fault;
use super::transport::State;
use pingpong_core::{DownReason, Incarnation, Node, NodeChange, NodeEvent, NodeEvents, NodeName};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::time::Instant;

/// What faults of membership remember.
#[derive(Default)]
pub(super) struct Memory {
    monitors: AtomicU64,
    known: Mutex<BTreeMap<NodeName, Node>>,
    gone: Mutex<BTreeSet<NodeName>>,
}

fn without_words(change: NodeChange) -> NodeChange {
    match change {
        NodeChange::Down(DownReason::Protocol(_)) => NodeChange::Down(DownReason::Protocol(String::new())),
        other => other,
    }
}

/// A node without its life.
pub(super) fn timeless(mut node: Node) -> Node {
    node.incarnation = Incarnation::default();
    node
}

pub(super) fn list(state: &State) -> Vec<Node> {
    let mut list = state.inner.list();
    let mut known = state.events.known.lock().unwrap();
    known.extend(list.iter().map(|node| (node.name.clone(), node.clone())));
    let gone = state.events.gone.lock().unwrap();
    match state.fault {
        Fault::ListUnsorted => list.reverse(),
        Fault::ListHasTheLocalNode => {
            list.push(state.inner.node());
            list.sort();
        }
        Fault::ListLags => drop(list.pop()),
        Fault::ListKeepsTheDead => list = known.values().cloned().collect(),
        Fault::OneLossTakesAll if !gone.is_empty() => list.clear(),
        Fault::NoRedial => list.retain(|node| !gone.contains(&node.name)),
        Fault::HidesIncarnations => list = list.into_iter().map(timeless).collect(),
        _ => {}
    }
    list
}

/// A monitor that is read through a fault.
struct Bent {
    inner: NodeEvents,
    state: Arc<State>,
    ready: VecDeque<NodeEvent>,
    /// Ups that a monitor begins with.
    initial: usize,
    seen: usize,
    /// Which monitor of its node this is.
    number: u64,
    hidden: Option<NodeEvent>,
}

pub(super) fn monitor(state: &Arc<State>) -> NodeEvents {
    let inner = state.inner.monitor();
    match state.fault {
        Fault::MonitorBuffers => return buffered(inner),
        Fault::MonitorBeginsAtItsFirstRead => return late(state),
        _ => {}
    }
    let (initial, number) = (state.inner.list().len(), state.events.monitors.fetch_add(1, Ordering::Relaxed));
    let state = Arc::clone(state);
    let bent = Bent { inner, state, ready: VecDeque::new(), initial, seen: 0, number, hidden: None };
    NodeEvents::new(futures_util::stream::unfold(bent, |mut bent| async move { Some((bent.next().await?, bent)) }))
}

/// Reads all the time into a buffer, and folds nothing.
fn buffered(mut inner: NodeEvents) -> NodeEvents {
    let (give, take) = tokio::sync::mpsc::channel(10_000);
    tokio::spawn(async move {
        while let Some(event) = inner.next().await {
            if give.send(event).await.is_err() {
                return;
            }
        }
    });
    NodeEvents::new(futures_util::stream::unfold(take, |mut take| async move { Some((take.recv().await?, take)) }))
}

/// Lists at the call, and subscribes at the first read: what happens in between is lost.
fn late(state: &Arc<State>) -> NodeEvents {
    let (state, linked) = (Arc::clone(state), state.inner.list());
    let first = linked.into_iter().map(|node| NodeEvent { node, change: NodeChange::Up, skipped: 0 });
    let (first, inner): (VecDeque<NodeEvent>, Option<NodeEvents>) = (first.collect(), None);
    let read = async move |mut first: VecDeque<NodeEvent>, mut inner: Option<NodeEvents>| {
        if inner.is_none() {
            let mut fresh = state.inner.monitor();
            for _ in state.inner.list() {
                fresh.next().await?;
            }
            inner = Some(fresh);
        }
        let event = match (first.pop_front(), &mut inner) {
            (Some(event), _) => event,
            (None, Some(inner)) => inner.next().await?,
            (None, None) => return None,
        };
        Some((event, (first, inner)))
    };
    let read = Arc::new(read);
    NodeEvents::new(futures_util::stream::unfold((first, inner), move |(first, inner)| {
        let read = Arc::clone(&read);
        async move { read(first, inner).await }
    }))
}

impl Bent {
    async fn next(&mut self) -> Option<NodeEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let asked = Instant::now();
            let idle = self.state.is(Fault::FlapsWhenIdle) && self.seen > 0;
            let taken = if idle {
                match tokio::time::timeout(self.state.timing.failure / 2, self.inner.next()).await {
                    Ok(taken) => taken,
                    Err(_) => {
                        self.flap();
                        continue;
                    }
                }
            } else {
                self.inner.next().await
            };
            let Some(event) = taken else {
                if self.state.is(Fault::MonitorNeverEnds) {
                    std::future::pending::<()>().await;
                }
                return None;
            };
            if self.state.is(Fault::DozesOff) && asked.elapsed() >= self.state.timing.failure {
                continue;
            }
            self.seen += 1;
            if let (Fault::LateDowns, NodeChange::Down(DownReason::Lost)) = (self.state.fault, &event.change) {
                tokio::time::sleep(self.state.timing.failure * 12).await;
            }
            self.bend(event);
        }
    }

    fn flap(&mut self) {
        if let Some(node) = self.state.inner.list().first() {
            for change in [NodeChange::Down(DownReason::Lost), NodeChange::Up] {
                self.ready.push_back(NodeEvent { node: node.clone(), change, skipped: 0 });
            }
        }
    }

    fn bend(&mut self, mut event: NodeEvent) {
        let (up, live) = (event.is_up(), self.seen > self.initial);
        let state = Arc::clone(&self.state);
        let mut gone = state.events.gone.lock().unwrap();
        match state.fault {
            Fault::ForgetsDowns if !up => return,
            Fault::ForgetsLiveEvents if live => return,
            Fault::OnlyTheFirstMonitorLives if live && self.number > 0 => return,
            Fault::MonitorStartsEmpty if !live => return,
            Fault::UpTwice if up => self.ready.push_back(event.clone()),
            Fault::OneReasonForAllDowns if !up => event.change = NodeChange::Down(DownReason::Lost),
            Fault::OverloadIsLost if event.change == NodeChange::Down(DownReason::Overloaded) => {
                event.change = NodeChange::Down(DownReason::Lost);
            }
            Fault::PeerLostUsIsLost if event.change == NodeChange::Down(DownReason::PeerLostUs) => {
                event.change = NodeChange::Down(DownReason::Lost);
            }
            Fault::ReplacedIsLost if event.change == NodeChange::Down(DownReason::Replaced) => {
                event.change = NodeChange::Down(DownReason::Lost);
            }
            Fault::ProtocolWithoutWords => event.change = without_words(event.change),
            Fault::OverloadTakesAll if event.change == NodeChange::Down(DownReason::Overloaded) => {
                for node in state.inner.list() {
                    let state = Arc::clone(&state);
                    tokio::spawn(async move { state.inner.disconnect(&node.name).await });
                }
            }
            Fault::LostIsDisconnected if event.change == NodeChange::Down(DownReason::Lost) => {
                event.change = NodeChange::Down(DownReason::Disconnected);
            }
            Fault::AlwaysFlushed if event.change == NodeChange::Down(DownReason::Left { flushed: false }) => {
                event.change = NodeChange::Down(DownReason::Left { flushed: true });
            }
            Fault::DownNamesAnother if !up => event.node.incarnation = Incarnation::above(event.incarnation(), 0, 0),
            Fault::FoldsSilently => event.skipped = 0,
            Fault::OneLossTakesAll if event.change == NodeChange::Down(DownReason::Lost) => {
                gone.insert(event.node.name.clone());
            }
            Fault::NoRedial => {
                if !up {
                    gone.insert(event.node.name.clone());
                } else if gone.contains(&event.node.name) {
                    return;
                }
            }
            Fault::HidesIncarnations => event.node = timeless(event.node),
            Fault::FoldsRestarts => return self.fold(event),
            Fault::OverloadIsHidden if up || event.change == NodeChange::Down(DownReason::Overloaded) => {
                return self.fold(event);
            }
            Fault::OneSidedDown if event.node.name < self.state.inner.node().name => return self.fold(event),
            _ => {}
        }
        self.ready.push_back(event);
    }

    /// Hides a `Down` and the `Up` that follows it.
    fn fold(&mut self, event: NodeEvent) {
        if !event.is_up() {
            self.hidden = Some(event);
        } else if self.hidden.take().is_none() {
            self.ready.push_back(event);
        }
    }
}
