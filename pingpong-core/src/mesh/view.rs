//! Who is linked now and what changed, for `list` and for monitors.
//!
//! A monitor holds, for each name, the last session that it was shown; its next events come from comparing that with now
//! (M8). So it never blocks the transport, never misses a state, and needs memory for names only.

use crate::monitor::{DownReason, NodeChange, NodeEvent, NodeEvents};
use crate::name::NodeName;
use crate::node::Node;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::watch;

/// What is known of a name.
struct Record {
    /// Tells this record from one of the same name that was forgotten.
    made: u64,
    /// Sessions of that name so far.
    sessions: u64,
    up: Option<Node>,
    /// Why the last session that ended did.
    reason: DownReason,
    /// When this record changed last, by the count of all changes.
    changed: u64,
}

#[derive(Default)]
struct State {
    records: BTreeMap<NodeName, Record>,
    /// Each name by its last change.
    order: BTreeMap<u64, NodeName>,
    changes: u64,
    /// The change in which a name was last forgotten; 0 if none was.
    forgotten: u64,
}

pub(super) struct View {
    state: Mutex<State>,
    /// The count of changes; closed when the node has stopped.
    changes: watch::Sender<u64>,
    stopped: watch::Sender<bool>,
    /// Records of names without a session that are kept for monitors that sleep.
    kept: usize,
}

impl View {
    pub(super) fn new(max_peers: usize) -> Arc<Self> {
        let (changes, stopped) = (watch::Sender::new(0), watch::Sender::new(false));
        Arc::new(Self { state: Mutex::default(), changes, stopped, kept: 4 * max_peers })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes that are linked, sorted by name (M1).
    pub(super) fn list(&self) -> Vec<Node> {
        self.lock().records.values().filter_map(|r| r.up.clone()).collect()
    }

    pub(super) fn up(&self, node: &Node) {
        self.change(&node.name, |record| {
            record.sessions += 1;
            record.up = Some(node.clone());
        });
    }

    pub(super) fn down(&self, name: &NodeName, reason: DownReason) {
        self.change(name, |record| {
            record.up = None;
            record.reason = reason;
        });
    }

    fn change(&self, name: &NodeName, change: impl FnOnce(&mut Record)) {
        let mut state = self.lock();
        state.changes += 1;
        let changes = state.changes;
        let new = || Record { made: changes, sessions: 0, up: None, reason: DownReason::Lost, changed: changes };
        let record = state.records.entry(name.clone()).or_insert_with(new);
        change(record);
        let before = std::mem::replace(&mut record.changed, changes);
        state.order.remove(&before);
        state.order.insert(changes, name.clone());
        state.tidy(self.kept);
        drop(state);
        self.changes.send_replace(changes);
    }

    /// The node has stopped: monitors end when they have shown what is left.
    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Marked at each change from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn monitor(self: &Arc<Self>) -> NodeEvents {
        let (view, changes) = (Arc::clone(self), self.changes());
        let mut monitor = Monitor { view, changes, shown: BTreeMap::new(), seen: None, next: VecDeque::new() };
        // Who is linked at the call, not at the first read (M2).
        monitor.compare();
        NodeEvents::new(futures_util::stream::unfold(monitor, |mut monitor| async {
            let event = monitor.next().await?;
            Some((event, monitor))
        }))
    }
}

impl State {
    /// Forgets the names that have been down the longest.
    fn tidy(&mut self, kept: usize) {
        if self.records.len() <= kept {
            return;
        }
        let is_down = |name: &NodeName| self.records.get(name).is_some_and(|record| record.up.is_none());
        let longest = self.order.iter().find(|(_, name)| is_down(name)).map(|(changed, _)| *changed);
        if let Some(name) = longest.and_then(|changed| self.order.remove(&changed)) {
            self.records.remove(&name);
            self.forgotten = self.changes;
        }
    }
}

/// The last session of a name that a monitor was shown.
struct Shown {
    made: u64,
    session: u64,
    up: Option<Node>,
}

struct Monitor {
    view: Arc<View>,
    changes: watch::Receiver<u64>,
    shown: BTreeMap<NodeName, Shown>,
    /// Changes up to here have been compared; `None` before the first time.
    seen: Option<u64>,
    next: VecDeque<NodeEvent>,
}

impl Monitor {
    async fn next(&mut self) -> Option<NodeEvent> {
        loop {
            // Looked at before the comparison: what was last is shown.
            let stopped = *self.view.stopped.borrow();
            if self.next.is_empty() {
                self.compare();
            }
            if let Some(event) = self.next.pop_front() {
                return Some(event);
            }
            if stopped {
                return None;
            }
            // The sender lives in the view that this holds, so there is always a next change.
            self.changes.changed().await.ok()?;
        }
    }

    /// Brings what was shown up to now, in the order in which the names changed last.
    fn compare(&mut self) {
        self.changes.borrow_and_update();
        let view = Arc::clone(&self.view);
        let state = view.lock();
        if self.seen == Some(state.changes) {
            return;
        }
        let since = self.seen.map_or(Bound::Unbounded, Bound::Excluded);
        for name in state.order.range((since, Bound::Unbounded)).map(|(_, name)| name) {
            if let Some(record) = state.records.get(name) {
                self.compare_name(name, record);
            }
        }
        let forgotten = self.seen.is_some_and(|seen| state.forgotten > seen);
        self.seen = Some(state.changes);
        if !forgotten {
            return;
        }
        // A name that was forgotten meanwhile is down.
        let (shown, next) = (&mut self.shown, &mut self.next);
        shown.retain(|name, shown| {
            let known = state.records.contains_key(name);
            if let (false, Some(node)) = (known, shown.up.take_if(|_| !known)) {
                next.push_back(NodeEvent { node, change: NodeChange::Down(DownReason::Lost), skipped: 0 });
            }
            known
        });
    }

    fn compare_name(&mut self, name: &NodeName, record: &Record) {
        // What was before the monitor is not skipped; a name that is new since then has been shown nothing yet.
        let before = if self.seen.is_none() { record.sessions } else { 0 };
        let shown = self.shown.entry(name.clone()).or_insert(Shown { made: record.made, session: before, up: None });
        if shown.made != record.made {
            // How many sessions were between is forgotten.
            if let Some(node) = shown.up.take() {
                self.next.push_back(NodeEvent { node, change: NodeChange::Down(DownReason::Lost), skipped: 0 });
            }
            *shown = Shown { made: record.made, session: 0, up: None };
        }
        let same = shown.up.is_some() && shown.session == record.sessions && record.up.is_some();
        if same {
            return;
        }
        let between = record.sessions.saturating_sub(shown.session);
        if let Some(node) = shown.up.take() {
            let folded = if record.up.is_some() { 0 } else { 2 * between };
            let change = NodeChange::Down(record.reason.clone());
            self.next.push_back(NodeEvent { node, change, skipped: folded });
            if record.up.is_none() {
                shown.session = record.sessions;
            }
        }
        if let Some(node) = &record.up {
            let folded = 2 * record.sessions.saturating_sub(shown.session).saturating_sub(1);
            self.next.push_back(NodeEvent { node: node.clone(), change: NodeChange::Up, skipped: folded });
            shown.session = record.sessions;
            shown.up = Some(node.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Incarnation;

    fn node(name: &str, life: u64) -> Node {
        Node { name: NodeName::new(name).unwrap(), incarnation: Incarnation::new(life, 0) }
    }

    async fn texts(events: &mut NodeEvents, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            let event = events.next().await.unwrap();
            let what = if event.is_up() { "up" } else { "down" };
            texts.push(format!("{what} {} {} {}", event.node.name, event.incarnation().millis(), event.skipped));
        }
        texts
    }

    #[tokio::test(start_paused = true)]
    async fn a_monitor_begins_with_who_is_linked_and_alternates() {
        let view = View::new(8);
        view.up(&node("b", 1));
        view.up(&node("a", 1));
        let mut events = view.monitor();
        assert_eq!(texts(&mut events, 2).await, ["up b 1 0", "up a 1 0"]);
        view.down(&node("a", 1).name, DownReason::Lost);
        assert_eq!(texts(&mut events, 1).await, ["down a 1 0"]);
        view.up(&node("a", 2));
        assert_eq!(texts(&mut events, 1).await, ["up a 2 0"]);
        view.stop();
        assert_eq!(events.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleeping_monitor_gets_flaps_folded_and_counted() {
        let view = View::new(8);
        let mut events = view.monitor();
        view.up(&node("a", 1));
        assert_eq!(texts(&mut events, 1).await, ["up a 1 0"]);
        for life in 2..=4 {
            view.down(&node("a", 0).name, DownReason::Lost);
            view.up(&node("a", life));
        }
        assert_eq!(texts(&mut events, 2).await, ["down a 1 0", "up a 4 4"]);
        view.down(&node("a", 4).name, DownReason::Lost);
        view.up(&node("a", 5));
        view.down(&node("a", 5).name, DownReason::Overloaded);
        let event = events.next().await.unwrap();
        assert_eq!((event.node, event.skipped), (node("a", 4), 2));
        assert_eq!(event.change, NodeChange::Down(DownReason::Overloaded));
        view.up(&node("a", 6));
        view.down(&node("a", 6).name, DownReason::Lost);
        view.up(&node("a", 7));
        assert_eq!(texts(&mut events, 1).await, ["up a 7 2"]);
        view.up(&node("b", 1));
        view.down(&node("b", 1).name, DownReason::Lost);
        view.up(&node("b", 2));
        assert_eq!(texts(&mut events, 1).await, ["up b 2 2"], "a name that is new to the monitor");
        assert_eq!(
            texts(&mut view.monitor(), 2).await,
            ["up a 7 0", "up b 2 0"],
            "nothing was skipped before it began"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn many_names_that_come_and_go_need_bounded_memory() {
        let view = View::new(2);
        let mut events = view.monitor();
        view.up(&node("first", 1));
        assert_eq!(texts(&mut events, 1).await, ["up first 1 0"]);
        view.down(&node("first", 1).name, DownReason::Lost);
        for i in 0..100 {
            view.up(&node(&format!("n{i}"), 1));
            view.down(&node(&format!("n{i}"), 1).name, DownReason::Lost);
        }
        assert!(view.lock().records.len() <= 8);
        assert_eq!(texts(&mut events, 1).await, ["down first 1 0"]);
        view.stop();
        assert_eq!(events.next().await, None);
    }
}
