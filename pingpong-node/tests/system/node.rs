//! A process, its log, and what it answers. It is killed when it is dropped, and nothing is waited for without a deadline.

use pingpong_node::control::{AckLevel, Answer, Client, ConsumerCounts, LinkStatus, NodeStatus, Request, WatchEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Five failure timeouts (M6): nobody notices a silent peer later.
pub(crate) const NOTICED: Duration = Duration::from_secs(10);
/// Many times what a link needs to come back (M7): the longest pause between dials is 2 s.
pub(crate) const BACK: Duration = Duration::from_secs(20);
/// What has no promised time; longer shows that something hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Must be ready in time.
pub(crate) async fn within<T>(time: Duration, what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(time, future).await.unwrap_or_else(|_| panic!("not within {time:?}: {what}"))
}

/// Runs a program to its end; it must succeed.
pub(crate) async fn run(words: &[&str]) {
    let output = within(LONG, words[0], Command::new(words[0]).args(&words[1..]).output()).await.unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

/// A running node.
pub(crate) struct Node {
    pub(crate) name: String,
    child: Child,
    /// All that it has said, while it says more.
    log: watch::Receiver<String>,
    reader: Option<JoinHandle<()>>,
    socket: PathBuf,
}

impl Node {
    /// Reads its log, if that is a pipe.
    pub(crate) fn spawn(name: &str, mut command: Command, socket: &Path) -> Self {
        let mut child = command.spawn().unwrap();
        let (said, log) = watch::channel(String::new());
        let reader = child.stderr.take().map(|errors| {
            let mut lines = BufReader::new(errors).lines();
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    said.send_modify(|said| *said += &(line + "\n"));
                }
            })
        });
        Self { name: name.to_owned(), child, log, reader, socket: socket.to_owned() }
    }

    /// Waits until its log says this, if it has not yet.
    pub(crate) async fn says(&self, words: &str) {
        let mut log = self.log.clone();
        let said = tokio::time::timeout(LONG, log.wait_for(|said| said.contains(words))).await;
        assert!(matches!(said, Ok(Ok(_))), "{} never says {words:?}: {}", self.name, self.said());
    }

    pub(crate) fn said(&self) -> String {
        self.log.borrow().clone()
    }

    /// Sends it a signal, named as `kill` names it.
    pub(crate) async fn signal(&self, name: &str) {
        run(&["kill", &format!("-{name}"), &self.id().to_string()]).await;
    }

    /// Waits until it has ended; its exit code (none after a signal), and all that its log said.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let status = within(LONG, &format!("{} ends", self.name), self.child.wait()).await.unwrap();
        if let Some(reader) = self.reader.take() {
            within(LONG, "the end of a log", reader).await.unwrap();
        }
        (status.code(), self.said())
    }

    /// Its process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends it a signal that ends it, and waits for that; its exit code.
    pub(crate) async fn end(&mut self, signal: &str) -> Option<i32> {
        self.signal(signal).await;
        within(LONG, &format!("{} ends", self.name), self.child.wait()).await.unwrap().code()
    }

    /// Ends it as a crash of its process would, and waits for that; all that its log said.
    pub(crate) async fn killed(mut self) -> String {
        let name = self.name.clone();
        let before = self.child.try_wait().unwrap();
        assert!(before.is_none(), "{name} had ended by itself, {before:?}, and said: {}", self.said());
        self.child.start_kill().unwrap();
        let (code, said) = self.ended().await;
        assert_eq!(code, None, "a signal ended {name}, which has said: {said}");
        said
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks it; `None` if it does not listen.
    pub(crate) async fn try_ask(&self, request: &Request) -> Option<Answer> {
        let client = Client::ask(&self.socket, request).await.ok()?;
        within(LONG, &format!("{} answers {request:?}", self.name), client.only()).await.ok()
    }

    pub(crate) async fn ask(&self, request: &Request) -> Answer {
        self.try_ask(request).await.unwrap_or_else(|| panic!("{} does not answer: {}", self.name, self.said()))
    }

    pub(crate) async fn status(&self) -> NodeStatus {
        match self.ask(&Request::Status {}).await {
            Answer::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn links(&self) -> Vec<LinkStatus> {
        match self.ask(&Request::Nodes {}).await {
            Answer::Nodes(links) => links,
            other => panic!("{other:?}"),
        }
    }

    /// Its link with that node.
    pub(crate) async fn link(&self, peer: &str) -> LinkStatus {
        let links = self.links().await;
        let link = links.iter().find(|link| link.node.as_str() == peer);
        link.cloned().unwrap_or_else(|| panic!("{} has no link with {peer}: {links:?}", self.name))
    }

    /// Counts so many pings of its own.
    pub(crate) async fn ping(&self, count: u64) {
        let answer = self.ask(&Request::Ping { count, rate: None, ack: AckLevel::Local, deadline_ms: None }).await;
        assert!(matches!(answer, Answer::Pinged { done: true, .. }), "{answer:?}");
    }

    /// What the consumers that it reaches have counted, by their nodes and the pinging ones.
    pub(crate) async fn counts(&self) -> BTreeMap<String, BTreeMap<String, u128>> {
        let Answer::Counts(reading) = self.ask(&Request::Counts { deadline_ms: 5_000, read: None }).await else {
            panic!()
        };
        let pings =
            |consumer: ConsumerCounts| consumer.pings.into_iter().map(|(name, count)| (name.to_string(), count));
        reading.consumers.into_iter().map(|consumer| (consumer.node.to_string(), pings(consumer).collect())).collect()
    }

    /// Waits until the consumers of all these nodes have these counts: they are told after a ping is answered.
    pub(crate) async fn all_count(&self, consumers: &[&str], expected: &[(&str, u128)]) {
        let pings: BTreeMap<String, u128> = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let mut last = BTreeMap::new();
        let equal = async {
            loop {
                last = self.counts().await;
                if last.len() == consumers.len() && consumers.iter().all(|name| last.get(*name) == Some(&pings)) {
                    return;
                }
            }
        };
        let found = tokio::time::timeout(BACK, equal).await;
        assert!(found.is_ok(), "{consumers:?} never have {pings:?}, but {last:?}");
    }

    /// Its events from now on; they begin with those it is linked with.
    pub(crate) async fn watch(&self) -> Watch {
        let events = Client::ask(&self.socket, &Request::Watch {}).await;
        Watch { of: self.name.clone(), events: events.unwrap() }
    }
}

/// The events of a node (M2, M3).
pub(crate) struct Watch {
    of: String,
    events: Client,
}

impl Watch {
    /// The next event, of whichever node.
    pub(crate) async fn next(&mut self) -> WatchEvent {
        match self.events.next().await.unwrap() {
            Some(Answer::Event(event)) => event,
            other => panic!("{} tells no more events: {other:?}", self.of),
        }
    }

    async fn next_of(&mut self, peer: &str, time: Duration) -> WatchEvent {
        let next = async {
            loop {
                let event = self.next().await;
                if event.node.as_str() == peer {
                    return event;
                }
            }
        };
        tokio::time::timeout(time, next)
            .await
            .unwrap_or_else(|_| panic!("{} tells nothing of {peer} in {time:?}", self.of))
    }

    /// The next event of that node, which must be `Up`.
    pub(crate) async fn up(&mut self, peer: &str) -> WatchEvent {
        let event = self.next_of(peer, BACK).await;
        assert!(event.up, "{} expects up: {event:?}", self.of);
        event
    }

    /// The next event of that node, which must be `Down`, and why.
    pub(crate) async fn down(&mut self, peer: &str) -> (WatchEvent, String) {
        let event = self.next_of(peer, NOTICED).await;
        assert!(!event.up, "{} expects down: {event:?}", self.of);
        let reason = event.reason.clone().unwrap();
        (event, reason)
    }

    /// Nothing happens for so long.
    pub(crate) async fn is_quiet(&mut self, time: Duration) {
        if let Ok(event) = tokio::time::timeout(time, self.next()).await {
            panic!("{} tells {event:?}", self.of);
        }
    }
}

/// Waits until each of them is linked with all others, and both sides of each link know it by one session. Their events from
/// then on.
pub(crate) async fn linked(nodes: &[&Node]) -> Vec<Watch> {
    let mut watches = Vec::new();
    for node in nodes {
        let mut watch = node.watch().await;
        let mut missing: BTreeSet<&str> =
            nodes.iter().map(|node| node.name.as_str()).filter(|name| *name != node.name).collect();
        while !missing.is_empty() {
            let what = format!("{} is linked with {missing:?}", node.name);
            let event = within(BACK, &what, watch.next()).await;
            assert!(event.up, "{}: {event:?}", node.name);
            missing.remove(event.node.as_str());
        }
        watches.push(watch);
    }
    for (at, one) in nodes.iter().enumerate() {
        for other in &nodes[at + 1..] {
            assert_eq!(one.link(&other.name).await.session, other.link(&one.name).await.session);
        }
    }
    watches
}

/// The session of two nodes, which both sides know by one id (M9).
pub(crate) async fn session(one: &Node, other: &Node) -> String {
    let session = one.link(&other.name).await.session;
    assert_eq!(session, other.link(&one.name).await.session);
    session
}
