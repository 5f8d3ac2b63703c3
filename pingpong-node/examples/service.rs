//! A service that people run: a node which a file configures, with a server of one's own on it that operators reach by hand.
//!
//! `cargo run -p pingpong-node --example service -- service.toml`
//!
//! Where to begin: `pingpong-node certs init --cluster shop`, `pingpong-node certs issue a`, and what `pingpong-node config example`
//! prints as `service.toml`. Everything that `pingpong-node` does with a running node it does with this one, by the control socket of the
//! file: `pingpong-node call stock '{"Put": ["tea", 3]}' --socket a.sock`, `nodes`, `watch`, `stop`.
//!
//! Each node has a stock of its own. It outlives a crash of its server, since it does not belong to the server; it does not outlive the
//! process. Who may ask for it, the file says: `[servers.stock]`, `allow = ["a", "b"]`.
#![allow(clippy::print_stderr, reason = "it is a program")]

use pingpong_node::daemon::{Daemon, NEEDS_A_PERSON};
use pingpong_node::message::Never;
use pingpong_node::server::spawn;
use pingpong_node::settings::Settings;
use pingpong_node::{Context, Node, Server, ServerHandle, ServerName, message, request};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::EnvFilter;

/// What people ask for. In JSON: `{"Put": ["tea", 3]}`, `{"Take": ["tea", 1]}`.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Put(String, u32),
    Take(String, u32),
}
request!(Order => Answer, id = 1, version = 0);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Answer {
    Left(u32),
    /// There are only so many, and all of them are still there.
    Only(u32),
    /// So many more do not fit.
    NoRoom,
}
message!(Answer, id = 2, version = 0);

#[derive(Clone, Default)]
struct Stock(Arc<Mutex<BTreeMap<String, u32>>>);

impl Stock {
    fn carry_out(&self, order: Order) -> Answer {
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (item, change): (_, fn(u32, u32) -> Result<u32, Answer>) = match &order {
            Order::Put(item, _) => (item, |there, more| there.checked_add(more).ok_or(Answer::NoRoom)),
            Order::Take(item, _) => (item, |there, less| there.checked_sub(less).ok_or(Answer::Only(there))),
        };
        let (Order::Put(_, pieces) | Order::Take(_, pieces)) = order;
        let there = shelves.get(item).copied().unwrap_or_default();
        match change(there, pieces) {
            Ok(left) => {
                shelves.insert(item.clone(), left);
                Answer::Left(left)
            }
            Err(refused) => refused,
        }
    }
}

impl Server for Stock {
    type Cast = Never;
    type Call = Order;
    type Info = ();

    async fn cast(&mut self, _: &Node, message: Never, _: &mut Context<Self>) {
        match message {}
    }

    async fn call(&mut self, _: &Node, order: Order, _: &mut Context<Self>) -> Answer {
        self.carry_out(order)
    }
}

async fn start(file: &Path) -> Result<(Daemon, ServerHandle), Box<dyn Error>> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let settings = Settings::from_toml(file, &text)?;
    let level = EnvFilter::try_new(&settings.log.level)?;
    // The log says what happens to links; refused if there is one already.
    let _ = tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).try_init();
    let daemon = Daemon::start(settings).await?;
    let (name, stock) = (ServerName::new("stock")?, Stock::default());
    let server = spawn(daemon.transport(), name.clone(), move || stock.clone(), daemon.spawn_options(&name))?;
    daemon.adapters().add::<Order>(&name);
    Ok((daemon, server))
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(file) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: service FILE");
        return ExitCode::from(NEEDS_A_PERSON);
    };
    let (daemon, stock) = match start(&file).await {
        Ok(started) => started,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(NEEDS_A_PERSON);
        }
    };
    // Until a signal or a command; or until the supervisor gives the server up, with which a service has no point any more.
    let given_up = tokio::select! {
        () = daemon.ending() => None,
        Err(error) = stock.stopped() => Some(error),
    };
    match given_up {
        None => ExitCode::from(daemon.run().await.exit_code()),
        Some(error) => {
            eprintln!("{error}");
            daemon.stop().await;
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
#[path = "tests/service.rs"]
mod tests;
