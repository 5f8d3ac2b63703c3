//! Members that lie in their `Hello`, say it too slowly, or connect and say nothing.

use crate::bytes::{DISCONNECTED, Hello, LOST, PROBE, PROBE_ACK, RAISE, REFUSED, REPLACED, SURPLUS};
use crate::bytes::{Reader, sized, varint};
use crate::node::Settings;
use crate::peer::{Peer, closed, connect};
use crate::stage::{Bounds, Stage};
use crate::{MIB, SECOND, trials};
use quinn::TransportConfig;
use std::time::Instant;

trials!(
    a_hello_that_lies_is_refused_and_logged,
    incarnations_that_lie_hurt_the_liar_alone,
    a_hello_at_a_byte_a_second_is_out_of_time,
    connections_that_say_nothing_are_few,
    coming_and_going_is_logged_a_line_a_second,
    the_word_of_a_member_that_a_node_has_a_rival_is_logged,
);

const CHEAP: Bounds = Bounds { heap: 2 * MIB, cpu: SECOND };

/// Who says it, what is wrong with it, and what is said of that.
type Lie = (&'static str, fn(&mut Hello), &'static str);

async fn a_hello_that_lies_is_refused_and_logged() {
    let stage = Stage::start(Settings::default()).await;
    let told = |name: &str, lie: fn(&mut Hello)| {
        let mut hello = Hello::of(name);
        lie(&mut hello);
        hello
    };
    let lies: [Lie; 7] = [
        ("liar-a", |h| h.name = "good".to_owned(), "it calls itself good, its certificate proves liar-a"),
        ("liar-b", |h| h.name = "node".to_owned(), "it calls itself node, its certificate proves liar-b"),
        ("liar-c", |h| h.cluster = "shop", "is of cluster shop, node of cluster test"),
        ("liar-d", |h| h.versions = [2, 0, 3], "protocol 2.0 to 2.3"),
        ("liar-e", |h| h.versions = [1, 7, 9], "protocol 1.7 to 1.9"),
        ("liar-f", |h| h.lanes = 1_000, "is configured for 1000 lanes, node for 24"),
        ("liar-g", |h| h.lanes = 0, "is configured for 0 lanes, node for 24"),
    ];
    for (name, lie, words) in lies {
        let hello = told(name, lie);
        let mut peer = Peer::open(&stage, name).await;
        peer.say(&hello.bytes()).await;
        let (reason, said) = peer.closed().await;
        assert_eq!(reason, REFUSED, "{name}: {said}");
        assert!(said.contains(words), "{said}");
        let at = format!("remote={}", peer.at);
        let claims = format!("claims={} proved={name}", hello.name);
        if hello.name == name {
            stage.node.logged(&["WARN", "closed the connection", &format!("peer={name}"), &at, words]).await;
        } else {
            let line = "a peer claims a name that is not in its certificate";
            stage.node.logged(&["WARN", line, &claims, &at]).await;
        }
    }
    // Saying it again and again fills no log.
    for _ in 0..50 {
        let mut peer = Peer::open(&stage, "liar-c").await;
        peer.say(&told("liar-c", lies[2].1).bytes()).await;
        assert_eq!(peer.closed().await.0, REFUSED);
    }
    let lines = stage.node.lines(&["liar-c"]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    stage.end("hellos that lie", CHEAP).await;
}

async fn incarnations_that_lie_hurt_the_liar_alone() {
    let mut stage = Stage::start(Settings::default()).await;
    let with = |incarnation| Hello { incarnation, ..Hello::of("intruder") };
    // The smallest there is. It also says that it may be silent for seven weeks, and where it can be dialled a thousand times.
    let mut least = with([0, 0]);
    least.failure_timeout_millis = u64::from(u32::MAX);
    least.moment = u64::MAX;
    least.addresses = (0..1_000).map(|n| format!("127.0.0.1:{}", 10_000 + n)).collect();
    let first = Peer::link(&stage, &least, 1).await;
    // The greatest replaces it; nothing is above that.
    let most = with([u64::MAX, u64::MAX]);
    let mut second = Peer::link(&stage, &most, 1).await;
    assert_eq!(first.closed().await.0, REPLACED);
    let mut third = Peer::open(&stage, "intruder").await;
    third.say(&least.bytes()).await;
    let probe = second.hear_kind(PROBE).await;
    second.say(&[vec![PROBE_ACK], probe[1..].to_vec()].concat()).await;
    assert_eq!(third.closed().await.0, REPLACED, "the greater one is alive");
    second.close(&[DISCONNECTED]);
    let mut fourth = Peer::open(&stage, "intruder").await;
    fourth.say(&least.bytes()).await;
    assert_eq!(fourth.closed().await.0, RAISE, "the greater one is remembered");
    let events = stage.node.ask("events").await;
    assert_eq!(events.matches("up intruder@").count(), 2, "{events}");
    assert_eq!(events.matches("down intruder@").count(), 2, "{events}");
    stage.end("incarnations that lie", CHEAP).await;
}

async fn a_hello_at_a_byte_a_second_is_out_of_time() {
    let stage = Stage::start(Settings::default()).await;
    let (mut peer, began) = (Peer::open(&stage, "intruder").await, Instant::now());
    let hello = sized(&Hello::of("intruder").bytes());
    let drip = async {
        for byte in hello {
            // Fails once the node has closed.
            let _ = peer.control.write_all(&[byte]).await;
            tokio::time::sleep(SECOND).await;
        }
    };
    let connection = peer.connection.clone();
    tokio::select! {
        () = drip => panic!("it was let in"),
        _ = connection.closed() => {}
    }
    assert_eq!(peer.closed().await.0, LOST);
    let took = began.elapsed();
    assert!((SECOND..4 * SECOND).contains(&took), "{took:?} for a failure timeout of 2 s");
    let at = format!("remote={}", peer.at);
    stage.node.logged(&["WARN", "a handshake with a peer is out of time", "peer=intruder", &at]).await;
    stage.end("a hello at a byte a second", CHEAP).await;
}

async fn connections_that_say_nothing_are_few() {
    let stage = Stage::start(Settings::default()).await;
    let (began, mut peers) = (Instant::now(), Vec::new());
    for _ in 0..100 {
        peers.push(connect(&stage, "intruder", TransportConfig::default()).await);
    }
    let mut reasons = Vec::new();
    for (_endpoint, connection) in &peers {
        reasons.push(closed(connection).await.0);
    }
    assert_eq!(reasons[..4], [LOST; 4], "the first ones had as long as a handshake may take");
    // Each of four places is taken for the failure timeout of 2 s: where dialling takes longer, by one after the other.
    let kept = reasons.iter().filter(|&&reason| reason == LOST).count();
    let most = 4 * ((began.elapsed().as_secs_f64() + 0.1) / 2.0).max(1.0) as usize;
    assert!(kept <= most, "{kept} were kept, {most} may be: {reasons:?}");
    assert!(reasons.iter().all(|reason| [LOST, SURPLUS].contains(reason)), "{reasons:?}");
    assert!(stage.node.lines(&["intruder"]).len() <= 10, "{:?}", stage.node.lines(&["intruder"]));
    stage.end("100 connections that say nothing", Bounds { heap: 4 * MIB, cpu: SECOND }).await;
}

async fn coming_and_going_is_logged_a_line_a_second() {
    let mut stage = Stage::start(Settings::default()).await;
    let began = Instant::now();
    for number in 1..=250 {
        let peer = Peer::link(&stage, &Hello::of("intruder"), number).await;
        peer.close(&[DISCONNECTED]);
    }
    let events = stage.node.ask("events").await;
    assert!(events.contains("up intruder@"), "{events}");
    let seconds = began.elapsed().as_secs() as usize + 1;
    let lines = stage.node.lines(&["intruder"]);
    assert!(lines.len() <= 4 * seconds, "{} lines in {seconds} s: {:?}", lines.len(), &lines[..8]);
    stage.end("250 links that come and go", Bounds { heap: 8 * MIB, cpu: 3 * SECOND }).await;
}

/// A member is believed that a greater incarnation of this node lives, and that it has seen one (S3, N12): nobody else could say so.
/// Whoever is told gets to know by whom.
async fn the_word_of_a_member_that_a_node_has_a_rival_is_logged() {
    let stage = Stage::start(Settings::default()).await;
    let mut peer = Peer::link(&stage, &Hello::of("intruder"), 1).await;
    peer.say(&[vec![PROBE], varint(9)].concat()).await;
    assert_eq!(Reader(&peer.hear_kind(PROBE_ACK).await[1..]).varint(), 9);
    // It claims to have seen the last incarnation of all, above which there is none: that is not believed.
    peer.close(&[vec![RAISE], varint(u64::MAX), varint(u64::MAX)].concat());
    let line = "a peer says that it has seen a greater incarnation of this name";
    stage.node.logged(&["WARN", line, "peer=intruder", &format!("remote={}", peer.at)]).await;
    stage.end("a claim to have seen the last incarnation", CHEAP).await;
}
