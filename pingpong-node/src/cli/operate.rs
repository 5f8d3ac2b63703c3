//! A running node is asked, by its control socket.

use super::output::{BAD, DIM, GOOD, Outcome, complain, counted, say, say_json, size, styled, table};
use clap::{Args, Subcommand};
use pingpong_node::control::{
    AckLevel, Answer, CalledNode, Client, ClientError, CountsRead, FailureKind, LinkStatus, NodeStatus, RATES,
    ReadLevel, Reading, Request, SlotCount, ValueRead, WatchEvent, Worth,
};
use pingpong_node::{NodeName, ServerName};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Which node is asked, and how it is shown.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The node's control socket.
    #[arg(long, value_name = "PATH", env = "PINGPONG_CONTROL_SOCKET")]
    socket: PathBuf,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Operate {
    /// Says who a running node is, whether it is ready, and what it has counted. Fails if it is not ready.
    Status {
        #[command(flatten)]
        asked: Asked,
    },
    /// Lists a node's links: session, address, round trip, loss, what waits for the peer.
    Nodes {
        #[command(flatten)]
        asked: Asked,
    },
    /// Shows links as they come and go, a line each, until it is interrupted.
    Watch {
        #[command(flatten)]
        asked: Asked,
    },
    /// Pings all consumers of the cluster.
    ///
    /// It answers with the slot that counts them, NODE@EPOCH: the epoch is the node's incarnation when its store was created. Pings that
    /// are counted, and that no majority has confirmed in time, must not be sent again: `confirm` asks for them.
    ///
    /// Before its first ping a node with a data directory asks the others what they have seen of its store: a round trip, or 2 s if one is silent.
    Ping {
        /// How many pings.
        #[arg(value_name = "COUNT", default_value_t = 1)]
        count: u64,
        /// Pings a second; without it all at once.
        #[arg(long, value_name = "R", value_parser = rate)]
        rate: Option<f64>,
        /// What must be certain of them before they are answered: the more, the longer it takes.
        #[arg(long, value_name = "LEVEL", value_enum, default_value_t = AckLevel::Local)]
        ack: AckLevel,
        /// How long to wait for a majority.
        #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
        deadline: Duration,
        #[command(flatten)]
        asked: Asked,
    },
    /// Waits until a majority of the members has pings that were counted, and all before them. Ends with 3 if they do not say so in time; it may
    /// be asked again and again, and counts nothing.
    Confirm {
        /// What `ping` said: the slot that counts them.
        #[arg(value_name = "NODE@EPOCH", value_parser = slot)]
        slot: (NodeName, String),
        /// The number of the last of them.
        count: u64,
        /// How long to wait for a majority.
        #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
        deadline: Duration,
        #[command(flatten)]
        asked: Asked,
    },
    /// Lets a member vote that has lost its store and cannot recover, since too many others have lost theirs.
    ///
    /// A member that starts on an empty store asks a majority of the others what it may have said before, and does not vote until they have
    /// answered. If a majority of all stores is lost at once, they wait for each other for ever: only a person can know that the stores will
    /// not come back. What only they had is gone then, also pings that a majority had acknowledged. Give it on as few members as it takes;
    /// the rest recover from them.
    Recover {
        /// Yes: what only lost stores had is gone.
        #[arg(long, required = true)]
        accept_loss: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Asks every linked consumer what it has counted, and fails if one does not answer; or, with a level, gives one answer and what it is worth.
    Counts {
        /// Who is asked, and so what the answer is worth, and costs. It says from whom it is, who is missing, as of when, and whether exact.
        #[arg(long, value_name = "LEVEL", value_enum)]
        read: Option<ReadLevel>,
        /// How long to wait for the answers.
        #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
        deadline: Duration,
        #[command(flatten)]
        asked: Asked,
    },
    /// Resets the link with a node: what was on its way may be lost, and the link comes back.
    Disconnect {
        /// The node.
        node: NodeName,
        #[command(flatten)]
        asked: Asked,
    },
    /// Resets the link with a node and forgets its addresses: neither side dials again, unless one is the other's seed.
    Forget {
        /// The node.
        node: NodeName,
        #[command(flatten)]
        asked: Asked,
    },
    /// For tests: cuts a node off from another one, silently, until `heal`. This build is not for a cluster that serves anybody.
    #[cfg(feature = "faults")]
    Partition {
        /// The other node.
        node: NodeName,
        #[command(flatten)]
        asked: Asked,
    },
    /// For tests: ends what `partition` began.
    #[cfg(feature = "faults")]
    Heal {
        /// The other node.
        node: NodeName,
        #[command(flatten)]
        asked: Asked,
    },
    /// Calls a server that takes JSON on all nodes, or on some, and shows each answer. Fails if one node fails.
    ///
    /// `call consumer '"Counts"'` asks the consumers for their counts.
    Call {
        /// The server.
        server: ServerName,
        /// The request.
        #[arg(value_name = "JSON", value_parser = json)]
        request: Value,
        /// The nodes to call, apart by commas.
        #[arg(long, value_name = "NODE,...", value_delimiter = ',')]
        nodes: Option<Vec<NodeName>>,
        /// How long to wait for the answers.
        #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
        deadline: Duration,
        #[command(flatten)]
        asked: Asked,
    },
    /// Asks a node to hand over what it has sent, say goodbye, and end.
    Stop {
        #[command(flatten)]
        asked: Asked,
    },
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}; a text stands in quotes, as in '\"text\"'"))
}

fn slot(text: &str) -> Result<(NodeName, String), String> {
    let (node, epoch) = text.split_once('@').ok_or("it is NODE@EPOCH, as `ping` says it")?;
    Ok((NodeName::new(node).map_err(|error| error.to_string())?, epoch.to_owned()))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().map_err(|error| error.to_string())?;
    let words = || format!("allowed are {} to {} pings a second", RATES.start(), RATES.end());
    if RATES.contains(&rate) { Ok(rate) } else { Err(words()) }
}

/// Asks, and shows the answer.
pub(super) fn run(operate: Operate) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime cannot be started: {error}; close other programs")).into(),
    };
    let outcome = runtime.block_on(ask(operate));
    outcome.unwrap_or_else(|error| failed(&error)).into()
}

fn failed(error: &ClientError) -> Outcome {
    complain(error);
    match error {
        ClientError::Unreachable { .. } => Outcome::Unreachable,
        ClientError::Failed(failure) if failure.kind == FailureKind::Unknown => Outcome::Unknown,
        _ => Outcome::Failed,
    }
}

async fn ask(operate: Operate) -> Result<Outcome, ClientError> {
    let millis = |deadline: Duration| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
    let (asked, request) = match operate {
        Operate::Status { asked } => (asked, Request::Status {}),
        Operate::Nodes { asked } => (asked, Request::Nodes {}),
        Operate::Watch { asked } => return watch(&asked).await,
        Operate::Ping { count, rate, ack, deadline, asked } => {
            return ping(&asked, Request::Ping { count, rate, ack, deadline_ms: Some(millis(deadline)) }).await;
        }
        Operate::Confirm { slot: (node, epoch), count, deadline, asked } => {
            (asked, Request::Confirm { slot: SlotCount { node, epoch, count }, deadline_ms: millis(deadline) })
        }
        Operate::Recover { accept_loss: _, asked } => (asked, Request::AcceptLoss {}),
        Operate::Counts { read, deadline, asked } => (asked, Request::Counts { deadline_ms: millis(deadline), read }),
        Operate::Disconnect { node, asked } => (asked, Request::Disconnect { node }),
        Operate::Forget { node, asked } => (asked, Request::Forget { node }),
        #[cfg(feature = "faults")]
        Operate::Partition { node, asked } => {
            complain(&format!("warning: nothing comes from {node}, and nothing goes there, until `heal {node}`"));
            (asked, Request::Partition { node })
        }
        #[cfg(feature = "faults")]
        Operate::Heal { node, asked } => (asked, Request::Heal { node }),
        Operate::Call { server, request, nodes, deadline, asked } => {
            (asked, Request::Call { server, request, nodes, deadline_ms: millis(deadline) })
        }
        Operate::Stop { asked } => (asked, Request::Stop {}),
    };
    let answer = Client::ask(&asked.socket, &request).await?.only().await?;
    Ok(show(&answer, asked.json))
}

/// Shows an answer; it has failed if it says so.
fn show(answer: &Answer, json: bool) -> Outcome {
    let (said, ok) = match answer {
        Answer::Status(status) => (if json { say_json(status) } else { say(&of_status(status)) }, status.ready),
        Answer::Nodes(links) => (if json { say_json(links) } else { say(&of_links(links)) }, true),
        Answer::Event(event) => (if json { say_json(event) } else { say(&of_event(event)) }, true),
        Answer::Counts(reading) => {
            let ok = reading.failed.is_empty();
            (if json { say_json(reading) } else { say(&of_counts(reading)) }, ok)
        }
        Answer::Called(nodes) => {
            let ok = nodes.iter().all(|node| node.failure.is_none());
            (if json { say_json(nodes) } else { say(&of_called(nodes)) }, ok)
        }
        Answer::Done { known: true } => (if json { say_json(answer) } else { say("done\n") }, true),
        Answer::Done { known: false } => (
            if json {
                say_json(answer)
            } else {
                complain(&"that node is not linked, or not known, there; `nodes` says who is linked")
            },
            false,
        ),
        Answer::Pinged { pings, slot, .. } => {
            let text = match slot {
                Some(slot) => format!("{}; {} by now\n", counted(*pings, "ping"), of_slot(slot)),
                None if *pings > 0 => format!("{} wait to be counted\n", counted(*pings, "ping")),
                None => "no ping\n".to_owned(),
            };
            (if json { say_json(answer) } else { say(&text) }, true)
        }
        Answer::Unconfirmed { slot, have, need, .. } => {
            let words = format!(
                "counted, {}; {have} of the {need} members that it needs have said that they have it; do not ping again: \
                 pingpong-node confirm {}@{} {}",
                of_slot(slot),
                slot.node,
                slot.epoch,
                slot.count
            );
            if json {
                say_json(answer);
            }
            complain(&words);
            return Outcome::Unknown;
        }
        Answer::Confirmed(slot) => {
            (if json { say_json(slot) } else { say(&format!("a majority has {}\n", of_slot(slot))) }, true)
        }
        Answer::Read(read) => (if json { say_json(read) } else { say(&of_read(read)) }, true),
        Answer::Accepted(from) => {
            let from: Vec<&str> = from.iter().map(NodeName::as_str).collect();
            let text = if from.is_empty() {
                "it votes, with what it has alone\n".to_owned()
            } else {
                format!("it votes, with what it has and took over from {}\n", from.join(", "))
            };
            (if json { say_json(answer) } else { say(&text) }, true)
        }
        Answer::Stopping {} => (if json { say_json(answer) } else { say("it leaves the cluster\n") }, true),
        // A client makes an error of it.
        Answer::Failed(failure) => return complain(failure),
    };
    if ok { said } else { Outcome::Failed }
}

async fn watch(asked: &Asked) -> Result<Outcome, ClientError> {
    let mut client = Client::ask(&asked.socket, &Request::Watch {}).await?;
    while let Some(answer) = client.next().await? {
        if show(&answer, asked.json) != Outcome::Done {
            return Ok(Outcome::Failed);
        }
    }
    // It ends with the node, or the connection.
    Ok(complain(&"the node has stopped"))
}

async fn ping(asked: &Asked, request: Request) -> Result<Outcome, ClientError> {
    let mut client = Client::ask(&asked.socket, &request).await?;
    loop {
        let answer = match client.next().await {
            Ok(Some(answer)) => answer,
            Ok(None) => break,
            // It was asked, and may have done it.
            Err(error @ (ClientError::Protocol { .. } | ClientError::Ended { .. })) => {
                complain(&error);
                return Ok(Outcome::Unknown);
            }
            Err(error) => return Err(error),
        };
        match &answer {
            Answer::Pinged { done: false, pings, .. } => {
                use std::io::Write;
                // For whoever waits; it is no part of the result.
                let _ = writeln!(anstream::stderr(), "{}", styled(DIM, format!("{pings} so far")));
            }
            answer => return Ok(show(answer, asked.json)),
        }
    }
    complain(&"the node ended the connection before all pings were counted; `counts` says how many are");
    Ok(Outcome::Unknown)
}

fn of_status(status: &NodeStatus) -> String {
    let ready = if status.ready { styled(GOOD, "ready") } else { styled(BAD, "not ready") };
    let mut text = format!(
        "{}@{} of cluster {}: {ready}, {}\nlistening at {}, told to others: {}\ncertificate holds until {}\n",
        status.node,
        status.incarnation,
        status.cluster,
        counted(status.links as u64, "link"),
        status.listen,
        if status.advertise.is_empty() { "nothing".to_owned() } else { status.advertise.join(", ") },
        pingpong_node::quic::date(status.certificate_expires),
    );
    if let Some(store) = &status.store {
        let standing = match (store.member, store.recovering) {
            (true, true) => styled(BAD, "a member that recovers, and does not vote"),
            (true, false) => "a member".to_owned(),
            (false, _) => "no member".to_owned(),
        };
        let first = if store.first { ", its first" } else { "" };
        text +=
            &format!("store of epoch {}{first}: {}; {standing}\n", store.epoch, counted(store.slots as u64, "slot"));
    }
    let counted = status.counters.iter().filter(|(_, count)| **count > 0);
    let rows: Vec<Vec<String>> = counted.map(|(name, count)| vec![name.clone(), count.to_string()]).collect();
    if !rows.is_empty() {
        text += &table(&["counted instead of delivered", ""], rows);
    }
    text
}

fn of_links(links: &[LinkStatus]) -> String {
    let rows = links.iter().map(|link| {
        let loss = 100.0 * link.lost_packets as f64 / link.sent_packets.max(1) as f64;
        vec![
            link.node.to_string(),
            link.incarnation.clone(),
            link.session.clone(),
            link.address.clone(),
            humantime::format_duration(Duration::from_secs(link.age_ms / 1_000)).to_string(),
            link.round_trip_us.map_or_else(|| "-".to_owned(), |micros| format!("{:.3} ms", micros as f64 / 1_000.0)),
            format!("{loss:.2} %"),
            size(link.queued_bytes),
        ]
    });
    table(&["node", "incarnation", "session", "address", "up", "round trip", "loss", "queued"], rows)
}

fn of_event(event: &WatchEvent) -> String {
    let WatchEvent { node, incarnation, skipped, .. } = event;
    let skipped =
        if *skipped > 0 { format!(" ({} before it folded)", counted(*skipped, "event")) } else { String::new() };
    match &event.reason {
        None => format!("{} {node}@{incarnation}{skipped}\n", styled(GOOD, "up  ")),
        Some(reason) => format!("{} {node}@{incarnation}: {reason}{skipped}\n", styled(BAD, "down")),
    }
}

fn of_counts(reading: &Reading) -> String {
    let producers: BTreeSet<&NodeName> = reading.consumers.iter().flat_map(|consumer| consumer.pings.keys()).collect();
    let head: Vec<&str> =
        ["consumer"].into_iter().chain(producers.iter().map(|name| name.as_str())).chain(["total"]).collect();
    let rows = reading.consumers.iter().map(|consumer| {
        let pings = producers.iter().map(|name| consumer.pings.get(*name).copied().unwrap_or_default().to_string());
        [consumer.node.to_string()].into_iter().chain(pings).chain([consumer.total.to_string()]).collect()
    });
    let mut text = table(&head, rows.collect::<Vec<_>>());
    for (node, reason) in &reading.failed {
        text += &format!("{node}: {}\n", styled(BAD, reason));
    }
    text
}

fn of_slot(slot: &SlotCount) -> String {
    format!("{} of {}@{}", slot.count, slot.node, slot.epoch)
}

const fn of_worth(worth: Worth) -> &'static str {
    match worth {
        Worth::AtLeast => "at least",
        Worth::Exact => "exact",
        Worth::Agreed => "a majority agrees",
        Worth::OneInstant => "at one instant",
    }
}

fn of_read(read: &CountsRead) -> String {
    let has_age = read.values.iter().any(|value| value.worth == Worth::AtLeast);
    let heard = |value: &ValueRead| match (value.worth, value.heard_ms) {
        (Worth::AtLeast, None) => "not in this life".to_owned(),
        (Worth::AtLeast, Some(millis)) if millis > 0 => {
            format!("{} ago", humantime::format_duration(Duration::from_secs(millis.div_ceil(1_000))))
        }
        _ => "now".to_owned(),
    };
    let rows = read.values.iter().map(|value| {
        let mut row = vec![value.node.to_string(), value.pings.to_string(), of_worth(value.worth).to_owned()];
        row.extend(has_age.then(|| heard(value)));
        row
    });
    let mut total = vec!["total".to_owned(), read.total.to_string(), of_worth(read.worth).to_owned()];
    total.extend(has_age.then(String::new));
    let head: &[&str] = if has_age { &["producer", "pings", "", "heard of"] } else { &["producer", "pings", ""] };
    let mut text = table(head, rows.chain([total]).collect::<Vec<_>>());
    if read.recovering {
        text += &format!("{}\n", styled(BAD, "this node has lost its store, and has not recovered yet"));
    }
    let list = |names: &[NodeName]| names.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
    let (from, missing) = match read.level {
        ReadLevel::Local => ("from this node alone", "did not answer"),
        ReadLevel::Fresh => ("from all who answered", "did not answer"),
        ReadLevel::Majority | ReadLevel::Snapshot => ("from members that hold it", "members that cannot be reached"),
    };
    text += &format!("{from}: {}\n", if read.from.is_empty() { "nobody".to_owned() } else { list(&read.from) });
    if !read.missing.is_empty() {
        text += &format!("{missing}: {}\n", styled(BAD, list(&read.missing)));
    }
    text + &styled(DIM, format!("{}\n", as_of(read)))
}

/// When the numbers were so.
fn as_of(read: &CountsRead) -> String {
    let took = read.took_ms;
    match read.level {
        ReadLevel::Local => "what this node has heard; of a producer that is linked it may still be behind".to_owned(),
        ReadLevel::Fresh if read.worth == Worth::Exact => {
            format!("as of an instant within the read, which took {took} ms; the total as well")
        }
        ReadLevel::Fresh => format!(
            "what is exact: as of an instant within the read, which took {took} ms; what is at least so much may be behind"
        ),
        ReadLevel::Majority => format!(
            "each number, and the total, as of an instant of its own within the read, which took {took} ms; `--read snapshot` gives all of one"
        ),
        ReadLevel::Snapshot => format!("all as of one instant within the read, which took {took} ms"),
    }
}

fn of_called(nodes: &[CalledNode]) -> String {
    let mut text = String::new();
    for node in nodes {
        let answer = match (&node.reply, &node.failure) {
            (Some(reply), _) => reply.to_string(),
            (None, failure) => styled(BAD, failure.as_deref().unwrap_or("no answer")),
        };
        text += &format!("{}: {answer}\n", node.node);
    }
    text
}
