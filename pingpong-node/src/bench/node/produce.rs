//! A producer: it casts to the counters of all nodes, and then asks them what came.
//!
//! Casts and calls to one server come in the order sent (C2): a counter answers once it has had every ping. So nothing has to be
//! waited for that a broken transport would not deliver, and what it did not deliver is in the answer.

use super::counter::{Ask, Counted, Numbered};
use super::sequence::Tally;
use bytes::Bytes;
use pingpong_node::server::{CastError, TransportExt};
use pingpong_node::{ServerName, Targets, Transport};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// One producer, and whom it pings.
#[derive(Clone)]
pub(crate) struct Producer {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) server: ServerName,
    /// The number by which counters know it.
    pub(crate) number: u64,
    pub(crate) filler: Bytes,
}

/// What came of a producer's pings, over all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Pings that some node did not get.
    pub(crate) lost: u64,
    pub(crate) out_of_order: u64,
    pub(crate) duplicates: u64,
    /// When the last node had all that it got.
    pub(crate) done_us: u64,
}

impl Verdict {
    /// Of more producers.
    pub(crate) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.out_of_order += other.out_of_order;
        self.duplicates += other.duplicates;
        self.done_us = self.done_us.max(other.done_us);
    }
}

impl Producer {
    /// Casts pings from this number on, one after the other, as long as there are more. Says which number is the next.
    pub(crate) async fn cast<P: Numbered>(
        &self,
        from: u64,
        mut more: impl FnMut(u64) -> bool + Send,
    ) -> Result<u64, CastError> {
        let mut next = from;
        while more(next) {
            self.transport.cast(&self.server, &P::new(self.number, next, &self.filler)).await?;
            next += 1;
        }
        Ok(next)
    }

    /// Asks all counters what came of so many pings to each of so many nodes.
    pub(crate) async fn verdict(&self, sent: u64, nodes: usize, deadline: Duration) -> Result<Verdict, String> {
        let answer = self.transport.call(&Targets::All, &self.server, &Ask, deadline).await;
        let answer = answer.map_err(|error| error.to_string())?;
        for failed in &answer.failed {
            tracing::warn!(node = %failed.name, reason = %failed.reason, "it does not say what it has counted");
        }
        let counted: Vec<Counted> = answer.replies.into_iter().map(|answer| answer.reply).collect();
        Ok(judge(self.number, sent, nodes, &counted))
    }
}

/// What counters say of a producer. A node that says nothing got nothing.
fn judge(producer: u64, sent: u64, nodes: usize, counted: &[Counted]) -> Verdict {
    let silent = nodes.saturating_sub(counted.len()) as u64;
    let mut verdict = Verdict { lost: silent * sent, ..Verdict::default() };
    for Counted { at_us, producers } in counted {
        let tally: Tally = producers.get(&producer).copied().unwrap_or_default();
        verdict.lost += sent.saturating_sub(tally.counted);
        verdict.out_of_order += tally.out_of_order;
        // More than were sent cannot have been sent.
        verdict.duplicates += tally.duplicates + tally.counted.saturating_sub(sent);
        verdict.done_us = verdict.done_us.max(*at_us);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn counted(at_us: u64, counted: u64, out_of_order: u64, duplicates: u64) -> Counted {
        Counted { at_us, producers: BTreeMap::from([(7, Tally { counted, out_of_order, duplicates })]) }
    }

    #[test]
    fn all_pings_on_all_nodes_are_right_and_the_last_one_says_when() {
        let right = judge(7, 10, 2, &[counted(5, 10, 0, 0), counted(4, 10, 0, 0)]);
        assert_eq!(right, Verdict { done_us: 5, ..Verdict::default() });
    }

    #[test]
    fn what_one_node_did_not_get_got_late_or_got_twice_is_in_the_verdict() {
        let wrong = judge(7, 10, 3, &[counted(5, 10, 0, 0), counted(6, 8, 1, 2), counted(4, 10, 3, 0)]);
        assert_eq!(wrong, Verdict { lost: 2, out_of_order: 4, duplicates: 2, done_us: 6 });
        assert_eq!(judge(7, 10, 1, &[counted(5, 12, 0, 0)]).duplicates, 2);
    }

    #[test]
    fn a_node_that_says_nothing_or_does_not_know_the_producer_has_lost_everything() {
        assert_eq!(judge(7, 10, 3, &[counted(5, 10, 0, 0)]).lost, 20);
        assert_eq!(judge(8, 10, 1, &[counted(5, 10, 0, 0)]).lost, 10);
    }
}
