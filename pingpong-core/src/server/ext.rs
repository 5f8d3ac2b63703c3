//! Typed casts and calls, for whoever uses servers.

use crate::message::{Body, Encoded, Message, MessageType, Request, Unencodable};
use crate::name::ServerName;
use crate::transport::{CallFailure, Failed, Replies, Reply, SendError, Sent, Targets, Transport, WhenFull};
use futures_util::future::BoxFuture;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A typed message was sent to nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CastError {
    /// It has no encoded form.
    #[error(transparent)]
    Unencodable(#[from] Unencodable),
    /// The transport refused it.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Typed messages on every [`Transport`]. A message is encoded once, however many nodes it goes to (C7).
///
/// ```
/// use pingpong_core::message::{Message, Request};
/// use pingpong_core::server::TransportExt;
/// use pingpong_core::{ServerName, Targets, Transport};
/// use serde::{Deserialize, Serialize};
/// use std::time::Duration;
///
/// #[derive(Serialize, Deserialize)]
/// struct Add(u64);
/// impl Message for Add {
///     const ID: u16 = 1;
///     const VERSION: u8 = 0;
/// }
/// #[derive(Serialize, Deserialize)]
/// struct Sum;
/// impl Message for Sum {
///     const ID: u16 = 2;
///     const VERSION: u8 = 0;
/// }
/// impl Request for Sum {
///     type Reply = Add;
/// }
///
/// async fn add_everywhere(transport: &dyn Transport) -> Result<(), Box<dyn std::error::Error>> {
///     let adder = ServerName::new("adder")?;
///     let sent = transport.cast(&adder, &Add(2)).await?;
///     println!("on its way to {} nodes", sent.accepted.len());
///     let sums = transport.call(&Targets::All, &adder, &Sum, Duration::from_secs(1)).await?;
///     for answer in &sums.replies {
///         println!("{}: {}", answer.node.name, answer.reply.0);
///     }
///     for failed in &sums.failed {
///         println!("{}: {}", failed.name, failed.reason);
///     }
///     Ok(())
/// }
/// ```
pub trait TransportExt: Transport {
    /// Sends to `server` on the local node and on every linked one, and waits for queues (O2).
    ///
    /// Cancel safe, as [`Transport::abcast`].
    fn cast<'a, M: Message>(
        &'a self,
        server: &'a ServerName,
        message: &M,
    ) -> impl Future<Output = Result<Sent, CastError>> + Send {
        self.cast_to(&Targets::All, server, message)
    }

    /// Sends to `server` on these targets, and waits for queues (O2).
    ///
    /// The message is encoded at once, and sent when the future is polled. Cancel safe, as [`Transport::abcast`].
    fn cast_to<'a, M: Message>(
        &'a self,
        targets: &'a Targets,
        server: &'a ServerName,
        message: &M,
    ) -> impl Future<Output = Result<Sent, CastError>> + Send {
        Casting { transport: self, targets, server, kind: M::KIND, step: Step::New(message.encode()) }
    }

    /// Sends to `server` on these targets without waiting; `when_full` as for [`Transport::try_abcast`].
    ///
    /// # Errors
    /// [`CastError`]; nothing was sent to anyone.
    fn try_cast<M: Message>(
        &self,
        targets: &Targets,
        server: &ServerName,
        message: &M,
        when_full: WhenFull,
    ) -> Result<Sent, CastError> {
        let body = message.encode()?;
        Ok(self.try_abcast(targets, server, Encoded { kind: M::KIND, body: &body }, when_full)?)
    }

    /// Calls `server` on these targets, and returns one outcome for each, at the latest after `deadline` (R1, R2).
    ///
    /// An answer that does not decode is the failure [`CallFailure::NotDecodable`] of its node.
    /// Cancel safe, as [`Transport::multi_call`].
    fn call<R: Request>(
        &self,
        targets: &Targets,
        server: &ServerName,
        request: &R,
        deadline: Duration,
    ) -> impl Future<Output = Result<Replies<R::Reply>, Unencodable>> + Send {
        let body = request.encode();
        async move {
            let body = body?;
            let encoded = Encoded { kind: R::KIND, body: &body };
            Ok(decoded(self.multi_call(targets, server, encoded, deadline).await))
        }
    }
}

impl<T: Transport + ?Sized> TransportExt for T {}

/// A cast, sent when it is polled. By hand rather than `async`: it is moved once for every message, and has no more than it needs.
///
/// It is fused: polled again after it was ready, it is pending for ever, and sends nothing twice.
struct Casting<'a, T: ?Sized> {
    transport: &'a T,
    targets: &'a Targets,
    server: &'a ServerName,
    kind: MessageType,
    step: Step<'a>,
}

enum Step<'a> {
    New(Result<Body, Unencodable>),
    /// A queue was full.
    Waiting(BoxFuture<'a, Result<Sent, SendError>>),
    Done,
}

impl<T: Transport + ?Sized> Future for Casting<'_, T> {
    type Output = Result<Sent, CastError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { transport, targets, server, kind, step } = self.get_mut();
        let (transport, targets, server, kind) = (*transport, *targets, *server, *kind);
        // Where it is while it is tried: bytes that were just written are moved slowly.
        if let Step::New(Ok(body)) = step {
            // Most queues have room, and then nothing needs to be allocated for waiting.
            let sent = transport.try_abcast(targets, server, Encoded { kind, body }, WhenFull::Refuse);
            if !matches!(sent, Err(SendError::Full)) {
                *step = Step::Done;
                return Poll::Ready(sent.map_err(CastError::from));
            }
        }
        match mem::replace(step, Step::Done) {
            Step::New(body) => {
                let body = body?;
                let sends = async move { transport.abcast(targets, server, Encoded { kind, body: &body }).await };
                *step = Step::Waiting(Box::pin(sends));
            }
            same => *step = same,
        }
        let Step::Waiting(sends) = step else { return Poll::Pending };
        let sent = ready!(sends.as_mut().poll(cx));
        *step = Step::Done;
        Poll::Ready(Ok(sent?))
    }
}

fn decoded<M: Message>(raw: Replies) -> Replies<M> {
    let mut replies = Replies { replies: Vec::with_capacity(raw.replies.len()), failed: raw.failed };
    let answered = raw.replies.len();
    for Reply { node, reply } in raw.replies {
        match M::decode(reply.kind, &reply.body) {
            Ok(reply) => replies.replies.push(Reply { node, reply }),
            Err(error) => {
                tracing::warn!(%node, %error, "an answer does not decode");
                let reason = CallFailure::NotDecodable;
                replies.failed.push(Failed { name: node.name, incarnation: Some(node.incarnation), reason });
            }
        }
    }
    if replies.replies.len() < answered {
        replies.failed.sort_by(|a, b| a.name.cmp(&b.name));
    }
    replies
}
