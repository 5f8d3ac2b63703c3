//! One life of a server: from its registration until it is stopped, or crashes.

use super::{Context, ReplyTo, Server};
use crate::inbox::{Batch, Caller, Delivery, Dropped, Entry, Inbox, InboxClosed};
use crate::message::{Message, Undecodable};
use crate::name::ServerName;
use crate::transport::CallFailure;
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// How a life ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It was asked to.
    Stopped,
    /// Nothing will come any more.
    Closed(InboxClosed),
}

/// Runs one life. What is left when it returns, or is dropped, is dropped with it: the inbox answers and counts (C5).
pub(super) async fn run<S: Server>(
    factory: impl FnOnce() -> S,
    mut inbox: Box<dyn Inbox>,
    mut cx: Context<S>,
    mut stop: oneshot::Receiver<()>,
) -> Exit {
    let mut server = factory();
    server.started(&mut cx).await;
    let mut entries = VecDeque::new();
    let exit = loop {
        tokio::select! {
            biased;
            _ = &mut stop => break Exit::Stopped,
            info = cx.next() => server.info(info, &mut cx).await,
            taken = inbox.take(&mut entries) => match taken {
                Ok(()) => if handle(&mut server, &mut entries, &mut cx, &mut stop).await {
                    break Exit::Stopped;
                },
                Err(why) => break Exit::Closed(why),
            },
        }
    };
    cx.end().await;
    exit
}

/// Handles what was taken. Returns whether the server was asked to stop meanwhile.
async fn handle<S: Server>(
    server: &mut S,
    entries: &mut VecDeque<Entry>,
    cx: &mut Context<S>,
    stop: &mut oneshot::Receiver<()>,
) -> bool {
    while let Some(entry) = entries.pop_front() {
        match entry {
            Entry::Up(node) => server.node_up(&node, cx).await,
            Entry::Down(node, reason) => server.node_down(&node, &reason, cx).await,
            Entry::Messages(batch) => handle_batch(server, batch, cx).await,
        }
        // Handlers that never wait must let other tasks of this thread run, too.
        tokio::task::coop::consume_budget().await;
        if !matches!(stop.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
            return true;
        }
    }
    false
}

async fn handle_batch<S: Server>(server: &mut S, mut batch: Batch, cx: &mut Context<S>) {
    loop {
        match Next::<S>::of(&mut batch, cx.name()) {
            Some(Next::Cast(message)) => server.cast(batch.from(), message, cx).await,
            Some(Next::Call(request, caller)) => {
                server.call_later(batch.from(), request, ReplyTo::new(caller, cx.name().clone()), cx).await;
            }
            Some(Next::NotARequest(caller)) => caller.reply(Err(CallFailure::NotDecodable)).await,
            None => return,
        }
    }
}

/// The next message of a batch, decoded. By itself, so that nothing of how it came is kept while it is handled.
enum Next<S: Server> {
    Cast(S::Cast),
    Call(S::Call, Caller),
    /// A call that does not decode.
    NotARequest(Caller),
}

impl<S: Server> Next<S> {
    fn of(batch: &mut Batch, server: &ServerName) -> Option<Self> {
        loop {
            let Delivery { kind, body, caller } = batch.next()?;
            let Some(caller) = caller else {
                match S::Cast::decode(kind, body) {
                    Ok(message) => return Some(Self::Cast(message)),
                    Err(error) => not_decodable(batch, server, &error),
                }
                continue;
            };
            return Some(match S::Call::decode(kind, body) {
                Ok(request) => Self::Call(request, caller),
                Err(error) => {
                    not_decodable(batch, server, &error);
                    Self::NotARequest(caller)
                }
            });
        }
    }
}

#[cold]
fn not_decodable(batch: &Batch, server: &ServerName, error: &Undecodable) {
    batch.origin().count(Dropped::NotDecodable, 1);
    tracing::debug!(%server, from = %batch.from(), %error, "a message does not decode");
}
