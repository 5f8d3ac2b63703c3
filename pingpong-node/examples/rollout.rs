//! A configuration for a whole fleet: given to every node, until each has answered or the time is over.
//!
//! `cargo run -p pingpong-node --example rollout -- mem` (or `quic`)
//!
//! The roll-out asks with `multi_call`: each node that was named is in the result exactly once (R2), with its answer or with the reason
//! why there is none. A node is asked by its name, not by "all": one that is not there is then a failure, not an omission.
//!
//! What becomes of a request whose link went `Down` nobody can know: it may have run, or not. So a request here may be asked twice:
//! it carries a revision, and a node that has it says so again. What cannot get better by asking again (`not allowed`, `not decodable`)
//! is left to a person at once; for a node that is not linked the roll-out waits until it comes up.
//!
//! A node that comes after the roll-out has not got it: roll the same revision out once more when one comes up.
#![allow(clippy::print_stdout, reason = "it is a program")]

use pingpong_node::message::{Never, Unencodable};
use pingpong_node::server::spawn;
use pingpong_node::{
    CallFailure, Context, Node, NodeEvents, NodeName, Server, ServerHandle, ServerName, SpawnOptions, Targets,
    Transport, TransportExt, dev, message, request,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How long one attempt may take, and how long to wait for news before the next one.
const ATTEMPT: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Settings {
    revision: u64,
    workers: u32,
}
request!(Settings => Answer, id = 1, version = 0);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Answer {
    /// This revision is in force, since now or before.
    InForce(u64),
    /// The node keeps what it has; the words say why.
    Refused(String),
}
message!(Answer, id = 2, version = 0);

/// Takes the settings of its node. They outlive it in the channel: a server that crashed goes on with them.
struct Agent(watch::Sender<Settings>);

impl Agent {
    fn spawn(node: &Arc<dyn Transport>, agent: &ServerName) -> Result<ServerHandle, Box<dyn std::error::Error>> {
        let settings = watch::Sender::new(Settings::default());
        let factory = move || Self(settings.clone());
        Ok(spawn(Arc::clone(node), agent.clone(), factory, SpawnOptions::default())?)
    }
}

impl Server for Agent {
    type Cast = Never;
    type Call = Settings;
    type Info = ();

    async fn cast(&mut self, _: &Node, message: Never, _: &mut Context<Self>) {
        match message {}
    }

    async fn call(&mut self, _: &Node, settings: Settings, _: &mut Context<Self>) -> Answer {
        if settings.workers == 0 {
            return Answer::Refused("0 workers do no work; ask for 1 at least".to_owned());
        }
        // An older roll-out that is late changes nothing: the greater revision holds.
        self.0.send_if_modified(|own| {
            let is_newer = settings.revision > own.revision;
            if is_newer {
                *own = settings;
            }
            is_newer
        });
        Answer::InForce(self.0.borrow().revision)
    }
}

/// What came of it: each node of the fleet is in it once.
type Report = BTreeMap<NodeName, Outcome>;

#[derive(Debug)]
enum Outcome {
    /// It has this revision: the one of the roll-out, or a newer one.
    Has(u64),
    /// It said no.
    Refused(String),
    /// It did not answer; this was the reason the last time. Unless it `was_sent`, the node does not have it; else it may.
    Unanswered(CallFailure),
}

/// Whether asking again may help, without anybody doing something. Asking again does no harm here, whatever became of the first time.
fn may_change(reason: &CallFailure) -> bool {
    match reason {
        // It is away, and may come back; or its server is being restarted, or is not there yet; or it is slow.
        CallFailure::NotLinked
        | CallFailure::NodeDown { .. }
        | CallFailure::NoSuchServer
        | CallFailure::ServerStopped
        | CallFailure::DeadlinePassed { .. } => true,
        // An allow list, a version, a limit: somebody must change it first.
        _ => false,
    }
}

/// Asks every node of the fleet, again and again, until each has answered or `within` is over.
///
/// Cancel safe: dropped, it asks nobody any more; whoever has it keeps it, and the next roll-out finds out who.
async fn roll_out(
    node: &dyn Transport,
    agent: &ServerName,
    fleet: &[NodeName],
    settings: &Settings,
    within: Duration,
) -> Result<Report, Unencodable> {
    let deadline = Instant::now() + within;
    let mut events = node.monitor();
    let (mut report, mut open) = (Report::new(), fleet.to_vec());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let asked = Targets::Nodes(std::mem::take(&mut open));
        let answers = node.call(&asked, agent, settings, left.min(ATTEMPT)).await?;
        for answer in answers.replies {
            let outcome = match answer.reply {
                Answer::InForce(revision) => Outcome::Has(revision),
                Answer::Refused(words) => Outcome::Refused(words),
            };
            report.insert(answer.node.name, outcome);
        }
        for failed in answers.failed {
            if may_change(&failed.reason) {
                open.push(failed.name.clone());
            }
            report.insert(failed.name, Outcome::Unanswered(failed.reason));
        }
        if !open.is_empty() {
            news(&mut events, &open, deadline.min(Instant::now() + AGAIN)).await;
        }
        if open.is_empty() || Instant::now() >= deadline {
            return Ok(report);
        }
    }
}

/// Waits until one of them comes up, at most until then.
async fn news(events: &mut NodeEvents, of: &[NodeName], until: Instant) {
    let comes_up = async {
        while let Some(event) = events.next().await {
            if event.is_up() && of.contains(&event.node.name) {
                return;
            }
        }
        std::future::pending::<()>().await; // this node has stopped: its calls fail from now on
    };
    // Over, and nobody came: somebody may be slow, so it is asked again.
    let _ = timeout_at(until, comes_up).await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kind = std::env::args().nth(1).map_or(Ok(dev::Kind::default()), |kind| kind.parse())?;
    let cluster = dev::Cluster::start_on(kind, ["a", "b", "c"]).await?;
    let agent = ServerName::new("agent")?;
    let _agents = cluster.nodes().map(|node| Agent::spawn(node, &agent)).collect::<Result<Vec<_>, _>>()?;
    // One that is not there belongs to the fleet all the same.
    let fleet = ["a", "b", "c", "d"].into_iter().map(NodeName::new).collect::<Result<Vec<_>, _>>()?;
    let settings = Settings { revision: 1, workers: 4 };
    for (name, outcome) in roll_out(&**cluster.node("a")?, &agent, &fleet, &settings, Duration::from_secs(1)).await? {
        match outcome {
            Outcome::Has(revision) => println!("{name} has revision {revision}"),
            Outcome::Refused(words) => println!("{name} keeps what it has: {words}"),
            Outcome::Unanswered(reason) if reason.was_sent() => println!("{name} may have it or not: {reason}"),
            Outcome::Unanswered(reason) => println!("{name} does not have it: {reason}"),
        }
    }
    cluster.shutdown().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/rollout.rs"]
mod tests;
