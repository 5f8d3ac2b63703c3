//! What is on its way from one node to another during catch-up.

use std::fmt;

/// Whom a starting consumer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Asked {
    Producer,
    Consumer,
}

/// The number is that of the call: answers to earlier ones are discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Message {
    Told(Told),
    AskProducer(u8),
    AskCounts(u8),
    Counts(Asked, u8, u8),
    NoSuchServer(Asked, u8),
}

/// What consumers are told without asking: a count, to be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Told {
    Pinged(u8),
    News(u8),
}

/// Within a lane messages keep their order, between lanes there is none: casts and calls to one server are one (C2); answers go
/// apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    ToConsumer,
    ToProducer,
    AnswersOfProducer,
    AnswersOfConsumer,
}

impl Lane {
    pub(crate) const ALL: [Self; 4] =
        [Self::ToConsumer, Self::ToProducer, Self::AnswersOfProducer, Self::AnswersOfConsumer];
}

/// A byte for each message, so that a state is copied and compared at once: lane by lane, oldest first.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Queue(u64);

impl Queue {
    pub(crate) fn push(&mut self, message: Message) {
        let mut bytes = self.0.to_le_bytes();
        assert_eq!(bytes[7], 0, "a queue has no room for {message:?}");
        let is_behind = |byte: &u8| Message::of(*byte).is_none_or(|other| other.lane() > message.lane());
        let place = bytes.iter().position(is_behind).unwrap_or_default();
        bytes[place..].rotate_right(1);
        bytes[place] = message.byte();
        self.0 = u64::from_le_bytes(bytes);
    }

    pub(crate) fn pop(&mut self, lane: Lane) -> Option<Message> {
        let mut bytes = self.0.to_le_bytes();
        let place = self.messages().position(|message| message.lane() == lane)?;
        let message = Message::of(bytes[place]);
        bytes[place] = 0;
        bytes[place..].rotate_left(1);
        self.0 = u64::from_le_bytes(bytes);
        message
    }

    pub(crate) fn has(self, lane: Lane) -> bool {
        self.messages().any(|message| message.lane() == lane)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0 == 0
    }

    fn messages(self) -> impl Iterator<Item = Message> {
        self.0.to_le_bytes().into_iter().map_while(Message::of)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.messages()).finish()
    }
}

impl Message {
    fn lane(self) -> Lane {
        match self {
            Self::Told(_) | Self::AskCounts(_) => Lane::ToConsumer,
            Self::AskProducer(_) => Lane::ToProducer,
            Self::Counts(Asked::Producer, ..) | Self::NoSuchServer(Asked::Producer, _) => Lane::AnswersOfProducer,
            Self::Counts(Asked::Consumer, ..) | Self::NoSuchServer(Asked::Consumer, _) => Lane::AnswersOfConsumer,
        }
    }

    /// Its kind, never 0, a call of four, a count of four.
    fn byte(self) -> u8 {
        let (kind, call, count) = match self {
            Self::Told(Told::Pinged(count)) => (1, 0, count),
            Self::Told(Told::News(count)) => (2, 0, count),
            Self::AskProducer(call) => (3, call, 0),
            Self::AskCounts(call) => (4, call, 0),
            Self::Counts(Asked::Producer, call, count) => (5, call, count),
            Self::Counts(Asked::Consumer, call, count) => (6, call, count),
            Self::NoSuchServer(Asked::Producer, call) => (7, call, 0),
            Self::NoSuchServer(Asked::Consumer, call) => (8, call, 0),
        };
        assert!(call < 4 && count < 4, "{self:?} does not fit into a byte");
        kind << 4 | call << 2 | count
    }

    fn of(byte: u8) -> Option<Self> {
        let (kind, call, count) = (byte >> 4, byte >> 2 & 3, byte & 3);
        Some(match kind {
            1 => Self::Told(Told::Pinged(count)),
            2 => Self::Told(Told::News(count)),
            3 => Self::AskProducer(call),
            4 => Self::AskCounts(call),
            5 => Self::Counts(Asked::Producer, call, count),
            6 => Self::Counts(Asked::Consumer, call, count),
            7 => Self::NoSuchServer(Asked::Producer, call),
            8 => Self::NoSuchServer(Asked::Consumer, call),
            _ => return None,
        })
    }
}
