//! When each node was last heard of: how old what this node shows may be (P17).

use crate::name::NodeName;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Names that are remembered; beyond it, those that were heard of longest ago are forgotten.
const NAMES: usize = 10_000;

/// Of each name, the last instant at which it was linked for certain.
#[derive(Debug, Default)]
pub(super) struct Contacts(Mutex<BTreeMap<NodeName, Instant>>);

impl Contacts {
    /// A node is linked, or was until now.
    pub(super) fn now(&self, name: &NodeName) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(name.clone(), Instant::now());
        if seen.len() > NAMES
            && let Some(oldest) = seen.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone())
        {
            seen.remove(&oldest);
        }
    }

    /// How long ago each was heard of; those that are linked, now.
    pub(super) fn ages(&self, linked: impl IntoIterator<Item = NodeName>) -> BTreeMap<NodeName, Duration> {
        linked.into_iter().for_each(|name| self.now(&name));
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|(name, at)| (name.clone(), at.elapsed())).collect()
    }
}
