//! Which handshakes of others are under way: their number is bounded, and no host keeps the others out.
//!
//! A handshake costs a stranger nothing but an address. So when all places are taken, the oldest handshake of the network that
//! holds the most of them gives way: an honest one takes a round trip or two, and those that never end pile up.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use tokio::task::{AbortHandle, Id};

/// Who counts as one: an IPv4 address, or the 64 bits of an IPv6 one that a host may choose the rest of (RFC 4291, 2.5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Network(IpAddr);

impl Network {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(six) => {
                let mut octets = six.octets();
                octets[8..].fill(0);
                IpAddr::V6(octets.into())
            }
            four => four,
        })
    }
}

/// The handshakes that are under way, in the order of their beginning.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    taken: VecDeque<(Network, AbortHandle)>,
}

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, taken: VecDeque::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.taken.len()
    }

    /// A handshake has begun. If there are too many, another one is ended; returns the address of that one's network.
    pub(crate) fn take(&mut self, from: IpAddr, task: AbortHandle) -> Option<IpAddr> {
        self.taken.push_back((Network::of(from), task));
        if self.taken.len() <= self.most {
            return None;
        }
        let mut held: HashMap<Network, usize> = HashMap::new();
        for (network, _) in &self.taken {
            *held.entry(*network).or_default() += 1;
        }
        let most = held.values().copied().max()?;
        let oldest = self.taken.iter().position(|(network, _)| held.get(network) == Some(&most))?;
        let (network, task) = self.taken.remove(oldest)?;
        task.abort();
        Some(network.0)
    }

    /// A handshake has ended, however it did.
    pub(crate) fn free(&mut self, task: Id) {
        self.taken.retain(|(_, taken)| taken.id() != task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> AbortHandle {
        tokio::spawn(std::future::pending::<()>()).abort_handle()
    }

    fn take(places: &mut Places, from: &str) -> Option<String> {
        places.take(from.parse().unwrap(), task()).map(|ended| ended.to_string())
    }

    #[tokio::test]
    async fn the_oldest_of_the_network_that_holds_the_most_gives_way() {
        let mut places = Places::new(4);
        for from in ["192.0.2.1", "2001:db8::1", "2001:db8::ffff:2", "192.0.2.2"] {
            assert_eq!(take(&mut places, from), None);
        }
        assert_eq!(take(&mut places, "192.0.2.3").as_deref(), Some("2001:db8::"), "its two hosts are one network");
        assert_eq!(take(&mut places, "192.0.2.3").as_deref(), Some("192.0.2.3"), "its own older one");
        assert_eq!(places.len(), 4);
        assert_eq!(places.taken.iter().filter(|(network, _)| network.0.is_ipv6()).count(), 1);
        assert_eq!(
            take(&mut places, "::ffff:192.0.2.3").as_deref(),
            Some("192.0.2.3"),
            "an IPv4 address in IPv6's clothes"
        );
    }

    #[tokio::test]
    async fn a_place_that_is_free_again_ends_nobody() {
        let mut places = Places::new(1);
        let first = task();
        assert_eq!(places.take("192.0.2.1".parse().unwrap(), first.clone()), None);
        places.free(first.id());
        assert_eq!(take(&mut places, "192.0.2.2"), None);
    }
}
