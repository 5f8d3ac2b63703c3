//! A node on that transport: a link, and a Mesh on it.

use crate::link::UnixLink;
use pingpong_core::message::Never;
use pingpong_core::server::{Context, Server, SpawnOptions, spawn};
use pingpong_core::{Address, ClusterName, Mesh, MeshConfig, Node, NodeName, ServerName, Transport, message, request};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

type Error = Box<dyn std::error::Error>;

/// Asks a node for its process.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ask;
request!(Ask => Process, id = 1, version = 0);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Process(pub(crate) u32);
message!(Process, id = 2, version = 0);

struct Teller;

impl Server for Teller {
    type Cast = Never;
    type Call = Ask;
    type Info = ();

    async fn cast(&mut self, _: &Node, message: Never, _: &mut Context<Self>) {
        match message {}
    }

    async fn call(&mut self, _: &Node, _: Ask, _: &mut Context<Self>) -> Process {
        Process(std::process::id())
    }
}

pub(crate) fn teller() -> Result<ServerName, Error> {
    Ok(ServerName::new("teller")?)
}

/// Starts a node whose socket is the file of its name in that directory. Its seeds are the sockets that are there.
pub(crate) async fn start(dir: &Path, name: &str) -> Result<Arc<dyn Transport>, Error> {
    let at = |name: &str| Address::new(&dir.join(name).to_string_lossy());
    let mut config = MeshConfig::new(ClusterName::new("unix")?, NodeName::new(name)?);
    for entry in std::fs::read_dir(dir)? {
        config.seeds.push(at(&entry?.file_name().to_string_lossy())?);
    }
    let link = UnixLink::bind(config.name.clone(), at(name)?, config.limits.lanes_per_connection()).await?;
    Ok(Arc::new(Mesh::start(link, config).await?))
}

/// Runs a node until the input of this process ends.
pub(crate) fn run(dir: &Path, name: &str) -> Result<(), Error> {
    let ended = Arc::new(tokio::sync::Notify::new());
    let by_input = Arc::clone(&ended);
    std::thread::spawn(move || {
        // Whatever it says, and however it ends.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        by_input.notify_one();
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let node = start(dir, name).await?;
        let _teller = spawn(Arc::clone(&node), teller()?, || Teller, SpawnOptions::default())?;
        let mut events = node.monitor();
        loop {
            tokio::select! {
                () = ended.notified() => break,
                Some(event) = events.next() => println!("{event}"),
                else => break,
            }
        }
        node.shutdown(Duration::from_secs(5)).await;
        Ok(())
    })
}
