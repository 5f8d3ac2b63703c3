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
struct Asker<Q, A> {
    question: Q,
    answer: oneshot::Sender<A>,
}

/// Where to ask. Dropping it ends the rounds.
pub(super) struct Rounds<Q, A> {
    askers: mpsc::Sender<Asker<Q, A>>,
    task: AbortHandle,
}

impl<Q: Send + 'static, A: Clone + Send + Sync + 'static> Rounds<Q, A> {
    /// Starts the task. `round` answers all questions of a round at once.
    pub(super) fn start<R: Future<Output = A> + Send + 'static>(round: impl Fn(Vec<Q>) -> R + Send + 'static) -> Self {
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
                    let (questions, answers) =
                        waiting.drain(..).map(|asker| (asker.question, asker.answer)).unzip::<_, _, Vec<_>, Vec<_>>();
                    rounds.spawn(answer(round(questions), answers));
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

/// A round ends with its answer, or when nobody waits for it any more: nobody's long deadline keeps the next one from beginning.
async fn answer<A: Clone>(round: impl Future<Output = A>, mut askers: Vec<oneshot::Sender<A>>) {
    let gone = async {
        for asker in &mut askers {
            asker.closed().await;
        }
    };
    let answer = tokio::select! {
        biased;
        answer = round => answer,
        () = gone => return,
    };
    for asker in askers {
        // Refused by whoever no longer waits.
        let _ = asker.send(answer.clone());
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
        let rounds = Rounds::start(move |questions: Vec<usize>| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert!(questions.iter().all(|before| *before <= number), "it came before the round began");
                number
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
    async fn who_no_longer_waits_is_left_out_and_holds_nobody_up() {
        let rounds = Rounds::start(|questions: Vec<u8>| async move {
            assert!(!questions.contains(&9), "nobody waits for it");
            let long = Duration::from_secs(if questions.contains(&1) { 86_400 } else { 1 });
            tokio::time::sleep(long).await;
            questions.len()
        });
        // As many rounds as may go on at once, which would take a day; and one who comes and goes meanwhile.
        let asks = async |question, after, until: u64| {
            tokio::time::sleep(Duration::from_millis(after)).await;
            tokio::time::timeout(Duration::from_millis(until - after), rounds.ask(question)).await
        };
        let (one, other, left_out) = tokio::join!(asks(1, 0, 10), asks(1, 1, 10), asks(9, 2, 5));
        assert!(one.is_err() && other.is_err() && left_out.is_err());
        let soon = tokio::time::timeout(Duration::from_secs(2), rounds.ask(3)).await;
        assert_eq!(soon, Ok(Some(1)), "their rounds have ended with them");
    }
}
