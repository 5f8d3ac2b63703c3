//! Power cuts: at every change that redb makes to the file, with any part of what was not synced.

use crate::disk::{Disk, Model, Op, apply, crashed, large, new_content, open, raise, shown, some_batch};
use pingpong_core::exercise::{Batch, Kept, Store};
use pingpong_node::store::counts::FileStoreError;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A run of some batches: what the disk was told, and after how many of its changes how many batches were acknowledged.
struct Run {
    begin: Vec<u8>,
    log: Vec<Op>,
    /// What each batch left, the state before the first one first.
    states: Vec<Option<Kept>>,
    /// The changes that were made when that state was acknowledged.
    acknowledged: Vec<usize>,
}

impl Run {
    async fn new(seed: u64, batches: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut model = Model::new();
        let batches = (0..batches).map(|_| {
            let batch = some_batch(&mut random, &model);
            model.take(&batch);
            batch
        });
        let batches: Vec<_> = batches.collect();
        Self::of(batches).await
    }

    async fn of(batches: Vec<Batch>) -> Self {
        let begin = new_content();
        let disk = Disk::of(begin.clone());
        let mut model = Model::new();
        let mut states = vec![model.kept()];
        let mut store = open(&disk).unwrap();
        let mut acknowledged = vec![0];
        for batch in batches {
            model.take(&batch);
            store.commit(batch).await.unwrap();
            states.push(model.kept());
            acknowledged.push(disk.changes());
        }
        drop(store);
        let log = disk.state().log.clone();
        Self { begin, log, states, acknowledged }
    }

    /// What the disk has when it is crashed after so many changes; `honest` says which syncs do what they should.
    fn cut(&self, changes: usize, seed: u64, honest: impl Fn(usize) -> bool) -> Vec<u8> {
        let made = &self.log[..changes];
        let sync = |(index, op): (usize, &Op)| (matches!(op, Op::Sync) && honest(index)).then_some(index + 1);
        let synced = made.iter().enumerate().rev().find_map(sync).unwrap_or(0);
        let mut content = self.begin.clone();
        made[..synced].iter().for_each(|op| apply(&mut content, op));
        crashed(&content, &made[synced..], seed)
    }

    /// Which states were acknowledged after so many changes.
    fn last(&self, changes: usize) -> usize {
        self.acknowledged.iter().rposition(|made| *made <= changes).unwrap()
    }
}

#[tokio::test]
async fn after_a_crash_it_is_the_last_batch_or_the_one_in_flight() {
    let (mut crashes, mut before, mut after) = (0, 0, 0);
    for seed in 0..12 {
        let run = Run::new(seed, 10).await;
        for changes in 0..=run.log.len() {
            for salt in 0..3 {
                let content = run.cut(changes, seed << 32 | (changes as u64) << 8 | salt, |_| true);
                let shown = shown(content).await;
                let shown = shown.unwrap_or_else(|error| panic!("seed {seed}, change {changes}, salt {salt}: {error}"));
                let last = run.last(changes);
                let next = (last + 1).min(run.states.len() - 1);
                let is = [last, next].into_iter().find(|state| run.states[*state] == shown);
                match is {
                    Some(is) if is == last => before += 1,
                    Some(_) => after += 1,
                    None => panic!("seed {seed}, change {changes}, salt {salt}: another state than {last} or {next}"),
                }
                crashes += 1;
            }
        }
    }
    assert!(crashes > 2_000 && before > 100 && after > 20, "{crashes} crashes, {before} before, {after} in flight");
}

/// What is more than redb keeps in memory is written before the commit, and the file grows while it is.
#[tokio::test]
async fn a_crash_within_a_large_batch_shows_all_of_it_or_nothing() {
    let run = Run::of(vec![large(1), raise([(1, 1)]), large(2)]).await;
    let grown = run.log.iter().filter(|op| matches!(op, Op::SetLen(_))).count();
    assert!(grown > 3 && run.log.len() > 500, "it grew {grown} times in {} changes", run.log.len());
    for changes in
        (0..=run.log.len()).step_by(29).chain(run.acknowledged.iter().flat_map(|made| made.saturating_sub(3)..=*made))
    {
        let shown = shown(run.cut(changes, changes as u64, |_| true)).await.unwrap();
        let last = run.last(changes);
        assert!(run.states[last..run.states.len().min(last + 2)].contains(&shown), "change {changes}: another state");
    }
}

/// The tables take over all that is in the log, which begins anew over what is still there.
#[tokio::test]
async fn a_crash_when_the_log_is_full_shows_the_last_batch_or_the_one_in_flight() {
    let batches = (1..=45).map(|round| raise((0..900).map(|number| (number, round))));
    let run = Run::of(batches.collect()).await;
    let tabled = run.acknowledged.windows(2).filter(|made| made[1] - made[0] > 2).count();
    assert_eq!(tabled, 2, "the log was full twice");
    for changes in 0..=run.log.len() {
        for salt in 0..4 {
            let shown = shown(run.cut(changes, (changes as u64) << 8 | salt, |_| true)).await;
            let shown = shown.unwrap_or_else(|error| panic!("change {changes}, salt {salt}: {error}"));
            let last = run.last(changes);
            assert!(
                run.states[last..run.states.len().min(last + 2)].contains(&shown),
                "change {changes}: another state"
            );
        }
    }
}

/// What opening does to the file after a crash is crashed as well, and once more.
#[tokio::test]
async fn a_crash_while_a_crash_is_repaired_changes_nothing() {
    for seed in 0..3 {
        let run = Run::new(100 + seed, 6).await;
        for changes in (0..=run.log.len()).step_by(3) {
            let begin = run.cut(changes, seed + changes as u64, |_| true);
            let first = shown(begin.clone()).await.unwrap();
            let disk = Disk::of(begin.clone());
            drop(open(&disk).unwrap());
            let repair = Run { begin, log: disk.state().log.clone(), states: Vec::new(), acknowledged: Vec::new() };
            for changes in 0..=repair.log.len() {
                let again = shown(repair.cut(changes, seed + changes as u64, |_| true)).await.unwrap();
                assert!(again == first, "seed {seed}, change {changes}");
            }
        }
    }
}

/// It may come back older, which nobody could tell (CANNOT 7), or be refused; but it is the state after some batch.
#[tokio::test]
async fn a_disk_that_lied_about_a_sync_shows_an_earlier_batch_or_is_refused() {
    let (mut older, mut refused) = (0, 0);
    for seed in 0..12 {
        let run = Run::new(1_000 + seed, 8).await;
        for changes in 0..=run.log.len() {
            let mut random = StdRng::seed_from_u64(seed << 32 | changes as u64);
            let share = [0.0, 0.3, 0.7][random.random_range(0..3)];
            let honest: Vec<bool> = run.log.iter().map(|_| random.random_bool(share)).collect();
            let (last, content) = (run.last(changes), run.cut(changes, random.random(), |index| honest[index]));
            match shown(content).await {
                Ok(shown) => {
                    let is =
                        run.states[..=(last + 1).min(run.states.len() - 1)].iter().rposition(|state| *state == shown);
                    let is = is.unwrap_or_else(|| panic!("seed {seed}, change {changes}: a state that never was"));
                    older += usize::from(is < last);
                }
                Err(FileStoreError::Damaged { .. } | FileStoreError::NotAStore { .. }) => refused += 1,
                Err(error) => panic!("seed {seed}, change {changes}: {error}"),
            }
        }
    }
    assert!(older > 100 && refused > 20, "{older} older, {refused} refused");
}
