//! Servers: what a `GenServer` is to a user of OTP, on any [`Transport`](crate::Transport).
//!
//! A [`Server`] handles one thing at a time, in order: a cast, a call, a node event, or something that it told itself. Its
//! supervisor restarts it when it panics, and says so when it crashes too often. [`TransportExt`] is the other end: typed
//! casts and calls for whoever uses servers.
//!
//! | part | what it owns |
//! | --- | --- |
//! | `spawn`, [`ServerHandle`] | one supervisor task for each server: its lives, its restarts, its end |
//! | runner | one task for each life: the inbox, the handlers, and through [`Context`] their timers and work |
//! | [`TransportExt`] | encoding and decoding at the edge |

mod context;
#[cfg(test)]
pub(crate) mod double;
mod ext;
mod reply;
mod runner;
mod supervisor;
#[cfg(test)]
mod tests;

pub use context::{Busy, Context};
pub use ext::{CastError, TransportExt};
pub use reply::ReplyTo;
pub use supervisor::{Restart, ServerError, ServerHandle, SpawnOptions, spawn};

use crate::message::{Message, Request};
use crate::monitor::DownReason;
use crate::node::Node;

/// A named receiver: a state, and what it does with each message.
///
/// Handlers run one after the other, so that the state needs no lock. A handler may await, but while it does nothing else of
/// this server is handled: work that takes long goes to [`Context::spawn`]. Messages of one sender come in the order sent
/// (C2), those of one session between [`node_up`](Self::node_up) and [`node_down`](Self::node_down) (C4), and none is missing
/// from the registration on (C5).
///
/// A panic in a handler ends this life of the server alone. The caller whose request was being handled, and all that waited
/// in the mailbox, are told that the server stopped; the supervisor makes a new state and registers it anew.
///
/// # Cancel safety
/// A handler's future runs to its end, or its life ends: by [`ServerHandle::crash`], beyond the grace of a stop, after a stall (O3), with
/// the runtime. Then the future is dropped where it awaits, and the state with it, so a handler need not be cancel safe as far as its own
/// state goes. What it shares with others must bear that.
///
/// # A handler that blocks its thread
/// A handler should await, and not block: a long computation or a synchronous library belongs on `tokio::task::spawn_blocking`, in work of
/// [`Context::spawn`]. What one that blocks nevertheless holds up depends on the runtimes alone:
/// - Its own server waits, always, and so do the calls to it, within their deadlines. If it takes no message from its full mailbox for
///   the stall timeout (30 s) it is stopped by its own node (O3). The links stay.
/// - All servers and tasks on that thread wait; on a runtime of one thread that is all of the runtime.
/// - **The node**, if [`Mesh::start`](crate::Mesh::start) ran on that runtime: no heartbeat leaves, and after the failure timeout (2 s) the
///   peers see `Down(lost)`, with all that it means. On a runtime of several threads that happens when as many handlers block. (The
///   network in memory acknowledges for a stuck process, so that tests do not see it there.)
///
/// So a node whose handlers may block runs on a thread of its own: `pingpong_node::io_thread`, which a `Daemon` has. Then a handler may
/// block for as long as it likes, and no peer sees anything but a slow server. A pause of the whole process (a debugger, a suspended host)
/// is something else: the node notices, and gives its peers a fresh interval (M6); they may have given it up meanwhile.
///
/// ```
/// use pingpong_core::message::{Message, Request};
/// use pingpong_core::server::{Context, Server, SpawnOptions, spawn};
/// use pingpong_core::{Node, ServerName, Transport};
/// use serde::{Deserialize, Serialize};
/// use std::sync::Arc;
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
/// #[derive(Default)]
/// struct Adder {
///     sum: u64,
/// }
/// impl Server for Adder {
///     type Cast = Add;
///     type Call = Sum;
///     type Info = ();
///
///     async fn cast(&mut self, _from: &Node, Add(number): Add, _cx: &mut Context<Self>) {
///         self.sum = self.sum.saturating_add(number);
///     }
///
///     async fn call(&mut self, _from: &Node, Sum: Sum, _cx: &mut Context<Self>) -> Add {
///         Add(self.sum)
///     }
/// }
///
/// async fn run(transport: Arc<dyn Transport>) -> Result<(), Box<dyn std::error::Error>> {
///     let adder = spawn(transport, ServerName::new("adder")?, Adder::default, SpawnOptions::default())?;
///     adder.stopped().await?; // an error when it crashed too often
///     Ok(())
/// }
/// ```
pub trait Server: Sized + Send + 'static {
    /// The one-way messages that it takes; [`Never`](crate::message::Never) if none.
    type Cast: Message;
    /// The requests that it answers; [`Never`](crate::message::Never) if none.
    type Call: Request;
    /// What it tells itself: timers that ran out, results of work. It never leaves the process.
    type Info: Send + 'static;

    /// Whether [`node_up`](Self::node_up) and [`node_down`](Self::node_down) are wanted.
    const EVENTS: bool = false;

    /// The server is registered: messages are already coming in, and are handled after this. Need not be cancel safe.
    fn started(&mut self, cx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = cx;
        async {}
    }

    /// Handles a one-way message. `from` is the sender, by the name that it has proved (A1). Need not be cancel safe.
    fn cast(&mut self, from: &Node, message: Self::Cast, cx: &mut Context<Self>) -> impl Future<Output = ()> + Send;

    /// Handles a request. The future's output is the answer. `from` is the caller, by the name that it has proved (A1).
    /// Need not be cancel safe.
    fn call(
        &mut self,
        from: &Node,
        request: Self::Call,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = <Self::Call as Request>::Reply> + Send;

    /// Handles a request that may be answered later, while the server goes on: OTP's `{noreply, State}` with `gen_server:reply/2`. By
    /// default it is handled by [`call`](Self::call), which it replaces for those requests that it does not hand on.
    ///
    /// Whoever keeps a [`ReplyTo`] bounds how many it keeps, and drops those whose callers no longer wait. Need not be cancel safe.
    fn call_later(
        &mut self,
        from: &Node,
        request: Self::Call,
        reply: ReplyTo<Self::Call>,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send {
        async move {
            let answer = self.call(from, request, cx).await;
            reply.send(answer).await;
        }
    }

    /// Handles what the server told itself. Need not be cancel safe.
    fn info(&mut self, info: Self::Info, cx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (info, cx);
        async {}
    }

    /// A session began. First comes one for every node that was linked at the registration. Need not be cancel safe.
    fn node_up(&mut self, node: &Node, cx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (node, cx);
        async {}
    }

    /// A session ended; nothing of it comes any more. Need not be cancel safe.
    fn node_down(
        &mut self,
        node: &Node,
        reason: &DownReason,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (node, reason, cx);
        async {}
    }
}
