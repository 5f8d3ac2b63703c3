//! Any batches, against a map in memory.

use crate::disk::{Disk, Model, new_content, open, place};
use pingpong_core::exercise::{Batch, Identity, Origin, Slot, Standing, Store};
use pingpong_core::{Incarnation, NodeName};
use pingpong_node::store::counts::{FileStore, FileStoreError, Owner};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..3_u64, Just(u64::MAX), any::<u64>()]
}

fn incarnation() -> impl Strategy<Value = Incarnation> {
    (number(), number()).prop_map(|(millis, random)| Incarnation::new(millis, random))
}

fn slot() -> impl Strategy<Value = Slot> {
    let producer = prop_oneof!["[a-c]", "[a-z]{1,63}", "[a-z]{63}\\.[a-z]{63}\\.[a-z]{63}\\.[a-z]{61}"];
    let producer = producer.prop_map(|name| NodeName::new(&name).unwrap());
    (producer, incarnation()).prop_map(|(producer, epoch)| Slot { producer, epoch })
}

fn identity() -> impl Strategy<Value = Identity> {
    let origin = prop_oneof![Just(Origin::Init), Just(Origin::Replacement)];
    let standing = prop_oneof![Just(Standing::Active), Just(Standing::Recovering)];
    (incarnation(), origin, standing).prop_map(|(epoch, origin, standing)| Identity { epoch, origin, standing })
}

#[derive(Clone, Debug)]
enum Step {
    /// Of the slots that are known, those at these places are forgotten.
    Commit(Option<Identity>, BTreeMap<Slot, u64>, Vec<prop::sample::Index>),
    Open,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let raised = prop::collection::btree_map(slot(), number(), 0..40);
    let forgotten = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    let identity = prop::option::weighted(0.2, identity());
    prop_oneof![
        5 => (identity, raised, forgotten).prop_map(|(identity, raised, forgotten)| Step::Commit(identity, raised, forgotten)),
        1 => Just(Step::Open),
        1 => Just(Step::Crash),
    ]
}

impl Model {
    fn batch(
        &self,
        identity: Option<Identity>,
        raised: BTreeMap<Slot, u64>,
        forgotten: &[prop::sample::Index],
    ) -> Batch {
        let known: Vec<_> = self.slots.keys().filter(|slot| !raised.contains_key(slot)).collect();
        let forgotten = match known.is_empty() {
            true => Vec::new(),
            false => forgotten.iter().map(|index| (*index.get(&known)).clone()).collect(),
        };
        Batch { identity, raised: raised.into_iter().collect(), forgotten }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn it_shows_what_was_kept(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut disk = Disk::of(new_content());
            let mut model = Model::new();
            let mut store = open(&disk).unwrap();
            for step in steps {
                match step {
                    Step::Commit(identity, raised, forgotten) => {
                        let batch = model.batch(identity, raised, &forgotten);
                        model.take(&batch);
                        store.commit(batch).await.unwrap();
                    }
                    Step::Open => {
                        drop(store);
                        store = open(&disk).unwrap();
                    }
                    // All that was committed is synced.
                    Step::Crash => {
                        disk = Disk::of(disk.content());
                        store = open(&disk).unwrap();
                    }
                }
                assert!(store.load().await.unwrap() == model.kept());
            }
        });
    }

    #[test]
    fn bytes_of_strangers_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..10_000), marked in any::<bool>()) {
        // With redb's mark they are looked at more closely.
        let mark: &[u8] = if marked { b"redb\x1a\x0a\xa9\x0d\x0a" } else { b"" };
        let owner = Owner { cluster: "c1".parse().unwrap(), node: "n1".parse().unwrap() };
        let disk = Disk::of([mark, &bytes].concat());
        let before = disk.content();
        let opened = FileStore::over(disk.clone(), place(), &owner, Incarnation::new(1, 1));
        prop_assert!(matches!(opened, Err(FileStoreError::NotAStore { .. } | FileStoreError::Damaged { .. })), "{opened:?}");
        prop_assert!(disk.content() == before && disk.changes() == 0);
    }
}
