//! One live session, as the data path sees it; the local node is one that never ends.
//!
//! It is the [`Origin`] of batches: it answers calls, and knows which of them are still awaited. Invariants: once it is
//! closed nothing of it enters a mailbox; once it is over nothing of it is handled (C4).

mod answers;

use super::calls::Calls;
use super::counters::CounterCells;
use super::flush::{DrainState, Handover};
use super::lane::{Lane, To};
use super::large::LargeBudget;
use super::roster::Member;
use crate::inbox::{CallTag, Dropped, Origin};
use crate::message::Encoded;
use crate::node::Node;
use crate::session::{ClockOffset, ConnId, Heartbeat, LaneOffset, PeersDigest};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::transport::{CallFailure, WhenFull};
use crate::wire::{Frame, Prefix};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Calls given up by the peer that are remembered; beyond it the oldest is forgotten, and its deadline holds.
const GIVEN_UP: usize = 1_024;

/// What all sessions of a node share.
pub(super) struct Common {
    pub(super) counters: Arc<CounterCells>,
    pub(super) calls: Arc<Calls>,
    /// When the process began, for this Mesh: times on the wire are microseconds since then.
    pub(super) started: Instant,
    pub(super) max_message: usize,
    /// Of large replies of this node's own servers to its own calls.
    pub(super) local_replies: LargeBudget,
}

pub(super) struct Session {
    member: Member,
    common: Arc<Common>,
    closed: AtomicBool,
    over: AtomicBool,
    remote: Option<Remote>,
}

/// What only a session with another node has.
pub(super) struct Remote {
    pub(super) conn: ConnId,
    pub(super) replies: Arc<Lane>,
    /// Ends when the session does; every task of the session is in it.
    pub(super) tasks: Mutex<JoinSet<()>>,
    /// Wakes the driver: a flag of this session changed.
    pub(super) attention: Arc<Notify>,
    /// Why the session must be cut; the driver takes it.
    trouble: Mutex<Option<Trouble>>,
    given_up: Mutex<VecDeque<u64>>,
    pulse: Mutex<Pulse>,
    /// Rises while a server that the peer's lanes wait for is slow, but works.
    working: AtomicU64,
    /// The same, as the peer says of its servers and our lanes.
    peer_working: AtomicU64,
    handover: Mutex<Handover>,
    drain: Mutex<DrainState>,
}

/// Why a session must be cut, although its connection lives.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A queue made no progress (O3).
    Overloaded,
    /// A lane ended, or makes no sense.
    Broken(String),
}

struct Pulse {
    clock: ClockOffset,
    /// Of the peer's links, by its latest heartbeat and the one before.
    peers: [Option<PeersDigest>; 2],
}

/// How many messages are in a batch.
pub(super) fn messages(frames: &Bytes) -> u64 {
    let mut offset = 0;
    let mut count = 0;
    while let Some((_, end)) = Frame::at(frames, offset) {
        offset = end;
        count += 1;
    }
    count
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub(super) fn local(member: Member, common: Arc<Common>) -> Arc<Self> {
        Arc::new(Self { member, common, closed: AtomicBool::default(), over: AtomicBool::default(), remote: None })
    }

    pub(super) fn remote(
        member: Member,
        common: Arc<Common>,
        conn: ConnId,
        replies: Arc<Lane>,
        number: u64,
        attention: Arc<Notify>,
    ) -> Arc<Self> {
        let remote = Remote {
            conn,
            replies,
            tasks: Mutex::default(),
            attention,
            trouble: Mutex::default(),
            given_up: Mutex::default(),
            pulse: Mutex::new(Pulse { clock: ClockOffset::new(number), peers: [None; 2] }),
            working: AtomicU64::new(0),
            peer_working: AtomicU64::new(0),
            handover: Mutex::default(),
            drain: Mutex::default(),
        };
        let remote = Some(remote);
        Arc::new(Self { member, common, closed: AtomicBool::default(), over: AtomicBool::default(), remote })
    }

    pub(super) fn member(&self) -> &Member {
        &self.member
    }

    pub(super) fn is_local(&self) -> bool {
        self.remote.is_none()
    }

    pub(super) fn as_remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    pub(super) fn counters(&self) -> &CounterCells {
        &self.common.counters
    }

    /// A server that a lane of this session waits for has taken something: it is slow, not stuck (O3).
    pub(super) fn server_works(&self) {
        if let Some(remote) = &self.remote {
            remote.working.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether nothing of it enters a mailbox any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// The session has ended. What is in the mailboxes is still handled if the peer left and everything had been handed over.
    pub(super) fn end(&self, flushed: bool) {
        self.over.store(!flushed, Ordering::SeqCst);
        self.closed.store(true, Ordering::SeqCst);
    }

    /// The caller has given up (R5).
    pub(super) fn give_up(&self, call: u64) {
        let Some(remote) = &self.remote else { return };
        let mut given_up = lock(&remote.given_up);
        if given_up.len() == GIVEN_UP {
            given_up.pop_front();
        }
        given_up.push_back(call);
    }

    /// Tells the peer that a call of ours has been given up; best effort, since the deadline travels with the call.
    pub(super) fn cancel(&self, call: u64) {
        if let Some(remote) = &self.remote {
            let mut prefix = Prefix::cancel(call);
            let _ = remote.replies.try_send(To::All, prefix.finish(0), &[], WhenFull::Refuse);
        }
    }
}

#[async_trait]
impl Origin for Session {
    fn node(&self) -> &Node {
        &self.member.node
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn awaits(&self, call: CallTag, arrived: Instant) -> bool {
        let now = self.common.started.elapsed();
        let Some(remote) = &self.remote else {
            return self.common.calls.is_open(call.id) && now < Duration::from_micros(call.deadline_us);
        };
        {
            if lock(&remote.given_up).contains(&call.id) {
                return false;
            }
        }
        let until = lock(&remote.pulse).clock.to_local(call.deadline_us);
        // No sample of the peer's clock yet: the time that was left counts from the arrival (N19).
        until.map_or_else(|| arrived.elapsed() < Duration::from_micros(call.timeout_us), |until| now < until)
    }

    async fn reply(&self, call: CallTag, reply: Result<Encoded<'_>, CallFailure>) {
        self.answer(call, reply).await;
    }

    fn reply_now(&self, call: CallTag, failure: CallFailure) {
        self.answer_now(call, &failure);
    }

    fn count(&self, dropped: Dropped, messages: u64) {
        self.common.counters.dropped(dropped, messages);
    }
}

/// What a session is cut for when one of its tasks panics, as those of a transport with a defect may.
/// The peer is told that, too.
pub(super) const TASK_PANICKED: &str = "a task of the node that ended the link has panicked; its log says more";

/// Cuts the session if the task that holds this panics: what it read or wrote would be missing on a live link.
pub(super) struct CutOnPanic<'a>(pub(super) &'a Remote, pub(super) &'a Node);

impl Drop for CutOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(peer = %self.1, "a task of the driver panicked");
            self.0.cut(Trouble::Broken(TASK_PANICKED.to_owned()));
        }
    }
}

impl Remote {
    /// The session is to be cut. The first word counts.
    pub(super) fn cut(&self, trouble: Trouble) {
        lock(&self.trouble).get_or_insert(trouble);
        self.attention.notify_one();
    }

    pub(super) fn take_trouble(&self) -> Option<Trouble> {
        lock(&self.trouble).take()
    }

    /// A heartbeat of the peer arrived.
    pub(super) fn heard(&self, beat: &Heartbeat, now: Duration) {
        self.peer_working.fetch_max(beat.working, Ordering::Relaxed);
        let mut pulse = lock(&self.pulse);
        if pulse.clock.heard(beat, now) {
            pulse.peers = [Some(beat.peers), pulse.peers[0]];
        }
    }

    /// The smallest round trip of the last heartbeats.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        lock(&self.pulse).clock.offset().map(|offset| Duration::from_micros(offset.rtt_us))
    }

    /// What the peer last said of its servers that work on our messages; it rises while they are slow, but work.
    pub(super) fn peer_working(&self) -> u64 {
        self.peer_working.load(Ordering::Relaxed)
    }

    /// The heartbeat to send.
    pub(super) fn beat(&self, now: Duration, peers: PeersDigest) -> Heartbeat {
        lock(&self.pulse).clock.beat(now, self.working.load(Ordering::Relaxed), peers)
    }

    /// The digest of the peer's links, as its latest heartbeat has it. `settled`: only if the one before had the same.
    pub(super) fn peers(&self, settled: bool) -> Option<PeersDigest> {
        let [latest, before] = lock(&self.pulse).peers;
        latest.filter(|_| !settled || latest == before)
    }

    /// A lane of the peer begins. `false`: it has one of that number.
    pub(super) fn begin_lane(&self, lane: u16) -> bool {
        lock(&self.handover).done.insert(lane, 0).is_none()
    }

    /// Bytes of a lane of the peer were handed over.
    pub(super) fn handed_over(&self, lane: u16, bytes: usize) {
        let mut handover = lock(&self.handover);
        *handover.done.entry(lane).or_default() += bytes as u64;
        if handover.complete() {
            self.attention.notify_one();
        }
    }

    /// The peer said goodbye with these offsets.
    pub(super) fn await_handover(&self, goal: Vec<LaneOffset>) {
        lock(&self.handover).goal = Some(goal);
        self.attention.notify_one();
    }

    /// Whether the peer's goodbye is complete. Answers once.
    pub(super) fn take_handed_over(&self) -> bool {
        let mut handover = lock(&self.handover);
        let complete = handover.complete();
        if complete {
            handover.goal = None;
        }
        complete
    }

    pub(super) fn writer_started(&self) {
        lock(&self.drain).writing += 1;
    }

    /// A lane of ours has been written to its end, or was never used.
    pub(super) fn writer_ended(&self, ended: Option<LaneOffset>) {
        let mut drain = lock(&self.drain);
        drain.writing -= 1;
        drain.ended.extend(ended);
        self.attention.notify_one();
    }

    /// The final offsets of our lanes, once all are written.
    pub(super) fn drained(&self) -> Option<Vec<LaneOffset>> {
        let drain = lock(&self.drain);
        (drain.writing == 0).then(|| drain.ended.clone())
    }
}
