//! Deadlines that leave out the time in which this process did not run.
//!
//! A program that was suspended, by Ctrl-Z or together with its machine, must not find its deadlines passed when it goes on:
//! nobody could do anything meanwhile, and links that broke need time to come back. So a deadline is waited for tick by
//! tick, as the failure detector does (M6), and one tick that took far too long begins it anew.

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a tick is.
const TICK: Duration = Duration::from_millis(100);
/// A tick that took longer than this was a pause of this process. A busy machine delays a tick, but not for that long.
const PAUSE: Duration = Duration::from_secs(1);

/// What comes of the work, unless it takes longer than this; then the work is dropped.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = pass(limit) => None,
    }
}

async fn pass(limit: Duration) {
    let mut left = limit;
    while !left.is_zero() {
        let tick = TICK.min(left);
        let began = Instant::now();
        sleep(tick).await;
        let took = began.elapsed();
        left = if took > PAUSE { limit } else { left.saturating_sub(took) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const LIMIT: Duration = Duration::from_millis(2_050);

    #[tokio::test(start_paused = true)]
    async fn work_that_is_done_in_time_is_done_and_other_work_is_given_up_at_the_deadline() {
        let began = Instant::now();
        assert_eq!(within(LIMIT, sleep(LIMIT - TICK)).await, Some(()));
        assert_eq!(within(Duration::ZERO, async { 7 }).await, Some(7), "what is ready needs no time");
        let second = Instant::now();
        assert_eq!(within(LIMIT, pending::<()>()).await, None);
        assert_eq!((second - began, second.elapsed()), (LIMIT - TICK, LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_this_process_begins_the_deadline_anew() {
        let began = Instant::now();
        let waits = tokio::spawn(within(LIMIT, pending::<()>()));
        sleep(LIMIT - TICK / 2).await;
        let away = Duration::from_secs(3_600);
        tokio::time::advance(away).await;
        assert_eq!(waits.await.unwrap(), None);
        let took = began.elapsed();
        assert!(took >= LIMIT - TICK / 2 + away + LIMIT && took <= LIMIT + away + LIMIT + TICK, "{took:?}");
    }
}
