//! The node that is attacked, in a process of its own: what it does there, and the tests' hold on it.

use crate::good::{encoded, server};
use crate::{ANY, HEAP, SECOND, soon};
use pingpong_core::inbox::{Entry, Inbox, ServerOptions};
use pingpong_core::mesh::Mesh;
use pingpong_core::{ClusterName, MeshConfig, NodeName, ServerName, Targets, Transport, WhenFull};
use pingpong_transport_quic::{Authority, Identity, QuicConfig, QuicLink, Validity};
use rustix::time::{ClockId, clock_gettime};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

/// The first argument of the node's process.
pub(crate) const ORDER: &str = "node";

type Counts = Arc<Mutex<BTreeMap<NodeName, u64>>>;

/// What tests choose.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) stall: Duration,
    pub(crate) max_peers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { stall: 30 * SECOND, max_peers: 128 }
    }
}

impl Settings {
    /// The same in the tests, which ask for its bounds, and in the node.
    pub(crate) fn mesh(self) -> MeshConfig {
        let mut config = MeshConfig::new(ClusterName::new("test").unwrap(), NodeName::new("node").unwrap());
        config.timeouts.stall = self.stall;
        config.limits.max_peers = self.max_peers;
        config.limits.max_message = 16 << 20;
        config.limits.large_bytes = 64 << 20;
        config
    }

    pub(crate) fn quic(self, identity: Identity) -> QuicConfig {
        QuicConfig::for_mesh(ANY.parse().unwrap(), identity, &self.mesh())
    }
}

/// What the process has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) heap: u64,
    /// The most since the last mark.
    pub(crate) peak: u64,
}

// ---- in the node's process

pub(crate) fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let numbers: Vec<u64> = arguments.map(|number| number.parse().unwrap()).collect();
    let settings = Settings { stall: Duration::from_millis(numbers[0]), max_peers: numbers[1] as usize };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(obey(settings));
    // The thread that reads orders waits for one more.
    runtime.shutdown_background();
    ExitCode::SUCCESS
}

async fn obey(settings: Settings) {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut pem = Vec::new();
    for _ in 0..3 {
        pem.push(orders.next_line().await.unwrap().unwrap().replace('\t', "\n"));
    }
    let identity = Identity::from_pem(pem[0].as_bytes(), pem[1].as_bytes(), pem[2].as_bytes()).unwrap();
    let link = QuicLink::bind(settings.quic(identity)).unwrap();
    println!("{}", link.local_address());
    let mesh = Arc::new(Mesh::start(link, settings.mesh()).await.unwrap());
    let events = Arc::new(Mutex::new(Vec::new()));
    let (mut monitor, seen) = (mesh.monitor(), Arc::clone(&events));
    tokio::spawn(async move {
        while let Some(event) = monitor.next().await {
            seen.lock().unwrap().push(event.to_string());
        }
    });
    let counts = Counts::default();
    let mut sink = mesh.register(&server("sink"), ServerOptions::new()).unwrap();
    let [mut echo, mut other] =
        ["echo", "other"].map(|name| mesh.register(&server(name), ServerOptions::new()).unwrap());
    // It has a mailbox, and takes nothing.
    let _stuck = mesh.register(&server("stuck"), ServerOptions::new()).unwrap();
    let (returning, counted) = (Arc::clone(&mesh), Arc::clone(&counts));
    tokio::spawn(async move { while give_back(&returning, &mut *sink, &counted).await {} });
    tokio::spawn(async move { while answer(&mut *echo).await {} });
    tokio::spawn(async move { while answer(&mut *other).await {} });
    while let Ok(Some(order)) = orders.next_line().await {
        let words: Vec<&str> = order.split(' ').collect();
        let answer = match words[..] {
            ["mark"] => {
                HEAP.reset_peak_usage();
                usage()
            }
            ["usage"] => usage(),
            ["events"] => events.lock().unwrap().join(" | "),
            ["received", from] => {
                let received = counts.lock().unwrap().get(&NodeName::new(from).unwrap()).copied();
                received.unwrap_or_default().to_string()
            }
            ["burst", count, good, hostile] => burst(&mesh, count.parse().unwrap(), good, hostile).await,
            _ => panic!("{order}"),
        };
        println!("{answer}");
    }
    mesh.shutdown(SECOND).await;
}

fn usage() -> String {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let micros = used.tv_sec * 1_000_000 + used.tv_nsec / 1_000;
    format!("{micros} {} {}", HEAP.current_usage(), HEAP.peak_usage())
}

/// Casts go back to the server of that name at their sender.
async fn give_back(mesh: &Mesh<QuicLink>, inbox: &mut dyn Inbox, counts: &Counts) -> bool {
    let mut entries = VecDeque::new();
    let open = inbox.take(&mut entries).await.is_ok();
    for entry in entries {
        let Entry::Messages(mut batch) = entry else { continue };
        let from = batch.from().name.clone();
        while let Some(delivery) = batch.next() {
            *counts.lock().unwrap().entry(from.clone()).or_default() += 1;
            let body = delivery.body.get(..8).unwrap_or(delivery.body);
            // Who does not read what it asked for does not get it.
            let _ = mesh.try_abcast(&Targets::node(from.clone()), &server("sink"), encoded(body), WhenFull::Skip);
        }
    }
    open
}

async fn answer(inbox: &mut dyn Inbox) -> bool {
    let mut entries = VecDeque::new();
    let open = inbox.take(&mut entries).await.is_ok();
    for entry in entries {
        let Entry::Messages(mut batch) = entry else { continue };
        while let Some(delivery) = batch.next() {
            let body = delivery.body.to_vec();
            if let Some(caller) = delivery.caller {
                caller.reply(Ok(encoded(&body))).await;
            }
        }
    }
    open
}

/// Numbered casts of 1 KiB: the good node gets each of them, waiting for its queue; how many has the other one room for?
async fn burst(mesh: &Mesh<QuicLink>, count: u64, good: &str, hostile: &str) -> String {
    let [good, hostile] = [good, hostile].map(|name| Targets::node(NodeName::new(name).unwrap()));
    let news: ServerName = server("news");
    let mut accepted = 0;
    for number in 0..count {
        let mut body = vec![0; 1 << 10];
        body[..8].copy_from_slice(&number.to_le_bytes());
        assert_eq!(mesh.abcast(&good, &news, encoded(&body)).await.unwrap().accepted.len(), 1);
        accepted += mesh.try_abcast(&hostile, &news, encoded(&body), WhenFull::Skip).unwrap().accepted.len();
    }
    accepted.to_string()
}

// ---- in the tests' process

/// The tests' hold on the node. Its process is killed when this is dropped.
pub(crate) struct Node {
    pub(crate) at: SocketAddr,
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    log: watch::Receiver<Vec<String>>,
}

pub(crate) async fn start(authority: &Authority, settings: Settings) -> Node {
    let identity = authority.issue(&NodeName::new("node").unwrap(), Validity::from_now(86_400 * SECOND)).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([ORDER, &settings.stall.as_millis().to_string(), &settings.max_peers.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut orders = child.stdin.take().unwrap();
    for pem in [identity.authority_pem(), identity.chain_pem(), identity.key_pem()] {
        let line = pem.trim().replace('\n', "\t") + "\n";
        orders.write_all(line.as_bytes()).await.unwrap();
    }
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let (write, log) = watch::channel(Vec::new());
    tokio::spawn(keep(child.stderr.take().unwrap(), write));
    let at = soon(answers.next_line()).await.unwrap().expect("the node started").parse().unwrap();
    Node { at, child, orders, answers, log }
}

async fn keep(from: impl AsyncRead + Unpin, log: watch::Sender<Vec<String>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.send_modify(|log| log.push(line));
    }
}

impl Node {
    pub(crate) async fn ask(&mut self, order: &str) -> String {
        soon(self.orders.write_all(format!("{order}\n").as_bytes())).await.unwrap();
        soon(self.answers.next_line()).await.unwrap().expect("the node runs")
    }

    pub(crate) async fn usage(&mut self, order: &str) -> Usage {
        let answer = self.ask(order).await;
        let numbers: Vec<u64> = answer.split(' ').map(|number| number.parse().unwrap()).collect();
        Usage { cpu: Duration::from_micros(numbers[0]), heap: numbers[1], peak: numbers[2] }
    }

    /// Waits for a line of the log that has all of these.
    pub(crate) async fn logged(&self, parts: &[&str]) -> String {
        let mut log = self.log.clone();
        let has = |line: &&String| parts.iter().all(|part| line.contains(part));
        let found = soon(log.wait_for(|log| log.iter().any(|line| has(&line)))).await;
        found.unwrap().iter().find(has).unwrap().clone()
    }

    /// Lines of the log with all of these, up to now.
    pub(crate) fn lines(&self, parts: &[&str]) -> Vec<String> {
        let log = self.log.borrow();
        log.iter().filter(|line| parts.iter().all(|part| line.contains(part))).cloned().collect()
    }

    /// It ends as it should, and nothing in it has panicked.
    pub(crate) async fn stop(mut self) {
        drop(self.orders);
        assert!(self.child.wait().await.unwrap().success());
        let panics: Vec<_> = self.log.borrow().iter().filter(|line| line.contains("panicked")).cloned().collect();
        assert!(panics.is_empty(), "{panics:?}");
    }
}
