//! What waits for one socket: arrived, or under way to it.

use super::socket::FaultSocket;
use quinn::udp::EcnCodepoint;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Weak;
use std::task::Waker;
use tokio::time::Instant;

/// How many datagrams wait for the reader of a socket; one more is lost.
const INBOX: usize = 16_384;

/// A bound socket.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) id: u64,
    pub(super) socket: Weak<FaultSocket>,
    /// Arrived, in order, but for the judgement at arrival.
    pub(super) inbox: VecDeque<Packet>,
    /// Arrived too, behind what the kernel has: what a stall held, and what was sent after it.
    pub(super) behind: VecDeque<Packet>,
    /// Under way with a delay, by sender, in order of their times.
    pub(super) under_way: BTreeMap<SocketAddr, VecDeque<(Instant, Packet)>>,
    pub(super) reader: Option<Waker>,
}

#[derive(Debug)]
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) data: Box<[u8]>,
}

impl Port {
    pub(super) fn put(&mut self, packet: Packet) {
        if self.inbox.len() < INBOX {
            self.inbox.push_back(packet);
        }
    }

    pub(super) fn put_behind(&mut self, packet: Packet) {
        if self.behind.len() < INBOX {
            self.behind.push_back(packet);
        }
    }

    /// The kernel has no more. Says whether that brought something to the inbox.
    pub(super) fn drained(&mut self) -> bool {
        let came = !self.behind.is_empty();
        for packet in std::mem::take(&mut self.behind) {
            self.put(packet);
        }
        came
    }

    /// Moves what is due to the inbox; says when the next one is.
    pub(super) fn arrive(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for line in self.under_way.values_mut() {
            while let Some((due, _)) = line.front() {
                if *due > now {
                    next = Some(next.map_or(*due, |next| next.min(*due)));
                    break;
                }
                if let Some((_, packet)) = line.pop_front()
                    && self.inbox.len() < INBOX
                {
                    self.inbox.push_back(packet);
                }
            }
        }
        self.under_way.retain(|_, line| !line.is_empty());
        next
    }
}

/// A datagram on its way out.
pub(super) struct Datagram<'a> {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) data: &'a [u8],
}

impl Datagram<'_> {
    pub(super) fn kept(&self) -> Packet {
        Packet { from: self.from, ecn: self.ecn, data: self.data.into() }
    }
}
