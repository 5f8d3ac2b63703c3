//! The verbs: from a caller's message to the lanes, and from the replies back to the caller.

use super::calls::{OpenCall, Outcome, Target};
use super::lane::{Entered, Lane, Refusal, To};
use super::roster::{LOCAL, Member, Roster};
use super::routes::Route;
use super::shared::Shared;
use crate::inbox::CallTag;
use crate::message::Encoded;
use crate::name::{NodeName, ServerName};
use crate::transport::{
    CallFailure, Failed, NotSent, Refused, Replies, Reply, SendError, Sent, Shutdown, StopReason, Targets, WhenFull,
};
use crate::wire::Prefix;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

impl From<Refusal> for SendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::Full,
            Refusal::Closed => Self::ShuttingDown,
        }
    }
}

/// Whom a message is for, fixed at the call: names in it that are not linked are `missing`.
struct Audience {
    roster: Arc<Roster>,
    /// `None`: everybody in the roster.
    some: Option<Vec<Member>>,
    /// Those of `some`, sorted.
    keys: Vec<u64>,
    missing: Vec<NodeName>,
}

impl Audience {
    fn of(lane: &Lane, targets: &Targets) -> Self {
        let roster = lane.roster();
        match targets {
            Targets::All => Self { roster, some: None, keys: Vec::new(), missing: Vec::new() },
            Targets::Nodes(names) => {
                let (members, missing) = roster.find(names);
                let mut keys: Vec<u64> = members.iter().map(|m| m.key).collect();
                keys.sort_unstable();
                Self { roster, some: Some(members), keys, missing }
            }
        }
    }

    fn members(&self) -> &[Member] {
        self.some.as_deref().unwrap_or(self.roster.members())
    }

    fn to(&self) -> To<'_> {
        if self.some.is_none() { To::Roster(&self.roster) } else { To::Keys(&self.keys) }
    }

    /// Who accepted, and who did not.
    fn sent(self, entered: &Entered) -> Sent {
        let mut refused: Vec<Refused> =
            self.missing.iter().map(|n| Refused { name: n.clone(), reason: NotSent::NotLinked }).collect();
        if let (None, Entered::All(roster)) = (&self.some, entered) {
            return Sent { accepted: Arc::clone(roster.nodes()), refused };
        }
        let mut accepted = Vec::new();
        for member in self.members() {
            if entered.has(member.key) {
                accepted.push(member.node.clone());
            } else {
                let reason = if entered.roster().has(member.key) { NotSent::Full } else { NotSent::NotLinked };
                refused.push(Refused { name: member.node.name.clone(), reason });
            }
        }
        refused.sort_by(|a, b| a.name.cmp(&b.name));
        Sent { accepted: accepted.into(), refused }
    }
}

impl Shared {
    fn check_size(&self, message: Encoded<'_>) -> Result<(), SendError> {
        let (size, limit) = (message.body.len(), self.limits.max_message);
        if size > limit { Err(SendError::TooLarge { size, limit }) } else { Ok(()) }
    }

    fn cast_prefix(route: &Route, server: &ServerName, message: Encoded<'_>) -> Prefix {
        Prefix::cast(message.kind, route.named.then_some(server))
    }

    pub(super) fn try_abcast(
        self: &Arc<Self>,
        targets: &Targets,
        server: &ServerName,
        message: Encoded<'_>,
        full: WhenFull,
    ) -> Result<Sent, SendError> {
        self.check_size(message)?;
        // The short way of most messages.
        if *targets == Targets::All
            && let Some(entered) = self.routes.with(server, |route| {
                let mut prefix = Self::cast_prefix(route, server, message);
                route.lane.try_send_all(prefix.finish(message.body.len()), message.body)
            })
            && let Some(accepted) = entered?
        {
            return Ok(Sent { accepted, refused: Vec::new() });
        }
        let route = self.route(server);
        let mut prefix = Self::cast_prefix(&route, server, message);
        let head = prefix.finish(message.body.len());
        let audience = Audience::of(&route.lane, targets);
        let entered = route.lane.try_send(audience.to(), head, message.body, full)?;
        Ok(audience.sent(&entered))
    }

    pub(super) async fn abcast(
        self: &Arc<Self>,
        targets: &Targets,
        server: &ServerName,
        message: Encoded<'_>,
    ) -> Result<Sent, SendError> {
        self.check_size(message)?;
        let route = self.route(server);
        let mut prefix = Self::cast_prefix(&route, server, message);
        let head = prefix.finish(message.body.len());
        let audience = Audience::of(&route.lane, targets);
        let entered = match route.lane.try_send(audience.to(), head, message.body, WhenFull::Refuse) {
            Err(Refusal::Full) => route.lane.send(audience.to(), head, message.body).await?,
            other => other?,
        };
        Ok(audience.sent(&entered))
    }

    pub(super) async fn multi_call(
        self: &Arc<Self>,
        targets: &Targets,
        server: &ServerName,
        request: Encoded<'_>,
        deadline: Duration,
    ) -> Replies {
        let started = self.common.started.elapsed();
        // A deadline beyond what the clock can say is as good as none.
        let until =
            Instant::now().checked_add(deadline).unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
        let route = self.route(server);
        let audience = Audience::of(&route.lane, targets);
        if let Err(SendError::TooLarge { size, limit }) = self.check_size(request) {
            return outcome_for_all(&audience, &CallFailure::RequestTooLarge { size, limit });
        }
        if audience.members().is_empty() {
            // Known without a turn among the calls (R3). Whoever asks again and again still lets others run.
            tokio::task::consume_budget().await;
            return results(Vec::new(), &audience.missing, |_| false);
        }
        let _turn = match self.turn(&audience, until).await {
            Ok(turn) => turn,
            Err(failure) => return outcome_for_all(&audience, &failure),
        };
        let call = Pending { shared: self, open: self.common.calls.open(audience.members().iter()) };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let deadline_us = micros(started.saturating_add(deadline));
        let left = until.saturating_duration_since(Instant::now());
        let tag = CallTag { id: call.open.id, deadline_us, timeout_us: micros(left) };
        let mut prefix = Prefix::call(request.kind, tag, route.named.then_some(server));
        let head = prefix.finish(request.body.len());
        let entered = match route.lane.try_send(audience.to(), head, request.body, WhenFull::Refuse) {
            Err(Refusal::Full) => wait_to_send(&route.lane, &audience, head, request.body, until).await,
            other => other.map(Some),
        };
        let has = |key: u64| matches!(&entered, Ok(Some(entered)) if entered.has(key));
        if !matches!(entered, Ok(None)) {
            // Whoever went down meanwhile, or all if this node shuts down, does not have it.
            for member in audience.members().iter().filter(|m| !has(m.key)) {
                self.common.calls.settle(call.open.id, member.key, Outcome::Down);
            }
        }
        // What is not known in time is the deadline's outcome.
        let _ = tokio::time::timeout_at(until, call.open.done()).await;
        results(call.finish(), &audience.missing, has)
    }

    /// Waits for a turn among the calls, while anybody is there who could answer: that nobody is left is known here (R3). Cancel safe.
    async fn turn(&self, audience: &Audience, until: Instant) -> Result<SemaphorePermit<'_>, CallFailure> {
        let permits = &self.common.calls.permits;
        if let Ok(turn) = permits.try_acquire() {
            return Ok(turn);
        }
        let mut changes = self.view.changes();
        let turn = tokio::time::timeout_at(until, permits.acquire());
        tokio::pin!(turn);
        loop {
            if !audience.members().iter().any(|m| m.key == LOCAL || self.session_of(m).is_some()) {
                return Err(CallFailure::NodeDown { sent: false });
            }
            tokio::select! {
                biased;
                turn = &mut turn => {
                    let turn = turn.ok().and_then(Result::ok);
                    return turn.ok_or(CallFailure::DeadlinePassed { sent: false });
                }
                // The sender lives in the view, as long as this node.
                _ = changes.changed() => {}
            }
        }
    }

    /// Why and how the node stopped, once it has.
    pub(super) async fn end(&self) -> (StopReason, Shutdown) {
        let mut stopped = self.stopped.subscribe();
        match stopped.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or((StopReason::Shutdown, Shutdown { flushed: false })),
            Err(_) => (StopReason::Shutdown, Shutdown { flushed: false }),
        }
    }
}

/// `None`: the deadline passed first, and nothing was sent.
async fn wait_to_send(
    lane: &Lane,
    audience: &Audience,
    head: &[u8],
    body: &[u8],
    until: Instant,
) -> Result<Option<Entered>, Refusal> {
    let Ok(ticket) = tokio::time::timeout_at(until, lane.queue(audience.to(), head, body)).await else {
        return Ok(None);
    };
    let mut ticket = ticket?;
    match tokio::time::timeout_at(until, ticket.entered()).await {
        Ok(entered) => entered.map(Some),
        Err(_) => Ok(ticket.withdraw()),
    }
}

/// A call whose caller may go away at any await: then the targets that have not answered are told (R5).
struct Pending<'a> {
    shared: &'a Shared,
    open: OpenCall,
}

impl Pending<'_> {
    fn finish(&self) -> Vec<Target> {
        let targets = self.open.close();
        let open = targets.iter().filter(|t| t.outcome.is_none());
        let members = open.map(|t| Member { node: t.node.clone(), key: t.key, slot: 0 });
        self.shared.cancel(self.open.id, members);
        targets
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

fn outcome_for_all(audience: &Audience, failure: &CallFailure) -> Replies {
    let targets = audience.members().iter().map(|m| Target {
        node: m.node.clone(),
        key: m.key,
        outcome: Some(Outcome::Failed(failure.clone())),
    });
    results(targets.collect(), &audience.missing, |_| false)
}

/// One outcome for each target, in the order of their names (R2).
fn results(targets: Vec<Target>, missing: &[NodeName], sent: impl Fn(u64) -> bool) -> Replies {
    let mut replies = Replies::default();
    for name in missing {
        let (name, reason) = (name.clone(), CallFailure::NotLinked);
        replies.failed.push(Failed { name, incarnation: None, reason });
    }
    for Target { node, key, outcome } in targets {
        let reason = match outcome {
            Some(Outcome::Reply(reply)) => {
                replies.replies.push(Reply { node, reply });
                continue;
            }
            Some(Outcome::Failed(reason)) => reason,
            Some(Outcome::Down) => CallFailure::NodeDown { sent: sent(key) },
            None => CallFailure::DeadlinePassed { sent: sent(key) },
        };
        replies.failed.push(Failed { name: node.name, incarnation: Some(node.incarnation), reason });
    }
    replies.failed.sort_by(|a, b| a.name.cmp(&b.name));
    replies
}
