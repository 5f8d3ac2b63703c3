//! What went wrong once: each of these was red before it was mended.

use super::pipe::{Defect, Pipe};
use super::*;
use crate::link::Connection;
use crate::transport::StopReason;
use bytes::Bytes;

async fn start_with(pipes: &Pipes, own: &str, seeds: &[&str], set: impl FnOnce(&mut MeshConfig)) -> Mesh<PipeLink> {
    let mut config = MeshConfig::new(ClusterName::new("test").unwrap(), name(own));
    config.seeds = seeds.iter().map(|s| Address::new(s).unwrap()).collect();
    set(&mut config);
    Mesh::start(pipes.bind(&config.name), config).await.unwrap()
}

/// A server that takes a message every so often, without a pause. Returns how many it took.
fn slow(node: &Mesh<PipeLink>, own: &str, each: Duration) -> tokio::task::JoinHandle<u32> {
    let mut inbox = node.register(&server(own), ServerOptions::new()).unwrap();
    tokio::spawn(async move {
        let (mut entries, mut handled) = (VecDeque::new(), 0);
        while inbox.take(&mut entries).await.is_ok() {
            for entry in entries.drain(..) {
                let Entry::Messages(mut batch) = entry else { continue };
                while batch.next().is_some() {
                    tokio::time::sleep(each).await;
                    handled += 1;
                }
            }
        }
        handled
    })
}

/// O3 (b): it was stopped, because only whole batches counted.
#[tokio::test(start_paused = true)]
async fn a_slow_server_that_never_stops_taking_messages_is_not_stopped() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let handled = slow(&a, "s", Duration::from_millis(10));
    for _ in 0..40_000_u32 {
        a.abcast(&Targets::All, &server("s"), encoded(&[0; 8])).await.unwrap();
        if handled.is_finished() {
            break;
        }
    }
    assert_eq!(a.counters().stalled_servers, 0, "stopped after {:?} messages", handled.await);
}

/// O3 (a): its lane moves less than once in the stall timeout, and the link was cut.
#[tokio::test(start_paused = true)]
async fn a_slow_server_does_not_cost_its_node_the_link() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    let handled = slow(&a, "s", Duration::from_millis(200));
    linked(&[&a, &b]).await;
    let mut events = b.monitor();
    assert!(events.next().await.unwrap().is_up());
    let began = Instant::now();
    while began.elapsed() < 600 * SECOND {
        b.abcast(&Targets::node(name("a")), &server("s"), encoded(&[0; 8])).await.unwrap();
    }
    let event = tokio::time::timeout(SECOND, events.next()).await;
    assert!(event.is_err(), "{event:?}");
    assert!(!handled.is_finished() && a.counters().stalled_servers == 0);
}

/// C6, O3 (a): a server that is busy with one large message stops those to others, and cuts a healthy link.
#[tokio::test(start_paused = true)]
async fn a_server_busy_with_a_large_message_does_not_hold_up_others() {
    let pipes = Pipes::default();
    let small = |c: &mut MeshConfig| (c.limits.max_message, c.limits.large_bytes) = (1 << 20, 2 << 20);
    let a = start_with(&pipes, "a", &[], small).await;
    let b = start_with(&pipes, "b", &["a"], small).await;
    let mut casts = echo(&a, "idle");
    let mut busy = a.register(&server("busy"), ServerOptions::new()).unwrap();
    let holding = tokio::spawn(async move {
        let mut entries = VecDeque::new();
        busy.take(&mut entries).await.unwrap();
        tokio::time::sleep(60 * SECOND).await;
    });
    linked(&[&a, &b]).await;
    let mut events = b.monitor();
    assert!(events.next().await.unwrap().is_up());
    let to = Targets::node(name("a"));
    b.abcast(&to, &server("busy"), encoded(&vec![1; 1 << 20])).await.unwrap();
    tokio::time::sleep(SECOND).await;
    b.abcast(&to, &server("idle"), encoded(&vec![2; 1 << 20])).await.unwrap();
    let arrived = tokio::time::timeout(10 * SECOND, casts.recv()).await.is_ok();
    let event = tokio::time::timeout(40 * SECOND, events.next()).await;
    assert!(arrived && event.is_err(), "arrived within 10 s: {arrived}; then {event:?}");
    holding.abort();
}

/// C3, O3 (a): a lane that ends alone, as `Connection::open` and `LaneSender::send` allow, loses what was accepted.
#[tokio::test(start_paused = true)]
async fn a_lane_that_the_peer_refuses_ends_the_link() {
    let pipes = Pipes::default();
    pipes.refuse_lanes_beyond(4);
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    linked(&[&a, &b]).await;
    let mut events = b.monitor();
    assert!(events.next().await.unwrap().is_up());
    let to = Targets::node(name("a"));
    let mut received: Vec<_> = (0..8).map(|n| echo(&a, &format!("s{n}"))).collect();
    for n in 0..8 {
        let sent = b.abcast(&to, &server(&format!("s{n}")), encoded(b"x")).await.unwrap();
        assert_eq!(sent.accepted.len(), 1);
    }
    let down = tokio::time::timeout(600 * SECOND, events.next()).await.is_ok();
    let mut lost = 0;
    for casts in &mut received {
        lost += u32::from(tokio::time::timeout(SECOND, casts.recv()).await.is_err());
    }
    let large = vec![0; 100 << 10];
    let _ = tokio::time::timeout(SECOND, b.abcast(&Targets::All, &server("s7"), encoded(&large))).await;
    let blocked = tokio::time::timeout(600 * SECOND, b.abcast(&Targets::All, &server("s7"), encoded(&large))).await;
    assert!(down || lost == 0, "{lost} lost without a Down in 10 minutes; abcast blocked: {}", blocked.is_err());
}

/// S2: a deadline as long as can be.
#[tokio::test(start_paused = true)]
async fn a_shutdown_without_a_deadline_returns() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let end = tokio::time::timeout(60 * SECOND, a.shutdown(Duration::MAX)).await;
    assert!(end.is_ok(), "the driver is dead, and nobody says so");
    assert_eq!(a.stopped().await, StopReason::Shutdown);
}

/// S2: what happened long before the shutdown says nothing of its flush.
#[tokio::test(start_paused = true)]
async fn an_old_reset_does_not_make_a_shutdown_unflushed() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    linked(&[&a, &b]).await;
    assert!(b.disconnect(&name("a")).await);
    tokio::time::sleep(5 * SECOND).await;
    linked(&[&a, &b]).await;
    assert!(a.shutdown(5 * SECOND).await.flushed);
}

/// O3 (b): the calls of a server that stops end, and the link stays.
#[tokio::test(start_paused = true)]
async fn a_server_that_crashes_with_calls_queued_does_not_cut_the_link() {
    let pipes = Pipes::default();
    let a = start_with(&pipes, "a", &[], |c| c.limits.queue_bytes = 16 << 10).await;
    let b = Arc::new(start(&pipes, "b", &["a"]).await);
    let inbox = a.register(&server("s"), ServerOptions::new()).unwrap();
    linked(&[&a, &b]).await;
    let calls: Vec<_> = (0..2_000)
        .map(|_| {
            let b = Arc::clone(&b);
            tokio::spawn(async move {
                b.multi_call(&Targets::node(name("a")), &server("s"), encoded(b"x"), 20 * SECOND).await
            })
        })
        .collect();
    tokio::time::sleep(SECOND).await;
    drop(inbox);
    let mut down = 0;
    for call in calls {
        let failed = call.await.unwrap().failed;
        down += u32::from(failed[0].reason != CallFailure::ServerStopped);
    }
    assert_eq!(down, 0, "calls that did not end with ServerStopped");
}

/// R5: a caller that has given up has given up for good.
#[tokio::test(start_paused = true)]
async fn a_caller_that_gave_up_does_not_wait_again() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    let mut inbox = a.register(&server("s"), ServerOptions::new()).unwrap();
    linked(&[&a, &b]).await;
    let target = Targets::node(name("a"));
    let to = server("s");
    let call = b.multi_call(&target, &to, encoded(b"x"), 60 * SECOND);
    let _ = tokio::time::timeout(SECOND, call).await;
    // The server had started before that: it took the call and asks while it works.
    let mut entries = VecDeque::new();
    let b2 = async {
        let call = b.multi_call(&target, &to, encoded(b"y"), 60 * SECOND);
        let _ = tokio::time::timeout(5 * SECOND, call).await;
    };
    let a2 = async {
        tokio::time::sleep(SECOND).await;
        inbox.take(&mut entries).await.unwrap();
        let mut caller = None;
        for entry in entries.drain(..) {
            let Entry::Messages(mut batch) = entry else { continue };
            while let Some(delivery) = batch.next() {
                caller = delivery.caller;
            }
        }
        let caller = caller.unwrap();
        let first = caller.is_waiting();
        tokio::time::sleep(10 * SECOND).await;
        (first, caller.is_waiting(), caller.is_waiting())
    };
    let (waits, ()) = tokio::join!(a2, b2);
    assert_eq!(waits, (true, false, false));
}

/// O3: a node that takes no replies stops the healthy servers of others, two seconds before it is cut itself.
#[tokio::test(start_paused = true)]
async fn a_node_that_takes_no_replies_does_not_get_a_healthy_server_stopped() {
    let pipes = Pipes::default();
    let small = |c: &mut MeshConfig| (c.limits.max_message, c.limits.large_bytes) = (1 << 20, 2 << 20);
    let stuck = Arc::new(start_with(&pipes, "a", &[], small).await);
    let b = start_with(&pipes, "b", &["a"], small).await;
    let c = Arc::new(start_with(&pipes, "c", &["a"], small).await);
    linked(&[&stuck, &b, &c]).await;
    // The budget of a is taken, so that it reads no large reply.
    let mut busy = stuck.register(&server("busy"), ServerOptions::new()).unwrap();
    let holding = tokio::spawn(async move {
        let mut entries = VecDeque::new();
        busy.take(&mut entries).await.unwrap();
        tokio::time::sleep(600 * SECOND).await;
    });
    c.abcast(&Targets::node(name("a")), &server("busy"), encoded(&vec![1; 1 << 20])).await.unwrap();
    let mut inbox = b.register(&server("s"), ServerOptions::new()).unwrap();
    let serving = tokio::spawn(async move {
        let (mut entries, answer) = (VecDeque::new(), vec![2; 1 << 20]);
        while inbox.take(&mut entries).await.is_ok() {
            for entry in entries.drain(..) {
                let Entry::Messages(mut batch) = entry else { continue };
                while let Some(delivery) = batch.next() {
                    if let Some(caller) = delivery.caller {
                        caller.reply(Ok(encoded(&answer))).await;
                    }
                }
            }
        }
    });
    tokio::time::sleep(SECOND).await;
    for _ in 0..4 {
        let stuck = Arc::clone(&stuck);
        tokio::spawn(async move {
            stuck.multi_call(&Targets::node(name("b")), &server("s"), encoded(b"x"), 600 * SECOND).await
        });
    }
    let casting = tokio::spawn({
        let c = Arc::clone(&c);
        async move {
            loop {
                let _ = c.abcast(&Targets::node(name("b")), &server("s"), encoded(&[0; 1_000])).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    tokio::time::sleep(60 * SECOND).await;
    let stopped = b.counters().stalled_servers;
    casting.abort();
    holding.abort();
    assert!(stopped == 0 && !serving.is_finished(), "healthy servers stopped: {stopped}");
}

/// S2: a shutdown that was cut off says that it was flushed.
#[tokio::test(start_paused = true)]
async fn a_shutdown_that_lost_messages_does_not_say_flushed() {
    let pipes = Pipes::default();
    let small = |c: &mut MeshConfig| (c.limits.max_message, c.limits.large_bytes) = (1 << 20, 2 << 20);
    let a = start_with(&pipes, "a", &[], small).await;
    let b = start_with(&pipes, "b", &["a"], small).await;
    let mut casts = echo(&a, "idle");
    let mut busy = a.register(&server("busy"), ServerOptions::new()).unwrap();
    let holding = tokio::spawn(async move {
        let mut entries = VecDeque::new();
        busy.take(&mut entries).await.unwrap();
        tokio::time::sleep(600 * SECOND).await;
    });
    linked(&[&a, &b]).await;
    let to = Targets::node(name("a"));
    b.abcast(&to, &server("busy"), encoded(&vec![1; 1 << 20])).await.unwrap();
    tokio::time::sleep(SECOND).await;
    b.abcast(&to, &server("idle"), encoded(&vec![2; 1 << 20])).await.unwrap();
    let end = b.shutdown(120 * SECOND).await;
    let arrived = tokio::time::timeout(SECOND, casts.recv()).await.is_ok();
    holding.abort();
    assert!(arrived || !end.flushed, "arrived: {arrived}, flushed: {}", end.flushed);
}

/// C3: a lane belongs to the node, not to the runtime of whoever first sent to a name.
#[test]
fn a_sender_in_another_runtime_does_not_take_the_lane_with_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let main = runtime();
    let pipes = Pipes::default();
    let (a, mut casts) = main.block_on(async {
        let a = Arc::new(start(&pipes, "a", &[]).await);
        let casts = echo(&a, "s");
        (a, casts)
    });
    let sender = Arc::clone(&a);
    let first = std::thread::spawn(move || {
        runtime().block_on(async { sender.abcast(&Targets::All, &server("s"), encoded(b"1")).await.is_ok() })
    });
    assert!(first.join().unwrap());
    let received = main.block_on(async {
        a.abcast(&Targets::All, &server("s"), encoded(b"2")).await.unwrap();
        tokio::time::timeout(2 * SECOND, casts.recv()).await.is_ok()
    });
    assert!(received, "accepted by the local node, and never delivered");
}

/// O1: what a server that does not take holds of node events.
#[tokio::test(start_paused = true)]
async fn node_events_of_a_stuck_server_are_bounded() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    let b = start(&pipes, "b", &["a"]).await;
    let mut inbox = a.register(&server("s"), ServerOptions::new().with_events()).unwrap();
    for _ in 0..500 {
        linked(&[&a, &b]).await;
        assert!(b.disconnect(&name("a")).await);
        tokio::time::sleep(SECOND).await;
    }
    let mut entries = VecDeque::new();
    inbox.take(&mut entries).await.unwrap();
    assert!(entries.len() < 600, "{} entries after 500 flaps of one link", entries.len());
}

/// N16: whoever it waits for may still be in the crowd. Once there was none here, what was left of it had the time of a quiet day, and so
/// ended at once.
#[tokio::test(start_paused = true)]
async fn a_handshake_in_a_crowd_keeps_its_time_when_the_crowd_has_gone() {
    let pipes = Pipes::default();
    let _a = start(&pipes, "a", &[]).await;
    // They never say hello.
    let dial = async |n: usize| {
        let link = pipes.bind(&name(&format!("m{n}")));
        link.dial(&Address::new("a").unwrap(), None).await.unwrap()
    };
    let ends_after = async |pipe: Pipe, since: Instant| {
        pipe.closed().await;
        since.elapsed().as_millis() / 250 * 250
    };
    let began = Instant::now();
    let mut crowd = Vec::new();
    for n in 0..40 {
        crowd.push(dial(n).await);
    }
    tokio::time::sleep(SECOND).await;
    let last = crowd.pop().unwrap();
    crowd.iter().for_each(|pipe| pipe.close(Bytes::new()));
    assert_eq!(ends_after(last, began).await, 5_000, "the time of a dial");
    assert_eq!(ends_after(dial(40).await, Instant::now()).await, 2_000, "the failure timeout");
}

/// C1: the link stayed, and what that task was to read or write was missing on it.
#[tokio::test(start_paused = true)]
async fn a_panic_in_a_task_of_a_link_costs_the_link_and_no_more() {
    for defect in [Defect::Datagram, Defect::Open, Defect::Recv] {
        let pipes = Pipes::default();
        let a = start(&pipes, "a", &[]).await;
        let b = start(&pipes, "b", &["a"]).await;
        let mut casts = echo(&a, "s");
        linked(&[&a, &b]).await;
        if defect != Defect::Open {
            b.abcast(&Targets::node(name("a")), &server("s"), encoded(b"before")).await.unwrap();
            casts.recv().await.unwrap();
        }
        let mut events = b.monitor();
        assert!(events.next().await.unwrap().is_up());
        pipes.have(defect);
        b.abcast(&Targets::node(name("a")), &server("s"), encoded(b"lost, or not")).await.unwrap();
        let mut next = async || {
            let event = tokio::time::timeout(5 * SECOND, events.next()).await;
            event.unwrap_or_else(|_| panic!("{defect:?}: the link stays as it is")).unwrap()
        };
        let down = next().await;
        // Not by the failure detector, whose transport goes on hearing of packets.
        let words = format!("{:?}", down.change);
        assert!(words.contains("Protocol") && words.contains("has panicked"), "{defect:?}: {words}");
        assert!(next().await.is_up(), "{defect:?}");
        b.abcast(&Targets::node(name("a")), &server("s"), encoded(b"after")).await.unwrap();
        while casts.recv().await.unwrap().1 != b"after" {}
    }
}

/// S1: the node went on, and nobody could dial it.
#[tokio::test(start_paused = true)]
async fn a_panic_of_the_task_that_accepts_stops_the_node() {
    let pipes = Pipes::default();
    let a = start(&pipes, "a", &[]).await;
    pipes.have(Defect::Accept);
    let _b = start(&pipes, "b", &["a"]).await;
    let stopped = tokio::time::timeout(5 * SECOND, a.stopped()).await.expect("it stops");
    assert!(matches!(&stopped, StopReason::Endpoint(words) if words.contains("panicked")), "{stopped:?}");
}
