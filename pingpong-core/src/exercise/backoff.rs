//! Waiting between questions: twice as long each time, and never in step with others.

use crate::node::Node;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Delays between half of and all of `least * 2^n`, at most `most`. The same for the same node and life: tests replay.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    least: Duration,
    most: Duration,
    state: u64,
}

impl Backoff {
    pub(super) fn new(least: Duration, most: Duration, node: &Node) -> Self {
        let mut hasher = DefaultHasher::new();
        node.hash(&mut hasher);
        Self { least, most, state: hasher.finish() }
    }

    /// The delay after that many tries before.
    pub(super) fn delay(&mut self, before: u32) -> Duration {
        let whole = self.least.saturating_mul(2_u32.saturating_pow(before)).min(self.most);
        let half = u64::try_from(whole.as_micros() / 2).unwrap_or(u64::MAX);
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        whole - Duration::from_micros((self.state >> 33) % half.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeName};

    #[test]
    fn delays_grow_up_to_the_greatest_and_differ() {
        let node = Node { name: NodeName::new("a").unwrap(), incarnation: Incarnation::new(1, 2) };
        let (least, most) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(least, most, &node);
        let mut again = Backoff::new(least, most, &node);
        let mut delays = Vec::new();
        for before in (0..20).chain([u32::MAX]) {
            let delay = backoff.delay(before);
            let whole = least.saturating_mul(2_u32.saturating_pow(before)).min(most);
            assert!(delay <= whole && delay >= whole / 2, "{before}: {delay:?}");
            assert_eq!(delay, again.delay(before));
            delays.push(delay);
        }
        delays.dedup();
        assert_eq!(delays.len(), 21, "no two are the same");
    }
}
