//! Calls that go wrong.

use super::Fault;
use super::transport::State;
use pingpong_core::message::Encoded;
use pingpong_core::transport::{Failed, Reply};
use pingpong_core::{CallFailure, Incarnation, NodeName, Replies, ServerName, Targets};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What faults of calls remember.
#[derive(Default)]
pub(super) struct Memory {
    late: Mutex<Option<Reply>>,
}

type Body = (Targets, ServerName, pingpong_core::message::MessageType, Vec<u8>);

async fn ask(state: &State, (targets, server, kind, body): &Body, deadline: Duration) -> Replies {
    state.inner.multi_call(targets, server, Encoded { kind: *kind, body }, deadline).await
}

pub(super) async fn multi_call(
    state: &Arc<State>,
    targets: &Targets,
    server: &ServerName,
    request: Encoded<'_>,
    deadline: Duration,
) -> Replies {
    let mut body: Body = (targets.clone(), server.clone(), request.kind, request.body.to_vec());
    let start = Instant::now();
    match state.fault {
        Fault::CallsOthersOnly if *targets == Targets::All => {
            body.0 = Targets::Nodes(state.inner.list().into_iter().map(|node| node.name).collect());
        }
        Fault::CorruptsRequests => {
            if let Some(first) = body.3.first_mut() {
                *first ^= 0x40;
            }
        }
        _ => {}
    }
    let mut replies = match state.fault {
        Fault::NeverTimesOut => ask(state, &body, deadline * 50).await,
        Fault::GivesUpEarly => ask(state, &body, deadline / 4).await,
        Fault::OneCallAtATime => {
            let _held = state.lock.lock().await;
            ask(state, &body, deadline.saturating_sub(start.elapsed())).await
        }
        Fault::NoCancel | Fault::KeepsTrying | Fault::LateReplyToNextCall => detached(state, body, deadline).await,
        Fault::CallAgainInNewSession | Fault::ResolvesTargetsLate => again(state, body, deadline).await,
        _ => ask(state, &body, deadline).await,
    };
    if state.is(Fault::SitsOutTheDeadline) && deadline < Duration::from_secs(100_000) {
        tokio::time::sleep_until(start + deadline).await;
    }
    spoil(state, &mut replies);
    replies
}

/// The call lives on in a task of its own, whatever becomes of its caller.
async fn detached(state: &Arc<State>, body: Body, deadline: Duration) -> Replies {
    let time = if state.is(Fault::NoCancel) { deadline } else { deadline * 50 };
    let late = state.calls.late.lock().unwrap().take();
    let own = Arc::clone(state);
    let sent = (body.0.clone(), state.inner.list());
    let call = tokio::spawn(async move {
        let replies = ask(&own, &body, time).await;
        if own.is(Fault::LateReplyToNextCall) {
            *own.calls.late.lock().unwrap() = replies.replies.first().cloned();
        }
        replies
    });
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(mut replies)) => {
            if let (Some(late), Some(reply)) = (late, replies.replies.first_mut()) {
                reply.reply = late.reply;
            }
            replies
        }
        _ => timed_out(sent.0, &sent.1),
    }
}

fn timed_out(targets: Targets, linked: &[pingpong_core::Node]) -> Replies {
    let names: Vec<NodeName> = match targets {
        Targets::Nodes(names) => names,
        Targets::All => linked.iter().map(|node| node.name.clone()).collect(),
    };
    let reason = CallFailure::DeadlinePassed { sent: true };
    let failed = names.into_iter().map(|name| {
        let incarnation = linked.iter().find(|node| node.name == name).map(|node| node.incarnation);
        Failed { name, incarnation, reason: reason.clone() }
    });
    Replies { replies: Vec::new(), failed: failed.collect() }
}

/// Calls those again that were not linked, or went down.
async fn again(state: &State, body: Body, deadline: Duration) -> Replies {
    let end = Instant::now() + deadline;
    let before = state.inner.list();
    let mut replies = ask(state, &body, deadline).await;
    let moved = |failed: &Failed| match failed.reason {
        CallFailure::NodeDown { .. } => state.is(Fault::CallAgainInNewSession),
        CallFailure::NotLinked => state.is(Fault::ResolvesTargetsLate),
        _ => false,
    };
    let mut retry: Vec<NodeName> = replies.failed.iter().filter(|f| moved(f)).map(|f| f.name.clone()).collect();
    if body.0 == Targets::All && state.is(Fault::ResolvesTargetsLate) {
        retry.extend(state.inner.list().into_iter().filter(|n| !before.contains(n)).map(|n| n.name));
    }
    if !retry.is_empty() {
        tokio::time::sleep(state.timing.failure).await;
        replies.failed.retain(|failed| !retry.contains(&failed.name));
        let rest = (Targets::Nodes(retry), body.1, body.2, body.3);
        let more = ask(state, &rest, end.saturating_duration_since(Instant::now())).await;
        replies.replies.extend(more.replies);
        replies.failed.extend(more.failed);
    }
    replies
}

fn spoil(state: &State, replies: &mut Replies) {
    let down = |sent| CallFailure::NodeDown { sent };
    match state.fault {
        Fault::AnswersTwice => replies.replies.extend(replies.replies.clone()),
        Fault::FewerResults => replies.failed.clear(),
        Fault::LosesAReply => drop(replies.replies.pop()),
        Fault::MoreResults => {
            let name = NodeName::new("ghost").expect("it is a valid name");
            replies.failed.push(Failed { name, incarnation: None, reason: CallFailure::NotLinked });
        }
        Fault::ReplyFromWrongNode => {
            for reply in &mut replies.replies {
                reply.node.incarnation = Incarnation::above(reply.node.incarnation, 0, 0);
            }
            replies
                .failed
                .iter_mut()
                .for_each(|failed| failed.incarnation = failed.incarnation.map(|_| Incarnation::default()));
        }
        Fault::ResultsUnsorted => {
            replies.replies.reverse();
            replies.failed.reverse();
        }
        Fault::CorruptsReplies => {
            for reply in &mut replies.replies {
                let mut body = reply.reply.body.to_vec();
                body.iter_mut().for_each(|byte| *byte ^= 0x55);
                reply.reply.body = body.into();
            }
        }
        _ => {}
    }
    for failed in &mut replies.failed {
        let reason = match (state.fault, &failed.reason) {
            (Fault::DeadlineAsNodeDown, CallFailure::DeadlinePassed { sent }) => down(*sent),
            (Fault::NodeDownAsDeadline, CallFailure::NodeDown { sent }) => CallFailure::DeadlinePassed { sent: *sent },
            (Fault::WrongAboutSent, CallFailure::DeadlinePassed { sent }) => {
                CallFailure::DeadlinePassed { sent: !sent }
            }
            (Fault::WrongAboutSent, CallFailure::NodeDown { sent }) => down(!sent),
            (Fault::WrongAboutSent, CallFailure::NotLinked) => down(true),
            (Fault::OneReasonForAll, _) => CallFailure::DeadlinePassed { sent: true },
            (Fault::StoppedIsNoServer, CallFailure::ServerStopped) => CallFailure::NoSuchServer,
            (Fault::ForgetsSizes, CallFailure::RequestTooLarge { limit, .. }) => {
                CallFailure::RequestTooLarge { size: *limit, limit: *limit }
            }
            (Fault::ForgetsSizes, CallFailure::ReplyTooLarge { limit, .. }) => {
                CallFailure::ReplyTooLarge { size: *limit, limit: *limit }
            }
            _ => continue,
        };
        failed.reason = reason;
    }
}
