//! How many connections others have begun, so that they cannot make this node keep any number of them (L4), and no host keeps the
//! others out.
//!
//! A connection that has ended is still kept by QUIC for three probe timeouts (RFC 9000, section 10.2), and whoever begins and
//! ends them quickly would have many: so those of the last [`LINGER`] count too. This node's own dials do not count here: dead
//! peers that it dials must not keep out living ones.
//!
//! A network may have as many that have proved nothing, or have ended, as there is room left: alone half of all, two of them a
//! third each. So there is always room for the first one of another network (a dynamic threshold, as switches share a buffer).

use crate::places::Network;
use std::collections::{HashMap, VecDeque};
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
    ended: VecDeque<(Instant, Network)>,
    /// Of each network those that have proved nothing, and those that have ended.
    idle: HashMap<Network, usize>,
}

impl Census {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Count { most, open: 0, ended: VecDeque::new(), idle: HashMap::new() })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Count) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many there are, with those that are ending.
    pub(crate) fn count(&self) -> usize {
        self.with(Count::now)
    }

    /// One more, unless there are as many as there may be, or its network has more than its share.
    pub(crate) fn admit(&self, from: Network) -> Option<Counted> {
        self.with(|count| {
            let room = count.most.saturating_sub(count.now());
            if count.idle.get(&from).copied().unwrap_or_default() >= room {
                return None;
            }
            count.open += 1;
            count.idles(from);
            Some(Counted { census: self.clone(), from, proved: false })
        })
    }
}

impl Count {
    fn now(&mut self) -> usize {
        let now = Instant::now();
        while let Some((_, from)) = self.ended.front().copied().filter(|(at, _)| now.duration_since(*at) >= LINGER) {
            self.ended.pop_front();
            self.works(from);
        }
        self.open + self.ended.len()
    }

    fn idles(&mut self, from: Network) {
        *self.idle.entry(from).or_default() += 1;
    }

    fn works(&mut self, from: Network) {
        if let Some(idle) = self.idle.get_mut(&from) {
            *idle -= 1;
            if *idle == 0 {
                self.idle.remove(&from);
            }
        }
    }
}

/// One connection that another node began; it counts until this has been dropped for a while.
#[derive(Debug)]
pub(crate) struct Counted {
    census: Census,
    from: Network,
    proved: bool,
}

impl Counted {
    /// Its peer has proved its name.
    pub(crate) fn proved(mut self) -> Self {
        self.census.with(|count| count.works(self.from));
        self.proved = true;
        self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.census.with(|count| {
            count.open -= 1;
            count.ended.push_back((Instant::now(), self.from));
            if self.proved {
                count.idles(self.from);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(last: u8) -> Network {
        Network::of([192, 0, 2, last].into())
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_just_ended_still_counts() {
        let census = Census::new(2);
        let (one, _other) = (census.admit(network(1)).unwrap(), census.admit(network(2)).unwrap());
        assert!(census.admit(network(3)).is_none());
        drop(one);
        assert_eq!(census.count(), 2);
        assert!(census.admit(network(3)).is_none(), "QUIC still keeps it");
        tokio::time::advance(LINGER).await;
        assert_eq!(census.count(), 1);
        let _third = census.admit(network(3)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn no_network_has_all_of_it_with_connections_that_prove_nothing_or_have_ended() {
        let census = Census::new(12);
        let mut open = Vec::new();
        let mut fill = |last: u8| {
            let before = open.len();
            open.extend(std::iter::from_fn(|| census.admit(network(last))));
            open.len() - before
        };
        assert_eq!((fill(1), fill(2), fill(3)), (6, 3, 2), "each has what the others leave");
        assert_eq!(fill(4), 1, "and there is room for one more");
        drop(open);
        assert!(census.admit(network(1)).is_none(), "those that have ended count too");
        tokio::time::advance(LINGER).await;
        let proved: Vec<_> = (0..12).filter_map(|_| Some(census.admit(network(1))?.proved())).collect();
        assert_eq!(proved.len(), 12, "members that stay may all be of one host");
        drop(proved);
        tokio::time::advance(LINGER).await;
        assert_eq!(census.count(), 0);
        assert!(census.with(|count| count.idle.is_empty()), "nothing is kept of them");
    }
}
