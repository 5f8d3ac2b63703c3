//! Answers that come later than the handler returns.

use crate::inbox::Caller;
use crate::message::{Body, Encoded, Message, Request};
use crate::name::ServerName;
use crate::node::Node;
use crate::transport::CallFailure;
use std::fmt;
use std::marker::PhantomData;

/// Where the answer to a request goes. Dropped without one, its caller is told that the server stopped.
pub struct ReplyTo<R> {
    caller: Caller,
    server: ServerName,
    request: PhantomData<fn() -> R>,
}

impl<R: Request> ReplyTo<R> {
    pub(super) fn new(caller: Caller, server: ServerName) -> Self {
        Self { caller, server, request: PhantomData }
    }

    /// The authenticated caller (A1).
    pub fn node(&self) -> &Node {
        self.caller.node()
    }

    /// Whether the caller still waits. An answer that nobody waits for is discarded (R4).
    pub fn is_waiting(&self) -> bool {
        self.caller.is_waiting()
    }

    /// Answers. Waits for room in the reply queue, at most until the session is over.
    ///
    /// Cancel safe: dropped before it is ready, the caller is told that the server stopped.
    pub async fn send(self, answer: R::Reply) {
        match Body::of(&answer) {
            Ok(body) => self.caller.reply(Ok(Encoded { kind: R::Reply::KIND, body: &body })).await,
            Err(error) => {
                tracing::error!(server = %self.server, %error, "an answer cannot be encoded");
                self.caller.reply(Err(CallFailure::NotDecodable)).await;
            }
        }
    }
}

impl<R> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo").field("caller", &self.caller).finish_non_exhaustive()
    }
}
