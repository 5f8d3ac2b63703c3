//! The faults of a network of UDP sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use pingpong_transport_quic::BindError;
use pingpong_transport_quic::faults::{FaultNetwork, FaultSocket};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, TokioRuntime, rustls};
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);
const ANY: &str = "127.0.0.1:0";

type Socket = Arc<FaultSocket>;

/// A socket that is ready to send.
async fn bind(network: &FaultNetwork) -> (Socket, SocketAddr) {
    let socket = network.bind(ANY.parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    writable(&socket).await;
    (socket, addr)
}

async fn writable(socket: &Socket) {
    let mut poller = Arc::clone(socket).create_io_poller();
    let writable = std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx));
    timeout(DEADLINE, writable).await.expect("writable").unwrap();
}

fn send(socket: &Socket, to: SocketAddr, contents: &[u8]) {
    socket.try_send(&Transmit { destination: to, ecn: None, contents, segment_size: None, src_ip: None }).unwrap();
}

/// The datagrams that arrive until `last` does.
async fn until(socket: &Socket, last: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut got = Vec::new();
    let reading = async {
        while got.last().is_none_or(|(_, data): &(_, Vec<u8>)| data != last) {
            let mut space = vec![vec![0; 65_536]; 2];
            let mut meta = vec![RecvMeta::default(); 2];
            let count = std::future::poll_fn(|cx| {
                let mut bufs: Vec<_> = space.iter_mut().map(|space| IoSliceMut::new(space)).collect();
                // The socket may swap the slices: read through them.
                let Poll::Ready(count) = socket.poll_recv(cx, &mut bufs, &mut meta) else { return Poll::Pending };
                let count = count.unwrap();
                let read = bufs.iter().zip(&meta).take(count).map(|(buf, meta)| (meta.addr, buf[..meta.len].to_vec()));
                Poll::Ready(read.collect::<Vec<_>>())
            });
            got.extend(count.await);
        }
    };
    timeout(DEADLINE, reading).await.expect("the last datagram arrives");
    got
}

async fn texts(socket: &Socket, last: &str) -> Vec<String> {
    until(socket, last.as_bytes()).await.into_iter().map(|(_, data)| String::from_utf8(data).unwrap()).collect()
}

#[tokio::test]
async fn a_clear_network_passes_datagrams_with_their_sender() {
    let network = FaultNetwork::new();
    let ((a, at_a), (b, at_b)) = (bind(&network).await, bind(&network).await);
    send(&a, at_b, b"one");
    assert_eq!(until(&b, b"one").await, [(at_a, b"one".to_vec())]);
    send(&b, at_a, b"two");
    assert_eq!(until(&a, b"two").await, [(at_b, b"two".to_vec())]);
}

#[tokio::test]
async fn a_cut_is_silent_both_ways_until_the_heal() {
    let network = FaultNetwork::new();
    let ((a, at_a), (b, at_b), (c, _)) = (bind(&network).await, bind(&network).await, bind(&network).await);
    network.cut(at_a, at_b);
    send(&a, at_b, b"lost");
    send(&b, at_a, b"lost");
    send(&c, at_b, b"c");
    send(&c, at_a, b"c");
    assert_eq!(texts(&b, "c").await, ["c"]);
    assert_eq!(texts(&a, "c").await, ["c"]);
    network.heal(at_a, at_b);
    send(&a, at_b, b"healed");
    send(&b, at_a, b"healed");
    assert_eq!(texts(&b, "healed").await, ["healed"]);
    assert_eq!(texts(&a, "healed").await, ["healed"]);
}

#[tokio::test]
async fn a_cut_one_way_leaves_the_other() {
    let network = FaultNetwork::new();
    let ((a, at_a), (b, at_b)) = (bind(&network).await, bind(&network).await);
    network.cut_one_way(at_a, at_b);
    send(&a, at_b, b"lost");
    send(&b, at_a, b"back");
    assert_eq!(texts(&a, "back").await, ["back"]);
    network.heal_one_way(at_a, at_b);
    send(&a, at_b, b"there");
    assert_eq!(texts(&b, "there").await, ["there"]);
}

#[tokio::test]
async fn a_cut_takes_what_is_under_way() {
    let network = FaultNetwork::new();
    let ((a, at_a), (b, at_b), (c, _)) = (bind(&network).await, bind(&network).await, bind(&network).await);
    send(&a, at_b, b"in the buffer of the kernel");
    network.cut(at_a, at_b);
    send(&c, at_b, b"c");
    assert_eq!(texts(&b, "c").await, ["c"]);
}

#[tokio::test]
async fn a_partition_parts_groups_and_heal_all_ends_only_cuts() {
    let network = FaultNetwork::new();
    let ((a, at_a), (b, at_b), (c, at_c)) = (bind(&network).await, bind(&network).await, bind(&network).await);
    network.partition(&[vec![at_a, at_b], vec![at_c]]);
    network.stall(at_a);
    network.block_dials(at_b, at_c);
    send(&c, at_b, b"lost");
    send(&b, at_c, b"lost");
    send(&b, at_a, b"held");
    network.heal_all();
    send(&b, at_c, &[0xc0]);
    send(&b, at_c, b"healed");
    assert_eq!(texts(&c, "healed").await, ["healed"]);
    network.resume(at_a);
    assert_eq!(texts(&a, "held").await, ["held"]);
    send(&c, at_b, b"healed");
    assert_eq!(texts(&b, "healed").await, ["healed"]);
}

#[tokio::test]
async fn a_delay_takes_at_least_its_time_one_way_and_keeps_the_order() {
    let network = FaultNetwork::new();
    let ((a, at_a), (b, at_b)) = (bind(&network).await, bind(&network).await);
    let delay = Duration::from_millis(80);
    network.delay(at_a, at_b, delay);
    let start = Instant::now();
    send(&a, at_b, b"1");
    network.delay(at_a, at_b, delay / 2);
    send(&a, at_b, b"2");
    network.delay(at_a, at_b, Duration::ZERO);
    send(&a, at_b, b"at once");
    send(&b, at_a, b"back");
    assert_eq!(texts(&a, "back").await, ["back"]);
    assert_eq!(texts(&b, "2").await, ["at once", "1", "2"]);
    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn a_stall_holds_in_order_and_delivers_after_the_resume() {
    let network = FaultNetwork::new();
    let ((a, _), (b, at_b), (c, at_c)) = (bind(&network).await, bind(&network).await, bind(&network).await);
    let reader = Arc::clone(&b);
    send(&a, at_b, b"0");
    network.stall(at_b);
    let reading = tokio::spawn(async move { texts(&reader, "after").await });
    let mut expected = vec!["0".to_owned()];
    for i in 1..2_000 {
        send(&a, at_b, i.to_string().as_bytes());
        expected.push(i.to_string());
    }
    send(&b, at_c, b"from the stalled");
    send(&a, at_c, b"a");
    assert_eq!(texts(&c, "a").await, ["a"], "what a stalled host sends is held");
    assert!(!reading.is_finished());
    network.resume(at_b);
    send(&a, at_b, b"after");
    expected.push("after".to_owned());
    let got = reading.await.unwrap();
    assert!(got == expected, "{} of {}, from {}", got.len(), expected.len(), got[0]);
    assert_eq!(texts(&c, "from the stalled").await, ["from the stalled"]);
}

#[tokio::test]
async fn a_stall_is_bounded_and_loses_the_oldest() {
    let network = FaultNetwork::new();
    let ((a, _), (b, at_b)) = (bind(&network).await, bind(&network).await);
    network.stall(at_b);
    for i in 0..4_100 {
        send(&a, at_b, i.to_string().as_bytes());
    }
    network.resume(at_b);
    let got = texts(&b, "4099").await;
    assert_eq!((got.len(), got[0].as_str()), (4_096, "4"));
}

#[tokio::test]
async fn blocked_dials_lose_initial_packets_only() {
    let network = FaultNetwork::new();
    let ((a, at_a), (b, at_b)) = (bind(&network).await, bind(&network).await);
    network.block_dials(at_a, at_b);
    let initial = [0xc3, 0, 0, 0, 1, 1, 7, 0, 0];
    send(&a, at_b, &initial);
    send(&a, at_b, &[0xe0, 1]);
    send(&a, at_b, &[0x40, 2]);
    send(&b, at_a, &initial);
    let got: Vec<_> = until(&b, &[0x40, 2]).await.into_iter().map(|(_, data)| data).collect();
    assert_eq!(got, [vec![0xe0, 1], vec![0x40, 2]]);
    until(&a, &initial).await;
    network.allow_dials(at_a, at_b);
    send(&a, at_b, &initial);
    until(&b, &initial).await;
}

#[tokio::test]
async fn a_crash_silences_a_host_until_its_address_is_bound_again() {
    let network = FaultNetwork::new();
    let ((a, at_a), (b, at_b)) = (bind(&network).await, bind(&network).await);
    send(&a, at_b, b"under way");
    network.crash(at_a);
    send(&a, at_b, b"lost");
    send(&b, at_a, b"lost");
    let again = network.bind(at_a).expect("the address is free, although the old socket lives");
    send(&a, at_b, b"still lost");
    writable(&again).await;
    send(&again, at_b, b"back");
    let got = texts(&b, "back").await;
    assert!(got.iter().all(|text| text == "back" || text == "under way"), "{got:?}");
    send(&b, at_a, b"hello");
    assert_eq!(texts(&again, "hello").await, ["hello"]);
    drop(a);
    send(&b, at_a, b"the old one's end changes nothing");
    texts(&again, "the old one's end changes nothing").await;
}

#[tokio::test]
async fn an_unspecified_address_is_refused() {
    let refused = FaultNetwork::new().bind("0.0.0.0:0".parse().unwrap()).unwrap_err();
    assert!(matches!(refused, BindError::Socket { error, .. } if error.kind() == std::io::ErrorKind::InvalidInput));
}

/// Endpoints that trust each other.
fn endpoints(network: &FaultNetwork) -> [(Endpoint, SocketAddr); 2] {
    let made = rcgen::generate_simple_self_signed(["node".to_owned()]).unwrap();
    let cert = made.cert.der().clone();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.clone()).unwrap();
    let roots = Arc::new(roots);
    [(); 2].map(|()| {
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let server = quinn::ServerConfig::with_single_cert(vec![cert.clone()], key.into()).unwrap();
        let socket = network.bind(ANY.parse().unwrap()).unwrap();
        let addr = socket.local_addr().unwrap();
        let runtime = Arc::new(TokioRuntime);
        let mut endpoint =
            Endpoint::new_with_abstract_socket(EndpointConfig::default(), Some(server), socket, runtime).unwrap();
        endpoint.set_default_client_config(quinn::ClientConfig::with_root_certificates(Arc::clone(&roots)).unwrap());
        (endpoint, addr)
    })
}

async fn connect(from: &Endpoint, to: &Endpoint, addr: SocketAddr) -> (quinn::Connection, quinn::Connection) {
    let dial = async { from.connect(addr, "node").unwrap().await.unwrap() };
    let accept = async { to.accept().await.unwrap().await.unwrap() };
    timeout(DEADLINE, async { tokio::join!(dial, accept) }).await.expect("connected")
}

#[tokio::test]
async fn quic_runs_over_it_and_a_blocked_dial_leaves_the_dial_of_the_other_side() {
    let network = FaultNetwork::new();
    let [(a, at_a), (b, at_b)] = endpoints(&network);
    network.block_dials(at_a, at_b);
    let blocked = a.connect(at_b, "node").unwrap();
    // The answers of `a` are Initial packets too, on the blocked path.
    let (theirs, ours) = connect(&b, &a, at_a).await;
    network.allow_dials(at_a, at_b);
    let accept = async { b.accept().await.unwrap().await };
    let (dialed, accepted) = timeout(DEADLINE, async { tokio::join!(blocked, accept) }).await.expect("allowed");
    assert!(dialed.is_ok() && accepted.is_ok());
    network.stall(at_b);
    let mut stream = ours.open_uni().await.unwrap();
    stream.write_all(&[7; 5_000]).await.unwrap();
    stream.finish().unwrap();
    network.resume(at_b);
    let read = async { theirs.accept_uni().await.unwrap().read_to_end(10_000).await.unwrap() };
    assert_eq!(timeout(DEADLINE, read).await.expect("read"), [7; 5_000]);
}

#[tokio::test]
async fn quic_survives_a_cut_and_a_crash_frees_the_address() {
    let network = FaultNetwork::new();
    let [(a, at_a), (b, at_b)] = endpoints(&network);
    network.delay(at_a, at_b, Duration::from_millis(5));
    network.delay(at_b, at_a, Duration::from_millis(5));
    let (ours, theirs) = connect(&a, &b, at_b).await;
    assert!(ours.rtt() >= Duration::from_millis(10));
    network.cut(at_a, at_b);
    let mut stream = ours.open_uni().await.unwrap();
    stream.write_all(b"through").await.unwrap();
    stream.finish().unwrap();
    network.heal_all();
    let read = async { theirs.accept_uni().await.unwrap().read_to_end(100).await.unwrap() };
    assert_eq!(timeout(DEADLINE, read).await.expect("read"), b"through");
    network.crash(at_b);
    network.bind(at_b).expect("free, although the endpoint lives");
}
