//! The program under test. It is killed when it is dropped, and nothing is waited for without a deadline.

use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// A wait that takes longer shows that something hangs.
pub(crate) const LONG: Duration = Duration::from_secs(120);
/// Tells the processes of one test, nodes included, from all others.
pub(crate) const MARK: &str = "PINGPONG_TEST_MARK";

pub(crate) const PATH: &str = env!("CARGO_BIN_EXE_pingpong-node");

/// Must be ready before long.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.unwrap_or_else(|_| panic!("it hangs: {what}"))
}

/// The demo with these arguments, patient enough for a machine that runs other tests as well.
pub(crate) fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(PATH);
    command.arg("demo").args(arguments);
    if !arguments.contains(&"--patience") {
        command.args(["--patience", "60"]);
    }
    command
}

/// A running program.
pub(crate) struct Program {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
    errors: Option<ChildStderr>,
    /// What it has said so far.
    said: String,
    temporary: TempDir,
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Program {
    /// Its output and its errors are read here.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        Self::start_with_output(command)
    }

    /// Its output goes where the command says.
    pub(crate) fn start_with_output(mut command: Command) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let set = command.as_std().get_envs().any(|(name, _)| name == "TMPDIR");
        if !set {
            command.env("TMPDIR", temporary.path());
        }
        command.env(MARK, temporary.path()).env_remove("NO_COLOR");
        command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = child.stdout.take().map(|output| BufReader::new(output).lines());
        let errors = child.stderr.take();
        Self { child, lines, errors, said: String::new(), temporary }
    }

    /// Waits until it has ended, and checks that it has left no files.
    pub(crate) async fn ended(mut self) -> Ended {
        let mut ended = Ended { code: None, output: std::mem::take(&mut self.said), errors: String::new() };
        let output = async {
            while let Some(lines) = &mut self.lines {
                match lines.next_line().await.unwrap() {
                    Some(line) => ended.output += &(line + "\n"),
                    None => break,
                }
            }
        };
        let errors = async {
            if let Some(errors) = &mut self.errors {
                errors.read_to_string(&mut ended.errors).await.unwrap();
            }
        };
        let ((), (), status) = soon("its end", async { tokio::join!(output, errors, self.child.wait()) }).await;
        ended.code = status.unwrap().code();
        // Nobody cleans up after one that was killed.
        let is_clean = std::fs::read_dir(self.temporary.path()).unwrap().next().is_none();
        assert!(is_clean || ended.code.is_none(), "it has left files");
        ended
    }
}

#[cfg(all(feature = "quic", target_os = "linux"))]
mod processes {
    use super::{LONG, MARK, Program, soon};
    use std::path::PathBuf;
    use std::time::Duration;
    use tokio::process::Command;
    use tokio::time::{Instant, sleep};

    /// How often is looked where nothing tells of a change.
    const LOOK_EVERY: Duration = Duration::from_millis(20);

    /// A node's process, as seen from outside.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Node {
        pub(crate) name: String,
        pub(crate) id: u32,
    }

    pub(crate) async fn signal(id: u32, signal: &str) {
        let kill = soon("kill", Command::new("kill").args([signal, &id.to_string()]).status()).await;
        assert!(kill.unwrap().success());
    }

    /// The nodes of the program with this mark, whether that still runs or not.
    pub(crate) fn nodes_of(mark: &str) -> Vec<Node> {
        let node = |path: PathBuf| {
            let words = |file: &str| {
                let text = String::from_utf8_lossy(&std::fs::read(path.join(file)).ok()?).into_owned();
                Some(text.split('\0').map(str::to_owned).collect::<Vec<String>>())
            };
            let id = path.file_name()?.to_str()?.parse().ok()?;
            let line = words("cmdline")?;
            let node = ["demo-node", "bench-node"].contains(&line.get(1)?.as_str());
            let ours = node && words("environ")?.contains(&format!("{MARK}={mark}"));
            ours.then(|| Some(Node { name: line.get(3)?.clone(), id }))?
        };
        let processes = std::fs::read_dir("/proc").unwrap();
        processes.filter_map(|entry| node(entry.ok()?.path())).collect()
    }

    /// Waits until so many nodes run.
    pub(crate) async fn until_nodes(mark: &str, number: usize) -> Vec<Node> {
        let deadline = Instant::now() + LONG;
        loop {
            let nodes = nodes_of(mark);
            if nodes.len() == number {
                return nodes;
            }
            assert!(Instant::now() < deadline, "there never are {number} nodes: {nodes:?}");
            sleep(LOOK_EVERY).await;
        }
    }

    impl Program {
        /// What its nodes are known by.
        pub(crate) fn mark(&self) -> String {
            self.temporary.path().to_str().unwrap().to_owned()
        }

        /// Waits until it says this.
        pub(crate) async fn says(&mut self, words: &str) {
            let lines = self.lines.as_mut().unwrap();
            let said = &mut self.said;
            let found = async {
                while let Some(line) = lines.next_line().await.unwrap() {
                    *said += &(line + "\n");
                    if said.contains(words) {
                        return true;
                    }
                }
                false
            };
            assert!(soon(words, found).await, "it never says {words:?}: {}", self.said);
        }

        /// Nobody reads its output any more.
        pub(crate) fn stop_reading(&mut self) {
            self.lines = None;
        }

        pub(crate) async fn signal(&self, name: &str) {
            signal(self.child.id().expect("it runs"), name).await;
        }

        /// Waits until it has ended, and checks that its nodes have ended before.
        pub(crate) async fn ended_with_its_nodes(self) -> super::Ended {
            let mark = self.mark();
            let ended = self.ended().await;
            assert_eq!(nodes_of(&mark), [], "its nodes have ended: {ended:?}");
            ended
        }
    }
}

#[cfg(all(feature = "quic", target_os = "linux"))]
pub(crate) use processes::{Node, nodes_of, signal, until_nodes};
