//! What is logged of a dial that does not come to a connection: who and why, and no warning if nothing is wrong.

use super::trust::{past, refused_by_peer};
use super::*;
use futures_util::FutureExt;
use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::timeout;

/// What this thread logs.
#[derive(Clone, Default)]
struct Log {
    bytes: Arc<Mutex<Vec<u8>>>,
    more: Arc<Notify>,
}

impl Log {
    /// What this thread logs, until the guard is dropped.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        // With two of them no test that logs to nobody decides for all what is of interest to nobody.
        static ANOTHER: LazyLock<tracing::Dispatch> = LazyLock::new(|| {
            let nowhere = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(io::sink);
            tracing::Dispatch::new(nowhere.finish())
        });
        LazyLock::force(&ANOTHER);
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
        let subscriber = subscriber.with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    async fn says(&self, words: &str) {
        let said = async {
            while self.lines(words).is_empty() {
                self.more.notified().await;
            }
        };
        soon(said).await;
    }

    fn lines(&self, with: &str) -> Vec<String> {
        let text = String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().unwrap().extend_from_slice(bytes);
        self.more.notify_one();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn who_is_refused_stands_in_the_log() {
    let (log, _logs) = Log::begin();
    let authority = authority();
    let expired = authority.issue(&name("b"), past()).unwrap();
    let (a, b) = (bind(issue(&authority, "a")), QuicLink::bind_unchecked(config(expired)).unwrap());
    // Nothing is wrong with a dial that its peer needs no longer.
    let member = bind(issue(&authority, "member"));
    assert!(member.dial(&address(&a), None).now_or_never().is_none());
    log.says("a handshake was given up").await;
    assert_eq!(log.lines("a handshake failed"), [""; 0]);
    refused_by_peer(&b, &a).await;
    log.says("a handshake failed").await;
    // How often it is said is tested where it is decided.
    let lines = log.lines("a handshake failed");
    let at = address(&b).to_string();
    for part in ["peer=b ", &format!("remote={at} "), "expired", "1972-01-01 00:00:00 UTC"] {
        assert!(lines[0].contains(part), "{part} is missing: {}", lines[0]);
    }
}

async fn udp() -> (UdpSocket, Address) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = Address::new(&socket.local_addr().unwrap().to_string()).unwrap();
    (socket, at)
}

/// A cut has swallowed the answer to a dial, and the word that it is given up; then the peer has dialled again.
#[tokio::test]
async fn a_dial_that_its_peer_has_made_good_is_no_warning() {
    let (log, _logs) = Log::begin();
    let authority = authority();
    let (a, member) = (bind(issue(&authority, "a")), bind(issue(&authority, "member")));
    let ((swallowed, to_first), (inside, to_second), (outside, _)) = (udp().await, udp().await, udp().await);
    let (mut there, mut back) = (vec![0; 65_536], vec![0; 65_536]);
    let first = async {
        let length = swallowed.recv(&mut there).await.unwrap();
        outside.send_to(&there[..length], a.local_address()).await.unwrap();
    };
    tokio::select! {
        biased;
        () = soon(first) => {}
        dialled = member.dial(&to_first, None) => panic!("it is not answered: {dialled:?}"),
    }
    let relay = async {
        loop {
            tokio::select! {
                came = inside.recv(&mut there) => outside.send_to(&there[..came.unwrap()], a.local_address()).await.unwrap(),
                came = outside.recv(&mut back) => inside.send_to(&back[..came.unwrap()], member.local_address()).await.unwrap(),
            };
        }
    };
    let second = async {
        let (dialled, accepted) = soon(async { tokio::join!(member.dial(&to_second, None), a.accept()) }).await;
        let _link = (dialled.unwrap(), accepted.unwrap());
        log.says("a handshake was given up").await;
    };
    tokio::select! {
        () = relay => {}
        () = second => {}
    }
    assert_eq!(log.lines("a handshake failed"), [""; 0]);
}

/// What this side answers does not reach the peer, which only a person can mend.
#[tokio::test]
async fn a_dial_that_its_peer_has_waited_for_in_vain_is_a_warning() {
    let (log, _logs) = Log::begin();
    let authority = authority();
    let (a, member) = (bind(issue(&authority, "a")), bind(issue(&authority, "member")));
    let ((inside, to), (outside, _)) = (udp().await, udp().await);
    let one_way = async {
        let mut there = vec![0; 65_536];
        loop {
            let length = inside.recv(&mut there).await.unwrap();
            outside.send_to(&there[..length], a.local_address()).await.unwrap();
        }
    };
    let waits = async {
        // More than half of the time that a handshake has.
        assert!(timeout(3 * SECOND, member.dial(&to, None)).await.is_err(), "nobody answers");
        log.says("a handshake failed").await;
    };
    tokio::select! {
        () = one_way => {}
        () = waits => {}
    }
    assert!(log.lines("a handshake failed")[0].contains("waited in vain"), "{:?}", log.lines("a handshake failed"));
}

/// The peer has restarted in a crowd: it takes the answer to a dial of its former life for the first packet of a new one, and asks for
/// its address to be shown.
#[tokio::test]
async fn a_dial_that_its_peer_has_forgotten_is_no_warning() {
    let (log, _logs) = Log::begin();
    let authority = authority();
    let (a, member) = (bind(issue(&authority, "a")), bind(issue(&authority, "member")));
    let ((inside, to), (outside, _)) = (udp().await, udp().await);
    let (mut first, mut answer) = (vec![0; 2_048], vec![0; 2_048]);
    let retry = async {
        let length = inside.recv(&mut first).await.unwrap();
        outside.send_to(&first[..length], a.local_address()).await.unwrap();
        outside.recv(&mut answer).await.unwrap();
        // RFC 9000, section 17.2: type, version, destination, source. Its source is what a retry is sent to (section 17.2.5).
        let source = 6 + usize::from(answer[5]);
        let source = &answer[source..=source + usize::from(answer[source])];
        let retry = [&[0xf0, 0, 0, 0, 1], source, &[0], &[7; 32]].concat();
        outside.send_to(&retry, a.local_address()).await.unwrap();
    };
    tokio::select! {
        biased;
        () = soon(retry) => {}
        dialled = member.dial(&to, None) => panic!("nobody answers there: {dialled:?}"),
    }
    log.says("a handshake was given up").await;
    assert_eq!(log.lines("a handshake failed"), [""; 0]);
}

/// This node has restarted: an answer to a dial of its former life looks like the first packet of a dial, but is protected otherwise.
#[tokio::test]
async fn an_answer_to_a_dial_that_is_forgotten_is_no_warning() {
    let (log, _logs) = Log::begin();
    let a = bind(issue(&authority(), "a"));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // RFC 9000, section 17.2.2: type, version, destination, source, token, length; then the number and what is protected.
    let protected = 1_200 - 26_u16;
    let head = [&[0xc0, 0, 0, 0, 1, 8][..], &[1; 8], &[8], &[2; 8], &[0], &(0x4000 | protected).to_be_bytes()].concat();
    for byte in 0..64 {
        // Of four one has the two bits of its protected header that must be zero.
        let answer = [&head[..], &vec![byte; usize::from(protected)]].concat();
        socket.send_to(&answer, a.local_address()).await.unwrap();
    }
    log.says("a handshake was given up").await;
    assert_eq!(log.lines("a handshake failed"), [""; 0]);
}
