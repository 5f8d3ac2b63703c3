use super::double::{Answer, Double, Seen, node, server};
use super::*;
use crate::ServerName;
use crate::inbox::{Dropped, InboxClosed};
use crate::message::{Encoded, MessageType, Unencodable};
use crate::transport::{CallFailure, RegisterError, SendError, Targets, Transport, WhenFull};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
enum Tell {
    Add(u32),
    After(u64, u32),
    Work(u32),
    WorkForEver,
    WorkPanics,
    Hang,
    Panic,
    AnswerTheLast,
    ForgetAll,
}
impl Message for Tell {
    const ID: u16 = 1;
    const VERSION: u8 = 0;
}

#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
enum Ask {
    Log,
    Later,
    Waiting,
    Panic,
    Hang,
}
impl Message for Ask {
    const ID: u16 = 2;
    const VERSION: u8 = 0;
}
impl Request for Ask {
    type Reply = Log;
}

#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
struct Log(Vec<String>);
impl Message for Log {
    const ID: u16 = 3;
    const VERSION: u8 = 0;
}

/// Keeps a log of what it was told, and requests that it answers later; counts its pieces of endless work that are alive.
struct Scribe {
    log: Vec<String>,
    later: Vec<ReplyTo<Ask>>,
    alive: Arc<AtomicUsize>,
}

struct Alive(Arc<AtomicUsize>);
impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Server for Scribe {
    type Cast = Tell;
    type Call = Ask;
    type Info = u32;
    const EVENTS: bool = true;

    async fn started(&mut self, _: &mut Context<Self>) {
        self.log.push("started".into());
    }

    async fn cast(&mut self, from: &Node, message: Tell, cx: &mut Context<Self>) {
        match message {
            Tell::Add(number) => self.log.push(format!("{} {number}", from.name)),
            Tell::After(millis, number) => cx.after(Duration::from_millis(millis), number).unwrap(),
            Tell::Work(number) => cx.spawn(move |_| async move { number }).unwrap(),
            Tell::WorkForEver => {
                self.alive.fetch_add(1, Ordering::SeqCst);
                let alive = Alive(Arc::clone(&self.alive));
                let started = cx.spawn(move |_| async move {
                    let _alive = alive;
                    std::future::pending().await
                });
                if let Err(busy) = started {
                    self.log.push(busy.to_string());
                }
            }
            Tell::WorkPanics => cx.spawn(|_| async { panic!("the work") }).unwrap(),
            Tell::Hang => std::future::pending().await,
            Tell::Panic => panic!("the scribe is out of ink"),
            Tell::AnswerTheLast => {
                let last = self.later.pop().unwrap();
                last.send(Log(vec![format!("{} before it", self.later.len())])).await;
            }
            Tell::ForgetAll => self.later.clear(),
        }
    }

    async fn call_later(&mut self, from: &Node, request: Ask, reply: ReplyTo<Ask>, cx: &mut Context<Self>) {
        if request == Ask::Later {
            return self.later.push(reply);
        }
        let answer = self.call(from, request, cx).await;
        reply.send(answer).await;
    }

    async fn call(&mut self, _: &Node, request: Ask, _: &mut Context<Self>) -> Log {
        match request {
            Ask::Log => Log(self.log.clone()),
            Ask::Later => unreachable!("it is kept"),
            Ask::Waiting => {
                let waiting = self.later.iter().filter(|reply| reply.is_waiting());
                Log(waiting.map(|reply| reply.node().name.to_string()).collect())
            }
            Ask::Panic => panic!("the scribe is out of ink"),
            Ask::Hang => std::future::pending().await,
        }
    }

    async fn info(&mut self, info: u32, _: &mut Context<Self>) {
        self.log.push(format!("info {info}"));
    }

    async fn node_up(&mut self, node: &Node, _: &mut Context<Self>) {
        self.log.push(format!("up {}", node.name));
    }

    async fn node_down(&mut self, node: &Node, reason: &DownReason, _: &mut Context<Self>) {
        self.log.push(format!("down {}: {reason}", node.name));
    }
}

struct Scene {
    double: Arc<Double>,
    handle: ServerHandle,
    name: ServerName,
    alive: Arc<AtomicUsize>,
}

fn scene(linked: &[&str]) -> Scene {
    let double = Double::new("a", linked);
    let alive = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&alive);
    let factory = move || Scribe { log: Vec::new(), later: Vec::new(), alive: Arc::clone(&counter) };
    let transport: Arc<dyn Transport> = Arc::clone(&double) as _;
    let handle = spawn(transport, server("scribe"), factory, SpawnOptions::default()).unwrap();
    Scene { double, handle, name: server("scribe"), alive }
}

const HOUR: Duration = Duration::from_secs(3_600);

impl Scene {
    fn tell(&self, from: &str, message: Tell) {
        self.double.deliver(&self.name, from, &message);
    }

    async fn ask(&self, request: Ask) -> Result<Log, CallFailure> {
        let own = Targets::node(self.double.node().name);
        self.double.call(&own, &self.name, &request, HOUR).await.unwrap().into_one().map(|answer| answer.reply)
    }

    async fn log(&self) -> Vec<String> {
        self.ask(Ask::Log).await.unwrap().0
    }

    async fn lives(&self, number: usize) {
        let registered = Seen::Registered(self.name.clone());
        self.double.until(|log| log.iter().filter(|seen| **seen == registered).count() == number).await;
    }
}

#[tokio::test(start_paused = true)]
async fn everything_is_handled_in_order_events_included() {
    let scene = scene(&["b"]);
    scene.tell("b", Tell::Add(1));
    scene.tell("b", Tell::Add(2));
    scene.double.down("b");
    scene.double.up("c");
    assert_eq!(scene.log().await, ["started", "up b", "b 1", "b 2", "down b: lost", "up c"]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_decode_is_counted_or_answered_and_the_server_goes_on() {
    let scene = scene(&[]);
    scene.double.deliver_raw(&scene.name, "b", MessageType { id: 9, version: 0 }, &[]);
    scene.double.deliver_raw(&scene.name, "b", Tell::KIND, &[0xff]);
    let wrong = Encoded { kind: MessageType { id: 2, version: 1 }, body: &[0] };
    let answer = scene.double.call_from(&scene.name, "b", wrong).await.unwrap();
    assert_eq!(answer, Err(CallFailure::NotDecodable));
    assert_eq!(*scene.double.counted.lock().unwrap(), [(Dropped::NotDecodable, 1); 3]);
    assert_eq!(scene.log().await, ["started"]);
    assert_eq!(scene.handle.restarts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_one_life_its_callers_are_told_and_the_next_life_begins() {
    let scene = scene(&["b"]);
    scene.tell("b", Tell::Add(1));
    assert_eq!(scene.log().await, ["started", "up b", "b 1"]);
    let crashing = scene.double.call_from(&scene.name, "b", encoded(&Ask::Panic.encode().unwrap()));
    let waiting = scene.double.call_from(&scene.name, "b", encoded(&Ask::Log.encode().unwrap()));
    assert_eq!(crashing.await.unwrap(), Err(CallFailure::ServerStopped));
    assert_eq!(waiting.await.unwrap(), Err(CallFailure::ServerStopped));
    scene.lives(2).await;
    assert_eq!(scene.log().await, ["started", "up b"], "a new state, and the links from the beginning");
    assert_eq!(scene.handle.restarts(), 1);
    assert_eq!(*scene.double.counted.lock().unwrap(), [(Dropped::WithServer, 1)], "the call that waited (C5)");
}

fn encoded(body: &[u8]) -> Encoded<'_> {
    Encoded { kind: Ask::KIND, body }
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_when_it_crashes_too_often_and_says_what_the_last_panic_said() {
    let scene = scene(&[]);
    for life in 1..=4 {
        scene.lives(life).await;
        scene.tell("b", Tell::Panic);
    }
    let error = scene.handle.stopped().await.unwrap_err();
    let last = "the scribe is out of ink".to_owned();
    let within = Duration::from_secs(5);
    assert_eq!(error, ServerError::GaveUp { server: scene.name.clone(), restarts: 3, within, last });
    let words = "server scribe crashed after 3 restarts within 5 s, its last crash: the scribe is out of ink";
    assert_eq!(error.to_string(), words);
    assert_eq!(scene.handle.stop().await, Err(error), "its end does not change");
    assert_eq!(scene.ask(Ask::Log).await, Err(CallFailure::NoSuchServer));
}

#[tokio::test(start_paused = true)]
async fn crashes_that_are_far_apart_do_not_add_up() {
    let scene = scene(&[]);
    for restarts in 1..=10 {
        scene.handle.crash().await;
        assert_eq!(scene.handle.restarts(), restarts);
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    assert_eq!(scene.log().await, ["started"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_factory_is_a_crash_too() {
    let double = Double::new("a", &[]);
    let factory = || -> Scribe { panic!("no paper") };
    let handle = spawn(double, server("scribe"), factory, SpawnOptions::default()).unwrap();
    assert!(matches!(handle.stopped().await, Err(ServerError::GaveUp { last, .. }) if last == "no paper"));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_server_is_restarted_although_its_handler_hangs() {
    let scene = scene(&[]);
    scene.tell("b", Tell::Hang);
    assert!(tokio::time::timeout(Duration::from_secs(9), scene.ask(Ask::Log)).await.is_err(), "it hangs");
    scene.double.close("scribe", InboxClosed::Stalled);
    scene.lives(2).await;
    assert_eq!(scene.log().await, ["started"]);
    assert_eq!(scene.handle.restarts(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_ends_in_peace_when_the_node_shuts_down() {
    let scene = scene(&[]);
    scene.double.close("scribe", InboxClosed::ShuttingDown);
    assert_eq!(scene.handle.stopped().await, Ok(()));
    scene.handle.crash().await;
    assert_eq!(scene.handle.stop().await, Ok(()), "once more");
}

#[tokio::test(start_paused = true)]
async fn a_stop_drops_and_counts_what_waits_and_ends_all_work() {
    let scene = scene(&[]);
    scene.tell("b", Tell::WorkForEver);
    assert_eq!(scene.log().await, ["started"]);
    assert_eq!(scene.alive.load(Ordering::SeqCst), 1);
    scene.tell("b", Tell::Hang);
    let hanging = scene.double.call_from(&scene.name, "b", encoded(&Ask::Log.encode().unwrap()));
    tokio::task::yield_now().await;
    let before = Instant::now();
    assert_eq!(scene.handle.stop().await, Ok(()));
    assert_eq!(before.elapsed(), Duration::from_secs(1), "the grace period of a handler that hangs");
    assert_eq!(hanging.await.unwrap(), Err(CallFailure::ServerStopped));
    assert_eq!(scene.ask(Ask::Log).await, Err(CallFailure::NoSuchServer));
    tokio::task::yield_now().await;
    assert_eq!(scene.alive.load(Ordering::SeqCst), 0);
    assert!(scene.double.counted.lock().unwrap().contains(&(Dropped::WithServer, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_stops_its_server_and_frees_the_name() {
    let Scene { double, handle, name, .. } = scene(&[]);
    let taken = spawn(Arc::clone(&double) as Arc<dyn Transport>, name.clone(), never, SpawnOptions::default());
    assert_eq!(taken.unwrap_err(), RegisterError::NameTaken(name.clone()));
    drop(handle);
    double.until(|log| log.contains(&Seen::Unregistered(name.clone()))).await;
}

fn never() -> Scribe {
    unreachable!("it is not registered")
}

#[tokio::test(start_paused = true)]
async fn timers_run_out_in_their_order_and_end_with_their_life() {
    let scene = scene(&[]);
    for (millis, number) in [(30, 3), (10, 1), (20, 2), (10, 11), (60_000, 9)] {
        scene.tell("b", Tell::After(millis, number));
    }
    assert_eq!(scene.log().await, ["started"]);
    tokio::time::sleep(Duration::from_millis(31)).await;
    assert_eq!(scene.log().await, ["started", "info 1", "info 11", "info 2", "info 3"]);
    scene.handle.crash().await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(scene.log().await, ["started"]);
}

#[tokio::test(start_paused = true)]
async fn work_is_told_is_bounded_and_its_panic_is_a_crash() {
    let scene = scene(&[]);
    scene.tell("b", Tell::Work(5));
    assert_eq!(scene.log().await, ["started"]);
    tokio::task::yield_now().await;
    assert_eq!(scene.log().await, ["started", "info 5"]);
    for _ in 0..65 {
        scene.tell("b", Tell::WorkForEver);
    }
    let busy = "the server has 64 pieces of work at once, the limit; wait until one has ended";
    assert_eq!(scene.log().await.last().unwrap(), busy);
    scene.handle.crash().await;
    tokio::task::yield_now().await;
    assert_eq!(scene.alive.load(Ordering::SeqCst), 0, "aborted with its life");
    scene.tell("b", Tell::WorkPanics);
    scene.lives(3).await;
    assert_eq!(scene.handle.restarts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_is_not_the_servers_trouble() {
    let scene = scene(&[]);
    let own = Targets::node(node("a").name);
    let replies = scene.double.call(&own, &scene.name, &Ask::Hang, Duration::from_millis(5)).await.unwrap();
    assert_eq!(replies.failed[0].reason, CallFailure::DeadlinePassed { sent: true });
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_later_while_others_are_handled() {
    let scene = scene(&[]);
    let meanwhile = async {
        scene.tell("b", Tell::Add(1));
        let log = scene.log().await;
        for _ in 0..2 {
            scene.tell("b", Tell::AnswerTheLast);
        }
        log
    };
    let (first, second, log) = tokio::join!(scene.ask(Ask::Later), scene.ask(Ask::Later), meanwhile);
    assert_eq!(log, ["started", "b 1"], "while both wait");
    assert_eq!((first.unwrap().0, second.unwrap().0), (vec!["0 before it".into()], vec!["1 before it".into()]));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_answer_that_never_comes_is_told() {
    let scene = scene(&[]);
    let (kept, ()) = tokio::join!(scene.ask(Ask::Later), async { scene.tell("b", Tell::ForgetAll) });
    assert_eq!((kept, scene.handle.restarts()), (Err(CallFailure::ServerStopped), 0), "it was dropped");
    let (kept, ()) = tokio::join!(scene.ask(Ask::Later), async { scene.tell("b", Tell::Panic) });
    assert_eq!(kept, Err(CallFailure::ServerStopped), "its server crashed");
    scene.lives(2).await;
    let (kept, stopped) = tokio::join!(scene.ask(Ask::Later), async {
        scene.log().await;
        scene.handle.stop().await
    });
    assert_eq!((kept, stopped), (Err(CallFailure::ServerStopped), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn who_keeps_an_answer_sees_whether_anybody_waits_for_it() {
    let scene = scene(&[]);
    let kept = scene.double.call_from(&scene.name, "b", encoded(&Ask::Later.encode().unwrap()));
    assert_eq!(scene.ask(Ask::Waiting).await.unwrap().0, ["b"]);
    drop(kept);
    assert_eq!(scene.ask(Ask::Waiting).await.unwrap().0, [""; 0]);
    scene.tell("b", Tell::AnswerTheLast);
    assert_eq!(scene.log().await, ["started"], "nobody is there, and nothing happens");
}

#[tokio::test(start_paused = true)]
async fn a_typed_cast_waits_only_when_a_queue_is_full() {
    let double = Double::new("a", &["b"]);
    let to = server("scribe");
    let transport: &dyn Transport = &*double;
    assert_eq!(transport.cast(&to, &Tell::Add(1)).await.unwrap().accepted.len(), 2);
    assert!(!double.log().contains(&Seen::Waited));
    double.full(&["b"]);
    let refused = transport.try_cast(&Targets::All, &to, &Tell::Add(2), WhenFull::Refuse);
    assert_eq!(refused.unwrap_err(), CastError::Send(SendError::Full));
    let skipped = transport.try_cast(&Targets::All, &to, &Tell::Add(2), WhenFull::Skip).unwrap();
    assert_eq!((skipped.accepted.len(), skipped.refused.len()), (1, 1));
    let unpolled = transport.cast(&to, &Tell::Add(3));
    drop(unpolled);
    assert_eq!(transport.cast_to(&Targets::All, &to, &Tell::Add(4)).await.unwrap().accepted.len(), 2);
    assert!(double.log().contains(&Seen::Waited));
    for room in [true, false] {
        double.full(if room { &[] } else { &["b"] });
        let message = Tell::Add(5);
        let mut cast = Box::pin(transport.cast(&to, &message));
        assert!(cast.as_mut().now_or_never().is_some());
        assert!(cast.as_mut().now_or_never().is_none(), "it is over");
    }
    let to_b: Vec<Tell> = double.log().iter().filter_map(|seen| seen.cast_to("b")).collect();
    let expected = [1, 4, 5, 5].map(Tell::Add);
    assert_eq!(to_b, expected, "what is not polled is not sent, and nothing twice");
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_type_is_the_failure_of_its_node() {
    let double = Double::new("a", &["b", "c", "d"]);
    double.script(|_, from| match from.as_str() {
        "b" => Answer::reply(&Tell::Add(1)),
        "c" => Answer::reply(&Log(vec!["c".into()])),
        _ => Answer::Fails(CallFailure::NoSuchServer),
    });
    let targets = Targets::Nodes(["b", "c", "d"].map(|name| node(name).name).into());
    let replies = double.call(&targets, &server("scribe"), &Ask::Log, HOUR).await.unwrap();
    let answered: Vec<_> = replies.replies.iter().map(|r| (r.node.name.as_str(), &r.reply.0[..])).collect();
    assert_eq!(answered, [("c", &["c".to_owned()][..])]);
    let failed: Vec<_> = replies.failed.iter().map(|f| (f.name.as_str(), f.reason.clone())).collect();
    assert_eq!(failed, [("b", CallFailure::NotDecodable), ("d", CallFailure::NoSuchServer)]);
}

/// A type that postcard cannot encode.
#[derive(Deserialize)]
struct Endless;
impl Serialize for Endless {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str("x").and(Err(serde::ser::Error::custom("endless")))
    }
}
impl Message for Endless {
    const ID: u16 = 7;
    const VERSION: u8 = 0;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_encoded_is_sent_to_nobody() {
    let double = Double::new("a", &["b"]);
    let sent = double.cast(&server("scribe"), &Endless).await;
    assert!(matches!(sent, Err(CastError::Unencodable(Unencodable { .. }))));
    assert_eq!(double.log(), []);
}
