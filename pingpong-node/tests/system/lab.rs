//! What nodes are made from: an authority, their identities, and the command that starts them.

use crate::node::{LONG, Node, within};
use pingpong_node::quic::{Authority, Identity, Validity};
use pingpong_node::{ClusterName, NodeName};
use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::process::Command;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_pingpong-node");
const DAY: Duration = Duration::from_secs(86_400);
const PORT: u16 = 4_400;

/// A loopback address that no other test has, nor another run of the tests.
pub(crate) fn address() -> SocketAddr {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let id = std::process::id();
    let last = LAST.fetch_add(1, Ordering::Relaxed);
    assert!(last < 250, "there are more addresses than one run has");
    let [high, low] = [(id >> 8) % 254 + 1, id & 0xff].map(|part| u8::try_from(part).unwrap());
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, high, low, last + 1)), PORT)
}

/// The program with these arguments, and nothing of this environment's settings.
pub(crate) fn command(before: &[String], arguments: &[String]) -> Command {
    let mut words = before.iter().cloned().chain([PROGRAM.to_owned()]).chain(arguments.iter().cloned());
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PINGPONG_")) {
        command.env_remove(name);
    }
    command
}

/// From the past until so long after now. Certificates count in whole seconds.
pub(crate) fn until(length: Duration) -> Validity {
    Validity::from_now(length)
}

/// A number in the environment.
pub(crate) fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}, and must be a number")))
}

/// What a test has to tell, for people who were not there.
pub(crate) fn write_report(name: &str, text: &str) {
    let reports = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
    fs::create_dir_all(&reports).unwrap();
    fs::write(reports.join(name), text).unwrap();
}

/// Over since yesterday.
pub(crate) fn expired() -> Validity {
    let now = SystemTime::now();
    Validity { from: now - 2 * DAY, until: now - DAY }
}

/// A directory, and an authority whose certificates are in it.
pub(crate) struct Lab {
    dir: TempDir,
    authority: Authority,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let authority = Authority::new(&ClusterName::new("test").unwrap(), DAY).unwrap();
        let lab = Self { dir: tempfile::tempdir().unwrap(), authority };
        fs::write(lab.path("ca.pem"), lab.authority.certificate_pem()).unwrap();
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A new identity of that node, in place of the one that it has.
    pub(crate) fn issue(&self, name: &str, valid: Validity) {
        let identity = self.authority.issue(&NodeName::new(name).unwrap(), valid).unwrap();
        self.write(name, &identity);
    }

    fn write(&self, name: &str, identity: &Identity) {
        let key = self.path(&format!("{name}.key"));
        fs::write(&key, identity.key_pem()).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        fs::write(self.path(&format!("{name}.pem")), identity.chain_pem()).unwrap();
    }

    /// A node that is not started yet.
    pub(crate) fn plan(&self, name: &str) -> Plan {
        self.issue(name, until(DAY));
        Plan {
            name: name.to_owned(),
            dir: self.dir.path().to_owned(),
            authority: self.path("ca.pem"),
            listen: address(),
            before: Vec::new(),
            more: Vec::new(),
            socket: self.path(&format!("{name}.sock")),
        }
    }
}

/// How a node is started. The same plan can be carried out again: a restart.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) name: String,
    dir: PathBuf,
    pub(crate) authority: PathBuf,
    pub(crate) listen: SocketAddr,
    /// What stands before the program: a namespace.
    pub(crate) before: Vec<String>,
    more: Vec<String>,
    pub(crate) socket: PathBuf,
}

impl Plan {
    /// With a flag more.
    pub(crate) fn with(mut self, flag: &str, value: impl ToString) -> Self {
        self.more.extend([format!("--{flag}"), value.to_string()]);
        self
    }

    /// Dials that one for ever.
    pub(crate) fn seeded_by(self, seed: SocketAddr) -> Self {
        self.with("seeds", seed)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn arguments(&self, what: &[&str]) -> Vec<String> {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let pairs = [
            ("name", self.name.clone()),
            ("cluster", "test".to_owned()),
            ("listen", self.listen.to_string()),
            ("identity-authority", path(&self.authority)),
            ("identity-certificate", path(&self.file(&format!("{}.pem", self.name)))),
            ("identity-key", path(&self.file(&format!("{}.key", self.name)))),
            ("control-socket", path(&self.socket)),
        ];
        let flags = pairs.into_iter().flat_map(|(flag, value)| [format!("--{flag}"), value]);
        what.iter().map(|word| (*word).to_owned()).chain(flags).chain(self.more.iter().cloned()).collect()
    }

    /// Keeps what it has counted.
    pub(crate) fn with_data(self) -> Self {
        let data = self.data();
        self.with("data", data.display())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.file(&format!("{}.data", self.name))
    }

    /// Makes its store, once and for all.
    pub(crate) async fn init(&self) {
        let output = within(LONG, "init", command(&self.before, &self.arguments(&["init"])).output()).await.unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Starts the process, and waits for nothing.
    pub(crate) fn spawn(&self) -> Node {
        self.spawn_as(&["run"])
    }

    /// The same, as said by these words.
    pub(crate) fn spawn_as(&self, words: &[&str]) -> Node {
        let mut command = command(&self.before, &self.arguments(words));
        command.stderr(Stdio::piped());
        Node::spawn(&self.name, command, &self.socket)
    }

    /// Starts the node: it listens, and can be asked.
    pub(crate) async fn start(&self) -> Node {
        let node = self.spawn();
        node.says(" started ").await;
        node
    }
}
