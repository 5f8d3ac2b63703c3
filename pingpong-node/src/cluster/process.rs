//! The process of a node, as this program holds it.

use super::log::Log;
use super::protocol::{Answer, Order, Protocol, line};
use super::{ClusterError, within};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// An answer that has been waited for this long when a step ends is why the step has ended.
const SILENT: Duration = Duration::from_secs(1);
/// How long a process that has closed its pipe may take to end, and its last words to arrive.
const ENDING: Duration = Duration::from_secs(1);

/// A running process. Dropping it kills it.
pub(crate) struct Process<P> {
    name: String,
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// What it was told and has not answered, and since when.
    told: Option<(&'static str, Instant)>,
    /// The task that follows its log.
    log: JoinSet<()>,
    protocol: PhantomData<fn() -> P>,
}

/// What is run. It is found once, and stays the same when the file is replaced meanwhile.
pub(crate) fn program() -> Result<PathBuf, ClusterError> {
    if cfg!(target_os = "linux") {
        // The very program that runs here, even if its file is gone.
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    std::env::current_exe().map_err(ClusterError::system("the path of this program is not known"))
}

impl<P: Protocol> Process<P> {
    /// Starts a process; its node starts when it is told to.
    pub(crate) fn spawn(program: &Path, name: &str, log: &Log) -> Result<Self, ClusterError> {
        let mut command = Command::new(program);
        command.arg(P::NODE).arg("--name").arg(name).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        // Ctrl-C on the terminal is for this program, which then ends its nodes.
        command.process_group(0).arg0("pingpong-node");
        let refused = ClusterError::system(format!("the process of node {name} cannot be started"));
        let mut child = command.spawn().map_err(refused)?;
        let no_pipe = || ClusterError::own("the process of a node")("it has no pipe".to_owned());
        let orders = child.stdin.take().ok_or_else(no_pipe)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(no_pipe)?).lines();
        let mut follow = JoinSet::new();
        follow.spawn(log.clone().follow(child.stderr.take().ok_or_else(no_pipe)?));
        Ok(Self { name: name.to_owned(), child, orders, answers, told: None, log: follow, protocol: PhantomData })
    }

    /// Gives an order, and does not wait for the answer, which is the next thing to wait for.
    pub(crate) async fn tell(
        &mut self,
        what: &'static str,
        order: &Order<P::Start, P::Order>,
    ) -> Result<(), ClusterError> {
        self.told = Some((what, Instant::now()));
        let words = line(order).map_err(|error| ClusterError::own("an order")(error.to_string()))?;
        if self.orders.write_all(words.as_bytes()).await.is_err() {
            return Err(self.gone().await);
        }
        Ok(())
    }

    /// Waits for the answer to the last order.
    pub(crate) async fn answer(&mut self) -> Result<Answer<P::Said>, ClusterError> {
        let Ok(Some(text)) = self.answers.next_line().await else { return Err(self.gone().await) };
        self.told = None;
        match serde_json::from_str(&text) {
            Ok(Answer::Failed(words)) => Err(ClusterError::Told(words)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(ClusterError::Line {
                node: self.name.clone(),
                words: error.to_string(),
                line: text.chars().take(80).collect(),
            }),
        }
    }

    /// The error for an answer that goes with another order.
    pub(crate) fn unexpected(&self, answer: &Answer<P::Said>) -> ClusterError {
        let words = "it is not the answer to what was asked".to_owned();
        ClusterError::Line { node: self.name.clone(), words, line: format!("{answer:?}").chars().take(80).collect() }
    }

    /// Whether it has been waited for long, as an error.
    pub(crate) fn silent(&self) -> Option<ClusterError> {
        let (what, told) = self.told?;
        let since = told.elapsed();
        (since >= SILENT).then(|| ClusterError::Silent { node: self.name.clone(), what, since })
    }

    /// Waits until the process has ended, which it should not by itself. Cancel safe.
    pub(crate) async fn ended(&mut self) -> ClusterError {
        // `gone` says how, also if the system does not want to tell.
        let _ = self.child.wait().await;
        self.gone().await
    }

    async fn gone(&mut self) -> ClusterError {
        let how = match within(ENDING, self.child.wait()).await {
            Some(Ok(status)) => status.to_string(),
            Some(Err(error)) => error.to_string(),
            None => "it closed its pipe, and still runs".to_owned(),
        };
        within(ENDING, self.log.join_next()).await;
        ClusterError::Gone { node: self.name.clone(), how }
    }

    /// `kill -9`, without waiting.
    pub(crate) fn start_kill(&mut self) -> Result<(), ClusterError> {
        // One that has ended by itself, and was waited for, has no id any more.
        if self.child.id().is_none() {
            return Ok(());
        }
        self.child
            .start_kill()
            .map_err(ClusterError::system(format!("the process of node {} cannot be killed", self.name)))
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> Result<(), ClusterError> {
        self.start_kill()?;
        let failed = ClusterError::system(format!("the end of the process of node {} cannot be waited for", self.name));
        self.child.wait().await.map(drop).map_err(failed)
    }
}
