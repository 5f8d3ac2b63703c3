//! A service that people run: a node which a file configures, with a server of one's own on it that operators reach by hand.
//!
//! `cargo run -p pingpong-node --example service -- service.toml`, in a directory where `pingpong-node certs init --cluster shop` and
//! `pingpong-node certs issue a` were run, with this file (`pingpong-node config example` prints all keys):
//!
//! ```toml
//! name = "a"
//! cluster = "shop"
//! listen = "127.0.0.1:4400"
//! identity = { authority = "ca.pem", certificate = "a.pem", key = "a.key" }
//! control = { socket = "a.sock" }
//! ```
//!
//! Then `pingpong-node call stock '{"Put": ["tea", 3]}' --socket a.sock`; `nodes`, `watch` and `stop` do with it what they do with every node.
//!
//! Each node has a stock of its own. It outlives a crash of its server, since it does not belong to the server; it does not outlive the
//! process. Who may ask for it, the file says: `[servers.stock]`, `allow = ["a", "b"]`.
#![allow(clippy::print_stderr, reason = "it is a program")]

use pingpong_node::daemon::{Daemon, DaemonError, NEEDS_A_PERSON};
use pingpong_node::message::Never;
use pingpong_node::server::spawn;
use pingpong_node::settings::{LogFormat, LogSettings, Settings};
use pingpong_node::transport::RegisterError;
use pingpong_node::{Context, Node, Server, ServerHandle, ServerName, message, request};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::EnvFilter;

/// Whoever may ask must not decide about the memory of this process: so many items, with names of so many bytes.
const ITEMS: usize = 10_000;
const LONGEST: usize = 100;

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
    /// Neither so many more, nor so many items, nor so long a name.
    NoRoom,
}
message!(Answer, id = 2, version = 0);

#[derive(Clone, Default)]
struct Stock(Arc<Mutex<BTreeMap<String, u32>>>);

impl Stock {
    fn carry_out(&self, order: Order) -> Answer {
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (Order::Put(item, _) | Order::Take(item, _)) = &order;
        let there = shelves.get(item).copied().unwrap_or_default();
        let left = match &order {
            Order::Put(item, _) if item.len() > LONGEST => Err(Answer::NoRoom),
            Order::Put(item, _) if shelves.len() >= ITEMS && !shelves.contains_key(item) => Err(Answer::NoRoom),
            Order::Put(_, more) => there.checked_add(*more).ok_or(Answer::NoRoom),
            Order::Take(_, less) => there.checked_sub(*less).ok_or(Answer::Only(there)),
        };
        match left {
            Ok(0) => {
                shelves.remove(item);
                Answer::Left(0)
            }
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

fn log(settings: &LogSettings) -> Result<(), String> {
    let level = EnvFilter::try_new(&settings.level);
    let level = level.map_err(|error| format!("log.level is {:?}: {error}", settings.level))?;
    // A log that cannot be written, on a full disk for example, must not stop a node.
    let log = tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).log_internal_errors(false);
    // Refused if there is one already.
    let _ = match settings.format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    Ok(())
}

async fn start(file: &Path) -> Result<(Daemon, ServerHandle), Box<dyn Error>> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let settings = Settings::from_toml(file, &text)?;
    log(&settings.log)?;
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
            // What the system lacks now it may have later, and a node that has stopped may run again: a service manager may try.
            let lacks = matches!(error.downcast_ref(), Some(DaemonError::System { .. }));
            let stopped = matches!(error.downcast_ref(), Some(RegisterError::ShuttingDown));
            return if lacks || stopped { ExitCode::FAILURE } else { ExitCode::from(NEEDS_A_PERSON) };
        }
    };
    // Until a signal or a command; or until the supervisor gives the server up, with which a service has no point any more.
    let given_up = tokio::select! {
        () = daemon.ending() => None,
        Err(error) = stock.stopped() => Some(error),
    };
    if let Some(error) = given_up {
        eprintln!("{error}");
        daemon.stop().await;
        return ExitCode::FAILURE;
    }
    let end = daemon.run().await;
    if end.exit_code() != 0 {
        eprintln!("{}", end.reason);
    }
    ExitCode::from(end.exit_code())
}

#[cfg(test)]
#[path = "tests/service.rs"]
mod tests;
