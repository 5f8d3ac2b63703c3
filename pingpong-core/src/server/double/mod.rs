//! A transport for tests of servers: what happens is logged, what peers answer is scripted.

mod inbox;

use crate::inbox::{Batch, CallTag, Dropped, Entry, Inbox, InboxClosed, ServerOptions};
use crate::message::{Encoded, Message, MessageType};
use crate::monitor::{DownReason, NodeEvents};
use crate::transport::{
    CallFailure, Counters, Failed, NotSent, RawReply, Refused, RegisterError, Replies, Reply, SendError, Sent,
    Shutdown, StopReason, Targets, Transport, WhenFull,
};
use crate::wire::Prefix;
use crate::{Incarnation, Node, NodeName, ServerName};
use async_trait::async_trait;
use bytes::Bytes;
use inbox::{Back, DoubleInbox, Mailbox};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

pub(crate) fn node(name: &str) -> Node {
    Node { name: NodeName::new(name).unwrap(), incarnation: Incarnation::new(10, 0) }
}

pub(crate) fn server(name: &str) -> ServerName {
    ServerName::new(name).unwrap()
}

/// What the code under test did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Registered(ServerName),
    Unregistered(ServerName),
    Cast(ServerName, NodeName, MessageType, Vec<u8>),
    Waited,
    Called(ServerName, NodeName, MessageType, Vec<u8>),
}

impl Seen {
    /// A cast to that node, decoded.
    pub(crate) fn cast_to<M: Message>(&self, to: &str) -> Option<M> {
        match self {
            Self::Cast(_, name, kind, body) if name.as_str() == to => M::decode(*kind, body).ok(),
            _ => None,
        }
    }

    pub(crate) fn is_call(&self, to: &ServerName, name: &str) -> bool {
        matches!(self, Self::Called(server, node, ..) if server == to && node.as_str() == name)
    }
}

/// What a peer does with a call.
pub(crate) enum Answer {
    Reply(MessageType, Vec<u8>),
    Fails(CallFailure),
    Silence,
}

impl Answer {
    pub(crate) fn reply<M: Message>(message: &M) -> Self {
        Self::Reply(M::KIND, message.encode().unwrap().into())
    }
}

type Script = Box<dyn FnMut(&ServerName, &NodeName) -> Answer + Send>;
type Outcome = Result<RawReply, CallFailure>;

pub(crate) struct Double {
    own: Node,
    myself: Weak<Self>,
    state: Mutex<State>,
    log: watch::Sender<Vec<Seen>>,
    pub(crate) counted: Arc<Mutex<Vec<(Dropped, u64)>>>,
}

struct State {
    list: Vec<Node>,
    full: BTreeSet<NodeName>,
    servers: BTreeMap<ServerName, Arc<Mailbox>>,
    script: Script,
    last_call: u64,
}

impl Double {
    pub(crate) fn new(own: &str, linked: &[&str]) -> Arc<Self> {
        Arc::new_cyclic(|myself| Self {
            own: node(own),
            myself: myself.clone(),
            state: Mutex::new(State {
                list: linked.iter().map(|name| node(name)).collect(),
                full: BTreeSet::new(),
                servers: BTreeMap::new(),
                script: Box::new(|_, _| Answer::Fails(CallFailure::NoSuchServer)),
                last_call: 0,
            }),
            log: watch::Sender::new(Vec::new()),
            counted: Arc::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn saw(&self, seen: Seen) {
        self.log.send_modify(|log| log.push(seen));
    }

    pub(crate) fn script(&self, script: impl FnMut(&ServerName, &NodeName) -> Answer + Send + 'static) {
        self.lock().script = Box::new(script);
    }

    /// Makes the queues of exactly these nodes full.
    pub(crate) fn full(&self, names: &[&str]) {
        self.lock().full = names.iter().map(|name| NodeName::new(name).unwrap()).collect();
    }

    pub(crate) fn log(&self) -> Vec<Seen> {
        self.log.borrow().clone()
    }

    /// Waits until something in the log is so. Under the paused clock it fails after an hour.
    pub(crate) async fn until(&self, what: impl Fn(&[Seen]) -> bool) {
        let mut log = self.log.subscribe();
        let seen = tokio::time::timeout(Duration::from_secs(3_600), log.wait_for(|log| what(log))).await.is_ok();
        assert!(seen, "it never happened; the log: {:#?}", self.log());
    }

    pub(crate) fn up(&self, name: &str) {
        let mut state = self.lock();
        state.list.push(node(name));
        state.list.sort();
        state.events(|| Entry::Up(node(name)));
    }

    pub(crate) fn down(&self, name: &str) {
        let mut state = self.lock();
        state.list.retain(|linked| linked.name.as_str() != name);
        state.events(|| Entry::Down(node(name), DownReason::Lost));
    }

    pub(crate) fn close(&self, name: &str, why: InboxClosed) {
        let mailbox = self.lock().servers.remove(&server(name)).unwrap();
        mailbox.closed.send_replace(Some(why));
        mailbox.entries.send_modify(|_| {});
    }

    /// A cast comes in from that node.
    pub(crate) fn deliver<M: Message>(&self, to: &ServerName, from: &str, message: &M) {
        self.deliver_raw(to, from, M::KIND, &message.encode().unwrap());
    }

    pub(crate) fn deliver_raw(&self, to: &ServerName, from: &str, kind: MessageType, body: &[u8]) {
        let mut frame = Prefix::cast(kind, None).finish(body.len()).to_vec();
        frame.extend_from_slice(body);
        self.push(to, node(from), frame, None);
    }

    /// A call comes in from that node.
    pub(crate) fn call_from(&self, to: &ServerName, from: &str, request: Encoded<'_>) -> oneshot::Receiver<Outcome> {
        let (sender, outcome) = oneshot::channel();
        let mut state = self.lock();
        state.last_call += 1;
        let tag = CallTag { id: state.last_call, deadline_us: u64::MAX, timeout_us: u64::MAX };
        drop(state);
        let mut frame = Prefix::call(request.kind, tag, None).finish(request.body.len()).to_vec();
        frame.extend_from_slice(request.body);
        self.push(to, node(from), frame, Some((tag.id, sender)));
        outcome
    }

    fn push(&self, to: &ServerName, from: Node, frame: Vec<u8>, call: Option<(u64, oneshot::Sender<Outcome>)>) {
        let mailbox = self.lock().servers.get(to).cloned();
        let Some(mailbox) = mailbox else {
            if let Some((_, sender)) = call {
                sender.send(Err(CallFailure::NoSuchServer)).unwrap();
            }
            return;
        };
        let calls = Mutex::new(call.into_iter().collect());
        let origin = Arc::new(Back { from, calls, counted: Arc::clone(&self.counted) });
        let batch = Batch::new(origin, Bytes::from(frame), None);
        mailbox.entries.send_modify(|entries| entries.push_back(Entry::Messages(batch)));
    }
}

impl State {
    fn events(&self, entry: impl Fn() -> Entry) {
        for mailbox in self.servers.values().filter(|mailbox| mailbox.events) {
            mailbox.entries.send_modify(|entries| entries.push_back(entry()));
        }
    }
}

#[async_trait]
impl Transport for Double {
    fn node(&self) -> Node {
        self.own.clone()
    }

    fn list(&self) -> Vec<Node> {
        self.lock().list.clone()
    }

    fn monitor(&self) -> NodeEvents {
        // Servers take events from their inbox.
        NodeEvents::new(futures_util::stream::empty())
    }

    fn try_abcast(
        &self,
        targets: &Targets,
        server: &ServerName,
        message: Encoded<'_>,
        when_full: WhenFull,
    ) -> Result<Sent, SendError> {
        let state = self.lock();
        let full = state.full.clone();
        let linked: Vec<Node> = state.list.iter().chain([&self.own]).cloned().collect();
        drop(state);
        let names: Vec<NodeName> = match targets {
            Targets::All => linked.iter().map(|linked| linked.name.clone()).collect(),
            Targets::Nodes(names) => names.clone(),
        };
        if when_full == WhenFull::Refuse && names.iter().any(|name| full.contains(name)) {
            return Err(SendError::Full);
        }
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for name in names {
            let Some(target) = linked.iter().find(|linked| linked.name == name) else {
                refused.push(Refused { name, reason: NotSent::NotLinked });
                continue;
            };
            if full.contains(&name) {
                refused.push(Refused { name, reason: NotSent::Full });
                continue;
            }
            if target == &self.own {
                self.deliver_raw(server, name.as_str(), message.kind, message.body);
            }
            self.saw(Seen::Cast(server.clone(), name, message.kind, message.body.to_vec()));
            accepted.push(target.clone());
        }
        Ok(Sent { accepted: accepted.into(), refused })
    }

    async fn abcast(&self, targets: &Targets, server: &ServerName, message: Encoded<'_>) -> Result<Sent, SendError> {
        self.saw(Seen::Waited);
        self.full(&[]);
        self.try_abcast(targets, server, message, WhenFull::Skip)
    }

    async fn multi_call(
        &self,
        targets: &Targets,
        server: &ServerName,
        request: Encoded<'_>,
        deadline: Duration,
    ) -> Replies {
        let names: Vec<NodeName> = match targets {
            Targets::All => self.list().into_iter().chain([self.node()]).map(|linked| linked.name).collect(),
            Targets::Nodes(names) => names.clone(),
        };
        let until = tokio::time::Instant::now() + deadline;
        let mut replies = Replies::default();
        for name in names {
            let outcome = if name == self.own.name {
                let outcome = self.call_from(server, name.as_str(), request);
                tokio::time::timeout_at(until, outcome).await.ok().map(Result::unwrap)
            } else {
                let answer = (self.lock().script)(server, &name);
                self.saw(Seen::Called(server.clone(), name.clone(), request.kind, request.body.to_vec()));
                match answer {
                    Answer::Reply(kind, body) => Some(Ok(RawReply { kind, body: body.into() })),
                    Answer::Fails(failure) => Some(Err(failure)),
                    Answer::Silence => None,
                }
            };
            if outcome.is_none() {
                tokio::time::sleep_until(until).await;
            }
            let node = node(name.as_str());
            match outcome.unwrap_or(Err(CallFailure::DeadlinePassed { sent: true })) {
                Ok(reply) => replies.replies.push(Reply { node, reply }),
                Err(reason) => replies.failed.push(Failed { name, incarnation: Some(node.incarnation), reason }),
            }
        }
        replies
    }

    fn register(&self, server: &ServerName, options: ServerOptions) -> Result<Box<dyn Inbox>, RegisterError> {
        let mut state = self.lock();
        if state.servers.contains_key(server) {
            return Err(RegisterError::NameTaken(server.clone()));
        }
        let ups = state.list.iter().filter(|_| options.events).cloned().map(Entry::Up).collect();
        let mailbox = Arc::new(Mailbox {
            entries: watch::Sender::new(ups),
            closed: watch::Sender::new(None),
            events: options.events,
        });
        state.servers.insert(server.clone(), Arc::clone(&mailbox));
        drop(state);
        self.saw(Seen::Registered(server.clone()));
        let double = self.myself.upgrade().unwrap();
        Ok(Box::new(DoubleInbox { mailbox, name: server.clone(), double }))
    }

    async fn disconnect(&self, _: &NodeName) -> bool {
        false
    }

    async fn forget(&self, _: &NodeName) -> bool {
        false
    }

    async fn shutdown(&self, _: Duration) -> Shutdown {
        Shutdown { flushed: true }
    }

    async fn stopped(&self) -> StopReason {
        std::future::pending().await
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}
