//! The process of a node, as the demo holds it.

use super::child::{Files, NodeOptions};
use super::deadline::within;
use super::error::DemoError;
use super::protocol::{Answer, Order, line};
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

/// An answer that has been waited for this long when a step ends is why the step has ended.
const SILENT: Duration = Duration::from_secs(1);
/// How long a process that has closed its pipe may take to end.
const ENDING: Duration = Duration::from_secs(1);

/// A running process. Dropping it kills it.
pub(crate) struct Process {
    name: String,
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// What it was told and has not answered, and since when.
    told: Option<(&'static str, Instant)>,
}

impl Process {
    /// Starts a process; its node has not started yet. What it writes to its standard error is added to its log.
    pub(crate) fn spawn(options: &NodeOptions) -> Result<Self, DemoError> {
        let name = options.name.clone();
        let path = Files::of(&options.dir, &name).log;
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.map_err(|error| DemoError::File { path, error })?;
        let system = |error| DemoError::System {
            what: format!("the process of node {name} cannot be started"),
            error,
            remedy: "close other programs, or try fewer nodes",
        };
        let mut command = Command::new(std::env::current_exe().map_err(system)?);
        command.arg("demo-node").arg("--name").arg(&name).arg("--dir").arg(&options.dir);
        command.arg("--listen").arg(options.listen.to_string()).arg("--advertise").arg(&options.advertise);
        for seed in &options.seed {
            command.arg("--seed").arg(seed);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        // Ctrl-C on the terminal is for the demo, which then ends its nodes.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(system)?;
        let no_pipe = || DemoError::own("the process of a node")("it has no pipe".to_owned());
        let orders = child.stdin.take().ok_or_else(no_pipe)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(no_pipe)?).lines();
        Ok(Self { name, child, orders, answers, told: None })
    }

    /// Waits until the node has started, and says where it listens.
    pub(crate) async fn started(&mut self) -> Result<SocketAddr, DemoError> {
        self.told = Some(("start", Instant::now()));
        match self.answer("start").await? {
            Answer::Started(address) => Ok(address),
            answer => Err(self.unexpected(&answer)),
        }
    }

    /// Gives an order, and waits for the answer.
    pub(crate) async fn ask(&mut self, what: &'static str, order: &Order) -> Result<Answer, DemoError> {
        self.told = Some((what, Instant::now()));
        let words = line(order).map_err(|error| DemoError::own("an order")(error.to_string()))?;
        if self.orders.write_all(words.as_bytes()).await.is_err() {
            return Err(self.gone().await);
        }
        self.answer(what).await
    }

    async fn answer(&mut self, what: &'static str) -> Result<Answer, DemoError> {
        let Ok(Some(text)) = self.answers.next_line().await else { return Err(self.gone().await) };
        self.told = None;
        match serde_json::from_str(&text) {
            Ok(Answer::Failed(words)) => Err(DemoError::node(&self.name, what, words)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(DemoError::Line {
                node: self.name.clone(),
                words: error.to_string(),
                line: text.chars().take(80).collect(),
            }),
        }
    }

    /// The error for an answer that goes with another order.
    pub(crate) fn unexpected(&self, answer: &Answer) -> DemoError {
        let words = "it is not the answer to what was asked".to_owned();
        DemoError::Line { node: self.name.clone(), words, line: format!("{answer:?}").chars().take(80).collect() }
    }

    /// Whether it has been waited for long, as an error.
    pub(crate) fn silent(&self) -> Option<DemoError> {
        let (what, told) = self.told?;
        let since = told.elapsed();
        (since >= SILENT).then(|| DemoError::Silent { node: self.name.clone(), what, since })
    }

    async fn gone(&mut self) -> DemoError {
        let how = match within(ENDING, self.child.wait()).await {
            Some(Ok(status)) => status.to_string(),
            Some(Err(error)) => error.to_string(),
            None => "it closed its pipe, and still runs".to_owned(),
        };
        DemoError::Gone { node: self.name.clone(), how }
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> Result<(), DemoError> {
        // One that has ended by itself, and was waited for, has no id any more.
        if self.child.id().is_none() {
            return Ok(());
        }
        self.child.kill().await.map_err(|error| DemoError::System {
            what: format!("the process of node {} cannot be killed", self.name),
            error,
            remedy: "look for it with `ps`, and end it",
        })
    }
}
