//! What a packet does at the host where it arrives.

use crate::state::{Dial, End, EndId, Ends, ProcessId, Side, State};
use crate::traffic::{Cargo, Packet, Word};
use crate::wait::{Seat, Topic};
use bytes::Bytes;
use pingpong_core::NodeName;
use pingpong_core::link::{Closed, DialError};
use std::task::Poll;

/// Who answered a dial.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    process: ProcessId,
    name: NodeName,
}

impl State {
    pub(crate) fn deliver(&mut self, packet: Packet) {
        match packet.cargo {
            Cargo::Dial(id) => {
                let Some(answer) = self.dials.get(&id).map(|dial| self.answer(dial)) else { return };
                self.send(Packet { from: packet.to, to: packet.from, cargo: Cargo::Answer(id, Box::new(answer)) });
            }
            Cargo::Answer(id, answer) => self.answered(id, *answer),
            Cargo::End(from, word) => self.heard(from, word),
        }
    }

    /// What the host that a dial reached says to it.
    fn answer(&self, dial: &Dial) -> Result<Answer, DialError> {
        let bound = self.hosts.get(&dial.address).and_then(|host| self.bound.get(host));
        let Some((&id, process)) = bound.and_then(|id| Some((id, self.processes.get(id)?))) else {
            return Err(DialError::unreachable(&dial.address, "nobody is bound there"));
        };
        DialError::check_name(&dial.address, dial.expect.as_ref(), &process.name)?;
        if process.backlog.len() >= self.settings.backlog {
            let words = format!("{} connections wait to be accepted there, which is the limit", self.settings.backlog);
            return Err(DialError::unreachable(&dial.address, words));
        }
        Ok(Answer { process: id, name: process.name.clone() })
    }

    /// The dialler hears the answer: from here on there is a connection.
    fn answered(&mut self, id: u64, answer: Result<Answer, DialError>) {
        let Some(dial) = self.dials.get(&id).filter(|dial| dial.outcome.is_none()) else { return };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.dial_outcome(id, Err(error)),
        };
        let (address, process) = (dial.address.clone(), dial.process);
        let Some((name, own)) = self.processes.get(&process).map(|p| (p.name.clone(), p.address.clone())) else {
            return;
        };
        let (here, there) = (self.host(&own), self.host(&address));
        let mut dialler = End::new(process, here, name, own);
        dialler.handles = 1;
        let mut acceptor = End::new(answer.process, there, answer.name, address);
        if self.bound.get(&there) != Some(&answer.process) {
            acceptor.closed = Some(Closed::Lost("the process is gone".to_owned()));
        }
        let connection = self.next_id();
        self.keep(connection, Ends([dialler, acceptor]));
        let end = EndId { connection, side: Side::Dialler };
        self.dial_outcome(id, Ok(end));
        self.say(end, Word::Established);
    }

    /// Tells whoever waits for a dial how it ended.
    pub(crate) fn dial_outcome(&mut self, id: u64, outcome: Result<EndId, DialError>) {
        if let Some(dial) = self.dials.get_mut(&id) {
            dial.outcome = Some(outcome);
            self.wake(Seat::Dial(id));
        }
    }

    /// The next connection of a process; `None` once it is closed.
    pub(crate) fn accept(&mut self, id: ProcessId) -> Poll<Option<EndId>> {
        loop {
            let Some(process) = self.processes.get_mut(&id).filter(|process| !process.closed) else {
                return Poll::Ready(None);
            };
            let Some(connection) = process.backlog.pop_front() else { return Poll::Pending };
            let end = EndId { connection, side: Side::Acceptor };
            if let Some(accepted) = self.end(end) {
                accepted.handles += 1;
                return Poll::Ready(Some(end));
            }
        }
    }

    /// One end hears a word of the other.
    fn heard(&mut self, from: EndId, word: Word) {
        let to = from.other();
        let Some(end) = self.end(to) else { return };
        let host = end.host;
        if end.closed.is_some() {
            if self.bound.contains_key(&host) {
                self.stranger(from, &word);
            }
            return;
        }
        end.marks.heard();
        let acknowledged = matches!(word, Word::Piece(_) | Word::Datagram(_));
        match word {
            Word::Established => self.established(to),
            Word::Piece(lane) => self.piece(from, lane),
            Word::Credit(lane) => {
                if let Some(lane) = self.lane(to, lane) {
                    lane.credit_out = false;
                    lane.used = lane.used.saturating_sub(std::mem::take(&mut lane.owed));
                }
                self.wake_end(to, Topic::Send(lane));
            }
            Word::Refuse(lane) => {
                if let Some(lane) = self.lane(to, lane) {
                    lane.refused = true;
                }
                self.wake_end(to, Topic::Send(lane));
            }
            Word::Ack => {}
            Word::Datagram(datagram) => self.datagram(to, datagram),
            Word::Close(reason) => self.finish(to, Closed::ByPeer(reason)),
            Word::Reset => {
                let address = self.end(from).map(|end| end.address.to_string()).unwrap_or_default();
                self.finish(to, Closed::Lost(format!("reset by {address}: it does not know this connection")));
            }
        }
        if acknowledged {
            self.say(to, Word::Ack);
        }
    }

    /// A host that does not know the connection of a packet says so, unless its close is still on its way.
    fn stranger(&mut self, from: EndId, word: &Word) {
        let is_over = self.end(from).is_none_or(|end| end.closed.is_some());
        let is_told = self.end(from.other()).is_none_or(|end| end.close_out);
        if !is_over && !is_told && !matches!(word, Word::Close(_) | Word::Reset) {
            self.say(from.other(), Word::Reset);
        }
    }

    fn established(&mut self, end: EndId) {
        let Some(id) = self.end(end).map(|end| end.process) else { return };
        let (connections, limit) = (&self.connections, self.settings.backlog);
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.backlog.retain(|connection| connections.contains_key(connection));
        if process.backlog.len() >= limit {
            self.close(end, Bytes::new());
        } else {
            process.backlog.push_back(end.connection);
            self.wake(Seat::Accept(id));
        }
    }

    fn piece(&mut self, opener: EndId, number: u32) {
        let Some(lane) = self.lane(opener, number) else { return };
        match lane.transit.pop_front() {
            Some(Some(piece)) if !lane.receiver_gone => lane.ready.push_back(piece),
            Some(Some(_)) | None => {}
            Some(None) => lane.ended = true,
        }
        let reader = opener.other();
        self.wake_end(reader, Topic::Recv(number));
        if let Some(end) = self.end(reader).filter(|end| end.known <= number) {
            end.known = number + 1;
            self.wake_end(reader, Topic::Lane);
        }
    }

    fn datagram(&mut self, to: EndId, datagram: Bytes) {
        let limit = self.settings.datagrams;
        let Some(end) = self.end(to) else { return };
        if end.datagrams.len() >= limit {
            end.datagrams.pop_front();
        }
        end.datagrams.push_back(datagram);
        self.wake_end(to, Topic::Datagram);
    }

    /// Closes one end; what it had sent and nobody has received yet is not repeated.
    pub(crate) fn close(&mut self, id: EndId, reason: Bytes) {
        if self.end(id).is_none_or(|end| end.closed.is_some()) {
            return;
        }
        self.finish(id, Closed::Here);
        self.lose_held(|packet| packet.end() == Some(id));
        self.say(id, Word::Close(reason));
    }
}
