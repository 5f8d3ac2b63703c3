//! A cluster of real processes in a directory of its own. What was started is killed when it is dropped.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// A wait that takes longer shows that something hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);
const MEMBERS: [&str; 3] = ["n1", "n2", "n3"];
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_pingpong-node");

/// Must be ready before long.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.unwrap_or_else(|_| panic!("it hangs: {what}"))
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PINGPONG_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end.
pub(crate) async fn run(dir: &Path, arguments: &[&str]) -> Ended {
    let output = soon(&arguments.join(" "), command(arguments).current_dir(dir).output()).await;
    Ended(output.unwrap())
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended(Output);

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    pub(crate) fn output(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub(crate) fn errors(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.0.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It must have succeeded.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code(), Some(0), "{self:?}");
        self
    }

    /// It must have failed with that code, and words on standard error alone.
    pub(crate) fn fails(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code(), Some(code), "{self:?}");
        assert!(self.errors().contains(words), "{words:?} is missing: {self:?}");
        self
    }
}

/// A directory with an authority, and nodes on this machine.
pub(crate) struct Cluster {
    dir: TempDir,
}

impl Cluster {
    /// With certificates for these nodes.
    pub(crate) async fn new(names: &[&str]) -> Self {
        let cluster = Self { dir: tempfile::tempdir().unwrap() };
        cluster.run(&["certs", "init", "--cluster", "test"]).await.ok();
        cluster.run(&[&["certs", "issue"], names].concat()).await.ok();
        cluster
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        run(self.path(), arguments).await
    }

    /// Asks a node, and gets JSON back.
    pub(crate) async fn ask(&self, name: &str, arguments: &[&str]) -> Value {
        self.asked(name, &[arguments, &["--json"]].concat()).await.ok().json()
    }

    pub(crate) async fn asked(&self, name: &str, arguments: &[&str]) -> Ended {
        let socket = format!("{name}.sock");
        self.run(&[arguments, &["--socket", &socket]].concat()).await
    }

    /// Writes a configuration: a free port, and what is added.
    pub(crate) fn configure(&self, name: &str, top: &str, tables: &str) -> PathBuf {
        self.configure_with(name, top, tables, "")
    }

    /// The same, with more of the identity.
    pub(crate) fn configure_with(&self, name: &str, top: &str, tables: &str, identity: &str) -> PathBuf {
        let path = self.path().join(format!("{name}.toml"));
        let text = format!(
            "name = \"{name}\"\ncluster = \"test\"\nlisten = \"127.0.0.1:0\"\n{top}\n[identity]\nauthority = \"ca.pem\"\n\
             certificate = \"{name}.pem\"\nkey = \"{name}.key\"\n{identity}\n[control]\nsocket = \"{name}.sock\"\n{tables}\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts a node from its configuration, and waits until it says that it is ready.
    pub(crate) async fn start(&self, name: &str) -> Running {
        let mut running = self.spawn(&["run", "--config", &format!("{name}.toml")]);
        running.says("ready").await;
        running
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Running {
        let mut child =
            command(arguments).current_dir(self.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Running { child, log, said: String::new() }
    }

    /// Where a running node listens.
    pub(crate) async fn address(&self, name: &str) -> String {
        self.ask_any(name, &["status"]).await["listen"].as_str().unwrap().to_owned()
    }

    /// Asks a node, whether what it answers counts as success or not.
    pub(crate) async fn ask_any(&self, name: &str, arguments: &[&str]) -> Value {
        self.asked(name, &[arguments, &["--json"]].concat()).await.json()
    }

    /// Members n1, n2, n3 with stores, all linked, and all of them vote. More is added to their configurations.
    pub(crate) async fn members(&self, tables: &str) -> [Running; 3] {
        let mut seeds = "seeds = []".to_owned();
        let mut running = Vec::new();
        for (linked, name) in MEMBERS.into_iter().enumerate() {
            let top =
                format!("members = [\"n1\", \"n2\", \"n3\"]\ndata = \"{name}.data\"\n{seeds}\nmin_links = {linked}");
            self.configure(name, &top, tables);
            self.run(&["init", "-c", &format!("{name}.toml")]).await.ok();
            running.push(self.start(name).await);
            if linked == 0 {
                seeds = format!("seeds = [\"{}\"]", self.address(name).await);
            }
        }
        for name in MEMBERS {
            self.until(name, "status", |status| status["links"] == 2 && status["store"]["recovering"] == false).await;
        }
        running.try_into().ok().unwrap()
    }

    /// Asks a node until it answers that; its answer.
    pub(crate) async fn until(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = async {
            loop {
                last = self.ask_any(name, &what.split(' ').collect::<Vec<_>>()).await;
                if is_so(&last) {
                    return;
                }
            }
        };
        let found = tokio::time::timeout(LONG, found).await;
        assert!(found.is_ok(), "{name} never answers `{what}` so, but {last}");
        last
    }

    /// Two nodes that are linked.
    pub(crate) async fn pair(&self) -> (Running, Running) {
        self.configure("n1", "", "");
        let one = self.start("n1").await;
        let seed = self.address("n1").await;
        self.configure("n2", &format!("seeds = [\"{seed}\"]\nmin_links = 1"), "");
        let two = self.start("n2").await;
        // The second one is linked, or it would not be ready; the first one hears of it a little later.
        let linked = async { while self.ask("n1", &["nodes"]).await == Value::Array(Vec::new()) {} };
        soon("the other side of the link", linked).await;
        (one, two)
    }
}

/// A running node.
pub(crate) struct Running {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Running {
    /// Waits until its log says this.
    pub(crate) async fn says(&mut self, words: &str) {
        let (log, said) = (&mut self.log, &mut self.said);
        let found = async {
            while let Some(line) = log.next_line().await.unwrap() {
                *said += &(line + "\n");
                if said.contains(words) {
                    return true;
                }
            }
            false
        };
        assert!(soon(words, found).await, "it never says {words:?}: {}", self.said);
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let kill = soon("kill", Command::new("kill").args([name, &id]).status()).await;
        assert!(kill.unwrap().success());
    }

    /// Waits until it has ended; its exit code, and all that its log said.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        let (_, status) =
            soon("its end", async { tokio::join!(self.log.get_mut().read_to_string(&mut rest), self.child.wait()) })
                .await;
        (status.unwrap().code(), self.said + &rest)
    }
}
