//! Files that something else has changed: cut off, flipped bits (scenario 31).

use crate::disk::{Disk, Model, new_content, open, raise, some_batch};
use pingpong_core::exercise::{Kept, Store};
use pingpong_node::store::counts::FileStoreError;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Where redb keeps what no page is: its mark, its flags, its layout, both slots.
const HEADER: usize = 320;

/// A file, what it showed before its last commit and after it, and how long it was before.
struct Sample {
    content: Vec<u8>,
    states: [Option<Kept>; 2],
    length_before: usize,
}

/// `closed`: by its node, else by a crash after the last commit.
async fn sample(closed: bool) -> Sample {
    let mut random = StdRng::seed_from_u64(1);
    let disk = Disk::of(new_content());
    let mut store = open(&disk).unwrap();
    let mut model = Model::new();
    for _ in 0..5 {
        let batch = some_batch(&mut random, &model);
        model.take(&batch);
        store.commit(batch).await.unwrap();
    }
    let (before, length_before) = (model.kept(), disk.content().len());
    // Until it must grow.
    let last = raise((0..1_200).map(|number| (number, 1_000)));
    model.take(&last);
    store.commit(last).await.unwrap();
    let crashed = disk.content();
    drop(store);
    let content = if closed { disk.content() } else { crashed };
    Sample { content, states: [before, model.kept()], length_before }
}

impl Sample {
    /// Whether a file with this content is taken; then it shows one of the two states, else it is left as it is.
    async fn taken(&self, content: &[u8], what: &str) -> bool {
        let disk = Disk::of(content.to_vec());
        let taken = self.opened(&disk, what).await;
        assert!(taken || disk.state().content == content, "{what}: it was changed");
        taken
    }

    async fn opened(&self, disk: &Disk, what: &str) -> bool {
        match open(disk) {
            Ok(mut store) => {
                let shown = store.load().await.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(self.states.contains(&shown), "{what}: another state");
                true
            }
            Err(error) => {
                let known = matches!(error, FileStoreError::Damaged { .. } | FileStoreError::NotAStore { .. });
                assert!(known && error.to_string().contains("counts.redb"), "{what}: {error}");
                assert_eq!(disk.changes(), 0, "{what}: it was changed");
                false
            }
        }
    }
}

#[tokio::test]
async fn a_file_cut_at_every_byte_of_its_last_growth_shows_a_commit_or_is_refused() {
    for closed in [false, true] {
        let sample = sample(closed).await;
        assert!(sample.length_before + 4_096 < sample.content.len(), "it grew");
        assert!(sample.taken(&sample.content, "whole").await);
        let mut disk = Disk::of(sample.content.clone());
        for length in (sample.length_before..sample.content.len()).rev() {
            disk.state().content.truncate(length);
            if sample.opened(&disk, &format!("closed: {closed}, cut at {length}")).await {
                disk = Disk::of(sample.content[..length].to_vec());
            }
        }
        assert!(disk.content() == sample.content[..sample.length_before], "it was changed");
        for length in (0..sample.length_before).step_by(97) {
            let what = format!("closed: {closed}, cut at {length}");
            assert!(!sample.taken(&sample.content[..length], &what).await, "{what}: it has neither");
        }
    }
}

#[tokio::test]
async fn every_flipped_bit_of_the_header_shows_a_commit_or_is_refused() {
    for closed in [false, true] {
        let sample = sample(closed).await;
        let mut taken = 0;
        for bit in 0..HEADER * 8 {
            let mut content = sample.content.clone();
            content[bit / 8] ^= 1 << (bit % 8);
            taken += usize::from(sample.taken(&content, &format!("closed: {closed}, bit {bit}")).await);
        }
        for byte in 0..HEADER {
            for value in [0, 0xff] {
                let mut content = sample.content.clone();
                content[byte] = value;
                sample.taken(&content, &format!("closed: {closed}, byte {byte} as {value}")).await;
            }
        }
        assert!((100..HEADER * 8 - 100).contains(&taken), "{taken} are not looked at");
    }
}

#[tokio::test]
async fn flipped_bytes_anywhere_show_a_commit_or_are_refused() {
    let (mut taken, mut refused) = (0, 0);
    for closed in [false, true] {
        let sample = sample(closed).await;
        for seed in 0..1_000 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut content = sample.content.clone();
            for _ in 0..[1, 1, 20][random.random_range(0..3)] {
                let at = random.random_range(0..content.len());
                content[at] = random.random();
            }
            match sample.taken(&content, &format!("closed: {closed}, seed {seed}")).await {
                true => taken += 1,
                false => refused += 1,
            }
        }
    }
    assert!(taken > 50 && refused > 50, "{taken} taken, {refused} refused");
}
