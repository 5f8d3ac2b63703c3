//! A monitor with deadlines.

use crate::harness::Timing;
use pingpong_core::{DownReason, Node, NodeChange, NodeEvent, NodeEvents, NodeName};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A monitor that is read when the case asks; events of other names wait until they are asked for.
pub struct Events {
    stream: NodeEvents,
    waiting: VecDeque<NodeEvent>,
    log: Vec<NodeEvent>,
    who: String,
    timing: Timing,
}

impl Events {
    pub(super) fn new(stream: NodeEvents, who: String, timing: Timing) -> Self {
        Self { stream, waiting: VecDeque::new(), log: Vec::new(), who, timing }
    }

    /// All events that were read so far.
    pub fn log(&self) -> &[NodeEvent] {
        &self.log
    }

    async fn read(&mut self, deadline: Instant) -> Option<NodeEvent> {
        let event = timeout_at(deadline, self.stream.next()).await.ok()??;
        self.log.push(event.clone());
        Some(event)
    }

    /// The next event of any name.
    pub async fn any(&mut self, what: &str) -> NodeEvent {
        if let Some(event) = self.waiting.pop_front() {
            return event;
        }
        let deadline = Instant::now() + self.timing.patience();
        match self.read(deadline).await {
            Some(event) => event,
            None => panic!("monitor of {}: expected {what}; seen {:?}", self.who, self.log),
        }
    }

    /// The next event of that name, for which it waits at most `bound`.
    pub async fn next_within(&mut self, bound: Duration, name: &NodeName, what: &str) -> NodeEvent {
        if let Some(at) = self.waiting.iter().position(|event| event.node.name == *name) {
            return self.waiting.remove(at).expect("it was found there");
        }
        let deadline = Instant::now() + bound;
        loop {
            match self.read(deadline).await {
                Some(event) if event.node.name == *name => return event,
                Some(event) => self.waiting.push_back(event),
                None => {
                    panic!("monitor of {}: expected {what} of {name} within {bound:?}; seen {:?}", self.who, self.log)
                }
            }
        }
    }

    /// The next event of that name, which must be `Up`.
    pub async fn up(&mut self, name: &NodeName) -> Node {
        let event = self.next_within(self.timing.patience(), name, "Up").await;
        assert!(event.is_up(), "monitor of {}: expected Up of {name}, seen {event}", self.who);
        event.node
    }

    /// The next event of that name, which must be `Down`.
    pub async fn down(&mut self, name: &NodeName) -> (Node, DownReason) {
        self.down_within(self.timing.patience(), name).await
    }

    /// The next event of that name, which must be `Down` and come within `bound`.
    pub async fn down_within(&mut self, bound: Duration, name: &NodeName) -> (Node, DownReason) {
        let event = self.next_within(bound, name, "Down").await;
        match event.change {
            NodeChange::Down(reason) => (event.node, reason),
            NodeChange::Up => panic!("monitor of {}: expected Down of {name}, seen {event}", self.who),
        }
    }

    /// Waits until an `Up` of each of these names was the last that was read of it.
    pub async fn until_linked(&mut self, names: &[NodeName]) {
        let deadline = Instant::now() + self.timing.patience();
        while let Some(missing) = names.iter().find(|name| !self.is_linked(name)) {
            let missing = missing.clone();
            if self.read(deadline).await.is_none() {
                panic!("monitor of {}: expected a link with {missing}; seen {:?}", self.who, self.log);
            }
        }
    }

    /// Waits until these names, and no others, are linked.
    pub async fn until_linked_only(&mut self, names: &[NodeName]) {
        // A monitor that was never read knows of nobody.
        self.drain().await;
        let wanted: BTreeSet<&NodeName> = names.iter().collect();
        self.until(&format!("links with {names:?} alone"), |log| {
            let mut linked = BTreeSet::new();
            for NodeEvent { node, change, .. } in log {
                match change {
                    NodeChange::Up => linked.insert(&node.name),
                    NodeChange::Down(_) => linked.remove(&node.name),
                };
            }
            linked == wanted
        })
        .await;
    }

    fn is_linked(&self, name: &NodeName) -> bool {
        self.log.iter().rev().find(|event| event.node.name == *name).is_some_and(NodeEvent::is_up)
    }

    /// Lets that much time pass, in which no event may come.
    pub async fn quiet(&mut self, time: Duration, why: &str) {
        let event = self.waiting.pop_front();
        let event = if event.is_some() { event } else { self.read(Instant::now() + time).await };
        if let Some(event) = event {
            panic!("monitor of {}: expected no event ({why}), seen {event}; before {:?}", self.who, self.log);
        }
    }

    /// Reads until what was read satisfies `done`.
    pub async fn until(&mut self, what: &str, done: impl Fn(&[NodeEvent]) -> bool) {
        let deadline = Instant::now() + self.timing.patience();
        while !done(&self.log) {
            if self.read(deadline).await.is_none() {
                panic!("monitor of {}: expected {what}; seen {:?}", self.who, self.log);
            }
        }
    }

    /// Reads what is there, and waits for nothing.
    pub async fn drain(&mut self) {
        self.gather(Duration::ZERO).await;
    }

    /// How many sessions have ended so far, those that were folded included.
    pub fn downs(&self) -> u64 {
        let down = |event: &NodeEvent| u64::from(!event.is_up()) + event.skipped / 2;
        self.log.iter().map(down).sum()
    }

    /// Reads what comes for that much time.
    pub async fn gather(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while self.read(deadline).await.is_some() {}
    }

    /// Reads until the monitor ends, as it must when its node has shut down.
    pub async fn until_end(&mut self) {
        let deadline = Instant::now() + self.timing.patience();
        loop {
            match timeout_at(deadline, self.stream.next()).await {
                Ok(Some(event)) => self.log.push(event),
                Ok(None) => return,
                Err(_) => panic!("monitor of {}: expected its end; seen {:?}", self.who, self.log),
            }
        }
    }

    /// Asserts that the events of every name alternate, that `Down` names the incarnation that was up, and that incarnations
    /// never fall (M3).
    pub fn check_alternation(&self) {
        check_alternation(&self.who, &self.log);
    }
}

fn check_alternation(who: &str, log: &[NodeEvent]) {
    let mut states = std::collections::BTreeMap::<NodeName, (Node, bool)>::new();
    for event in log {
        let before = states.get(&event.node.name);
        let up = before.is_some_and(|(_, up)| *up);
        assert_ne!(
            up,
            event.is_up(),
            "monitor of {who}: {event} after {before:?}: Up and Down alternate; seen {log:?}"
        );
        if let Some((node, _)) = before {
            let old = node.incarnation;
            assert!(
                event.is_up() || event.node == *node,
                "monitor of {who}: {event} while {node} was up; seen {log:?}"
            );
            assert!(
                event.incarnation() >= old,
                "monitor of {who}: {event} after {node}: never an older one; seen {log:?}"
            );
        }
        assert_eq!(event.skipped % 2, 0, "monitor of {who}: whole pairs are folded: {event}");
        states.insert(event.node.name.clone(), (event.node.clone(), event.is_up()));
    }
}
