//! A stage of processes: each node is one, they talk QUIC with mutual TLS, and a relay between them makes the cuts.
//!
//! Certificates, keys and logs are in a temporary directory that ends with the stage.

use super::child::{Files, NodeOptions};
use super::error::DemoError;
use super::player::CLUSTER;
use super::process::Process;
use super::protocol::{Answer, Order};
use super::relay::Relay;
use super::stage::{Look, Stage, name};
use pingpong_node::quic::{Authority, Validity};
use pingpong_node::{ClusterName, NodeName};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// No demo takes that long; what is left of a certificate afterwards is of no use to anybody.
const CERTIFICATES_HOLD: Duration = Duration::from_secs(86_400);
/// Lines of a log that are shown.
const LOG_LINES: usize = 10;

/// Nodes that are processes.
pub(crate) struct QuicStage {
    nodes: Vec<Option<Process>>,
    relay: Relay,
    dir: TempDir,
}

impl QuicStage {
    /// Makes certificates, and the network; no node is started.
    pub(crate) async fn new(nodes: usize) -> Result<Self, DemoError> {
        let dir = tempfile::Builder::new().prefix("pingpong-demo-").tempdir();
        let dir = dir.map_err(|error| DemoError::File { path: std::env::temp_dir(), error })?;
        issue(dir.path(), nodes)?;
        let relay = Relay::start(nodes).await?;
        Ok(Self { dir, relay, nodes: (0..nodes).map(|_| None).collect() })
    }

    /// Starts a process. It is in its place before anything is awaited, so that it is ended whatever happens.
    async fn spawn(&mut self, node: usize) -> Result<(), DemoError> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let others = (0..self.nodes.len()).filter(|other| *other != node);
        let options = NodeOptions {
            name: name(node),
            dir: self.dir.path().to_owned(),
            listen: self.relay.real(node).unwrap_or(any),
            advertise: self.relay.address(node).to_string(),
            seed: others.map(|other| self.relay.address(other).to_string()).collect(),
        };
        self.nodes[node] = Some(Process::spawn(&options)?);
        Ok(())
    }

    async fn started(&mut self, node: usize) -> Result<(), DemoError> {
        let address = self.process(node)?.started().await?;
        self.relay.set_real(node, Some(address));
        Ok(())
    }

    async fn ask(&mut self, node: usize, what: &'static str, order: Order) -> Result<(), DemoError> {
        let process = self.process(node)?;
        match process.ask(what, &order).await? {
            Answer::Done => Ok(()),
            answer => Err(process.unexpected(&answer)),
        }
    }

    fn process(&mut self, node: usize) -> Result<&mut Process, DemoError> {
        self.nodes[node].as_mut().ok_or_else(|| DemoError::NotRunning { node: name(node) })
    }
}

impl Stage for QuicStage {
    async fn open(&mut self) -> Result<(), DemoError> {
        for node in 0..self.nodes.len() {
            self.spawn(node).await?;
        }
        for node in 0..self.nodes.len() {
            self.started(node).await?;
        }
        Ok(())
    }

    async fn ping(&mut self, node: usize, pings: u64) -> Result<(), DemoError> {
        self.ask(node, "ping", Order::Ping(pings)).await
    }

    async fn crash(&mut self, node: usize) -> Result<(), DemoError> {
        self.ask(node, "crash its consumer", Order::Crash).await
    }

    async fn recover(&mut self, node: usize) -> Result<(), DemoError> {
        self.ask(node, "start its consumer again", Order::Recover).await
    }

    async fn kill(&mut self, node: usize) -> Result<(), DemoError> {
        // It stays in its place until it has ended, so that it is waited for even if this is not.
        if let Some(process) = &mut self.nodes[node] {
            process.kill().await?;
        }
        self.nodes[node] = None;
        Ok(())
    }

    async fn restart(&mut self, node: usize) -> Result<(), DemoError> {
        self.spawn(node).await?;
        self.started(node).await
    }

    async fn partition(&mut self, groups: &[Vec<usize>]) -> Result<(), DemoError> {
        self.relay.partition(groups);
        Ok(())
    }

    async fn heal(&mut self) -> Result<(), DemoError> {
        self.relay.heal();
        Ok(())
    }

    async fn look(&mut self, node: usize) -> Result<Look, DemoError> {
        let process = self.process(node)?;
        match process.ask("say what it sees", &Order::Look).await? {
            Answer::Seen(look) => Ok(look),
            answer => Err(process.unexpected(&answer)),
        }
    }

    fn silent(&self) -> Option<DemoError> {
        self.nodes.iter().flatten().find_map(Process::silent)
    }

    fn logs(&self) -> Vec<(String, String)> {
        let log = |node| {
            let name = name(node);
            let text = std::fs::read(Files::of(self.dir.path(), &name).log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            (name, lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
        };
        (0..self.nodes.len()).map(log).collect()
    }

    async fn close(mut self) -> Result<(), DemoError> {
        let mut left = Ok(());
        for node in 0..self.nodes.len() {
            left = left.and(self.kill(node).await);
        }
        let path = self.dir.path().to_owned();
        left.and(self.dir.close().map_err(|error| DemoError::File { path, error }))
    }
}

fn issue(dir: &Path, nodes: usize) -> Result<(), DemoError> {
    let made = |words: String| DemoError::own("a certificate")(words);
    let cluster = ClusterName::new(CLUSTER).map_err(|error| made(error.to_string()))?;
    let authority = Authority::new(&cluster, CERTIFICATES_HOLD).map_err(|error| made(error.to_string()))?;
    for node in 0..nodes {
        let name = name(node);
        let files = Files::of(dir, &name);
        let node = NodeName::new(&name).map_err(|error| made(error.to_string()))?;
        let identity = authority.issue(&node, Validity::from_now(CERTIFICATES_HOLD));
        let identity = identity.map_err(|error| made(error.to_string()))?;
        write(&files.authority, &authority.certificate_pem())?;
        write(&files.certificate, &identity.chain_pem())?;
        write(&files.key, &identity.key_pem())?;
    }
    Ok(())
}

/// Writes a file that its owner alone may read.
fn write(path: &PathBuf, text: &str) -> Result<(), DemoError> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| DemoError::File { path: path.clone(), error })
}
