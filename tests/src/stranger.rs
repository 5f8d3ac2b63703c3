//! A stranger: speaks the protocol to a node without being one, as far as a case needs.

use crate::ground::BEGIN;
use crate::harness::{Greeted, Misbehaviour, STRANGER};
use bytes::Bytes;
use pingpong_core::config::Limits;
use pingpong_core::link::{Broken, Closed, Connection, LaneReceiver, LaneSender, Link, Priority};
use pingpong_core::session::{Hello, Message, Versions};
use pingpong_core::wire::{ControlDecoder, LaneHeader, LaneRole, decode_close, encode_control, encode_lane_header};
use pingpong_core::{ClusterName, Incarnation, NodeName, ServerName};
use std::time::Duration;

/// How often it shows that it is alive; far more often than any failure timeout asks for.
const ALIVE: Duration = Duration::from_millis(20);
/// Bytes that are a length beyond every limit.
const GARBAGE: [u8; 64] = [0xFF; 64];

/// How long it waits for a word of the node; far longer than a node takes that says anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the close of a stranger's endpoint may take to get on its way.
const CLOSE: Duration = Duration::from_secs(1);

/// What a stranger is told. Its endpoint is gone then, and its place is free.
pub async fn leaving(link: impl Link, told: impl Future<Output = Greeted>) -> Greeted {
    let told = told.await;
    link.close(CLOSE).await;
    told
}

/// One connection of a stranger to a node. What is cancelled of it ends the connection.
pub struct Stranger<C: Connection> {
    connection: C,
    control: C::Sender,
    /// What the node says, once it has opened its control lane.
    words: Option<C::Receiver>,
    decoder: ControlDecoder,
    begun: bool,
}

impl<C: Connection> Stranger<C> {
    /// Opens the control lane of a connection that was dialled, or accepted.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn on(connection: C) -> Result<Self, Broken> {
        let mut control = connection.open(Priority::Control).await?;
        let header = LaneHeader { lane: 0, role: LaneRole::Control };
        control.send(encode_lane_header(&header).unwrap()).await?;
        Ok(Self { connection, control, words: None, decoder: ControlDecoder::new(), begun: false })
    }

    /// Says `Hello` first, and returns what the node says: it answers with its own, or closes.
    pub async fn greets(mut self, cluster: &ClusterName, versions: Versions) -> Greeted {
        let _ = self.hello(cluster, versions, STRANGER).await;
        self.until(|message| matches!(message, Message::Hello(_))).await.1
    }

    /// Answers the `Hello` of a node that dialled, and returns what that node says: it goes on to a link, or closes. Its name must be a
    /// smaller one than [`STRANGER`], as it is the smaller one that chooses a link.
    pub async fn answers(mut self, cluster: &ClusterName, versions: Versions) -> Greeted {
        if let (None, closed) = self.until(|message| matches!(message, Message::Hello(_))).await {
            return closed;
        }
        let _ = self.hello(cluster, versions, STRANGER).await;
        self.until(|message| matches!(message, Message::Take(_))).await.1
    }

    /// Breaks the protocol, on a link where that takes one, and returns what the node says. Its name must be a smaller one than [`STRANGER`].
    pub async fn misbehaves(mut self, cluster: &ClusterName, how: Misbehaviour) -> Greeted {
        let name = if how == Misbehaviour::AnotherName { Misbehaviour::GHOST } else { STRANGER };
        let _ = self.hello(cluster, Versions::CURRENT, name).await;
        // The smaller name chooses.
        let offer = self.until(|message| matches!(message, Message::Take(_))).await;
        let (Some(Message::Take(session)), _) = offer else { return offer.1 };
        if how != Misbehaviour::NoAnswer {
            let _ = self.say(&Message::Ready(session, 1)).await;
        }
        let _lane = match how {
            Misbehaviour::NoAnswer | Misbehaviour::AnotherName => None,
            Misbehaviour::GarbageInControl => {
                let _ = self.control.send(Bytes::from_static(&GARBAGE)).await;
                None
            }
            Misbehaviour::GarbageInALane => self.lane(&GARBAGE).await.ok(),
            Misbehaviour::EndedLane => {
                drop(self.lane(&[]).await);
                None
            }
        };
        self.until(|_| false).await.1
    }

    async fn hello(&mut self, cluster: &ClusterName, versions: Versions, name: &str) -> Result<(), Broken> {
        let hello = Hello {
            cluster: cluster.clone(),
            versions,
            name: NodeName::new(name).unwrap(),
            incarnation: Incarnation::new(BEGIN, 1),
            moment: 1,
            held: None,
            random: 1,
            failure_timeout_millis: 100,
            lanes: Limits::default().lanes as _,
            addresses: Vec::new(),
        };
        self.say(&Message::Hello(Box::new(hello))).await
    }

    async fn say(&mut self, message: &Message) -> Result<(), Broken> {
        self.control.send(encode_control(message).unwrap()).await
    }

    /// Opens a server's lane with these bytes behind its header.
    async fn lane(&self, bytes: &'static [u8]) -> Result<C::Sender, Broken> {
        let header = LaneHeader { lane: 2, role: LaneRole::Server(ServerName::new("s").unwrap()) };
        let mut lane = self.connection.open(Priority::Server).await?;
        lane.send(encode_lane_header(&header).unwrap()).await?;
        lane.send(Bytes::from_static(bytes)).await?;
        Ok(lane)
    }

    /// Reads until the node says that, or closes; alive all the time, so that the node's detector has nothing to say.
    async fn until(&mut self, wanted: impl Fn(&Message) -> bool) -> (Option<Message>, Greeted) {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.decoded() {
                Some(message) if wanted(&message) => return (Some(message), Greeted::Answered),
                Some(_) => continue,
                None => {}
            }
            tokio::select! {
                biased;
                closed = self.connection.closed() => return (None, why(closed)),
                () = tokio::time::sleep_until(end) => {
                    return (None, Greeted::Neither(format!("nothing to the point came within {PATIENCE:?}")));
                }
                bytes = received(&self.connection, &mut self.words) => match bytes {
                    Ok(bytes) => self.decoder.push(&bytes),
                    // The close says why.
                    Err(_) => return (None, why(self.connection.closed().await)),
                },
                () = tokio::time::sleep(ALIVE) => self.connection.send_datagram(Bytes::from_static(b"alive")),
            }
        }
    }

    fn decoded(&mut self) -> Option<Message> {
        let whole = "the control lane brings what the node wrote, whole and in order (L2)";
        self.begun = self.begun || self.decoder.lane_header().expect(whole).is_some();
        if self.begun { self.decoder.message().expect(whole) } else { None }
    }
}

async fn received<C: Connection>(connection: &C, words: &mut Option<C::Receiver>) -> Result<Bytes, Broken> {
    if words.is_none() {
        *words = Some(connection.accept().await?);
    }
    let ended = || Broken("the control lane has ended".to_owned());
    let mut chunks = [Bytes::new()];
    match words.as_mut().ok_or_else(ended)?.recv(&mut chunks).await? {
        0 => Err(ended()),
        _ => Ok(std::mem::take(&mut chunks[0])),
    }
}

fn why(closed: Closed) -> Greeted {
    match closed {
        Closed::ByPeer(reason) => Greeted::Refused(decode_close(&reason).to_string()),
        Closed::Refused(words) => Greeted::Refused(words),
        Closed::Lost(words) => Greeted::Neither(format!("the connection is lost: {words}")),
        Closed::Here => Greeted::Neither("the connection was closed at this end".to_owned()),
    }
}
