//! Virtual time only: the tests pass it in.

mod crowd;
mod hostile;

use super::*;
use crate::node::Incarnation;

const MS: Duration = Duration::from_millis(1);
const START: Duration = Duration::ZERO;
const S: Duration = Duration::from_secs(1);

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn at(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn told(text: &str, addresses: &[&str]) -> News {
    let addresses = addresses.iter().map(|a| at(a)).collect();
    let told = Told { name: name(text), incarnation: Incarnation::default(), addresses };
    News { added: vec![told], gone: vec![] }
}

fn gone(text: &str) -> News {
    News { added: vec![], gone: vec![name(text)] }
}

fn no_jitter() -> RedialSettings {
    RedialSettings { jitter: 0, ..RedialSettings::default() }
}

fn redial(seeds: &[&str]) -> Redial {
    Redial::new(name("me"), seeds.iter().map(|a| at(a)).collect(), no_jitter())
}

/// A node that was linked with `b` at `b:1` and `b:2`, and lost it at zero.
fn lost_b() -> Redial {
    let mut redial = redial(&[]);
    redial.up(&name("b"), &[at("b:1"), at("b:2")], Duration::ZERO);
    redial.down(&name("b"), true, Duration::ZERO);
    redial
}

/// Calls `due` exactly when asked, up to and including `until`; the starts, with their times.
fn run(redial: &mut Redial, until: Duration) -> Vec<(Duration, Attempt)> {
    let mut started = vec![];
    while let Some(due) = redial.next_due().filter(|due| *due <= until) {
        let due = due.max(redial.now);
        started.extend(redial.due(due, 0).start.into_iter().map(|attempt| (due, attempt)));
    }
    started
}

fn times(started: &[(Duration, Attempt)]) -> Vec<Duration> {
    started.iter().map(|(time, _)| *time).collect()
}

fn dialled(started: &[(Duration, Attempt)]) -> Vec<&str> {
    started.iter().map(|(_, attempt)| attempt.address.as_str()).collect()
}

fn gaps(started: &[(Duration, Attempt)]) -> Vec<Duration> {
    started.windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
}

/// All attempts fail as soon as they start.
fn run_failing(redial: &mut Redial, until: Duration) -> Vec<(Duration, Attempt)> {
    let mut started = vec![];
    while let Some(due) = redial.next_due().filter(|due| *due <= until) {
        let due = due.max(redial.now);
        for attempt in redial.due(due, 0).start {
            redial.answered(attempt.id, Outcome::Failed, due);
            started.push((due, attempt));
        }
    }
    started
}

#[test]
fn a_lost_name_is_dialled_at_once_and_then_every_300_ms_over_its_addresses() {
    let started = run(&mut lost_b(), S);
    assert_eq!(times(&started), [START, 300 * MS, 600 * MS, 900 * MS]);
    assert_eq!(dialled(&started), ["b:1", "b:2", "b:1", "b:2"]);
    assert!(started.iter().all(|(_, attempt)| attempt.target == Target::Name(name("b"))));
}

#[test]
fn attempts_go_on_for_five_seconds_and_seventeen_at_a_time() {
    let settings = RedialSettings { attempt_spacing: 100 * MS, ..no_jitter() };
    let mut redial = Redial::new(name("me"), vec![at("s")], settings);
    let started = run(&mut redial, 4_999 * MS);
    assert_eq!(started.len(), 17);
    let due = redial.due(5 * S, 0);
    assert_eq!(due.abandon, [started[0].1.id], "the oldest makes room for a fresh one");
    assert_eq!(due.start.len(), 1);
    assert_eq!(redial.under_way.len(), 17);
    redial.answered(started[0].1.id, Outcome::Refused, 5 * S);
    assert_eq!(redial.under_way.len(), 17, "an abandoned attempt says nothing");
}

#[test]
fn without_an_answer_for_a_minute_the_spacing_doubles_up_to_two_seconds() {
    let started = run_failing(&mut lost_b(), 70 * S);
    let gaps = gaps(&started);
    assert!(gaps[..200].iter().all(|gap| *gap == 300 * MS));
    assert_eq!(gaps[200..204], [600 * MS, 1_200 * MS, 2 * S, 2 * S]);
}

#[test]
fn the_cap_grows_with_the_number_of_dead_peers() {
    let mut redial = Redial::new(name("me"), vec![], RedialSettings { max_peers: 200, ..no_jitter() });
    for n in 0..200 {
        let peer = name(&format!("n{n}"));
        redial.up(&peer, &[at("x")], Duration::ZERO);
        redial.down(&peer, true, Duration::ZERO);
    }
    let started = run_failing(&mut redial, 90 * S);
    let of_one: Vec<_> = started.into_iter().filter(|(_, a)| a.target == Target::Name(name("n7"))).collect();
    assert_eq!(gaps(&of_one).last(), Some(&(4 * S)));
}

#[test]
fn jitter_shortens_by_a_fifth_at_most_and_differs_between_targets() {
    let mut redial = Redial::new(name("me"), vec![at("a"), at("b")], RedialSettings::default());
    let mut last = BTreeMap::new();
    let mut apart = false;
    for random in 0..400_u64 {
        let now = redial.next_due().unwrap();
        for attempt in redial.due(now, random.wrapping_mul(0x1234_5678_9abc_def1)).start {
            redial.answered(attempt.id, Outcome::Failed, now);
            if let Some(before) = last.insert(attempt.address, now).filter(|_| now < 50 * S) {
                assert!((240 * MS..=300 * MS).contains(&(now - before)), "{:?}", now - before);
            }
        }
        apart |= last.get(&at("a")) != last.get(&at("b"));
    }
    assert!(apart);
}

#[test]
fn news_of_a_name_resets_its_spacing() {
    let slow = || {
        let mut redial = lost_b();
        redial.up(&name("c"), &[], Duration::ZERO);
        run_failing(&mut redial, 80 * S);
        redial
    };
    let fast = |redial: &mut Redial| {
        let started = run_failing(redial, 82 * S);
        gaps(&started).first() == Some(&(300 * MS))
    };
    assert!(!fast(&mut slow()));
    let mut by_word = slow();
    by_word.told(&name("c"), &told("b", &["b:1"]), 80 * S);
    assert!(fast(&mut by_word));
    run_failing(&mut by_word, 150 * S);
    by_word.told(&name("c"), &told("b", &["b:1"]), 150 * S);
    assert_eq!(gaps(&run_failing(&mut by_word, 155 * S)).first(), Some(&(2 * S)), "the same word twice is no news");
    let mut by_answer = slow();
    by_answer.closed(&name("b"), &CloseReason::Stale, 80 * S);
    assert!(fast(&mut by_answer));
    let mut by_renewal = slow();
    by_renewal.renewed(80 * S);
    assert!(fast(&mut by_renewal));
}

#[test]
fn no_news_makes_dials_more_frequent_than_the_spacing() {
    let mut redial = lost_b();
    redial.up(&name("c"), &[], Duration::ZERO);
    let mut started = vec![];
    for step in 0..100 {
        let now = 10 * MS * step;
        redial.told(&name("c"), &told("b", &[&format!("b:{step}")]), now);
        redial.told(&name("c"), &gone("b"), now);
        redial.closed(&name("b"), &CloseReason::Surplus, now);
        started.extend(run(&mut redial, now));
    }
    assert_eq!(times(&started), [START, 300 * MS, 600 * MS, 900 * MS]);
}

#[test]
fn full_and_refused_go_to_the_cap_at_once_and_stay_there() {
    for reason in [CloseReason::Full, CloseReason::Refused("version".to_owned())] {
        let mut redial = lost_b();
        let first = run(&mut redial, START).remove(0).1;
        redial.answered(first.id, Outcome::Connected(name("b")), 20 * MS);
        redial.closed(&name("b"), &reason, 30 * MS);
        let second = run(&mut redial, 2_030 * MS);
        assert_eq!(times(&second), [2_030 * MS]);
        redial.answered(second[0].1.id, Outcome::Connected(name("b")), 2_040 * MS);
        redial.closed(&name("b"), &reason, 2_500 * MS);
        assert_eq!(times(&run(&mut redial, 5 * S)), [4_030 * MS]);
    }
    let mut redial = redial(&["s"]);
    let first = run(&mut redial, START).remove(0).1;
    redial.answered(first.id, Outcome::Refused, 10 * MS);
    assert_eq!(redial.first_due(redial.traffic()), Some(2_010 * MS));
}

#[test]
fn a_link_ends_all_attempts_of_its_name_and_its_seeds() {
    let mut redial = redial(&["s"]);
    let started = run(&mut redial, S);
    assert!(started.iter().all(|(_, attempt)| attempt.target == Target::Seed(at("s"))));
    redial.answered(started[0].1.id, Outcome::Connected(name("b")), S);
    redial.up(&name("b"), &[at("b:1")], S);
    let due = redial.due(redial.next_due().unwrap(), 0);
    assert_eq!(due.abandon.len(), started.len() - 1);
    assert_eq!((due.start.len(), redial.next_due()), (0, None));
}

#[test]
fn a_seed_has_its_turn_among_the_addresses_of_its_name() {
    let mut redial = redial(&["s"]);
    let first = run(&mut redial, START).remove(0).1;
    redial.answered(first.id, Outcome::Connected(name("b")), START);
    redial.up(&name("b"), &[at("b:1")], START);
    redial.down(&name("b"), true, S);
    let started = run(&mut redial, 2 * S);
    assert_eq!(dialled(&started), ["s", "b:1", "s", "b:1"]);
    assert_eq!(started[0].1.target, Target::Seed(at("s")), "whoever answers there now");
    assert_eq!(started[1].1.target, Target::Name(name("b")));
    redial.answered(started[0].1.id, Outcome::Connected(name("other")), 2 * S);
    assert_eq!(redial.addresses(&name("b")), [at("b:1")]);
}

#[test]
fn a_seed_is_dialled_for_ever_also_when_its_name_left() {
    let mut redial = redial(&["s"]);
    let first = run(&mut redial, START).remove(0).1;
    redial.answered(first.id, Outcome::Connected(name("b")), START);
    redial.up(&name("b"), &[at("b:1")], START);
    redial.down(&name("b"), false, S);
    assert!(!redial.is_wanted(&name("b")));
    let started = run_failing(&mut redial, 3 * S);
    assert_eq!(started[0], (S, Attempt { id: AttemptId(1), target: Target::Seed(at("s")), address: at("s") }));
    assert!(dialled(&started).iter().all(|address| *address == "s"));
    let much_later = 1_000_000 * S;
    let _ = redial.due(much_later, 0);
    assert!(redial.next_due().unwrap() <= much_later + 2 * S);
    redial.up(&name("b"), &[], much_later);
    let _ = redial.due(much_later, 0);
    assert_eq!(redial.next_due(), None, "b came back by a dial of its own");
}

#[test]
fn the_first_round_is_over_when_each_seed_has_answered_or_was_given_up() {
    assert!(redial(&[]).has_tried_seeds());
    let mut redial = redial(&["s", "t", "u"]);
    let started = run(&mut redial, START);
    redial.answered(started[0].1.id, Outcome::Failed, START);
    redial.answered(started[1].1.id, Outcome::Connected(name("b")), START);
    assert!(!redial.has_tried_seeds());
    run(&mut redial, 4_999 * MS);
    assert!(!redial.has_tried_seeds(), "nothing has come of the third");
    run(&mut redial, 5 * S);
    assert!(redial.has_tried_seeds());
}

#[test]
fn a_seed_that_is_this_node_is_asked_seldom() {
    for outcome in [Outcome::Itself, Outcome::Connected(name("me"))] {
        let mut redial = redial(&["s"]);
        let first = run(&mut redial, START).remove(0).1;
        redial.answered(first.id, outcome, START);
        assert_eq!(times(&run_failing(&mut redial, 6 * S)), [2 * S, 4 * S, 6 * S]);
    }
}

#[test]
fn a_name_is_forgotten_a_day_after_its_last_link() {
    let mut redial = lost_b();
    let day = 24 * 60 * 60 * S;
    let _ = redial.due(day - MS, 0);
    assert!(redial.is_wanted(&name("b")));
    let _ = redial.due(day, 0);
    assert!(!redial.is_wanted(&name("b")));
    let _ = redial.due(day, 0);
    assert_eq!(redial.next_due(), None);
}

#[test]
fn forgotten_and_leaving_names_are_not_dialled() {
    for reason in [CloseReason::Forgotten, CloseReason::Leaving] {
        let mut redial = lost_b();
        redial.closed(&name("b"), &reason, MS);
        assert_eq!(redial.first_due(redial.traffic()), None);
    }
    let mut redial = lost_b();
    redial.forget(&name("b"), MS);
    assert_eq!(redial.first_due(redial.traffic()), None);
    assert_eq!(redial.addresses(&name("b")), []);
}

#[test]
fn what_was_told_goes_with_the_last_that_tells_it() {
    let mut redial = redial(&[]);
    for teller in ["c", "d"] {
        redial.up(&name(teller), &[], START);
        redial.told(&name(teller), &told("b", &["b:1"]), START);
    }
    redial.told(&name("d"), &told("b", &["b:1", "b:2"]), START);
    assert_eq!(redial.addresses(&name("b")), [at("b:1"), at("b:2")], "what two tell comes first");
    let attempts: Vec<_> = run(&mut redial, 300 * MS).into_iter().map(|(_, attempt)| attempt.id).collect();
    redial.told(&name("c"), &gone("b"), 301 * MS);
    assert!(redial.is_wanted(&name("b")));
    redial.down(&name("d"), true, 301 * MS);
    assert!(!redial.is_wanted(&name("b")));
    assert_eq!(redial.due(301 * MS, 0).abandon, attempts);
    redial.told(&name("d"), &told("b", &["b:1"]), 301 * MS);
    assert!(!redial.is_wanted(&name("b")), "only linked neighbours are heard");
}

#[test]
fn many_inventions_do_not_crowd_out_what_two_tell() {
    let mut redial = redial(&[]);
    for teller in ["c", "d", "e"] {
        redial.up(&name(teller), &[], START);
    }
    let lies = ["a:1", "a:2", "a:3", "a:4", "a:5", "a:6", "a:7", "a:8", "a:9"];
    redial.told(&name("c"), &told("b", &lies), START);
    redial.told(&name("d"), &told("b", &["b:1"]), START);
    redial.told(&name("e"), &told("b", &["b:1"]), START);
    let addresses = redial.addresses(&name("b"));
    assert_eq!((addresses.len(), &addresses[0]), (MAX_ADDRESSES, &at("b:1")));
}

#[test]
fn a_told_name_that_was_linked_keeps_its_own_addresses_only() {
    let mut redial = redial(&[]);
    redial.up(&name("c"), &[], START);
    redial.told(&name("c"), &told("b", &["b:1"]), START);
    let attempt = run(&mut redial, 300 * MS).remove(0).1;
    redial.answered(attempt.id, Outcome::Connected(name("b")), 301 * MS);
    redial.up(&name("b"), &[at("b:2")], 301 * MS);
    redial.told(&name("c"), &told("b", &["b:3"]), 301 * MS);
    redial.down(&name("b"), true, S);
    assert_eq!(redial.addresses(&name("b")), [at("b:1"), at("b:2"), at("b:3")], "reached, its own, told since");
    redial.down(&name("c"), true, S);
    assert_eq!(redial.addresses(&name("b")), [at("b:1"), at("b:2")]);
}

#[test]
fn another_name_at_a_names_address_is_no_answer() {
    let mut redial = lost_b();
    let attempt = run(&mut redial, START).remove(0).1;
    redial.answered(attempt.id, Outcome::Connected(name("x")), START);
    assert!(!redial.is_wanted(&name("x")));
    assert_eq!(times(&run(&mut redial, 300 * MS)), [300 * MS]);
}

#[test]
fn a_thousand_told_names_stay_bounded_and_do_not_keep_a_link_out() {
    let settings = RedialSettings { max_peers: 8, ..no_jitter() };
    let mut redial = Redial::new(name("me"), vec![], settings);
    redial.up(&name("c"), &[], START);
    let addresses: Vec<_> = (0..100).map(|n| at(&format!("x:{n}"))).collect();
    let added = (0..1_000).map(|n| Told {
        name: name(&format!("n{n}")),
        incarnation: Incarnation::default(),
        addresses: addresses.clone(),
    });
    let news = News { added: added.chain(told("me", &["me:1"]).added).collect(), gone: vec![] };
    redial.told(&name("c"), &news, START);
    assert_eq!(redial.names.len(), 8);
    assert_eq!(redial.addresses(&name("n0")).len(), MAX_ADDRESSES);
    assert!(!redial.is_wanted(&name("me")));
    for n in 0..7 {
        redial.up(&name(&format!("good{n}")), &addresses, START);
    }
    assert_eq!(redial.names.len(), 8);
    assert!(redial.names.values().all(|wanted| wanted.linked));
    run(&mut redial, 10 * S);
    assert!(redial.under_way.is_empty());
}
