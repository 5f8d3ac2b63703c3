//! Which lane leads to which server. It is looked for with every message, so the names that were used first are found without a lock: that
//! would be two atomic operations in memory that all senders share, and they are a large part of what a cast costs.
//!
//! A route is never removed, and never changed.

use super::lane::Lane;
use crate::name::ServerName;
use crate::sync::{PoisonError, RwLock};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Names that are found without a lock. They are compared one by one.
const FIRST: usize = 8;

/// Where messages for a server go in.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) lane: Arc<Lane>,
    /// Whether frames carry the server's name, because several names share the lane.
    pub(super) named: bool,
}

#[derive(Default)]
pub(super) struct Routes {
    /// In the order in which they came, without a gap.
    first: [OnceLock<(ServerName, Route)>; FIRST],
    further: RwLock<BTreeMap<ServerName, Route>>,
}

impl Routes {
    /// Lends the route to that server, if there is one. It may be lent under a lock: this is for what takes no time.
    pub(super) fn with<T>(&self, server: &ServerName, then: impl FnOnce(&Route) -> T) -> Option<T> {
        for place in &self.first {
            let (name, route) = place.get()?;
            if name == server {
                return Some(then(route));
            }
        }
        self.further.read().unwrap_or_else(PoisonError::into_inner).get(server).map(then)
    }

    /// Must not be called by two at once, nor for a name that has a route.
    pub(super) fn add(&self, server: &ServerName, route: Route) {
        let mut new = (server.clone(), route);
        for place in &self.first {
            match place.set(new) {
                Ok(()) => return,
                Err(back) => new = back,
            }
        }
        self.further.write().unwrap_or_else(PoisonError::into_inner).insert(new.0, new.1);
    }

    pub(super) fn len(&self) -> usize {
        let first = self.first.iter().filter(|place| place.get().is_some()).count();
        first + self.further.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(all(test, not(feature = "interleavings")))]
mod tests {
    use super::*;
    use crate::mesh::large::LargeBudget;

    #[test]
    fn each_name_has_its_own_route_however_many_there_are() {
        let routes = Routes::default();
        let name = |number: usize| ServerName::new(&format!("server-{number}")).unwrap();
        let mut lanes = Vec::new();
        for number in 0..3 * FIRST {
            assert!(routes.with(&name(number), |_| ()).is_none(), "{number} is not there yet");
            let lane = Lane::new(1_000, LargeBudget::new(1_000));
            routes.add(&name(number), Route { lane: Arc::clone(&lane), named: false });
            lanes.push(lane);
            assert_eq!(routes.len(), lanes.len());
            for (number, lane) in lanes.iter().enumerate() {
                assert_eq!(routes.with(&name(number), |route| Arc::ptr_eq(&route.lane, lane)), Some(true), "{number}");
            }
        }
    }
}
