//! Typed casts and calls, for whoever uses servers.

use crate::message::{Body, Encoded, Message, Request, Unencodable};
use crate::name::ServerName;
use crate::transport::{CallFailure, Failed, Replies, Reply, SendError, Sent, Targets, Transport, WhenFull};
use futures_util::future::BoxFuture;
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
    fn cast<'a, M: Message + Sync>(
        &'a self,
        server: &'a ServerName,
        message: &'a M,
    ) -> impl Future<Output = Result<Sent, CastError>> + Send {
        self.cast_to(&Targets::All, server, message)
    }

    /// Sends to `server` on these targets, and waits for queues (O2).
    ///
    /// The message is encoded and sent when the future is polled. Cancel safe, as [`Transport::abcast`].
    fn cast_to<'a, M: Message + Sync>(
        &'a self,
        targets: &'a Targets,
        server: &'a ServerName,
        message: &'a M,
    ) -> impl Future<Output = Result<Sent, CastError>> + Send {
        Casting { transport: self, targets, server, message, step: Step::New }
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
        let body = Body::of(message)?;
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
        let body = Body::of(request);
        async move {
            let body = body?;
            let encoded = Encoded { kind: R::KIND, body: &body };
            Ok(decoded(self.multi_call(targets, server, encoded, deadline).await))
        }
    }
}

impl<T: Transport + ?Sized> TransportExt for T {}

/// A cast, sent when it is polled. By hand rather than `async`: it is moved for every message, and has no more than it needs. Nor does
/// it hold the encoded message: bytes that were just written one by one are slow to move.
///
/// It is fused: polled again after it was ready, it is pending for ever, and sends nothing twice.
struct Casting<'a, T: ?Sized, M> {
    transport: &'a T,
    targets: &'a Targets,
    server: &'a ServerName,
    message: &'a M,
    step: Step<'a>,
}

enum Step<'a> {
    New,
    /// A queue was full.
    Waiting(BoxFuture<'a, Result<Sent, SendError>>),
    Done,
}

impl<T: Transport + ?Sized, M: Message + Sync> Future for Casting<'_, T, M> {
    type Output = Result<Sent, CastError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let casting = self.get_mut();
        let Self { transport, targets, server, message, step } = casting;
        if let Step::New = step {
            // Before anything that may fail, or panic, as an encoder may.
            *step = Step::Done;
            let mut body = Body::default();
            message.encode_to(&mut body)?;
            // Most queues have room, and then nothing needs to be allocated for waiting.
            let encoded = Encoded { kind: M::KIND, body: &body };
            let sent = transport.try_abcast(targets, server, encoded, WhenFull::Refuse);
            if !matches!(sent, Err(SendError::Full)) {
                return Poll::Ready(sent.map_err(CastError::from));
            }
            casting.wait(body);
        }
        casting.waited(cx)
    }
}

impl<T: Transport + ?Sized, M: Message> Casting<'_, T, M> {
    #[cold]
    fn wait(&mut self, body: Body) {
        let (transport, targets, server) = (self.transport, self.targets, self.server);
        let sends = async move { transport.abcast(targets, server, Encoded { kind: M::KIND, body: &body }).await };
        self.step = Step::Waiting(Box::pin(sends));
    }

    #[cold]
    fn waited(&mut self, cx: &mut Context<'_>) -> Poll<Result<Sent, CastError>> {
        let Step::Waiting(sends) = &mut self.step else { return Poll::Pending };
        let sent = ready!(sends.as_mut().poll(cx));
        self.step = Step::Done;
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
