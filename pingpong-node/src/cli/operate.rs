//! A running node is asked, by its control socket.

use super::answers::show;
use super::output::{DIM, Outcome, complain, styled};
use clap::{Args, Subcommand};
use pingpong_node::control::{
    AckLevel, Answer, Client, ClientError, FailureKind, RATES, ReadLevel, Request, SlotCount,
};
use pingpong_node::{NodeName, ServerName};
use serde_json::Value;
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
