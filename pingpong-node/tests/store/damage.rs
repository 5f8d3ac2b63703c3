//! Files that something else has changed: cut off, flipped bits (scenario 31).

use crate::disk::{Disk, Model, new_content, open, raise, slot, some_batch};
use pingpong_core::exercise::{Batch, Kept, Store};
use pingpong_node::store::counts::{FileStoreError, SECTOR, TABLES};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::ops::Range;

/// Where redb keeps what no page is: its mark, its flags, its layout, both slots.
const HEADER: Range<usize> = TABLES as usize..TABLES as usize + 320;

/// The mark of the file.
const MARK: Range<usize> = 0..24;

/// Where the records of a sample are.
const RECORDS: Range<usize> = SECTOR..5 * SECTOR;

/// Where the last commit of a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Log,
    Tables,
}

/// A sample that its node has closed, one that a crash left, and one of which the last commit is in the log.
const SAMPLES: [(bool, In); 3] = [(false, In::Tables), (true, In::Tables), (false, In::Log)];

/// A file, what it showed before its last commit and after it, and how long it was before.
struct Sample {
    content: Vec<u8>,
    states: [Option<Kept>; 2],
    length_before: usize,
}

/// `closed`: by its node, else by a crash after the last commit.
async fn sample(closed: bool, last: In) -> Sample {
    let mut random = StdRng::seed_from_u64(1);
    let disk = Disk::of(new_content());
    let mut store = open(&disk).unwrap();
    let mut model = Model::new();
    for _ in 0..5 {
        let batch = some_batch(&mut random, &model);
        model.take(&batch);
        store.commit(batch).await.unwrap();
    }
    // All of that is in the tables then, and this in the log.
    let logged = [Batch { forgotten: vec![slot(9_999)], ..Batch::default() }, raise([(700, 1)]), raise([(701, 1)])];
    for batch in logged {
        model.take(&batch);
        store.commit(batch).await.unwrap();
    }
    let (before, length_before) = (model.kept(), disk.content().len());
    let last = match last {
        In::Log => raise([(701, 2), (702, 1)]),
        // Until it must grow.
        In::Tables => raise((0..1_200).map(|number| (number, 1_000))),
    };
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
        let sample = sample(closed, In::Tables).await;
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
    for (closed, last) in SAMPLES {
        let sample = sample(closed, last).await;
        let mut taken = 0;
        for bit in HEADER.start * 8..HEADER.end * 8 {
            let mut content = sample.content.clone();
            content[bit / 8] ^= 1 << (bit % 8);
            taken += usize::from(sample.taken(&content, &format!("closed: {closed}, bit {bit}")).await);
        }
        for byte in HEADER {
            for value in [0, 0xff] {
                let mut content = sample.content.clone();
                content[byte] = value;
                sample.taken(&content, &format!("closed: {closed}, byte {byte} as {value}")).await;
            }
        }
        assert!((100..HEADER.len() * 8 - 100).contains(&taken), "{taken} are not looked at");
    }
}

#[tokio::test]
async fn every_flipped_bit_of_the_mark_is_refused() {
    let sample = sample(false, In::Log).await;
    for bit in MARK.start * 8..MARK.end * 8 {
        let mut content = sample.content.clone();
        content[bit / 8] ^= 1 << (bit % 8);
        assert!(!sample.taken(&content, &format!("bit {bit}")).await, "bit {bit} is not looked at");
    }
}

/// A record that cannot be read is the one that a crash tore, unless there is a later one.
#[tokio::test]
async fn every_flipped_bit_of_the_log_shows_a_commit_or_is_refused() {
    let sample = sample(false, In::Log).await;
    let mut refused = [0; RECORDS.end / SECTOR];
    for bit in RECORDS.start * 8..RECORDS.end * 8 {
        let mut content = sample.content.clone();
        content[bit / 8] ^= 1 << (bit % 8);
        refused[bit / 8 / SECTOR] += usize::from(!sample.taken(&content, &format!("bit {bit}")).await);
    }
    // Of a sector some bytes are a record, and the rest is nothing.
    assert!(refused[1] > 80 && refused[2] > 80, "{refused:?}: records before the last one");
    assert_eq!(refused[3..], [0, 0], "the last one, and what is no record");
    let mut content = sample.content.clone();
    content[SECTOR + 5] ^= 1;
    let error = open(&Disk::of(content)).unwrap_err().to_string();
    assert!(error.contains("in its log cannot be read, and batch") && error.contains("counts.redb"), "{error}");
}

#[tokio::test]
async fn flipped_bytes_anywhere_show_a_commit_or_are_refused() {
    let (mut taken, mut refused) = (0, 0);
    for (closed, last) in SAMPLES {
        let sample = sample(closed, last).await;
        for seed in 0..1_000 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut content = sample.content.clone();
            // Most of the log is empty, and of several records in a row that are gone nobody knows that they were there.
            let (places, most) = match random.random_bool(0.2) {
                true => (0..RECORDS.end, 1),
                false => (HEADER.start..content.len(), 20),
            };
            for _ in 0..[1, 1, most][random.random_range(0..3)] {
                content[random.random_range(places.clone())] = random.random();
            }
            match sample.taken(&content, &format!("closed: {closed}, seed {seed}")).await {
                true => taken += 1,
                false => refused += 1,
            }
        }
    }
    assert!(taken > 50 && refused > 50, "{taken} taken, {refused} refused");
}
