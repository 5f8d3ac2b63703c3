//! The process of one node: it takes orders on its standard input, and ends when that does.
//!
//! So it does not outlive the demo, not even one that was killed.

use super::error::DemoError;
use super::player::{self, FAILURE_TIMEOUT, Player};
use super::protocol::{Answer, Order, line};
use clap::Args;
use pingpong_node::quic::{BindError, Identity, QuicConfig, QuicLink};
use pingpong_node::{Address, Mesh};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// How a node of the demo is started.
#[derive(Debug, Args)]
pub(crate) struct NodeOptions {
    /// Its name.
    #[arg(long)]
    pub(crate) name: String,
    /// Where its certificate, its key and that of the authority are.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Where it listens. If the port is taken, it listens at any.
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Where others dial it.
    #[arg(long)]
    pub(crate) advertise: String,
    /// Whom it dials.
    #[arg(long)]
    pub(crate) seed: Vec<String>,
}

/// The files of a node in the demo's directory.
pub(crate) struct Files {
    /// The authority's certificate.
    pub(crate) authority: PathBuf,
    /// The node's certificate.
    pub(crate) certificate: PathBuf,
    /// The node's key.
    pub(crate) key: PathBuf,
    /// Where its process writes what it has to say.
    pub(crate) log: PathBuf,
}

impl Files {
    pub(crate) fn of(dir: &Path, name: &str) -> Self {
        Self {
            authority: dir.join("authority.pem"),
            certificate: dir.join(format!("{name}.pem")),
            key: dir.join(format!("{name}.key")),
            log: dir.join(format!("{name}.log")),
        }
    }
}

/// Runs the node until its input ends.
pub(crate) async fn run(options: NodeOptions) -> Result<(), std::io::Error> {
    let mut output = tokio::io::stdout();
    let (mut player, address) = match start(&options).await {
        Ok(started) => started,
        Err(error) => return say(&mut output, &Answer::Failed(error.to_string())).await,
    };
    say(&mut output, &Answer::Started(address)).await?;
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        let answer = match serde_json::from_str(&order) {
            Ok(order) => obey(&mut player, order).await,
            Err(error) => Answer::Failed(format!("the order cannot be read: {error}")),
        };
        say(&mut output, &answer).await?;
    }
    Ok(())
}

async fn obey(player: &mut Player, order: Order) -> Answer {
    let done = |()| Answer::Done;
    let answer = match order {
        Order::Ping(pings) => player.ping(pings).await.map(done),
        Order::Crash => player.crash().await.map(done),
        Order::Recover => player.recover().map(done),
        Order::Look => player.look().await.map(Answer::Seen),
    };
    answer.unwrap_or_else(|error| Answer::Failed(error.to_string()))
}

async fn say(output: &mut tokio::io::Stdout, answer: &Answer) -> Result<(), std::io::Error> {
    output.write_all(line(answer)?.as_bytes()).await?;
    output.flush().await
}

async fn start(options: &NodeOptions) -> Result<(Player, SocketAddr), DemoError> {
    let refused = |words: String| DemoError::Start { node: options.name.clone(), words };
    let identity = identity(options)?;
    let address = |text: &String| Address::new(text).map_err(|error| refused(error.to_string()));
    let mesh = player::mesh(&options.name, options.seed.iter().map(String::as_str))?;
    let mut quic = QuicConfig::new(options.listen, identity);
    quic.advertise = vec![address(&options.advertise)?];
    quic.failure_timeout = FAILURE_TIMEOUT;
    let link = bind(quic).map_err(|error| refused(error.to_string()))?;
    let bound = link.local_address();
    let mesh = Mesh::start(link, mesh).await.map_err(|error| refused(error.to_string()))?;
    Ok((Player::on(Arc::new(mesh))?, bound))
}

/// At the same port as before, if nobody has taken it meanwhile: others know the relay's address alone.
fn bind(mut config: QuicConfig) -> Result<QuicLink, BindError> {
    match QuicLink::bind(config.clone()) {
        Err(BindError::InUse { address }) => {
            tracing::warn!(%address, "taken; another port will do");
            config.listen.set_port(0);
            QuicLink::bind(config)
        }
        result => result,
    }
}

fn identity(options: &NodeOptions) -> Result<Identity, DemoError> {
    let files = Files::of(&options.dir, &options.name);
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| DemoError::File { path: path.clone(), error });
    Identity::from_pem(&read(&files.authority)?, &read(&files.certificate)?, &read(&files.key)?)
        .map_err(|error| DemoError::own("the identity of a node")(error.to_string()))
}
