//! How packets leave, wait, get lost and arrive.

use crate::delivery::Answer;
use crate::faults::{Fate, Moment};
use crate::state::{EndId, HostId, State};
use bytes::Bytes;
use pingpong_core::link::DialError;
use tokio::time::Instant;

/// What travels from one host to another.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: HostId,
    pub(crate) to: HostId,
    pub(crate) cargo: Cargo,
}

/// What a packet carries.
#[derive(Clone, Debug)]
pub(crate) enum Cargo {
    /// Somebody wants a connection.
    Dial(u64),
    /// The answer to that.
    Answer(u64, Box<Result<Answer, DialError>>),
    /// Something that an end of a connection sends to the other.
    End(EndId, Word),
}

/// What one end says to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The dialler has the connection: it can be accepted.
    Established,
    /// The next piece of a lane of mine.
    Piece(u32),
    /// I took bytes of a lane of yours.
    Credit(u32),
    /// I take no more of a lane of yours.
    Refuse(u32),
    /// I heard you.
    Ack,
    /// A datagram.
    Datagram(Bytes),
    /// I end the connection.
    Close(Bytes),
    /// I know of no such connection.
    Reset,
}

impl Packet {
    /// The end that sent it.
    pub(crate) fn end(&self) -> Option<EndId> {
        match &self.cargo {
            Cargo::End(end, _) => Some(*end),
            Cargo::Dial(_) | Cargo::Answer(..) => None,
        }
    }

    /// Whether this is about a dial.
    pub(crate) fn is_of_dial(&self, id: u64) -> bool {
        matches!(&self.cargo, Cargo::Dial(dial) | Cargo::Answer(dial, _) if *dial == id)
    }

    /// Whether a network that drops it sees it again: the rest is sent once.
    pub(crate) fn is_repeated(&self) -> bool {
        !matches!(&self.cargo, Cargo::End(_, Word::Datagram(_) | Word::Close(_)))
    }
}

impl State {
    /// One end says something to the other.
    pub(crate) fn say(&mut self, from: EndId, word: Word) {
        let Some(ends) = self.connections.get_mut(&from.connection) else { return };
        let to = ends.at(from.side.other()).host;
        let end = ends.at(from.side);
        match &word {
            Word::Ack if std::mem::replace(&mut end.ack_out, true) => return,
            Word::Reset if std::mem::replace(&mut end.reset_out, true) => return,
            Word::Close(_) => end.close_out = true,
            Word::Datagram(_) => {
                if end.datagrams_out >= self.settings.datagrams {
                    return;
                }
                end.datagrams_out += 1;
            }
            _ => {}
        }
        let packet = Packet { from: end.host, to, cargo: Cargo::End(from, word) };
        self.send(packet);
    }

    /// Gives a packet to the network.
    pub(crate) fn send(&mut self, packet: Packet) {
        self.pass(packet, Moment::Departure);
    }

    fn pass(&mut self, packet: Packet, moment: Moment) {
        match self.paths.fate(&packet, moment) {
            Fate::Hold => {
                let id = self.next_id();
                self.held.insert(id, packet);
            }
            Fate::Lose => self.lose(&packet),
            Fate::Delay(delay) => {
                let delay = delay.drawn(&mut self.random);
                let id = self.next_id();
                self.flying.insert((Instant::now() + delay, id), packet);
            }
            Fate::Pass => {
                self.landed(&packet);
                self.deliver(packet);
            }
        }
    }

    /// Delivers what is due, in the order of arrival; says when the next packet is.
    pub(crate) fn arrive(&mut self, now: Instant) -> Option<Instant> {
        while let Some(first) = self.flying.first_entry() {
            let (at, _) = *first.key();
            if at > now {
                return Some(at);
            }
            let packet = first.remove();
            self.pass(packet, Moment::Arrival);
        }
        None
    }

    /// A packet is no longer on its way: another of its kind may go.
    fn landed(&mut self, packet: &Packet) {
        let Cargo::End(from, word) = &packet.cargo else { return };
        let Some(end) = self.end(*from) else { return };
        match word {
            Word::Ack => end.ack_out = false,
            Word::Reset => end.reset_out = false,
            Word::Close(_) => end.close_out = false,
            Word::Datagram(_) => end.datagrams_out = end.datagrams_out.saturating_sub(1),
            Word::Established | Word::Piece(_) | Word::Credit(_) | Word::Refuse(_) => {}
        }
    }

    fn lose(&mut self, packet: &Packet) {
        self.landed(packet);
    }

    /// Loses the held packets that nobody would repeat any more.
    pub(crate) fn lose_held(&mut self, lost: impl Fn(&Packet) -> bool) {
        let lost: Vec<u64> = self.held.iter().filter(|(_, packet)| lost(packet)).map(|(&id, _)| id).collect();
        for id in lost {
            if let Some(packet) = self.held.remove(&id) {
                self.lose(&packet);
            }
        }
    }

    /// A fault has ended: sends again what it held, in order.
    pub(crate) fn release(&mut self) {
        let free: Vec<u64> = self.held.iter().filter(|(_, p)| !self.paths.holds(p)).map(|(&id, _)| id).collect();
        for id in free {
            if let Some(packet) = self.held.remove(&id) {
                self.send(packet);
            }
        }
    }
}
