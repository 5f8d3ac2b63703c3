//! The server that every node runs: it counts pings, sees whether they come in order, and says so when it is asked.
//!
//! The work is that of the exercise's consumer and of the Erlang peer's: a map of producers, looked up for each ping.

use super::sequence::{Sequence, Tally};
use crate::bench::clock::wall_micros;
use bytes::Bytes;
use pingpong_node::Node;
use pingpong_node::message::{Message, Request};
use pingpong_node::server::{Context, Server};
use postcard::fixint::le;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// Bytes of the smallest ping.
pub(crate) const PING_BYTES: usize = 16;

/// A ping of some size.
pub(crate) trait Numbered: Message + Sync {
    fn new(producer: u64, number: u64, filler: &Bytes) -> Self;
    fn producer(&self) -> u64;
    fn number(&self) -> u64;
}

/// Who pings, and for the how-many-th time: [`PING_BYTES`], whatever the numbers are.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ping {
    #[serde(with = "le")]
    producer: u64,
    #[serde(with = "le")]
    number: u64,
}

impl Message for Ping {
    const ID: u16 = 1;
    const VERSION: u8 = 0;
}

impl Numbered for Ping {
    fn new(producer: u64, number: u64, _: &Bytes) -> Self {
        Self { producer, number }
    }

    fn producer(&self) -> u64 {
        self.producer
    }

    fn number(&self) -> u64 {
        self.number
    }
}

/// A ping that carries something.
#[derive(Serialize, Deserialize)]
pub(crate) struct LargePing {
    #[serde(with = "le")]
    producer: u64,
    #[serde(with = "le")]
    number: u64,
    filler: Bytes,
}

impl Message for LargePing {
    const ID: u16 = 2;
    const VERSION: u8 = 0;
}

impl Numbered for LargePing {
    fn new(producer: u64, number: u64, filler: &Bytes) -> Self {
        Self { producer, number, filler: filler.clone() }
    }

    fn producer(&self) -> u64 {
        self.producer
    }

    fn number(&self) -> u64 {
        self.number
    }
}

/// Asks for what was counted.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ask;

impl Message for Ask {
    const ID: u16 = 3;
    const VERSION: u8 = 0;
}

impl Request for Ask {
    type Reply = Counted;
}

/// What was counted, of each producer, and when that was said.
#[derive(Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) at_us: u64,
    pub(crate) producers: BTreeMap<u64, Tally>,
}

impl Message for Counted {
    const ID: u16 = 4;
    const VERSION: u8 = 0;
}

/// The server.
pub(crate) struct Counter<P> {
    producers: BTreeMap<u64, Sequence>,
    pings: PhantomData<fn() -> P>,
}

impl<P> Default for Counter<P> {
    fn default() -> Self {
        Self { producers: BTreeMap::new(), pings: PhantomData }
    }
}

impl<P: Numbered> Server for Counter<P> {
    type Cast = P;
    type Call = Ask;
    type Info = ();

    async fn cast(&mut self, _: &Node, ping: P, _: &mut Context<Self>) {
        self.producers.entry(ping.producer()).or_default().accept(ping.number());
    }

    async fn call(&mut self, _: &Node, Ask: Ask, _: &mut Context<Self>) -> Counted {
        let tallies = self.producers.iter().map(|(producer, sequence)| (*producer, sequence.tally()));
        Counted { at_us: wall_micros(), producers: tallies.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_has_the_size_that_is_said_whatever_its_numbers_are() {
        for number in [0, 1, u64::MAX] {
            assert_eq!(Ping::new(number, number, &Bytes::new()).encode().unwrap().len(), PING_BYTES);
        }
        let large = LargePing::new(1, 2, &Bytes::from(vec![0; 1_000 - PING_BYTES])).encode().unwrap();
        assert_eq!(large.len(), 1_000 + 2, "and the length of what it carries");
        let again = LargePing::decode(LargePing::KIND, &large).unwrap();
        assert_eq!((again.producer(), again.number(), again.filler.len()), (1, 2, 1_000 - PING_BYTES));
    }
}
