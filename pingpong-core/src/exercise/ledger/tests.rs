//! The ledger over stores that are told how to fail.

use super::*;
use crate::exercise::store::Batch;
use crate::name::NodeName;
use async_trait::async_trait;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

fn node(name: &str, millis: u64) -> Node {
    Node { name: NodeName::new(name).unwrap(), incarnation: Incarnation::new(millis, 0) }
}

fn slot(name: &str, epoch: u64) -> Slot {
    let Node { name, incarnation } = node(name, epoch);
    Slot { producer: name, epoch: incarnation }
}

fn one(name: &str, epoch: u64, count: u64) -> Counts {
    Counts::from_iter([(slot(name, epoch), count)])
}

fn members(names: &[&str]) -> Members {
    let names = names.iter().map(|name| NodeName::new(name).unwrap());
    Members::new(crate::ClusterName::new("prod").unwrap(), names).unwrap()
}

/// A store that does with each batch what it is told, and shows what it was given.
#[derive(Clone, Default)]
struct Scripted(Arc<Script>);

#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Result<(), CommitError>>>,
    batches: Mutex<Vec<Batch>>,
    kept: Mutex<Option<Kept>>,
    held: Mutex<bool>,
    go: Notify,
}

impl Scripted {
    fn then(&self, answer: Result<(), CommitError>) {
        self.0.answers.lock().unwrap().push_back(answer);
    }

    fn hold(&self, held: bool) {
        *self.0.held.lock().unwrap() = held;
        self.0.go.notify_one();
    }

    fn batches(&self) -> Vec<Batch> {
        self.0.batches.lock().unwrap().clone()
    }
}

#[async_trait]
impl Store for Scripted {
    async fn load(&mut self) -> Result<Option<Kept>, LoadError> {
        Ok(self.0.kept.lock().unwrap().clone())
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), CommitError> {
        self.0.batches.lock().unwrap().push(batch);
        while *self.0.held.lock().unwrap() {
            self.0.go.notified().await;
        }
        self.0.answers.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }
}

fn full() -> CommitError {
    CommitError::Refused { place: "the script".to_owned(), words: "no room".to_owned() }
}

fn torn() -> CommitError {
    CommitError::Unknown { place: "the script".to_owned(), words: "a sync failed".to_owned() }
}

async fn open(store: &Scripted, options: LedgerOptions) -> Arc<Ledger> {
    Ledger::open(store.clone(), &node("a", 5), options).await.unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(3_600), future).await.expect("it must come")
}

#[tokio::test(start_paused = true)]
async fn nothing_is_shown_before_it_is_kept() {
    let store = Scripted::default();
    let ledger = open(&store, LedgerOptions::default()).await;
    store.hold(true);
    let mut ping = Box::pin(ledger.ping(3));
    assert!(timeout(Duration::from_secs(1), &mut ping).await.is_err());
    ledger.merge(Source::Producer(&node("b", 1)), &one("b", 1, 7));
    assert_eq!((ledger.counts().total(), ledger.published().sum.slots), (0, 1), "only the slot that was begun");
    store.hold(false);
    assert_eq!(soon(ping).await.unwrap().count, 3);
    soon(ledger.flush()).await.unwrap();
    assert_eq!(ledger.counts().total(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_committed_together() {
    let store = Scripted::default();
    let ledger = open(&store, LedgerOptions::default()).await;
    store.hold(true);
    let first = ledger.ping(1);
    let rest = futures_util::future::join_all((0..100).map(|_| ledger.ping(1)));
    let merges = async {
        for count in 1..=50 {
            ledger.merge(Source::Producer(&node("b", 1)), &one("b", 1, count));
            tokio::task::yield_now().await;
        }
        store.hold(false);
    };
    let (first, rest, ()) = soon(async { tokio::join!(first, rest, merges) }).await;
    let numbers: Vec<u64> = rest.into_iter().chain([first]).map(|pinged| pinged.unwrap().count).collect();
    assert_eq!(numbers.iter().copied().collect::<std::collections::BTreeSet<_>>().len(), 101, "no number twice");
    assert_eq!(ledger.counts().total(), 151);
    assert!(store.batches().len() <= 4, "the first slot, what came first, what waited: {}", store.batches().len());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_counts_nothing_and_keeps_what_others_said() {
    let store = Scripted::default();
    let ledger = open(&store, LedgerOptions::default()).await;
    (0..3).for_each(|_| store.then(Err(full())));
    let merged = ledger.merge(Source::Producer(&node("b", 1)), &one("b", 1, 7));
    let refused = soon(ledger.ping(2)).await.unwrap_err();
    assert!(matches!(&refused, PingRefused::StoreFull(words) if words.contains("make room")), "{refused}");
    assert!(soon(ledger.settled(merged.ticket)).await.is_err(), "nobody is told that it is held");
    assert_eq!(ledger.counts().total(), 0);
    soon(ledger.synced(merged.ticket)).await.unwrap();
    assert_eq!((ledger.counts().get(&slot("b", 1)), ledger.counts().get(&slot("a", 5))), (Some(7), Some(0)));
    assert_eq!(soon(ledger.ping(1)).await.unwrap().count, 1, "without a gap");
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_begins_in_a_refused_batch_begins_later_at_0() {
    let store = Scripted::default();
    let ledger = open(&store, LedgerOptions::default()).await;
    store.hold(true);
    let merge = ledger.merge(Source::Producer(&node("b", 1)), &one("b", 1, 1));
    tokio::task::yield_now().await;
    ledger.begin(Incarnation::new(9, 0)).unwrap();
    store.then(Ok(()));
    store.then(Err(full()));
    let ping = ledger.ping(4);
    store.hold(false);
    assert!(matches!(soon(ping).await, Err(PingRefused::StoreFull(_))));
    soon(ledger.synced(merge.ticket)).await.unwrap();
    // Refused or not: it is tried again.
    let _ = soon(ledger.flush()).await;
    let again = soon(ledger.ping(2)).await.unwrap();
    assert_eq!((again.slot, again.count), (slot("a", 9), 2));
    assert_eq!(ledger.counts().get(&slot("a", 5)), Some(0), "the old one stays as it was (P4)");
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_fails_closes_the_ledger_and_whoever_waits_is_told() {
    let store = Scripted::default();
    let ledger = open(&store, LedgerOptions::default()).await;
    store.then(Err(torn()));
    let closed = soon(ledger.ping(1)).await.unwrap_err();
    assert!(matches!(closed, PingRefused::StoreClosed(_)), "{closed}");
    assert_eq!(soon(ledger.failed()).await, torn());
    assert!(matches!(soon(ledger.ping(1)).await, Err(PingRefused::StoreClosed(_))));
    let merged = ledger.merge(Source::Producer(&node("b", 1)), &one("b", 1, 7));
    assert_eq!(soon(ledger.synced(merged.ticket)).await, Err(torn()));
    assert_eq!((ledger.counts().total(), store.batches().len()), (0, 2), "nothing is given to it any more");
}

#[tokio::test(start_paused = true)]
async fn pings_are_numbered_from_1_and_never_wrap() {
    let ledger = Ledger::in_memory(&node("a", 5)).await.unwrap();
    assert_eq!(ledger.counts().get(&ledger.slot()), Some(0), "the epoch has begun");
    for (pings, count) in [(1, 1), (u64::MAX - 2, u64::MAX - 1), (1, u64::MAX)] {
        assert_eq!(ledger.ping(pings).await.unwrap().count, count);
    }
    let refused = PingRefused::CountExhausted { count: u64::MAX, wanted: 1 };
    assert_eq!(ledger.ping(1).await, Err(refused));
    assert_eq!(ledger.counts().total(), u128::from(u64::MAX));
}

#[tokio::test(start_paused = true)]
async fn a_store_goes_on_where_it_was_and_an_empty_one_is_what_it_is_said_to_be() {
    let voters = Some(members(&["a", "b", "c"]));
    let fresh =
        |init, members: &Option<Members>| LedgerOptions { init, members: members.clone(), ..LedgerOptions::default() };
    for (options, origin, standing) in [
        (fresh(true, &voters), Origin::Init, Standing::Recovering),
        (fresh(false, &voters), Origin::Replacement, Standing::Recovering),
        (fresh(false, &None), Origin::Replacement, Standing::Observer),
        (fresh(true, &Some(members(&["b", "c"]))), Origin::Init, Standing::Observer),
    ] {
        let identity = Identity { epoch: node("a", 5).incarnation, origin, standing };
        let store = Scripted::default();
        let ledger = open(&store, options).await;
        assert_eq!(ledger.identity(), identity);
        assert_eq!(store.batches()[0].identity, Some(identity), "before anything else");
    }
    let store = Scripted::default();
    let identity = Identity { epoch: Incarnation::new(3, 0), origin: Origin::Init, standing: Standing::Recovering };
    let kept = Kept { identity, counts: Counts::from_iter([(slot("a", 3), 8), (slot("b", 1), 2)]) };
    *store.0.kept.lock().unwrap() = Some(kept);
    let ledger = open(&store, fresh(true, &voters)).await;
    assert_eq!(
        (ledger.identity(), ledger.counts().total()),
        (identity, 10),
        "what it was said to be counts for nothing"
    );
    assert_eq!(soon(ledger.ping(1)).await.unwrap(), Pinged { slot: slot("a", 3), count: 9 });
}

#[tokio::test(start_paused = true)]
async fn an_epoch_begins_only_above_the_last_and_before_a_ping_was_numbered() {
    let store = Scripted::default();
    let ledger = open(&store, LedgerOptions { members: Some(members(&["a"])), ..LedgerOptions::default() }).await;
    assert_eq!(ledger.begin(Incarnation::new(5, 0)), Err(slot("a", 5)));
    let begun = ledger.begin(Incarnation::new(7, 0)).unwrap();
    assert_eq!(ledger.begin(Incarnation::new(7, 0)), Ok(Begun { now: false, ..begun }), "it has begun already");
    soon(ledger.synced(begun.ticket)).await.unwrap();
    assert_eq!((ledger.slot(), ledger.identity().standing), (slot("a", 7), Standing::Recovering));
    soon(ledger.ping(1)).await.unwrap();
    assert_eq!(ledger.begin(Incarnation::new(9, 0)), Err(slot("a", 7)), "its numbers are given");
}

/// P28: what a majority acknowledged before need not have come here.
#[tokio::test(start_paused = true)]
async fn a_store_that_was_no_members_recovers_before_it_votes_and_one_that_is_none_any_more_does_again() {
    let with = |members: Option<Members>| LedgerOptions { members, ..LedgerOptions::default() };
    let (in_it, out_of_it) = (Some(members(&["a", "b", "c"])), Some(members(&["b", "c"])));
    let mut kept = Kept {
        identity: Identity { epoch: Incarnation::new(3, 0), origin: Origin::Init, standing: Standing::Active },
        counts: Counts::from_iter([(slot("a", 3), 8)]),
    };
    for (options, standing) in [
        (with(in_it.clone()), Standing::Active),
        (with(out_of_it), Standing::Observer),
        (with(in_it), Standing::Recovering),
        (with(None), Standing::Observer),
    ] {
        let store = Scripted::default();
        *store.0.kept.lock().unwrap() = Some(kept.clone());
        let ledger = open(&store, options).await;
        let changed = (standing != kept.identity.standing).then_some(Identity { standing, ..kept.identity });
        assert_eq!(store.batches().first().map(|batch| batch.identity), changed.map(Some), "kept before it is used");
        kept.identity = ledger.identity();
        assert_eq!((kept.identity.standing, ledger.counts().total()), (standing, 8));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_in_a_ledger_that_was_just_opened() {
    let ledger = open(&Scripted::default(), LedgerOptions::default()).await;
    soon(ledger.flush()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_closed_ends_its_batch_lets_go_of_the_store_and_takes_nothing() {
    let store = Scripted::default();
    let ledger = open(&store, LedgerOptions::default()).await;
    store.hold(true);
    let ping = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.ping(1).await }
    });
    tokio::task::yield_now().await;
    let users = Arc::strong_count(&store.0);
    let mut close = Box::pin(ledger.close());
    assert!(timeout(Duration::from_secs(1), &mut close).await.is_err(), "its batch is on its way");
    store.hold(false);
    soon(close).await;
    assert_eq!((Arc::strong_count(&store.0), store.batches().len()), (users - 1, 2));
    assert!(matches!(soon(ping).await.unwrap(), Err(PingRefused::StoreClosed(_))), "nobody knows");
    assert!(matches!(soon(ledger.ping(1)).await, Err(PingRefused::StoreClosed(_))));
}

/// The rows of the abuse table, without members and with them.
#[tokio::test(start_paused = true)]
async fn what_may_not_be_said_changes_nothing_and_is_counted() {
    let (b, m) = (node("b", 3), node("m", 3));
    let options = LedgerOptions { members: Some(members(&["m"])), ..LedgerOptions::default() };
    let ledger = open(&Scripted::default(), options).await;
    ledger.merge(Source::Producer(&b), &one("b", 3, 7));
    soon(ledger.flush()).await.unwrap();
    let before = ledger.counts();
    type Row<'a> = (Source<'a>, Counts, fn(&Ignored) -> u64);
    let rows: [Row<'_>; 10] = [
        (Source::Relay(&m), one("b", 3, 6), |i| i.stale),
        (Source::Producer(&b), one("b", 3, 6), |i| i.stale),
        (Source::Producer(&b), one("c", 1, 1), |i| i.foreign_slot),
        (Source::Producer(&m), one("c", 1, 1), |i| i.foreign_slot),
        (Source::Relay(&b), one("c", 1, 1), |i| i.foreign_slot),
        (Source::Producer(&b), one("b", 4, 1), |i| i.future_epoch),
        (Source::Relay(&b), one("b", 4, 1), |i| i.future_epoch),
        (Source::Relay(&m), one("a", 5, 1), |i| i.own_slot),
        (Source::Relay(&b), one("a", 5, 1), |i| i.foreign_slot),
        (Source::Producer(&m), one("a", 5, 1), |i| i.foreign_slot),
    ];
    for (source, counts, metric) in rows {
        let was = metric(&ledger.ignored());
        ledger.merge(source, &counts);
        soon(ledger.flush()).await.unwrap();
        assert_eq!(ledger.counts(), before, "{source:?} {counts:?}");
        assert_eq!(metric(&ledger.ignored()), was + 1, "{source:?} {counts:?}");
    }
    ledger.merge(Source::Relay(&m), &Counts::from_iter([(slot("c", 9), 4), (slot("b", 4), 1), (slot("a", 2), 6)]));
    soon(ledger.flush()).await.unwrap();
    assert_eq!(
        ledger.counts().total(),
        7 + 4 + 1 + 6,
        "a member passes on what it knows, older epochs of this node included"
    );
    assert_eq!(soon(ledger.ping(1)).await.unwrap().count, 1, "the node still answers");
}

#[tokio::test(start_paused = true)]
async fn slots_are_bounded_and_empty_ones_make_room_first() {
    let limits = StoreLimits { epochs: 3, slots: 5 };
    let ledger = open(&Scripted::default(), LedgerOptions { limits, ..LedgerOptions::default() }).await;
    let say = async |name: &str, epoch, count| {
        ledger.merge(Source::Relay(&node("z", 1)), &one(name, epoch, count));
        soon(ledger.flush()).await.unwrap();
    };
    for (epoch, count) in [(1, 4), (2, 0), (3, 0), (4, 1)] {
        say("b", epoch, count).await;
    }
    let epochs = || ledger.counts().epochs(&node("b", 0).name).map(|(epoch, _)| epoch.millis()).collect::<Vec<_>>();
    assert_eq!((epochs(), ledger.ignored().too_many_slots), (vec![1, 3, 4], 0));
    say("b", 5, 1).await;
    say("b", 6, 1).await;
    assert_eq!((epochs(), ledger.ignored().too_many_slots), (vec![1, 4, 5], 1));
    say("c", 1, 1).await;
    say("d", 1, 1).await;
    assert_eq!((ledger.counts().len(), ledger.ignored().too_many_slots), (5, 2));
    let all: Vec<(Slot, u64)> = ledger.counts().iter().map(|(slot, count)| (slot.clone(), count)).collect();
    let mut digest = crate::exercise::digest::Digest::new();
    all.iter().for_each(|(slot, count)| digest.change(slot, None, Some(*count)));
    assert_eq!(ledger.published().sum, digest.root(), "the sums have followed");
}

/// Slots that come in one message are bounded, too: they are not published yet when the next one is looked at.
#[tokio::test(start_paused = true)]
async fn slots_of_one_message_are_bounded_as_well() {
    let limits = StoreLimits { epochs: 1_000, slots: 10 };
    let ledger = open(&Scripted::default(), LedgerOptions { limits, ..LedgerOptions::default() }).await;
    let many = (1..=50).map(|epoch| (slot("b", epoch), 1)).collect();
    let merged = ledger.merge(Source::Relay(&node("z", 1)), &many);
    soon(ledger.flush()).await.unwrap();
    assert_eq!((ledger.counts().len(), merged.refused, ledger.ignored().too_many_slots), (10, 41, 41));
}

#[tokio::test(start_paused = true)]
async fn only_what_changed_since_is_told_with_who_brought_it() {
    let ledger = open(&Scripted::default(), LedgerOptions::default()).await;
    let before = ledger.revision();
    ledger.merge(Source::Relay(&node("b", 1)), &one("c", 1, 1));
    soon(ledger.ping(1)).await.unwrap();
    let (changed, revision) = ledger.changed_since(before);
    let changed: Vec<_> =
        changed.unwrap().into_iter().map(|changed| (changed.slot, changed.count, changed.by)).collect();
    assert_eq!(changed, [(slot("c", 1), 1, Some(node("b", 1))), (slot("a", 5), 1, None)]);
    assert_eq!(ledger.changed_since(revision).0.map(|changed| changed.len()), Some(0));
    assert!(ledger.changed_since(0).0.is_none(), "nobody remembers");
}
