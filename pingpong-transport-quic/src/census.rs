//! How many connections others have begun, so that they cannot make this node keep any number of them (L4), and no host keeps the
//! others out.
//!
//! A connection that has ended is still kept by QUIC: for three probe timeouts (RFC 9000, section 10.2), and quinn-proto 0.11.19
//! keeps one whose very first packet ends it for the whole idle timeout. Whoever begins and ends them quickly would have many: so
//! each counts until what it was made with is dropped. This node's own dials do not count here: dead peers that it dials must not
//! keep out living ones.
//!
//! A network may have as many that have proved nothing, or have ended, as there is room left: alone half of all, two of them a
//! third each. So there is always room for the first one of another network (a dynamic threshold, as switches share a buffer).

use crate::places::Network;
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Something that lives as long as a connection in QUIC does.
type Life = Weak<dyn Any + Send + Sync>;

/// The connections that others began.
#[derive(Clone, Debug)]
pub(crate) struct Census(Arc<Mutex<Count>>);

#[derive(Debug)]
struct Count {
    most: usize,
    open: usize,
    ended: Vec<(Life, Network)>,
    /// Of each network those that have proved nothing, and those that have ended.
    idle: HashMap<Network, usize>,
}

impl Census {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Count { most, open: 0, ended: Vec::new(), idle: HashMap::new() })))
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
            Some(Counted { census: self.clone(), from, proved: false, life: None })
        })
    }
}

impl Count {
    fn now(&mut self) -> usize {
        let gone: Vec<_> = self.ended.extract_if(.., |(life, _)| life.strong_count() == 0).collect();
        gone.into_iter().for_each(|(_, from)| self.works(from));
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

/// One connection that another node began; it counts until this has been dropped, and QUIC has forgotten it.
#[derive(Debug)]
pub(crate) struct Counted {
    census: Census,
    from: Network,
    proved: bool,
    life: Option<Life>,
}

impl Counted {
    /// Its peer has proved its name.
    pub(crate) fn proved(mut self) -> Self {
        self.census.with(|count| count.works(self.from));
        self.proved = true;
        self
    }

    /// QUIC has it now, for as long as that lives.
    pub(crate) fn lives(&mut self, life: Life) {
        self.life = Some(life);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.census.with(|count| {
            count.open -= 1;
            match self.life.take() {
                Some(life) => {
                    count.ended.push((life, self.from));
                    if self.proved {
                        count.idles(self.from);
                    }
                }
                None if !self.proved => count.works(self.from),
                None => {}
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

    /// A connection, and what lives as long as QUIC keeps it.
    fn begin(census: &Census, last: u8) -> Option<(Counted, Arc<dyn Any + Send + Sync>)> {
        let mut counted = census.admit(network(last))?;
        let life: Arc<dyn Any + Send + Sync> = Arc::new(());
        counted.lives(Arc::downgrade(&life));
        Some((counted, life))
    }

    #[test]
    fn what_has_ended_counts_as_long_as_it_is_kept() {
        let census = Census::new(2);
        let ((one, kept), _other) = (begin(&census, 1).unwrap(), begin(&census, 2).unwrap());
        assert!(begin(&census, 3).is_none());
        drop(one);
        assert_eq!(census.count(), 2);
        assert!(begin(&census, 3).is_none(), "QUIC still keeps it");
        drop(kept);
        assert_eq!(census.count(), 1);
        drop(census.admit(network(3)).unwrap());
        assert_eq!(census.count(), 1, "one that QUIC never had");
    }

    #[test]
    fn no_network_has_all_of_it_with_connections_that_prove_nothing_or_have_ended() {
        let census = Census::new(12);
        let mut open = Vec::new();
        let mut fill = |last: u8| {
            let before = open.len();
            open.extend(std::iter::from_fn(|| begin(&census, last)));
            open.len() - before
        };
        assert_eq!((fill(1), fill(2), fill(3)), (6, 3, 2), "each has what the others leave");
        assert_eq!(fill(4), 1, "and there is room for one more");
        let (counted, kept): (Vec<_>, Vec<_>) = open.into_iter().unzip();
        drop(counted);
        assert!(begin(&census, 1).is_none(), "those that have ended count too");
        drop(kept);
        let proved = (0..12).filter_map(|_| begin(&census, 1).map(|(counted, life)| (counted.proved(), life)));
        let (counted, kept): (Vec<_>, Vec<_>) = proved.unzip();
        assert_eq!(counted.len(), 12, "members that stay may all be of one host");
        drop(counted);
        assert_eq!(census.count(), 12);
        drop(kept);
        assert_eq!(census.count(), 0);
        assert!(census.with(|count| count.idle.is_empty()), "nothing is kept of them");
    }
}
