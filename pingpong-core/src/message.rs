//! Messages: typed for those who send and handle them, bytes with a type and a version for those who carry them (A2).
//!
//! A message is encoded once, however many nodes it goes to (C7), with [postcard](https://docs.rs/postcard). Its type and
//! version travel in the frame, so that a receiver knows what it cannot decode before it tries.
//!
//! [`message!`](crate::message!) and [`request!`](crate::request!) give a type its id and its version. `docs/messages.md` says how
//! messages change while a cluster runs.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;
use std::fmt;
use std::ops::Deref;

/// Which message this is, and in which version of its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType {
    /// Tells the messages of one server apart. The server's author chooses it.
    pub id: u16,
    /// Raised when the shape of the message changes.
    pub version: u8,
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {} version {}", self.id, self.version)
    }
}

/// An encoded message that is lent to the transport: nothing of it is kept after the call, unless the call says so.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a> {
    /// Type and version.
    pub kind: MessageType,
    /// The encoded body. At most [`Limits::max_message`](crate::config::Limits::max_message) bytes (O4).
    pub body: &'a [u8],
}

/// An encoded message that its sender keeps. Up to 64 bytes lie in it itself, and are not allocated.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Body(SmallVec<[u8; 64]>);

impl Body {
    /// That message, encoded by its [`encode_to`](Message::encode_to).
    ///
    /// # Errors
    /// Those of `encode_to`.
    pub fn of<M: Message>(message: &M) -> Result<Self, Unencodable> {
        let mut body = Self::default();
        message.encode_to(&mut body)?;
        Ok(body)
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<Body> for Vec<u8> {
    fn from(body: Body) -> Self {
        body.0.into_vec()
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Body {
    fn eq(&self, bytes: &[u8; N]) -> bool {
        **self == *bytes
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A body that is being written, where it is: bytes that were just written one by one are slow to move.
struct Writing<'a>(&'a mut Body);

impl Flavor for Writing<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Bytes are not a message of the expected type (A2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undecodable {
    /// Another type or version.
    #[error("expected {expected}, got {got}; the two sides run different versions of the service")]
    Kind {
        /// What the receiver reads.
        expected: MessageType,
        /// What came.
        got: MessageType,
    },
    /// The right type and version, and yet not its shape.
    #[error("{kind} does not decode: {words}")]
    Body {
        /// What came.
        kind: MessageType,
        /// What the decoder says.
        words: String,
    },
}

/// A message type of a server.
///
/// ```
/// use pingpong_core::message::Message;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Ping {
///     number: u64,
/// }
/// impl Message for Ping {
///     const ID: u16 = 1;
///     const VERSION: u8 = 0;
/// }
///
/// let body = Ping { number: 7 }.encode()?;
/// assert_eq!(Ping::decode(Ping::KIND, &body)?, Ping { number: 7 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Message: Serialize + DeserializeOwned + Send + 'static {
    /// Tells this type from others that the same server takes.
    const ID: u16;
    /// The version that this build writes. Raise it when the shape changes.
    const VERSION: u8;
    /// Both together, as they travel.
    const KIND: MessageType = MessageType { id: Self::ID, version: Self::VERSION };

    /// The encoded message: [`Body::of`] it, which is what a transport sends. So this is not the one to override.
    ///
    /// # Errors
    /// Those of [`encode_to`](Self::encode_to).
    fn encode(&self) -> Result<Body, Unencodable> {
        Body::of(self)
    }

    /// Encodes the message at the end of a body, once and in one pass (C7); this is how all are encoded. Override it to write the shape
    /// of another version: by the `encode_to` of that shape. After an error nobody looks at the body.
    ///
    /// # Errors
    /// [`Unencodable`] for a value that has no encoded form, such as a map of unknown length.
    fn encode_to(&self, body: &mut Body) -> Result<(), Unencodable> {
        let encoded = postcard::serialize_with_flavor(self, Writing(body));
        encoded.map_err(|error| Unencodable { kind: Self::KIND, words: error.to_string() })
    }

    /// Decodes a message that came as `kind`. Override it to read older versions as well: an older shape is a type of its own,
    /// with the same id.
    ///
    /// ```
    /// use pingpong_core::message::{Message, MessageType, Undecodable, decode_exactly};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Price1(u64);
    /// pingpong_core::message!(Price1, id = 1, version = 1);
    ///
    /// #[derive(Serialize, Deserialize, Debug, PartialEq)]
    /// struct Price {
    ///     cents: u64,
    ///     currency: String,
    /// }
    /// impl Message for Price {
    ///     const ID: u16 = Price1::ID;
    ///     const VERSION: u8 = 2;
    ///
    ///     fn decode(kind: MessageType, body: &[u8]) -> Result<Self, Undecodable> {
    ///         if kind == Price1::KIND {
    ///             let Price1(cents) = Price1::decode(kind, body)?;
    ///             return Ok(Self { cents, currency: "EUR".to_owned() });
    ///         }
    ///         decode_exactly(kind, body)
    ///     }
    /// }
    ///
    /// let old = Price1(250).encode()?;
    /// assert_eq!(Price::decode(Price1::KIND, &old)?, Price { cents: 250, currency: "EUR".to_owned() });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Undecodable`] when `kind` is another type or version, or the bytes are not of its shape, bytes left over included.
    fn decode(kind: MessageType, body: &[u8]) -> Result<Self, Undecodable> {
        decode_exactly(kind, body)
    }
}

/// Decodes a message of this very type and version: what [`Message::decode`] does unless it is overridden, for whoever overrides
/// it.
///
/// # Errors
/// Those of [`Message::decode`].
pub fn decode_exactly<M: Message>(kind: MessageType, body: &[u8]) -> Result<M, Undecodable> {
    if kind != M::KIND {
        return Err(Undecodable::Kind { expected: M::KIND, got: kind });
    }
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(Undecodable::Body { kind, words: format!("{} bytes are left over", rest.len()) }),
        Err(error) => Err(Undecodable::Body { kind, words: error.to_string() }),
    }
}

/// Gives a type the id and the version of a message: `message!(Add, id = 1, version = 0);`.
///
/// It writes the [`Message`](trait@crate::message::Message) of a type that is read in one version alone. One that reads older
/// versions as well has its own, with [`decode`](crate::message::Message::decode) overridden.
///
/// ```
/// use pingpong_core::message;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Add(u64);
/// message!(Add, id = 1, version = 0);
/// # use pingpong_core::message::Message;
/// # assert_eq!(Add::KIND.to_string(), "type 1 version 0");
/// ```
#[macro_export]
macro_rules! message {
    ($message:ty, id = $id:expr, version = $version:expr) => {
        impl $crate::message::Message for $message {
            const ID: u16 = $id;
            const VERSION: u8 = $version;
        }
    };
}

/// The same for a request, with the type of its answer: `request!(Sum => Total, id = 2, version = 0);`.
///
/// ```
/// use pingpong_core::{message, request};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Sum;
/// request!(Sum => Total, id = 2, version = 0);
///
/// #[derive(Serialize, Deserialize)]
/// struct Total(u64);
/// message!(Total, id = 3, version = 0);
/// # fn request<R: message::Request<Reply = Total>>() {}
/// # request::<Sum>();
/// ```
#[macro_export]
macro_rules! request {
    ($request:ty => $reply:ty, id = $id:expr, version = $version:expr) => {
        $crate::message!($request, id = $id, version = $version);

        impl $crate::message::Request for $request {
            type Reply = $reply;
        }
    };
}

/// A value has no encoded form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} cannot be encoded: {words}; use types of known length (Vec, BTreeMap, enums) in it")]
pub struct Unencodable {
    /// The type that was to be encoded.
    pub kind: MessageType,
    /// What the encoder says.
    pub words: String,
}

/// A message that is answered.
pub trait Request: Message {
    /// The answer's type.
    type Reply: Message;
}

/// For a server that takes no casts, or no calls: there is no such message, and every one that comes is not decodable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Never {}

impl Serialize for Never {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

impl<'de> serde::Deserialize<'de> for Never {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("there is no such message"))
    }
}

impl Message for Never {
    const ID: u16 = u16::MAX;
    const VERSION: u8 = 0;
}

impl Request for Never {
    type Reply = Never;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Word(String);
    impl Message for Word {
        const ID: u16 = 3;
        const VERSION: u8 = 2;
    }

    #[test]
    fn only_the_same_type_and_version_decodes() {
        let body = Word("ping".into()).encode().unwrap();
        assert_eq!(Word::decode(Word::KIND, &body), Ok(Word("ping".into())));
        for kind in [MessageType { id: 4, version: 2 }, MessageType { id: 3, version: 1 }] {
            assert_eq!(Word::decode(kind, &body), Err(Undecodable::Kind { expected: Word::KIND, got: kind }));
        }
    }

    /// Text that is written piece by piece, which postcard does in two passes.
    #[derive(Deserialize)]
    struct Pieces(Vec<u8>);
    impl Serialize for Pieces {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&format_args!("{:?}", self.0))
        }
    }
    impl Message for Pieces {
        const ID: u16 = 4;
        const VERSION: u8 = 0;
    }

    #[test]
    fn messages_of_every_length_are_encoded_alike_wherever_they_lie() {
        for length in (0..300).chain([70_000]) {
            let word = Word("x".repeat(length));
            let body = word.encode().unwrap();
            assert_eq!(*body, *postcard::to_stdvec(&word).unwrap(), "{length}");
            assert_eq!(Vec::from(body.clone()), *body);
            assert_eq!(Word::decode(Word::KIND, &Body::from(body.to_vec())), Ok(word));
            let pieces = Pieces(vec![7; length]);
            assert_eq!(*pieces.encode().unwrap(), *postcard::to_stdvec(&pieces).unwrap(), "{length}");
        }
    }

    #[test]
    fn a_short_a_long_and_a_wrong_body_are_refused() {
        let mut body = Vec::from(Word("ping".into()).encode().unwrap());
        assert!(Word::decode(Word::KIND, &body[..2]).is_err());
        body.push(0);
        assert!(matches!(Word::decode(Word::KIND, &body), Err(Undecodable::Body { .. })));
        assert!(Word::decode(Word::KIND, &[1, 0xff]).is_err(), "not UTF-8");
        assert!(Never::decode(Never::KIND, &[]).is_err());
    }
}
