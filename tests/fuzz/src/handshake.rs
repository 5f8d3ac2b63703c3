//! A node's session machine, and peers that say what they like in any order, on connections that come and go.
//!
//! The shell's part is kept: it reports a connection once, nothing of it after its end, and carries out what the machine says. What is
//! asserted is what services rely on, whatever peers do: M1, M3, and that nothing grows.

use arbitrary::{Result, Unstructured};
use pingpong_core::session::{
    Action, CloseReason, ConnId, Event, Hello, Identity, LaneOffset, Limits, Machine, Message, Outside, Peers,
    PeersDigest, SessionId, Told, Versions,
};
use pingpong_core::wire::{ControlDecoder, LaneHeader, LaneRole, encode_control, encode_lane_header};
use pingpong_core::{Address, ClusterName, Incarnation, Node, NodeName};
use std::collections::BTreeMap;

/// Names around that of the node, `m`: smaller and greater ones, and its own.
const NAMES: [&str; 5] = ["a", "b", "m", "n", "z"];
const MAX_PEERS: usize = 3;
/// Events of one run.
const MOST: usize = 400;

/// Feeds events that the bytes stand for.
pub fn handshake(data: &[u8]) {
    // Too few bytes for another event end the run.
    let _ = run(&mut Unstructured::new(data));
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("it is one")
}

fn some_name(u: &mut Unstructured<'_>) -> Result<NodeName> {
    Ok(name(u.choose(&NAMES)?))
}

/// Few lives, so that they meet; now and then any.
fn some_life(u: &mut Unstructured<'_>) -> Result<Incarnation> {
    Ok(match u.int_in_range(0..=15)? {
        15 => Incarnation::new(u.arbitrary()?, u.arbitrary()?),
        few => Incarnation::new(98 + few / 4, few % 4),
    })
}

#[derive(Default)]
struct Shell {
    open: BTreeMap<ConnId, NodeName>,
    /// The last session that the machine spoke of on a connection.
    spoken: BTreeMap<ConnId, SessionId>,
    up: BTreeMap<NodeName, Node>,
    next: u64,
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let identity = Identity {
        name: name("m"),
        cluster: ClusterName::new("c").expect("it is one"),
        incarnation: Incarnation::new(100, 1),
        versions: Versions::CURRENT,
        failure_timeout_millis: 2_000,
        lanes: 24,
        addresses: vec![Address::new("m:1").expect("it is one")],
    };
    let mut machine = Machine::new(identity, Limits { max_peers: MAX_PEERS });
    let mut shell = Shell::default();
    for _ in 0..MOST {
        let event = shell.event(u)?;
        let outside = Outside { wall_millis: u.int_in_range(90..=110)?, random: u.arbitrary()? };
        for action in machine.on(event, outside) {
            shell.act(action);
        }
        let linked: Vec<Node> = machine.linked().collect();
        assert!(linked.iter().eq(shell.up.values()), "the list is what is up (M1)");
        assert!(linked.len() <= MAX_PEERS, "no more links than are allowed (N20)");
    }
    Ok(())
}

impl Shell {
    fn event(&mut self, u: &mut Unstructured<'_>) -> Result<Event> {
        loop {
            let op: u8 = u.int_in_range(0..=19)?;
            if let 0..=4 = op {
                self.next += 1;
                let (conn, peer) = (ConnId(self.next), some_name(u)?);
                self.open.insert(conn, peer.clone());
                return Ok(match op {
                    0..=1 => Event::Connected { conn, to: peer },
                    _ => Event::Accepted { conn, from: peer },
                });
            }
            if let 18..=19 = op {
                return Ok(match u.int_in_range(0..=31)? {
                    0 => Event::Leave,
                    1 => Event::LeaveDeadline,
                    2..=15 => Event::Forget(some_name(u)?),
                    _ => Event::Disconnect(some_name(u)?),
                });
            }
            let conns: Vec<ConnId> = self.open.keys().copied().collect();
            if conns.is_empty() {
                continue;
            }
            let conn = *u.choose(&conns)?;
            return Ok(match op {
                5..=13 => Event::Message { conn, message: self.message(conn, u)? },
                14 => {
                    self.end(conn);
                    Event::Closed { conn, reason: reason(u)? }
                }
                15 => Event::Lost { conn },
                16 => match u.int_in_range(0..=3)? {
                    0 => Event::HandedOver { conn },
                    1 => Event::Drained { conn, offsets: Vec::new() },
                    2 => Event::Overloaded { conn },
                    _ => Event::Broken { conn, words: "words".to_owned() },
                },
                // As it comes from the network: bytes that may be a message.
                _ => match Self::decoded(u)? {
                    Some(message) => Event::Message { conn, message },
                    None => continue,
                },
            });
        }
    }

    fn decoded(u: &mut Unstructured<'_>) -> Result<Option<Message>> {
        let header = encode_lane_header(&LaneHeader { lane: 0, role: LaneRole::Control }).expect("it is small");
        let length = u.int_in_range(0..=200)?;
        let mut decoder = ControlDecoder::new();
        decoder.push(&header);
        decoder.push(u.bytes(length.min(u.len()))?);
        let Ok(Some(_)) = decoder.lane_header() else { return Ok(None) };
        Ok(decoder.message().ok().flatten())
    }

    /// What a peer may say: often what fits, and now and then anything.
    fn message(&self, conn: ConnId, u: &mut Unstructured<'_>) -> Result<Message> {
        let id = |u: &mut Unstructured<'_>| -> Result<SessionId> {
            if let (Some(spoken), true) = (self.spoken.get(&conn), u.arbitrary()?) {
                return Ok(spoken.clone());
            }
            let random = [u.int_in_range(0..=2)?, u.int_in_range(0..=2)?];
            Ok(SessionId { chooser: some_name(u)?, incarnation: some_life(u)?, number: u.int_in_range(0..=5)?, random })
        };
        let message = match u.int_in_range(0..=9)? {
            0..=3 => Message::Hello(Box::new(Hello {
                cluster: ClusterName::new(if u.ratio(1, 16)? { "d" } else { "c" }).expect("it is one"),
                versions: Versions::CURRENT,
                name: if u.ratio(1, 16)? { some_name(u)? } else { self.open[&conn].clone() },
                incarnation: some_life(u)?,
                moment: u.int_in_range(0..=6)?,
                held: if u.arbitrary()? { Some(id(u)?) } else { None },
                random: u.int_in_range(0..=2)?,
                failure_timeout_millis: u.arbitrary()?,
                lanes: if u.ratio(1, 16)? { u.arbitrary()? } else { 24 },
                addresses: Vec::new(),
            })),
            4..=5 => Message::Take(id(u)?),
            6 => Message::Ready(id(u)?, u.int_in_range(0..=6)?),
            7 => {
                if u.arbitrary()? {
                    Message::Probe(u.int_in_range(0..=4)?)
                } else {
                    Message::ProbeAck(u.int_in_range(0..=4)?)
                }
            }
            8 => Message::Goodbye(vec![LaneOffset { lane: u.arbitrary()?, offset: u.arbitrary()? }]),
            _ => Message::Peers(Peers {
                digest: PeersDigest::NONE,
                told: vec![Told {
                    name: some_name(u)?,
                    incarnation: some_life(u)?,
                    addresses: vec![Address::new("x:1").expect("it is one"); 3],
                }],
                more: u.arbitrary()?,
            }),
        };
        // What a peer sends has a written form, which is read as it was meant.
        if let Ok(bytes) = encode_control(&message) {
            let header = encode_lane_header(&LaneHeader { lane: 0, role: LaneRole::Control }).expect("it is small");
            let mut decoder = ControlDecoder::new();
            decoder.push(&header);
            decoder.push(&bytes);
            let read = decoder.lane_header().and_then(|_| decoder.message());
            assert_eq!(read.as_ref().ok(), Some(&Some(message.clone())), "{read:?}");
        }
        Ok(message)
    }

    fn end(&mut self, conn: ConnId) {
        self.open.remove(&conn);
        self.spoken.remove(&conn);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Control { conn, message } => {
                assert!(self.open.contains_key(&conn), "{message:?} on {conn:?}, which has ended");
                if let Message::Take(id) | Message::Ready(id, _) = message {
                    self.spoken.insert(conn, id);
                }
            }
            Action::Close { conn, .. } => {
                assert!(self.open.contains_key(&conn), "{conn:?} is closed twice");
                self.end(conn);
            }
            Action::Up { node, conn, .. } => {
                assert!(self.open.contains_key(&conn));
                assert!(self.up.insert(node.name.clone(), node).is_none(), "two Ups (M3)");
            }
            Action::Down { node, .. } => {
                assert_eq!(self.up.remove(&node.name), Some(node), "a Down of what was not up (M3)");
            }
            _ => {}
        }
    }
}

fn reason(u: &mut Unstructured<'_>) -> Result<CloseReason> {
    Ok(match u.int_in_range(0..=9)? {
        0 => CloseReason::Surplus,
        1 => CloseReason::Stale,
        2 => CloseReason::Lost,
        3..=4 => CloseReason::Raise(some_life(u)?),
        5..=6 => CloseReason::Replaced { by: some_life(u)?, at: None },
        7 => CloseReason::Leaving,
        8 => CloseReason::Renewed,
        _ => CloseReason::Forgotten,
    })
}
