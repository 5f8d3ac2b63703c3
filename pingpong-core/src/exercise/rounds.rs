//! Questions to a majority, asked once for all who wait.
//!
//! Whoever comes while no more rounds may begin waits, and shares the next round with all others that wait: so a round costs the same,
//! however many clients there are. A round begins after all its askers have come, so that its answer is as right for the last of them as for
//! the first (P20).
//!
//! One task owns the rounds, and ends with its [`Rounds`].

use std::fmt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

/// Rounds that go on at once: one that is on its way, and one for those who came since.
const AT_ONCE: usize = 2;
/// Askers that share a round; further ones wait.
const ASKERS: usize = 4_096;

/// One who waits, with what it wants to know.
pub(super) struct Asker<Q, A> {
    pub(super) question: Q,
    pub(super) answer: oneshot::Sender<A>,
}

/// Where to ask. Dropping it ends the rounds.
pub(super) struct Rounds<Q, A> {
    askers: mpsc::Sender<Asker<Q, A>>,
    task: AbortHandle,
}

impl<Q: Send + 'static, A: Send + 'static> Rounds<Q, A> {
    /// Starts the task. `round` answers all askers that it is given, or drops those that it has no answer for.
    pub(super) fn start<R: Future<Output = ()> + Send + 'static>(
        round: impl Fn(Vec<Asker<Q, A>>) -> R + Send + 'static,
    ) -> Self {
        let (askers, mut comes) = mpsc::channel(ASKERS);
        let task = tokio::spawn(async move {
            let mut rounds = JoinSet::new();
            let mut waiting: Vec<Asker<Q, A>> = Vec::new();
            loop {
                let room = ASKERS - waiting.len();
                tokio::select! {
                    biased;
                    // A round that panicked has dropped its askers, and they are told.
                    Some(_) = rounds.join_next() => {}
                    came = comes.recv_many(&mut waiting, room), if room > 0 => if came == 0 { return },
                }
                waiting.retain(|asker| !asker.answer.is_closed());
                if rounds.len() < AT_ONCE && !waiting.is_empty() {
                    rounds.spawn(round(std::mem::take(&mut waiting)));
                }
            }
        });
        Self { askers, task: task.abort_handle() }
    }

    /// Asks, and waits for the answer; `None` if there is none. Cancel safe: whoever no longer waits is left out.
    pub(super) async fn ask(&self, question: Q) -> Option<A> {
        let (answer, answered) = oneshot::channel();
        self.askers.send(Asker { question, answer }).await.ok()?;
        answered.await.ok()
    }
}

impl<Q, A> Drop for Rounds<Q, A> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<Q, A> fmt::Debug for Rounds<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rounds").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_share_a_round_that_begins_after_they_came() {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let rounds = Rounds::start(move |askers: Vec<Asker<usize, usize>>| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                for Asker { question, answer } in askers {
                    assert!(question <= number, "it came before the round began");
                    let _ = answer.send(number);
                }
            }
        });
        let rounds = Arc::new(rounds);
        let ask = |_| {
            let (rounds, begun) = (Arc::clone(&rounds), Arc::clone(&begun));
            async move { rounds.ask(begun.load(Ordering::Relaxed)).await.unwrap() }
        };
        let answers = join_all((0..100).map(ask)).await;
        assert!(answers.iter().all(|number| *number <= 2), "{answers:?}");
        assert!(begun.load(Ordering::Relaxed) <= 3, "a hundred askers, three rounds at most");
    }

    #[tokio::test(start_paused = true)]
    async fn who_no_longer_waits_is_left_out() {
        let rounds = Rounds::start(|askers: Vec<Asker<u8, u8>>| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for Asker { question, answer } in askers {
                assert_ne!(question, 9, "nobody waits for it");
                let _ = answer.send(question);
            }
        });
        let both = async { tokio::join!(rounds.ask(1), rounds.ask(2)) };
        let dropped = tokio::time::timeout(Duration::from_millis(10), rounds.ask(9));
        let (both, dropped) = tokio::join!(both, dropped);
        assert_eq!((both, dropped.is_err()), ((Some(1), Some(2)), true));
        assert_eq!(rounds.ask(3).await, Some(3));
    }
}
