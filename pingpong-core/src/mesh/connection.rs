//! The tasks of one connection: control messages in and out, heartbeats in, lanes in, and its end.
//!
//! They decide nothing: what they see goes to the driver, through one bounded queue.

use super::lane::{Lane, Refusal, To};
use super::reader::{self, Budgets, ReadError};
use super::roster::Member;
use super::session::{CutOnPanic, Session, Trouble};
use super::shared::{CONTROL_LANE, Shared};
use super::writer::{self, WriteError, Writing};
use crate::config::CONTROL_QUEUE_BYTES;
use crate::link::{Broken, Closed, Connection, DialError, LaneReceiver, Priority};
use crate::name::NodeName;
use crate::node::Node;
use crate::session::{AttemptId, ConnId, Detector, Message, Verdict};
use crate::transport::WhenFull;
use crate::wire::{ControlDecoder, LaneHeader, LaneRole, WireError, decode_heartbeat, encode_control};
use bytes::Bytes;
use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;

/// What the tasks tell the driver.
#[derive(Debug)]
pub(super) enum Notice<C> {
    Accepted(C),
    Dialled(AttemptId, Result<C, DialError>),
    Message(ConnId, Message),
    Broken(ConnId, String),
    Overloaded(ConnId),
    Ended(ConnId, Closed),
    /// The endpoint accepts no more.
    EndpointClosed,
}

/// A connection, as the driver holds it. Dropping it ends its tasks, which the driver waits for.
pub(super) struct Conn<C> {
    pub(super) connection: Arc<C>,
    pub(super) since: Instant,
    /// None while it shakes hands.
    pub(super) carried: Option<Carried>,
    /// Set when the lanes are opened (N8).
    session: watch::Sender<Option<Arc<Session>>>,
    /// The tick in which the peer was last told of links to others (N17).
    pub(super) told_at: Option<u64>,
    /// It has asked again since: for the names after that one.
    pub(super) asks: Option<Option<NodeName>>,
    /// This node leaves, and the session's final offsets have not been taken yet.
    pub(super) draining: bool,
    control: Arc<Lane>,
    tasks: [AbortHandle; 2],
}

/// The session that a connection carries, and whether its peer is still there.
pub(super) struct Carried {
    pub(super) session: Arc<Session>,
    detector: Detector,
    packets: u64,
}

impl Carried {
    pub(super) fn new(session: Arc<Session>, failure_timeout: Duration, now: Duration) -> Self {
        Self { session, detector: Detector::new(failure_timeout, now), packets: 0 }
    }

    /// A tick: what the detector says. `packets` is how many have arrived so far.
    pub(super) fn tick(&mut self, packets: u64, now: Duration) -> Verdict {
        if self.packets != packets {
            self.packets = packets;
            self.detector.heard(now);
        }
        self.detector.tick(now)
    }
}

/// The one cursor of a control lane.
const CURSOR: (usize, u64) = (0, 1);

impl<C: Connection> Conn<C> {
    pub(super) fn start(
        id: ConnId,
        connection: C,
        own: Node,
        shared: &Arc<Shared>,
        notices: &mpsc::Sender<Notice<C>>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let connection = Arc::new(connection);
        let session = watch::Sender::new(None);
        let control = Lane::quiet(CONTROL_QUEUE_BYTES, shared.large_out.clone());
        control.join(Member { node: own, slot: CURSOR.0, key: CURSOR.1 });
        let stall = shared.timeouts.stall;
        let grace = shared.timeouts.failure;
        let header = LaneHeader { lane: CONTROL_LANE, role: LaneRole::Control };
        let (lane, priority) = (Arc::clone(&control), Priority::Control);
        let writing = Writing { lane, cursor: CURSOR, header, priority, stall };
        let writer = tasks.spawn(write_control(id, Arc::clone(&connection), writing, notices.clone(), grace));
        let watch = Watch {
            id,
            connection: Arc::clone(&connection),
            shared: Arc::clone(shared),
            session: session.subscribe(),
            notices: notices.clone(),
        };
        let tasks = [writer, tasks.spawn(watch.run())];
        Self {
            connection,
            since: Instant::now(),
            carried: None,
            session,
            told_at: None,
            asks: None,
            draining: false,
            control,
            tasks,
        }
    }

    /// The lanes of its session are read from here on (N8).
    pub(super) fn open_lanes(&self) {
        self.session.send_replace(self.carried.as_ref().map(|carried| Arc::clone(&carried.session)));
    }

    /// True if the task is one of this connection's.
    pub(super) fn has_task(&self, task: Id) -> bool {
        self.tasks.iter().any(|own| own.id() == task)
    }

    /// Queues a control message.
    ///
    /// # Errors
    /// What ends the connection: the queue is full (N20), or the message is too large to be written.
    pub(super) fn control(&self, message: &Message) -> Result<(), ControlError> {
        let bytes = encode_control(message)?;
        match self.control.try_send(To::All, &bytes, &[], WhenFull::Refuse) {
            Err(Refusal::Full) => Err(ControlError::Full),
            _ => Ok(()),
        }
    }
}

impl<C> Drop for Conn<C> {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// A control message cannot be queued.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    #[error("the control queue is full")]
    Full,
    #[error(transparent)]
    Wire(#[from] WireError),
}

#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` holds each argument twice, and there is one of these for each link"
)]
fn write_control<C: Connection>(
    id: ConnId,
    connection: Arc<C>,
    writing: Writing,
    notices: mpsc::Sender<Notice<C>>,
    grace: Duration,
) -> impl Future<Output = ()> {
    async move {
        let notice = match writer::write(&*connection, &writing, || 0).await {
            Ok(_) => return,
            Err(WriteError::Stalled(_)) => Notice::Overloaded(id),
            Err(error) if writer::outlived(&*connection, grace).await => {
                Notice::Broken(id, format!("the control lane ended: {error}"))
            }
            Err(_) => return,
        };
        tell(&notices, notice).await;
    }
}

/// Tells the driver, unless it is gone. Once there is room: a future that sends would hold what it sends twice.
async fn tell<C>(notices: &mpsc::Sender<Notice<C>>, notice: Notice<C>) {
    if let Ok(room) = notices.reserve().await {
        room.send(notice);
    }
}

/// What is read of a connection.
struct Watch<C> {
    id: ConnId,
    connection: Arc<C>,
    shared: Arc<Shared>,
    session: watch::Receiver<Option<Arc<Session>>>,
    notices: mpsc::Sender<Notice<C>>,
}

impl<C: Connection> Watch<C> {
    async fn run(self) {
        let closed = tokio::select! {
            biased;
            closed = self.connection.closed() => closed,
            () = self.read() => return,
            () = self.heartbeats() => return,
        };
        tell(&self.notices, Notice::Ended(self.id, closed)).await;
    }

    /// The control lane is the first one that the peer opens; the others are taken once the session is up.
    async fn read(&self) {
        let problem = match self.connection.accept().await {
            Err(broken) => ReadError::Ended(broken),
            Ok(control) => {
                let (control, lanes) = (self.control(control), self.lanes());
                tokio::pin!(control, lanes);
                tokio::select! {
                    biased;
                    problem = &mut control => problem,
                    problem = &mut lanes => problem,
                }
            }
        };
        self.report(problem).await;
        // The driver, or the end of the connection, ends this.
        std::future::pending::<()>().await;
    }

    async fn report(&self, problem: ReadError) {
        let ended = matches!(problem, ReadError::Ended(_));
        if !ended || writer::outlived(&*self.connection, self.shared.timeouts.failure).await {
            tell(&self.notices, Notice::Broken(self.id, problem.to_string())).await;
        }
    }

    async fn control(&self, mut lane: C::Receiver) -> ReadError {
        let mut decoder = ControlDecoder::new();
        // One at a time: there are few, and this waits for them as long as the connection lasts.
        let mut chunk = [Bytes::new()];
        let mut begun = false;
        loop {
            match lane.recv(&mut chunk).await {
                Ok(0) => return ReadError::LaneEnded,
                Ok(_) => chunk.iter_mut().for_each(|chunk| decoder.push(&std::mem::take(chunk))),
                Err(broken) => return broken.into(),
            }
            if !begun {
                match decoder.lane_header() {
                    Ok(None) => continue,
                    Ok(Some(header)) if header.role == LaneRole::Control => begun = true,
                    Ok(Some(_)) => return ReadError::NoControl,
                    Err(error) => return error.into(),
                }
            }
            loop {
                match decoder.message() {
                    Ok(None) => break,
                    Ok(Some(message)) => match self.notices.reserve().await {
                        Ok(room) => room.send(Notice::Message(self.id, message)),
                        Err(_) => return Broken("the node has stopped".to_owned()).into(),
                    },
                    Err(error) => return error.into(),
                }
            }
        }
    }

    async fn lanes(&self) -> ReadError {
        let mut session = self.session.clone();
        let up = session.wait_for(Option::is_some).await.ok().and_then(|up| up.clone());
        let Some(session) = up else { return Broken("the connection was closed".to_owned()).into() };
        let (mut accepted, budgets) = (0, Budgets::new(&self.shared));
        loop {
            let receiver = match self.connection.accept().await {
                Ok(receiver) => receiver,
                Err(broken) => return broken.into(),
            };
            let Some(remote) = session.as_remote() else { continue };
            let (shared, connection) = (Arc::clone(&self.shared), Arc::clone(&self.connection));
            let (reader, budgets) = (Arc::clone(&session), budgets.clone());
            let task = async move {
                let Some(remote) = reader.as_remote() else { return };
                let _cut = CutOnPanic(remote, &reader.member().node);
                match reader::read(&shared, &reader, &budgets, receiver).await {
                    Ok(()) => {}
                    Err(ReadError::Stalled) => remote.cut(Trouble::Overloaded),
                    Err(ReadError::Ended(broken)) => {
                        if writer::outlived(&*connection, shared.timeouts.failure).await {
                            remote.cut(Trouble::Broken(broken.to_string()));
                        }
                    }
                    Err(error) => remote.cut(Trouble::Broken(error.to_string())),
                }
            };
            accepted += 1;
            if accepted > self.shared.limits.lanes_per_connection() {
                return ReadError::TooManyLanes(accepted);
            }
            let mut tasks = remote.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            if session.is_closed() {
                return Broken("the session has ended".to_owned()).into();
            }
            tasks.spawn_on(task, &self.shared.runtime);
        }
    }

    async fn heartbeats(&self) {
        while let Ok(datagram) = self.connection.recv_datagram().await {
            let session = self.session.borrow().clone();
            let Some(remote) = session.as_ref().and_then(|s| s.as_remote()) else { continue };
            // A datagram that is no heartbeat is a sign of life, and nothing else.
            if let Ok(beat) = decode_heartbeat(&datagram) {
                remote.heard(&beat, self.shared.common.started.elapsed());
            }
        }
        std::future::pending::<()>().await;
    }
}
