//! Start, graceful stop, and one name started twice (S1 - S3).

use crate::harness::{Clock, StartError, StartOptions};
use crate::toolkit::{
    Answer, Cluster, Record, TestNode, Traffic, body, is_pending, message, node, options, server, to,
};
use pingpong_core::config::Limits;
use pingpong_core::inbox::{InboxClosed, ServerOptions};
use pingpong_core::transport::{RegisterError, SendError, StopReason};
use pingpong_core::{DownReason, Targets, WhenFull};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Whether an error says what is to be done, or what would be right.
fn names_a_remedy(error: &StartError) -> bool {
    let remedies = ["allowed are", "choose ", "stop ", "close ", "listen at ", "raise ", "lower ", "set "];
    remedies.iter().any(|remedy| error.0.contains(remedy))
}

pub(crate) async fn a_bad_bound_is_refused_by_name_and_nothing_is_half_started(c: &Cluster) {
    let mut bad = StartOptions::new(node("a"));
    bad.limits = Some(Limits { max_peers: 0, ..Limits::default() });
    let error = c.try_start(bad).await.expect_err("no peers at all is out of range");
    assert!(error.0.contains("max_peers is 0"), "the words name the item, and its value: {error}");
    assert!(names_a_remedy(&error), "and what would do: {error}");
    let b = c.start("b", &["a"]).await;
    c.start("a", &[]).await;
    b.events().up(&node("a")).await;
}

pub(crate) async fn a_place_that_is_taken_is_refused_and_stays_with_its_owner(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    let mut second = options("x", &["a"]);
    second.place = b.place().clone();
    let error = c.try_start(second).await.expect_err("b lives there");
    assert!(["taken", "in use"].iter().any(|word| error.0.contains(word)), "the words say why: {error}");
    assert!(names_a_remedy(&error), "and what to do: {error}");
    events.quiet(c.t(), "b is as it was").await;
}

pub(crate) async fn a_leaver_flushes_what_it_has_sent(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe_with_events("s");
    let mut traffic = Traffic::new(&a, to(&["b"]), &server("s")).with_size(2_000);
    traffic.casts(200).await;
    let shutdown = c.stop(&a, c.timing().patience()).await;
    assert!(shutdown.flushed, "the peers confirmed that they had everything");
    let records = probe.until("Down of a", |seen| matches!(seen.last(), Some(Record::Down(..)))).await;
    let seen = crate::toolkit::numbers(&records, a.name());
    assert_eq!(seen, (0..200).collect::<Vec<u64>>(), "all of it, before the Down");
    let last = records.last().expect("there is a Down");
    assert!(matches!(last, Record::Down(_, DownReason::Left { flushed: true })), "and b knows: {last:?}");
}

pub(crate) async fn a_leaver_flushes_every_lane(c: &Cluster) {
    const NAMES: [&str; 5] = ["s0", "s1", "s2", "s3", "s4"];
    let few = |mut options: StartOptions| {
        options.limits = Some(Limits { lanes: 3, ..options.limits.unwrap_or_default() });
        options
    };
    let [a, b] = c.linked_with(["a", "b"], few).await;
    let probes = NAMES.map(|name| b.probe_with_events(name));
    let mut events = b.events();
    events.up(a.name()).await;
    // One server is behind by more than its mailbox holds when the goodbye comes, and the last two share a lane.
    probes[1].pause();
    for name in NAMES {
        Traffic::new(&a, to(&["b"]), &server(name)).with_size(3_000).casts(60).await;
    }
    let mut leaving = Box::pin(c.stop(&a, c.timing().patience()));
    assert!(is_pending(&mut leaving).await, "one server has not handled anything");
    tokio::select! {
        biased;
        left = &mut leaving => panic!("one lane is not handed over yet: {left:?}"),
        () = events.quiet(c.t() / 2, "the other lanes are not all") => {}
    }
    probes[1].resume();
    assert!(leaving.await.flushed, "every lane was confirmed");
    for (probe, name) in probes.iter().zip(NAMES) {
        let down = |seen: &[Record]| matches!(seen.last(), Some(Record::Down(..)));
        let records = probe.until("Down of a", down).await;
        let seen = crate::toolkit::numbers(&records, a.name());
        assert_eq!(seen, (0..60).collect::<Vec<u64>>(), "{name} got all of it, before the Down");
        let last = records.last().expect("there is a Down");
        assert!(matches!(last, Record::Down(_, DownReason::Left { flushed: true })), "and {name} knows: {last:?}");
    }
}

pub(crate) async fn a_leaver_that_could_not_flush_says_so(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = b.probe("s");
    probe.pause();
    let mut events = b.events();
    events.up(a.name()).await;
    Traffic::new(&a, to(&["b"]), &server("s")).with_size(16 << 10).fill(c.t() / 4, 8_192).await;
    let shutdown = c.stop(&a, c.t() / 2).await;
    assert!(!shutdown.flushed, "b's server did not take it");
    let (_, reason) = events.down(a.name()).await;
    assert_eq!(reason, DownReason::Left { flushed: false }, "b knows that something may be missing");
}

pub(crate) async fn a_shutdown_ends_by_its_deadline_although_a_peer_is_cut_off(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = b.events();
    events.up(a.name()).await;
    c.harness().cut(a.place(), b.place()).await;
    Traffic::new(&a, to(&["b"]), &server("s")).casts(3).await;
    let start = Instant::now();
    let shutdown = c.stop(&a, c.t() / 2).await;
    assert!(!shutdown.flushed, "nobody confirmed anything");
    let bound = c.timing().within(c.t() / 2);
    assert!(start.elapsed() <= bound, "{:?} for a deadline of {:?}", start.elapsed(), c.t() / 2);
    let bound = c.timing().within(c.t());
    assert_eq!(events.down_within(bound, a.name()).await.1, DownReason::Lost, "of the goodbye b heard nothing");
    assert_eq!(b.list(), [], "b is alone");
}

pub(crate) async fn calls_in_flight_end_on_both_sides(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let (at_a, at_b) = (a.probe_that("s", Answer::Hold), b.probe_that("s", Answer::Hold));
    let from_a = a.calling(to(&["b"]), "s", 1, c.timing().patience());
    let from_b = b.calling(to(&["a"]), "s", 2, c.timing().patience());
    at_a.until_number(b.name(), 2).await;
    at_b.until_number(a.name(), 1).await;
    c.stop(&a, c.t()).await;
    for call in [from_a, from_b] {
        let replies = timeout(c.timing().patience() / 2, call).await.expect("it does not wait for its deadline");
        let replies = replies.expect("the call ends");
        assert_eq!((replies.replies.len(), replies.failed.len()), (0, 1), "with an error: {replies:?}");
    }
}

pub(crate) async fn monitors_and_inboxes_end_with_their_node(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = a.probe("s");
    let mut events = a.events();
    events.up(b.name()).await;
    c.stop(&a, c.t()).await;
    events.until_end().await;
    let ended = Record::Closed(InboxClosed::ShuttingDown);
    probe.until("the end of the inbox", |seen| seen.last() == Some(&ended)).await;
    timeout(c.timing().patience(), a.monitor().next()).await.expect("a monitor of a stopped node ends");
}

pub(crate) async fn a_stopped_node_takes_nothing_more(c: &Cluster) {
    let [a, _b] = c.linked(["a", "b"]).await;
    c.stop(&a, c.t()).await;
    let (name, bytes) = (server("s"), body(1, 8));
    let tried = a.try_abcast(&Targets::All, &name, message(&bytes), WhenFull::Refuse);
    assert_eq!(tried.err(), Some(SendError::ShuttingDown), "try_abcast");
    let waited =
        timeout(c.timing().at_once(), a.abcast(&Targets::All, &name, message(&bytes))).await.expect("it does not wait");
    assert_eq!(waited.err(), Some(SendError::ShuttingDown), "abcast");
    let registered = a.register(&name, ServerOptions::new());
    assert_eq!(registered.err(), Some(RegisterError::ShuttingDown), "register");
    let replies = a.call(to(&["b"]), "s", 1, c.timing().patience()).await;
    assert_eq!((replies.replies.len(), replies.failed.len()), (0, 1), "multi_call: {replies:?}");
    assert!(!replies.failed[0].reason.was_sent(), "it was not sent");
    assert_eq!(a.list(), [], "nobody is linked with it");
}

pub(crate) async fn a_second_shutdown_waits_for_the_first(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = b.events();
    events.up(a.name()).await;
    let both = async { tokio::join!(a.shutdown(c.t()), a.shutdown(c.t())) };
    let (one, other) = timeout(c.timing().within(c.t()), both).await.expect("both end by their deadline");
    assert_eq!(one, other, "both tell of the same end");
    let why = timeout(c.timing().at_once(), a.stopped()).await.expect("it has stopped");
    assert_eq!(why, StopReason::Shutdown, "and says why");
    c.stop(&a, c.t()).await;
    events.down(a.name()).await;
    assert_eq!(b.list(), [], "its peer knows");
}

pub(crate) async fn a_stopped_node_leaves_its_place_free(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = b.events();
    events.up(a.name()).await;
    for _ in 0..3 {
        c.harness().stop(a.place(), c.t()).await;
        events.down(a.name()).await;
        let _a = c.start("a", &["b"]).await;
        events.up(a.name()).await;
    }
}

pub(crate) async fn a_stopped_node_leaves_no_task(c: &Cluster) {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let [a, b] = c.linked(["a", "b"]).await;
    let (at_a, at_b) = (a.probe("s"), b.probe("s"));
    Traffic::new(&a, Targets::All, &server("s")).casts(20).await;
    a.call(Targets::All, "s", 20, c.timing().patience()).await;
    at_b.until_number(a.name(), 20).await;
    for node in [a, b] {
        c.stop(&node, c.t()).await;
    }
    drop((at_a, at_b));
    // A task that has ended is not an event, so this asks now and then.
    let deadline = Instant::now() + c.timing().patience();
    while tasks() > before {
        assert!(Instant::now() < deadline, "{} tasks are left, there were {before} before", tasks());
        tokio::time::sleep(c.t() / 20).await;
    }
}

/// A second process under the name of `a`, at another place, with this clock.
async fn twin(c: &Cluster, clock: Clock) -> TestNode {
    let mut second = options("a", &["b", "a"]);
    second.place = "a2".into();
    second.clock = clock;
    c.start_with(second).await
}

const SHIFT: Duration = Duration::from_secs(600);

async fn stopped(c: &Cluster, loser: &TestNode, winner: &TestNode) {
    let why = timeout(c.timing().patience(), loser.stopped()).await;
    let why = why.unwrap_or_else(|_| panic!("{loser:?} stops, since {winner:?} is greater and alive"));
    let StopReason::Replaced { own, by, .. } = &why else { panic!("the reason names the other: {why}") };
    assert_eq!((&own.name, *by), (loser.name(), winner.node().incarnation), "{why}");
    assert!(own.incarnation < *by, "only ever for a greater one: {why}");
}

pub(crate) async fn of_two_processes_of_a_name_the_greater_wins(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = b.events();
    let old = events.up(a.name()).await;
    let second = twin(c, Clock::Ahead(SHIFT)).await;
    stopped(c, &a, &second).await;
    let (down, reason) = events.down(a.name()).await;
    assert_eq!(down, old, "b saw the older one go");
    // The older one may meet the greater before b does, and then it is the one that ends the session.
    let fits = matches!(reason, DownReason::Replaced | DownReason::Left { .. });
    assert!(fits, "as replaced, or because it stopped: {reason}");
    assert_eq!(events.up(a.name()).await, second.node(), "and the greater one come");
    let lives = timeout(c.t() * 2, second.stopped()).await;
    assert!(lives.is_err(), "never both: {lives:?}");
}

pub(crate) async fn a_lesser_second_process_stops_if_the_greater_is_alive(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = b.events();
    events.up(a.name()).await;
    let second = twin(c, Clock::Behind(SHIFT)).await;
    stopped(c, &second, &a).await;
    events.quiet(c.t() * 2, "the one that was there stays linked").await;
    let lives = timeout(Duration::from_millis(1), a.stopped()).await;
    assert!(lives.is_err(), "never both: {lives:?}");
}

pub(crate) async fn a_restart_is_not_taken_for_a_second_process(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = b.events();
    let old = events.up(a.name()).await;
    c.crash(a).await;
    let mut behind = options("a", &["b"]);
    behind.clock = Clock::Behind(SHIFT);
    let a = c.start_with(behind).await;
    assert_eq!(events.down(a.name()).await.0, old, "the dead life ends");
    let new = events.up(a.name()).await;
    assert!(new.incarnation > old.incarnation, "the restart comes back above it");
    let lives = timeout(c.t(), a.stopped()).await;
    assert!(lives.is_err(), "nobody greater was alive beside it: {lives:?}");
}

pub(crate) async fn one_server_of_a_name(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let first = a.probe("s");
    let second = a.register(&server("s"), ServerOptions::new());
    assert_eq!(second.err(), Some(RegisterError::NameTaken(server("s"))), "the name is taken");
    let _elsewhere = b.probe("s");
    first.crash().await;
    let third = a.probe("s");
    Traffic::new(&b, to(&["a"]), &server("s")).cast().await;
    third.until_number(b.name(), 0).await;
}
