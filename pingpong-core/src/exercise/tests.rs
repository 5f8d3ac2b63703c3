//! The producer and the consumer against a transport whose peers are scripted.

use super::quorum::Announced;
use super::*;
use crate::message::Message;
use crate::node::{Incarnation, Node};
use crate::server::double::{Answer, Double, Seen, node};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::time::Instant;

fn slot(producer: &str) -> Slot {
    let Node { name, incarnation } = node(producer);
    Slot { producer: name, epoch: incarnation }
}

fn counts(slots: &[(&str, u64)]) -> Counts {
    slots.iter().map(|(producer, count)| (slot(producer), *count)).collect()
}

async fn start(double: &Arc<Double>) -> Exercise {
    let transport: Arc<dyn Transport> = Arc::clone(double) as _;
    let ledger = Ledger::in_memory(&transport.node()).await.unwrap();
    Exercise::start(transport, ledger, Settings::default()).unwrap()
}

fn slots(counts: Counts) -> ProducerSays {
    ProducerSays::Slots { counts, exact: true }
}

fn pings_of(exercise: &Exercise, producer: &str) -> u128 {
    exercise.local().values.get(&node(producer).name).copied().unwrap_or(0)
}

fn told(double: &Double, to: &str) -> Vec<Told> {
    double.log().iter().filter_map(|seen| seen.cast_to(to)).collect()
}

/// Whether somebody was told exactly this at least so many times.
async fn until_told(double: &Double, to: &str, what: &Told, times: usize) {
    double
        .until(|log| log.iter().filter(|seen| seen.cast_to::<Told>(to).as_ref() == Some(what)).count() >= times)
        .await;
}

/// Lets all that can happen without time happen.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_consumer_is_registered_before_it_asks_anybody() {
    let double = Double::new("a", &["b", "c"]);
    let _exercise = start(&double).await;
    double.until(|log| log.iter().filter(|seen| matches!(seen, Seen::Called(..))).count() == 4).await;
    let log = double.log();
    let registered = log.iter().position(|seen| *seen == Seen::Registered(CONSUMER.clone())).unwrap();
    for server in [&*PRODUCER, &*CONSUMER] {
        for peer in ["b", "c"] {
            let asked = log.iter().position(|seen| seen.is_call(server, peer)).unwrap();
            assert!(registered < asked, "asking first loses the casts that come in between (P13)");
        }
    }
}

/// Scenario 11. The peer casts its next ping at the moment when it is asked, and answers with the state before.
#[tokio::test(start_paused = true)]
async fn a_ping_between_the_registration_and_the_answer_is_counted() {
    let double = Double::new("a", &["b"]);
    let inner = Arc::downgrade(&double);
    let (count, asked) = tokio::sync::watch::channel(0);
    double.script(move |server, _| {
        count.send_modify(|asked| *asked += 1);
        // The lock of the double is held here, so that the cast is delivered by a task.
        let double = inner.upgrade().unwrap();
        tokio::spawn(async move { double.deliver(&CONSUMER, "b", &Told::Pinged(counts(&[("b", 8)]))) });
        if *server == *PRODUCER {
            Answer::reply(&slots(counts(&[("b", 7)])))
        } else {
            Answer::reply(&ConsumerSays::Counts(counts(&[("b", 6), ("c", 2)])))
        }
    });
    let exercise = start(&double).await;
    let mut asked = asked;
    tokio::time::timeout(Duration::from_secs(60), asked.wait_for(|asked| *asked == 2)).await.unwrap().unwrap();
    settle().await;
    assert_eq!((pings_of(&exercise, "b"), pings_of(&exercise, "c")), (8, 2));
}

/// Scenario 12.
#[tokio::test(start_paused = true)]
async fn who_does_not_answer_in_time_is_asked_again_until_it_does() {
    let double = Double::new("a", &["b", "c"]);
    let tries = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&tries);
    double.script(move |server, from| match (from.as_str(), *server == *PRODUCER) {
        ("b", true) if counter.fetch_add(1, Ordering::SeqCst) < 3 => Answer::Silence,
        ("b", true) => Answer::reply(&slots(counts(&[("b", 7)]))),
        _ => Answer::Fails(CallFailure::NoSuchServer),
    });
    let exercise = start(&double).await;
    let before = Instant::now();
    double.until(|log| log.iter().filter(|seen| seen.is_call(&PRODUCER, "b")).count() == 4).await;
    settle().await;
    assert_eq!(pings_of(&exercise, "b"), 7);
    let waited = before.elapsed() - 3 * Settings::default().ask_deadline;
    let (least, most) = (Duration::from_millis(100 + 200 + 400), Duration::from_millis(200 + 400 + 800));
    assert!(waited >= least && waited <= most, "doubled each time, with jitter: {waited:?}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let asked = |server, peer| double.log().iter().filter(|seen| seen.is_call(server, peer)).count();
    assert_eq!(asked(&PRODUCER, "b"), 4, "it has answered");
    assert_eq!((asked(&PRODUCER, "c"), asked(&CONSUMER, "b")), (1, 1), "a server that is not there needs no repeat");
}

#[tokio::test(start_paused = true)]
async fn who_goes_down_is_not_asked_again() {
    let double = Double::new("a", &["b"]);
    double.script(|_, _| Answer::Silence);
    let _exercise = start(&double).await;
    double.until(|log| log.iter().filter(|seen| seen.is_call(&PRODUCER, "b")).count() == 2).await;
    double.down("b");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(double.log().iter().filter(|seen| seen.is_call(&PRODUCER, "b")).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_producer_tells_its_own_node_and_every_one_that_is_or_comes_up() {
    let double = Double::new("a", &["b"]);
    let exercise = start(&double).await;
    let begun = Told::Pinged(counts(&[("a", 0)]));
    until_told(&double, "a", &begun, 1).await;
    until_told(&double, "b", &begun, 1).await;
    assert_eq!(exercise.ping(3).await.unwrap(), Pinged { slot: slot("a"), count: 3 });
    double.up("c");
    until_told(&double, "c", &Told::Pinged(counts(&[("a", 3)])), 1).await;
    exercise.producer().crash().await;
    until_told(&double, "b", &Told::Pinged(counts(&[("a", 3)])), 2).await;
    assert_eq!(exercise.ping(1).await.unwrap().count, 4, "it goes on where the store is");
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_queue_was_full_gets_the_count_later() {
    let double = Double::new("a", &["b", "c"]);
    let exercise = start(&double).await;
    settle().await;
    double.full(&["b"]);
    exercise.ping(1).await.unwrap();
    exercise.ping(1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(told(&double, "c").contains(&Told::Pinged(counts(&[("a", 2)]))), "one slow node delays no other");
    assert!(!told(&double, "b").contains(&Told::Pinged(counts(&[("a", 1)]))));
    double.full(&[]);
    until_told(&double, "b", &Told::Pinged(counts(&[("a", 2)])), 1).await;
    let log = double.log().len();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(double.log().len(), log, "told once, and quiet again");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_tells_who_comes_up_and_passes_on_what_it_learns_but_not_to_who_brought_it() {
    let double = Double::new("a", &["b", "c"]);
    let _exercise = start(&double).await;
    let all = Told::News(counts(&[("a", 0)]));
    until_told(&double, "b", &all, 1).await;
    until_told(&double, "c", &all, 1).await;
    settle().await;
    double.deliver(&CONSUMER, "b", &Told::News(counts(&[("d", 5)])));
    until_told(&double, "c", &Told::News(counts(&[("d", 5)])), 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let news = |to: &str| told(&double, to).into_iter().filter(|told| matches!(told, Told::News(_))).count();
    assert_eq!((news("b"), news("c")), (1, 2));
    double.deliver(&CONSUMER, "c", &Told::News(counts(&[("d", 5), ("a", 0)])));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((news("b"), news("c")), (1, 2), "nothing new, nothing said");
    double.up("e");
    until_told(&double, "e", &Told::News(counts(&[("a", 0), ("d", 5)])), 1).await;
}

#[tokio::test(start_paused = true)]
async fn news_are_passed_on_at_most_once_in_an_interval_and_none_is_lost() {
    let double = Double::new("a", &["b", "c"]);
    let _exercise = start(&double).await;
    settle().await;
    let before = told(&double, "c").len();
    for count in 1..=100 {
        double.deliver(&CONSUMER, "b", &Told::Pinged(counts(&[("b", count)])));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    until_told(&double, "c", &Told::News(counts(&[("b", 100)])), 1).await;
    let sent = told(&double, "c").len() - before;
    assert!((4..=6).contains(&sent), "{sent} in a second, with an interval of 200 ms");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_counted_and_both_servers_go_on() {
    let double = Double::new("a", &["b"]);
    let exercise = start(&double).await;
    double.deliver(&CONSUMER, "b", &Told::Pinged(counts(&[("b", 5)])));
    double.deliver(&CONSUMER, "b", &Told::Pinged(counts(&[("b", 4)])));
    double.deliver(&CONSUMER, "b", &Told::Pinged(counts(&[("c", 4)])));
    let future = Slot { epoch: Incarnation::new(11, 0), ..slot("b") };
    double.deliver(&CONSUMER, "b", &Told::Pinged(Counts::from_iter([(future, 1)])));
    double.deliver(&CONSUMER, "b", &Told::News(counts(&[("a", 9)])));
    settle().await;
    let ignored = exercise.ledger().ignored();
    let seen = [ignored.backwards, ignored.foreign_slot, ignored.future_epoch, ignored.own_slot, ignored.stale];
    assert_eq!(seen, [1; 5]);
    assert_eq!(exercise.local().total, 5);
    let body = AskProducer::Ping(1, When::Stored).encode().unwrap();
    let request = crate::message::Encoded { kind: AskProducer::KIND, body: &body };
    let answer = double.call_from(&PRODUCER, "b", request).await.unwrap().unwrap();
    let says = ProducerSays::decode(answer.kind, &answer.body).unwrap();
    assert_eq!(says, ProducerSays::Refused(PingRefused::NotLocal));
    double.down("b");
    double.up("b");
    double.deliver(&CONSUMER, "b", &Told::Pinged(counts(&[("b", 4)])));
    settle().await;
    assert_eq!(exercise.ledger().ignored().backwards, 1, "a new session begins anew: it is merely stale");
    assert_eq!(exercise.ping(1).await.unwrap().count, 1);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_is_used_up_is_refused_and_the_producer_goes_on() {
    let double = Double::new("a", &[]);
    let exercise = start(&double).await;
    exercise.ping(u64::MAX - 1).await.unwrap();
    assert_eq!(exercise.ping(1).await.unwrap().count, u64::MAX);
    let refused = PingRefused::CountExhausted { count: u64::MAX, wanted: 1 };
    assert_eq!(exercise.ping(1).await, Err(PingError::Refused(refused)));
    assert_eq!(exercise.local().total, u128::from(u64::MAX));
    exercise.stop().await.unwrap();
    let gone = exercise.ping(1).await;
    assert_eq!(gone, Err(PingError::Unanswered(CallFailure::NoSuchServer)));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_crashes_too_often_ends_the_exercise_with_an_error() {
    let double = Double::new("a", &[]);
    let exercise = start(&double).await;
    for _ in 0..4 {
        exercise.consumer().crash().await;
    }
    let error = exercise.stopped().await.unwrap_err();
    assert!(matches!(error, ExerciseError::Server(ServerError::GaveUp { server, .. }) if server == *CONSUMER));
}

/// Counts of a crashed producer that were stored and never cast reach the others through the consumer.
#[tokio::test(start_paused = true)]
async fn what_was_stored_and_not_cast_is_told_by_the_next_life() {
    let double = Double::new("a", &["b"]);
    let exercise = start(&double).await;
    settle().await;
    exercise.ledger().ping(2).await.unwrap();
    exercise.producer().crash().await;
    until_told(&double, "b", &Told::Pinged(counts(&[("a", 2)])), 1).await;
    until_told(&double, "b", &Told::News(counts(&[("a", 2)])), 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_accepted_loss_is_announced_first_and_whoever_cannot_remember_it_is_asked_without() {
    // They vote; recover themselves; know a later store; have no room; have a disk that hangs.
    let names = ["a", "b", "c", "d", "e", "f"];
    let double = Double::new("a", &names[1..]);
    let members = Members::new("prod".parse().unwrap(), names.map(|name| node(name).name)).unwrap();
    let options = LedgerOptions { members: Some(members.clone()), ..LedgerOptions::default() };
    let ledger = Ledger::open(MemoryStore, &node("a"), options).await.unwrap();
    let mut asked = BTreeMap::new();
    double.script(move |_, to| {
        let times: &mut u32 = asked.entry(to.clone()).or_default();
        *times += 1;
        match (to.as_str(), *times) {
            ("c", 1) => Answer::reply(&MemberSays::Recovering),
            ("d", 1) => Answer::reply(&MemberSays::Known { epoch: Incarnation::new(11, 0), count: 0 }),
            ("e", 1) => Answer::reply(&MemberSays::Refused("no room".to_owned())),
            ("f", 1) => Answer::Silence,
            (name, _) => {
                let voice = Voice { epoch: node(name).incarnation, known: BTreeMap::new() };
                Answer::reply(&all_of(voice, counts(&[(name, 3)])))
            }
        }
    });
    let transport: Arc<dyn Transport> = Arc::clone(&double) as _;
    let quorum = Quorum::new(transport, Arc::clone(&ledger), members, Arc::default());
    let from = quorum.accept_loss().await.unwrap();
    assert_eq!(from, names[1..].iter().map(|name| node(name).name).collect::<Vec<_>>());
    assert_eq!(ledger.identity().standing, Standing::Active);
    assert_eq!(*ledger.counts(), counts(&[("a", 0), ("b", 3), ("c", 3), ("d", 3), ("e", 3), ("f", 3)]));
    let epoch = node("a").incarnation;
    for name in &names[1..] {
        let asked = |seen: &Seen| match seen {
            Seen::Called(_, to, kind, body) if to.as_str() == *name => AskMember::decode(*kind, body).ok(),
            _ => None,
        };
        let log = double.log();
        let asked: Vec<Ask> = log.iter().filter_map(asked).map(|asked| asked.ask).collect();
        let [Ask::Recover { epoch: announced, origin: Origin::Replacement, count: 0, .. }, then @ ..] = &asked[..]
        else {
            panic!("{name} was asked {asked:?}");
        };
        assert_eq!(*announced, epoch);
        assert!(matches!((*name, then), ("b", []) | ("c" | "d" | "e" | "f", [Ask::Salvage(_)])), "{name}: {then:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_accepted_loss_where_a_later_store_is_known_is_announced_with_the_epoch_above_it() {
    let double = Double::new("a", &["b", "c"]);
    let members = Members::new("prod".parse().unwrap(), ["a", "b", "c"].map(|name| node(name).name)).unwrap();
    let options = LedgerOptions { members: Some(members.clone()), ..LedgerOptions::default() };
    let ledger = Ledger::open(MemoryStore, &node("a"), options).await.unwrap();
    let (first, known, above) = (node("a").incarnation, Incarnation::new(11, 0), Incarnation::new(12, 0));
    let recovery = Arc::clone(&ledger);
    double.script(move |_, to| {
        let voice = Voice { epoch: node(to.as_str()).incarnation, known: BTreeMap::new() };
        let counts = all_of(voice, counts(&[(to.as_str(), 3)]));
        match to.as_str() {
            "c" if recovery.slot().epoch < known => {
                recovery.begin(above).unwrap();
                Answer::reply(&MemberSays::Known { epoch: known, count: 0 })
            }
            _ => Answer::reply(&counts),
        }
    });
    let transport: Arc<dyn Transport> = Arc::clone(&double) as _;
    let quorum = Quorum::new(transport, Arc::clone(&ledger), members, Arc::default());
    assert_eq!(quorum.accept_loss().await.unwrap(), ["b", "c"].map(|name| node(name).name));
    let identity = ledger.identity();
    assert_eq!((identity.epoch, identity.standing), (above, Standing::Active));
    let announced = |of: &str| {
        let asked = |seen: &Seen| match seen {
            Seen::Called(_, to, kind, body) if to.as_str() == of => match AskMember::decode(*kind, body).unwrap().ask {
                Ask::Recover { epoch, .. } => Some(epoch),
                _ => None,
            },
            _ => None,
        };
        double.log().iter().filter_map(asked).collect::<Vec<_>>()
    };
    assert_eq!((announced("b"), announced("c")), (vec![first, above], vec![first, above]));
}

fn all_of(voice: Voice, counts: Counts) -> MemberSays {
    MemberSays::Counts { voice, parts: vec![Part::ALL], counts, next: None }
}

/// What it said before is what a store had that is lost; and it has more now than it had in the part that comes last.
#[tokio::test(start_paused = true)]
async fn a_member_that_loses_its_store_halfway_tells_one_that_recovers_all_of_it_again() {
    let double = Double::new("a", &["b", "c"]);
    let members = Members::new("prod".parse().unwrap(), ["a", "b", "c"].map(|name| node(name).name)).unwrap();
    let options = LedgerOptions { members: Some(members.clone()), ..LedgerOptions::default() };
    let ledger = Ledger::open(MemoryStore, &node("a"), options).await.unwrap();
    let times = AtomicU32::new(0);
    double.script(move |_, to| {
        let piece = |epoch, pings, next| {
            let voice = Voice { epoch: Incarnation::new(epoch, 0), known: BTreeMap::new() };
            let counts = counts(&[(to.as_str(), pings)]);
            Answer::reply(&MemberSays::Counts { voice, parts: vec![Part::told(&slot(to.as_str()))], counts, next })
        };
        match (to.as_str(), times.fetch_add(u32::from(to.as_str() == "b"), Ordering::Relaxed)) {
            ("c", _) => piece(1, 3, None),
            (_, 0) => piece(1, 1, Some(5)),
            (_, 1) => piece(2, 2, Some(9)),
            (_, 2) => piece(2, 3, Some(7)),
            (_, 3) => Answer::Fails(CallFailure::ServerStopped),
            _ => piece(2, 4, None),
        }
    });
    let transport: Arc<dyn Transport> = Arc::clone(&double) as _;
    let quorum = Quorum::new(transport, Arc::clone(&ledger), members, Arc::default());
    assert_eq!(quorum.recover().await, Announced::Active(["b", "c"].map(|name| node(name).name).to_vec()));
    assert_eq!(*ledger.counts(), counts(&[("a", 0), ("b", 4), ("c", 3)]));
    let asked = |seen: &Seen| match seen {
        Seen::Called(_, to, kind, body) if to.as_str() == "b" => match AskMember::decode(*kind, body).unwrap().ask {
            Ask::Recover { rest, .. } => Some(rest.from),
            _ => None,
        },
        _ => None,
    };
    assert_eq!(double.log().iter().filter_map(asked).collect::<Vec<_>>(), [0, 5, 0, 7, 7]);
}

/// A majority of those who have said what they have would do, and one of them cannot store what it lacks.
#[tokio::test(start_paused = true)]
async fn who_has_not_said_what_it_has_is_told_all_when_the_others_do_not_suffice() {
    let names = ["a", "b", "c", "d", "e"];
    let double = Double::new("a", &names[1..4]);
    let members = Members::new("prod".parse().unwrap(), names.map(|name| node(name).name)).unwrap();
    let options = LedgerOptions { members: Some(members.clone()), ..LedgerOptions::default() };
    let ledger = Ledger::open(MemoryStore, &node("a"), options).await.unwrap();
    ledger.activate(ledger.identity().epoch);
    ledger.flush().await.unwrap();
    let mut asked = BTreeMap::new();
    double.script(move |_, to| {
        let times: &mut u32 = asked.entry(to.clone()).or_default();
        *times += 1;
        let voice = || Voice { epoch: node(to.as_str()).incarnation, known: BTreeMap::new() };
        match (to.as_str(), *times) {
            ("b", _) => Answer::reply(&all_of(voice(), counts(&[("a", 0), ("b", 3)]))),
            ("c", 1) => Answer::reply(&all_of(voice(), counts(&[("a", 0)]))),
            ("c", _) => Answer::reply(&MemberSays::Refused("its disk is full".to_owned())),
            // The read did not come to it.
            ("d", _) => Answer::reply(&MemberSays::Held(voice())),
            _ => Answer::Fails(CallFailure::NotLinked),
        }
    });
    let transport: Arc<dyn Transport> = Arc::clone(&double) as _;
    let quorum = Quorum::new(transport, ledger, members, Arc::default());
    let read = quorum.read(Agreement::Values, Instant::now() + Duration::from_secs(5), |_| ()).await.unwrap();
    assert_eq!((read.total(), read.holders()), (3, &self::names(&["a", "b", "d"])));
    let told = |seen: &Seen| match seen {
        Seen::Called(_, to, kind, body) if to.as_str() == "d" => AskMember::decode(*kind, body).ok(),
        _ => None,
    };
    let told: Vec<Ask> = double.log().iter().filter_map(told).map(|asked| asked.ask).collect();
    assert!(matches!(&told[..], [Ask::Hold(all)] if *all == counts(&[("a", 0), ("b", 3)])), "{told:?}");
}

/// A node that is no member reads, where b and c can be reached and d cannot.
async fn quorum_of_an_outsider(says: impl Fn(&NodeName, usize) -> MemberSays + Send + 'static) -> Quorum {
    let double = Double::new("a", &["b", "c"]);
    let members = Members::new("prod".parse().unwrap(), ["b", "c", "d"].map(|name| node(name).name)).unwrap();
    let options = LedgerOptions { members: Some(members.clone()), ..LedgerOptions::default() };
    let ledger = Ledger::open(MemoryStore, &node("a"), options).await.unwrap();
    let mut asked = 0;
    double.script(move |_, to| {
        asked += 1;
        if to.as_str() == "d" { Answer::Fails(CallFailure::NotLinked) } else { Answer::reply(&says(to, asked)) }
    });
    let transport: Arc<dyn Transport> = Arc::clone(&double) as _;
    Quorum::new(transport, ledger, members, Arc::default())
}

fn says_counts(member: &NodeName, pings: u64) -> MemberSays {
    let voice = Voice { epoch: node(member.as_str()).incarnation, known: BTreeMap::new() };
    all_of(voice, counts(&[("b", pings)]))
}

fn names(names: &[&str]) -> std::collections::BTreeSet<NodeName> {
    names.iter().map(|name| node(name).name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_read_says_whose_word_it_is_and_who_cannot_be_reached() {
    let quorum = quorum_of_an_outsider(|member, _| says_counts(member, 3)).await;
    let read = quorum.read(Agreement::Values, Instant::now() + Duration::from_secs(5), |_| ()).await.unwrap();
    assert_eq!((read.total(), read.holders(), read.missing()), (3, &names(&["b", "c"]), &names(&["d"])));
}

#[tokio::test(start_paused = true)]
async fn a_read_in_the_place_of_another_node_says_whose_word_it_was_there() {
    // They differ, so a member must write back; that one reaches d.
    let quorum = quorum_of_an_outsider(|member, asked| match asked {
        0..=3 => says_counts(member, if member.as_str() == "b" { 3 } else { 4 }),
        _ => MemberSays::Agreed(Ok(Agreed {
            parts: vec![Part::ALL],
            counts: counts(&[("b", 4)]),
            holders: names(&["b", "d"]),
        })),
    })
    .await;
    let read = quorum.read(Agreement::Values, Instant::now() + Duration::from_secs(5), |_| ()).await.unwrap();
    assert_eq!((read.total(), read.holders(), read.missing()), (4, &names(&["b", "d"]), &names(&[])));
}
