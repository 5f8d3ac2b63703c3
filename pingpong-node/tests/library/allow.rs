//! Whom a handler hears, and whom a server serves (A1): by code, and by the settings of a node.

use pingpong_node::dev::{Cluster, Kind};
use pingpong_node::message::Never;
use pingpong_node::server::spawn;
use pingpong_node::{
    CallFailure, Context, Node, NodeName, Server, ServerHandle, ServerName, SpawnOptions, Targets, Transport,
    TransportExt, message, request,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
struct WhoAmI;
request!(WhoAmI => You, id = 1, version = 0);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct You(Node);
message!(You, id = 2, version = 0);

struct Mirror;

impl Server for Mirror {
    type Cast = Never;
    type Call = WhoAmI;
    type Info = ();

    async fn cast(&mut self, _: &Node, message: Never, _: &mut Context<Self>) {
        match message {}
    }

    async fn call(&mut self, from: &Node, _: WhoAmI, _: &mut Context<Self>) -> You {
        You(from.clone())
    }
}

fn mirror() -> ServerName {
    ServerName::new("mirror").unwrap()
}

fn open(node: &Arc<dyn Transport>, options: SpawnOptions) -> ServerHandle {
    spawn(Arc::clone(node), mirror(), || Mirror, options).unwrap()
}

/// What the mirror of that node shows to this one.
async fn look(from: &dyn Transport, at: &str) -> Result<You, CallFailure> {
    let target = Targets::node(NodeName::new(at).unwrap());
    let answers = from.call(&target, &mirror(), &WhoAmI, PATIENCE).await.unwrap();
    answers.into_one().map(|answer| answer.reply)
}

fn is(node: &dyn Transport) -> You {
    You(node.node())
}

#[tokio::test]
async fn a_handler_hears_who_asks_and_a_server_serves_those_that_the_code_names() {
    for kind in Kind::ALL {
        let cluster = Cluster::start_on(*kind, ["a", "b", "c"]).await.unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| &**cluster.node(name).unwrap());
        let server = open(cluster.node("a").unwrap(), SpawnOptions::default().allow_only([b.node().name]));
        for served in [a, b] {
            assert_eq!(look(served, "a").await, Ok(is(served)), "{kind}: by the name and the life that it proved");
        }
        assert_eq!(look(c, "a").await, Err(CallFailure::NotAllowed), "{kind}");
        assert_eq!(a.counters().not_allowed, 1, "{kind}");
        // Its next life is as strict.
        server.crash().await;
        assert_eq!(look(c, "a").await, Err(CallFailure::NotAllowed), "{kind}");
        assert_eq!(look(b, "a").await, Ok(is(b)), "{kind}");
    }
}

#[cfg(all(feature = "daemon", unix))]
mod by_settings {
    use super::{is, look, mirror, open};
    use pingpong_node::daemon::Daemon;
    use pingpong_node::quic::{Authority, Validity};
    use pingpong_node::settings::Settings;
    use pingpong_node::{CallFailure, ClusterName, NodeEvents, NodeName};
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;
    use std::time::Duration;
    use tokio::time::timeout;

    const DAY: Duration = Duration::from_secs(86_400);

    fn write(path: &Path, bytes: &[u8]) {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
    }

    /// Starts a node as a service does: from a file of settings, and files of its identity.
    async fn start(dir: &Path, authority: &Authority, name: &str, more: &str) -> Daemon {
        let identity = authority.issue(&NodeName::new(name).unwrap(), Validity::from_now(DAY)).unwrap();
        let path = |what: &str| dir.join(format!("{name}.{what}"));
        write(&path("pem"), identity.chain_pem().as_bytes());
        write(&path("key"), identity.key_pem().as_bytes());
        write(&path("ca"), authority.certificate_pem().as_bytes());
        let file = format!(
            "name = \"{name}\"\ncluster = \"allow\"\nlisten = \"127.0.0.1:0\"\n{more}\n[identity]\nauthority = {:?}\ncertificate = {:?}\n\
             key = {:?}\n[servers.mirror]\nallow = [\"b\"]\n",
            path("ca"),
            path("pem"),
            path("key")
        );
        Daemon::start(Settings::from_toml(&path("toml"), &file).unwrap()).await.unwrap()
    }

    async fn up(events: &mut NodeEvents) {
        let event = timeout(super::PATIENCE, events.next()).await.expect("an event comes").expect("the node runs");
        assert!(event.is_up(), "{event}");
    }

    #[tokio::test]
    async fn a_server_serves_those_that_the_settings_name() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(&ClusterName::new("allow").unwrap(), DAY).unwrap();
        let a = start(dir.path(), &authority, "a", "").await;
        let seed = format!("seeds = [\"{}\"]", a.local_address());
        let _mirror = open(&a.transport(), a.spawn_options(&mirror()));
        for (name, expected) in [("b", None), ("c", Some(CallFailure::NotAllowed))] {
            let daemon = start(dir.path(), &authority, name, &seed).await;
            let node = daemon.transport();
            up(&mut node.monitor()).await;
            let seen = look(&*node, "a").await;
            assert_eq!(seen, expected.map_or_else(|| Ok(is(&*node)), Err), "{name}");
            assert_eq!(daemon.stop().await.exit_code(), 0);
        }
        assert_eq!(look(&*a.transport(), "a").await, Ok(is(&*a.transport())), "the local node is always served");
    }
}
