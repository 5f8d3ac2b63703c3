//! What a node sees of the others come and go, and when.
//!
//! The stamp is that of the monitor's reader: it includes the way from the transport to whoever uses it.

use crate::bench::clock::wall_micros;
use pingpong_node::{NodeChange, Transport};
use std::collections::{BTreeSet, VecDeque};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Events that are kept; beyond them the oldest goes. No run has a tenth of that.
const EVENTS: usize = 4_096;

/// An event.
#[derive(Debug)]
struct Event {
    node: String,
    up: bool,
    at_us: u64,
}

#[derive(Debug, Default)]
struct Seen {
    linked: BTreeSet<String>,
    events: VecDeque<Event>,
    downs: u64,
}

impl Seen {
    fn note(&mut self, node: String, up: bool, at_us: u64) {
        if up {
            self.linked.insert(node.clone());
        } else {
            self.linked.remove(&node);
            self.downs += 1;
        }
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Event { node, up, at_us });
    }
}

/// A monitor that is read from the beginning. Dropping it ends its task.
pub(crate) struct Watch {
    seen: watch::Receiver<Seen>,
    _task: JoinSet<()>,
}

/// The node has stopped: nothing will be seen any more.
#[derive(Debug, thiserror::Error)]
#[error("its monitor has ended")]
pub(crate) struct Ended;

impl Watch {
    /// Must be called within a tokio runtime.
    pub(crate) fn of(transport: &dyn Transport) -> Self {
        let (sender, seen) = watch::channel(Seen::default());
        let mut events = transport.monitor();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(event) = events.next().await {
                let at_us = wall_micros();
                let up = matches!(event.change, NodeChange::Up);
                sender.send_modify(|seen| seen.note(event.node.name.to_string(), up, at_us));
            }
        });
        Self { seen, _task: task }
    }

    /// Waits until so many others are linked, and says since when. Cancel safe.
    pub(crate) async fn linked(&self, others: usize) -> Result<u64, Ended> {
        let mut seen = self.seen.clone();
        let seen = seen.wait_for(|seen| seen.linked.len() >= others).await.map_err(|_| Ended)?;
        Ok(seen.events.back().map_or_else(wall_micros, |event| event.at_us))
    }

    /// Waits until a node has come, or gone, since then, and says when that was. Cancel safe.
    pub(crate) async fn changed(&self, node: &str, up: bool, since_us: u64) -> Result<u64, Ended> {
        let find = |seen: &Seen| {
            let of = |event: &&Event| event.node == node && event.up == up && event.at_us >= since_us;
            seen.events.iter().find(of).map(|event| event.at_us)
        };
        let mut seen = self.seen.clone();
        let seen = seen.wait_for(|seen| find(seen).is_some()).await.map_err(|_| Ended)?;
        find(&seen).ok_or(Ended)
    }

    /// How often a node has gone.
    pub(crate) fn downs(&self) -> u64 {
        self.seen.borrow().downs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_has_happened_since_is_found_and_what_was_before_is_not() {
        let (sender, seen) = watch::channel(Seen::default());
        let watch = Watch { seen, _task: JoinSet::new() };
        for (up, at_us) in [(true, 10), (false, 20), (true, 30)] {
            sender.send_modify(|seen| seen.note("n2".to_owned(), up, at_us));
        }
        assert_eq!(watch.changed("n2", true, 0).await.unwrap(), 10);
        assert_eq!(watch.changed("n2", true, 15).await.unwrap(), 30);
        assert_eq!(watch.changed("n2", false, 20).await.unwrap(), 20);
        assert_eq!((watch.linked(1).await.unwrap(), watch.downs()), (30, 1));
        drop(sender);
        assert!(watch.changed("n3", true, 0).await.is_err() && watch.linked(2).await.is_err());
    }

    #[test]
    fn events_without_end_need_no_memory_without_end() {
        let mut seen = Seen::default();
        (0..3 * EVENTS as u64).for_each(|at_us| seen.note("n2".to_owned(), at_us % 2 == 0, at_us));
        assert_eq!(seen.events.len(), EVENTS);
    }
}
