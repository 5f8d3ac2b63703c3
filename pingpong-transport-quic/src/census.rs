//! How many connections others have begun, so that they cannot make this node keep any number of them (L4).
//!
//! A connection that has ended is still kept by QUIC for three probe timeouts (RFC 9000, section 10.2), and whoever begins and
//! ends them quickly would have many: so those of the last [`LINGER`] count too. This node's own dials do not count here: dead
//! peers that it dials must not keep out living ones.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Three probe timeouts of a path that was never measured (RFC 9002, section 6.2.2).
const LINGER: Duration = Duration::from_secs(3);

/// The connections that others began.
#[derive(Clone, Debug)]
pub(crate) struct Census(Arc<Mutex<Count>>);

#[derive(Debug)]
struct Count {
    most: usize,
    open: usize,
    ended: VecDeque<Instant>,
}

impl Census {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Count { most, open: 0, ended: VecDeque::new() })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Count) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many there are, with those that are ending.
    pub(crate) fn count(&self) -> usize {
        self.with(Count::now)
    }

    /// One more, unless there are as many as there may be.
    pub(crate) fn admit(&self) -> Option<Counted> {
        self.with(|count| {
            if count.now() >= count.most {
                return None;
            }
            count.open += 1;
            Some(Counted(self.clone()))
        })
    }
}

impl Count {
    fn now(&mut self) -> usize {
        let now = Instant::now();
        while self.ended.front().is_some_and(|at| now.duration_since(*at) >= LINGER) {
            self.ended.pop_front();
        }
        self.open + self.ended.len()
    }
}

/// One connection that another node began; it counts until this has been dropped for a while.
#[derive(Debug)]
pub(crate) struct Counted(Census);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.with(|count| {
            count.open -= 1;
            count.ended.push_back(Instant::now());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_has_just_ended_still_counts() {
        let census = Census::new(2);
        let (one, _other) = (census.admit().unwrap(), census.admit().unwrap());
        assert!(census.admit().is_none());
        drop(one);
        assert_eq!(census.count(), 2);
        assert!(census.admit().is_none(), "QUIC still keeps it");
        tokio::time::advance(LINGER).await;
        assert_eq!(census.count(), 1);
        let _third = census.admit().unwrap();
    }
}
