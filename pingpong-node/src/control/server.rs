//! Answers requests, a bounded number at a time.
//!
//! Each connection has a task of its own: it reads one request, answers it, and ends. One that sends nothing, or does not read its
//! answers, is ended at a deadline.

use super::adapter::{AdapterError, Adapters};
use super::counting;
use super::protocol::{Answer, Failure, FailureKind, LinkStatus, NodeStatus, Request, StoreStatus, WatchEvent};
use super::socket::ControlSocket;
#[cfg(feature = "faults")]
use pingpong_core::NodeName;
use pingpong_core::exercise::{Exercise, Ignored, Origin, Standing};
use pingpong_core::mesh::LinkInfo;
use pingpong_core::transport::Counters;
use pingpong_core::{Mesh, NodeChange, NodeEvent, Targets, Transport};
use pingpong_transport_quic::QuicLink;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Requests that are answered at once.
const REQUESTS: usize = 32;
/// Bytes of a request.
const LONGEST: u64 = 4 << 20;
/// How long a request may take to come in, and a line of an answer to be read.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a ping that takes its time says how far it is.
pub(super) const PROGRESS: Duration = Duration::from_secs(1);
/// The longest time that a caller may wait for answers.
const LONGEST_DEADLINE: Duration = Duration::from_secs(3_600);

/// What requests are about.
pub(crate) struct Desk {
    pub(crate) mesh: Arc<Mesh<QuicLink>>,
    #[cfg(feature = "faults")]
    pub(crate) faults: Arc<crate::daemon::faults::Faults>,
    /// That of the node's own thread.
    pub(crate) runtime: Handle,
    pub(crate) cluster: String,
    pub(crate) listen: String,
    pub(crate) advertise: Vec<String>,
    pub(crate) certificate_expires: watch::Receiver<i64>,
    pub(crate) min_links: usize,
    pub(crate) adapters: Adapters,
    pub(crate) exercise: OnceLock<Arc<Exercise>>,
    /// Set when the node is to leave.
    pub(crate) stop: watch::Sender<bool>,
}

impl Desk {
    pub(crate) fn readiness(&self) -> Readiness {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Readiness {
            leaving: *self.stop.borrow(),
            // Its last second counts (RFC 5280, section 4.1.2.5), as in handshakes.
            certificate_valid: u64::try_from(*self.certificate_expires.borrow()).is_ok_and(|at| at >= now.as_secs()),
            seeds_dialled: self.mesh.has_dialled_seeds(),
            links: self.mesh.list().len(),
            min_links: self.min_links,
        }
    }

    pub(crate) fn status(&self) -> NodeStatus {
        let node = self.mesh.node();
        NodeStatus {
            node: node.name,
            incarnation: node.incarnation.to_string(),
            cluster: self.cluster.clone(),
            listen: self.listen.clone(),
            advertise: self.advertise.clone(),
            links: self.mesh.list().len(),
            ready: self.readiness().is_ready(),
            tasks: self.runtime.metrics().num_alive_tasks(),
            certificate_expires: *self.certificate_expires.borrow(),
            counters: self.counters().into_iter().map(|counter| (counter.name.to_owned(), counter.count)).collect(),
            store: self.store(),
        }
    }

    pub(crate) fn counters(&self) -> Vec<Counter> {
        let mut all: Vec<Counter> = counters(&self.mesh.counters()).into();
        if let Some(exercise) = self.exercise.get() {
            all.extend(ignored(&exercise.ledger().ignored()));
        }
        all
    }

    pub(crate) fn store(&self) -> Option<StoreStatus> {
        let exercise = self.exercise.get()?;
        let identity = exercise.ledger().identity();
        Some(StoreStatus {
            epoch: identity.epoch.to_string(),
            first: identity.origin == Origin::Init,
            member: exercise.member().is_some(),
            recovering: identity.standing == Standing::Recovering,
            slots: exercise.ledger().counts().len(),
        })
    }

    pub(crate) async fn links(&self) -> Vec<LinkStatus> {
        self.mesh.links().await.into_iter().map(link_status).collect()
    }

    pub(super) fn exercise(&self) -> Result<&Arc<Exercise>, Failure> {
        self.exercise.get().ok_or_else(|| {
            let words = "this node has not opened its counts: started by `pingpong-node run` it does so soon, so ask again; else it has none";
            Failure::new(FailureKind::Request, words)
        })
    }
}

/// What must be so for a node to be ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    pub(crate) leaving: bool,
    pub(crate) certificate_valid: bool,
    pub(crate) seeds_dialled: bool,
    pub(crate) links: usize,
    pub(crate) min_links: usize,
}

impl Readiness {
    pub(crate) const fn is_ready(&self) -> bool {
        !self.leaving && self.certificate_valid && self.seeds_dialled && self.links >= self.min_links
    }
}

/// A counter of a node.
#[derive(Debug)]
pub(crate) struct Counter {
    /// The name that it has everywhere.
    pub(crate) name: &'static str,
    /// What it counts.
    pub(crate) help: &'static str,
    pub(crate) count: u64,
}

/// The counters of a node.
fn counters(counters: &Counters) -> [Counter; 8] {
    let counter = |name, count, help| Counter { name, help, count };
    [
        counter("no_such_server", counters.no_such_server, "Messages to a server that is not on this node"),
        counter(
            "dropped_with_server",
            counters.dropped_with_server,
            "Messages in the mailboxes of servers that crashed or were stopped",
        ),
        counter("not_decodable", counters.not_decodable, "Messages that do not decode"),
        counter("not_allowed", counters.not_allowed, "Messages of nodes that the server does not serve"),
        counter(
            "dropped_with_session",
            counters.dropped_with_session,
            "Messages that were not handled yet when their session ended",
        ),
        counter(
            "stalled_servers",
            counters.stalled_servers,
            "Servers that were stopped since they took nothing from a full mailbox",
        ),
        counter("late_replies", counters.late_replies, "Answers that came after their call had ended"),
        counter(
            "replies_without_room",
            counters.replies_without_room,
            "Answers that were dropped since those of calls in flight took all their room",
        ),
    ]
}

/// Counts that a ledger has heard and not taken over.
fn ignored(ignored: &Ignored) -> [Counter; 6] {
    let counter = |name, count, help| Counter { name, help, count };
    [
        counter("stale", ignored.stale, "Counts below what was known, which is normal after heals"),
        counter("backwards", ignored.backwards, "Counts below what that very producer had said in the same session"),
        counter("foreign_slot", ignored.foreign_slot, "Counts of another name than the sender's, which is no member"),
        counter("future_epoch", ignored.future_epoch, "Counts of an epoch that their producer has not reached"),
        counter("too_many_slots", ignored.too_many_slots, "Counts that there was no room for"),
        counter("own_slot", ignored.own_slot, "Counts of this node's own slot above what it has counted"),
    ]
}

fn link_status(link: LinkInfo) -> LinkStatus {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    LinkStatus {
        node: link.node.name,
        incarnation: link.node.incarnation.to_string(),
        session: link.session.to_string(),
        address: link.remote.to_string(),
        age_ms: u64::try_from(link.age.as_millis()).unwrap_or(u64::MAX),
        round_trip_us: link.round_trip.map(micros),
        sent_packets: link.path.sent_packets,
        lost_packets: link.path.lost_packets,
        queued_bytes: link.queued_bytes,
    }
}

fn watch_event(event: NodeEvent) -> WatchEvent {
    let reason = match &event.change {
        NodeChange::Up => None,
        NodeChange::Down(reason) => Some(reason.to_string()),
    };
    WatchEvent {
        up: event.is_up(),
        incarnation: event.node.incarnation.to_string(),
        node: event.node.name,
        reason,
        skipped: event.skipped,
    }
}

/// Answers requests until it is dropped.
pub(crate) async fn serve(socket: ControlSocket, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(REQUESTS));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.listener.accept() => match accepted {
                // Not even time to refuse them.
                Ok(_) if connections.len() > 2 * REQUESTS => {}
                Ok((stream, _)) => {
                    let (desk, place) = (Arc::clone(&desk), Arc::clone(&places).try_acquire_owned().ok());
                    connections.spawn(async move {
                        let place = place;
                        let busy = place.is_none();
                        let ended = if busy { refuse(stream).await } else { answer(stream, &desk).await };
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a control connection ended early");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no control connection can be accepted; close other programs, or raise ulimit -n");
                    tokio::time::sleep(PROGRESS).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn refuse(stream: UnixStream) -> io::Result<()> {
    let words = format!("{REQUESTS} requests are being answered, no more at once; try again");
    say(&mut { stream }, &Answer::Failed(Failure::new(FailureKind::Busy, words))).await
}

pub(super) async fn say(stream: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    timeout(PATIENCE, stream.write_all(&line)).await.map_err(io::Error::from)?
}

async fn answer(stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let owner = stream.peer_cred()?.uid();
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    let mut bounded = (&mut reader).take(LONGEST);
    timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await.map_err(io::Error::from)??;
    let mut stream = reader.into_inner();
    let request = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => request,
        Err(error) => {
            let words = format!("that is no request: {error}; use the version of pingpong-node that runs the node");
            return say(&mut stream, &Answer::Failed(Failure::new(FailureKind::Request, words))).await;
        }
    };
    if !matches!(request, Request::Status {} | Request::Nodes {} | Request::Counts { .. } | Request::Watch {}) {
        tracing::info!(?request, owner, "an operator's request");
    }
    let answer = match request {
        Request::Watch {} => return watch(stream, desk).await,
        Request::Ping { count, rate, ack, deadline_ms } => {
            let patience = deadline_ms.map_or(counting::PATIENCE, deadline);
            return counting::ping(stream, desk, count, rate, (ack, patience)).await;
        }
        Request::Status {} => Ok(Answer::Status(desk.status())),
        Request::Nodes {} => Ok(Answer::Nodes(desk.links().await)),
        Request::Confirm { slot, deadline_ms } => counting::confirm(desk, slot, deadline(deadline_ms)).await,
        Request::Counts { deadline_ms, read: None } => counting::counts(desk, deadline(deadline_ms)).await,
        Request::Counts { deadline_ms, read: Some(level) } => counting::read(desk, level, deadline(deadline_ms)).await,
        Request::AcceptLoss {} => counting::accept_loss(desk).await,
        Request::Disconnect { node } => Ok(Answer::Done { known: desk.mesh.disconnect(&node).await }),
        Request::Forget { node } => Ok(Answer::Done { known: desk.mesh.forget(&node).await }),
        #[cfg(feature = "faults")]
        Request::Partition { node } => partition(desk, node).await,
        #[cfg(feature = "faults")]
        Request::Heal { node } => match desk.faults.heal(&node) {
            true => Ok(Answer::Done { known: true }),
            false => Err(Failure::new(FailureKind::Request, format!("{node} is not cut off"))),
        },
        Request::Call { server, request, nodes, deadline_ms } => {
            let targets = nodes.map_or(Targets::All, Targets::Nodes);
            let transport = Arc::clone(&desk.mesh) as Arc<dyn Transport>;
            let called = desk.adapters.call(transport, targets, &server, request, deadline(deadline_ms)).await;
            called.map(Answer::Called).map_err(|error: AdapterError| Failure::new(FailureKind::Request, error))
        }
        Request::Stop {} => {
            desk.stop.send_replace(true);
            Ok(Answer::Stopping {})
        }
    };
    say(&mut stream, &answer.unwrap_or_else(Answer::Failed)).await
}

#[cfg(feature = "faults")]
async fn partition(desk: &Desk, node: NodeName) -> Result<Answer, Failure> {
    let failed = |words: String| Failure::new(FailureKind::Request, words);
    let links = desk.mesh.links().await;
    let link = links.into_iter().find(|link| link.node.name == node);
    let link = link.ok_or_else(|| failed(format!("there is no link with {node} that could be cut")))?;
    let at = link.remote.as_str().parse().map_err(|error| failed(format!("{}: {error}", link.remote)))?;
    desk.faults.partition(node, at);
    Ok(Answer::Done { known: true })
}

fn deadline(millis: u64) -> Duration {
    Duration::from_millis(millis).min(LONGEST_DEADLINE)
}

/// Tells events until the node stops, or the other side goes.
async fn watch(mut stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let mut events = desk.mesh.monitor();
    let mut nothing = [0; 1];
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            // The other side says nothing more: what comes is its end.
            _ = stream.read(&mut nothing) => return Ok(()),
        };
        match event {
            Some(event) => say(&mut stream, &Answer::Event(watch_event(event))).await?,
            None => return Ok(()),
        }
    }
}
