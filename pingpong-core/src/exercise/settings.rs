//! Times of the exercise, and whom its servers serve.

use super::compare::FETCH;
use crate::inbox::Allow;
use crate::server::Restart;
use std::time::Duration;

/// Times of the exercise, and whom its servers serve.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Consumers pass news on at most this often. Default 200 ms.
    pub gossip_interval: Duration,
    /// Producers tell a node whose queue was full again after this. Default 100 ms.
    pub repair_interval: Duration,
    /// Producers try again after this to count pings that were answered as queued, and that the store had no room for. Default 500 ms.
    pub count_again: Duration,
    /// How long a question to another node waits for its answer before it is asked again. Default 2 s.
    pub ask_deadline: Duration,
    /// The first wait before a question is asked again, doubled each time. Default 200 ms.
    pub ask_again_least: Duration,
    /// The longest wait before a question is asked again. Default 10 s.
    pub ask_again_most: Duration,
    /// The first wait before a member that did not do what a majority needs is asked again, doubled each time. Default 10 ms.
    pub member_again_least: Duration,
    /// The longest wait before such a member is asked again. Default 1 s.
    pub member_again_most: Duration,
    /// How long [`Exercise::ping`](super::Exercise::ping) waits for the producer. Default 5 s.
    pub ping_deadline: Duration,
    /// How often each of the servers may be restarted.
    pub restart: Restart,
    /// Whom the consumer serves (A1). Default: everyone.
    pub allow_consumer: Allow,
    /// Whom the producer serves (A1); to ping it is its own node's right alone in any case. Default: everyone.
    pub allow_producer: Allow,
    /// Whom the member serves (A1). Default: everyone.
    pub allow_member: Allow,
    /// So many slots, and no more, are told without being asked for; of more, sums are compared. Default 64. For tests: what is compared by
    /// sums takes many slots else.
    #[doc(hidden)]
    pub few_slots: u32,
    /// So many slots make up a piece of what a member that recovers is told, but that a piece has whole parts. Default 2,048. For tests, as above.
    #[doc(hidden)]
    pub piece_slots: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gossip_interval: Duration::from_millis(200),
            repair_interval: Duration::from_millis(100),
            count_again: Duration::from_millis(500),
            ask_deadline: Duration::from_secs(2),
            ask_again_least: Duration::from_millis(200),
            ask_again_most: Duration::from_secs(10),
            member_again_least: Duration::from_millis(10),
            member_again_most: Duration::from_secs(1),
            ping_deadline: Duration::from_secs(5),
            restart: Restart::default(),
            allow_consumer: Allow::Everyone,
            allow_producer: Allow::Everyone,
            allow_member: Allow::Everyone,
            few_slots: 64,
            piece_slots: FETCH,
        }
    }
}
